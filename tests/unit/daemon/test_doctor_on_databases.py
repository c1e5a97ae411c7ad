"""What the doctor says of a PostgreSQL database, with a daemon on it and without."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.postgresql import PostgresServer
from lnrecur.adapters.store import open_postgresql_manager
from lnrecur.daemon.config import Home, Settings
from lnrecur.daemon.doctor import look_at_database, look_at_store
from lnrecur.ports import Finding, Health, Seat
from lnrecur.values import NodeId

OWNER = NodeId(b"\x02" * 33)


def looked_at(url: str, tmp_path: Path) -> Finding:
    return look_at_database(Home(tmp_path, tmp_path), replace(Settings(), database=url))


def test_a_database_is_looked_at_and_left_as_it_is(postgres: PostgresServer, tmp_path: Path) -> None:
    database = postgres.new_database()
    url = postgres.url(database)
    assert looked_at(url, tmp_path).told == "PostgreSQL, empty: the first `lnrecur run` makes the tables"
    assert postgres.sql("SELECT 1 FROM pg_tables WHERE schemaname = 'public'", database=database) == []
    open_postgresql_manager(url).close()
    assert (found := looked_at(url, tmp_path)).health is Health.GOOD
    assert "tables of version" in found.told
    postgres.sql("UPDATE alembic_version SET version_num = '9999'", database=database)
    assert "version 9999" in looked_at(url, tmp_path).told


@pytest.mark.parametrize("url", ["postgresql://lnrecur:hush@127.0.0.1:1/lnrecur", "postgresql://"])
def test_a_database_that_cannot_be_used_is_broken_and_its_password_not_told(url: str, tmp_path: Path) -> None:
    found = looked_at(url, tmp_path)
    assert found.health is Health.BROKEN
    assert "hush" not in found.told


def test_a_messaging_process_without_workers_is_told(postgres_store: str) -> None:
    with (
        closing(open_postgresql_manager(postgres_store)) as manager,
        closing(open_postgresql_manager(postgres_store)) as other,
    ):
        manager.join(Seat("mail", work=False), OWNER)
        broken = [finding for finding in look_at_store(manager) if finding.subject == "workers"]
        assert [finding.health for finding in broken] == [Health.BROKEN]
        other.join(Seat("desk", messages=False), OWNER)
        assert "workers" not in {finding.subject for finding in look_at_store(manager)}
