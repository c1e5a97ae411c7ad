"""BOLT 8: the handshake and the encrypted transport, as state machines fed with bytes."""
