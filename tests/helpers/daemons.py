"""Real daemons for the end-to-end tests: processes of `lnrecur run`, asked through the command as a person would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from helpers.leash import leashed
from lnrecur.cli.client import Client
from lnrecur.daemon.config import Home
from lnrecur.daemon.files import running_daemon

LNRECUR = (sys.executable, "-m", "lnrecur")
UP_S_MAX = 30.0
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("LNRECUR_")}
"""The environment without settings of the person who runs the tests."""


def lnrecur(*args: str | Path, **extra: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    told = {"capture_output": True, "text": True, "timeout": 60, "env": CLEAN, **extra}
    return subprocess.run([*LNRECUR, *map(str, args)], **told)


class Daemon:
    """One daemon in a folder of its own. Its ports are free ones; the peer port stays the same over restarts."""

    def __init__(
        self,
        folder: Path,
        money: Path | Sequence[str],
        *settings: str,
        database: str = "",
        role: str = "all",
        lease_s: int = 2,
    ) -> None:
        """`money`: the play-money file, or flags of `lnrecur init` about another money node.

        `settings`: further lines of its config.toml. `database`: a PostgreSQL one, to share with `Worker`s.
        """
        self.folder = folder
        self.role = role
        self.environment = CLEAN if not database else {**CLEAN, **_shared(database, lease_s)}
        self.home = Home.find(folder)
        self.process: subprocess.Popen[bytes] | None = None
        self.peer = "127.0.0.1:0"
        moved_by = ("--playmoney-file", money) if isinstance(money, Path) else tuple(money)
        flags = ("--peer-listen", self.peer, "--http-listen", "127.0.0.1:0", *moved_by)
        made = lnrecur("init", "--home", folder, *flags, "--json")
        assert made.returncode == 0, made.stderr
        with self.home.config.open("a") as config:
            config.writelines(f"{line}\n" for line in settings)
        self.node_id: str = json.loads(made.stdout)["node_id"]

    @property
    def address(self) -> str:
        """Where peers reach it: ID@HOST:PORT."""
        return f"{self.node_id}@{self.peer}"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.launch()
        self.wait_until_up()

    def launch(self) -> None:
        """Start the process."""
        command = [*LNRECUR, "run", "--home", str(self.folder), "--role", self.role]
        command += ["--peer-listen", self.peer, "--log-level", "info"]
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                leashed(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )

    def wait_until_up(self) -> None:
        """Return once the daemon has told where it listens."""
        process = self.process
        assert process is not None

        def told_by_this_one() -> dict[str, Any] | None:
            assert process.poll() is None, self.log[-2000:]
            told = running_daemon(self.home)
            return told if told is not None and int(told["pid"]) == process.pid else None

        told = wait_for(told_by_this_one, UP_S_MAX, lambda: self.log[-2000:])
        self.peer = str(told["peer"]).partition("@")[2]
        self._client = Client(self.home)  # the HTTP port is another one after each start

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def terminate(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to stop; answers the exit code and the seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code, time.monotonic() - began

    def ask(self, *args: str | Path) -> Any:
        """Run a command against this daemon with --json; answers what it printed."""
        done = lnrecur(*args, "--home", self.folder, "--json")
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{self.log[-1000:]}"
        return json.loads(done.stdout)

    def subscription(self, subscription: str) -> dict[str, Any]:
        """One subscription, with its book and its events; asked over HTTP, which is quicker than the command."""
        shown: dict[str, Any] = self._client.get(f"/v1/subscriptions/{subscription}")
        return shown

    def info(self) -> dict[str, Any]:
        """What it says of itself."""
        told: dict[str, Any] = self._client.get("/v1/info")
        return told

    def wait_for_peers(self, count: int) -> None:
        """Wait until it has so many connected peers."""
        wait_for(lambda: True if len(self.info()["peers"]) >= count else None, 10, lambda: self.log[-2000:])

    def look(self, path: str) -> dict[str, Any]:
        """Look something up over HTTP."""
        answer: dict[str, Any] = self._client.get(path)
        return answer

    def order(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask for something over HTTP."""
        answer: dict[str, Any] = self._client.post(path, body)
        return answer

    def sold(self) -> list[dict[str, Any]]:
        """The subscriptions that are paid to this daemon."""
        listed: list[dict[str, Any]] = self._client.get("/v1/subscriptions", role="payee")["subscriptions"]
        return listed

    def wait_for_phase(self, subscription: str, phase: str, seconds: float) -> dict[str, Any]:
        """Wait until a subscription has come to a phase."""

        def there() -> dict[str, Any] | None:
            shown = self.subscription(subscription)
            return shown if shown["phase"] == phase else None

        return wait_for(there, seconds, lambda: f"{self.subscription(subscription)}\n{self.log[-3000:]}")

    @property
    def log(self) -> str:
        """What it wrote to standard error and output so far."""
        return (self.folder / "daemon.log").read_text(errors="replace")


def _shared(database: str, lease_s: int) -> dict[str, str]:
    return {"LNRECUR_DATABASE": database, "LNRECUR_LEASE_S": str(lease_s)}


class Worker:
    """One worker process on the database of a daemon."""

    def __init__(self, of: Daemon, name: str) -> None:
        self._of = of
        self._log = of.folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it works."""
        before = self.log.count("lnrecur works")
        command = [*LNRECUR, "run", "--home", str(self._of.folder), "--role", "worker", "--log-level", "info"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                leashed(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._of.environment
            )
        self.process = process

        def works() -> bool | None:
            assert process.poll() is None, self.log[-2000:]
            return True if self.log.count("lnrecur works") > before else None

        wait_for(works, UP_S_MAX, lambda: self.log[-2000:])

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def terminate(self) -> int:
        """Ask it to stop; answers the exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(30)
        self.process = None
        return code

    @property
    def log(self) -> str:
        """What it wrote to standard error and output so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


def wait_for(look: Callable[[], Any], seconds: float, told: Callable[[], str]) -> Any:
    """Look until there is something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (found := look()) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {told()}")


def assert_books_agree(merchant: Daemon, payer: Daemon, subscription: str, payments: int) -> None:
    """Both sides have booked the same payments, each counter once, with true preimages and no surplus."""
    ours = payer.subscription(subscription)

    def booked() -> bool | None:  # the payer has the preimage a moment before the payee sees its receipt
        mine = [one for one in merchant.sold() if one["payer_id"] == ours["payer_id"]]
        return True if mine and mine[0]["payments"] >= payments else None

    wait_for(booked, 10, lambda: merchant.log[-2000:])
    [theirs] = [merchant.subscription(one["id"]) for one in merchant.sold() if one["payer_id"] == ours["payer_id"]]
    for side in (ours, theirs):
        assert [paid["counter"] for paid in side["book"]] == list(range(payments))
        for paid in side["book"]:
            assert sha256(bytes.fromhex(paid["preimage"])).hexdigest() == paid["payment_hash"]
            assert not paid["surplus"]
    assert _lines(ours) == _lines(theirs)
    assert ours["total_msat"] == theirs["total_msat"] == sum(amount for _, amount, _ in _lines(ours))


def _lines(side: dict[str, Any]) -> list[tuple[int, int, str]]:
    return [(paid["counter"], paid["amount_msat"], paid["payment_hash"]) for paid in side["book"]]


def processes_that_mention(text: str) -> list[str]:
    """The command lines of all running processes with this text in them, except our own."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it ended while we looked
                continue
            if text in line:
                found.append(line)
    return found
