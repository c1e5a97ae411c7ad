"""What can be wrong with a database beyond what every store may say, and how the database's own errors are told.

SQLAlchemy's errors stand behind ours as their cause. Their texts would quote the values of a statement, preimages among
them; the engine is opened with `hide_parameters` so that they do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, InterfaceError, OperationalError, TimeoutError

from lnrecur.errors import Fault
from lnrecur.ports import StoreError, StoreUnavailable

_SQLITE_DUPLICATES: Final = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})
_POSTGRESQL_UNIQUE_VIOLATION: Final = "23505"
_POSTGRESQL_FOR_NOW: Final = frozenset({"25006", "25P03", "25P04", "3D000", "42501"})
"""Read-only, stalled, no such database, no right: beside what psycopg calls operational. All are mended outside."""

_WAYS_OUT: Final = {
    "SQLITE_FULL": "make room on the disk",
    "SQLITE_READONLY": "make the file and its folder writable",
    "SQLITE_IOERR": "see whether the disk is full, read-only or broken",
    "SQLITE_CANTOPEN": "see that its folder is there and writable",
    "SQLITE_BUSY": "another program holds the file",
    "25006": "it is a standby or was set so; `database` has to name one that can be written",
    "53100": "make room on the server's disk",
    "53300": "raise the server's max_connections",
    "55P03": "somebody holds a lock for long: see pg_stat_activity",
    "57014": "the server is too slow: see its load and pg_stat_activity",
}
"""What to do, by the beginning of SQLite's name of an error, or by PostgreSQL's code."""


class WrongSchemaVersion(StoreError):
    """The database was written by a newer lnrecur, and this one must not touch it."""

    def __init__(self, found: int, known: int) -> None:
        told = f"the database has schema version {found}, this lnrecur knows version {known}"
        super().__init__(f"{told}: start the newer lnrecur that wrote it")
        self.found = found
        self.known = known

    def details(self) -> dict[str, str | int]:
        """Both versions."""
        return {"found": self.found, "known": self.known}


class MigrationFailed(StoreError):
    """The tables could not be brought to our version; they are as they were."""


class NotAStore(StoreError):
    """The file is a database of something else. None of its tables was touched."""

    fault: ClassVar[Fault] = Fault.CALLER


class StoreDamaged(StoreError):
    """The file is no database, or is broken."""


class UnreadableRow(StoreError):
    """A stored value is not what lnrecur writes."""


class UnknownEncoding(UnreadableRow):
    """A stored value is encoded in a version that this lnrecur does not know."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(f"a stored value has encoding version {found}, this lnrecur knows version {known}")
        self.found = found
        self.known = known

    def details(self) -> dict[str, str | int]:
        """Both versions."""
        return {"found": self.found, "known": self.known}


class ImpossibleRow(StoreError):
    """A constraint of the database refused what the caller wanted stored; nothing was changed."""

    fault: ClassVar[Fault] = Fault.OURS


@contextmanager
def store_errors() -> Iterator[None]:
    """Tell the database's errors in the words of the port.

    Raises:
        StoreUnavailable: locked, full, read-only, too slow or gone.
        ImpossibleRow: a constraint was broken that is not about things being there twice.
        StoreDamaged: what is stored there cannot be read as a database.
    """
    try:
        yield
    except TimeoutError as error:  # of the pool: all connections are taken by calls that wait
        raise StoreUnavailable(f"the database cannot be used now: {error}") from error
    except DBAPIError as error:
        if _is_for_now(error):
            raise StoreUnavailable(f"the database cannot be used now: {_told(error)}") from error
        if isinstance(error, IntegrityError):
            raise ImpossibleRow(f"the database refused to store this: {_told(error)}") from error
        if type(error) is not DatabaseError:  # a statement or a value of ours is wrong: a bug, to be seen as it is
            raise
        raise StoreDamaged(f"the database cannot be read: {_told(error)}") from error


def _is_for_now(error: DBAPIError) -> bool:
    """Whether the same call may succeed later, once somebody or something has mended the database."""
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return True
    return getattr(error.orig, "sqlstate", None) in _POSTGRESQL_FOR_NOW


def _told(error: DBAPIError) -> str:
    told = " ".join(str(error.orig).split()) or type(error.orig).__name__
    name = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None) or ""
    way_out = next((words for begin, words in _WAYS_OUT.items() if name.startswith(begin)), None)
    return told if way_out is None else f"{told} ({way_out})"


@contextmanager
def duplicate_means(told: StoreError) -> Iterator[None]:
    """Raise `told` where a value that may exist once exists already."""
    try:
        yield
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise told from error


def is_duplicate(error: IntegrityError) -> bool:
    """Whether it was a uniqueness constraint that refused."""
    return (
        getattr(error.orig, "sqlite_errorname", None) in _SQLITE_DUPLICATES
        or getattr(error.orig, "sqlstate", None) == _POSTGRESQL_UNIQUE_VIOLATION
    )
