"""The daemon: the only place that picks real parts."""
