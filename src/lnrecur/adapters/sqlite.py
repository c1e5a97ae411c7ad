"""Opening a SQLite file so that a power cut or a `kill -9` loses nothing that was committed.

Every file of ours is opened the same way: a write-ahead log (readers never wait for the writer), `synchronous=FULL`
(a commit is on the disk when it returns), foreign keys checked, and a patient wait for a lock held by another process.

Transactions begin here and not in the `sqlite3` module: that one starts them late, on the first write, so that two
processes which both read first and write afterwards run into each other with no way to wait. A transaction that
writes takes the write lock before it reads anything (`writing`, BEGIN IMMEDIATE); what it read is then still true
when it writes. A transaction that only reads sees one moment of the file from its first statement on (`reading`).
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError

from lnrecur.adapters.transactions import BEGIN, writing

BUSY_TIMEOUT_MS: Final = 10_000
"""How long a statement waits for another process's lock before it fails."""

_OWNER_ONLY: Final = 0o600
_DISK_TROUBLE: Final = ("SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CANTOPEN")
_RETRY_SECONDS: Final = 0.01


def open_sqlite(path: str | os.PathLike[str], *, metadata: MetaData, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    """Open a database file, creating it (readable by its owner only) and the missing tables of `metadata`.

    Tables that exist are left as they are. Give the engine back with `engine.dispose()`.

    Raises:
        sqlalchemy.exc.OperationalError: it cannot be opened, or is locked for longer than `busy_timeout_ms`.
        sqlalchemy.exc.DatabaseError: it is no database.
    """
    file = Path(path)
    # The texts of its errors must not quote the values of a statement: there are preimages among them.
    engine = create_engine(URL.create("sqlite", database=str(file)), hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `_begin` below does
        cursor = connection.cursor()
        try:
            cursor.execute(f"PRAGMA busy_timeout = {busy_timeout_ms:d}")
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")
        finally:
            cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get(BEGIN, "BEGIN")
        if statement is not None:
            connection.exec_driver_sql(statement)

    event.listen(engine, "handle_error", _open_anew_after_disk_trouble)
    try:
        _create_for_owner_only(file)
        _keep_a_write_ahead_log(engine, busy_timeout_ms)
        with writing(engine) as connection:
            metadata.create_all(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _open_anew_after_disk_trouble(context: ExceptionContext) -> None:
    """What was opened while the disk was read-only or failing stays so; the next call opens the file again."""
    name = getattr(context.original_exception, "sqlite_errorname", None) or ""
    if name.startswith(_DISK_TROUBLE):
        context.is_disconnect = True


def _create_for_owner_only(file: Path) -> None:
    """Create the file with narrow rights before SQLite does it with the process's default ones.

    The write-ahead log and its index inherit them. A folder that is not there is left for SQLite to complain about.
    """
    if file.parent.is_dir() and not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, _OWNER_ONLY))


def _keep_a_write_ahead_log(engine: Engine, busy_timeout_ms: int) -> None:
    """Switch the file to WAL, which it stays in.

    SQLite does not wait when two processes switch a new file at the same moment (it fears a deadlock), so we do.
    """
    deadline = time.monotonic() + busy_timeout_ms / 1000
    while True:
        try:
            with engine.connect().execution_options(**{BEGIN: None}) as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            return
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)
