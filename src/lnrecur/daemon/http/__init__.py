"""The HTTP API: routes that call the service."""
