"""RecurrenceManager: who owns the state of subscriptions (docs/design/state-ownership.md).

A synchronous Protocol, owned by the node layer. The services ask it and tell it in bounded time inside the handling of
one message; there are no event round trips that a stranger could multiply. Nothing here assumes a single process: every
write names the version it is based on, and what may exist only once is unique in the store itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from lnrecur.ports.workers import Seat, Worker
from lnrecur.recurrence.effects import Book, Emit, Facts, StoredEffect
from lnrecur.recurrence.event_objects import EventObject, Objects, offer_objects
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.values import OfferId, Point, RecurrenceId, UnixSeconds

S = TypeVar("S", Inbound, Outbound)


class Role(StrEnum):
    """On which side of a subscription we are."""

    PAYEE = "payee"
    PAYER = "payer"


@dataclass(frozen=True, slots=True)
class OfferRecord:
    """An offer of ours."""

    offer_id: OfferId
    offer: bytes
    policy: OfferPolicy
    created_at: UnixSeconds
    label: str = ""
    status: OfferStatus = OfferStatus.OPEN
    successor: str | None = None
    """The offer (lno1...) that took its place, where it was replaced."""

    def objects(self) -> Objects:
        """What the events of this offer are about."""
        return offer_objects(self.offer_id, self.status, self.label, self.successor)


@dataclass(frozen=True, slots=True)
class Stored(Generic[S]):
    """A state as it is stored, with the version a change must be based on."""

    state: S
    version: int


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An effect that was stored with a state and is yet to be performed (perhaps again)."""

    id: int
    role: Role
    subject: bytes
    effect: StoredEffect
    due_at: UnixSeconds
    tries: int = 0


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One line of the durable event log. `sequence` counts per subject, `id` over all, both from 1.

    The subject is a subscription, the offer_id of an offer whose event it is (`offer.*`), or NODE_SUBJECT (`node.*`,
    which have no role). `object` is what it is about, as that stood after the step; events of databases of version 1
    come without its state.
    """

    id: int
    sequence: int
    at: UnixSeconds
    name: str
    role: Role | None
    subject: bytes
    data: Facts
    object: EventObject


@dataclass(frozen=True, slots=True)
class BookedPayment:
    """One settled payment in the books."""

    role: Role
    subject: bytes
    booking: Book


@dataclass(frozen=True, slots=True)
class OrderKey:
    """What a client calls an order, so that it counts once however often it is given.

    `digest` is SHA-256 over what was ordered.
    """

    key: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ordered:
    """What was made for the key of an order, and the digest of the order."""

    recurrence_id: RecurrenceId
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Change(Generic[S]):
    """What one step did: all of it is stored, or nothing.

    `version` is that of the state the step started from, None for a new one. `receipt_cursor` is the money node's
    cursor behind the receipt that was handled, if the step handled one. `order` is the key under which a client ordered
    a new subscription of ours; `begins` another new one, which takes the place of this one.
    """

    state: S
    version: int | None
    at: UnixSeconds
    outbox: tuple[StoredEffect, ...] = ()
    events: tuple[Emit, ...] = ()
    bookings: tuple[Book, ...] = ()
    receipt_cursor: str | None = None
    order: OrderKey | None = None
    begins: Outbound | None = None


class RecurrenceManager(Protocol):
    """Owner of all state. Raises `StoreUnavailable` from any call when the store cannot be reached."""

    def add_offer(self, record: OfferRecord, events: Sequence[Emit] = ()) -> None:
        """Store an offer of ours and what is told of it, under its offer_id; the same offer again changes nothing."""
        ...

    def offer(self, offer_id: OfferId) -> OfferRecord | None:
        """One offer of ours."""
        ...

    def offers(self) -> Sequence[OfferRecord]:
        """All offers of ours, oldest first."""
        ...

    def change_offer(
        self, before: OfferRecord, after: OfferRecord, at: UnixSeconds, events: Sequence[Emit] = ()
    ) -> None:
        """Store how an offer of ours stands now (status, successor) and what is told of it, under its offer_id.

        Raises:
            Conflict: it is not there, or does not stand as `before` says any more.
        """
        ...

    def inbound(self, offer_id: OfferId, payer_id: Point) -> Stored[Inbound] | None:
        """What is known of a payer of an offer."""
        ...

    def inbounds(self) -> Sequence[Inbound]:
        """All inbound subscriptions, oldest first."""
        ...

    def outbound(self, recurrence_id: RecurrenceId) -> Stored[Outbound] | None:
        """One subscription that we pay."""
        ...

    def outbounds(self, *, asking: bool = False) -> Sequence[Outbound]:
        """All subscriptions that we pay, oldest first; or those only whose request waits for an answer."""
        ...

    def find_outbounds(self, digits: str, *, one_off: bool, limit: int = 2) -> Sequence[Outbound]:
        """Some whose ids begin with these hexadecimal digits: subscriptions that we pay, or single payments."""
        ...

    def find_inbounds(self, digits: str, limit: int = 2) -> Sequence[Inbound]:
        """Some subscriptions that we are paid (no single payments) whose ids begin with these hexadecimal digits."""
        ...

    def ordered(self, key: str) -> Ordered | None:
        """What was ordered under this key."""
        ...

    def commit_inbound(self, change: Change[Inbound]) -> Sequence[OutboxEntry]:
        """Store a payee's step; answers its effects as they stand in the outbox.

        Raises:
            Conflict: the state was changed by somebody else.
            AlreadyPaid: a booking exists already.
        """
        ...

    def commit_outbound(self, change: Change[Outbound]) -> Sequence[OutboxEntry]:
        """Store a payer's step; answers its effects as they stand in the outbox.

        Raises:
            Conflict: the state was changed by somebody else, what it begins exists, or its order was given already.
            AlreadyPaid: a booking exists already.
        """
        ...

    def due_outbounds(self, now: UnixSeconds, limit: int) -> Sequence[RecurrenceId]:
        """Subscriptions that we pay whose wake_at has come, longest due first."""
        ...

    def due_inbounds(self, now: UnixSeconds, limit: int) -> Sequence[tuple[OfferId, Point]]:
        """Offer and payer of the subscriptions we are paid whose wake_at has come, longest due first."""
        ...

    def due_outbox(self, now: UnixSeconds, limit: int) -> Sequence[OutboxEntry]:
        """Effects that wait to be performed, in the order they were stored.

        An effect is never due before an earlier one of the same subscription: a postponed one holds back the rest.
        """
        ...

    def effect_done(self, entry_id: int) -> None:
        """An effect was performed; harmless if it was said before."""
        ...

    def postpone_effect(self, entry_id: int, due_at: UnixSeconds) -> None:
        """An effect could not be performed; it is due again later and counts one more try."""
        ...

    def next_wake(self) -> UnixSeconds | None:
        """The earliest moment at which a subscription or an effect is due; None if nothing waits.

        To who has joined: what its seat handles, and what nobody has claimed.
        """
        ...

    def join(self, seat: Seat, owner: bytes, version: str = "") -> int:
        """Begin to work; answers the fencing number. `owner` is the node id of the seed that all workers share.

        Who was at the same place before is expelled. From now on every write of this manager, and every claim, raises
        `LeaseLost` if we are expelled; joining again gives a new number.

        Raises:
            SeatTaken: the messages are served by another process.
            NotOurStore: it belongs to another owner.
        """
        ...

    def beat(self) -> Sequence[Worker]:
        """Show that we live; answers all who have joined.

        Raises:
            LeaseLost: we were expelled.
        """
        ...

    def workers(self) -> Sequence[Worker]:
        """All who have joined."""
        ...

    def expel(self, worker: Worker) -> bool:
        """Take a worker for dead, unless it has shown life since. What it had claimed is free; True if it is out."""
        ...

    def leave(self) -> None:
        """Stop working: what we had claimed is free. Harmless when we have not joined."""
        ...

    def claim_outbounds(self, now: UnixSeconds, limit: int) -> Sequence[RecurrenceId]:
        """As `due_outbounds`, of those that nobody has claimed: they are ours until a commit, `release` or `leave`."""
        ...

    def claim_inbounds(self, now: UnixSeconds, limit: int) -> Sequence[tuple[OfferId, Point]]:
        """As `due_inbounds`, of those that nobody has claimed: they are ours until a commit, `release` or `leave`.

        Only the process that serves the messages gets any: it knows the receipts.
        """
        ...

    def claim_outbox(self, now: UnixSeconds, limit: int) -> Sequence[OutboxEntry]:
        """Effects that are due, for our seat and claimed by nobody: ours until done, postponed, or we leave.

        Of each subscription only the earliest effect is given out, and no other before that one is done.
        """
        ...

    def release(self) -> None:
        """Give back the subscriptions we claimed and did not commit."""
        ...

    def receipt_cursor(self) -> str | None:
        """How far the money node's receipts were handled."""
        ...

    def save_receipt_cursor(self, cursor: str) -> None:
        """A receipt was handled that concerned no subscription of ours."""
        ...

    def tell(self, event: Emit, about: EventObject, at: UnixSeconds) -> None:
        """Log an event of the money node: one that belongs to no step of a subscription and to no offer.

        Raises:
            Conflict: somebody else told one at the same moment.
        """
        ...

    def events(self, after_id: int = 0, limit: int = 1000, subject: bytes | None = None) -> Sequence[StoredEvent]:
        """The event log behind an id, in order; of one subscription, or of all."""
        ...

    def payments(self, subject: bytes | None = None) -> Sequence[BookedPayment]:
        """The books, of one subscription or of all, in the order of settlement."""
        ...
