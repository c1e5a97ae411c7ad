"""Transactions on either kind of database.

A transaction that writes on SQLite takes the write lock before it reads anything; see `lnrecur.adapters.sqlite`. On
PostgreSQL there is no such lock: rows are locked as they are changed (READ COMMITTED), and what must not change under a
reader is locked by the reader itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, func, select

BEGIN: Final = "lnrecur_begin"
"""The execution option that holds the statement SQLite transactions begin with; None for none."""
POSTGRESQL: Final = "postgresql"
SCHEMA_LOCK: Final = 0x6C6E7265_00000001
"""Of the database as a whole: who makes or changes the tables."""
EVENTS_LOCK: Final = 0x6C6E7265_00000002
"""Of the event log: shared by those who write into it, held alone for a moment by those who read its end."""
WORKERS_LOCK: Final = 0x6C6E7265_00000003
"""Of the seats: who joins."""


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that may write; committed at the end, undone by an exception."""
    with engine.connect().execution_options(**{BEGIN: "BEGIN IMMEDIATE"}) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that must not write. On SQLite it sees a single moment of the file."""
    with engine.connect() as connection, connection.begin():
        yield connection


def hold_alone(db: Connection, lock: int) -> None:
    """Wait until nobody else holds a lock of ours, and hold it to the end of the transaction.

    On SQLite a transaction that writes has the whole file to itself, and nothing is to be done.
    """
    if db.dialect.name == POSTGRESQL:
        db.execute(select(func.pg_advisory_xact_lock(lock)))
