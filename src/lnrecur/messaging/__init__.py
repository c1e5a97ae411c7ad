"""A messaging node without sockets: peers over a noise session, onion messages and reply paths."""
