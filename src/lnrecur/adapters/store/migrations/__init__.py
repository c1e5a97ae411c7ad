"""How the tables came to be what they are: one file per version under `versions/`, each an Alembic revision.

A revision is written once and not changed after its release; it names tables and columns as they were then, and takes
nothing from `schema.py`, which goes on. Its number is the version of the tables that it makes.

SQLite can add a column to a table and little else. Everything else copies the table (`op.batch_alter_table` does); the
numbers that AUTOINCREMENT has given out are then lost unless they are kept (`keeping_ids`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text


@contextmanager
def keeping_ids(db: Connection, table: str) -> Iterator[None]:
    """Around the copying of a table: no id that was ever given is given again."""
    if db.dialect.name != "sqlite":
        yield
        return
    last = db.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table}).scalar()
    yield
    if last is not None:
        db.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table})
        kept = {"name": table, "seq": last}
        db.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), kept)
