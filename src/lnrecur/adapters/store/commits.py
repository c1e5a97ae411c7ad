"""What one commit writes. Every function here works inside a transaction of the caller, which an exception undoes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, func, insert, select, update

from lnrecur.adapters.store import rows
from lnrecur.adapters.store.errors import duplicate_means
from lnrecur.adapters.store.schema import RECEIPT_CURSOR_KEY, events, outbox, payments, settings
from lnrecur.ports import AlreadyPaid, Change, Conflict, OutboxEntry, Role
from lnrecur.recurrence.effects import Book, Emit, StoredEffect
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.values import UnixSeconds


def save_state(db: Connection, key: Column[Any], subject: bytes, columns: rows.Columns, version: int | None) -> None:
    """Insert a new state (version None) or update the one of this version.

    Raises:
        Conflict: it exists already, or not in this version.
    """
    table = key.table
    if version is None:
        with duplicate_means(Conflict(f"{table.name} {subject.hex()} was created by somebody else")):
            db.execute(insert(table).values({key.name: subject, "version": 1, **columns}))
        return
    based_on = update(table).where(key == subject, table.c.version == version)
    if db.execute(based_on.values(version=version + 1, **columns)).rowcount == 0:
        raise Conflict(f"{table.name} {subject.hex()} is not in version {version} any more")


def save_records(
    db: Connection, role: Role, subject: bytes, change: Change[Inbound] | Change[Outbound]
) -> Sequence[OutboxEntry]:
    """Store what a step wants done and what it tells; answers the new entries of the outbox.

    Raises:
        AlreadyPaid: a booking exists already.
    """
    _book(db, role, subject, change.bookings)
    _log(db, role, subject, change.events, change.at)
    if change.receipt_cursor is not None:
        save_setting(db, RECEIPT_CURSOR_KEY, change.receipt_cursor)
    return [_to_do(db, role, subject, effect, change.at) for effect in change.outbox]


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
            db.execute(insert(payments).values(rows.payment_columns(role, subject, booking)))


def _log(db: Connection, role: Role, subject: bytes, emitted: Sequence[Emit], at: UnixSeconds) -> None:
    if not emitted:
        return
    last = db.execute(select(func.max(events.c.sequence)).where(events.c.subject == subject)).scalar() or 0
    for sequence, event in enumerate(emitted, last + 1):
        with duplicate_means(Conflict(f"event {sequence} of {subject.hex()} was written by somebody else")):
            db.execute(insert(events).values(rows.event_columns(role, subject, event, at, sequence)))


def _to_do(db: Connection, role: Role, subject: bytes, effect: StoredEffect, at: UnixSeconds) -> OutboxEntry:
    columns = rows.outbox_columns(role, subject, effect, at)
    entry_id = db.execute(insert(outbox).values(columns).returning(outbox.c.id)).scalar_one()
    return OutboxEntry(entry_id, role, subject, effect, columns["due_at"], columns["tries"])
