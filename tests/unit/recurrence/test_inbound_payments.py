"""How a payee takes payments: one per period, in whatever order they come (P1). And how it hears of cancels."""

from dataclasses import replace

import pytest

from helpers.engine import (
    NOW,
    PERIOD,
    PRICE,
    PayeeSide,
    a_plain_offer,
    a_request,
    an_offer,
    every,
    hash_of,
    kinds,
    names,
    only,
    preimage_of,
)
from lnrecur.bolt12 import Offer, fields
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.effects import Book, Claim, Effect, Emit, FailBack, IssueInvoice
from lnrecur.recurrence.inbound_model import CancelArrived, Phase, Reservation
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.values import UnixSeconds


def _renewing(payee: PayeeSide) -> ReceiveContext:
    """A subscriber's next payment is claimable."""
    payee.now = UnixSeconds(NOW + PERIOD * payee.state.next_counter)
    context = payee.invoiced(payee.state.next_counter)
    payee.claimable(context)
    return context


def _cancel(payee: PayeeSide, counter: int, start: int | None = None) -> tuple[Effect, ...]:
    return payee.step(CancelArrived(a_request(counter, payee.offer, cancel=True, start=start), payee.offering))


# --- the straight road ------------------------------------------------------------------------------------------------


def test_a_first_payment_is_reserved_then_claimed_and_makes_the_subscription() -> None:
    payee = PayeeSide()
    context = payee.invoiced(0)
    assert payee.state.phase is Phase.STRANGER
    effects = payee.claimable(context)
    assert only(effects, Claim) == Claim(context.payment_hash, context.preimage)
    assert names(effects) == ["payment.claimable"]
    assert (payee.state.phase, payee.state.reserved) == (Phase.STARTING, Reservation(0, context.payment_hash))
    assert (payee.state.payments, payee.state.basetime) == (0, None)
    payee.now = UnixSeconds(NOW + 9)
    effects = payee.claimed(context)
    assert only(effects, Book) == Book(
        counter=0, payment_hash=context.payment_hash, preimage=context.preimage, amount_msat=PRICE, fee_msat=0,
        settled_at=NOW + 9, period_start=NOW,
    )  # fmt: skip
    assert names(effects) == ["subscription.created"]
    state = payee.state
    assert (state.phase, state.next_counter, state.payments, state.received_msat) == (Phase.ACTIVE, 1, 1, PRICE)
    assert (state.basetime, state.reserved, state.created_at, state.last_paid_at) == (NOW, None, NOW + 9, NOW + 9)


def test_four_payments_and_the_limit_is_reached() -> None:
    payee = PayeeSide(an_offer(every(limit=3)))
    told = []
    for counter in range(4):
        payee.now = UnixSeconds(NOW + counter * PERIOD)
        context = payee.invoiced(counter)
        payee.claimable(context)
        effects = payee.claimed(context)
        assert only(effects, Book).period_start == NOW + counter * PERIOD
        told += names(effects)
    assert told == ["subscription.created", *["subscription.renewed"] * 3, "subscription.completed"]
    state = payee.state
    assert (state.phase, state.payments, state.received_msat) == (Phase.COMPLETED, 4, 4 * PRICE)
    assert (state.created_at, state.last_paid_at, state.ended_at) == (NOW, NOW + 3 * PERIOD, NOW + 3 * PERIOD)


def test_a_late_joiner_starts_where_it_said_and_ends_at_the_highest_index() -> None:
    offer = an_offer(every(base=RecurrenceBase(0, NOW), limit=7))
    payee = PayeeSide.paid(3, offer, start=5)
    assert (payee.state.phase, payee.state.payments, payee.state.start) == (Phase.COMPLETED, 3, 5)


def test_a_payment_without_a_counter_is_received_and_that_is_all() -> None:
    payee = PayeeSide(a_plain_offer())
    context = payee.invoiced(None)
    payee.claimable(context)
    effects = payee.claimed(context)
    assert names(effects) == ["payment.received", "subscription.completed"]
    book = only(effects, Book)
    assert (book.counter, book.period_start) == (0, None)
    assert (payee.state.phase, payee.state.recurring) == (Phase.COMPLETED, False)


def test_the_quantity_and_the_note_of_the_payer_are_kept() -> None:
    payee = PayeeSide()
    context = replace(payee.invoiced(0), quantity=3, payer_note="hello")
    payee.claimable(context)
    payee.claimed(context)
    assert (payee.state.quantity, payee.state.payer_note) == (3, "hello")
    payee.now = UnixSeconds(NOW + PERIOD)
    payee.take(1)
    assert payee.state.payer_note == "hello"


# --- more than one payment --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("periods", [0, 2])
def test_the_first_claimable_payment_reserves_its_period_and_any_other_is_failed_back(periods: int) -> None:
    payee = PayeeSide.paid(periods)
    payee.now = UnixSeconds(NOW + periods * PERIOD)
    first, second = payee.invoiced(periods), payee.invoiced(periods, metadata=b"\x08" * 16)
    payee.claimable(first)
    reserved = payee.state
    effects = payee.claimable(second)
    assert kinds(effects) == ["FailBack"]
    assert only(effects, FailBack).payment_hash == second.payment_hash
    assert names(effects) == ["payment.failed_back"]
    payee.returned(second)
    assert payee.state == replace(reserved, open_invoice=None)
    payee.claimed(first)
    assert (payee.state.payments, payee.state.surplus_msat) == (periods + 1, 0)


def test_a_claimable_payment_that_is_told_again_is_claimed_again_and_changes_nothing() -> None:
    payee = PayeeSide()
    context = payee.invoiced(0)
    payee.claimable(context)
    reserved = payee.state
    assert payee.claimable(context) == (Claim(context.payment_hash, context.preimage),)
    assert payee.state == reserved


@pytest.mark.parametrize("offer", [an_offer(), an_offer(every(limit=1)), a_plain_offer()])
def test_receipts_of_a_settled_payment_that_come_again_change_nothing(offer: Offer) -> None:
    payee = PayeeSide(offer)
    context = payee.take(0 if payee.offer.recurrence is not None else None)
    after = payee.state
    for _ in range(2):
        assert payee.claimable(context) == ()
        assert payee.claimed(context) == ()
    assert payee.returned(context) == ()
    assert payee.state == after


def test_old_receipts_change_nothing_while_the_next_period_is_reserved() -> None:
    payee = PayeeSide()
    old = payee.take(0)
    _renewing(payee)
    renewing = payee.state
    assert payee.claimable(old) == ()
    assert payee.claimed(old) == ()
    assert payee.state == renewing


def test_a_second_payment_for_a_paid_period_is_failed_back() -> None:
    payee = PayeeSide()
    first, second = payee.invoiced(0), payee.invoiced(0)
    payee.claimable(first)
    payee.claimed(first)
    active = payee.state
    assert kinds(payee.claimable(second)) == ["FailBack"]
    assert payee.state == active


def test_a_second_payment_that_settled_all_the_same_is_a_surplus_and_advances_nothing() -> None:
    payee = PayeeSide()
    first, second = payee.invoiced(0), payee.invoiced(0)
    payee.claimed(first)
    effects = payee.claimed(second)
    book = only(effects, Book)
    assert (book.surplus, book.payment_hash, book.counter) == (True, second.payment_hash, 0)
    assert only(effects, Emit).name == "payment.surplus"
    state = payee.state
    assert (state.next_counter, state.payments, state.received_msat, state.surplus_msat) == (1, 1, PRICE, PRICE)
    assert payee.claimed(second) == ()
    assert payee.state == state


def test_a_payment_that_settles_beside_the_reserved_one_is_a_surplus() -> None:
    payee = PayeeSide()
    first, second = payee.invoiced(0), payee.invoiced(0)
    payee.claimable(first)
    assert only(payee.claimed(second), Book).surplus
    assert payee.state.phase is Phase.STARTING
    assert not only(payee.claimed(first), Book).surplus
    assert (payee.state.payments, payee.state.surplus_msat) == (1, PRICE)


def test_a_surplus_is_never_booked_a_second_time_as_a_period() -> None:
    payee = PayeeSide()
    first, second = payee.invoiced(0), payee.invoiced(0)
    payee.claimable(first)
    payee.claimed(second)
    payee.returned(first)
    stranger = payee.state
    assert payee.claimed(second) == ()
    assert payee.state == stranger


def test_where_the_node_cannot_hold_claimed_alone_is_enough() -> None:
    payee = PayeeSide(an_offer(every(limit=1)))
    payee.claimed(payee.invoiced(0))
    assert payee.state.phase is Phase.ACTIVE
    payee.now = UnixSeconds(NOW + PERIOD)
    payee.claimed(payee.invoiced(1))
    assert (payee.state.phase, payee.state.payments) == (Phase.COMPLETED, 2)


@pytest.mark.parametrize("end", ["completed", "cancelled"])
def test_behind_the_end_payments_are_returned_or_owed_back(end: str) -> None:
    payee = PayeeSide.paid(1)
    payee.now = UnixSeconds(NOW + PERIOD)
    late = replace(payee.invoiced(1), preimage=preimage_of(99))
    _cancel(payee, 1)
    if end == "completed":
        payee = PayeeSide.paid(2, an_offer(every(limit=1)))
    ended = payee.state
    assert only(payee.claimable(late), FailBack).why == f"the subscription is {end}"
    assert payee.state == ended
    assert only(payee.claimed(late), Book).surplus
    assert payee.state == replace(ended, surplus_msat=PRICE, last_payment=late.payment_hash)


def test_a_payment_of_an_invoice_with_another_start_of_period_0_is_returned() -> None:
    payee = PayeeSide.paid(1)
    payee.now = UnixSeconds(NOW + PERIOD)
    context = replace(payee.invoiced(1), basetime=UnixSeconds(NOW + 1))
    assert "another start" in only(payee.claimable(context), FailBack).why
    assert payee.state.phase is Phase.ACTIVE


# --- payments that go back --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("periods", "before"), [(0, Phase.STRANGER), (1, Phase.ACTIVE)])
def test_a_reserved_payment_that_goes_back_frees_its_period(periods: int, before: Phase) -> None:
    payee = PayeeSide.paid(periods)
    context = _renewing(payee)
    effects = payee.returned(context)
    assert only(effects, Emit).data == {"counter": periods, "payment_hash": context.payment_hash.hex()}
    assert (payee.state.phase, payee.state.reserved, payee.state.payments) == (before, None, periods)
    payee.take(periods)
    assert payee.state.payments == periods + 1


def test_an_open_invoice_that_died_is_forgotten() -> None:
    payee = PayeeSide.paid(1)
    payee.now = UnixSeconds(NOW + PERIOD)
    context = payee.invoiced(1)
    assert payee.returned(context) == ()
    assert payee.state.open_invoice is None
    assert only(payee.asked(1), IssueInvoice)


def test_what_a_stranger_leaves_unpaid_changes_nothing() -> None:
    payee = PayeeSide()
    stranger = payee.state
    assert payee.returned(payee.invoiced(0)) == ()
    assert payee.state == stranger


# --- cancels ----------------------------------------------------------------------------------------------------------


def test_a_cancel_is_recorded_and_never_answered() -> None:
    payee = PayeeSide.paid(2)
    payee.now = UnixSeconds(NOW + 2 * PERIOD)
    effects = _cancel(payee, 2)
    assert effects == (Emit("subscription.cancelled", {"counter": 2, "payments": 2}),)
    assert (payee.state.phase, payee.state.ended_at, payee.state.is_final) == (Phase.CANCELLED, payee.now, True)


@pytest.mark.parametrize("second", [-10 * PERIOD, 0, 100 * PERIOD])
def test_a_cancel_counts_whatever_its_window(second: int) -> None:
    payee = PayeeSide.paid(1, an_offer(every(paywindow=Paywindow(1, 1))))
    payee.now = UnixSeconds(NOW + PERIOD + second)
    _cancel(payee, 1)
    assert payee.state.phase is Phase.CANCELLED


def test_a_cancel_may_leave_the_quantity_out() -> None:
    payee = PayeeSide(an_offer(quantity_max=5))
    context = replace(payee.invoiced(0, values={fields.INVREQ_QUANTITY: 2}), quantity=2)
    payee.claimable(context)
    payee.claimed(context)
    _cancel(payee, 1)
    assert payee.state.phase is Phase.CANCELLED


@pytest.mark.parametrize(
    ("counter", "start"),
    [(0, None), (1, None), (3, None), (2, 1), (6, None)],
    ids=["counter 0", "paid already", "not next", "start without a base", "beyond the limit"],
)
def test_a_cancel_that_breaks_a_rule_is_ignored(counter: int, start: int | None) -> None:
    payee = PayeeSide.paid(2, an_offer(every(limit=5)))
    before = payee.state
    assert _cancel(payee, counter, start) == ()
    assert payee.state == before


def test_a_cancel_with_another_start_is_ignored() -> None:
    payee = PayeeSide.paid(1, an_offer(every(base=RecurrenceBase(0, NOW))), start=2)
    assert _cancel(payee, 1, 3) == ()
    assert payee.state.phase is Phase.ACTIVE
    _cancel(payee, 1, 2)
    assert payee.state.phase is Phase.CANCELLED


def test_a_cancel_withdraws_the_unpaid_invoice_of_its_period() -> None:
    payee = PayeeSide.paid(1)
    payee.now = UnixSeconds(NOW + PERIOD)
    open_invoice = payee.invoiced(1)
    effects = _cancel(payee, 1)
    assert FailBack(open_invoice.payment_hash, "the payer cancelled") in effects
    assert payee.state.open_invoice is None
    assert kinds(payee.claimable(open_invoice)) == ["FailBack"]


@pytest.mark.parametrize("periods", [0, 1])
def test_a_cancel_comes_too_late_for_a_period_whose_payment_is_here(periods: int) -> None:
    payee = PayeeSide.paid(periods)
    context = _renewing(payee)
    reserved = payee.state
    assert _cancel(payee, periods or 1) == ()
    assert payee.state == reserved
    payee.claimed(context)
    assert payee.state.payments == periods + 1
    _cancel(payee, periods + 1)
    assert payee.state.phase is Phase.CANCELLED


def test_a_cancel_twice_is_one_cancel() -> None:
    payee = PayeeSide.paid(1)
    _cancel(payee, 1)
    cancelled = payee.state
    assert _cancel(payee, 1) == ()
    assert _cancel(payee, 2) == ()
    assert payee.state == cancelled


def test_what_is_secret_is_in_no_repr() -> None:
    payee = PayeeSide(policy=OfferPolicy())
    issued = only(payee.asked(0), IssueInvoice)
    claim = only(payee.claimable(payee.context(issued)), Claim)
    for shown in (repr(issued), repr(claim)):
        assert repr(preimage_of(payee.issued)) not in shown


# --- too much, too little -------------------------------------------------------------------------------------------


def _over(payee: PayeeSide, amount: int) -> tuple[list[str], tuple[Effect, ...]]:
    """A first payment of this amount: what its being claimable and its being claimed lead to."""
    context = payee.invoiced(0)
    deeds = kinds(payee.claimable(context, amount))
    return deeds, payee.claimed(context, amount)


@pytest.mark.parametrize("amount", [PRICE + 1, 2 * PRICE])
def test_up_to_twice_the_amount_is_accepted_booked_as_received_and_told(amount: int) -> None:
    payee = PayeeSide()
    deeds, effects = _over(payee, amount)
    assert deeds == ["Claim"]
    assert only(effects, Book).amount_msat == amount
    assert names(effects) == ["subscription.created", "payment.overpaid"]
    told = [effect for effect in effects if isinstance(effect, Emit)][1]
    assert told.data == {"counter": 0, "over_msat": amount - PRICE, "owed_msat": 0}
    assert (payee.state.received_msat, payee.state.surplus_msat, payee.state.next_counter) == (amount, 0, 1)


def test_more_than_twice_the_amount_is_failed_back_and_where_it_settled_owed_back() -> None:
    payee = PayeeSide()
    deeds, effects = _over(payee, 2 * PRICE + 1)
    assert deeds == ["FailBack"]
    assert only(effects, Book) == Book(
        counter=0, payment_hash=hash_of(preimage_of(1)), preimage=preimage_of(1), amount_msat=2 * PRICE + 1,
        fee_msat=0, settled_at=NOW, period_start=NOW,
    )  # fmt: skip
    assert (payee.state.next_counter, payee.state.surplus_msat) == (1, PRICE + 1)


@pytest.mark.parametrize("amount", [1, PRICE - 1])
def test_less_than_the_amount_is_failed_back_and_where_it_settled_owed_back(amount: int) -> None:
    payee = PayeeSide()
    deeds, effects = _over(payee, amount)
    assert deeds == ["FailBack"]
    assert only(effects, Book).surplus
    assert names(effects) == ["payment.surplus"]
    assert (payee.state.next_counter, payee.state.surplus_msat, payee.state.phase) == (0, amount, Phase.STRANGER)
