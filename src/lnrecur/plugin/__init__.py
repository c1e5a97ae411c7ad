"""lnrecur-cln: the daemon as a plugin of Core Lightning; a front door like the command line, and made of its parts."""
