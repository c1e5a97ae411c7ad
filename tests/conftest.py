"""Settings for all tests, and what a whole run shares."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from helpers.postgresql import PostgresServer, postgres_server

# A deadline per example would make a busy machine fail tests of pure functions; the blob replays a failure anywhere.
settings.register_profile("lnrecur", deadline=None, print_blob=True)
settings.load_profile("lnrecur")

# A shell without job control lets what it starts in the background ignore ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, started for the first test that asks for it."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def _store_database(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def postgres_store(postgres: PostgresServer, _store_database: str) -> str:
    """The address of a store on PostgreSQL in which there is nothing: one database, emptied for each test."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    names = [name for (name,) in postgres.sql(tables, database=_store_database)]
    if names:
        postgres.sql(f"TRUNCATE {', '.join(names)} RESTART IDENTITY", database=_store_database)
    return postgres.url(_store_database)
