"""RecurrenceManager on SQL databases."""

from __future__ import annotations

from lnrecur.adapters.store.errors import (
    ImpossibleRow,
    MigrationFailed,
    NotAStore,
    StoreDamaged,
    UnknownEncoding,
    UnreadableRow,
    WrongSchemaVersion,
)
from lnrecur.adapters.store.manager import SqlRecurrenceManager
from lnrecur.adapters.store.opening import open_postgresql_manager, open_sqlite_manager

__all__ = [
    "SqlRecurrenceManager",
    "open_postgresql_manager",
    "open_sqlite_manager",
    "ImpossibleRow",
    "MigrationFailed",
    "NotAStore",
    "StoreDamaged",
    "UnknownEncoding",
    "UnreadableRow",
    "WrongSchemaVersion",
]
