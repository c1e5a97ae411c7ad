"""Which version a database's tables have, and how they come to have ours.

An empty database gets the tables of `schema.py` at once. Older ones are migrated at the start of the first process that
finds them, in one transaction, so that a migration that fails or is killed leaves everything as it was. Who comes at
the same moment waits for it (`SCHEMA_LOCK`) and finds the work done. A newer database is not touched.

Alembic keeps the version in its own table. Version 1, which had no migrations, kept it in the settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    func,
    inspect,
    literal_column,
    select,
    table,
    text,
)

from lnrecur.adapters.postgresql import unhurried
from lnrecur.adapters.store.errors import MigrationFailed, NotAStore, WrongSchemaVersion
from lnrecur.adapters.store.schema import SCHEMA_VERSION, metadata
from lnrecur.adapters.store.schema import settings as settings_table
from lnrecur.adapters.transactions import POSTGRESQL, SCHEMA_LOCK, hold_alone, reading, writing

_CONNECTIONS: Final = "lnrecur schema "
CONNECTION_NAME: Final = f"{_CONNECTIONS}{SCHEMA_VERSION}"
"""What a PostgreSQL server knows our connections by."""
MIGRATIONS: Final = Path(__file__).with_name("migrations")
_OLD_VERSION_KEY: Final = "schema_version"

_own = MetaData()
_version: Final = Table("alembic_version", _own, Column("version_num", String(32), primary_key=True, nullable=False))
"""As Alembic makes it."""


def revision_name(version: int) -> str:
    """A version of the tables as the revision that makes it."""
    return f"{version:04d}"


def bring_up_to_date(engine: Engine, *, migrations: Path = MIGRATIONS, to: int = SCHEMA_VERSION) -> None:
    """Create all tables in an empty database; migrate those of an older version; leave those of ours.

    Raises:
        WrongSchemaVersion: a newer lnrecur wrote them.
        NotAStore: they are somebody else's.
        MigrationFailed: nothing was changed.
    """
    with reading(engine) as db:
        if found_version(db) == to:
            return
    with writing(engine) as db, unhurried(db):
        hold_alone(db, SCHEMA_LOCK)
        found = found_version(db)
        if found is None:
            metadata.create_all(db, checkfirst=False)
            stamp(db, to)
        elif found > to:
            raise WrongSchemaVersion(found, to)
        elif found < to:
            _check_unused(db)
            _migrate(db, migrations, found, to)


def found_version(db: Connection) -> int | None:
    """The version of the tables; None for a database without any.

    Raises:
        NotAStore: they are not lnrecur's.
    """
    tables = inspect(db).get_table_names()
    if not tables:
        return None
    if _version.name in tables and settings_table.name in tables:
        found = db.execute(select(_version.c.version_num)).scalars().all()
        if len(found) == 1 and found[0].isascii() and found[0].isdecimal():
            return int(found[0])
        raise NotAStore("the database has tables, but does not say which version of lnrecur's they are")
    return _version_in_settings(db, tables)


def _version_in_settings(db: Connection, tables: list[str]) -> int:
    name = settings_table.name
    columns = {column["name"] for column in inspect(db).get_columns(name)} if name in tables else ()
    if columns != set(settings_table.c.keys()):
        raise NotAStore("the database has tables, but none of lnrecur's")
    key, value = settings_table.c.key, settings_table.c.value
    if db.execute(select(value).where(key == _OLD_VERSION_KEY)).scalar_one_or_none() != "1":
        raise NotAStore("the database has tables, but does not say which version of lnrecur's they are")
    return 1


def stamp(db: Connection, version: int) -> None:
    """Say in a database without a version that its tables are of this one."""
    _own.create_all(db, checkfirst=False)
    db.execute(_version.insert().values(version_num=revision_name(version)))


def _check_unused(db: Connection) -> None:
    """Nobody of an older version goes on working on tables that are not its own any more.

    Raises:
        MigrationFailed: somebody is connected.
    """
    if db.dialect.name != POSTGRESQL:
        return  # a daemon has its file to itself
    here = text("datname = current_database() AND pid <> pg_backend_pid()")
    name: ColumnElement[str] = literal_column("application_name", String)
    others = select(func.count()).select_from(table("pg_stat_activity")).where(here)
    others = others.where(name.like(f"{_CONNECTIONS}%"), name != CONNECTION_NAME)
    if count := db.execute(others).scalar_one():
        told = f"{count} connections of another version of lnrecur are open: stop all its processes first"
        raise MigrationFailed(f"{told}; nothing was changed")


def _migrate(db: Connection, migrations: Path, found: int, to: int) -> None:
    # Imported here: most starts migrate nothing, and Alembic takes as long to import as the rest of the store.
    from alembic import command
    from alembic.config import Config

    if not inspect(db).has_table(_version.name):
        stamp(db, found)
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = db
    try:
        command.upgrade(config, revision_name(to))
    except Exception as error:
        told = f"the tables of version {found} could not be migrated to version {to}; nothing was changed: {error}"
        raise MigrationFailed(told) from error
