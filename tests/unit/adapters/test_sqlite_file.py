from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, Table, insert, select, text, update
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from lnrecur.adapters.sqlite import open_sqlite
from lnrecur.adapters.transactions import reading, writing

METADATA = MetaData()
PARENTS = Table("parents", METADATA, Column("id", Integer, primary_key=True), Column("count", Integer, default=0))
CHILDREN = Table("children", METADATA, Column("parent", Integer, ForeignKey(PARENTS.c.id)))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_sqlite(tmp_path / "file.sqlite", metadata=METADATA)
    yield engine
    engine.dispose()


def test_a_file_is_opened_durable_and_with_foreign_keys(engine: Engine) -> None:
    with reading(engine) as db:
        settings = {
            name: db.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    with pytest.raises(IntegrityError), writing(engine) as db:
        db.execute(insert(CHILDREN).values(parent=7))


def test_a_new_file_belongs_to_its_owner_only(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as db:
        db.execute(insert(PARENTS).values(id=1))
        for name in ("file.sqlite", "file.sqlite-wal"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_opening_again_keeps_what_is_there(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as db:
        db.execute(insert(PARENTS).values(id=1))
    again = open_sqlite(tmp_path / "file.sqlite", metadata=METADATA)
    with reading(again) as db:
        assert db.execute(select(PARENTS.c.id)).scalars().all() == [1]
    again.dispose()


def test_an_exception_undoes_a_transaction_with_its_tables(engine: Engine) -> None:
    def create_insert_and_fail() -> None:
        with writing(engine) as db:
            db.execute(text("CREATE TABLE temporary_idea (id INTEGER)"))
            db.execute(insert(PARENTS).values(id=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        create_insert_and_fail()
    with reading(engine) as db:
        assert db.execute(select(PARENTS)).all() == []
        assert db.execute(text("SELECT name FROM sqlite_master WHERE name = 'temporary_idea'")).all() == []


def test_a_writer_holds_the_lock_before_it_reads(engine: Engine, tmp_path: Path) -> None:
    with (
        writing(engine),
        closing(sqlite3.connect(tmp_path / "file.sqlite", timeout=0, isolation_level=None)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


def test_a_reader_sees_one_moment_and_waits_for_no_writer(engine: Engine) -> None:
    with writing(engine) as db:
        db.execute(insert(PARENTS).values(id=1))
    with reading(engine) as reader:
        assert reader.execute(select(PARENTS.c.id)).scalars().all() == [1]
        with writing(engine) as writer:
            writer.execute(insert(PARENTS).values(id=2))
        assert reader.execute(select(PARENTS.c.id)).scalars().all() == [1]
    with reading(engine) as reader:
        assert reader.execute(select(PARENTS.c.id)).scalars().all() == [1, 2]


def test_two_writers_that_read_first_lose_no_update(engine: Engine) -> None:
    with writing(engine) as db:
        db.execute(insert(PARENTS).values(id=1, count=0))

    def add() -> None:
        for _ in range(50):
            with writing(engine) as db:
                count = db.execute(select(PARENTS.c.count)).scalar_one()
                db.execute(update(PARENTS).values(count=count + 1))

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as db:
        assert db.execute(select(PARENTS.c.count)).scalar_one() == 100


def test_a_file_that_another_process_is_just_creating_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(0.1, other.execute, ["ROLLBACK"])
        release.start()
        engine = open_sqlite(path, metadata=METADATA)
        release.join()
    with reading(engine) as db:
        assert db.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
    engine.dispose()


def test_a_lock_that_lasts_is_an_operational_error(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    engine = open_sqlite(path, metadata=METADATA, busy_timeout_ms=10)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"), writing(engine):
            pass
    engine.dispose()


@pytest.mark.parametrize("content", [None, b"no database" * 500], ids=["no folder", "no database"])
def test_what_cannot_be_opened_says_so(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "folder" / "file.sqlite"
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
    with pytest.raises(DatabaseError):
        open_sqlite(path, metadata=METADATA)
