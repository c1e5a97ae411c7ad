"""Whatever state is stored comes back exactly, and SQLite answers whatever is asked as memory does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lnrecur.adapters.store import SqlRecurrenceManager, UnreadableRow, open_sqlite_manager
from lnrecur.adapters.store.encoding import (
    EFFECT_KINDS,
    decode,
    decode_effect,
    decode_event,
    encode,
    encode_effect,
    encode_event,
)
from lnrecur.ports import Change, OfferRecord, OutboxEntry, RecurrenceManager, StoreError
from lnrecur.recurrence.effects import Book, Emit, Facts, StoredEffect
from lnrecur.recurrence.event_objects import EventObject, ObjectType
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus
from lnrecur.recurrence.outbound_model import Outbound, Terms
from lnrecur.recurrence.rates import Conversion, ExchangeRate
from lnrecur.testing.memory_store import MemoryRecurrenceManager
from lnrecur.values import Msat, OfferId, PaymentHash, Point, Preimage, RecurrenceId, UnixSeconds

st.register_type_strategy(
    ExchangeRate, st.builds(ExchangeRate, st.text(), st.integers(1, 2**64 - 1), st.integers(), st.text())
)
st.register_type_strategy(
    Mandate,
    st.builds(replace, st.just(Mandate(Msat(1))), max_total_msat=st.none() | st.integers(), purpose=st.text(),
              fiat=st.none() | st.builds(FiatLimit, st.text(), st.integers(), st.integers()),
              catch_up_max=st.none() | st.integers(), max_payments=st.none() | st.integers()),
)  # fmt: skip
EFFECTS: st.SearchStrategy[StoredEffect] = st.one_of([st.from_type(kind) for kind in EFFECT_KINDS.values()])
FACTS: st.SearchStrategy[Facts] = st.dictionaries(st.text(), st.none() | st.integers() | st.text())


@given(st.from_type(Outbound))
def test_every_outbound_state_survives_the_round_trip(state: Outbound) -> None:
    assert decode(Outbound, encode(state)) == state


@given(st.from_type(Inbound))
def test_every_inbound_state_survives_the_round_trip(state: Inbound) -> None:
    assert decode(Inbound, encode(state)) == state


@given(st.from_type(OfferPolicy))
def test_every_policy_survives_the_round_trip(policy: OfferPolicy) -> None:
    assert decode(OfferPolicy, encode(policy)) == policy


@given(EFFECTS)
def test_every_effect_survives_the_round_trip(effect: StoredEffect) -> None:
    assert decode_effect(*encode_effect(effect)) == effect


@given(FACTS, st.from_type(ObjectType), st.text(), FACTS)
def test_every_event_survives_the_round_trip(facts: Facts, kind: ObjectType, name: str, state: Facts) -> None:
    about = EventObject(kind, name, state)
    assert decode_event(encode_event(facts, about)) == (facts, about)


@given(st.from_type(Outbound).map(encode), st.data())
def test_a_truncated_state_is_never_read(text: str, data: st.DataObject) -> None:
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(UnreadableRow):
        decode(Outbound, cut)


def test_a_stored_rate_that_is_none_is_not_read() -> None:
    text = encode(Outbound(RecurrenceId(bytes(32)), b"", Mandate(Msat(1)), Terms(), UnixSeconds(0)))
    rate = '{"currency":"EUR","minor_per_btc":0,"at":0,"source":""}'
    with pytest.raises(UnreadableRow, match="cannot cost 0"):
        decode(ExchangeRate, text[: text.index('"body":') + 7] + rate + "}")


# --- SQLite and memory -----------------------------------------------------------------------------------------------

U64 = st.integers(0, 2**64 - 1)
MOMENTS = st.integers(0, 50).map(UnixSeconds)
SUBJECTS = st.sampled_from([RecurrenceId(bytes([n]) * 32) for n in range(3)])
PAYERS = st.sampled_from([Point(bytes([2 + n]) * 33) for n in range(2)])
OFFERS = st.sampled_from([OfferId(bytes([n]) * 32) for n in range(2)])
STATUSES = st.sampled_from(OfferStatus)
ENTRY_IDS = st.integers(1, 25)
VERSIONS = st.sampled_from(["stored", "stored", "stored", "none", "older"])
BOOKINGS = st.builds(
    Book,
    counter=st.integers(0, 3),
    payment_hash=st.integers(0, 20).map(lambda n: PaymentHash(bytes([n]) * 32)),
    preimage=st.just(Preimage(bytes(32))),
    amount_msat=st.integers(1, 10**15).map(Msat),
    fee_msat=st.integers(0, 10**6).map(Msat),
    settled_at=MOMENTS,
    period_start=st.none() | MOMENTS,
    surplus=st.booleans(),
    conversion=st.none()
    | st.builds(
        Conversion,
        st.integers(0, 10**9),
        st.builds(ExchangeRate, st.just("EUR"), st.integers(1, 10**9), MOMENTS, st.text(max_size=5)),
    ),
)
RECORDS = st.fixed_dictionaries(
    {
        "outbox": st.lists(EFFECTS, max_size=2).map(tuple),
        "events": st.lists(st.builds(Emit, st.text(), FACTS), max_size=2).map(tuple),
        "bookings": st.lists(BOOKINGS, max_size=2).map(tuple),
        "receipt_cursor": st.none() | st.text(max_size=3),
    }
)
OUTBOUNDS = st.builds(
    replace,
    st.just(Outbound(RecurrenceId(bytes(32)), b"offer", Mandate(Msat(1)), Terms(), UnixSeconds(0))),
    recurrence_id=SUBJECTS,
    wake_at=st.none() | MOMENTS,
    paid_msat=U64,
    basetime=st.none() | U64,
)
INBOUNDS = st.builds(
    Inbound, OFFERS, PAYERS, received_msat=U64.map(Msat), payer_note=st.text(max_size=5), wake_at=st.none() | MOMENTS
)


class SqliteAndMemory(RuleBasedStateMachine):
    """Two managers on one SQLite file and one in memory are told the same, and say the same."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "lnrecur.sqlite"
        self.memory = MemoryRecurrenceManager()
        self.sqlite = [open_sqlite_manager(self.file), open_sqlite_manager(self.file)]
        self.turn = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for manager in self.sqlite:
                manager.close()
            self.folder.cleanup()

    def both(self, call: Callable[[RecurrenceManager], object]) -> None:
        """Memory and one of the SQLite managers, in turn, answer the same or fail alike."""
        self.turn += 1
        sqlite: SqlRecurrenceManager = self.sqlite[self.turn % 2]
        assert outcome(call, sqlite) == outcome(call, self.memory)

    @rule(state=OUTBOUNDS, base=VERSIONS, at=MOMENTS, records=RECORDS)
    def commit_outbound(self, state: Outbound, base: str, at: UnixSeconds, records: dict[str, Any]) -> None:
        stored = self.memory.outbound(state.recurrence_id)
        change = Change(state, version(base, None if stored is None else stored.version), at, **records)
        self.both(lambda manager: manager.commit_outbound(change))

    @rule(state=INBOUNDS, base=VERSIONS, at=MOMENTS, records=RECORDS)
    def commit_inbound(self, state: Inbound, base: str, at: UnixSeconds, records: dict[str, Any]) -> None:
        stored = self.memory.inbound(state.offer_id, state.payer_id)
        change = Change(state, version(base, None if stored is None else stored.version), at, **records)
        self.both(lambda manager: manager.commit_inbound(change))

    @rule(entry_id=ENTRY_IDS)
    def effect_done(self, entry_id: int) -> None:
        self.both(lambda manager: manager.effect_done(entry_id))

    @rule(entry_id=ENTRY_IDS, due_at=MOMENTS)
    def postpone_effect(self, entry_id: int, due_at: UnixSeconds) -> None:
        self.both(lambda manager: manager.postpone_effect(entry_id, due_at))

    @rule(offer_id=OFFERS, label=st.text(max_size=3))
    def add_offer(self, offer_id: OfferId, label: str) -> None:
        record = OfferRecord(offer_id, b"offer", OfferPolicy(), UnixSeconds(0), label)
        self.both(lambda manager: manager.add_offer(record, (Emit("offer.created"),)))

    @rule(offer_id=OFFERS, was=STATUSES, becomes=STATUSES, successor=st.none() | st.text(max_size=2))
    def change_offer(self, offer_id: OfferId, was: OfferStatus, becomes: OfferStatus, successor: str | None) -> None:
        before = OfferRecord(offer_id, b"offer", OfferPolicy(), UnixSeconds(0), status=was)
        stored = self.memory.offer(offer_id)
        if stored is not None and becomes is not was:  # mostly as it stands
            before = stored
        after = replace(before, status=becomes, successor=successor)
        self.both(lambda manager: manager.change_offer(before, after, UnixSeconds(1), (Emit("offer.changed"),)))

    @rule(cursor=st.text(max_size=3))
    def save_receipt_cursor(self, cursor: str) -> None:
        self.both(lambda manager: manager.save_receipt_cursor(cursor))

    @rule(now=MOMENTS, limit=st.integers(1, 4), after=ENTRY_IDS, subject=SUBJECTS)
    def ask(self, now: UnixSeconds, limit: int, after: int, subject: bytes) -> None:
        self.both(lambda manager: list(manager.due_outbounds(now, limit)))
        self.both(lambda manager: list(manager.due_inbounds(now, limit)))
        self.both(lambda manager: list(manager.due_outbox(now, limit)))
        self.both(lambda manager: list(manager.events(after, limit)))
        self.both(lambda manager: list(manager.payments(subject)))

    @rule()
    def reopen(self) -> None:
        self.sqlite[0].close()
        self.sqlite[0] = open_sqlite_manager(self.file)

    @invariant()
    def all_hold_the_same(self) -> None:
        if hasattr(self, "memory"):
            self.both(everything)


def version(base: str, stored: int | None) -> int | None:
    """The version a change names."""
    if base == "none":
        return None
    return stored if base == "stored" else (stored or 1) - 1


def outcome(call: Callable[[RecurrenceManager], object], manager: RecurrenceManager) -> object:
    """What a call answers, or the error it raises."""
    try:
        answer = call(manager)
    except StoreError as error:
        return type(error)
    return list(answer) if isinstance(answer, Sequence) else answer


def everything(manager: RecurrenceManager) -> object:
    """All that a manager says about what it holds."""
    due: list[OutboxEntry] = list(manager.due_outbox(UnixSeconds(100), 1000))
    return (
        list(manager.offers()),
        [manager.inbound(state.offer_id, state.payer_id) for state in manager.inbounds()],
        [manager.outbound(state.recurrence_id) for state in manager.outbounds()],
        due,
        list(manager.events()),
        list(manager.payments()),
        manager.receipt_cursor(),
        manager.next_wake(),
    )


TestSqliteAndMemory = SqliteAndMemory.TestCase
TestSqliteAndMemory.settings = settings(max_examples=30, stateful_step_count=20)
