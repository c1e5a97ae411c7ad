"""Pause and resume: nothing is paid meanwhile, and what passes is told."""

import pytest

from helpers.engine import (
    ENTROPY,
    NOW,
    PERIOD,
    PRICE,
    PayerSide,
    a_mandate,
    a_plain_offer,
    an_offer,
    every,
    kinds,
    names,
    only,
)
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence.effects import AskPaymentStatus, Pay
from lnrecur.recurrence.outbound_model import (
    CancelAsked,
    InvoiceArrived,
    Missed,
    PauseAsked,
    PaymentUnknown,
    Phase,
    RefusalArrived,
    ResumeAsked,
    Terms,
    Trigger,
)
from lnrecur.values import Msat, UnixSeconds

WINDOW = every(paywindow=Paywindow(50, 100))
CATCH_UP = Terms(missed=Missed.CATCH_UP)


def paused(periods: int = 1, **terms: object) -> PayerSide:
    payer = PayerSide.paid(periods, an_offer(WINDOW), terms=Terms(**terms))
    assert names(payer.step(PauseAsked())) == ["subscription.paused"]
    return payer


def test_who_resumes_in_time_misses_nothing() -> None:
    payer = paused()
    assert payer.state.wake_at == NOW + PERIOD + 100
    payer.now = UnixSeconds(NOW + PERIOD + 99)
    assert names(payer.step(ResumeAsked())) == ["subscription.resumed"]
    payer.pay_period()
    assert payer.state.payments == 2


def test_who_resumes_early_pays_when_the_period_is_due() -> None:
    payer = paused()
    payer.now = UnixSeconds(NOW + 500)
    payer.step(ResumeAsked())
    assert (payer.state.phase, payer.state.wake_at) == (Phase.IDLE, NOW + PERIOD)


def test_a_period_that_passes_ends_it_where_missed_periods_do() -> None:
    payer = paused()
    assert names(payer.wake()) == ["subscription.missed"]
    assert (payer.state.phase, payer.state.problem) == (Phase.LAPSED, "paused")


def test_periods_that_pass_are_told_one_by_one_and_caught_up_after_the_resume() -> None:
    payer = paused(missed=Missed.CATCH_UP)
    told = [names(payer.wake()) for _ in range(3)]
    assert told == [["subscription.missed"]] * 3
    assert payer.state.phase is Phase.PAUSED
    payer.step(ResumeAsked())
    for _ in range(3):
        payer.pay_period()
    assert payer.state.payments == 4


def test_a_pause_before_the_first_payment_waits_for_the_subscriber() -> None:
    payer = PayerSide()
    payer.step(PauseAsked())
    assert (payer.state.phase, payer.state.wake_at) == (Phase.PAUSED, None)
    payer.now = UnixSeconds(NOW + 77)
    payer.step(ResumeAsked())
    payer.pay_period()
    assert payer.state.payments == 1


def test_an_invoice_that_comes_during_a_pause_is_not_paid() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    data = payer.invoice()
    payer.step(PauseAsked())
    assert payer.step(InvoiceArrived(data)) == ()
    payer.step(ResumeAsked())
    first = data
    payer.wake()
    assert payer.receive()
    assert payer.state.payment is not None
    assert payer.state.payment.invoice != first


def test_a_payment_in_flight_is_followed_to_its_end_before_the_pause() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive()
    assert names(payer.step(PauseAsked())) == ["subscription.pause_asked"]
    assert payer.step(PauseAsked()) == ()
    assert kinds(payer.wake()) == ["AskPaymentStatus"]
    assert names(payer.settle()) == ["subscription.renewed", "subscription.paused"]
    assert (payer.state.phase, payer.state.payments, payer.state.pause_asked) == (Phase.PAUSED, 2, False)


@pytest.mark.parametrize("retryable", [True, False])
def test_a_payment_that_fails_during_a_pause_is_not_tried_again(retryable: bool) -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive()
    payer.step(PauseAsked())
    assert names(payer.fail(retryable=retryable)) == ["subscription.payment_failed", "subscription.paused"]
    assert (payer.state.phase, payer.state.payment) == (Phase.PAUSED, None)


def test_a_payment_that_had_failed_is_not_tried_again_during_a_pause() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive()
    payer.fail(retryable=True)
    assert names(payer.step(PauseAsked())) == ["subscription.paused"]


def test_a_payment_that_the_node_never_recorded_is_not_made_during_a_pause() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    pay = only(payer.receive(), Pay)
    payer.step(PauseAsked())
    assert kinds(payer.step(PaymentUnknown(pay.payment_hash))) == []
    assert payer.state.phase is Phase.PAUSED


def test_a_pause_can_be_taken_back_while_the_payment_is_in_flight() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive()
    payer.step(PauseAsked())
    assert names(payer.step(ResumeAsked())) == ["subscription.resumed"]
    assert payer.step(ResumeAsked()) == ()
    payer.settle()
    assert payer.state.phase is Phase.IDLE


def test_what_waits_for_a_yes_may_be_paused_and_waits_again_after_the_resume() -> None:
    payer = PayerSide.paid(1, terms=Terms(trigger=Trigger.ON_APPROVAL))
    payer.wake()
    payer.step(PauseAsked())
    payer.step(ResumeAsked())
    assert names(payer.wake()) == ["subscription.needs_approval"]


@pytest.mark.parametrize("pause_first", [True, False])
def test_what_failed_before_a_pause_is_asked_about_before_the_payee_is_believed_that_it_was_paid(
    pause_first: bool,
) -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive()
    if pause_first:
        payer.step(PauseAsked())
        payer.fail(retryable=True)
    else:
        payer.fail(retryable=True)
        payer.step(PauseAsked())
    assert payer.state.phase is Phase.PAUSED
    payer.step(ResumeAsked())
    payer.wake()
    error = write_invoice_error("invreq_recurrence_counter: it is paid already [Q13]")
    asked = only(payer.step(RefusalArrived(error.to_bytes(), ENTROPY)), AskPaymentStatus)
    assert asked.payment_hash == payer.payment_hash
    assert names(payer.settle()) == ["subscription.renewed"]
    assert payer.state.payments == 2


@pytest.mark.parametrize(("periods", "phase"), [(0, Phase.CANCELLED), (1, Phase.CANCELLING)])
def test_a_paused_subscription_can_be_cancelled(periods: int, phase: Phase) -> None:
    payer = PayerSide.paid(periods)
    payer.step(PauseAsked())
    payer.step(CancelAsked())
    assert payer.state.phase is phase


def test_a_single_payment_and_what_is_cancelled_cannot_be_paused() -> None:
    assert PayerSide(a_plain_offer(), one_off=True).step(PauseAsked()) == ()
    payer = PayerSide.paid(1)
    payer.step(CancelAsked())
    assert payer.step(PauseAsked()) == ()


def test_a_resume_where_nothing_is_paused_means_nothing() -> None:
    payer = PayerSide.paid(1, mandate=a_mandate(max_per_period_msat=Msat(PRICE)))
    assert payer.step(ResumeAsked()) == ()
