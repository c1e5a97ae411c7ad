"""A store as one SQLite file, taken while others work on it, and put into an empty store again.

The tables are the same on both kinds of database, so a copy taken from one can be put into the other. Who works on the
store, and what they have claimed, is left out: whoever opens the copy begins anew.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, MetaData, Table, func, insert, select, text, update

from lnrecur.adapters.postgresql import open_postgresql
from lnrecur.adapters.sqlite import open_sqlite
from lnrecur.adapters.store.errors import NotAStore, store_errors
from lnrecur.adapters.store.schema import SCHEMA_VERSION, metadata, workers
from lnrecur.adapters.store.versions import CONNECTION_NAME, bring_up_to_date, found_version
from lnrecur.adapters.transactions import POSTGRESQL, writing

_ROWS: Final = 1000
_COPIED: Final = [table for table in metadata.sorted_tables if table is not workers]


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a store's file as it is at one moment, into a new file; writers go on meanwhile.

    Raises:
        StoreUnavailable: it cannot be read, or the copy cannot be written.
        NotAStore: it is none.
    """
    with store_errors():
        engine = open_sqlite(source, metadata=MetaData())
        try:
            with engine.connect() as db, closing(sqlite3.connect(target)) as copy:
                raw: Any = db.connection.driver_connection
                raw.backup(copy)
                # SQLAlchemy's errors are what `store_errors` tells; the driver's own come out as they are.
        finally:
            engine.dispose()
        _forget_workers(target)


def copy_postgresql(url: str, target: Path) -> None:
    """Copy a store as it is at one moment, into a new SQLite file; writers go on meanwhile.

    Raises:
        StoreUnavailable: it cannot be read, or the copy cannot be written.
        NotAStore: it is none, or not of this version.
    """
    with store_errors():
        source = open_postgresql(url, name=CONNECTION_NAME)
        copy = open_sqlite(target, metadata=MetaData())
        try:
            bring_up_to_date(copy)
            with source.connect().execution_options(isolation_level="REPEATABLE READ") as read, writing(copy) as write:
                _check_version(read)
                for table in _COPIED:
                    _copy_rows(read, write, table)
        finally:
            source.dispose()
            copy.dispose()
        _forget_workers(target)


def fill_postgresql(url: str, source: Path) -> None:
    """Put a copy into an empty PostgreSQL store, in one transaction.

    Raises:
        StoreUnavailable: the server does not answer.
        NotAStore: there is something in it already; nothing was changed.
    """
    with store_errors():
        copy = open_sqlite(source, metadata=MetaData())
        target = open_postgresql(url, name=CONNECTION_NAME)
        try:
            bring_up_to_date(copy)
            bring_up_to_date(target)
            with copy.connect() as read, writing(target) as write:
                for table in metadata.sorted_tables:
                    if write.execute(select(func.count()).select_from(table)).scalar_one():
                        raise NotAStore(f"the database is not empty: there are {table.name} in it")
                for table in _COPIED:
                    _copy_rows(read, write, table)
                    _go_on_counting(write, table)
        finally:
            copy.dispose()
            target.dispose()


def check_copy(copy: Path) -> None:
    """Migrate a copy to our version, and make sure that it can be read.

    Raises:
        StoreError: it cannot.
    """
    with store_errors():
        engine = open_sqlite(copy, metadata=MetaData())
        try:
            bring_up_to_date(engine)
            with engine.connect() as db:
                found = db.exec_driver_sql("PRAGMA integrity_check").scalar_one()
            if found != "ok":
                raise NotAStore(f"the copy of the database is broken: {found}")
        finally:
            engine.dispose()


def _check_version(db: Connection) -> None:
    found = found_version(db)
    if found != SCHEMA_VERSION:
        told = "is empty" if found is None else f"has schema version {found}, not {SCHEMA_VERSION}"
        raise NotAStore(f"the database {told}: start this lnrecur on it first")


def _copy_rows(read: Connection, write: Connection, table: Table) -> None:
    """All rows in the order of their key, some at a time."""
    [key] = table.primary_key.columns
    rows = select(table).order_by(key).limit(_ROWS)
    found = read.execute(rows).mappings().all()
    while found:
        write.execute(insert(table), [dict(row) for row in found])
        found = read.execute(rows.where(key > found[-1][key.name])).mappings().all()


def _go_on_counting(db: Connection, table: Table) -> None:
    """PostgreSQL's next id of a table is one that was never given."""
    if db.dialect.name != POSTGRESQL or "id" not in table.c:
        return
    sequence = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), coalesce(:last, 0) + 1, false)")
    last = db.execute(select(func.max(table.c.id))).scalar()
    db.execute(sequence, {"name": table.name, "last": last})


def _forget_workers(file: Path) -> None:
    engine: Engine = open_sqlite(file, metadata=MetaData())
    try:
        with writing(engine) as db:
            found = found_version(db)
            if found != SCHEMA_VERSION:
                return  # a file that was never migrated has no workers
            db.execute(workers.delete())
            for table in metadata.sorted_tables:
                if "claimed_by" in table.c:
                    db.execute(update(table).where(table.c.claimed_by.is_not(None)).values(claimed_by=None))
    finally:
        engine.dispose()
