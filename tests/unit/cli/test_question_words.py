"""What a subscriber is asked about a running subscription, in words (V8)."""

from __future__ import annotations

from typing import Any

from helpers.cli_daemon import MONTHLY, an_offer
from lnrecur.bolt12 import Recurrence, TimeUnit
from lnrecur.cli.question import Question, question_about
from lnrecur.crypto.keys import PrivateKey

OFFER = an_offer(MONTHLY)
MANDATE: dict[str, Any] = {
    "max_per_period_msat": 1_000_000, "fiat": None, "max_total_msat": None, "max_payments": None, "ends_at": None,
    "fee_base_msat": 10_000, "fee_ppm": 10_000, "fee_max_msat": None, "catch_up_max": 10, "purpose": "",
}  # fmt: skip


def asked(waits_for: str, *, changes: dict[str, Any] | None = None, paid_elsewhere: bool = False, **more: Any) -> Any:
    told = {
        "waits_for": waits_for, "description": "coffee club", "terms": "1,000 sat every month", "next_counter": 3,
        "next_window": None, "total_msat": 3_000_000, "payments": 3, "awaiting_msat": None, "problem": "a reason",
        "mandate": MANDATE, "offer": OFFER, "quantity": None, "missed_periods": 4, "trigger": "automatic",
        "missed": "stop", "pay_at": "start", "margin_s": 0, "invoice_expires_at": None, "ask_if_price_differs": False,
        "give_up_after_s": 3600,
        **more,
    }  # fmt: skip
    question: Question = question_about(told, changes or {}, paid_elsewhere=paid_elsewhere)
    return dict(question.facts)


def moved(new: str, mandate: dict[str, Any] | None = None, **more: Any) -> Any:
    return asked("new_offer", new_offer=new, new_mandate=mandate or {**MANDATE, "max_per_period_msat": 1_200_000},
                 **more)  # fmt: skip


def test_a_new_offer_is_shown_with_all_that_changes() -> None:
    new = an_offer(Recurrence(TimeUnit.DAYS, 14, limit=5), amount=1_200_000)
    told = moved(new)
    assert told["until now"] == "1,000 sat every month, from the first payment, paid in order"
    assert told["price"] == "1,000 sat until now, 1,200 sat from now on"
    assert told["period"] == "1 month until now, 14 days from now on"
    assert told["limit"] == "1,000 sat per period until now, 1,200 sat from now on"
    assert told["terms"] == "1,200 sat every 14 days, from the first payment, at most 6 payments, paid in order"
    assert told["in all"] == "at most 7,200 sat in 6 payments, and at most 132 sat of routing fees"
    assert told["payment 1"] == "now"
    assert "payment 5" in told
    assert "MIND" not in told


def test_what_is_left_of_the_other_limits_bounds_a_new_offer() -> None:
    left = {**MANDATE, "max_per_period_msat": 1_200_000, "max_total_msat": 2_000_000, "ends_at": "2999-01-01T00:00:00Z"}
    told = moved(an_offer(MONTHLY, amount=1_200_000), left)
    assert told["in all"] == "at most 1,200 sat in 1 payment, and at most 22 sat of routing fees"
    assert told["until"].startswith("2999-01-01") or told["until"].startswith("2998-12-31")


def test_a_new_offer_of_another_key_is_told_as_such() -> None:
    told = moved(an_offer(MONTHLY, issuer_id=PrivateKey(bytes([0x64]) * 32).point))
    assert told["MIND"] == "its invoices are signed by another key than those so far"
    assert "price" not in told
    assert "period" not in told


def test_new_prices_are_told_for_as_many_as_were_ordered_and_in_their_currency() -> None:
    several = an_offer(MONTHLY, quantity_max=0)
    fiat = {"currency": "EUR", "max_per_period_minor": 2997, "slippage_ppm": 50_000, "max_total_minor": None}
    told = asked("new_offer", offer=several, quantity=3, new_mandate={**MANDATE, "fiat": fiat},
                 new_offer=an_offer(MONTHLY, quantity_max=0, currency="EUR", amount=999))  # fmt: skip
    assert told["price"] == "3,000 sat until now, 29.97 EUR from now on"
    assert told["limit"] == "1,000 sat per period until now, 29.97 EUR plus 5 % and 1,000 sat from now on"


def test_limits_that_come_with_a_yes_to_a_new_offer_are_those_shown() -> None:
    told = moved(an_offer(MONTHLY, amount=1_200_000), changes={"max_payments": 2})
    assert told["in all"] == "at most 2,400 sat in 2 payments, and at most 44 sat of routing fees"


def test_missed_periods_are_counted_and_summed() -> None:
    told = asked("catch_up")
    assert told["you pay"] == "4 missed periods, late and in order, each at most 1,000 sat, at most 4,000 sat in all"
    assert told["payment"] == "number 4"


def test_a_refusal_is_told_with_what_a_yes_does() -> None:
    assert asked("refusal")["a yes"] == "asks the payee once more"
    assert "another daemon with your seed" in asked("refusal", paid_elsewhere=True)["a yes"]


def test_a_price_in_a_currency_is_asked_about_again_once_it_is_known_in_sat() -> None:
    euro = an_offer(MONTHLY, currency="EUR", amount=1299)
    told = asked("mandate", offer=euro)
    assert told["you pay"] == "12.99 EUR: you are asked again with the amount in sat, before it is paid"


def test_the_pay_window_is_told_where_there_is_one() -> None:
    told = asked("each_payment", next_window={"opens": "2027-01-01T00:00:00Z", "closes": "2027-02-01T00:00:00Z"})
    assert told["pay window"].startswith("from 20")
