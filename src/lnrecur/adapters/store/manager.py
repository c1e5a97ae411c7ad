"""RecurrenceManager on a SQL database.

A commit is one transaction: state, outbox, events, books and cursor are stored together or not at all. On SQLite it
holds the write lock from its first statement, so what it reads is true when it writes; beyond that nothing here relies
on being the only process: a change names the version it is based on, and what may exist once is unique in the schema.

No SQL is written for one database. What is searched at every turn of the scheduler is found through an index; the tests
ask SQLite for its query plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from lnrecur.adapters.store import commits, rows
from lnrecur.adapters.store.encoding import decode, decode_outbound
from lnrecur.adapters.store.errors import is_duplicate, store_errors
from lnrecur.adapters.store.schema import (
    RECEIPT_CURSOR_KEY,
    clamp,
    events,
    inbound,
    offers,
    orders,
    outbound,
    outbox,
    payments,
    settings,
)
from lnrecur.adapters.store.working import SqlWorkers
from lnrecur.adapters.transactions import EVENTS_LOCK, hold_alone
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
from lnrecur.recurrence.event_objects import NODE_SUBJECT, EventObject
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.values import OfferId, Point, RecurrenceId, UnixSeconds, ids_beginning_with

_OUTBOUND: Final = (outbound.c.detail, outbound.c.recurrence_id, outbound.c.offer)
_ONE_OUTBOUND: Final = select(*_OUTBOUND, outbound.c.version).where(outbound.c.recurrence_id == bindparam("key"))
_ONE_INBOUND: Final = select(inbound.c.detail, inbound.c.version).where(
    inbound.c.offer_id == bindparam("offer"), inbound.c.payer_id == bindparam("payer")
)
_DONE: Final = delete(outbox).where(outbox.c.id == bindparam("entry"))
_HAS_REQUEST: Final = outbound.c.detail.contains('"request":{')
"""So that a start does not have to decode everything that is at rest."""
_IS_ONE_OFF: Final = outbound.c.detail.contains('"one_off":true', autoescape=True)
_RECURS: Final = inbound.c.detail.contains('"recurring":true')
"""Quotes inside of texts are escaped in JSON, so nothing but these fields is found."""
_EARLIEST: Final = (
    select(func.min(inbound.c.wake_at)).where(inbound.c.wake_at.is_not(None)),
    select(func.min(outbound.c.wake_at)).where(outbound.c.wake_at.is_not(None)),
    select(func.min(outbox.c.due_at)),
)


class SqlRecurrenceManager(SqlWorkers):
    """A `lnrecur.ports.RecurrenceManager` whose tables `bring_up_to_date` has seen.

    Any number of these, in any number of processes and threads, may work on one database. Beyond what the port says,
    every call may raise `StoreDamaged`, every reading one `UnreadableRow`, every writing one `ImpossibleRow`.
    """

    # --- offers ------------------------------------------------------------------------------------------------------

    def add_offer(self, record: OfferRecord, events: Sequence[Emit] = ()) -> None:
        """Store an offer of ours and what is told of it, under its offer_id; the same offer again changes nothing."""
        columns = rows.offer_columns(record)
        with store_errors():
            try:
                with self._fenced() as db:
                    db.execute(insert(offers).values(columns))
                    commits.save_events(db, Role.PAYEE, record.offer_id, events, record.created_at, record.objects())
            except IntegrityError as error:
                if not is_duplicate(error):  # a duplicate is what was wanted: it is there
                    raise

    def offer(self, offer_id: OfferId) -> OfferRecord | None:
        """One offer of ours."""
        with self._reading() as db:
            row = db.execute(select(offers).where(offers.c.offer_id == offer_id)).one_or_none()
        return None if row is None else rows.offer_record(row)

    def offers(self) -> Sequence[OfferRecord]:
        """All offers of ours, oldest first."""
        with self._reading() as db:
            found = db.execute(select(offers).order_by(offers.c.id)).all()
        return [rows.offer_record(row) for row in found]

    def change_offer(
        self, before: OfferRecord, after: OfferRecord, at: UnixSeconds, events: Sequence[Emit] = ()
    ) -> None:
        """Store how an offer of ours stands now (status, successor) and what is told of it, under its offer_id.

        Raises:
            Conflict: it is not there, or does not stand as `before` says any more.
        """
        stands = [offers.c[name].is_not_distinct_from(said) for name, said in rows.standing_columns(before).items()]
        change = update(offers).where(offers.c.offer_id == after.offer_id, *stands)
        with self._writing() as db:
            if db.execute(change.values(rows.standing_columns(after))).rowcount == 0:
                raise Conflict(f"offer {after.offer_id.hex()} does not stand as it did")
            commits.save_events(db, Role.PAYEE, after.offer_id, events, at, after.objects())

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def inbound(self, offer_id: OfferId, payer_id: Point) -> Stored[Inbound] | None:
        """What is known of a payer of an offer."""
        with self._reading() as db:
            row = db.execute(_ONE_INBOUND, {"offer": offer_id, "payer": payer_id}).one_or_none()
        return None if row is None else Stored(decode(Inbound, row.detail), row.version)

    def inbounds(self) -> Sequence[Inbound]:
        """All inbound subscriptions, oldest first."""
        with self._reading() as db:
            found = db.execute(select(inbound.c.detail).order_by(inbound.c.id)).scalars().all()
        return [decode(Inbound, detail) for detail in found]

    def outbound(self, recurrence_id: RecurrenceId) -> Stored[Outbound] | None:
        """One subscription that we pay."""
        with self._reading() as db:
            row = db.execute(_ONE_OUTBOUND, {"key": recurrence_id}).one_or_none()
        return None if row is None else Stored(decode_outbound(*row[:3]), row.version)

    def outbounds(self, *, asking: bool = False) -> Sequence[Outbound]:
        """All subscriptions that we pay, oldest first; or those only whose request waits for an answer."""
        with self._reading() as db:
            wanted = select(*_OUTBOUND).order_by(outbound.c.id)
            found = db.execute(wanted.where(_HAS_REQUEST) if asking else wanted).all()
        return [decode_outbound(*row) for row in found]

    def find_outbounds(self, digits: str, *, one_off: bool, limit: int = 2) -> Sequence[Outbound]:
        """Some whose ids begin with these hexadecimal digits: subscriptions that we pay, or single payments."""
        bounds = ids_beginning_with(digits)
        if bounds is None:
            return []
        wanted = select(*_OUTBOUND).where(
            outbound.c.recurrence_id.between(*bounds), _IS_ONE_OFF if one_off else ~_IS_ONE_OFF
        )
        with self._reading() as db:
            found = db.execute(wanted.order_by(outbound.c.recurrence_id).limit(limit)).all()
        return [decode_outbound(*row) for row in found]

    def find_inbounds(self, digits: str, limit: int = 2) -> Sequence[Inbound]:
        """Some subscriptions that we are paid (no single payments) whose ids begin with these hexadecimal digits."""
        bounds = ids_beginning_with(digits)
        if bounds is None:
            return []
        wanted = select(inbound.c.detail).where(inbound.c.subject.between(*bounds), _RECURS)
        with self._reading() as db:
            found = db.execute(wanted.order_by(inbound.c.subject).limit(limit)).scalars().all()
        return [decode(Inbound, detail) for detail in found]

    def ordered(self, key: str) -> Ordered | None:
        """What was ordered under this key."""
        with self._reading() as db:
            row = db.execute(select(orders).where(orders.c.key == key)).one_or_none()
        return None if row is None else Ordered(RecurrenceId(row.recurrence_id), row.digest)

    def commit_inbound(self, change: Change[Inbound]) -> Sequence[OutboxEntry]:
        """Store a payee's step; answers its effects as they stand in the outbox.

        Raises:
            Conflict: the state was changed by somebody else.
            AlreadyPaid: a booking exists already.
        """
        subject, columns = change.state.subscription_id, rows.inbound_columns(change.state)
        with self._writing() as db:
            commits.save_state(db, commits.INBOUND, subject, columns, change.version)
            self._tell_others(db, change)
            return commits.save_records(db, Role.PAYEE, subject, change)

    def commit_outbound(self, change: Change[Outbound]) -> Sequence[OutboxEntry]:
        """Store a payer's step; answers its effects as they stand in the outbox.

        Raises:
            Conflict: the state was changed by somebody else, what it begins exists, or its order was given already.
            AlreadyPaid: a booking exists already.
        """
        subject, begins = change.state.recurrence_id, change.begins
        columns = rows.outbound_columns(change.state)
        with self._writing() as db:
            commits.save_state(db, commits.OUTBOUND, subject, columns, change.version)
            if change.order is not None:
                commits.save_order(db, change.order, subject)
            if begins is not None:
                commits.save_state(db, commits.OUTBOUND, begins.recurrence_id, rows.outbound_columns(begins), None)
            self._tell_others(db, change)
            return commits.save_records(db, Role.PAYER, subject, change)

    # --- what is to be done ------------------------------------------------------------------------------------------

    def due_outbounds(self, now: UnixSeconds, limit: int) -> Sequence[RecurrenceId]:
        """Subscriptions that we pay whose wake_at has come, longest due first."""
        due = select(outbound.c.recurrence_id).where(outbound.c.wake_at <= clamp(now))
        with self._reading() as db:
            found = db.execute(due.order_by(outbound.c.wake_at, outbound.c.id).limit(limit)).scalars().all()
        return [RecurrenceId(recurrence_id) for recurrence_id in found]

    def due_inbounds(self, now: UnixSeconds, limit: int) -> Sequence[tuple[OfferId, Point]]:
        """Offer and payer of the subscriptions we are paid whose wake_at has come, longest due first."""
        due = select(inbound.c.offer_id, inbound.c.payer_id).where(inbound.c.wake_at <= clamp(now))
        with self._reading() as db:
            found = db.execute(due.order_by(inbound.c.wake_at, inbound.c.id).limit(limit)).all()
        return [(OfferId(row.offer_id), Point(row.payer_id)) for row in found]

    def due_outbox(self, now: UnixSeconds, limit: int) -> Sequence[OutboxEntry]:
        """Effects that wait to be performed, in the order they were stored."""
        # `+ 0` takes the order from the due rows: by the bare id SQLite would rather walk through the whole table.
        before = outbox.alias("before")
        waits = exists().where(
            before.c.subject == outbox.c.subject, before.c.id < outbox.c.id, before.c.due_at > clamp(now)
        )
        due = select(outbox).where(outbox.c.due_at <= clamp(now), ~waits).order_by(outbox.c.id + 0).limit(limit)
        with self._reading() as db:
            found = db.execute(due).all()
        return [rows.outbox_entry(row) for row in found]

    def effect_done(self, entry_id: int) -> None:
        """An effect was performed; harmless if it was said before."""
        with self._writing() as db:
            db.execute(_DONE, {"entry": entry_id})

    def postpone_effect(self, entry_id: int, due_at: UnixSeconds) -> None:
        """An effect could not be performed; it is due again later and counts one more try."""
        later = {outbox.c.due_at: clamp(due_at), outbox.c.tries: outbox.c.tries + 1, outbox.c.claimed_by: None}
        with self._writing() as db:
            db.execute(update(outbox).where(outbox.c.id == entry_id).values(later))

    def next_wake(self) -> UnixSeconds | None:
        """The earliest moment at which something is due (for us, once we have joined); None if nothing waits."""
        with self._reading() as db:
            if self._shift is not None:
                return self._shift.next_wake(db)
            found = [db.execute(earliest).scalar() for earliest in _EARLIEST]
        return min((UnixSeconds(moment) for moment in found if moment is not None), default=None)

    # --- what happened -----------------------------------------------------------------------------------------------

    def receipt_cursor(self) -> str | None:
        """How far the money node's receipts were handled."""
        cursor = select(settings.c.value).where(settings.c.key == RECEIPT_CURSOR_KEY)
        with self._reading() as db:
            return db.execute(cursor).scalar_one_or_none()

    def save_receipt_cursor(self, cursor: str) -> None:
        """A receipt was handled that concerned no subscription of ours."""
        with self._writing() as db:
            commits.save_setting(db, RECEIPT_CURSOR_KEY, cursor)

    def tell(self, event: Emit, about: EventObject, at: UnixSeconds) -> None:
        """Log an event of the money node.

        Raises:
            Conflict: somebody else told one at the same moment.
        """
        with self._writing() as db:
            commits.save_events(db, None, NODE_SUBJECT, (event,), at, lambda _: about)

    def events(self, after_id: int = 0, limit: int = 1000, subject: bytes | None = None) -> Sequence[StoredEvent]:
        """The event log behind an id, in order; of one subscription, or of all."""
        behind = select(events).where(events.c.id > after_id).limit(limit)
        if subject is None:
            behind = behind.order_by(events.c.id)
        else:  # the same order, by the index of the subscription
            behind = behind.where(events.c.subject == subject).order_by(events.c.sequence)
        with self._reading() as db:
            # Ids are given before the commit, and on PostgreSQL a later one may be committed earlier. Whoever reads on
            # from the last id it saw would then miss the other; so nobody sees an id while a lower one is on its way.
            if subject is None:  # the writers of one subscription wait for each other anyway
                hold_alone(db, EVENTS_LOCK)
            found = db.execute(behind).all()
        return [rows.stored_event(row) for row in found]

    def payments(self, subject: bytes | None = None) -> Sequence[BookedPayment]:
        """The books, of one subscription or of all, in the order of settlement."""
        books = select(payments).order_by(payments.c.settled_at, payments.c.id)
        if subject is not None:
            books = books.where(payments.c.subject == subject)
        with self._reading() as db:
            found = db.execute(books).all()
        return [rows.booked_payment(row) for row in found]
