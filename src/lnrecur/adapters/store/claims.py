"""Workers and what they have claimed, as statements. Every function works inside a transaction of the caller.

A claim is the worker's number in the row. It counts as long as that worker is in the table `workers`, so that expelling
one frees all it had claimed in one stroke, whatever that is.

On PostgreSQL due rows are taken with FOR UPDATE SKIP LOCKED: workers that look at the same moment get different ones
and wait for nobody. On SQLite a transaction that claims has the whole file to itself.

A write of a worker holds a shared lock on the worker's own row to the end of its transaction. So a worker cannot be
expelled in the middle of a write, and cannot write once it is expelled. If it stalls in the middle, the server ends the
transaction (`lnrecur.adapters.postgresql`), and who wants to expel it passes it over until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from lnrecur.adapters.store.encoding import EFFECT_KINDS
from lnrecur.adapters.store.schema import clamp, inbound, outbound, outbox, settings, workers
from lnrecur.adapters.transactions import POSTGRESQL, WORKERS_LOCK, hold_alone
from lnrecur.ports import LeaseLost, NotOurStore, Seat, SeatTaken, Worker
from lnrecur.ports.workers import MESSAGE_EFFECTS
from lnrecur.values import UnixSeconds

OWNER_KEY: Final = "owner"
MESSAGE_CHANNEL: Final = "lnrecur_messages"
WORK_CHANNEL: Final = "lnrecur_work"

_MESSAGE_KINDS: Final = tuple(kind for kind, effect in EFFECT_KINDS.items() if effect in MESSAGE_EFFECTS)
_ALIVE: Final = select(workers.c.number)
_IS_IN: Final = select(workers.c.number).where(workers.c.number == bindparam("me"))
_IS_IN_AND_STAYS: Final = _IS_IN.with_for_update(read=True, key_share=True)


def _free(table: Table) -> ColumnElement[bool]:
    """Claimed by nobody who is still there."""
    return table.c.claimed_by.is_(None) | table.c.claimed_by.not_in(_ALIVE)


def _is_first() -> ColumnElement[bool]:
    """The earliest effect of its subscription."""
    before = outbox.alias("before")
    return ~exists().where(before.c.subject == outbox.c.subject, before.c.id < outbox.c.id)


def _for_seat(seat: Seat) -> ColumnElement[bool] | None:
    if seat.messages and seat.work:
        return None
    return outbox.c.kind.in_(_MESSAGE_KINDS) if seat.messages else outbox.c.kind.not_in(_MESSAGE_KINDS)


def _claiming(table: Table, due: Select[Any], returned: Sequence[Any]) -> Update:
    """Mark what is due with the number `me`."""
    taken = due.with_for_update(skip_locked=True, of=table).cte("due")
    return update(table).where(table.c.id == taken.c.id).values(claimed_by=bindparam("me")).returning(*returned)


def _due_subscriptions(table: Table) -> Select[Any]:
    due = select(table.c.id).where(table.c.wake_at <= bindparam("now"), _free(table))
    return due.order_by(table.c.wake_at, table.c.id).limit(bindparam("most"))


_CLAIM_OUTBOUNDS: Final = _claiming(
    outbound, _due_subscriptions(outbound), (outbound.c.wake_at, outbound.c.id, outbound.c.recurrence_id)
)
_CLAIM_INBOUNDS: Final = _claiming(
    inbound, _due_subscriptions(inbound), (inbound.c.wake_at, inbound.c.id, inbound.c.offer_id, inbound.c.payer_id)
)


def _due_effects(seat: Seat) -> Select[Any]:
    due = select(outbox.c.id).where(outbox.c.due_at <= bindparam("now"), _free(outbox), _is_first())
    mine = _for_seat(seat)
    due = due if mine is None else due.where(mine)
    # `+ 0` takes the order from the due rows: by the bare id SQLite would rather walk through the whole table.
    return due.order_by(outbox.c.id + 0).limit(bindparam("most"))


class Shift:
    """What one worker says to the database."""

    def __init__(self, seat: Seat, number: int) -> None:
        self.seat = seat
        self.number = number
        self._held: list[tuple[Table, int]] = []
        self._claim_outbox = _claiming(outbox, _due_effects(seat), tuple(outbox.c))
        self._earliest = _earliest(seat)

    def check(self, db: Connection) -> None:
        """Make sure that we are in, and stay in to the end of this transaction.

        Raises:
            LeaseLost: we were expelled.
        """
        is_in = _IS_IN_AND_STAYS if db.dialect.name == POSTGRESQL else _IS_IN
        if db.execute(is_in, {"me": self.number}).scalar() is None:
            raise LeaseLost(f"worker {self.number} was taken for dead: its work is with others")

    def beat(self, db: Connection) -> None:
        """Count up.

        Raises:
            LeaseLost: we were expelled.
        """
        counted = update(workers).where(workers.c.number == self.number).values(beats=workers.c.beats + 1)
        if db.execute(counted).rowcount == 0:
            raise LeaseLost(f"worker {self.number} was taken for dead: its work is with others")

    def outbounds(self, db: Connection, now: UnixSeconds, limit: int) -> list[Row[Any]]:
        """Claim subscriptions that we pay."""
        return self._hold(outbound, self._claim(db, _CLAIM_OUTBOUNDS, now, limit)) if self.seat.work else []

    def inbounds(self, db: Connection, now: UnixSeconds, limit: int) -> list[Row[Any]]:
        """Claim subscriptions that are paid to us."""
        return self._hold(inbound, self._claim(db, _CLAIM_INBOUNDS, now, limit)) if self.seat.messages else []

    def effects(self, db: Connection, now: UnixSeconds, limit: int) -> list[Row[Any]]:
        """Claim effects, in the order they were stored."""
        return sorted(self._claim(db, self._claim_outbox, now, limit), key=lambda row: int(row.id))

    def _claim(self, db: Connection, statement: Update, now: UnixSeconds, limit: int) -> list[Row[Any]]:
        told = {"me": self.number, "now": clamp(now), "most": limit}
        return sorted(db.execute(statement, told).all(), key=lambda row: tuple(row)[:2])

    def _hold(self, table: Table, claimed: list[Row[Any]]) -> list[Row[Any]]:
        self._held += [(table, row.id) for row in claimed]
        return claimed

    def release(self, db: Connection) -> None:
        """Give back the subscriptions that are still marked as ours. They are found by id: no index has to know."""
        for table in (outbound, inbound):
            held = [row_id for of, row_id in self._held if of is table]
            if held:
                mine = table.c.id.in_(held) & (table.c.claimed_by == self.number)
                db.execute(update(table).where(mine).values(claimed_by=None))

    def forget_held(self) -> None:
        """They were given back."""
        self._held.clear()

    @property
    def holds(self) -> bool:
        """Whether there is anything to give back."""
        return bool(self._held)

    def next_wake(self, db: Connection) -> UnixSeconds | None:
        """When something is due for us."""
        found = [db.scalar(earliest) for earliest in self._earliest]
        return min((UnixSeconds(moment) for moment in found if moment is not None), default=None)


def _earliest(seat: Seat) -> list[Select[int]]:
    """The first moment in each table, one statement each; through an index, so that only what is claimed is passed."""
    tables = [*([outbound] if seat.work else ()), *([inbound] if seat.messages else ())]
    wakes = [
        select(table.c.wake_at).where(table.c.wake_at.is_not(None), _free(table)).order_by(table.c.wake_at).limit(1)
        for table in tables
    ]
    mine = _for_seat(seat)
    due = select(outbox.c.due_at).where(_free(outbox), _is_first())
    return [*wakes, (due if mine is None else due.where(mine)).order_by(outbox.c.due_at).limit(1)]


def join(db: Connection, seat: Seat, owner: bytes, version: str) -> int:
    """See `RecurrenceManager.join`."""
    hold_alone(db, WORKERS_LOCK)
    found = db.execute(select(settings.c.value).where(settings.c.key == OWNER_KEY)).scalar_one_or_none()
    if found is None:
        db.execute(insert(settings).values(key=OWNER_KEY, value=owner.hex()))
    elif found != owner.hex():
        raise NotOurStore(f"this database belongs to node {found}; our seed is that of node {owner.hex()}")
    db.execute(delete(workers).where(workers.c.place == seat.place))
    if seat.messages:
        others = [worker for worker in everybody(db) if worker.seat.messages]
        if others:
            raise SeatTaken(others[0])
    columns = {"place": seat.place, "messages": seat.messages, "work": seat.work, "version": version, "beats": 0}
    return int(db.execute(insert(workers).values(columns).returning(workers.c.number)).scalar_one())


def remove(db: Connection, shift: Shift) -> None:
    """The worker is no more; nothing is marked as its own any longer than it takes to read this."""
    db.execute(delete(workers).where(workers.c.number == shift.number))


def everybody(db: Connection) -> list[Worker]:
    """All who have joined."""
    return [
        Worker(row.number, Seat(row.place, messages=row.messages, work=row.work), row.beats, row.version)
        for row in db.execute(select(workers).order_by(workers.c.number)).all()
    ]


def expel(db: Connection, worker: Worker) -> bool:
    """See `RecurrenceManager.expel`."""
    still = (workers.c.number == worker.number) & (workers.c.beats == worker.beats)
    dead = select(workers.c.number).where(still).with_for_update(skip_locked=True)
    return db.execute(delete(workers).where(workers.c.number.in_(dead))).rowcount > 0


def tell_others(db: Connection, shift: Shift, *, message: bool, work: bool) -> None:
    """Wake those who do what this worker does not, once this transaction is committed."""
    if db.dialect.name != POSTGRESQL:
        return
    if message and not shift.seat.messages:
        db.execute(select(func.pg_notify(MESSAGE_CHANNEL, "")))
    if work and not shift.seat.work:
        db.execute(select(func.pg_notify(WORK_CHANNEL, "")))
