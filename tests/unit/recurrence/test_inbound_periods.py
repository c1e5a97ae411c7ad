"""What becomes of periods that nobody pays (P3), and of the subscriptions they belong to; the merchant's orders."""

from typing import Any

import pytest

from helpers.engine import NOW, PERIOD, PRICE, PayeeSide, a_request, an_offer, every, kinds, names, only
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.effects import Emit, FailBack, IssueInvoice, Refuse
from lnrecur.recurrence.inbound_model import (
    CancelArrived,
    Due,
    EndAsked,
    PauseAsked,
    Phase,
    ResumeAsked,
    WaiveAsked,
)
from lnrecur.recurrence.inbound_periods import SETTLE_S
from lnrecur.recurrence.offering import Late, OfferPolicy, OfferStatus, Windows
from lnrecur.values import UnixSeconds
from lnrecur.wire.integers import encode_tu32

WINDOWED = an_offer(every(paywindow=Paywindow(50, 100), limit=5))
LENIENT = OfferPolicy(windows=Windows.LENIENT)


def _told(effects: Any) -> list[tuple[str, int | str | None]]:
    return [(effect.name, effect.data.get("counter")) for effect in effects if isinstance(effect, Emit)]


def _at(payee: PayeeSide, second: int) -> PayeeSide:
    payee.now = UnixSeconds(NOW + second)
    return payee


def _order(payee: PayeeSide, order: Any, **told: Any) -> Any:
    return payee.step(order(payee.offering, **told))


# --- missed ----------------------------------------------------------------------------------------------------------


def test_it_wants_to_be_woken_when_the_window_of_the_next_period_closes() -> None:
    assert PayeeSide().state.wake_at is None
    payee = PayeeSide.paid(1, WINDOWED)
    assert payee.state.wake_at == NOW + PERIOD + 100
    payee = PayeeSide.paid(2, WINDOWED)
    assert payee.state.wake_at == NOW + 2 * PERIOD + 100
    assert PayeeSide.paid(1).state.wake_at == NOW + 2 * PERIOD, "without a paywindow: the end of the period (T8)"
    assert PayeeSide.paid(6, WINDOWED).state.wake_at is None, "completed: nothing can be missed"


def test_a_strict_window_that_closes_unpaid_is_told_and_ends_the_subscription() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    effects = payee.wake()
    closed = NOW + PERIOD + 100
    assert effects[0] == Emit("subscription.missed", {"counter": 1, "index": 1, "closed_at": closed})
    assert effects[1:] == (Emit("subscription.lapsed", {"counter": 1, "why": "its period was not paid in time"}),)
    state = payee.state
    assert (state.phase, state.missed, state.ended_at, state.wake_at) == (Phase.LAPSED, 1, closed, None)
    refused = only(payee.asked(1), Refuse)
    assert (refused.rule, refused.told) == ("V10", "recurrence-ended: counter 1 was not paid in time")


def test_waking_too_early_tells_nothing() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    before = payee.state
    _at(payee, PERIOD + 99)
    assert payee.step(Due(payee.offering)) == ()
    assert payee.state == before


def test_grace_is_added_to_a_strict_window_for_requests_and_for_the_miss() -> None:
    payee = PayeeSide.paid(1, WINDOWED, OfferPolicy(grace_s=30))
    assert payee.state.wake_at == NOW + PERIOD + 130
    _at(payee, PERIOD + 99)
    assert only(payee.asked(1), IssueInvoice).expires_at == NOW + PERIOD + 99
    _at(payee, PERIOD + 100)
    assert only(payee.asked(1), IssueInvoice).expires_at == NOW + PERIOD + 129
    _at(payee, PERIOD + 130)
    refused = only(payee.asked(1), Refuse)
    assert (refused.rule, "too late" in refused.told) == ("Q16", True)


def test_early_renewal_opens_the_window_sooner() -> None:
    payee = PayeeSide.paid(1, WINDOWED, OfferPolicy(early_s=20))
    _at(payee, PERIOD - 71)
    assert "too early" in only(payee.asked(1), Refuse).told
    _at(payee, PERIOD - 70)
    assert only(payee.asked(1), IssueInvoice).counter == 1


def test_a_lenient_offer_tells_every_missed_period_once_and_serves_them_in_order() -> None:
    payee = PayeeSide.paid(1, WINDOWED, LENIENT)
    told = []
    for _ in range(2):
        told += _told(payee.wake())
    assert told == [("subscription.missed", 1), ("subscription.missed", 2)]
    assert (payee.state.phase, payee.state.missed, payee.state.next_counter) == (Phase.ACTIVE, 2, 1)
    assert payee.state.wake_at == NOW + 3 * PERIOD + 100
    assert only(payee.asked(2), Refuse).rule == "Q14"
    late = [only(_settle(payee, counter), Emit) for counter in (1, 2)]
    assert [(event.name, event.data["late"]) for event in late] == [("subscription.renewed", True)] * 2
    assert payee.state.wake_at == NOW + 3 * PERIOD + 100
    _at(payee, 3 * PERIOD)
    assert "late" not in only(_settle(payee, 3), Emit).data


def _settle(payee: PayeeSide, counter: int) -> Any:
    context = payee.invoiced(counter)
    payee.claimable(context)
    return payee.claimed(context)


def test_after_a_long_sleep_all_missed_periods_are_told_at_once_up_to_the_limit() -> None:
    payee = PayeeSide.paid(1, WINDOWED, LENIENT)
    _at(payee, 100 * PERIOD)
    assert _told(payee.step(Due(payee.offering))) == [("subscription.missed", counter) for counter in (1, 2, 3, 4, 5)]
    assert payee.state.wake_at is None


def test_what_one_step_cannot_tell_the_next_does() -> None:
    payee = PayeeSide.paid(1, an_offer(every(paywindow=Paywindow(0, 10))), LENIENT)
    _at(payee, 250 * PERIOD + 10)
    told = []
    while payee.state.wake_at is not None and payee.state.wake_at <= payee.now:
        told += _told(payee.step(Due(payee.offering)))
    assert told == [("subscription.missed", counter) for counter in range(1, 251)]


def test_a_lenient_subscription_lapses_when_it_owes_more_than_the_policy_allows() -> None:
    payee = PayeeSide.paid(1, WINDOWED, OfferPolicy(windows=Windows.LENIENT, arrears_max=1))
    assert _told(payee.wake()) == [("subscription.missed", 1)]
    assert _told(payee.wake()) == [("subscription.missed", 2), ("subscription.lapsed", 1)]
    assert payee.state.phase is Phase.LAPSED


def test_a_period_with_an_unpaid_invoice_is_given_time_for_its_receipt() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    _at(payee, PERIOD + 90)
    context = payee.invoiced(1)
    assert payee.wake() == ()
    assert (payee.state.phase, payee.state.wake_at) == (Phase.ACTIVE, NOW + PERIOD + 100 + SETTLE_S)
    _at(payee, PERIOD + 110)
    assert names(payee.claimable(context, at=NOW + PERIOD + 99)) == ["payment.claimable"]
    assert names(payee.claimed(context)) == ["subscription.renewed"]
    payee = PayeeSide.paid(1, WINDOWED)
    _at(payee, PERIOD + 90)
    payee.invoiced(1)
    payee.wake()
    assert _told(payee.wake()) == [("subscription.missed", 1), ("subscription.lapsed", 1)]


@pytest.mark.parametrize("late", Late)
def test_a_payment_that_arrived_in_time_brings_a_lapsed_subscription_back_whatever_the_policy(late: Late) -> None:
    payee = PayeeSide.paid(1, WINDOWED, OfferPolicy(after_window=late))
    _at(payee, PERIOD + 90)
    context = payee.invoiced(1)
    payee.wake()
    payee.wake()
    assert payee.state.phase is Phase.LAPSED
    assert names(payee.claimable(context, at=NOW + PERIOD + 99)) == ["payment.claimable"]
    assert names(payee.claimed(context)) == ["subscription.renewed"]
    state = payee.state
    assert (state.phase, state.next_counter, state.ended_at) == (Phase.ACTIVE, 2, None)
    assert state.wake_at == NOW + 2 * PERIOD + 100


@pytest.mark.parametrize("lapsed", [False, True], ids=["active", "lapsed"])
def test_a_payment_behind_the_window_is_taken_or_returned_as_the_policy_says(lapsed: bool) -> None:
    outcomes = {}
    for late in Late:
        payee = PayeeSide.paid(1, WINDOWED, OfferPolicy(after_window=late))
        _at(payee, PERIOD + 90)
        context = payee.invoiced(1)
        if lapsed:
            payee.wake()
            payee.wake()
        _at(payee, PERIOD + 200)
        outcomes[late] = kinds(payee.claimable(context))
        payee.claimed(context)
        assert payee.state.next_counter == (2 if late is Late.TAKE else 1)
        assert payee.state.surplus_msat == (0 if late is Late.TAKE else PRICE)
    assert outcomes == {Late.TAKE: ["Claim"], Late.RETURN: ["FailBack"]}


def test_a_lapsed_subscription_still_hears_a_late_cancel() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    payee.wake()
    effects = payee.step(CancelArrived(a_request(1, WINDOWED, cancel=True), payee.offering))
    assert (_told(effects), payee.state.phase) == ([("subscription.cancelled", 1)], Phase.CANCELLED)


def test_a_subscription_of_an_offer_whose_record_is_lost_is_never_told_as_missed() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    lost = payee.offering.__class__(payee.policy)
    _at(payee, 100 * PERIOD)
    assert payee.step(Due(lost)) == ()
    assert payee.state.phase is Phase.ACTIVE


def test_a_window_that_no_64_bits_can_end_never_closes() -> None:
    start = 2**64 - 1 - 3 * PERIOD
    payee = PayeeSide.paid(2, an_offer(every(base=RecurrenceBase(0, start))), start=0)
    assert payee.state.wake_at is not None
    payee = PayeeSide.paid(4, an_offer(every(base=RecurrenceBase(0, start))), start=0)
    assert (payee.state.next_counter, payee.state.wake_at) == (4, None)


# --- waived ----------------------------------------------------------------------------------------------------------


def test_a_waived_period_counts_as_settled_and_its_asker_is_told_the_next() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    effects = _order(payee, WaiveAsked)
    assert effects == (Emit("subscription.waived", {"counter": 1, "index": 1, "why": "the seller waived it"}),)
    state = payee.state
    assert (state.next_counter, state.waived, state.payments) == (2, 1, 1)
    assert state.wake_at == NOW + 2 * PERIOD + 100
    _at(payee, PERIOD)
    refused = only(payee.asked(1), Refuse)
    assert (refused.rule, refused.suggested) == ("Q13", encode_tu32(2))
    assert "counter 1 is waived already" in refused.told
    _at(payee, 2 * PERIOD)
    assert names(_settle(payee, 2)) == ["subscription.renewed"]
    assert "counter 1 is paid already" in only(payee.asked(1), Refuse).told


def test_several_periods_can_be_waived_at_once_up_to_the_limit() -> None:
    payee = PayeeSide.paid(2, WINDOWED)
    effects = _order(payee, WaiveAsked, periods=9)
    assert _told(effects) == [
        *(("subscription.waived", counter) for counter in (2, 3, 4, 5)), ("subscription.completed", None),
    ]  # fmt: skip
    assert (payee.state.phase, payee.state.payments, payee.state.waived) == (Phase.COMPLETED, 2, 4)


def test_waiving_withdraws_the_unpaid_invoice_and_its_payment_goes_back() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    _at(payee, PERIOD)
    context = payee.invoiced(1)
    effects = _order(payee, WaiveAsked)
    assert only(effects, FailBack).payment_hash == context.payment_hash
    assert kinds(payee.claimable(context)) == ["FailBack"]


def test_what_is_paid_already_is_not_waived() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    _at(payee, PERIOD)
    payee.claimable(payee.invoiced(1))
    assert _order(payee, WaiveAsked) == ()
    assert payee.state.phase is Phase.RENEWING


@pytest.mark.parametrize(("counter", "counts"), [(0, False), (1, True), (2, True), (3, True), (4, False)])
def test_a_payer_that_has_not_heard_of_waived_periods_can_cancel_all_the_same(counter: int, counts: bool) -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    _order(payee, WaiveAsked, periods=2)
    payee.step(CancelArrived(a_request(counter, WINDOWED, cancel=True), payee.offering))
    assert (payee.state.phase is Phase.CANCELLED) is counts


# --- paused ----------------------------------------------------------------------------------------------------------


def test_a_paused_subscriber_is_refused_for_now_and_its_passing_periods_are_waived() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    assert names(_order(payee, PauseAsked)) == ["subscription.paused"]
    assert _order(payee, PauseAsked) == ()
    _at(payee, PERIOD)
    refused = only(payee.asked(1), Refuse)
    assert (refused.rule, refused.told) == ("Q22", "this subscription is paused: please ask again later")
    assert _told(payee.wake()) == [("subscription.waived", 1)]
    _at(payee, 2 * PERIOD)
    assert names(_order(payee, ResumeAsked)) == ["subscription.resumed"]
    assert _order(payee, ResumeAsked) == ()
    assert names(_settle(payee, 2)) == ["subscription.renewed"]
    assert (payee.state.missed, payee.state.waived) == (0, 1)


def test_what_passed_before_a_resume_is_waived_and_not_missed() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    _order(payee, PauseAsked)
    _at(payee, 3 * PERIOD)
    assert _told(_order(payee, ResumeAsked)) == [
        ("subscription.waived", 1), ("subscription.waived", 2), ("subscription.resumed", 3),
    ]  # fmt: skip
    assert payee.state.phase is Phase.ACTIVE


def test_a_pause_withdraws_the_unpaid_invoice_but_takes_the_payment_that_is_here() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    _at(payee, PERIOD)
    context = payee.invoiced(1)
    assert only(_order(payee, PauseAsked), FailBack).payment_hash == context.payment_hash
    payee = PayeeSide.paid(1, WINDOWED)
    _at(payee, PERIOD)
    context = payee.invoiced(1)
    payee.claimable(context)
    assert names(_order(payee, PauseAsked)) == ["subscription.paused"]
    assert names(payee.claimed(context)) == ["subscription.renewed"]
    assert payee.state.paused_at == NOW + PERIOD


def test_a_paused_payer_can_cancel() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    _order(payee, PauseAsked)
    payee.step(CancelArrived(a_request(1, WINDOWED, cancel=True), payee.offering))
    assert payee.state.phase is Phase.CANCELLED


def test_a_paused_offer_serves_nobody_and_waives_what_passes() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    payee.status = OfferStatus.PAUSED
    _at(payee, PERIOD)
    assert only(payee.asked(1), Refuse).rule == "Q22"
    assert only(_payee_under(OfferStatus.PAUSED).asked(0), Refuse).rule == "Q22"
    assert _told(payee.wake()) == [("subscription.waived", 1)]


def _payee_under(status: OfferStatus) -> PayeeSide:
    payee = PayeeSide(WINDOWED)
    payee.status = status
    payee.successor = "lno1another"
    return payee


# --- ended -----------------------------------------------------------------------------------------------------------


def test_an_ended_subscription_says_so_for_good() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    effects = _order(payee, EndAsked, why="moved away")
    assert effects == (Emit("subscription.ended", {"counter": 1, "payments": 1, "why": "moved away"}),)
    assert (payee.state.phase, payee.state.wake_at, payee.state.is_final) == (Phase.ENDED, None, True)
    _at(payee, PERIOD)
    refused = only(payee.asked(1), Refuse)
    assert (refused.rule, refused.told) == ("V10", "recurrence-ended: the seller ended this subscription")
    assert _order(payee, EndAsked) == ()


@pytest.mark.parametrize(
    ("status", "first", "later"),
    [
        (OfferStatus.RETIRED, "this offer is closed for new subscribers", None),
        (OfferStatus.ENDED, "recurrence-ended: this offer has ended", "recurrence-ended: this offer has ended"),
        (OfferStatus.REPLACED, "recurrence-changed: lno1another", "recurrence-changed: lno1another"),
    ],
)
def test_an_offer_that_is_not_sold_any_more_is_refused_as_it_stands(
    status: OfferStatus, first: str, later: str | None
) -> None:
    assert only(_payee_under(status).asked(0), Refuse).told == first
    payee = PayeeSide.paid(1, WINDOWED)
    payee.status, payee.successor = status, "lno1another"
    _at(payee, PERIOD)
    effects = payee.asked(1)
    if later is None:
        assert only(effects, IssueInvoice).counter == 1
    else:
        assert only(effects, Refuse).told == later
        assert _told(payee.step(Due(payee.offering))) == [("subscription.ended", 1)]
        assert payee.state.phase is Phase.ENDED


def test_a_payment_that_is_being_claimed_when_the_merchant_ends_it_counts() -> None:
    payee = PayeeSide.paid(1, WINDOWED)
    _at(payee, PERIOD)
    context = payee.invoiced(1)
    payee.claimable(context)
    assert names(_order(payee, EndAsked)) == ["subscription.ended"]
    assert names(payee.claimed(context)) == ["payment.late"]
    state = payee.state
    assert (state.phase, state.payments, state.surplus_msat, state.reserved) == (Phase.ENDED, 2, 0, None)


@pytest.mark.parametrize("end", ["cancelled", "ended", "offer ended"])
def test_a_payment_behind_an_end_is_returned_or_taken_as_the_policy_says(end: str) -> None:
    for late in Late:
        payee = PayeeSide.paid(1, WINDOWED, OfferPolicy(after_cancel=late, after_end=late))
        _at(payee, PERIOD)
        context = payee.invoiced(1)
        if end == "cancelled":
            payee.step(CancelArrived(a_request(1, WINDOWED, cancel=True), payee.offering))
        elif end == "ended":
            _order(payee, EndAsked)
        else:
            payee.status = OfferStatus.ENDED
            payee.step(Due(payee.offering))
        assert kinds(payee.claimable(context)) == (["Claim"] if late is Late.TAKE else ["FailBack"])
        told = names(payee.claimed(context))
        assert told == (["payment.late"] if late is Late.TAKE else ["payment.surplus"])
        assert (payee.state.payments, payee.state.is_final) == (2 if late is Late.TAKE else 1, True)
        assert payee.state.surplus_msat == (0 if late is Late.TAKE else PRICE)
