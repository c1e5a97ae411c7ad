"""The contract of `lnrecur.ports.RecurrenceManager`, kept by every one we ship."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

pytest.register_assert_rewrite("recurrence_manager", "workers")

from recurrence_manager import RecurrenceManagerContract, SharedStoreContract  # noqa: E402
from workers import SharedWorkersContract, WorkersContract  # noqa: E402

from lnrecur.adapters.store import SqlRecurrenceManager, open_postgresql_manager, open_sqlite_manager  # noqa: E402
from lnrecur.ports import RecurrenceManager  # noqa: E402
from lnrecur.testing.memory_store import MemoryRecurrenceManager  # noqa: E402


class TestMemoryRecurrenceManager(RecurrenceManagerContract, WorkersContract):
    @pytest.fixture
    def manager(self) -> RecurrenceManager:
        return MemoryRecurrenceManager()


class TestSqliteRecurrenceManager(SharedStoreContract, SharedWorkersContract):
    """Each manager has an engine of its own on the file, as daemons have."""

    @pytest.fixture
    def open_manager(self, tmp_path: Path) -> Iterator[Callable[[], RecurrenceManager]]:
        with ExitStack() as stack:

            def open_manager() -> SqlRecurrenceManager:
                return stack.enter_context(closing(open_sqlite_manager(tmp_path / "lnrecur.sqlite")))

            yield open_manager


class TestPostgresqlRecurrenceManager(SharedStoreContract, SharedWorkersContract):
    """The same on a real server."""

    @pytest.fixture
    def open_manager(self, postgres_store: str) -> Iterator[Callable[[], RecurrenceManager]]:
        with ExitStack() as stack:

            def open_manager() -> SqlRecurrenceManager:
                return stack.enter_context(closing(open_postgresql_manager(postgres_store)))

            yield open_manager
