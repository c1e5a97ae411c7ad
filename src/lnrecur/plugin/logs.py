"""Our log goes to lightningd's, line by line."""

from __future__ import annotations

import logging

from lnrecur.adapters.nodes.cln.plugin_wire import PluginWire

_LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"))
_QUIET = ("httpx", "httpcore", "asyncio")
"""Libraries that would tell every question they ask."""


class LightningdLog(logging.Handler):
    """Writes records to lightningd."""

    def __init__(self, wire: PluginWire) -> None:
        super().__init__()
        self._wire = wire
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """One notification for each line."""
        level = next((word for least, word in _LEVELS if record.levelno >= least), "debug")
        try:
            for line in self.format(record).splitlines():
                self._wire.log(level, line)
        except Exception:  # noqa: BLE001 - a line that cannot be written must not end what it tells of
            self.handleError(record)


def log_to(wire: PluginWire, level: str) -> None:
    """Send everything that is logged to lightningd, and nothing anywhere else."""
    logging.basicConfig(level=level.upper(), handlers=[LightningdLog(wire)], force=True)
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)
