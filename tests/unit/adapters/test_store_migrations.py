"""Databases of older versions come to have today's tables, whole or not at all, on both kinds of database."""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from sqlalchemy import Engine, MetaData, create_engine, inspect, text

from helpers.postgresql import PostgresServer
from lnrecur.adapters.postgresql import open_postgresql
from lnrecur.adapters.sqlite import open_sqlite
from lnrecur.adapters.store import (
    MigrationFailed,
    SqlRecurrenceManager,
    open_postgresql_manager,
    open_sqlite_manager,
)
from lnrecur.adapters.store.encoding import is_left_out
from lnrecur.adapters.store.errors import store_errors
from lnrecur.adapters.store.migrations import keeping_ids
from lnrecur.adapters.store.schema import SCHEMA_VERSION, metadata
from lnrecur.adapters.store.versions import MIGRATIONS, bring_up_to_date, revision_name
from lnrecur.adapters.transactions import writing
from lnrecur.ports import Change, Role, StoreError
from lnrecur.recurrence import inbound_model, outbound_model
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.values import UnixSeconds

VERSION_1 = Path(__file__).parent / "data" / "store-version-1.sql"
FAR = UnixSeconds(2**62)


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A database that commit 9fa191d wrote."""
    file = tmp_path / "lnrecur.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(VERSION_1.read_text())
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database."""
    engine = new_engine(request, request.param, tmp_path)
    yield engine
    engine.dispose()


def new_engine(request: pytest.FixtureRequest, kind: str, folder: Path, name: str = "a.sqlite") -> Engine:
    if kind == "sqlite":
        return open_sqlite(folder / name, metadata=MetaData())
    server: PostgresServer = request.getfixturevalue("postgres")
    return open_postgresql(server.url(server.new_database()))


def migrate_from_nothing(engine: Engine, to: int = SCHEMA_VERSION) -> None:
    """Run every revision, the first included."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(engine) as db:
        config.attributes["connection"] = db
        command.upgrade(config, revision_name(to))


def _plain(condition: str) -> str:
    """A condition as both databases write it, and however often it was rewritten."""
    condition = re.sub(r"::[a-z ]+(\[\])?", "", condition.lower())
    return re.sub(r"[\s()\"]+", " ", condition).strip()


def described(engine: Engine) -> dict[str, Any]:
    """Everything about the tables except the order of their columns."""
    found = inspect(engine)
    tables = {}
    for table in found.get_table_names():
        checks = {check["name"]: _plain(check["sqltext"]) for check in found.get_check_constraints(table)}
        indices = {
            index["name"]: (
                tuple(index["column_names"]),
                bool(index["unique"]),
                _plain(str(index.get("dialect_options", {}).get(f"{engine.dialect.name}_where", ""))),
            )
            for index in found.get_indexes(table)
        }
        tables[table] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in found.get_columns(table)
            },
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "unique": {(one["name"], *one["column_names"]) for one in found.get_unique_constraints(table)},
            "checks": checks,
            "indices": indices,
        }
    if engine.dialect.name == "sqlite":
        with engine.connect() as db:
            made = dict(db.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all())
        for table in tables:
            tables[table]["autoincrement"] = "AUTOINCREMENT" in made[table]
    return tables


# --- the tables ------------------------------------------------------------------------------------------------------


def test_the_newest_revision_is_the_version_of_the_tables() -> None:
    made = sorted(path.stem for path in (MIGRATIONS / "versions").glob("v*.py"))
    assert made == [f"v{revision_name(version)}" for version in range(1, SCHEMA_VERSION + 1)]


def test_migrations_and_metadata_make_the_same_tables(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    migrate_from_nothing(engine)
    fresh = new_engine(request, engine.dialect.name, tmp_path, "b.sqlite")
    try:
        bring_up_to_date(fresh)
        assert described(engine) == described(fresh)
        assert {*described(fresh)} == {*metadata.tables, "alembic_version"}
        assert all(
            described(fresh)[table]["checks"] for table in ("offers", "inbound", "outbound", "outbox", "payments")
        )
    finally:
        fresh.dispose()


def test_alembic_itself_sees_no_difference(engine: Engine) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    migrate_from_nothing(engine)
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


# --- a database that people have -------------------------------------------------------------------------------------


def test_everything_in_a_database_of_version_1_is_there_after_the_migration(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as old:
        count = {name: old.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("events", "payments")}
        hashes = {row[0] for row in old.execute("SELECT payment_hash FROM payments")}
        given = dict(old.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    with closing(open_sqlite_manager(old_file)) as manager:
        assert [record.label for record in manager.offers()] == ["shop 1", "shop 2"]
        assert [record.status for record in manager.offers()] == [OfferStatus.OPEN, OfferStatus.RETIRED]
        payers = manager.outbounds()
        assert len(payers) == 10
        assert {state.phase.value for state in payers} <= {phase.value for phase in outbound_model.Phase}
        full = payers[-1]
        assert (full.paid_msat, full.fees_msat, full.wake_at, full.problem) == (2**64, 11, 2**64, "no route")
        assert full.payment is not None
        assert full.payment.amount_msat == 2**63
        assert len(manager.inbounds()) == 7
        assert manager.inbounds()[-1].payer_note == "'quoted' \"twice\""
        assert len(manager.events()) == count["events"] == 24
        booked = manager.payments()
        assert {payment.booking.payment_hash for payment in booked} == hashes
        assert len(booked) == count["payments"] == 21
        assert sum(payment.booking.amount_msat for payment in booked if payment.role is Role.PAYEE) == 12 * 25_000
        assert len([payment for payment in booked if payment.booking.surplus]) == 6
        assert len(manager.due_outbox(FAR, 100)) == 5
        assert manager.receipt_cursor() == "cursor 17"
    with closing(sqlite3.connect(old_file)) as new:
        assert new.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision_name(SCHEMA_VERSION),)]
        kept = dict(new.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        assert {name: kept[name] for name in given} == given, "no id is ever given twice"


def test_subscriptions_that_were_never_watched_are_looked_at_once(old_file: Path) -> None:
    """Version 1 told no missed periods: whoever was active then is due at once."""
    with closing(open_sqlite_manager(old_file)) as manager:
        active = [state for state in manager.inbounds() if state.phase is inbound_model.Phase.ACTIVE]
        assert [(state.offer_id, state.payer_id) for state in active] == list(manager.due_inbounds(UnixSeconds(1), 10))
        assert [state.wake_at for state in active] == [0]


def test_every_state_of_version_1_goes_on(old_file: Path) -> None:
    """What was read can be stored again, in place of what was there."""
    with closing(open_sqlite_manager(old_file)) as manager:
        payers = manager.outbounds()
        for payer in payers:
            stored = manager.outbound(payer.recurrence_id)
            assert stored is not None
            manager.commit_outbound(Change(payer, stored.version, FAR))
        for payee in manager.inbounds():
            known = manager.inbound(payee.offer_id, payee.payer_id)
            assert known is not None
            manager.commit_inbound(Change(payee, known.version, FAR))
        assert manager.outbounds() == payers


def test_the_tables_of_a_migrated_database_are_those_of_a_new_one(old_file: Path, tmp_path: Path) -> None:
    open_sqlite_manager(old_file).close()
    open_sqlite_manager(tmp_path / "new.sqlite").close()
    migrated, fresh = (create_engine(f"sqlite:///{file}") for file in (old_file, tmp_path / "new.sqlite"))
    assert described(migrated) == described(fresh)
    migrated.dispose()
    fresh.dispose()


def test_several_that_open_an_old_database_at_once_all_succeed(old_file: Path) -> None:
    ready, problems = threading.Barrier(4), []

    def open_it() -> None:
        ready.wait()
        try:
            with closing(open_sqlite_manager(old_file)) as manager:
                assert len(manager.outbounds()) == 10
        except StoreError as error:
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


# --- a migration that fails ------------------------------------------------------------------------------------------

FAILING = """
from alembic import op
import sqlalchemy as sa
revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    op.create_table("half", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("DELETE FROM offers")
    with op.batch_alter_table("payments", recreate="auto") as payments:
        payments.add_column(sa.Column("half", sa.Text))
    raise RuntimeError("the lights went out")
"""


def test_a_failed_migration_leaves_everything_as_it_was_and_says_so(engine: Engine, tmp_path: Path) -> None:
    migrate_from_nothing(engine)
    migrations = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, migrations)
    names = {"revision": revision_name(SCHEMA_VERSION + 1), "before": revision_name(SCHEMA_VERSION)}
    (migrations / "versions" / "failing.py").write_text(FAILING.format(**names))
    with writing(engine) as db:
        settings = metadata.tables["settings"]
        db.execute(settings.insert().values(key="receipt_cursor", value="17"))
    before = described(engine)
    with pytest.raises(MigrationFailed, match="nothing was changed: the lights went out") as raised, store_errors():
        bring_up_to_date(engine, migrations=migrations, to=SCHEMA_VERSION + 1)
    assert not raised.value.retry
    assert described(engine) == before
    bring_up_to_date(engine)
    assert SqlRecurrenceManager(engine).receipt_cursor() == "17"


def test_ids_are_kept_when_a_table_is_copied(old_file: Path) -> None:
    engine = open_sqlite(old_file, metadata=MetaData())
    with writing(engine) as db, keeping_ids(db, "outbox"):
        db.execute(text("DELETE FROM sqlite_sequence WHERE name = 'outbox'"))
    with engine.connect() as db:
        assert db.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")).scalars().all() == [6]
    engine.dispose()


def test_tables_that_an_older_lnrecur_works_on_are_not_migrated(postgres: PostgresServer) -> None:
    url = postgres.url(postgres.new_database())
    older = open_postgresql(url, name="lnrecur schema 1")
    migrate_from_nothing(older, 1)
    with older.connect() as working:
        working.execute(text("SELECT 1"))
        with pytest.raises(MigrationFailed, match="1 connections of another version of lnrecur are open"):
            open_postgresql_manager(url)
    older.dispose()
    open_postgresql_manager(url).close()


# --- what is left out of stored texts --------------------------------------------------------------------------------

LEFT_OUT = Path(__file__).parent / "data" / "left-out-of-stored-texts.txt"


def _stored_classes() -> set[type]:
    found: set[type] = set()
    ahead: list[object] = [Inbound, Outbound, OfferPolicy]
    while ahead:
        kind = ahead.pop()
        if isinstance(kind, type) and is_dataclass(kind) and kind not in found:
            found.add(kind)
            ahead += get_type_hints(kind).values()
        ahead += get_args(kind)
    return found


def test_what_is_left_out_of_stored_texts_is_left_out_for_ever() -> None:
    """A field that is as usual is not written. Should its default change, what was stored would change.

    New fields get a line of their own; a line that is there stays as long as its field does.
    """
    lines = {
        f"{kind.__name__}.{field.name} = {field.default!r}"
        for kind in _stored_classes()
        for field in fields(kind)
        if is_left_out(kind, field.default)
    }
    promised = set(LEFT_OUT.read_text().splitlines())
    assert promised - lines == set(), "these defaults have changed"
    assert lines - promised == set(), "add these lines to the file"
