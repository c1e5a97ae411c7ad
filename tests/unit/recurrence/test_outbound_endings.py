"""How a payer stops or waits: mandates, approvals, cancels (Q6, Q12)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from helpers.engine import KEYS, NOW, PERIOD, PRICE, PayerSide, a_mandate, an_offer, every, kinds, names, only
from lnrecur.bolt12 import InvoiceRequest, Offer, fields
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.effects import Emit, Pay, SendCancel
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import (
    Amended,
    Approved,
    CancelAsked,
    InvoiceArrived,
    Missed,
    PauseAsked,
    PaymentUnknown,
    Phase,
    ResumeAsked,
    Terms,
    Trigger,
    Wait,
)
from lnrecur.recurrence.outbound_requests import CANCEL_ATTEMPT
from lnrecur.values import Msat, UnixSeconds

ASK_ME = Terms(trigger=Trigger.ON_APPROVAL)
WINDOW = every(paywindow=Paywindow(50, 100))
LIMITS = {
    "per_period": (0, a_mandate(max_per_period_msat=Msat(PRICE - 1))),
    "total": (2, a_mandate(max_total_msat=Msat(3 * PRICE - 1))),
    "payments": (2, a_mandate(max_payments=2)),
    "end": (2, a_mandate(ends_at=UnixSeconds(NOW + 2 * PERIOD))),
}


# --- mandates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "periods", "mandate"), [(name, *told) for name, told in LIMITS.items()])
def test_outside_the_mandate_nothing_is_asked_or_paid(limit: str, periods: int, mandate: Mandate) -> None:
    payer = PayerSide.paid(periods, mandate=mandate)
    effects = payer.wake()
    told = only(effects, Emit)
    assert told.name == "subscription.needs_approval"
    assert (told.data["limit"], told.data["amount_msat"], told.data["counter"]) == (limit, PRICE, periods)
    assert kinds(effects) == []
    assert (payer.state.phase, payer.state.payments) == (Phase.NEEDS_APPROVAL, periods)


def test_an_invoice_outside_the_mandate_is_not_paid() -> None:
    payer = PayerSide()
    payer.wake()
    effects = payer.receive(amount=PRICE + 1)
    assert names(effects) == ["subscription.needs_approval"]
    assert kinds(effects) == []
    assert (payer.state.awaiting_msat, payer.state.request, payer.state.payment) == (PRICE + 1, None, None)


def test_an_approval_for_once_pays_this_period_and_not_the_next() -> None:
    payer = PayerSide.paid(2, mandate=a_mandate(max_payments=2))
    payer.wake()
    assert names(payer.step(Approved())) == ["subscription.approved"]
    payer.pay_period()
    assert payer.state.payments == 3
    assert names(payer.wake()) == ["subscription.needs_approval"]


def test_an_approval_is_up_to_the_amount_that_was_shown() -> None:
    payer = PayerSide()
    payer.wake()
    payer.receive(amount=PRICE + 5)
    payer.step(Approved())
    payer.wake()
    assert names(payer.receive(amount=PRICE + 6)) == ["subscription.needs_approval"]
    payer.step(Approved())
    payer.wake()
    assert only(payer.receive(amount=PRICE + 6), Pay).amount_msat == PRICE + 6


def test_the_request_behind_an_approval_is_another_one() -> None:
    payer = PayerSide()
    payer.wake()
    first = InvoiceRequest.from_bytes(payer.request)
    payer.receive(amount=PRICE + 1)
    payer.step(Approved())
    payer.wake()
    second = InvoiceRequest.from_bytes(payer.request)
    assert (first.counter, second.counter) == (0, 0)
    assert first.invreq_metadata != second.invreq_metadata


def test_a_new_mandate_holds_from_now_on() -> None:
    payer = PayerSide.paid(2, mandate=a_mandate(max_payments=2))
    payer.wake()
    payer.step(Approved(a_mandate(max_payments=4)))
    for _ in range(2):
        payer.pay_period()
    assert payer.state.payments == 4
    assert names(payer.wake()) == ["subscription.needs_approval"]


def test_a_new_mandate_that_is_too_small_as_well_changes_nothing_but_itself() -> None:
    payer = PayerSide(mandate=a_mandate(max_per_period_msat=Msat(1)))
    payer.wake()
    payer.step(Approved(a_mandate(max_per_period_msat=Msat(2))))
    assert names(payer.wake()) == ["subscription.needs_approval"]


@pytest.mark.parametrize(
    ("offer", "terms"),
    [(an_offer(every(base=RecurrenceBase(1, NOW))), Terms(start=0)), (an_offer(amount=None), Terms())],
    ids=["proportional", "the payer chooses"],
)
def test_one_approval_is_enough_where_the_price_is_only_known_from_the_invoice(offer: Offer, terms: Terms) -> None:
    payer = PayerSide(offer, a_mandate(max_payments=0), terms)
    payer.wake()
    assert payer.state.awaiting_msat == PRICE
    payer.step(Approved())
    payer.wake()
    assert only(payer.receive(), Pay).amount_msat == PRICE


def test_a_proportional_price_is_checked_when_its_invoice_says_it() -> None:
    offer = an_offer(every(base=RecurrenceBase(1, NOW - 500)))
    payer = PayerSide(offer, a_mandate(max_per_period_msat=Msat(PRICE // 2)), Terms(start=0))
    payer.wake()
    assert only(payer.receive(amount=PRICE // 2), Pay).amount_msat == PRICE // 2


def test_on_approval_every_payment_waits_for_a_yes() -> None:
    payer = PayerSide(terms=ASK_ME)
    for counter in range(3):
        assert names(payer.wake()) == ["subscription.needs_approval"]
        payer.step(Approved())
        payer.pay_period()
        assert payer.state.payments == counter + 1


def test_a_yes_to_every_payment_is_no_yes_to_more_than_the_mandate() -> None:
    payer = PayerSide(terms=ASK_ME, mandate=a_mandate(max_payments=0))
    payer.wake()
    payer.step(Approved())
    assert only(payer.wake(), Emit).data["limit"] == "payments"
    payer.step(Approved())
    payer.pay_period()
    assert payer.state.payments == 1


def test_a_yes_to_one_question_is_no_yes_to_the_amount_of_an_earlier_one() -> None:
    payer = PayerSide()
    payer.wake()
    payer.receive(amount=5 * PRICE)
    assert payer.state.awaiting_msat == 5 * PRICE
    for event in (PauseAsked(), Amended(terms={"trigger": Trigger.ON_APPROVAL}), ResumeAsked()):
        payer.step(event)
    payer.wake()
    assert (payer.state.waits_for, payer.state.awaiting_msat) == (Wait.EACH_PAYMENT, None)
    payer.step(Approved())
    payer.wake()
    assert names(payer.receive(amount=5 * PRICE)) == ["subscription.needs_approval"]


def test_an_approval_when_none_was_asked_for_is_ignored() -> None:
    payer = PayerSide.paid(1)
    idle = payer.state
    assert payer.step(Approved(a_mandate(max_per_period_msat=Msat(10**9)))) == ()
    assert payer.state == idle


def test_an_approval_that_comes_too_late_finds_the_period_missed() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=ASK_ME)
    payer.wake()
    assert payer.state.wake_at == NOW + PERIOD + 100
    assert names(payer.wake()) == ["subscription.missed"]
    assert payer.state.phase is Phase.LAPSED


def test_who_catches_up_may_approve_late() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=Terms(trigger=Trigger.ON_APPROVAL, missed=Missed.CATCH_UP))
    payer.wake()
    assert names(payer.wake()) == ["subscription.missed"]
    assert (payer.state.phase, payer.state.wake_at) == (Phase.NEEDS_APPROVAL, NOW + 2 * PERIOD + 100)
    payer.step(Approved())
    payer.pay_period()
    assert payer.state.payments == 2


def test_a_wait_for_approval_that_is_looked_at_early_goes_on() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=ASK_ME)
    payer.wake()
    waiting = payer.state
    payer.state = replace(waiting, wake_at=payer.now)
    assert payer.wake() == ()
    assert payer.state == waiting


# --- cancels ---------------------------------------------------------------------------------------------------------


def _before_asking() -> PayerSide:
    return PayerSide()


def _asking() -> PayerSide:
    payer = PayerSide()
    payer.wake()
    return payer


def _waiting_for_a_yes() -> PayerSide:
    payer = PayerSide(terms=ASK_ME)
    payer.wake()
    return payer


@pytest.mark.parametrize("make", [_before_asking, _asking, _waiting_for_a_yes])
def test_before_the_first_payment_there_is_nothing_to_cancel_so_it_ends_locally(make: Callable[[], PayerSide]) -> None:
    payer = make()
    effects = payer.step(CancelAsked())
    assert names(effects) == ["subscription.cancel_asked", "subscription.cancelled"]
    assert kinds(effects) == []
    assert (payer.state.phase, payer.state.request, payer.state.wake_at) == (Phase.CANCELLED, None, None)


@pytest.mark.parametrize("base", [None, RecurrenceBase(0, NOW - 3 * PERIOD)], ids=["no base", "base"])
def test_the_courtesy_message_goes_out_in_place_of_the_next_request(base: RecurrenceBase | None) -> None:
    start = None if base is None else 3
    payer = PayerSide.paid(2, an_offer(every(base=base)), terms=Terms(start=start))
    assert names(payer.step(CancelAsked())) == ["subscription.cancel_asked"]
    assert (payer.state.phase, payer.state.wake_at) == (Phase.CANCELLING, NOW + 2 * PERIOD)
    effects = payer.wake()
    cancel = InvoiceRequest.from_bytes(only(effects, SendCancel).request).verify_signature()
    assert (cancel.is_cancel, cancel.counter, cancel.start, cancel.payer_id) == (True, 2, start, KEYS.payer_id)
    assert cancel.invreq_metadata == KEYS.metadata(2, CANCEL_ATTEMPT)
    assert only(effects, Emit) == Emit("subscription.cancelled", {"counter": 2, "payments": 2})
    assert (payer.state.phase, payer.state.wake_at) == (Phase.CANCELLED, None)


def test_a_cancel_echoes_the_payees_opaque_state() -> None:
    payer = PayerSide()
    payer.wake()
    payer.receive(values={fields.INVOICE_RECURRENCE_NEXT_STATE: b"opaque"})
    payer.settle()
    payer.step(CancelAsked())
    assert InvoiceRequest.from_bytes(only(payer.wake(), SendCancel).request).prev_state == b"opaque"


def test_a_cancel_while_asking_pays_no_invoice_any_more_and_goes_out_at_once() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    data = payer.invoice()
    payer.step(CancelAsked())
    assert payer.state.wake_at == payer.now
    assert payer.step(InvoiceArrived(data)) == ()
    assert kinds(payer.wake()) == ["SendCancel"]


def test_a_cancel_while_waiting_for_a_yes_ends_the_wait() -> None:
    payer = PayerSide.paid(1, mandate=a_mandate(max_payments=1))
    payer.wake()
    payer.step(CancelAsked())
    assert payer.step(Approved()) == ()
    assert kinds(payer.wake()) == ["SendCancel"]


def test_a_cancel_asked_twice_is_one_cancel() -> None:
    payer = PayerSide.paid(1)
    payer.step(CancelAsked())
    cancelling = payer.state
    assert payer.step(CancelAsked()) == ()
    assert payer.state == cancelling


@pytest.mark.parametrize("periods", [0, 2])
def test_a_cancel_while_a_payment_may_be_in_flight_waits_for_its_end(periods: int) -> None:
    payer = PayerSide.paid(periods)
    payer.wake()
    payer.receive()
    assert names(payer.step(CancelAsked())) == ["subscription.cancel_asked"]
    assert payer.step(CancelAsked()) == ()
    assert (payer.state.phase, payer.state.cancel_asked) == (Phase.PAYING, True)
    assert kinds(payer.wake()) == ["AskPaymentStatus"]
    payer.settle()
    assert (payer.state.phase, payer.state.payments) == (Phase.CANCELLING, periods + 1)
    assert payer.state.wake_at == NOW + (periods + 1) * PERIOD


def test_a_payment_that_completes_the_subscription_leaves_nothing_to_cancel() -> None:
    payer = PayerSide.paid(1, an_offer(every(limit=1)))
    payer.wake()
    payer.receive()
    payer.step(CancelAsked())
    payer.settle()
    assert payer.state.phase is Phase.COMPLETED


@pytest.mark.parametrize(("periods", "phase"), [(0, Phase.CANCELLED), (2, Phase.CANCELLING)])
@pytest.mark.parametrize("retryable", [True, False])
def test_a_cancelled_payment_that_fails_is_not_tried_again(periods: int, phase: Phase, retryable: bool) -> None:
    payer = PayerSide.paid(periods)
    payer.wake()
    payer.receive()
    payer.step(CancelAsked())
    assert names(payer.fail(retryable=retryable))[0] == "subscription.payment_failed"
    assert (payer.state.phase, payer.state.payment, payer.state.payments) == (phase, None, periods)


@pytest.mark.parametrize(("periods", "phase"), [(0, Phase.CANCELLED), (2, Phase.CANCELLING)])
@pytest.mark.parametrize("retryable", [True, False])
def test_a_cancel_after_a_payment_failed_stops_the_next_try(periods: int, phase: Phase, retryable: bool) -> None:
    payer = PayerSide.paid(periods)
    payer.wake()
    payer.receive()
    payer.fail(retryable=retryable)
    payer.step(CancelAsked())
    assert (payer.state.phase, payer.state.payment) == (phase, None)
    if phase is Phase.CANCELLING:
        assert kinds(payer.wake()) == ["SendCancel"]
    assert payer.state.phase is Phase.CANCELLED


@pytest.mark.parametrize(("periods", "phase"), [(0, Phase.CANCELLED), (2, Phase.CANCELLING)])
def test_a_cancelled_payment_that_was_never_recorded_is_not_made_any_more(periods: int, phase: Phase) -> None:
    payer = PayerSide.paid(periods)
    payer.wake()
    pay = only(payer.receive(), Pay)
    payer.step(CancelAsked())
    assert "Pay" not in kinds(payer.step(PaymentUnknown(pay.payment_hash)))
    assert (payer.state.phase, payer.state.payment) == (phase, None)
