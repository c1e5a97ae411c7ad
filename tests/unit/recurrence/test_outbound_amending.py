"""Changing limits and terms while a subscription runs: from the next decision on, each change told."""

from typing import Any

import pytest

from helpers.engine import NOW, PERIOD, PRICE, PayerSide, a_mandate, a_plain_offer, an_offer, kinds, names
from lnrecur.errors import UsageError
from lnrecur.recurrence.effects import Effect, Emit
from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.outbound_model import Amended, Approved, CancelAsked, PauseAsked, Phase, Terms, Trigger
from lnrecur.recurrence.outbound_terms import PayAt
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import Msat, UnixSeconds

LESS = Amended(mandate={"max_per_period_msat": Msat(PRICE - 1)})
MORE = Amended(mandate={"max_per_period_msat": Msat(PRICE + 5)})


def told(effects: tuple[Effect, ...]) -> dict[Any, tuple[Any, Any]]:
    amended = [effect.data for effect in effects if isinstance(effect, Emit) and effect.name == "subscription.amended"]
    return {data["field"]: (data["old"], data["new"]) for data in amended}


def test_each_field_that_changes_is_told_with_its_old_and_its_new_value() -> None:
    payer = PayerSide.paid(1)
    event = Amended(
        mandate={"max_payments": 5, "max_per_period_msat": PRICE, "fiat": FiatLimit("EUR", 999)},
        terms={"trigger": Trigger.ON_APPROVAL, "via": ("a", "b"), "payment_retry": RetryPolicy(7, tries_max=2)},
    )
    assert told(payer.step(event)) == {
        "mandate.max_payments": (None, 5),
        "mandate.fiat": (None, "9.99 EUR plus 5 %"),
        "terms.trigger": ("automatic", "on_approval"),
        "terms.via": ("", "a, b"),
        "terms.payment_retry": (
            "after 5 s, then 2 times as long, up to 600 s (+25 %), at most 10 tries where no pay window bounds them",
            "after 7 s, then 2 times as long, up to 3600 s (+25 %), at most 2 tries",
        ),
    }
    assert payer.step(event) == ()


def test_a_smaller_limit_holds_for_the_next_period() -> None:
    payer = PayerSide.paid(1)
    payer.step(LESS)
    assert names(payer.wake()) == ["subscription.needs_approval"]


def test_a_smaller_limit_holds_for_an_invoice_that_is_under_way() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.step(LESS)
    assert names(payer.receive()) == ["subscription.needs_approval"]


def test_a_payment_in_flight_is_not_called_back_but_not_tried_again_either() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive()
    payer.step(LESS)
    assert (payer.state.phase, kinds(payer.wake())) == (Phase.PAYING, ["AskPaymentStatus"])
    payer.fail(retryable=True)
    assert kinds(payer.wake()) == []
    assert names(payer.wake()) == ["subscription.needs_approval"]


def test_a_payment_in_flight_that_settles_above_a_new_limit_is_booked() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive()
    payer.step(LESS)
    payer.settle()
    assert payer.state.payments == 2


def test_a_larger_limit_lets_go_what_waits_because_of_it() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive(amount=PRICE + 5)
    assert payer.state.phase is Phase.NEEDS_APPROVAL
    payer.step(MORE)
    assert (payer.state.phase, payer.state.wake_at) == (Phase.REQUESTING, payer.now)
    payer.wake()
    payer.receive(amount=PRICE + 5)
    payer.settle()
    assert payer.state.payments == 2


def test_a_limit_that_is_still_too_small_leaves_it_waiting() -> None:
    payer = PayerSide(mandate=a_mandate(max_per_period_msat=Msat(1)))
    payer.wake()
    payer.step(Amended(mandate={"max_per_period_msat": Msat(2)}))
    assert names(payer.wake()) == ["subscription.needs_approval"]


def test_who_is_asked_each_time_goes_on_by_itself_once_that_is_changed() -> None:
    payer = PayerSide(terms=Terms(trigger=Trigger.ON_APPROVAL))
    payer.wake()
    payer.step(MORE)
    assert payer.state.phase is Phase.NEEDS_APPROVAL, "no limit was what it waited for"
    payer.step(Amended(terms={"trigger": Trigger.AUTOMATIC}))
    payer.pay_period()
    assert payer.state.payments == 1


def test_another_moment_in_the_window_plans_the_next_request_anew_and_other_terms_do_not() -> None:
    payer = PayerSide.paid(1)
    payer.step(Amended(terms={"trigger": Trigger.AUTOMATIC, "jitter_s": 0}))
    assert payer.state.wake_at == NOW + PERIOD
    payer.step(Amended(terms={"pay_at": PayAt.EARLIEST}))
    assert payer.state.wake_at == NOW
    payer.step(Amended(terms={"pay_at": PayAt.BEFORE_END, "margin_s": 10}))
    assert payer.state.wake_at == NOW + 2 * PERIOD - 11


def test_a_pause_is_not_ended_by_an_amendment() -> None:
    payer = PayerSide.paid(1)
    payer.step(PauseAsked())
    wake_at = payer.state.wake_at
    assert told(payer.step(Amended(terms={"pay_at": PayAt.EARLIEST})))
    assert (payer.state.phase, payer.state.wake_at) == (Phase.PAUSED, wake_at)


@pytest.mark.parametrize("field", ["start", "quantity", "payer_note", "chain"])
def test_what_stands_in_every_request_cannot_change(field: str) -> None:
    with pytest.raises(UsageError, match="the same for a whole subscription") as raised:
        PayerSide.paid(1).step(Amended(terms={field: 3}))
    assert raised.value.field == field


def test_a_mandate_without_any_limit_per_period_is_none() -> None:
    with pytest.raises(UsageError, match="limits what one period may cost"):
        PayerSide().step(Amended(mandate={"max_per_period_msat": None}))


def test_where_the_payer_chooses_the_amount_the_limit_in_sat_cannot_be_taken_away() -> None:
    payer = PayerSide(an_offer(amount=None), a_mandate(max_payments=0))
    limits = {"max_per_period_msat": None, "fiat": FiatLimit("EUR", 999)}
    with pytest.raises(UsageError, match="leaves the amount to you") as refused:
        payer.step(Amended(mandate=limits))
    assert refused.value.field == "max_per_period_msat"
    payer.wake()
    assert payer.state.phase is Phase.NEEDS_APPROVAL
    with pytest.raises(UsageError, match="leaves the amount to you"):
        payer.step(Approved(Mandate(None, fiat=FiatLimit("EUR", 999))))


def test_a_single_payment_and_what_is_over_are_not_amended() -> None:
    assert PayerSide(a_plain_offer(), one_off=True).step(MORE) == ()
    payer = PayerSide.paid(1)
    payer.step(CancelAsked())
    assert payer.step(MORE) == ()
    payer.now = UnixSeconds(NOW + PERIOD)
    payer.wake()
    assert payer.step(MORE) == ()
