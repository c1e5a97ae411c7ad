"""The daemons of the demo: real `lnrecur run` processes in folders of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from lnrecur.cli.client import Client, DaemonUnreachable
from lnrecur.cli.interrupts import interrupts_held
from lnrecur.daemon.config import Home, Settings, write_settings
from lnrecur.daemon.files import create_home, running_daemon

_START_S_MAX: Final = 30.0
_STOP_S_MAX: Final = 5.0


class DemoDaemon:
    """One daemon, its folder and its process."""

    def __init__(self, name: str, folder: Path, money: Path) -> None:
        """Make the folder: a new seed, a token, and settings with ports of the system's choice."""
        self.name = name
        self._folder = folder
        self._home = Home.find(folder)
        settings = Settings(peer_listen="127.0.0.1:0", http_listen="127.0.0.1:0", playmoney_file=str(money))
        create_home(self._home)
        write_settings(self._home.config, settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None
        self._seen = 0

    def start(self) -> None:
        """Start the process; its log goes to daemon.log in its folder."""
        command = [sys.executable, "-m", "lnrecur", "run", "--home", str(self._folder)]
        with (self._folder / "daemon.log").open("ab") as log, interrupts_held():
            # Its own session: a ctrl-C in the terminal is for the demo, which then stops its daemons in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait_until_up(self) -> None:
        """Return once the daemon answers.

        Raises:
            DaemonUnreachable: it ended, or does not answer in time.
        """
        until = time.monotonic() + _START_S_MAX
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                log = (self._folder / "daemon.log").read_text(errors="replace").strip()
                raise DaemonUnreachable(f"the daemon of {self.name} ended at once: {log[-300:]}")
            if running_daemon(self._home) is not None:
                self._client = Client(self._home)
                self._client.get("/v1/info")
                return
            time.sleep(0.05)
        raise DaemonUnreachable(f"the daemon of {self.name} does not answer after {_START_S_MAX:.0f} seconds")

    @property
    def is_up(self) -> bool:
        """Whether it was started and answers."""
        return self._client is not None

    @property
    def client(self) -> Client:
        """Asks this daemon."""
        if self._client is None:
            raise DaemonUnreachable(f"the daemon of {self.name} is not up")
        return self._client

    def news(self) -> list[dict[str, Any]]:
        """Events that were not seen before."""
        events: list[dict[str, Any]] = self.client.get("/v1/events", after=self._seen)["events"]
        if events:
            self._seen = events[-1]["id"]
        return events

    def stop(self) -> None:
        """Stop the process: asked first, then made to."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._client = None
