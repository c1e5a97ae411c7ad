"""What every `lnrecur.ports.RecurrenceManager` has to do, as tests to be inherited.

A subclass of `RecurrenceManagerContract` gives the fixture `manager`: an empty one. For a store that outlives its
manager, or is shared by several, inherit `SharedStoreContract` instead and give `open_manager`, a function that answers
another manager on the same store at each call. Nothing here looks inside them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lnrecur.crypto.hashes import sha256
from lnrecur.ports import (
    AlreadyPaid,
    BookedPayment,
    Change,
    Conflict,
    OfferRecord,
    Ordered,
    OrderKey,
    RecurrenceManager,
    Role,
    Stored,
    StoredEvent,
)
from lnrecur.recurrence import inbound_model, outbound_model
from lnrecur.recurrence.effects import (
    AskPaymentStatus,
    Book,
    Claim,
    Emit,
    Fact,
    FailBack,
    Pay,
    SendCancel,
    SendInvoiceRequest,
    StoredEffect,
)
from lnrecur.recurrence.event_objects import NODE_SUBJECT, EventObject, ObjectType
from lnrecur.recurrence.inbound_model import Inbound, OpenInvoice, Reservation
from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus, Windows
from lnrecur.recurrence.outbound_model import NextTry, Outbound, PendingPayment, PendingRequest, Terms
from lnrecur.recurrence.outbound_terms import PayAt
from lnrecur.recurrence.rates import Conversion, ExchangeRate, Worth
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import Msat, OfferId, PaymentHash, Point, Preimage, RecurrenceId, UnixSeconds

NOW = UnixSeconds(1_750_000_000)
U64_MAX = UnixSeconds(2**64 - 1)
I64_MAX = 2**63 - 1


def later(seconds: int) -> UnixSeconds:
    return UnixSeconds(NOW + seconds)


def offer_record(number: int = 1, **changes: Any) -> OfferRecord:
    offer = f"the TLV bytes of offer {number}".encode()
    return replace(OfferRecord(OfferId(sha256(offer)), offer, OfferPolicy(), later(number)), **changes)


def outbound_state(number: int = 1, **changes: Any) -> Outbound:
    state = Outbound(
        recurrence_id=RecurrenceId(sha256(b"recurrence", bytes([number]))),
        offer_bytes=b"an offer",
        mandate=Mandate(Msat(50_000)),
        terms=Terms(),
        created_at=NOW,
    )
    return replace(state, **changes)


def full_outbound_state() -> Outbound:
    """One in which every field says something."""
    payment_hash = PaymentHash(sha256(b"pending"))
    return Outbound(
        recurrence_id=RecurrenceId(sha256(b"a full one")),
        offer_bytes=bytes(range(256)),
        mandate=Mandate(
            Msat(1), Msat(2), 3, later(4), Msat(5), 6, "rent ☂ \x00", FiatLimit("EUR", 7, 8, 2**64), Msat(9), None
        ),
        terms=Terms(
            trigger=outbound_model.Trigger.ON_APPROVAL,
            missed=outbound_model.Missed.CATCH_UP,
            request_retry=RetryPolicy(1, 2, 3, 4, 5, 6),
            payment_retry=RetryPolicy(6, 7, 8, 9, 10),
            start=2**32 - 1,
            quantity=2**64 - 1,
            payer_note="for Änne",
            chain=bytes(32),
            via=("02" * 33 + "@127.0.0.1:9735", "b"),
            pay_at=PayAt.BEFORE_END,
            margin_s=11,
            jitter_s=12,
            give_up_after_s=None,
            ask_if_price_differs=True,
        ),
        created_at=NOW,
        phase=outbound_model.Phase.PAYING,
        next_counter=7,
        basetime=U64_MAX,
        request=PendingRequest(7, b"\x00\xff", 2, later(5)),
        payment=PendingPayment(
            7, payment_hash, b"lni", Msat(2**63), Msat(9), U64_MAX, UnixSeconds(2**64), 3, NextTry.NEW_INVOICE
        ),
        attempt=4,
        awaiting_msat=Msat(2**64 - 1),
        approved_counter=7,
        approved_msat=Msat(0),
        cancel_asked=True,
        payments=7,
        paid_msat=Msat(2**64),
        fees_msat=Msat(11),
        next_state=b"",
        problem="no route",
        wake_at=UnixSeconds(2**64),
        one_off=True,
        waits_for=outbound_model.Wait.REFUSAL,
        new_offer=b"another offer",
        pause_asked=True,
        missed_through=8,
        catch_up_through=9,
        refusals=2,
        adopting=10,
        payee_paused=True,
        given_up=PendingPayment(
            7,
            payment_hash,
            b"lni",
            Msat(1),
            Msat(2),
            None,
            later(3),
            rate=ExchangeRate("EUR", 10**9, NOW, "somebody"),
            reason="no_route",
        ),
        adopted=3,
        adopted_msat=Msat(2**64),
        waived=4,
        worth=Worth("EUR", 2**99),
        first_request=b"\x01",
        invoice_until=later(5),
        held_invoice=b"\x02",
    )


def inbound_state(number: int = 1, **changes: Any) -> Inbound:
    state = Inbound(OfferId(sha256(b"offer")), Point(b"\x02" + sha256(b"payer", bytes([number]))), created_at=NOW)
    return replace(state, **changes)


def full_inbound_state() -> Inbound:
    """One in which every field says something."""
    return Inbound(
        offer_id=OfferId(sha256(b"offer")),
        payer_id=Point(b"\x03" + bytes(range(32))),
        phase=inbound_model.Phase.RENEWING,
        recurring=False,
        start=0,
        basetime=U64_MAX,
        next_counter=2**32,
        reserved=Reservation(5, PaymentHash(sha256(b"reserved"))),
        open_invoice=OpenInvoice(5, PaymentHash(sha256(b"open"))),
        payments=5,
        received_msat=Msat(2**64 - 1),
        surplus_msat=Msat(1),
        quantity=2**64 - 1,
        payer_note="\u2028 'quoted' \"twice\"",
        created_at=NOW,
        last_paid_at=U64_MAX,
        ended_at=later(9),
        missed=2,
        told_to=2**32,
        waived=3,
        waived_last=1,
        paused_at=later(8),
        wake_at=UnixSeconds(2**64),
    )


EURO = Conversion(999, ExchangeRate("EUR", 5_812_345, NOW, "a source"))


def booking(
    number: int, *, counter: int | None = None, surplus: bool = False, settled_in: int = 0,
    conversion: Conversion | None = None,
) -> Book:  # fmt: skip
    preimage = Preimage(sha256(b"preimage", bytes([number])))
    return Book(
        counter=number if counter is None else counter,
        payment_hash=PaymentHash(sha256(preimage)),
        preimage=preimage,
        amount_msat=Msat(25_000 + number),
        fee_msat=Msat(number),
        settled_at=later(settled_in),
        period_start=later(number),
        surplus=surplus,
        conversion=conversion,
    )


def request_effect(number: int = 1) -> SendInvoiceRequest:
    return SendInvoiceRequest(bytes([number]) * 3)


EVERY_EFFECT: tuple[StoredEffect, ...] = (
    request_effect(),
    SendCancel(b"cancel"),
    Pay(PaymentHash(bytes(32)), b"invoice", Msat(2**64 - 1), Msat(0)),
    AskPaymentStatus(PaymentHash(b"\xff" * 32)),
    Claim(PaymentHash(sha256(b"p")), Preimage(b"p" * 32)),
    FailBack(PaymentHash(bytes(32)), "the period is taken: ♥"),
)


def new(state: Any, *outbox: StoredEffect, at: UnixSeconds = NOW, **more: Any) -> Change[Any]:
    return Change(state=state, version=None, at=at, outbox=outbox, **more)


def everything(manager: RecurrenceManager) -> tuple[object, ...]:
    """All that a manager says about what it holds."""
    return (
        list(manager.offers()),
        [manager.inbound(state.offer_id, state.payer_id) for state in manager.inbounds()],
        [manager.outbound(state.recurrence_id) for state in manager.outbounds()],
        list(manager.due_outbox(UnixSeconds(I64_MAX), 10_000)),
        list(manager.events(limit=10_000)),
        list(manager.payments()),
        manager.receipt_cursor(),
        manager.next_wake(),
    )


class RecurrenceManagerContract:
    """To be inherited; the subclass gives the fixture `manager`."""

    # --- offers ------------------------------------------------------------------------------------------------------

    def test_an_offer_is_given_back_as_it_was(self, manager: RecurrenceManager) -> None:
        policy = OfferPolicy(windows=Windows.LENIENT, invoice_expiry_s=60, payments_max=12)
        record = offer_record(policy=policy, label="Zeitung 📰", status=OfferStatus.REPLACED, successor="lno1instead")
        manager.add_offer(record)
        assert manager.offer(record.offer_id) == record
        assert manager.offer(OfferId(bytes(32))) is None

    def test_offers_are_listed_in_the_order_in_which_they_were_added(self, manager: RecurrenceManager) -> None:
        records = [offer_record(number, created_at=NOW) for number in (3, 1, 2)]
        for record in records:
            manager.add_offer(record)
        assert list(manager.offers()) == records

    def test_the_same_offer_again_changes_nothing(self, manager: RecurrenceManager) -> None:
        record = offer_record()
        manager.add_offer(record)
        manager.add_offer(replace(record, label="another label", status=OfferStatus.ENDED))
        assert list(manager.offers()) == [record]

    def test_an_offer_changes_how_it_stands_and_others_do_not(self, manager: RecurrenceManager) -> None:
        one, other = offer_record(1), offer_record(2)
        manager.add_offer(one)
        manager.add_offer(other)
        retired = replace(one, status=OfferStatus.RETIRED)
        manager.change_offer(one, retired, NOW)
        assert list(manager.offers()) == [retired, other]
        replaced = replace(one, status=OfferStatus.REPLACED, successor="lno1instead")
        manager.change_offer(retired, replaced, NOW)
        assert list(manager.offers()) == [replaced, other]

    @pytest.mark.parametrize("claim", [{"status": OfferStatus.PAUSED}, {"successor": "lno1x"}], ids=["status", "next"])
    def test_changing_an_offer_that_stands_otherwise_is_a_conflict(
        self, manager: RecurrenceManager, claim: dict[str, Any]
    ) -> None:
        record = offer_record(1)
        manager.add_offer(record)
        before = everything(manager)
        ended = replace(record, status=OfferStatus.ENDED)
        for was in (replace(record, **claim), offer_record(2)):
            with pytest.raises(Conflict):
                manager.change_offer(was, replace(ended, offer_id=was.offer_id), NOW, (Emit("offer.ended"),))
        assert everything(manager) == before

    def test_what_is_told_of_an_offer_is_logged_under_its_id_with_its_own_count(
        self, manager: RecurrenceManager
    ) -> None:
        record = offer_record(1)
        created = Emit("offer.created", {"label": "x"})
        manager.add_offer(record, (created,))
        manager.add_offer(record, (created,))
        manager.commit_inbound(new(inbound_state(), events=(Emit("subscription.created"),)))
        manager.change_offer(record, replace(record, status=OfferStatus.ENDED), later(5), (Emit("offer.ended"),))
        told = [(e.id, e.sequence, e.at, e.name, e.role) for e in manager.events(subject=record.offer_id)]
        assert told == [
            (1, 1, record.created_at, "offer.created", Role.PAYEE), (3, 2, later(5), "offer.ended", Role.PAYEE),
        ]  # fmt: skip
        assert [event.sequence for event in manager.events()] == [1, 1, 2]

    def test_what_is_told_of_the_money_node_has_no_role_and_its_own_count(self, manager: RecurrenceManager) -> None:
        about = EventObject(ObjectType.NODE, "02" * 33)
        manager.tell(Emit("node.unavailable", {"trouble": "locked"}), about, NOW)
        manager.commit_inbound(new(inbound_state(), events=(Emit("subscription.created"),)))
        manager.tell(Emit("node.available"), about, later(5))
        assert list(manager.events(subject=NODE_SUBJECT)) == [
            StoredEvent(1, 1, NOW, "node.unavailable", None, NODE_SUBJECT, {"trouble": "locked"}, about),
            StoredEvent(3, 2, later(5), "node.available", None, NODE_SUBJECT, {}, about),
        ]
        assert [event.role for event in manager.events()] == [None, Role.PAYEE, None]

    # --- states and versions -----------------------------------------------------------------------------------------

    def test_every_field_of_an_outbound_state_comes_back_exactly(self, manager: RecurrenceManager) -> None:
        state = full_outbound_state()
        manager.commit_outbound(new(state))
        assert manager.outbound(state.recurrence_id) == Stored(state, 1)
        assert list(manager.outbounds()) == [state]

    def test_every_field_of_an_inbound_state_comes_back_exactly(self, manager: RecurrenceManager) -> None:
        state = full_inbound_state()
        manager.commit_inbound(new(state))
        assert manager.inbound(state.offer_id, state.payer_id) == Stored(state, 1)
        assert list(manager.inbounds()) == [state]

    def test_what_was_never_stored_is_none(self, manager: RecurrenceManager) -> None:
        state = inbound_state()
        manager.commit_inbound(new(state))
        assert manager.inbound(state.offer_id, inbound_state(2).payer_id) is None
        assert manager.inbound(OfferId(bytes(32)), state.payer_id) is None
        assert manager.outbound(RecurrenceId(state.subscription_id)) is None

    def test_subscriptions_are_listed_oldest_first_whatever_happens_to_them(self, manager: RecurrenceManager) -> None:
        for number in (3, 1, 2):
            manager.commit_inbound(new(inbound_state(number)))
            manager.commit_outbound(new(outbound_state(number)))
        manager.commit_inbound(Change(inbound_state(3, payments=1), 1, NOW))
        manager.commit_outbound(Change(outbound_state(3, payments=1), 1, NOW))
        assert [state.payer_id for state in manager.inbounds()] == [inbound_state(n).payer_id for n in (3, 1, 2)]
        assert [s.recurrence_id for s in manager.outbounds()] == [outbound_state(n).recurrence_id for n in (3, 1, 2)]

    def test_those_that_wait_for_an_answer_can_be_listed_alone(self, manager: RecurrenceManager) -> None:
        asking = outbound_state(2, request=PendingRequest(0, b"request", 1))
        for state in (outbound_state(1), asking, full_outbound_state(), outbound_state(3, problem='"request":{')):
            manager.commit_outbound(new(state))
        assert list(manager.outbounds(asking=True)) == [asking, full_outbound_state()]
        manager.commit_outbound(Change(outbound_state(2), 1, NOW))
        assert list(manager.outbounds(asking=True)) == [full_outbound_state()]

    def test_what_we_pay_is_found_by_the_beginning_of_its_id(self, manager: RecurrenceManager) -> None:
        ids = {name: RecurrenceId(bytes.fromhex(name.ljust(64, fill))) for name, fill in
               (("a1", "0"), ("a2", "f"), ("a20", "1"), ("b", "f"))}  # fmt: skip
        single = {name: name == "a20" for name in ids}
        for name, recurrence_id in ids.items():
            note = Terms(payer_note='"one_off":true')
            manager.commit_outbound(new(outbound_state(terms=note, recurrence_id=recurrence_id, one_off=single[name])))

        def found(digits: str, *, one_off: bool = False, limit: int = 9) -> list[RecurrenceId]:
            return [s.recurrence_id for s in manager.find_outbounds(digits, one_off=one_off, limit=limit)]

        assert found("a") == [ids["a1"], ids["a2"]]
        assert found("a", limit=1) == [ids["a1"]]
        assert found("A2") == found("a2f") == found(ids["a2"].hex()) == [ids["a2"]]
        assert found("a2", one_off=True) == [ids["a20"]]
        assert found("b", one_off=True) == found("c") == found("a3") == []
        assert found("x") == found("a 1") == found(ids["a1"].hex() + "0") == []
        assert found("") == [ids["a1"], ids["a2"], ids["b"]]

    def test_what_we_are_paid_is_found_by_the_beginning_of_its_id(self, manager: RecurrenceManager) -> None:
        states = sorted((inbound_state(number) for number in range(20)), key=lambda state: state.subscription_id)
        single = replace(inbound_state(21), recurring=False, payer_note='"recurring":true')
        for state in (*states, single):
            manager.commit_inbound(new(state))
        assert list(manager.find_inbounds("", limit=30)) == states
        assert list(manager.find_inbounds("", limit=3)) == states[:3]
        for state in states:
            digits = state.subscription_id.hex()
            assert list(manager.find_inbounds(digits)) == [state]
            begin_so = [one for one in states if one.subscription_id.hex().startswith(digits[:1])]
            assert list(manager.find_inbounds(digits[:1], limit=30)) == begin_so
        assert list(manager.find_inbounds(single.subscription_id.hex())) == []
        assert list(manager.find_inbounds("g")) == []

    # --- orders ------------------------------------------------------------------------------------------------------

    def test_what_was_ordered_is_found_by_the_key_of_the_order(self, manager: RecurrenceManager) -> None:
        state, order = outbound_state(), OrderKey("my key ~1", sha256(b"an order"))
        assert manager.ordered(order.key) is None
        manager.commit_outbound(new(state, order=order))
        assert manager.ordered(order.key) == Ordered(state.recurrence_id, order.digest)
        assert manager.ordered("my key ~") is None

    def test_an_order_that_was_given_already_is_a_conflict_and_nothing_is_stored(
        self, manager: RecurrenceManager
    ) -> None:
        order = OrderKey("key", sha256(b"an order"))
        manager.commit_outbound(new(outbound_state(1), order=order))
        before = everything(manager)
        for digest in (order.digest, sha256(b"another")):
            again = new(outbound_state(2), *EVERY_EFFECT, order=OrderKey("key", digest), events=(Emit("a.b"),))
            with pytest.raises(Conflict):
                manager.commit_outbound(again)
        assert everything(manager) == before
        assert manager.ordered("key") == Ordered(outbound_state(1).recurrence_id, order.digest)

    def test_the_key_of_an_order_that_came_to_nothing_is_free(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(1)))
        with pytest.raises(Conflict):
            manager.commit_outbound(new(outbound_state(1), order=OrderKey("key", sha256(b"1"))))
        assert manager.ordered("key") is None
        manager.commit_outbound(new(outbound_state(2), order=OrderKey("key", sha256(b"2"))))
        assert manager.ordered("key") == Ordered(outbound_state(2).recurrence_id, sha256(b"2"))

    def test_what_takes_the_place_of_another_begins_with_its_end_or_not_at_all(
        self, manager: RecurrenceManager
    ) -> None:
        old, successor = outbound_state(1), outbound_state(2, wake_at=later(9))
        manager.commit_outbound(new(old))
        before = everything(manager)
        with pytest.raises(Conflict):
            manager.commit_outbound(Change(old, 7, NOW, begins=successor))
        assert everything(manager) == before
        ended = outbound_state(1, phase=outbound_model.Phase.LAPSED)
        manager.commit_outbound(Change(ended, 1, NOW, begins=successor))
        assert manager.outbound(successor.recurrence_id) == Stored(successor, 1)
        assert list(manager.due_outbounds(later(9), 9)) == [successor.recurrence_id]
        before = everything(manager)
        with pytest.raises(Conflict):
            manager.commit_outbound(Change(old, 2, NOW, begins=successor))
        assert everything(manager) == before

    @pytest.mark.parametrize("phase", inbound_model.Phase)
    def test_an_inbound_state_of_every_phase_can_be_stored(
        self, manager: RecurrenceManager, phase: inbound_model.Phase
    ) -> None:
        manager.commit_inbound(new(inbound_state(phase=phase)))
        assert [state.phase for state in manager.inbounds()] == [phase]

    @pytest.mark.parametrize("phase", outbound_model.Phase)
    def test_an_outbound_state_of_every_phase_can_be_stored(
        self, manager: RecurrenceManager, phase: outbound_model.Phase
    ) -> None:
        manager.commit_outbound(new(outbound_state(phase=phase)))
        assert [state.phase for state in manager.outbounds()] == [phase]

    def test_a_change_based_on_the_stored_version_makes_the_next(self, manager: RecurrenceManager) -> None:
        state = outbound_state()
        manager.commit_outbound(new(state))
        for payments in (1, 2, 3):
            stored = manager.outbound(state.recurrence_id)
            assert stored is not None
            manager.commit_outbound(Change(replace(state, payments=payments), stored.version, NOW))
            changed = manager.outbound(state.recurrence_id)
            assert changed is not None
            assert (changed.state.payments, changed.version > stored.version) == (payments, True)

    @pytest.mark.parametrize("version", [None, 1, 3, 99], ids=str)
    def test_a_change_based_on_another_version_is_a_conflict(
        self, manager: RecurrenceManager, version: int | None
    ) -> None:
        manager.commit_outbound(new(outbound_state()))
        manager.commit_outbound(Change(outbound_state(payments=1), 1, NOW))
        manager.commit_inbound(new(inbound_state()))
        manager.commit_inbound(Change(inbound_state(payments=1), 1, NOW))
        before = everything(manager)
        records: dict[str, Any] = {
            "outbox": EVERY_EFFECT,
            "events": (Emit("a.b"),),
            "bookings": (booking(1),),
            "receipt_cursor": "9",
        }
        with pytest.raises(Conflict) as raised:
            manager.commit_outbound(Change(outbound_state(payments=2), version, NOW, **records))
        assert raised.value.retry
        with pytest.raises(Conflict):
            manager.commit_inbound(Change(inbound_state(payments=2), version, NOW, **records))
        assert everything(manager) == before

    def test_changing_what_was_never_stored_is_a_conflict(self, manager: RecurrenceManager) -> None:
        before = everything(manager)
        with pytest.raises(Conflict):
            manager.commit_outbound(Change(outbound_state(), 1, NOW))
        with pytest.raises(Conflict):
            manager.commit_inbound(Change(inbound_state(), 1, NOW))
        assert everything(manager) == before

    # --- waking ------------------------------------------------------------------------------------------------------

    def test_subscriptions_are_due_from_their_second_on_longest_due_first(self, manager: RecurrenceManager) -> None:
        for number, wake_in in {1: 30, 2: 10, 3: 20, 4: 10, 5: None}.items():
            wake_at = None if wake_in is None else later(wake_in)
            manager.commit_outbound(new(outbound_state(number, wake_at=wake_at)))
        ids = [outbound_state(number).recurrence_id for number in (2, 4, 3, 1)]
        assert list(manager.due_outbounds(later(9), 10)) == []
        assert list(manager.due_outbounds(later(10), 10)) == ids[:2]
        assert list(manager.due_outbounds(later(30), 10)) == ids
        assert list(manager.due_outbounds(later(30), 3)) == ids[:3]

    def test_a_subscription_is_due_as_its_newest_state_says(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(wake_at=NOW)))
        manager.commit_outbound(Change(outbound_state(wake_at=later(60)), 1, NOW))
        assert list(manager.due_outbounds(NOW, 10)) == []
        assert manager.next_wake() == later(60)
        manager.commit_outbound(Change(outbound_state(wake_at=None), 2, NOW))
        assert list(manager.due_outbounds(later(60), 10)) == []
        assert manager.next_wake() is None

    def test_the_next_wake_is_the_earliest_of_subscriptions_and_effects(self, manager: RecurrenceManager) -> None:
        assert manager.next_wake() is None
        manager.commit_outbound(new(outbound_state(1, wake_at=later(50))))
        assert manager.next_wake() == later(50)
        (entry,) = manager.commit_inbound(new(inbound_state(), EVERY_EFFECT[5], at=later(20)))
        assert manager.next_wake() == later(20)
        manager.postpone_effect(entry.id, later(70))
        assert manager.next_wake() == later(50)
        manager.commit_outbound(new(outbound_state(2, wake_at=later(5))))
        assert manager.next_wake() == later(5)

    @pytest.mark.parametrize("moment", [2**63 - 1, 2**63, 2**64 - 1, 2**64])
    def test_a_moment_beyond_what_databases_count_to_is_never_due_and_breaks_nothing(
        self, manager: RecurrenceManager, moment: int
    ) -> None:
        far = UnixSeconds(moment)
        state = outbound_state(wake_at=far, basetime=far)
        (entry,) = manager.commit_outbound(new(state, request_effect()))
        manager.postpone_effect(entry.id, far)
        stored = manager.outbound(state.recurrence_id)
        assert stored is not None
        assert stored.state == state
        assert list(manager.due_outbounds(UnixSeconds(I64_MAX - 1), 10)) == []
        assert list(manager.due_outbox(UnixSeconds(I64_MAX - 1), 10)) == []
        assert list(manager.due_outbounds(far, 10)) == [state.recurrence_id]
        wake = manager.next_wake()
        assert wake is not None
        assert wake >= I64_MAX

    def test_subscribers_are_due_like_subscriptions(self, manager: RecurrenceManager) -> None:
        for number, wake_in in {1: 30, 2: 10, 3: 20, 4: 10, 5: None}.items():
            wake_at = None if wake_in is None else later(wake_in)
            manager.commit_inbound(new(inbound_state(number, wake_at=wake_at)))
        due = [(state.offer_id, state.payer_id) for state in map(inbound_state, (2, 4, 3, 1))]
        assert manager.next_wake() == later(10)
        assert list(manager.due_inbounds(later(9), 10)) == []
        assert list(manager.due_inbounds(later(10), 10)) == due[:2]
        assert list(manager.due_inbounds(later(30), 10)) == due
        assert list(manager.due_inbounds(later(30), 3)) == due[:3]
        manager.commit_inbound(Change(inbound_state(2, wake_at=None), 1, NOW))
        manager.commit_inbound(Change(inbound_state(4, wake_at=later(99)), 1, NOW))
        assert list(manager.due_inbounds(later(10), 10)) == []
        assert manager.next_wake() == later(20)

    # --- the outbox --------------------------------------------------------------------------------------------------

    def test_a_commit_answers_the_entries_of_exactly_this_change(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(1), request_effect(9)))
        state = outbound_state(2)
        entries = manager.commit_outbound(new(state, *EVERY_EFFECT, at=later(5)))
        assert [entry.effect for entry in entries] == list(EVERY_EFFECT)
        assert {(entry.role, entry.subject, entry.due_at, entry.tries) for entry in entries} == {
            (Role.PAYER, state.recurrence_id, later(5), 0)
        }
        assert list(manager.due_outbox(later(5), 10))[1:] == list(entries)
        assert list(manager.commit_outbound(Change(state, 1, NOW))) == []

    def test_an_inbound_effect_is_the_payees_and_names_the_subscription(self, manager: RecurrenceManager) -> None:
        (entry,) = manager.commit_inbound(new(inbound_state(), EVERY_EFFECT[4]))
        assert (entry.role, entry.subject) == (Role.PAYEE, inbound_state().subscription_id)

    def test_effects_are_due_in_the_order_they_were_stored(self, manager: RecurrenceManager) -> None:
        first = manager.commit_outbound(new(outbound_state(1), request_effect(1), request_effect(2), at=later(50)))
        second = manager.commit_inbound(new(inbound_state(), request_effect(3), at=later(10)))
        third = manager.commit_outbound(new(outbound_state(2), request_effect(4), at=later(30)))
        assert list(manager.due_outbox(later(9), 10)) == []
        assert list(manager.due_outbox(later(10), 10)) == list(second)
        assert list(manager.due_outbox(later(30), 10)) == [*second, *third]
        assert list(manager.due_outbox(later(50), 10)) == [*first, *second, *third]
        assert list(manager.due_outbox(later(50), 3)) == [*first, *second]

    def test_a_done_effect_is_gone_however_often_it_is_said(self, manager: RecurrenceManager) -> None:
        one, other = manager.commit_outbound(new(outbound_state(), request_effect(1), request_effect(2)))
        manager.effect_done(one.id)
        manager.effect_done(one.id)
        manager.effect_done(10**9)
        assert list(manager.due_outbox(NOW, 10)) == [other]

    def test_saying_done_late_never_removes_a_newer_effect(self, manager: RecurrenceManager) -> None:
        (old,) = manager.commit_outbound(new(outbound_state(1), request_effect(1)))
        manager.effect_done(old.id)
        (newer,) = manager.commit_outbound(new(outbound_state(2), request_effect(2)))
        manager.effect_done(old.id)
        assert list(manager.due_outbox(NOW, 10)) == [newer]

    def test_a_postponed_effect_holds_back_those_behind_it_and_nobody_elses(self, manager: RecurrenceManager) -> None:
        first, second = manager.commit_outbound(new(outbound_state(1), request_effect(1), request_effect(2)))
        (other,) = manager.commit_outbound(new(outbound_state(2), request_effect(3)))
        manager.postpone_effect(first.id, later(5))
        assert list(manager.due_outbox(NOW, 10)) == [other]
        assert [entry.id for entry in manager.due_outbox(later(5), 10)] == [first.id, second.id, other.id]
        manager.effect_done(first.id)
        assert [entry.id for entry in manager.due_outbox(NOW, 10)] == [second.id, other.id]

    def test_a_postponed_effect_is_due_later_and_counts_its_tries(self, manager: RecurrenceManager) -> None:
        one, other = manager.commit_outbound(new(outbound_state(), request_effect(1), request_effect(2)))
        manager.postpone_effect(one.id, later(10))
        assert list(manager.due_outbox(later(9), 10)) == []
        manager.postpone_effect(one.id, later(20))
        assert list(manager.due_outbox(later(20), 10)) == [replace(one, due_at=later(20), tries=2), other]

    def test_postponing_a_done_effect_does_not_bring_it_back(self, manager: RecurrenceManager) -> None:
        (entry,) = manager.commit_outbound(new(outbound_state(), request_effect()))
        manager.effect_done(entry.id)
        manager.postpone_effect(entry.id, NOW)
        assert list(manager.due_outbox(later(99), 10)) == []

    # --- the event log -----------------------------------------------------------------------------------------------

    def test_the_events_of_one_subscription_can_be_read_alone(self, manager: RecurrenceManager) -> None:
        first, second = outbound_state(1), outbound_state(2)
        manager.commit_outbound(new(first, events=(Emit("a.one"), Emit("a.two"))))
        manager.commit_outbound(new(second, events=(Emit("b.one"),)))
        manager.commit_outbound(Change(first, 1, NOW, events=(Emit("a.three"),)))
        found = manager.events(subject=first.recurrence_id)
        assert [event.name for event in found] == ["a.one", "a.two", "a.three"]
        assert list(manager.events(found[0].id, 1, first.recurrence_id)) == [found[1]]
        assert list(manager.events(subject=bytes(32))) == []

    def test_events_are_numbered_per_subscription_and_over_all(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(1), events=(Emit("a.one", {"n": 1}), Emit("a.two"))))
        manager.commit_inbound(new(inbound_state(), events=(Emit("b.one"),), at=later(1)))
        manager.commit_outbound(Change(outbound_state(1), 1, later(2), events=(Emit("a.three"),)))
        payer, payee = outbound_state(1).recurrence_id, inbound_state().subscription_id
        log = manager.events()
        assert [(e.name, e.sequence, e.at, e.role, e.subject) for e in log] == [
            ("a.one", 1, NOW, Role.PAYER, payer),
            ("a.two", 2, NOW, Role.PAYER, payer),
            ("b.one", 1, later(1), Role.PAYEE, payee),
            ("a.three", 3, later(2), Role.PAYER, payer),
        ]
        ids = [event.id for event in log]
        assert ids[0] == 1
        assert ids == sorted(set(ids))

    def test_the_data_of_an_event_comes_back_as_it_was(self, manager: RecurrenceManager) -> None:
        data: dict[str, Fact] = {"text": "ü \x00 \u2028", "number": -(2**70), "none": None, "": ""}
        manager.commit_outbound(new(outbound_state(), events=(Emit("a.b", data),)))
        data["added later"] = "by the caller"
        assert dict(manager.events()[0].data) == {"text": "ü \x00 \u2028", "number": -(2**70), "none": None, "": ""}

    def test_an_event_says_what_it_is_about_and_how_that_stands_after_the_step(
        self, manager: RecurrenceManager
    ) -> None:
        payer, payee, paid = outbound_state(), inbound_state(), sha256(b"a payment").hex()
        told = (Emit("subscription.requested"), Emit("payment.started", {"payment_hash": paid}))
        manager.commit_outbound(new(replace(payer, next_counter=3, wake_at=later(9)), events=told))
        manager.commit_inbound(new(payee, events=(Emit("payment.claimable", {"payment_hash": paid}),)))
        manager.commit_outbound(Change(replace(payer, next_counter=4), 1, NOW, events=(Emit("subscription.renewed"),)))
        subscription, payment, claimable, renewed = (event.object for event in manager.events())
        assert (subscription.type, subscription.id) == (ObjectType.SUBSCRIPTION, payer.recurrence_id.hex())
        assert (payment.type, payment.id) == (claimable.type, claimable.id) == (ObjectType.PAYMENT, paid)
        assert (subscription.state["next_counter"], subscription.state["next_at"]) == (3, later(9))
        assert (subscription.state["phase"], claimable.state["phase"]) == (payer.phase, payee.phase)
        assert subscription.state == payment.state
        assert renewed.state["next_counter"] == 4, "as it stood after its own step"

    def test_an_event_of_an_offer_or_of_a_single_payment_is_about_that(self, manager: RecurrenceManager) -> None:
        record = offer_record()
        manager.add_offer(record, (Emit("offer.created"),))
        after = replace(record, status=OfferStatus.PAUSED)
        manager.change_offer(record, after, NOW, (Emit("offer.paused"),))
        single = replace(outbound_state(), one_off=True)
        manager.commit_outbound(new(single, events=(Emit("payment.settled", {"payment_hash": "00"}),)))
        created, paused, settled = (event.object for event in manager.events())
        assert (created.type, created.id, created.state["status"]) == ("offer", record.offer_id.hex(), "open")
        assert paused.state["status"] == "paused"
        assert (settled.type, settled.id) == (ObjectType.PAYMENT, single.recurrence_id.hex())

    def test_the_log_is_read_on_from_any_id_in_pieces(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(), events=tuple(Emit(f"event.{n}") for n in range(7))))
        pieces, after = [], 0
        for _ in range(4):
            piece = manager.events(after, 3)
            pieces.append([event.name for event in piece])
            after = piece[-1].id if piece else after
        names = [f"event.{n}" for n in range(7)]
        assert pieces == [names[:3], names[3:6], names[6:], []]

    def test_events_that_came_to_nothing_leave_no_hole_in_a_subscription(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(), events=(Emit("a.one"),), bookings=(booking(1),)))
        with pytest.raises(AlreadyPaid):
            manager.commit_outbound(Change(outbound_state(), 1, NOW, events=(Emit("lost"),), bookings=(booking(1),)))
        manager.commit_outbound(Change(outbound_state(), 1, NOW, events=(Emit("a.two"),)))
        assert [(event.name, event.sequence) for event in manager.events()] == [("a.one", 1), ("a.two", 2)]

    # --- the books ---------------------------------------------------------------------------------------------------

    def test_the_books_are_in_the_order_of_settlement(self, manager: RecurrenceManager) -> None:
        late, early, also_early = booking(1, settled_in=9), booking(2, settled_in=3), booking(3, settled_in=3)
        unknown_start = replace(booking(4, settled_in=10), period_start=None)
        payer, payee = outbound_state().recurrence_id, inbound_state().subscription_id
        manager.commit_outbound(new(outbound_state(), bookings=(late, early)))
        manager.commit_inbound(new(inbound_state(), bookings=(also_early, unknown_start)))
        mine = [BookedPayment(Role.PAYER, payer, early), BookedPayment(Role.PAYER, payer, late)]
        theirs = [BookedPayment(Role.PAYEE, payee, also_early), BookedPayment(Role.PAYEE, payee, unknown_start)]
        assert list(manager.payments()) == [mine[0], theirs[0], mine[1], theirs[1]]
        assert list(manager.payments(payer)) == mine
        assert list(manager.payments(payee)) == theirs
        assert list(manager.payments(bytes(32))) == []

    def test_a_booking_in_a_currency_keeps_its_price_and_its_rate(self, manager: RecurrenceManager) -> None:
        euro, bitcoin = booking(1, conversion=EURO), booking(2)
        manager.commit_inbound(new(inbound_state(), bookings=(euro, bitcoin)))
        assert [paid.booking for paid in manager.payments()] == [euro, bitcoin]

    @pytest.mark.parametrize(
        "second",
        [booking(2, counter=1), booking(1, counter=2), booking(1, counter=2, surplus=True)],
        ids=["the same counter", "the same payment_hash", "the same payment_hash as surplus"],
    )
    def test_what_is_paid_is_not_paid_again_and_the_whole_change_is_undone(
        self, manager: RecurrenceManager, second: Book
    ) -> None:
        manager.commit_outbound(new(outbound_state(), request_effect(), bookings=(booking(1),), receipt_cursor="1"))
        before = everything(manager)
        change = Change(
            state=outbound_state(payments=2, wake_at=later(5)),
            version=1,
            at=later(1),
            outbox=EVERY_EFFECT,
            events=(Emit("lost"),),
            bookings=(booking(7), second),
            receipt_cursor="2",
        )
        with pytest.raises(AlreadyPaid):
            manager.commit_outbound(change)
        assert everything(manager) == before

    def test_one_change_cannot_book_a_counter_twice(self, manager: RecurrenceManager) -> None:
        before = everything(manager)
        with pytest.raises(AlreadyPaid):
            manager.commit_inbound(new(inbound_state(), bookings=(booking(1), booking(2, counter=1))))
        assert everything(manager) == before

    def test_surplus_payments_stand_beside_the_one_that_counts(self, manager: RecurrenceManager) -> None:
        surplus = [booking(number, counter=1, surplus=True) for number in (2, 3)]
        manager.commit_inbound(new(inbound_state(), bookings=(surplus[0], booking(1), surplus[1])))
        assert {booked.booking for booked in manager.payments()} == {booking(1), *surplus}
        with pytest.raises(AlreadyPaid):
            manager.commit_inbound(Change(inbound_state(), 1, NOW, bookings=(booking(4, counter=1),)))

    def test_both_ends_of_one_payment_can_be_in_the_same_books(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(), bookings=(booking(1),)))
        manager.commit_inbound(new(inbound_state(), bookings=(booking(1),)))
        assert {booked.role for booked in manager.payments()} == {Role.PAYER, Role.PAYEE}

    def test_the_same_counter_of_two_subscriptions_is_no_conflict(self, manager: RecurrenceManager) -> None:
        manager.commit_inbound(new(inbound_state(1), bookings=(booking(1, counter=0),)))
        manager.commit_inbound(new(inbound_state(2), bookings=(booking(2, counter=0),)))
        assert len(manager.payments()) == 2

    # --- the cursor --------------------------------------------------------------------------------------------------

    def test_the_receipt_cursor_moves_with_a_commit_or_by_itself(self, manager: RecurrenceManager) -> None:
        assert manager.receipt_cursor() is None
        manager.commit_inbound(new(inbound_state(1)))
        assert manager.receipt_cursor() is None
        manager.commit_inbound(new(inbound_state(2), receipt_cursor="7"))
        assert manager.receipt_cursor() == "7"
        manager.save_receipt_cursor("é8")
        manager.save_receipt_cursor("é8")
        assert manager.receipt_cursor() == "é8"
        manager.commit_inbound(Change(inbound_state(2), 1, NOW))
        assert manager.receipt_cursor() == "é8"

    def test_a_replayed_receipt_finds_its_payment_booked_and_its_cursor_moved(self, manager: RecurrenceManager) -> None:
        handled = new(inbound_state(), bookings=(booking(1),), receipt_cursor="5")
        manager.commit_inbound(handled)
        with pytest.raises(AlreadyPaid):
            manager.commit_inbound(replace(handled, version=1, receipt_cursor="6"))
        assert manager.receipt_cursor() == "5"


class SharedStoreContract(RecurrenceManagerContract):
    """For stores that outlive a manager or are shared; the subclass gives the fixture `open_manager`."""

    @pytest.fixture
    def manager(self, open_manager: Callable[[], RecurrenceManager]) -> RecurrenceManager:
        return open_manager()

    def test_of_two_managers_that_change_one_version_the_second_has_a_conflict(
        self, open_manager: Callable[[], RecurrenceManager]
    ) -> None:
        one, other = open_manager(), open_manager()
        one.commit_outbound(new(outbound_state()))
        seen = [manager.outbound(outbound_state().recurrence_id) for manager in (one, other)]
        assert seen == [Stored(outbound_state(), 1)] * 2
        other.commit_outbound(Change(outbound_state(problem="other"), 1, NOW))
        with pytest.raises(Conflict):
            one.commit_outbound(Change(outbound_state(problem="one"), 1, NOW, events=(Emit("lost"),)))
        stored = one.outbound(outbound_state().recurrence_id)
        assert stored is not None
        one.commit_outbound(Change(outbound_state(problem="one, again"), stored.version, NOW))
        assert everything(one) == everything(other)
        assert [state.problem for state in other.outbounds()] == ["one, again"]

    def test_of_two_managers_only_one_creates_a_subscription(
        self, open_manager: Callable[[], RecurrenceManager]
    ) -> None:
        one, other = open_manager(), open_manager()
        one.commit_inbound(new(inbound_state(payer_note="one")))
        with pytest.raises(Conflict):
            other.commit_inbound(new(inbound_state(payer_note="other")))
        assert [state.payer_note for state in other.inbounds()] == ["one"]

    def test_of_many_that_give_one_order_at_once_only_one_creates_a_subscription(
        self, open_manager: Callable[[], RecurrenceManager]
    ) -> None:
        order, workers = OrderKey("key", sha256(b"an order")), 4
        managers = [open_manager() for _ in range(workers)]
        ready, told = threading.Barrier(workers), []

        def give(number: int) -> None:
            ready.wait()
            try:
                managers[number].commit_outbound(new(outbound_state(number), order=order))
                told.append("stored")
            except Conflict:
                told.append("conflict")

        threads = [threading.Thread(target=give, args=(number,)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told) == ["conflict"] * (workers - 1) + ["stored"]
        [stored] = managers[0].outbounds()
        assert managers[1].ordered("key") == Ordered(stored.recurrence_id, order.digest)

    def test_two_managers_number_one_log_and_share_one_outbox(
        self, open_manager: Callable[[], RecurrenceManager]
    ) -> None:
        managers = [open_manager(), open_manager()]
        for version in range(6):
            state, based_on = outbound_state(payments=version), version or None
            change = Change(state, based_on, NOW, outbox=(request_effect(version),), events=(Emit(f"event.{version}"),))
            managers[version % 2].commit_outbound(change)
        log = managers[0].events()
        assert [(event.name, event.sequence) for event in log] == [(f"event.{n}", n + 1) for n in range(6)]
        entries = managers[1].due_outbox(NOW, 10)
        assert [entry.effect for entry in entries] == [request_effect(n) for n in range(6)]
        for entry in entries:
            managers[0].effect_done(entry.id)
        assert list(managers[1].due_outbox(NOW, 10)) == []

    def test_everything_is_there_for_the_next_manager(self, open_manager: Callable[[], RecurrenceManager]) -> None:
        first = open_manager()
        first.add_offer(offer_record())
        first.commit_outbound(new(full_outbound_state(), *EVERY_EFFECT, events=(Emit("a.b", {"n": 1}),)))
        first.commit_inbound(new(full_inbound_state(), bookings=(booking(1),), receipt_cursor="3"))
        first.postpone_effect(2, later(5))
        held = everything(first)
        assert everything(open_manager()) == held
