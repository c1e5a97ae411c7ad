"""The daemon's own files: seed, token, lock. Secrets are created with mode 0600 and refused if others can read them.

A secret is written under another name and then linked to its own, so that it is there whole or not at all. The lock is
of the kernel and ends with the process: what a killed daemon told of itself is never taken for that of a running one.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import platformdirs

from lnrecur.daemon.config import APP, Home
from lnrecur.errors import Fault, LnrecurError, UsageError

_LOG = logging.getLogger("lnrecur.files")
SEED_SIZE: Final = 32
TOKEN_SIZE: Final = 32
_TOKEN: Final = re.compile(r"[!-~]{32,}")
"""Printable, no spaces, and long enough not to be guessed."""
_WAY_OUT: Final = "run `lnrecur init` first"
_LOCK_S: Final = 1.0
"""How long a starting daemon waits for the lock: whoever only asks whether it is held holds it for a moment."""
_LOCK_STEP_S: Final = 0.01


class HomeError(LnrecurError):
    """The daemon's folder is not as it must be; the text says what to do."""

    fault = Fault.ENVIRONMENT


class AlreadyRunning(HomeError):
    """Another daemon works in this folder."""


def create_home(home: Home, seed: bytes | None = None) -> bytes:
    """Make folders, a token, and a new seed, or put the given one there; answers the seed.

    Raises:
        UsageError: there is a seed already; nothing was changed.
        HomeError: the files cannot be made.
    """
    seed = secrets.token_bytes(SEED_SIZE) if seed is None else seed
    with _told_as_home_error(home.data_dir, "cannot be set up"):
        for folder in (home.config_dir, home.data_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _write_secret(home.seed, seed.hex())
        except FileExistsError as error:
            told = f"{home.seed} exists already: this folder has an identity, and it is not thrown away"
            raise UsageError(told) from error
        with suppress(FileExistsError):
            _write_secret(home.token, secrets.token_hex(TOKEN_SIZE))
    return seed


def read_seed(home: Home) -> bytes:
    """The seed.

    Raises:
        HomeError: missing, readable by others, or not 64 hexadecimal digits.
    """
    text = _read_secret(home.seed)
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
        HomeError: missing, readable by others, or nothing that could be a token.
    """
    token = _read_secret(home.token)
    if _TOKEN.fullmatch(token) is None:
        told = "it has at least 32 printable characters and no spaces (`openssl rand -hex 32` makes one)"
        raise HomeError(f"{home.token} does not hold a token: {told}")
    return token


class DaemonLock:
    """Held while a daemon runs, so that no second one works on the same database; tells where it listens."""

    def __init__(self, home: Home) -> None:
        """Take the lock.

        Raises:
            AlreadyRunning: somebody holds it.
            HomeError: there can be no lock file in this folder.
        """
        self._path = home.lock
        with _told_as_home_error(home.lock, "cannot be written"):
            self._file = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + _LOCK_S
        while not _lock(self._file, fcntl.LOCK_EX):
            if time.monotonic() > until:
                os.close(self._file)
                raise AlreadyRunning(f"a daemon runs in {home.data_dir} already")
            time.sleep(_LOCK_STEP_S)
        os.ftruncate(self._file, 0)

    def tell(self, *, http: str, peer: str | None, node_id: str) -> None:
        """Write down where the daemon is reached.

        Raises:
            HomeError: it cannot be written.
        """
        told = json.dumps({"pid": os.getpid(), "http": http, "peer": peer, "node_id": node_id})
        with _told_as_home_error(self._path, "cannot be written"):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, told.encode(), 0)

    def release(self) -> None:
        """Let go; what was told is no longer true."""
        os.ftruncate(self._file, 0)
        os.close(self._file)


class SeedLock:
    """Held while a daemon of a seed runs, so that a copy of its folder does not start beside it.

    Two daemons of one seed would answer for the same offers and pay the same subscriptions out of two stores. The lock
    is in the user's data folder: a second daemon of another user, or on another machine, is not seen. A user without
    such a folder goes without.
    """

    def __init__(self, node_id: bytes) -> None:
        """Take the lock.

        Raises:
            AlreadyRunning: somebody holds it.
        """
        folder = platformdirs.user_data_path(APP) / "running"
        self._file: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(folder / f"{node_id.hex()}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            _LOG.warning("no other daemon of this seed would be noticed: %s", error)
            return
        if not _lock(self._file, fcntl.LOCK_EX):
            os.close(self._file)
            told = "a daemon with this seed runs already, from another folder"
            raise AlreadyRunning(f"{told}: node {node_id.hex()}")

    def __enter__(self) -> SeedLock:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)


def running_daemon(home: Home) -> dict[str, str] | None:
    """What the daemon of this folder told of itself; None if none runs, or none that is up already."""
    try:
        file = os.open(home.lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        if _lock(file, fcntl.LOCK_SH):  # nobody holds it; closing lets go again
            return None
        told = json.loads(home.lock.read_text() or "null")
    except (OSError, ValueError):
        return None
    finally:
        os.close(file)
    return told if isinstance(told, dict) else None


def _lock(file: int, kind: int) -> bool:
    """Try to take a lock; whether it was free."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_secret(path: Path, text: str) -> None:
    """Write a file for its owner only.

    Raises:
        FileExistsError: it is there already.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()


def _read_secret(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read().strip()
    except FileNotFoundError as error:
        raise HomeError(f"{path} is missing: {_WAY_OUT}") from error
    except OSError as error:
        raise HomeError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise HomeError(f"{path} is no text") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise HomeError(f"{path} can be read by others: run `chmod 600 {path}`")
    return text


@contextmanager
def _told_as_home_error(path: Path, told: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or path
        raise HomeError(f"{place} {told}: {error.strerror or error}") from error
