"""An answer counts for the question it was given to, and for no other (V8)."""

from dataclasses import replace
from typing import Any

import pytest

from helpers.engine import ENTROPY, PRICE, PayerSide, a_mandate, an_offer, names
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence.effects import Emit
from lnrecur.recurrence.mandate import FiatLimit
from lnrecur.recurrence.outbound_model import Amended, Approved, Declined, Missed, Phase, RefusalArrived, Terms, Wait
from lnrecur.recurrence.outbound_questions import QUESTION_SIZE, OtherQuestion, question_of
from lnrecur.values import Msat

NEW, DEARER = an_offer(amount=PRICE * 2), an_offer(amount=PRICE * 3)


def asked(amount: int = PRICE + 1) -> PayerSide:
    """A payment of this amount waits for a yes."""
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive(amount=amount)
    assert payer.state.phase is Phase.NEEDS_APPROVAL
    return payer


def test_nobody_who_is_not_asked_has_a_question() -> None:
    assert question_of(PayerSide().state) is None
    question = question_of(asked().state)
    assert question is not None
    assert len(question) == QUESTION_SIZE


def test_the_answer_to_what_is_asked_counts() -> None:
    payer = asked()
    assert names(payer.step(Approved(question=question_of(payer.state)))) == ["subscription.approved"]
    payer = asked()
    assert "subscription.declined" in names(payer.step(Declined(question_of(payer.state))))


def test_a_yes_to_one_amount_is_none_to_a_higher_one() -> None:
    seen = question_of(asked().state)
    payer = asked(PRICE + 2)
    before = payer.state
    for answer in (Approved(question=seen), Declined(seen), Approved(question=b"")):
        with pytest.raises(OtherQuestion) as raised:
            payer.step(answer)
        assert (raised.value.field, payer.state) == ("question", before)


def test_a_yes_to_one_offer_is_none_to_another() -> None:
    def moved(new: Any) -> PayerSide:
        payer = PayerSide.paid(1)
        payer.wake()
        payer.step(RefusalArrived(write_invoice_error(f"recurrence-changed: {new.to_text()}").to_bytes(), ENTROPY))
        assert payer.state.waits_for is Wait.NEW_OFFER
        return payer

    seen, payer = question_of(moved(NEW).state), moved(DEARER)
    with pytest.raises(OtherQuestion):
        payer.step(Approved(successor=replace(payer.state, offer_bytes=NEW.to_bytes()), question=seen))
    assert payer.state.phase is Phase.NEEDS_APPROVAL


@pytest.mark.parametrize(
    "change",
    [
        {"mandate": a_mandate(max_total_msat=Msat(7))},
        {"mandate": a_mandate(fiat=FiatLimit("EUR", 1))},
        {"terms": Terms(missed=Missed.CATCH_UP)},
        {"terms": Terms(quantity=2)},
        {"awaiting_msat": Msat(PRICE + 9)},
        {"waits_for": Wait.EACH_PAYMENT},
        {"new_offer": NEW.to_bytes()},
        {"missed_through": 3},
        {"paid_msat": Msat(PRICE + 1)},
        {"adopted": 1},
        {"problem": "another reason"},
        {"recurrence_id": bytes(32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_yes_would_lead_to_makes_another_question(change: dict[str, Any]) -> None:
    state = asked().state
    assert question_of(replace(state, **change)) != question_of(state)


def test_a_question_stays_the_same_while_nothing_happens() -> None:
    payer = asked()
    before = question_of(payer.state)
    payer.now += 1  # type: ignore[assignment]
    payer.step(Approved(paid_elsewhere=True))
    assert question_of(payer.state) == before


def test_whoever_amended_meanwhile_is_asked_anew() -> None:
    payer = asked()
    seen = question_of(payer.state)
    payer.step(Amended(mandate={"max_total_msat": Msat(PRICE * 9)}))
    payer.wake()
    payer.receive(amount=PRICE + 1)
    with pytest.raises(OtherQuestion):
        payer.step(Approved(question=seen))
    payer.step(Approved(question=question_of(payer.state)))


def test_a_mandate_that_comes_with_a_yes_is_told_field_by_field() -> None:
    payer = asked()
    larger = a_mandate(max_per_period_msat=Msat(PRICE + 1), max_payments=5)
    effects = payer.step(Approved(larger))
    told = [effect.data for effect in effects if isinstance(effect, Emit) and effect.name == "subscription.amended"]
    assert told == [
        {"field": "mandate.max_per_period_msat", "old": PRICE, "new": PRICE + 1},
        {"field": "mandate.max_payments", "old": None, "new": 5},
    ]
    assert names(effects)[0] == "subscription.approved"
