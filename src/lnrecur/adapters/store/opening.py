"""Opening the store's database."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, MetaData

from lnrecur.adapters.postgresql import open_postgresql
from lnrecur.adapters.sqlite import BUSY_TIMEOUT_MS, open_sqlite
from lnrecur.adapters.store.errors import store_errors
from lnrecur.adapters.store.manager import SqlRecurrenceManager
from lnrecur.adapters.store.versions import CONNECTION_NAME, bring_up_to_date, found_version
from lnrecur.adapters.transactions import reading


def open_sqlite_manager(path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> SqlRecurrenceManager:
    """Open the store in a SQLite file, creating it (readable by its owner only) or migrating it where needed.

    Give it back with `close`. In a file that is refused no table is touched.

    Raises:
        StoreUnavailable: the file cannot be opened, or is locked for longer than `busy_timeout_ms`.
        WrongSchemaVersion: a newer lnrecur wrote it.
        MigrationFailed: an older one did, and its tables could not be brought to our version.
        NotAStore: it is another program's database.
        StoreDamaged: it is no database.
    """
    with store_errors():
        return _on(open_sqlite(path, metadata=MetaData(), busy_timeout_ms=busy_timeout_ms))


def open_postgresql_manager(url: str) -> SqlRecurrenceManager:
    """Open the store in a PostgreSQL database, creating or migrating its tables where needed.

    Give it back with `close`. In a database that is refused no table is touched.

    Raises:
        UsageError: `url` is no address of one, or psycopg is not installed.
        StoreUnavailable: the server does not answer, or does not let us in.
        WrongSchemaVersion: a newer lnrecur wrote it.
        MigrationFailed: an older one did, and its tables could not be brought to our version, or are in use.
        NotAStore: it is another program's database.
    """
    with store_errors():
        return _on(open_postgresql(url, name=CONNECTION_NAME))


def postgresql_version(url: str) -> int | None:
    """The version of the tables in a PostgreSQL database, or None if there are none; nothing is made or changed.

    Raises:
        UsageError: `url` is no address of one, or psycopg is not installed.
        StoreUnavailable: the server does not answer, or does not let us in.
        NotAStore: it is another program's database.
    """
    with store_errors():
        engine = open_postgresql(url, name=CONNECTION_NAME)
        try:
            with reading(engine) as db:
                return found_version(db)
        finally:
            engine.dispose()


def _on(engine: Engine) -> SqlRecurrenceManager:
    try:
        bring_up_to_date(engine)
    except BaseException:
        engine.dispose()
        raise
    return SqlRecurrenceManager(engine)
