"""Every period whose window closes unpaid is told once (P3); it stops there, or all are caught up in the mandate."""

from dataclasses import replace

import pytest

from helpers.engine import ENTROPY, KEYS, NOW, PERIOD, PayerSide, a_mandate, an_offer, every, names
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence.effects import Effect, Emit
from lnrecur.recurrence.outbound_missed import TOLD_AT_ONCE
from lnrecur.recurrence.outbound_model import Approved, Due, Missed, Phase, RefusalArrived, Terms, Trigger
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import UnixSeconds

WINDOW = every(paywindow=Paywindow(50, 100))
CATCH_UP = Terms(missed=Missed.CATCH_UP)


def counters(effects: tuple[Effect, ...], name: str = "subscription.missed") -> list[object]:
    return [effect.data["counter"] for effect in effects if isinstance(effect, Emit) and effect.name == name]


def refusal(text: str) -> RefusalArrived:
    return RefusalArrived(write_invoice_error(text).to_bytes(), ENTROPY)


def late(periods: int, *, behind: int, terms: Terms = CATCH_UP, **mandate: object) -> PayerSide:
    """A payer who slept until `behind` windows had closed."""
    payer = PayerSide.paid(periods, an_offer(WINDOW), a_mandate(**mandate), terms)
    payer.now = UnixSeconds(NOW + (periods + behind - 1) * PERIOD + 200)
    return payer


def test_all_that_passed_while_nobody_was_there_are_told_one_by_one() -> None:
    payer = late(1, behind=4)
    effects = payer.wake()
    assert counters(effects) == [1, 2, 3, 4]
    assert names(effects)[-1] == "subscription.requested"
    payer.receive()
    payer.settle()
    assert counters(payer.wake()) == [], "each is told once"


def test_who_stops_is_told_the_first_and_ends_there() -> None:
    payer = late(1, behind=4, terms=Terms())
    assert counters(payer.wake()) == [1]
    assert payer.state.phase is Phase.LAPSED


def test_a_window_that_closes_while_an_earlier_period_is_caught_up_is_told_in_its_time() -> None:
    slow = replace(CATCH_UP, request_retry=RetryPolicy(10**6, cap_s=10**6))
    payer = late(1, behind=1, terms=slow)
    payer.wake()
    assert payer.state.wake_at == NOW + 2 * PERIOD + 100
    effects = payer.wake()
    assert counters(effects) == [2]
    assert payer.state.next_counter == 1


def test_very_many_are_told_in_several_steps_and_nothing_is_asked_before_the_last_is_told() -> None:
    payer = late(1, behind=2 * TOLD_AT_ONCE + 5, catch_up_max=None)
    told = []
    while payer.state.request is None:
        effects = payer.step(Due(KEYS, ENTROPY)) if payer.state.wake_at == payer.now else payer.wake()
        told += counters(effects)
    assert told == list(range(1, 2 * TOLD_AT_ONCE + 6))


def test_more_than_the_mandate_says_are_not_caught_up_without_asking() -> None:
    payer = late(1, behind=4, catch_up_max=3)
    effects = payer.wake()
    assert names(effects)[-1] == "subscription.needs_approval"
    assert "4 periods were missed, at most 3" in (payer.state.problem or "")
    payer.step(Approved())
    for counter in range(1, 5):
        payer.pay_period()
        assert payer.state.next_counter == counter + 1, "one yes is for all that were behind"


def test_as_many_as_the_mandate_says_are_caught_up() -> None:
    payer = late(1, behind=3, catch_up_max=3)
    for _ in range(3):
        payer.pay_period()
    assert payer.state.payments == 4


def test_no_catching_up_at_all_can_be_said_too() -> None:
    payer = late(1, behind=1, catch_up_max=0)
    assert names(payer.wake())[-1] == "subscription.needs_approval"


def test_a_wait_for_approval_tells_what_passes_meanwhile() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=replace(CATCH_UP, trigger=Trigger.ON_APPROVAL))
    payer.wake()
    told = [counters(payer.wake()) for _ in range(3)]
    assert told == [[1], [2], [3]]


def test_nothing_is_missed_behind_the_limit_or_at_the_end_of_time() -> None:
    payer = PayerSide.paid(1, an_offer(every(paywindow=Paywindow(50, 100), limit=2)), terms=CATCH_UP)
    payer.now = UnixSeconds(NOW + 50 * PERIOD)
    assert counters(payer.wake()) == [1, 2]


def test_a_payee_that_says_too_late_is_the_end_also_for_who_would_catch_up() -> None:
    payer = late(1, behind=1)
    payer.wake()
    effects = payer.step(refusal("too late: it could be paid before 5, it is 6 [Q16]"))
    assert names(effects) == ["subscription.request_refused", "subscription.given_up"]
    assert payer.state.phase is Phase.LAPSED


def test_a_payee_whose_clock_is_ahead_ends_it_too_and_the_period_is_told() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW))
    payer.wake()
    effects = payer.step(refusal("period_index 1 too late (ended 1700000000)"))
    assert counters(effects) == [1]
    assert payer.state.phase is Phase.LAPSED


def test_a_payee_that_says_too_early_is_asked_again_at_the_moment_it_names() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW))
    payer.wake()
    request, until = payer.state.request, payer.now + 40
    payer.step(refusal(f"too early: period 1 can be paid from {until}, it is 5 [Q16]"))
    assert payer.state.wake_at == until
    payer.wake()
    assert payer.state.request is not None
    assert request is not None
    assert payer.state.request.data == request.data


@pytest.mark.parametrize("until", [NOW, NOW + PERIOD + 100, NOW + 10**9])
def test_a_moment_that_is_past_or_behind_the_window_is_not_waited_for(until: int) -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW))
    payer.wake()
    wake_at = payer.state.wake_at
    payer.step(refusal(f"period_index 1 too early (start {until})"))
    assert payer.state.wake_at == wake_at


@pytest.mark.parametrize("until", [NOW + 60, NOW + 10**9, 2**63, 10**20 - 1])
def test_before_the_first_payment_there_is_no_period_that_it_could_be_too_early_for(until: int) -> None:
    payer = PayerSide()
    payer.wake()
    wake_at = payer.state.wake_at
    payer.step(refusal(f"too early: period 0 can be paid from {until}, it is {NOW} [Q16]"))
    assert payer.state.wake_at == wake_at


@pytest.mark.parametrize(("ahead", "waits"), [(0, True), (3600, True), (3601, False), (10**9, False)])
def test_with_a_base_a_first_payment_waits_for_its_period_by_any_clock_and_not_longer(ahead: int, waits: bool) -> None:
    start = NOW + 5 * PERIOD
    payer = PayerSide(an_offer(every(base=RecurrenceBase(0, start))), terms=Terms(start=0))
    payer.wake()
    wake_at = payer.state.wake_at
    payer.step(refusal(f"period_index 0 too early (start {start + ahead})"))
    assert payer.state.wake_at == (start + ahead if waits else wake_at)


def test_a_payee_that_has_paused_costs_no_subscription_and_the_period_is_told() -> None:
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=Terms(missed=Missed.STOP))
    payer.wake()
    payer.step(refusal("this offer is paused: please ask again later [Q22]"))
    told: list[object] = []
    while payer.now < NOW + 2 * PERIOD + 100:
        told += counters(payer.wake())
    assert (told, payer.state.phase) == ([1, 2], Phase.REQUESTING)
    payer.step(refusal("counter 1 is waived already [Q13]"))
    assert (payer.state.waived, payer.state.next_counter) == (1, 2)


def test_while_nothing_is_paid_a_period_that_has_passed_is_left_for_the_next() -> None:
    base = RecurrenceBase(1, NOW - 500)
    payer = PayerSide(an_offer(every(base=base)), terms=Terms(start=0))
    payer.wake()
    payer.now = UnixSeconds(NOW + 2600)
    effects = payer.step(refusal("offer_amount: period 0 ended at 5, and its price is for the time left [T10]"))
    assert names(effects) == ["subscription.request_refused", "subscription.start_moved"]
    assert (payer.state.terms.start, payer.state.request, payer.state.wake_at) == (3, None, payer.now)
    payer.pay_period()
    assert payer.state.payments == 1


def test_where_no_later_period_is_left_to_begin_with_it_ends() -> None:
    payer = PayerSide(an_offer(every(base=RecurrenceBase(1, NOW - 500), limit=1)), terms=Terms(start=1))
    payer.wake()
    assert payer.step(refusal("nothing is left of it [T10]"))
    assert payer.state.phase is Phase.LAPSED
