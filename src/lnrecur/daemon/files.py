"""The daemon's own files: seed, token, lock. Secrets are created with mode 0600 and refused if others can read them."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from lnrecur.daemon.config import Home
from lnrecur.errors import Fault, LnrecurError, UsageError

SEED_SIZE: Final = 32


class HomeError(LnrecurError):
    """The daemon's folder is not as it must be; the text says what to do."""

    fault = Fault.ENVIRONMENT


class AlreadyRunning(HomeError):
    """Another daemon works in this folder."""


def create_home(home: Home) -> bytes:
    """Make folders, a new seed and a token; answers the seed.

    Raises:
        UsageError: there is a seed already; nothing was changed.
    """
    for folder in (home.config_dir, home.data_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    seed = secrets.token_bytes(SEED_SIZE)
    try:
        _write_secret(home.seed, seed.hex())
    except FileExistsError as error:
        told = f"{home.seed} exists already: this folder has an identity, and it is not thrown away"
        raise UsageError(told) from error
    with suppress(FileExistsError):
        _write_secret(home.token, secrets.token_hex(32))
    return seed


def read_seed(home: Home) -> bytes:
    """The seed.

    Raises:
        HomeError: missing, readable by others, or not 64 hexadecimal digits.
    """
    text = _read_secret(home.seed, "run `lnrecur init` first")
    try:
        seed = bytes.fromhex(text)
    except ValueError as error:
        raise HomeError(f"{home.seed} does not hold hexadecimal digits") from error
    if len(seed) != SEED_SIZE:
        raise HomeError(f"{home.seed} holds {len(seed)} bytes, a seed has {SEED_SIZE}")
    return seed


def read_token(home: Home) -> str:
    """The bearer token of the HTTP API.

    Raises:
        HomeError: missing or readable by others.
    """
    return _read_secret(home.token, "run `lnrecur init` first")


class DaemonLock:
    """Held while a daemon runs, so that no second one works on the same database; tells where it listens."""

    def __init__(self, home: Home) -> None:
        """Take the lock.

        Raises:
            AlreadyRunning: somebody holds it.
        """
        self._file = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise AlreadyRunning(f"a daemon runs in {home.data_dir} already") from error
        os.ftruncate(self._file, 0)

    def tell(self, *, http: str, peer: str | None, node_id: str) -> None:
        """Write down where the daemon is reached."""
        told = json.dumps({"pid": os.getpid(), "http": http, "peer": peer, "node_id": node_id})
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, told.encode(), 0)

    def release(self) -> None:
        """Let go; what was told is no longer true."""
        os.ftruncate(self._file, 0)
        os.close(self._file)


def running_daemon(home: Home) -> dict[str, str] | None:
    """What the daemon of this folder told of itself; None if none runs."""
    try:
        told = json.loads(home.lock.read_text() or "null")
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _write_secret(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read_secret(path: Path, way_out: str) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text().strip()
    except FileNotFoundError as error:
        raise HomeError(f"{path} is missing: {way_out}") from error
    except OSError as error:
        raise HomeError(f"{path} cannot be read: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise HomeError(f"{path} can be read by others: run `chmod 600 {path}`")
    return text
