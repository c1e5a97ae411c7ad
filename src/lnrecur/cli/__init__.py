"""The lnrecur command: parse, ask the daemon, print."""
