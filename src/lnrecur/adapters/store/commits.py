"""What one commit writes. Every function here works inside a transaction of the caller, which an exception undoes.

The statements are made once: SQLAlchemy takes longer to put one together than SQLite does to run it (bench/store.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Connection, Insert, Update, bindparam, func, insert, select, update

from lnrecur.adapters.store import rows
from lnrecur.adapters.store.errors import duplicate_means
from lnrecur.adapters.store.schema import (
    RECEIPT_CURSOR_KEY,
    events,
    inbound,
    orders,
    outbound,
    outbox,
    payments,
    settings,
)
from lnrecur.adapters.transactions import EVENTS_LOCK, POSTGRESQL
from lnrecur.ports import AlreadyPaid, Change, Conflict, OrderKey, OutboxEntry, Role
from lnrecur.recurrence.effects import Book, Emit, StoredEffect
from lnrecur.recurrence.event_objects import Objects, subscription_objects
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.values import UnixSeconds


class _StateTable:
    """A table of states, and what is said to it."""

    def __init__(self, key: Column[Any]) -> None:
        self.name = key.table.name
        self.key = key.name
        self.insert: Insert = insert(key.table)
        based_on = (key == bindparam("based_on_subject")) & (key.table.c.version == bindparam("based_on_version"))
        self.update: Update = update(key.table).where(based_on)


INBOUND: Final = _StateTable(inbound.c.subject)
OUTBOUND: Final = _StateTable(outbound.c.recurrence_id)

_BOOK: Final = insert(payments)
_LAST_SEQUENCE: Final = select(func.max(events.c.sequence)).where(events.c.subject == bindparam("of_subject"))
# The lock comes first: who reads the log waits for everybody who may have taken an id and not committed yet.
_SHARED_LAST_SEQUENCE: Final = select(
    select(func.max(events.c.sequence)).where(events.c.subject == bindparam("of_subject")).scalar_subquery(),
    func.pg_advisory_xact_lock_shared(EVENTS_LOCK),
)
_LOG: Final = insert(events)
_TO_DO: Final = insert(outbox).returning(outbox.c.id)


def save_state(db: Connection, table: _StateTable, subject: bytes, columns: rows.Columns, version: int | None) -> None:
    """Insert a new state (version None) or update the one of this version; nobody has a claim on it then.

    Raises:
        Conflict: it exists already, or not in this version.
    """
    if version is None:
        with duplicate_means(Conflict(f"{table.name} {subject.hex()} was created by somebody else")):
            db.execute(table.insert, {table.key: subject, "version": 1, "claimed_by": None, **columns})
        return
    based_on = {"based_on_subject": subject, "based_on_version": version}
    if db.execute(table.update, {"version": version + 1, "claimed_by": None, **columns, **based_on}).rowcount == 0:
        raise Conflict(f"{table.name} {subject.hex()} is not in version {version} any more")


def save_order(db: Connection, order: OrderKey, subject: bytes) -> None:
    """Keep what was made for the key of an order.

    Raises:
        Conflict: somebody else has used the key.
    """
    with duplicate_means(Conflict("this order was given already")):
        db.execute(insert(orders).values(key=order.key, digest=order.digest, recurrence_id=subject))


def save_records(
    db: Connection, role: Role, subject: bytes, change: Change[Inbound] | Change[Outbound]
) -> Sequence[OutboxEntry]:
    """Store what a step wants done and what it tells; answers the new entries of the outbox.

    Raises:
        AlreadyPaid: a booking exists already.
    """
    _book(db, role, subject, change.bookings)
    if change.receipt_cursor is not None:
        save_setting(db, RECEIPT_CURSOR_KEY, change.receipt_cursor)
    save_events(db, role, subject, change.events, change.at, subscription_objects(subject, change.state))
    return [_to_do(db, role, subject, effect, change.at) for effect in change.outbox]


def save_events(
    db: Connection, role: Role | None, subject: bytes, emitted: Sequence[Emit], at: UnixSeconds, about: Objects
) -> None:
    """Write events at the end of their subject's log; `about` says what each of them is about.

    Raises:
        Conflict: somebody else wrote there just now.
    """
    if not emitted:
        return
    statement = _SHARED_LAST_SEQUENCE if db.dialect.name == POSTGRESQL else _LAST_SEQUENCE
    last = db.execute(statement, {"of_subject": subject}).scalar() or 0
    for sequence, event in enumerate(emitted, last + 1):
        with duplicate_means(Conflict(f"event {sequence} of {subject.hex()} was written by somebody else")):
            db.execute(_LOG, rows.event_columns(role, subject, event, at, sequence, about(event)))


def save_setting(db: Connection, key: str, value: str) -> None:
    """Store a setting in place of what it was.

    Raises:
        Conflict: somebody else stored it for the first time just now.
    """
    if db.execute(update(settings).where(settings.c.key == key).values(value=value)).rowcount == 0:
        with duplicate_means(Conflict(f"the setting {key} was stored by somebody else")):
            db.execute(insert(settings).values(key=key, value=value))


def _book(db: Connection, role: Role, subject: bytes, bookings: Sequence[Book]) -> None:
    for booking in bookings:
        told = f"counter {booking.counter} of {subject.hex()} or payment {booking.payment_hash.hex()} is booked already"
        with duplicate_means(AlreadyPaid(told)):
            db.execute(_BOOK, rows.payment_columns(role, subject, booking))


def _to_do(db: Connection, role: Role, subject: bytes, effect: StoredEffect, at: UnixSeconds) -> OutboxEntry:
    columns = rows.outbox_columns(role, subject, effect, at)
    entry_id = db.execute(_TO_DO, columns).scalar_one()
    return OutboxEntry(entry_id, role, subject, effect, columns["due_at"], columns["tries"])
