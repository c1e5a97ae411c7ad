"""Why payments fail: each reason has words and a way to go on of its own."""

from dataclasses import replace

import pytest

from helpers.engine import (
    ENTROPY,
    NOW,
    PERIOD,
    PRICE,
    STRANGER,
    PayerSide,
    a_plain_offer,
    an_offer,
    every,
    kinds,
    names,
)
from lnrecur.bolt12 import Offer
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.ports import FailureReason
from lnrecur.recurrence.effects import Effect, Emit
from lnrecur.recurrence.outbound_failures import FAILURES, REUSED_HASH, failure_of
from lnrecur.recurrence.outbound_model import (
    Approved,
    Declined,
    PaymentFailed,
    Phase,
    RefusalArrived,
    Terms,
    Unreachable,
    Wait,
)
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import REGTEST, RecurrenceId

WINDOW = every(10**6, paywindow=Paywindow(0, 500_000))
THREE = Terms(payment_retry=RetryPolicy(5, tries_max=3, jitter_percent=0), jitter_s=0)


def failing(reason: str, terms: Terms = THREE, *, times: int = 1) -> tuple[PayerSide, tuple[Effect, ...]]:
    """The payment of the second period fails so many times."""
    payer = PayerSide.paid(1, an_offer(WINDOW), terms=terms)
    payer.wake()
    effects = payer.receive(expiry=400_000)
    for _ in range(times):
        while payer.state.payment is None or payer.state.payment.next_try is not None:
            payer.wake()
        effects = payer.step(PaymentFailed(payer.payment_hash, reason, True, ENTROPY))
    return payer, effects


def test_every_reason_a_money_node_can_give_has_a_line_of_its_own() -> None:
    assert set(FAILURES) == {REUSED_HASH, *(reason.value for reason in FailureReason)}
    assert len({failure.told for failure in FAILURES.values()}) == len(FAILURES)


@pytest.mark.parametrize("reason", FailureReason)
def test_the_reason_is_told_in_the_event_and_in_the_problem(reason: FailureReason) -> None:
    payer, effects = failing(reason.value)
    told = next(effect for effect in effects if isinstance(effect, Emit))
    assert (told.name, told.data["reason"], told.data["why"]) == (
        "subscription.payment_failed",
        reason.value,
        payer.state.problem,
    )


def test_three_troubles_are_three_stories() -> None:
    told = {reason: failing(reason)[0].state.problem or "" for reason in ("insufficient_funds", "no_route")}
    payer = PayerSide.paid(1)
    payer.wake()
    assert names(payer.step(Unreachable("nobody knows the way"))) == ["subscription.unreachable"]
    assert "your node has less than 10 sat to send" in told["insufficient_funds"]
    assert "no route" in told["no_route"]
    assert "the payee cannot be reached" in (payer.state.problem or "")


def test_a_lack_of_funds_has_an_event_of_its_own_once_and_is_tried_as_long_as_the_window_is_open() -> None:
    payer, effects = failing("insufficient_funds")
    assert names(effects) == ["subscription.payment_failed", "subscription.insufficient_funds"]
    payer, effects = failing("insufficient_funds", times=20)
    assert names(effects) == ["subscription.payment_failed"]
    assert payer.state.phase is Phase.PAYING
    assert payer.state.wake_at is not None
    assert payer.state.wake_at - payer.now <= 3600


def test_it_is_not_tried_every_few_minutes_for_days() -> None:
    payer, _ = failing("insufficient_funds", times=30)
    assert payer.now - NOW > 10**6 + 15 * 3600


def test_no_route_is_given_up_after_its_tries() -> None:
    payer, effects = failing("no_route", times=3)
    assert names(effects) == ["subscription.payment_failed", "subscription.given_up"]
    assert payer.state.phase is Phase.LAPSED


def test_without_a_number_of_tries_it_is_tried_until_the_window_closes() -> None:
    payer, _ = failing("no_route", Terms(jitter_s=0), times=60)
    assert payer.state.phase is Phase.PAYING
    assert payer.now < NOW + 10**6 + 500_000


def test_a_first_payment_without_a_window_is_given_up_whatever_the_reason() -> None:
    payer = PayerSide()
    payer.wake()
    payer.receive(expiry=10**6)
    for _ in range(10):
        while payer.state.payment is not None and payer.state.payment.next_try is not None:
            payer.wake()
        payer.step(PaymentFailed(payer.payment_hash, "insufficient_funds", True, ENTROPY))
    assert payer.state.phase is Phase.LAPSED


def test_a_reason_that_nobody_knows_is_told_as_it_came() -> None:
    payer, _ = failing("the moon is full")
    assert payer.state.problem == "payment failed (the moon is full): your node refused it"
    assert not failure_of("the moon is full").patient


# --- another offer in the place of this one (V10) --------------------------------------------------------------------

NEW = an_offer(amount=PRICE * 2)


def told_of(new: Offer, periods: int = 1) -> tuple[PayerSide, tuple[Effect, ...]]:
    payer = PayerSide.paid(periods)
    payer.wake()
    error = write_invoice_error(f"recurrence-changed: {new.to_text()}")
    return payer, payer.step(RefusalArrived(error.to_bytes(), ENTROPY))


def changed(periods: int = 1) -> PayerSide:
    payer, effects = told_of(NEW, periods)
    assert names(effects) == ["subscription.request_refused", "subscription.needs_approval"]
    return payer


def test_a_new_offer_is_shown_and_waits_for_a_person_without_an_end() -> None:
    payer = changed()
    assert (payer.state.waits_for, payer.state.wake_at) == (Wait.NEW_OFFER, None)
    assert payer.state.new_offer == NEW.to_bytes()
    assert "20 sat every 1,000 seconds" in (payer.state.problem or "")
    assert "another key" not in (payer.state.problem or "")


@pytest.mark.parametrize("new", [a_plain_offer(), an_offer(chains=(REGTEST,))], ids=["plain", "another chain"])
def test_an_offer_that_cannot_take_its_place_ends_the_subscription(new: Offer) -> None:
    payer, effects = told_of(new)
    assert names(effects) == ["subscription.request_refused", "subscription.ended"]
    assert (payer.state.phase, payer.state.new_offer) == (Phase.LAPSED, None)


def test_who_is_asked_about_a_new_offer_hears_that_another_key_would_be_paid() -> None:
    payer, effects = told_of(an_offer(issuer_id=STRANGER.point))
    asked = next(effect for effect in effects if isinstance(effect, Emit) and effect.name.endswith("needs_approval"))
    assert (asked.data["another_key"], asked.data["issuer_id"]) == (True, STRANGER.point.hex())
    assert "signed by another key" in (payer.state.problem or "")


@pytest.mark.parametrize("periods", [0, 1])
def test_a_yes_ends_the_old_one_and_names_the_new(periods: int) -> None:
    payer = changed(periods)
    assert payer.step(Approved()) == (), "without the new subscription there is nothing to move to"
    new = RecurrenceId(b"\x07" * 32)
    effects = payer.step(Approved(successor=replace(payer.state, recurrence_id=new)))
    assert names(effects) == ["subscription.replaced"]
    assert (payer.state.phase, payer.state.wake_at) == (Phase.LAPSED, None)


@pytest.mark.parametrize("periods", [0, 1])
def test_a_no_ends_it_without_a_message_to_a_payee_that_has_ended_it_already(periods: int) -> None:
    payer = changed(periods)
    assert names(payer.step(Declined())) == ["subscription.declined", "subscription.cancelled"]
    assert payer.state.phase is Phase.CANCELLED


def test_a_no_to_a_payment_ends_the_subscription_and_tells_the_payee_in_its_time() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive(amount=PRICE + 1)
    payer.step(Declined())
    assert (payer.state.phase, kinds(payer.wake())) == (Phase.CANCELLING, ["SendCancel"])
    assert payer.now == NOW + PERIOD
