"""A RecurrenceManager in memory: for tests, and for trying things out without a file.

It keeps the same contract as the one on SQL databases, without its durability: what it holds is gone with the process.
It is not thread-safe; one event loop may share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from lnrecur.ports import (
    BookedPayment,
    Change,
    Conflict,
    OfferRecord,
    Ordered,
    OutboxEntry,
    Role,
    Stored,
    StoredEvent,
)
from lnrecur.recurrence.effects import Emit
from lnrecur.recurrence.event_objects import NODE_SUBJECT, EventObject, Objects, subscription_objects
from lnrecur.recurrence.inbound_model import Inbound, subscription_id
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.testing.memory_states import Books, States
from lnrecur.testing.memory_workers import MemoryWorkers
from lnrecur.values import OfferId, Point, RecurrenceId, UnixSeconds

_S = TypeVar("_S", Inbound, Outbound)


class MemoryRecurrenceManager(MemoryWorkers):
    """A `lnrecur.ports.RecurrenceManager` in plain dicts. Not thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self._offers: dict[OfferId, OfferRecord] = {}
        self._inbound = States[Inbound]()
        self._outbound = States[Outbound]()
        self._outbox: dict[int, OutboxEntry] = {}
        self._outbox_ids = 0
        self._events: list[StoredEvent] = []
        self._sequences: dict[bytes, int] = {}
        self._books = Books()
        self._orders: dict[str, Ordered] = {}
        self._cursor: str | None = None

    # --- offers ------------------------------------------------------------------------------------------------------

    def add_offer(self, record: OfferRecord, events: Sequence[Emit] = ()) -> None:
        """Store an offer of ours and what is told of it, under its offer_id; the same offer again changes nothing."""
        if record.offer_id not in self._offers:
            self._offers[record.offer_id] = record
            self._log(Role.PAYEE, record.offer_id, events, record.created_at, record.objects())

    def offer(self, offer_id: OfferId) -> OfferRecord | None:
        """One offer of ours."""
        return self._offers.get(offer_id)

    def offers(self) -> Sequence[OfferRecord]:
        """All offers of ours, oldest first."""
        return list(self._offers.values())

    def change_offer(
        self, before: OfferRecord, after: OfferRecord, at: UnixSeconds, events: Sequence[Emit] = ()
    ) -> None:
        """Store how an offer of ours stands now (status, successor) and what is told of it, under its offer_id.

        Raises:
            Conflict: it is not there, or does not stand as `before` says any more.
        """
        stored = self._offers.get(after.offer_id)
        if stored is None or (stored.status, stored.successor) != (before.status, before.successor):
            raise Conflict(f"offer {after.offer_id.hex()} does not stand as it did")
        self._offers[after.offer_id] = replace(stored, status=after.status, successor=after.successor)
        self._log(Role.PAYEE, after.offer_id, events, at, after.objects())

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def inbound(self, offer_id: OfferId, payer_id: Point) -> Stored[Inbound] | None:
        """What is known of a payer of an offer."""
        return self._inbound.get(subscription_id(offer_id, payer_id))

    def inbounds(self) -> Sequence[Inbound]:
        """All inbound subscriptions, oldest first."""
        return self._inbound.all()

    def outbound(self, recurrence_id: RecurrenceId) -> Stored[Outbound] | None:
        """One subscription that we pay."""
        return self._outbound.get(recurrence_id)

    def outbounds(self, *, asking: bool = False) -> Sequence[Outbound]:
        """All subscriptions that we pay, oldest first; or those only whose request waits for an answer."""
        return [state for state in self._outbound.all() if not asking or state.request is not None]

    def find_outbounds(self, digits: str, *, one_off: bool, limit: int = 2) -> Sequence[Outbound]:
        """Some whose ids begin with these hexadecimal digits: subscriptions that we pay, or single payments."""
        return [state for state in self._outbound.find(digits) if state.one_off is one_off][:limit]

    def find_inbounds(self, digits: str, limit: int = 2) -> Sequence[Inbound]:
        """Some subscriptions that we are paid (no single payments) whose ids begin with these hexadecimal digits."""
        return [state for state in self._inbound.find(digits) if state.recurring][:limit]

    def ordered(self, key: str) -> Ordered | None:
        """What was ordered under this key."""
        return self._orders.get(key)

    def commit_inbound(self, change: Change[Inbound]) -> Sequence[OutboxEntry]:
        """Store a payee's step; answers its effects as they stand in the outbox.

        Raises:
            Conflict: the state was changed by somebody else.
            AlreadyPaid: a booking exists already.
        """
        self._check()
        subject = change.state.subscription_id
        self._inbound.check(subject, change.version)
        self._books.check(Role.PAYEE, subject, change.bookings)
        self._inbound.put(subject, change.state)
        self._claimed.discard((change.state.offer_id, change.state.payer_id))
        return self._record(Role.PAYEE, subject, change)

    def commit_outbound(self, change: Change[Outbound]) -> Sequence[OutboxEntry]:
        """Store a payer's step; answers its effects as they stand in the outbox.

        Raises:
            Conflict: the state was changed by somebody else, what it begins exists, or its order was given already.
            AlreadyPaid: a booking exists already.
        """
        self._check()
        subject, order, begins = change.state.recurrence_id, change.order, change.begins
        self._outbound.check(subject, change.version)
        self._books.check(Role.PAYER, subject, change.bookings)
        if order is not None and order.key in self._orders:
            raise Conflict("this order was given already")
        if begins is not None:
            self._outbound.check(begins.recurrence_id, None)
            self._outbound.put(begins.recurrence_id, begins)
        if order is not None:
            self._orders[order.key] = Ordered(subject, order.digest)
        self._outbound.put(subject, change.state)
        self._claimed.discard(change.state.recurrence_id)
        return self._record(Role.PAYER, subject, change)

    def _record(self, role: Role, subject: bytes, change: Change[Inbound] | Change[Outbound]) -> Sequence[OutboxEntry]:
        """Everything that belongs to a state; nothing in here can fail."""
        self._books.add(role, subject, change.bookings)
        self._log(role, subject, change.events, change.at, subscription_objects(subject, change.state))
        if change.receipt_cursor is not None:
            self._cursor = change.receipt_cursor
        first = self._outbox_ids + 1
        entries = [OutboxEntry(at, role, subject, effect, change.at) for at, effect in enumerate(change.outbox, first)]
        self._outbox.update((entry.id, entry) for entry in entries)
        self._outbox_ids += len(entries)
        return entries

    def _log(self, role: Role | None, subject: bytes, events: Sequence[Emit], at: UnixSeconds, about: Objects) -> None:
        for event in events:
            sequence = self._sequences[subject] = self._sequences.get(subject, 0) + 1
            event_id, data = len(self._events) + 1, dict(event.data)
            self._events.append(StoredEvent(event_id, sequence, at, event.name, role, subject, data, about(event)))

    # --- what is to be done ------------------------------------------------------------------------------------------

    def due_outbounds(self, now: UnixSeconds, limit: int) -> Sequence[RecurrenceId]:
        """Subscriptions that we pay whose wake_at has come, longest due first."""
        return [state.recurrence_id for state in islice(self._outbound.due(now), limit)]

    def due_inbounds(self, now: UnixSeconds, limit: int) -> Sequence[tuple[OfferId, Point]]:
        """Offer and payer of the subscriptions we are paid whose wake_at has come, longest due first."""
        return [(state.offer_id, state.payer_id) for state in islice(self._inbound.due(now), limit)]

    def due_outbox(self, now: UnixSeconds, limit: int) -> Sequence[OutboxEntry]:
        """Effects that wait to be performed, in the order they were stored."""
        waiting: set[bytes] = set()
        due = []
        for entry in self._outbox.values():
            if entry.due_at > now:
                waiting.add(entry.subject)
            elif entry.subject not in waiting:
                due.append(entry)
        return due[:limit]

    def effect_done(self, entry_id: int) -> None:
        """An effect was performed; harmless if it was said before."""
        self._check()
        self._outbox.pop(entry_id, None)
        self._claimed.discard(entry_id)

    def postpone_effect(self, entry_id: int, due_at: UnixSeconds) -> None:
        """An effect could not be performed; it is due again later and counts one more try."""
        self._check()
        self._claimed.discard(entry_id)
        if entry_id in self._outbox:
            entry = self._outbox[entry_id]
            self._outbox[entry_id] = replace(entry, due_at=due_at, tries=entry.tries + 1)

    def claim_outbounds(self, now: UnixSeconds, limit: int) -> Sequence[RecurrenceId]:
        """Claim subscriptions that we pay whose wake_at has come, longest due first."""
        return self._claim(self.due_outbounds(now, len(self._outbound)) if self._joined().seat.work else (), limit)

    def claim_inbounds(self, now: UnixSeconds, limit: int) -> Sequence[tuple[OfferId, Point]]:
        """Claim subscriptions we are paid whose wake_at has come, longest due first."""
        return self._claim(self.due_inbounds(now, len(self._inbound)) if self._joined().seat.messages else (), limit)

    def claim_outbox(self, now: UnixSeconds, limit: int) -> Sequence[OutboxEntry]:
        """Claim effects that are due and for our seat, of each subscription the earliest."""
        seat = self._joined().seat
        due = (entry.id for entry in self._first_effects() if entry.due_at <= now and seat.handles(entry.effect))
        return [self._outbox[entry_id] for entry_id in self._claim(due, limit)]

    def _first_effects(self) -> list[OutboxEntry]:
        first: dict[bytes, OutboxEntry] = {}
        for entry in self._outbox.values():
            first.setdefault(entry.subject, entry)
        return list(first.values())

    def next_wake(self) -> UnixSeconds | None:
        """The earliest moment at which something is due (for us, once we have joined); None if nothing waits."""
        seat = None if self._worker is None else self._worker.seat
        effects = self._outbox.values() if seat is None else self._first_effects()
        moments = [
            entry.due_at
            for entry in effects
            if seat is None or (entry.id not in self._claimed and seat.handles(entry.effect))
        ]
        if seat is None or seat.work:
            moments += self._first_wake(self._outbound.waiting(), lambda state: state.recurrence_id)
        if seat is None or seat.messages:
            moments += self._first_wake(self._inbound.waiting(), lambda state: (state.offer_id, state.payer_id))
        return min(moments, default=None)

    def _first_wake(self, waiting: Iterable[_S], key: Callable[[_S], object]) -> list[UnixSeconds]:
        for state in waiting:
            if state.wake_at is not None and key(state) not in self._claimed:
                return [state.wake_at]
        return []

    # --- what happened -----------------------------------------------------------------------------------------------

    def receipt_cursor(self) -> str | None:
        """How far the money node's receipts were handled."""
        return self._cursor

    def save_receipt_cursor(self, cursor: str) -> None:
        """A receipt was handled that concerned no subscription of ours."""
        self._check()
        self._cursor = cursor

    def tell(self, event: Emit, about: EventObject, at: UnixSeconds) -> None:
        """Log an event of the money node."""
        self._check()
        self._log(None, NODE_SUBJECT, (event,), at, lambda _: about)

    def events(self, after_id: int = 0, limit: int = 1000, subject: bytes | None = None) -> Sequence[StoredEvent]:
        """The event log behind an id, in order; of one subscription, or of all."""
        if subject is None:
            return self._events[after_id : after_id + limit]
        return [event for event in self._events[after_id:] if event.subject == subject][:limit]

    def payments(self, subject: bytes | None = None) -> Sequence[BookedPayment]:
        """The books, of one subscription or of all, in the order of settlement."""
        wanted = self._books.booked if subject is None else self._books.of_subject.get(subject, ())
        return sorted(wanted, key=lambda booked: booked.booking.settled_at)
