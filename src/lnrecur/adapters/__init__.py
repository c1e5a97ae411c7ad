"""Implementations of the ports; they know libraries and never the service."""
