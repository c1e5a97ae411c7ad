"""Where the nodes of a simulated world keep their books: a SQLite file each, opened anew at every start."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.adapters.store.claims import OWNER_KEY
from lnrecur.ports import RecurrenceManager


class BooksOnDisk:
    """All files of a world, gone with `cleanup`."""

    def __init__(self, cleanup: ExitStack) -> None:
        self._folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="lnrecur-simulate-")))
        self._cleanup = cleanup

    def of(self, name: str) -> Callable[[], RecurrenceManager]:
        """Opens a node's books; what the life before held open is given back."""
        last = self._cleanup.enter_context(ExitStack())

        def open_anew() -> RecurrenceManager:
            last.close()
            manager = open_sqlite_manager(self._file(name))
            last.callback(manager.close)
            return manager

        return open_anew

    def copy(self, name: str, twin: str) -> None:
        """The twin has the books of the first as they are now; they know no owner, since it has a name of its own."""
        with closing(sqlite3.connect(self._file(name))) as first, closing(sqlite3.connect(self._file(twin))) as second:
            first.backup(second)
            second.execute("DELETE FROM settings WHERE key = ?", (OWNER_KEY,))
            second.execute("DELETE FROM workers")
            second.commit()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.sqlite"
