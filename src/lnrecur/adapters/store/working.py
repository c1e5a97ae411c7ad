"""The transactions of a manager on a SQL database, and its place among the workers of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from lnrecur.adapters.store import claims, rows
from lnrecur.adapters.store.claims import Shift
from lnrecur.adapters.store.errors import store_errors
from lnrecur.adapters.transactions import reading, writing
from lnrecur.ports import Change, LeaseLost, OutboxEntry, Seat, Worker
from lnrecur.ports.workers import MESSAGE_EFFECTS
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.values import OfferId, Point, RecurrenceId, UnixSeconds


class SqlWorkers:
    """What a `SqlRecurrenceManager` says of workers, and how it begins every transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shift: Shift | None = None

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()

    def join(self, seat: Seat, owner: bytes, version: str = "") -> int:
        """Begin to work; answers the fencing number.

        Raises:
            SeatTaken: the messages are served by another process.
            NotOurStore: it belongs to another owner.
        """
        self._shift = None
        with self._writing() as db:
            number = claims.join(db, seat, owner, version)
        self._shift = Shift(seat, number)
        return number

    def beat(self) -> Sequence[Worker]:
        """Show that we live; answers all who have joined.

        Raises:
            LeaseLost: we were expelled.
        """
        shift = self._joined()
        with store_errors(), writing(self._engine) as db:
            shift.beat(db)
            return claims.everybody(db)

    def workers(self) -> Sequence[Worker]:
        """All who have joined."""
        with self._reading() as db:
            return claims.everybody(db)

    def expel(self, worker: Worker) -> bool:
        """Take a worker for dead, unless it has shown life since; True if it is out."""
        with store_errors(), writing(self._engine) as db:
            return claims.expel(db, worker)

    def leave(self) -> None:
        """Stop working: what we had claimed is free. Harmless when we have not joined."""
        shift, self._shift = self._shift, None
        if shift is not None:
            with self._writing() as db:
                claims.remove(db, shift)

    def claim_outbounds(self, now: UnixSeconds, limit: int) -> Sequence[RecurrenceId]:
        """Claim subscriptions that we pay whose wake_at has come, longest due first."""
        with self._claiming() as (db, shift):
            found = shift.outbounds(db, now, limit)
        return [RecurrenceId(row.recurrence_id) for row in found]

    def claim_inbounds(self, now: UnixSeconds, limit: int) -> Sequence[tuple[OfferId, Point]]:
        """Claim subscriptions we are paid whose wake_at has come, longest due first."""
        with self._claiming() as (db, shift):
            found = shift.inbounds(db, now, limit)
        return [(OfferId(row.offer_id), Point(row.payer_id)) for row in found]

    def claim_outbox(self, now: UnixSeconds, limit: int) -> Sequence[OutboxEntry]:
        """Claim effects that are due and for our seat, of each subscription the earliest."""
        with self._claiming() as (db, shift):
            found = shift.effects(db, now, limit)
        return [rows.outbox_entry(row) for row in found]

    def release(self) -> None:
        """Give back the subscriptions we claimed and did not commit."""
        shift = self._joined()
        if shift.holds:
            with self._writing() as db:
                shift.release(db)
            shift.forget_held()

    def _joined(self) -> Shift:
        if self._shift is None:
            raise LeaseLost("this process has not joined the workers of this database")
        return self._shift

    def _tell_others(self, db: Connection, change: Change[Inbound] | Change[Outbound]) -> None:
        if self._shift is not None:
            message = any(isinstance(effect, MESSAGE_EFFECTS) for effect in change.outbox)
            wakes = isinstance(change.state, Outbound) and change.state.wake_at is not None
            wakes = wakes or change.begins is not None
            work = wakes or len(change.outbox) > message
            claims.tell_others(db, self._shift, message=message, work=work)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with store_errors(), reading(self._engine) as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that may write; once we have joined, only as long as we are in."""
        with store_errors(), self._fenced() as db:
            yield db

    @contextmanager
    def _fenced(self) -> Iterator[Connection]:
        """The same, with the database's own errors."""
        with writing(self._engine) as db:
            if self._shift is not None:
                self._shift.check(db)
            yield db

    @contextmanager
    def _claiming(self) -> Iterator[tuple[Connection, Shift]]:
        shift = self._joined()
        with self._writing() as db:
            yield db, shift
