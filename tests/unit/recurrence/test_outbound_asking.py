"""How a payer asks: resends, refusals, missed windows, giving up."""

from dataclasses import replace

import pytest

from helpers.engine import NOW, PERIOD, PRICE, PayerSide, an_offer, every, kinds, names, only
from lnrecur.bolt12 import InvoiceRequest
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence.effects import Emit, SendInvoiceRequest
from lnrecur.recurrence.outbound_model import (
    Amended,
    Missed,
    PauseAsked,
    Phase,
    RefusalArrived,
    ResumeAsked,
    Terms,
    Unreachable,
)
from lnrecur.recurrence.outbound_times import gives_up_at
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import UnixSeconds

WINDOW = every(paywindow=Paywindow(50, 100))
STOP = Terms(missed=Missed.STOP)
CATCH_UP = Terms(missed=Missed.CATCH_UP)


def _refusal(text: str, field: int | None = None) -> RefusalArrived:
    return RefusalArrived(write_invoice_error(text, field=field).to_bytes(), bytes(8))


def test_a_resend_is_byte_identical_and_comes_ever_later() -> None:
    payer = PayerSide(terms=Terms(request_retry=RetryPolicy(5, cap_s=60, jitter_percent=0)))
    sent, at = [], []
    for _ in range(6):
        sent.append(only(payer.wake(), SendInvoiceRequest).request)
        at.append(payer.now - NOW)
    assert len(set(sent)) == 1
    assert at == [0, 5, 15, 35, 75, 135]


def test_the_jitter_comes_from_the_entropy_of_the_event() -> None:
    payer = PayerSide(terms=Terms(request_retry=RetryPolicy(100, jitter_percent=50)))
    payer.wake()
    assert payer.state.wake_at == NOW + 100


def test_a_request_that_nobody_answers_is_given_up_as_the_policy_says() -> None:
    payer = PayerSide(terms=Terms(request_retry=RetryPolicy(5, tries_max=3)))
    assert [kinds(payer.wake()) for _ in range(3)] == [["SendInvoiceRequest"]] * 3
    effects = payer.wake()
    assert names(effects) == ["subscription.given_up"]
    assert payer.state.phase is Phase.LAPSED
    assert payer.state.problem == "no invoice after 3 requests"


def test_a_first_request_is_not_sent_beyond_the_expiry_of_its_offer() -> None:
    payer = PayerSide(an_offer(absolute_expiry=NOW + 5), terms=Terms(request_retry=RetryPolicy(5, jitter_percent=0)))
    payer.wake()
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]
    assert payer.now == NOW + 5
    assert names(payer.wake()) == ["subscription.given_up"]
    assert payer.state.problem == "the offer has expired"


DAY = 86_400


@pytest.mark.parametrize(("terms", "after"), [(Terms(), DAY), (Terms(give_up_after_s=100), 100)])
def test_a_first_request_that_nobody_answers_is_given_up_after_a_while(terms: Terms, after: int) -> None:
    payer = PayerSide(an_offer(every(30 * DAY)), terms=terms)
    payer.wake()
    payer.step(Unreachable("no peer of ours knows the way"))
    while not payer.state.is_final:
        assert gives_up_at(payer.state) == NOW + after
        effects = payer.wake()
    assert payer.now == NOW + after
    assert names(effects) == ["subscription.given_up"]
    within = "1 day" if after == DAY else "100 seconds"
    assert payer.state.problem == (
        f"the payee cannot be reached: no peer of ours knows the way (no invoice within {within})"
    )


def test_a_first_request_can_be_sent_until_its_offer_expires() -> None:
    offer = an_offer(every(30 * DAY), absolute_expiry=NOW + 50 * DAY)
    payer = PayerSide(offer, terms=Terms(give_up_after_s=None))
    payer.wake()
    while not payer.state.is_final:
        assert gives_up_at(payer.state) == NOW + 50 * DAY + 1
        payer.wake()
    assert (payer.now, payer.state.problem) == (NOW + 50 * DAY + 1, "the offer has expired")


def test_a_first_request_without_any_end_is_sent_for_ever() -> None:
    payer = PayerSide(terms=Terms(give_up_after_s=None))
    for _ in range(50):
        payer.wake()
    assert (payer.state.phase, gives_up_at(payer.state)) == (Phase.AWAITING_FIRST_INVOICE, None)


def test_the_time_to_give_up_begins_anew_when_a_payee_says_from_when_on_it_serves() -> None:
    offer = an_offer(every(30 * DAY, base=RecurrenceBase(0, NOW + 3 * DAY)))
    payer = PayerSide(offer, terms=Terms(start=0, give_up_after_s=DAY))
    payer.wake()
    until = NOW + 3 * DAY
    payer.step(_refusal(f"too early: period 0 can be paid from {until}, it is {NOW} [Q16]"))
    assert payer.state.wake_at == until
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]
    assert gives_up_at(payer.state) == until + DAY


def test_the_time_to_give_up_begins_anew_after_a_pause() -> None:
    payer = PayerSide(an_offer(every(30 * DAY)))
    payer.wake()
    payer.step(PauseAsked())
    payer.now = UnixSeconds(NOW + 9 * DAY)
    payer.step(ResumeAsked())
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]
    assert gives_up_at(payer.state) == NOW + 10 * DAY


def test_amending_the_time_holds_from_the_next_look_on() -> None:
    payer = PayerSide(an_offer(every(30 * DAY)))
    payer.wake()
    payer.step(Amended(terms={"give_up_after_s": 1}))
    payer.wake()
    assert payer.state.phase is Phase.LAPSED


@pytest.mark.parametrize(("terms", "ends"), [(STOP, NOW + PERIOD + 100), (CATCH_UP, None)])
def test_a_later_request_is_given_up_with_its_window(terms: Terms, ends: int | None) -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=replace(terms, give_up_after_s=1))
    payer.wake()
    payer.wake()
    assert payer.state.phase is Phase.REQUESTING
    assert gives_up_at(payer.state) == ends


def test_a_running_subscription_outlives_the_expiry_of_its_offer() -> None:
    payer = PayerSide.paid(3, an_offer(absolute_expiry=NOW + 4))
    payer.wake()
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]


def test_an_unreachable_payee_is_told_and_tried_again() -> None:
    payer = PayerSide()
    payer.wake()
    wake_at = payer.state.wake_at
    effects = payer.step(Unreachable("no peer of ours knows the way"))
    assert only(effects, Emit).data == {"why": "no peer of ours knows the way", "counter": 0}
    told = "the payee cannot be reached: no peer of ours knows the way"
    assert (payer.state.problem, payer.state.wake_at) == (told, wake_at)
    assert payer.step(Unreachable("no peer of ours knows the way")) == (), "the same trouble is told once"
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]
    payer.receive()
    assert payer.state.problem is None


def test_a_refusal_is_told_and_the_request_is_sent_again_when_it_is_due() -> None:
    payer = PayerSide()
    payer.wake()
    request = payer.request
    told = only(payer.step(_refusal("come back later", 92)), Emit)
    data = {"why": "come back later", "field": 92, "counter": 0, "verdict": "later"}
    assert told == Emit("subscription.request_refused", data)
    assert payer.state.problem == "the payee refuses: come back later"
    assert only(payer.wake(), SendInvoiceRequest).request == request


def test_a_refusal_in_the_form_of_ldk_is_understood() -> None:
    payer = PayerSide()
    payer.wake()
    payer.step(RefusalArrived(write_invoice_error("no").to_ldk_bytes(), bytes(8)))
    assert payer.state.problem == "the payee refuses: no"


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"\x01\x05abc", b"\x05\x01\xff"])
def test_an_unreadable_refusal_is_told_and_changes_nothing_else(garbage: bytes) -> None:
    payer = PayerSide()
    payer.wake()
    request = payer.state.request
    assert names(payer.step(RefusalArrived(garbage, bytes(8)))) == ["subscription.request_refused"]
    assert "unreadable" in (payer.state.problem or "")
    assert payer.state.request == request


@pytest.mark.parametrize("text", ["recurrence-ended: the shop closes", "recurrence-changed: lno1new"])
@pytest.mark.parametrize("periods", [0, 2])
def test_a_payee_may_end_a_subscription(text: str, periods: int) -> None:
    payer = PayerSide.paid(periods)
    payer.wake()
    effects = payer.step(_refusal(text))
    assert names(effects) == ["subscription.request_refused", "subscription.ended"]
    data = effects[-1].data if isinstance(effects[-1], Emit) else {}
    assert (data["why"], data["counter"]) == (text, periods)
    assert (payer.state.phase, payer.state.wake_at, payer.state.request) == (Phase.LAPSED, None, None)


def test_an_unanswered_request_is_looked_at_again_when_its_window_closes() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=Terms(request_retry=RetryPolicy(10**6)))
    payer.wake()
    assert payer.state.wake_at == NOW + PERIOD + 100


@pytest.mark.parametrize(("seconds", "missed"), [(99, False), (100, True), (5000, True)])
def test_a_period_is_missed_when_nobody_woke_in_its_window(seconds: int, missed: bool) -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=STOP)
    payer.now = UnixSeconds(NOW + PERIOD + seconds)
    effects = payer.wake()
    assert names(effects) == ["subscription.missed" if missed else "subscription.requested"]
    if missed:
        data = only(effects, Emit).data
        assert (data["counter"], data["index"], data["closed_at"]) == (1, 1, NOW + PERIOD + 100)
        assert payer.state.phase is Phase.LAPSED


def test_a_period_is_missed_when_its_window_closes_without_an_answer() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=STOP)
    payer.wake()
    payer.step(_refusal("not now"))
    payer.now = UnixSeconds(NOW + PERIOD + 100)
    assert names(payer.wake()) == ["subscription.missed"]
    assert payer.state.problem == "the payee refuses: not now"


def test_who_catches_up_pays_late_periods_in_order() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=CATCH_UP)
    payer.now = UnixSeconds(NOW + 4 * PERIOD)
    counters = []
    while payer.state.next_counter <= 4:
        request = InvoiceRequest.from_bytes(only(payer.wake(), SendInvoiceRequest).request)
        counters.append(request.counter)
        assert payer.now == NOW + 4 * PERIOD
        payer.receive()
        payer.settle()
    assert counters == [1, 2, 3, 4]
    assert payer.state.wake_at == NOW + 5 * PERIOD
    assert payer.state.paid_msat == 5 * PRICE


def test_who_catches_up_goes_on_asking_when_the_window_has_closed() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=CATCH_UP)
    payer.wake()
    request = payer.request
    payer.now = UnixSeconds(NOW + PERIOD + 100)
    assert only(payer.wake(), SendInvoiceRequest).request == request
    assert payer.state.wake_at is not None
    assert payer.state.wake_at > payer.now


def test_the_first_request_has_no_window() -> None:
    offer = an_offer(every(base=RecurrenceBase(0, NOW - 10 * PERIOD), paywindow=Paywindow(1, 1)))
    payer = PayerSide(offer, terms=Terms(start=0))
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]
