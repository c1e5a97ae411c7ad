"""Periods that are settled without us: what is believed, what is told, and what counts for the mandate."""

import pytest

from helpers.engine import ENTROPY, NOW, PERIOD, PRICE, PayerSide, a_mandate, an_offer, every, names, only
from lnrecur.bolt12 import InvoiceRequest
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence.effects import AskPaymentStatus, Effect, Emit
from lnrecur.recurrence.outbound_model import (
    Approved,
    PaymentFailed,
    PaymentSettled,
    PaymentUnknown,
    Phase,
    RefusalArrived,
    Terms,
)
from lnrecur.values import Msat, UnixSeconds
from lnrecur.wire.integers import encode_tu32

WINDOW = every(paywindow=Paywindow(50, 100))


def settled(told: int | None = None, text: str = "it is paid already [Q13]") -> RefusalArrived:
    suggested = None if told is None else encode_tu32(told)
    return RefusalArrived(write_invoice_error(text, field=92, suggested=suggested).to_bytes(), ENTROPY)


def adopted(effects: tuple[Effect, ...], name: str = "subscription.adopted") -> list[object]:
    return [effect.data["counter"] for effect in effects if isinstance(effect, Emit) and effect.name == name]


def asking(periods: int, **offer: object) -> PayerSide:
    payer = PayerSide.paid(periods, an_offer(**offer))
    payer.wake()
    return payer


def test_a_counter_that_the_other_daemon_paid_is_adopted_and_the_next_one_asked_for_in_its_time() -> None:
    payer = asking(2)
    effects = payer.step(settled(3))
    assert adopted(effects) == [2]
    assert (payer.state.phase, payer.state.next_counter, payer.state.payments) == (Phase.IDLE, 3, 2)
    assert (payer.state.adopted, payer.state.adopted_msat, payer.state.wake_at) == (1, PRICE, NOW + 3 * PERIOD)
    payer.pay_period()
    assert (payer.state.payments, payer.state.next_counter) == (3, 4)


def test_without_a_better_value_it_is_this_counter_alone() -> None:
    payer = asking(2)
    payer.step(settled())
    assert payer.state.next_counter == 3


def test_who_was_away_for_long_adopts_all_that_the_calendar_allows() -> None:
    payer = PayerSide.paid(2, an_offer(every()))
    payer.wake()
    payer.now = UnixSeconds(NOW + 6 * PERIOD + 10)
    assert adopted(payer.step(settled(7))) == [2, 3, 4, 5, 6]
    assert payer.state.next_counter == 7


@pytest.mark.parametrize("told", [4, 100, 2**32 - 1])
def test_a_payee_that_claims_payments_for_periods_to_come_is_believed_no_further_than_the_calendar(told: int) -> None:
    payer = asking(2, recurrence=WINDOW)
    payer.step(settled(told))
    assert payer.state.next_counter == 3
    assert payer.state.wake_at == NOW + 3 * PERIOD


@pytest.mark.parametrize("told", [0, 1, 2])
def test_a_payee_that_claims_less_than_we_have_paid_is_not_followed(told: int) -> None:
    payer = asking(2)
    request = payer.state.request
    payer.step(settled(told))
    assert (payer.state.phase, payer.state.next_counter, payer.state.request) == (Phase.REQUESTING, 2, request)


def test_a_waived_period_is_told_as_such_and_costs_nothing_of_the_mandate() -> None:
    payer = asking(2)
    effects = payer.step(settled(3, "counter 2 is waived already [Q13]"))
    assert adopted(effects, "subscription.waived") == [2]
    assert (payer.state.waived, payer.state.adopted, payer.state.adopted_msat) == (1, 0, 0)


def test_what_the_other_daemon_paid_counts_for_our_mandate() -> None:
    payer = PayerSide.paid(1, mandate=a_mandate(max_payments=2))
    payer.wake()
    payer.step(settled(2))
    assert names(payer.wake()) == ["subscription.needs_approval"]
    payer = PayerSide.paid(1, mandate=a_mandate(max_total_msat=Msat(2 * PRICE)))
    payer.wake()
    payer.step(settled(2))
    assert only(payer.wake(), Emit).data["limit"] == "total"


def test_the_last_period_may_be_adopted_too() -> None:
    payer = asking(1, recurrence=every(limit=1))
    assert names(payer.step(settled(2)))[-1] == "subscription.completed"
    assert payer.state.phase is Phase.COMPLETED


def test_a_first_payment_that_the_other_daemon_made_leaves_the_basetime_to_the_next_invoice() -> None:
    payer = asking(0)
    payer.step(settled(1))
    assert (payer.state.next_counter, payer.state.basetime) == (1, None)
    assert payer.state.wake_at == NOW + PERIOD, "it was paid after the subscription was authorised"
    payer.wake()
    assert InvoiceRequest.from_bytes(payer.request).counter == 1
    payer.receive(basetime=NOW + 20)
    payer.settle()
    assert (payer.state.basetime, payer.state.payments, payer.state.next_counter) == (NOW + 20, 1, 2)


@pytest.mark.parametrize("basetime", [NOW - 3601, NOW + PERIOD + 3601, NOW + PERIOD])
def test_a_basetime_that_cannot_be_is_not_adopted(basetime: int) -> None:
    payer = PayerSide(an_offer(every(paywindow=Paywindow(10, 900))))
    payer.wake()
    payer.step(settled(1))
    payer.wake()
    assert names(payer.receive(basetime=basetime)) == ["subscription.invoice_refused"]
    assert payer.state.phase is Phase.REQUESTING


def test_with_a_base_the_first_payment_may_be_adopted_as_well() -> None:
    payer = PayerSide(an_offer(every(base=RecurrenceBase(0, NOW))), terms=Terms(start=0))
    payer.wake()
    payer.step(settled(1))
    assert payer.state.wake_at == NOW + PERIOD


# --- our own money node is asked first -------------------------------------------------------------------------------


def given_up(periods: int = 1) -> PayerSide:
    """A payment finally failed; a new invoice was asked for."""
    payer = asking(periods)
    payer.receive()
    payer.fail(retryable=False)
    payer.wake()
    payer.wake()
    return payer


def test_a_payment_that_was_given_up_is_asked_about_before_the_payee_is_believed() -> None:
    payer = given_up()
    asked = only(payer.step(settled(2)), AskPaymentStatus)
    assert asked.payment_hash == payer.payment_hash
    assert (payer.state.next_counter, payer.state.adopting) == (1, 2)


def test_it_had_settled_after_all_and_is_booked() -> None:
    payer = given_up()
    payer.step(settled(2))
    effects = payer.step(PaymentSettled(payer.payment_hash, payer.preimage, Msat(1)))
    assert names(effects) == ["subscription.renewed"]
    assert (payer.state.payments, payer.state.next_counter, payer.state.adopted) == (2, 2, 0)


@pytest.mark.parametrize("known", [True, False], ids=["failed", "unknown"])
def test_it_had_not_and_then_the_payee_is_believed(known: bool) -> None:
    payer = given_up()
    payer.step(settled(2))
    told = payer.payment_hash
    event = PaymentFailed(told, "no_route", False, ENTROPY) if known else PaymentUnknown(told)
    assert adopted(payer.step(event)) == [1]
    assert (payer.state.payments, payer.state.next_counter) == (1, 2)


def test_a_node_that_does_not_answer_is_asked_again_at_the_next_refusal() -> None:
    payer = given_up()
    for _ in range(3):
        assert only(payer.step(settled(2)), AskPaymentStatus).payment_hash == payer.payment_hash
        payer.wake()
    assert payer.state.next_counter == 1


# --- what Core Lightning says ----------------------------------------------------------------------------------------


def test_internal_error_is_put_before_a_person_who_may_say_that_it_was_paid_elsewhere() -> None:
    payer = asking(2)
    for _ in range(4):
        payer.step(RefusalArrived(write_invoice_error("Internal error").to_bytes(), ENTROPY))
    assert payer.state.phase is Phase.NEEDS_APPROVAL
    assert "another daemon with your seed" in (payer.state.problem or "")
    assert adopted(payer.step(Approved(paid_elsewhere=True))) == [2]
    assert (payer.state.phase, payer.state.next_counter) == (Phase.IDLE, 3)


def test_or_may_ask_once_more() -> None:
    payer = asking(2)
    for _ in range(4):
        payer.step(RefusalArrived(write_invoice_error("Internal error").to_bytes(), ENTROPY))
    payer.step(Approved())
    payer.pay_period()
    assert (payer.state.payments, payer.state.adopted) == (3, 0)
