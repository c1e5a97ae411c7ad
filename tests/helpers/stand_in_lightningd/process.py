"""A stand-in as a process, which can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from helpers.leash import leashed

_HELPERS = Path(__file__).parents[2]


class Process:
    """One stand-in in a folder of its own, on the machine's clock."""

    def __init__(self, folder: Path, network: Path, *arguments: str) -> None:
        """`arguments`: further ones, such as `--plugin=PATH`."""
        self.folder, self._network, self._arguments = folder, network, arguments
        self.process: subprocess.Popen[str] | None = None
        self.id = ""

    @property
    def rpc_file(self) -> Path:
        return self.folder / "lightning-rpc"

    def start(self) -> None:
        """Start it and wait until it serves."""
        command = [sys.executable, "-m", "helpers.stand_in_lightningd"]
        where = [f"--lightning-dir={self.folder}", f"--network-file={self._network}"]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                leashed([*command, *where, *self._arguments]),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": str(_HELPERS)},
            )
        assert self.process.stdout is not None
        told = self.process.stdout.readline()
        assert "Server started" in told, f"{told}{self.log}"
        self.id = told.split()[-1]

    def kill(self) -> None:
        """As a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to stop."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.communicate()
            self.process = None

    @property
    def log(self) -> str:
        """What it complained about."""
        return (self.folder / "log").read_text(errors="replace")
