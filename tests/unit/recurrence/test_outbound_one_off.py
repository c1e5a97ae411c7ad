"""A single payment goes through the same machine, and is told in words of its own."""

import pytest

from helpers.engine import NOW, PRICE, PayerSide, a_mandate, a_plain_offer, an_offer, every, kinds, names, only
from lnrecur.bolt12 import InvoiceRequest, Offer, fields
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence.effects import Book, Emit, Pay, SendInvoiceRequest
from lnrecur.recurrence.outbound_model import (
    CancelAsked,
    InvoiceArrived,
    PaymentFailed,
    Phase,
    RefusalArrived,
    Terms,
    Unreachable,
)
from lnrecur.recurrence.retry import ONE_OFF_PAYMENT_RETRY, ONE_OFF_REQUEST_RETRY
from lnrecur.values import Msat

OPTIONAL = an_offer(every(optional=True, paywindow=Paywindow(1, 1)))
TERMS = Terms(request_retry=ONE_OFF_REQUEST_RETRY, payment_retry=ONE_OFF_PAYMENT_RETRY)
OFFERS = pytest.mark.parametrize("offer", [a_plain_offer(), OPTIONAL], ids=["plain", "optional"])


def ordered(offer: Offer | None = None) -> PayerSide:
    return PayerSide(offer or a_plain_offer(), a_mandate(max_payments=1), TERMS, one_off=True)


def refusal(text: str) -> RefusalArrived:
    return RefusalArrived(write_invoice_error(text).to_bytes(), bytes(8))


@OFFERS
def test_it_is_asked_for_without_a_counter_paid_once_and_booked(offer: Offer) -> None:
    payer = ordered(offer)
    request = InvoiceRequest.from_bytes(only(payer.wake(), SendInvoiceRequest).request).verify_signature()
    assert (request.counter, request.start) == (None, None)
    assert only(payer.receive(), Pay).amount_msat == PRICE
    effects = payer.settle()
    assert names(effects) == ["payment.settled"]
    booked = only(effects, Book)
    assert (booked.counter, booked.period_start, booked.amount_msat) == (0, None, PRICE)
    assert (payer.state.phase, payer.state.wake_at, payer.state.payments) == (Phase.COMPLETED, None, 1)


def test_its_events_say_nothing_of_subscriptions() -> None:
    payer = ordered()
    told = [*payer.wake(), *payer.step(Unreachable("no way")), *payer.receive(), *payer.fail(retryable=True)]
    told += [*payer.wake(), *payer.settle()]
    emitted = [effect for effect in told if isinstance(effect, Emit)]
    assert [emit.name for emit in emitted] == [
        "payment.requested", "payment.unreachable", "payment.started", "payment.failed", "payment.retried",
        "payment.settled",
    ]  # fmt: skip
    assert not any({"counter", "index"} & set(emit.data) for emit in emitted)


def test_a_payee_that_asks_for_more_gets_nothing_and_nobody_waits_for_a_yes() -> None:
    payer = ordered()
    payer.wake()
    assert names(payer.receive(amount=PRICE + 1)) == ["payment.given_up"]
    assert payer.state.phase is Phase.LAPSED
    assert "at most 10 sat" in (payer.state.problem or "")


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("Unknown offer", Phase.LAPSED),
        ("Amount must be at least 5msat", Phase.LAPSED),
        ("invreq_payer_id: this payer has paid already [Q13]", Phase.LAPSED),
        (f"recurrence-changed: {an_offer().to_text()}", Phase.LAPSED),
        ("missing invreq_recurrence_counter", Phase.LAPSED),
        ("not now", Phase.AWAITING_FIRST_INVOICE),
    ],
)
def test_what_would_ask_a_person_ends_it(text: str, phase: Phase) -> None:
    payer = ordered()
    payer.wake()
    payer.step(refusal(text))
    assert payer.state.phase is phase


def test_who_has_too_little_is_told_at_once() -> None:
    payer = ordered()
    payer.wake()
    payer.receive()
    payer.step(PaymentFailed(payer.payment_hash, "insufficient_funds", True, bytes(8)))
    assert payer.state.phase is Phase.LAPSED
    assert "has less than 10 sat" in (payer.state.problem or "")


def test_nobody_who_answers_is_given_up_within_minutes() -> None:
    payer = ordered()
    while payer.state.phase is not Phase.LAPSED:
        payer.wake()
    assert payer.now - NOW < 600
    assert payer.state.problem == "no invoice after 10 requests"


def test_a_cancel_before_the_payment_ends_it_and_one_after_it_changes_nothing() -> None:
    payer = ordered()
    payer.wake()
    data = payer.invoice()
    assert names(payer.step(CancelAsked())) == ["payment.cancel_asked", "payment.cancelled"]
    assert kinds(payer.step(InvoiceArrived(data))) == []
    paid = ordered()
    paid.pay_period()
    assert paid.step(CancelAsked()) == ()


def test_a_cancel_of_a_payment_in_flight_follows_it_to_its_end() -> None:
    payer = ordered()
    payer.wake()
    payer.receive()
    payer.step(CancelAsked())
    payer.settle()
    assert (payer.state.phase, payer.state.payments) == (Phase.COMPLETED, 1)


def test_a_recurring_invoice_is_no_answer_to_a_single_payment() -> None:
    payer = ordered(OPTIONAL)
    payer.wake()
    effects = payer.receive(values={fields.INVOICE_RECURRENCE_BASETIME: NOW})
    assert names(effects) == ["payment.invoice_refused"]
    assert "[V1]" in (payer.state.problem or "")


def test_the_payer_chooses_the_amount_where_the_offer_leaves_it() -> None:
    payer = PayerSide(a_plain_offer(amount=None), a_mandate(max_per_period_msat=Msat(77)), TERMS, one_off=True)
    request = InvoiceRequest.from_bytes(only(payer.wake(), SendInvoiceRequest).request)
    assert request.invreq_amount == 77
