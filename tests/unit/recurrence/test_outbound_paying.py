"""One payment at a time: failures, unknown payments, retries; nothing around a payment that may be in flight (P1)."""

from dataclasses import replace

import pytest

from helpers.engine import ENTROPY, NOW, PERIOD, PayerSide, a_mandate, an_offer, every, kinds, names, only
from lnrecur.bolt12 import Invoice, InvoiceRequest
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.recurrence.effects import AskPaymentStatus, Emit, Pay, SendInvoiceRequest
from lnrecur.recurrence.outbound_model import (
    Amended,
    CancelAsked,
    InvoiceArrived,
    Missed,
    NextTry,
    NodeSilent,
    PaymentFailed,
    PaymentUnknown,
    Phase,
    Terms,
)
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import Msat, UnixSeconds

FIVE_SECONDS = Terms(payment_retry=RetryPolicy(5, cap_s=600, jitter_percent=0, tries_max=3))


def _paying(periods: int = 0, terms: Terms = FIVE_SECONDS, **changes: object) -> tuple[PayerSide, Pay]:
    payer = PayerSide.paid(periods, terms=terms, **changes)
    payer.wake()
    return payer, only(payer.receive(), Pay)


def test_a_payment_in_flight_is_asked_about_by_its_hash_ever_more_rarely() -> None:
    payer, pay = _paying(terms=Terms(payment_retry=RetryPolicy(5, cap_s=7)))
    at = []
    for _ in range(6):
        assert payer.wake() == (AskPaymentStatus(pay.payment_hash),)
        at.append(payer.now - NOW)
    assert at == [2, 4, 8, 14, 21, 28]
    payer.fail(retryable=True)
    assert kinds(payer.wake()) == ["Pay"]
    tried = payer.now
    payer.wake()
    payer.wake()
    assert payer.now - tried == 4


def test_while_a_payment_may_be_in_flight_nothing_else_is_asked_or_paid_however_late_it_is() -> None:
    payer, pay = _paying(1)
    data = pay.invoice
    for _ in range(50):
        payer.now = UnixSeconds(payer.now + PERIOD)
        assert kinds(payer.wake()) == ["AskPaymentStatus"]
        assert payer.step(InvoiceArrived(data)) == ()
    assert payer.state.payment is not None
    assert payer.state.payment.payment_hash == pay.payment_hash
    payer.settle()
    assert payer.state.next_counter == 2


def test_a_payment_that_may_work_later_is_tried_again_with_the_same_invoice() -> None:
    payer, pay = _paying()
    effects = payer.fail(retryable=True)
    assert names(effects) == ["subscription.payment_failed"]
    assert kinds(effects) == []
    assert payer.state.wake_at == NOW + 5
    effects = payer.wake()
    assert only(effects, Pay) == pay
    assert only(effects, Emit) == Emit("payment.retried", {"counter": 0, "try": 2})
    payer.fail(retryable=True)
    assert payer.state.wake_at == payer.now + 10
    payer.wake()
    payer.settle()
    assert payer.state.payments == 1
    assert payer.state.problem is None


def test_a_new_try_has_the_fee_limit_of_the_mandate_as_it_is_then() -> None:
    payer, pay = _paying()
    payer.fail(retryable=True)
    payer.step(Amended(mandate={"fee_base_msat": Msat(77), "fee_ppm": 0}))
    again = only(payer.wake(), Pay)
    assert (again.payment_hash, again.max_fee_msat) == (pay.payment_hash, 77)
    assert pay.max_fee_msat != 77


def test_a_payment_that_will_never_work_is_asked_for_anew_under_the_same_counter() -> None:
    payer, pay = _paying(1)
    payer.fail(retryable=False)
    assert payer.state.payment is not None
    assert payer.state.payment.next_try is NextTry.NEW_INVOICE
    assert payer.wake() == ()
    assert (payer.state.phase, payer.state.payment) == (Phase.REQUESTING, None)
    again = InvoiceRequest.from_bytes(only(payer.wake(), SendInvoiceRequest).request)
    assert again.counter == 1
    assert again.invreq_metadata != InvoiceRequest.from_bytes(_request_of(pay)).invreq_metadata
    new = only(payer.receive(), Pay)
    assert new.payment_hash != pay.payment_hash
    payer.settle()
    assert payer.state.next_counter == 2


def _request_of(pay: Pay) -> bytes:
    return b"".join(record.raw for record in Invoice.from_bytes(pay.invoice).request_records())


def test_a_failed_payment_whose_invoice_expired_meanwhile_is_asked_for_anew() -> None:
    payer, _ = _paying()
    payer.fail(retryable=True)
    payer.now = UnixSeconds(NOW + 601)
    assert payer.wake() == ()
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]


def test_the_last_second_of_an_invoice_is_good_enough() -> None:
    payer, pay = _paying()
    payer.fail(retryable=True)
    payer.now = UnixSeconds(NOW + 600)
    assert only(payer.wake(), Pay) == pay


def test_a_failure_is_told_once() -> None:
    payer, pay = _paying()
    payer.fail(retryable=True)
    failed = payer.state
    assert payer.fail(retryable=False) == ()
    assert payer.step(PaymentUnknown(pay.payment_hash)) == ()
    assert payer.state == failed


def test_the_failure_of_another_payment_is_none_of_ours() -> None:
    payer, _ = _paying()
    paying = payer.state
    other = bytes(32)
    assert payer.step(PaymentFailed(other, "no_route", False, ENTROPY)) == ()
    assert payer.step(PaymentUnknown(other)) == ()
    assert payer.state == paying


def test_a_payment_that_failed_and_then_settled_after_all_is_paid() -> None:
    """The node's last word counts: the preimage is proof."""
    payer, _ = _paying()
    payer.fail(retryable=False)
    payer.settle()
    assert (payer.state.payments, payer.state.phase) == (1, Phase.IDLE)


@pytest.mark.parametrize("retryable", [True, False], ids=["same invoice", "new invoices"])
@pytest.mark.parametrize("periods", [0, 2])
def test_it_gives_up_after_so_many_tries(retryable: bool, periods: int) -> None:
    payer, _ = _paying(periods)
    delays = []
    effects = payer.fail(retryable=retryable)
    while payer.state.phase is not Phase.LAPSED and len(delays) < 10:
        delays.append((payer.state.wake_at or 0) - payer.now)
        while "Pay" not in kinds(payer.receive() if payer.state.request is not None else payer.wake()):
            pass
        effects = payer.fail(retryable=retryable)
    assert delays == [5, 10]
    assert names(effects) == ["subscription.payment_failed", "subscription.given_up"]
    assert (payer.state.problem or "").endswith("to the payee's node (3 tries)")
    assert (payer.state.payments, payer.state.wake_at) == (periods, None)


def test_a_payment_the_node_never_recorded_is_handed_over_again() -> None:
    payer, pay = _paying()
    assert payer.step(PaymentUnknown(pay.payment_hash)) == (pay,)
    assert payer.step(PaymentUnknown(pay.payment_hash)) == (pay,)
    payer.settle()
    assert payer.state.payments == 1


def test_a_money_node_that_cannot_be_asked_is_told_once_and_nothing_is_done_until_it_answers() -> None:
    payer, pay = _paying()
    silent = NodeSilent(pay.payment_hash, "LND is locked")
    effects = payer.step(silent)
    data = {"counter": 0, "why": "LND is locked", "payment_hash": pay.payment_hash.hex()}
    assert effects == (Emit("payment.node_silent", data),)
    assert payer.state.problem == "the money node cannot be asked: LND is locked"
    before = payer.state
    assert payer.step(NodeSilent(pay.payment_hash, "LND is starting")) == ()
    assert payer.state == replace(before, problem="the money node cannot be asked: LND is starting")
    assert payer.step(PaymentUnknown(pay.payment_hash)) == (pay,)
    payer.settle()
    assert payer.state.problem is None
    assert payer.step(silent) == ()


def test_an_unrecorded_payment_whose_invoice_has_expired_is_asked_for_anew() -> None:
    payer, pay = _paying()
    payer.now = UnixSeconds(NOW + 601)
    assert payer.step(PaymentUnknown(pay.payment_hash)) == ()
    assert payer.wake() == ()
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]


@pytest.mark.parametrize("recorded", [True, False], ids=["failed", "never recorded"])
def test_no_try_is_made_behind_the_end_of_the_mandate(recorded: bool) -> None:
    payer, pay = _paying(mandate=a_mandate(ends_at=UnixSeconds(NOW + 5)))
    if recorded:
        payer.fail(retryable=True)
    payer.now = UnixSeconds(NOW + 5)
    if not recorded:
        assert payer.step(PaymentUnknown(pay.payment_hash)) == ()
    assert kinds(payer.wake()) == []
    assert names(payer.wake()) == ["subscription.needs_approval"]
    assert payer.state.phase is Phase.NEEDS_APPROVAL


def test_a_new_invoice_is_not_asked_for_behind_the_window() -> None:
    payer = PayerSide.paid(1, an_offer(every(paywindow=Paywindow(10, 20))), terms=Terms(missed=Missed.STOP))
    payer.wake()
    payer.receive()
    payer.fail(retryable=False)
    payer.now = UnixSeconds(NOW + PERIOD + 20)
    assert payer.wake() == ()
    assert names(payer.wake()) == ["subscription.missed"]
    assert "payment failed (no_route)" in (payer.state.problem or "")


def test_an_invoice_for_a_request_that_was_given_up_changes_nothing() -> None:
    payer = PayerSide()
    payer.wake()
    data = payer.invoice()
    payer.step(InvoiceArrived(data))
    payer.fail(retryable=False)
    payer.wake()
    waiting = payer.state
    assert payer.step(InvoiceArrived(data)) == ()
    assert payer.state == waiting
    payer.wake()
    assert names(payer.step(InvoiceArrived(data))) == ["subscription.invoice_refused"]
    assert payer.state.phase is Phase.AWAITING_FIRST_INVOICE


def test_never_two_payments_at_once_whatever_comes() -> None:
    payer, pay = _paying()
    again, unknown = InvoiceArrived(pay.invoice), PaymentUnknown(pay.payment_hash)
    for event in (again, unknown, CancelAsked(), again, unknown):
        hashes = {effect.payment_hash for effect in payer.step(event) if isinstance(effect, Pay)}
        assert hashes <= {pay.payment_hash}
