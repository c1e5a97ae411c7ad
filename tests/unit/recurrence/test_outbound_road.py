"""The payer's straight road: requests Q1 to Q3 and Q7, due times, the limit, and what settles."""

from dataclasses import replace

import pytest

from helpers.engine import (
    ENTROPY,
    KEYS,
    NOW,
    PERIOD,
    PRICE,
    PayerSide,
    a_mandate,
    an_offer,
    every,
    hash_of,
    kinds,
    names,
    only,
    preimage_of,
)
from lnrecur.bolt12 import Dialect, InvoiceRequest, TimeUnit, fields
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.effects import Book, Pay, SendInvoiceRequest
from lnrecur.recurrence.errors import RecurrenceError
from lnrecur.recurrence.outbound import step
from lnrecur.recurrence.outbound_model import Due, InvoiceArrived, Outbound, PaymentSettled, Phase, Terms
from lnrecur.recurrence.outbound_requests import STATE_MAX
from lnrecur.recurrence.outbound_times import pay_at
from lnrecur.values import REGTEST, Msat, UnixSeconds
from lnrecur.wire.integers import U64_MAX


def _read(data: bytes) -> InvoiceRequest:
    return InvoiceRequest.from_bytes(data).verify_signature()


def test_four_payments_and_the_limit_is_reached() -> None:
    payer = PayerSide(an_offer(every(limit=3)))
    told: list[str] = []
    booked: list[Book] = []
    for counter in range(4):
        told += names(payer.wake())
        assert payer.now == NOW + counter * PERIOD
        told += names(payer.receive())
        effects = payer.settle(fee=2)
        booked.append(only(effects, Book))
        told += names(effects)
    assert told == [
        "subscription.requested", "payment.started", "subscription.created",
        *["subscription.requested", "payment.started", "subscription.renewed"] * 3, "subscription.completed",
    ]  # fmt: skip
    assert [(book.counter, book.period_start, book.settled_at) for book in booked] == [
        (counter, NOW + counter * PERIOD, NOW + counter * PERIOD) for counter in range(4)
    ]
    assert all(hash_of(book.preimage) == book.payment_hash and not book.surplus for book in booked)
    state = payer.state
    assert (state.phase, state.payments, state.paid_msat, state.fees_msat) == (Phase.COMPLETED, 4, 4 * PRICE, 8)
    assert (state.wake_at, state.request, state.payment) == (None, None, None)


def test_the_phases_of_one_period() -> None:
    payer = PayerSide()
    phases = [payer.state.phase]
    for act in (payer.wake, payer.receive, payer.settle, payer.wake, payer.receive, payer.settle):
        act()
        phases.append(payer.state.phase)
    asking, paying, idle = Phase.AWAITING_FIRST_INVOICE, Phase.PAYING, Phase.IDLE
    assert phases == [asking, asking, paying, idle, Phase.REQUESTING, paying, idle]


def test_the_first_request_is_counter_0_of_an_unused_payer() -> None:
    payer = PayerSide()
    request = _read(only(payer.wake(), SendInvoiceRequest).request)
    assert (request.counter, request.start, request.is_cancel, request.prev_state) == (0, None, False, None)
    assert request.payer_id == KEYS.payer_id
    assert request.invreq_metadata == KEYS.metadata(0, 0)
    assert request.offer_records() == payer.state.offer.stream.records
    assert request.invreq_amount is None


def test_later_requests_count_up_under_the_same_payer_id_with_other_metadata() -> None:
    payer = PayerSide()
    requests = []
    for _ in range(3):
        requests.append(_read(only(payer.wake(), SendInvoiceRequest).request))
        payer.receive()
        payer.settle()
    assert [request.counter for request in requests] == [0, 1, 2]
    assert {request.payer_id for request in requests} == {KEYS.payer_id}
    assert len({request.invreq_metadata for request in requests}) == 3


def test_with_a_base_every_request_names_the_same_start() -> None:
    offer = an_offer(every(base=RecurrenceBase(0, NOW - 5 * PERIOD)))
    payer = PayerSide(offer, terms=Terms(start=5))
    requests = []
    for counter in range(3):
        requests.append(_read(only(payer.wake(), SendInvoiceRequest).request))
        assert payer.now == NOW + counter * PERIOD
        payer.receive()
        booked = only(payer.settle(), Book)
        assert booked.period_start == NOW + counter * PERIOD
    assert [(request.counter, request.start, request.period_index) for request in requests] == [
        (0, 5, 5), (1, 5, 6), (2, 5, 7),
    ]  # fmt: skip


def test_a_late_joiner_pays_up_to_the_highest_index_and_no_further() -> None:
    payer = PayerSide.paid(3, an_offer(every(base=RecurrenceBase(0, NOW), limit=7)), terms=Terms(start=5))
    assert (payer.state.phase, payer.state.payments) == (Phase.COMPLETED, 3)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_requests_speak_the_dialect_of_the_offer(dialect: Dialect) -> None:
    payer = PayerSide(an_offer(every(dialect=dialect)))
    request = _read(only(payer.wake(), SendInvoiceRequest).request)
    assert request.dialect is dialect
    assert request.stream.get(fields.INVREQ_RECURRENCE_COUNTER.number_in(dialect)) == b""
    payer.receive()
    payer.settle()
    assert payer.state.payments == 1


def test_terms_appear_in_the_request() -> None:
    terms = Terms(quantity=3, payer_note="for the garden", chain=REGTEST)
    offer = an_offer(quantity_max=5, chains=(REGTEST,))
    payer = PayerSide(offer, a_mandate(max_per_period_msat=Msat(30_000)), terms)
    request = _read(only(payer.wake(), SendInvoiceRequest).request)
    assert (request.quantity, request.payer_note, request.chain) == (3, "for the garden", REGTEST)


def test_where_the_payer_chooses_the_amount_it_is_what_the_mandate_allows() -> None:
    payer = PayerSide(an_offer(amount=None))
    request = _read(only(payer.wake(), SendInvoiceRequest).request)
    assert request.invreq_amount == PRICE


def test_only_the_invoice_that_was_paid_pins_the_basetime() -> None:
    payer = PayerSide()
    payer.wake()
    payer.receive()
    first = payer.now
    assert payer.state.basetime is None
    payer.fail(retryable=False)
    payer.wake()  # the failed invoice is given up
    payer.wake()  # and the period is asked for anew
    payer.receive()
    assert payer.state.basetime is None
    assert payer.now > first
    pinned = payer.now
    payer.now = UnixSeconds(pinned + 7)
    payer.settle()
    assert payer.state.basetime == pinned
    assert payer.state.wake_at == pinned + PERIOD


def test_the_next_period_is_due_at_its_start_or_as_near_to_it_as_its_window_allows() -> None:
    due = {
        "no paywindow": (None, PERIOD),
        "around the start": (Paywindow(10, 10), PERIOD),
        "only before": (Paywindow(10, 0), PERIOD - 1),
    }
    for name, (paywindow, at) in due.items():
        payer = PayerSide.paid(1, an_offer(every(paywindow=paywindow)))
        assert payer.state.wake_at == NOW + at, name


def test_the_first_period_is_due_when_the_subscription_was_made() -> None:
    assert pay_at(PayerSide().state) == NOW


def test_months_are_due_on_the_day_of_the_base() -> None:
    base = 1_706_659_200  # 31 January 2024
    offer = an_offer(replace(every(), unit=TimeUnit.MONTHS, period=1, base=RecurrenceBase(0, base)))
    payer = PayerSide(offer, terms=Terms(start=0))
    payer.now = UnixSeconds(base)
    due = []
    for _ in range(3):
        payer.pay_period()
        due.append(payer.state.wake_at)
    assert due == [1_709_164_800, 1_711_843_200, 1_714_435_200]  # 29 February, 31 March, 30 April


def test_a_payment_is_for_the_invoice_and_bounded_in_fees() -> None:
    payer = PayerSide(mandate=a_mandate(fee_base_msat=Msat(7), fee_ppm=1000))
    payer.wake()
    data = payer.invoice()
    pay = only(payer.step(InvoiceArrived(data)), Pay)
    assert pay == Pay(payer.payment_hash, data, PRICE, Msat(17))


def test_the_opaque_state_of_a_paid_invoice_is_echoed_in_the_next_request() -> None:
    payer = PayerSide()
    payer.wake()
    payer.receive(values={fields.INVOICE_RECURRENCE_NEXT_STATE: b"opaque"})
    payer.settle()
    assert _read(only(payer.wake(), SendInvoiceRequest).request).prev_state == b"opaque"
    payer.receive(values={fields.INVOICE_RECURRENCE_NEXT_STATE: bytes(STATE_MAX)})
    payer.settle()
    assert _read(only(payer.wake(), SendInvoiceRequest).request).prev_state == bytes(STATE_MAX)
    payer.receive(values={fields.INVOICE_RECURRENCE_NEXT_STATE: bytes(STATE_MAX + 1)})
    payer.settle()
    assert _read(only(payer.wake(), SendInvoiceRequest).request).prev_state is None


def test_being_woken_early_or_twice_changes_nothing() -> None:
    payer = PayerSide.paid(1)
    idle = payer.state
    for early in (0, 1, PERIOD - 1):
        taken = step(idle, Due(KEYS, ENTROPY), UnixSeconds(NOW + early))
        assert (taken.state, taken.effects) == (idle, ())
    payer.wake()
    asked = payer.state
    assert payer.step(Due(KEYS, ENTROPY)) == ()
    assert payer.state == asked


def test_what_comes_late_or_twice_changes_nothing() -> None:
    payer = PayerSide()
    payer.wake()
    data = payer.invoice()
    assert kinds(payer.step(InvoiceArrived(data))) == ["Pay"]
    paying = payer.state
    assert payer.step(InvoiceArrived(data)) == ()
    assert payer.step(PaymentSettled(hash_of(preimage_of(99)), preimage_of(99), Msat(0))) == ()
    assert payer.state == paying
    payer.settle()
    idle = payer.state
    assert payer.settle() == ()
    assert payer.fail(retryable=False) == ()
    assert payer.step(InvoiceArrived(data)) == ()
    assert payer.state == idle


def test_what_was_paid_is_booked_even_where_the_calendar_ends_behind_it() -> None:
    """A payee could otherwise sell a period that can be paid but never booked (T7)."""
    payer = PayerSide(an_offer(every(base=RecurrenceBase(0, U64_MAX))), terms=Terms(start=0))
    payer.wake()
    payer.receive()
    effects = payer.settle()
    assert only(effects, Book).period_start == U64_MAX
    assert names(effects) == ["subscription.created", "subscription.given_up"]
    assert payer.state.phase is Phase.LAPSED
    assert "beyond what 64 bits" in (payer.state.problem or "")


def test_an_outbound_subscription_holds_a_recurring_offer() -> None:
    plain = an_offer().stream.records
    bare = b"".join(record.raw for record in plain if record.type != fields.OFFER_RECURRENCE_COMPULSORY.number)
    state: Outbound = replace(PayerSide().state, offer_bytes=bare)
    with pytest.raises(RecurrenceError, match="recurring offer"):
        _ = state.recurrence


def test_a_subscription_knows_whether_it_is_over() -> None:
    assert not PayerSide().state.is_final
    assert PayerSide.paid(2, an_offer(every(limit=1))).state.is_final
