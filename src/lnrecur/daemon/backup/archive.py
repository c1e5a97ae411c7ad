"""What is in a backup, making one and restoring one.

A backup is a gzipped tar inside a `sealed_file`: the manifest, the seed, the token, the settings, the kept peers, and
the store as one SQLite file, whatever database it came from. It is taken while the daemon runs, as of one moment.

A restore writes all of it into a folder that has no identity yet, next to where it belongs, and checks it before the
first file gets its name. The seed comes last: a folder without one is no daemon's.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from lnrecur import __version__
from lnrecur.adapters.store.copying import check_copy, copy_postgresql, copy_sqlite, fill_postgresql
from lnrecur.crypto.passphrases import Scrypt
from lnrecur.daemon.backup.sealed_file import SALT_SIZE, BackupError, BadBackup, SealedReader, SealingWriter
from lnrecur.daemon.config import Home, Settings, load_settings
from lnrecur.daemon.files import read_seed, read_token
from lnrecur.errors import UsageError
from lnrecur.service.keyring import Keyring

MANIFEST: Final = "manifest.json"
STORE: Final = "store.sqlite"
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Summary:
    """What is told of a backup."""

    node_id: str
    made_at: str
    """RFC 3339, UTC."""
    version: str
    """Of lnrecur."""
    size: int
    """Bytes of the file."""


def files_of(home: Home) -> dict[str, Path]:
    """The names in the archive, and where each belongs."""
    return {
        "config.toml": home.config,
        "http-token": home.token,
        "peers.json": home.peers,
        STORE: home.database,
        "seed": home.seed,
    }


def make_backup(
    home: Home, settings: Settings, target: Path, passphrase: str, made_at: str, *, kdf: Scrypt | None = None
) -> Summary:
    """Write a backup to a new file, readable by its owner only, and read it again to be sure.

    Raises:
        UsageError: there is something at `target` already.
        HomeError: there is no identity here.
        StoreError: the database cannot be read.
        BackupError: the file cannot be written.
    """
    node_id = Keyring.derive(read_seed(home)).node_id.hex()
    read_token(home)
    if target.exists():
        raise UsageError(f"{target} exists already, and a backup overwrites nothing", field="file")
    manifest = {"node_id": node_id, "made_at": made_at, "version": __version__}
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=home.data_dir) as folder:
            copy = Path(folder) / STORE
            copy.touch(_OWNER_ONLY)
            if settings.database:
                copy_postgresql(settings.database, copy)
            elif home.database.exists():
                copy_sqlite(home.database, copy)
            with open(draft, "xb", opener=_for_owner_only) as file:
                _write(file, home, copy, manifest, passphrase, kdf or Scrypt())
                file.flush()
                os.fsync(file.fileno())
        summary = look_into(draft, passphrase)
        os.link(draft, target)
    except OSError as error:
        raise BackupError(f"{error.filename or target} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # where nothing can be deleted, nothing was written
            draft.unlink(missing_ok=True)
    return summary


def _write(file: IO[bytes], home: Home, copy: Path, manifest: dict[str, str], passphrase: str, kdf: Scrypt) -> None:
    told = {"made_at": manifest["made_at"], "version": manifest["version"]}
    sealed = SealingWriter(file, passphrase, secrets.token_bytes(SALT_SIZE), told, kdf)
    with (
        gzip.GzipFile(fileobj=cast("IO[bytes]", sealed), mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        _add(tar, MANIFEST, json.dumps(manifest).encode())
        for name, path in files_of(home).items():
            source = copy if name == STORE else path
            if source.exists() and (name != STORE or source.stat().st_size):
                tar.add(source, name, recursive=False, filter=_nobodys)
    sealed.finish()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the names and numbers of this machine's users."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def look_into(file: Path, passphrase: str) -> Summary:
    """Read a backup to its end, which proves that it is whole.

    Raises:
        BadBackup: it is broken, or the passphrase is another.
        BackupError: the file cannot be read.
    """
    return _each_entry(file, passphrase, lambda _name, _stream: None)


def restore_backup(home: Home, file: Path, passphrase: str) -> Summary:
    """Restore into a home that has no identity. Settings that are there already hold, those of the backup otherwise.

    Raises:
        UsageError: there is an identity, or a database, here already; nothing was changed.
        BadBackup: it is broken, or the passphrase is another; nothing was changed.
        StoreError: the database cannot be restored; there is no identity here yet.
        BackupError: a file cannot be read or written.
    """
    for path in (home.seed, home.database):
        if path.exists():
            raise UsageError(f"{path} exists already: restore into an empty folder", field="home")
    try:
        for folder in (home.config_dir, home.data_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=home.data_dir) as temporary:
            drafts = Path(temporary)

            def keep(name: str, stream: IO[bytes]) -> None:
                try:
                    with open(drafts / name, "xb", opener=_for_owner_only) as draft:
                        shutil.copyfileobj(stream, draft)
                except OSError as error:  # told here: outside, it would be the backup that cannot be read
                    told = f"{name} cannot be written into {home.data_dir}: {error.strerror or error}"
                    raise BackupError(told) from error

            summary = _each_entry(file, passphrase, keep)
            _settle(home, drafts, summary)
    except OSError as error:
        raise BackupError(f"{error.filename or home.data_dir}: {error.strerror or error}") from error
    return summary


def _settle(home: Home, drafts: Path, summary: Summary) -> None:
    """Check what was unpacked, and give every file its name."""
    for name in ("seed", "http-token"):
        if not (drafts / name).exists():
            raise BadBackup(f"the backup is broken: there is no {name} in it")
    seed = (drafts / "seed").read_text(encoding="ascii", errors="replace").strip()
    try:
        node_id = Keyring.derive(bytes.fromhex(seed)).node_id.hex()
    except ValueError as error:
        raise BadBackup("the backup is broken: its seed is none") from error
    if node_id != summary.node_id:
        raise BadBackup("the backup is broken: its seed is another node's")
    settings = load_settings(home if home.config.exists() else Home(drafts, home.data_dir))
    store = drafts / STORE
    if store.exists():
        check_copy(store)
        if settings.database:
            fill_postgresql(settings.database, store)
            store.unlink()
    for name, path in files_of(home).items():
        draft = drafts / name
        if draft.exists() and not (name == "config.toml" and path.exists()):
            os.replace(draft, path)


def _each_entry(file: Path, passphrase: str, take: Callable[[str, IO[bytes]], None]) -> Summary:
    """Go through a backup to its end; answers what its manifest says."""
    manifest: dict[str, Any] | None = None
    known = {MANIFEST, STORE, "seed", "http-token", "config.toml", "peers.json"}
    try:
        with file.open("rb") as opened:
            sealed = SealedReader(opened, passphrase)
            with (
                gzip.GzipFile(fileobj=cast("IO[bytes]", sealed), mode="rb") as packed,
                tarfile.open(fileobj=packed, mode="r|") as tar,
            ):
                for entry in tar:
                    stream = tar.extractfile(entry)
                    if entry.name not in known or stream is None:
                        raise BadBackup(f"the backup is broken: {entry.name!r} does not belong in it")
                    known.discard(entry.name)
                    if entry.name == MANIFEST:
                        manifest = json.loads(stream.read())
                    else:
                        take(entry.name, stream)
                while packed.read(1 << 20):
                    pass
            while sealed.read(1 << 20):
                pass
        if manifest is None:
            raise BadBackup("the backup is broken: it does not say what it is")
        return Summary(manifest["node_id"], manifest["made_at"], manifest["version"], file.stat().st_size)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, KeyError, ValueError) as error:
        raise BadBackup(f"the backup is broken: {error}") from error
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror or error}") from error


def _for_owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, _OWNER_ONLY)
