"""What offers, amounts, spans and moments are in words."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.bolt12 import Dialect, InvoiceRequest, Offer, OfferTerms, Recurrence, TimeUnit, decode, write_offer
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.errors import Bolt12Error, RuleBroken
from lnrecur.crypto.keys import PrivateKey
from lnrecur.recurrence.words import (
    amount_in_words,
    duration_in_words,
    moment_in_words,
    price_in_words,
    recurrence_in_words,
    rfc3339,
)
from lnrecur.wire.integers import U64_MAX
from lnrecur.wire.tlv import TlvRecord, TlvStream

DATA = Path(__file__).parents[2] / "vectors" / "data"
MERCHANT = PrivateKey(b"\x51" * 32)
JANUARY_31 = 1_769_817_600  # 2026-01-31T00:00:00Z
MONTHLY = {"unit": TimeUnit.MONTHS, "period": 1}


def _offer(recurrence: Recurrence | None, **terms: Any) -> Offer:
    told = {"description": "words", "amount": 1_000_000, "issuer_id": MERCHANT.point, **terms}
    return write_offer(OfferTerms(recurrence=recurrence, **told))


def _words(recurrence: Recurrence | None, **terms: Any) -> str:
    return recurrence_in_words(_offer(recurrence, **terms))


@pytest.mark.parametrize("dialect", Dialect)
def test_a_recurrence_without_a_base_begins_with_the_first_payment(dialect: Dialect) -> None:
    every_12_seconds = Recurrence(TimeUnit.SECONDS, 12, dialect=dialect)
    assert _words(every_12_seconds, amount=10_000) == "10 sat every 12 seconds, from the first payment, paid in order"


def test_a_base_and_a_limit_say_the_last_period_and_how_many_payments_that_is() -> None:
    recurrence = Recurrence(**MONTHLY, base=RecurrenceBase(1, JANUARY_31), limit=11)
    assert _words(recurrence) == (
        "1,000 sat every month from 2026-01-31 00:00:00 UTC, up to period 11, at most 12 payments, paid in order, "
        "proportional first period"
    )
    assert "proportional" not in _words(Recurrence(**MONTHLY, base=RecurrenceBase(0, JANUARY_31)))


def test_a_limit_counts_payments_and_the_wire_counts_periods_from_0() -> None:
    assert _words(Recurrence(**MONTHLY, limit=1)) == (
        "1,000 sat every month, from the first payment, at most 2 payments, paid in order"
    )


def test_an_optional_recurrence_may_also_be_paid_once() -> None:
    assert _words(Recurrence(**MONTHLY, optional=True)) == (
        "1,000 sat every month, from the first payment, paid in order, may also be paid once (optional)"
    )


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (86_400, 259_200, "each from 1 day before to 3 days after its start"),
        (0, 600, "each from its start to 10 minutes after it"),
        (3600, 0, "each from 1 hour before its start until it starts"),
        (0, 0, "each in a pay window of no length"),
    ],
)
def test_a_pay_window_is_told_around_the_start(before: int, after: int, told: str) -> None:
    window = Recurrence(**MONTHLY, paywindow=Paywindow(before, after))
    assert _words(window) == f"1,000 sat every month, from the first payment, {told}"


def test_what_does_not_recur_is_paid_once() -> None:
    assert _words(None) == "1,000 sat, paid once"
    assert _words(None, amount=None) == "an amount of the payer's choice, paid once"
    assert _words(None, quantity_max=0) == "1,000 sat per item, paid once"


def test_a_request_that_mirrors_a_broken_recurrence_is_not_put_into_words() -> None:
    records = [
        TlvRecord.of(0, b"metadata"),
        TlvRecord.of(24, b"\x07\x01"),
        TlvRecord.of(88, MERCHANT.point),
    ]
    with pytest.raises(RuleBroken, match=r"\[O3\]"):
        recurrence_in_words(InvoiceRequest(TlvStream(records)))


# Offers that Core Lightning made, and how many of each.
CORE_LIGHTNING = {
    "0.001 sat, paid once": 1,
    "1 sat, paid once": 1,
    "1,000 sat, paid once": 1,
    "1.50 USD, paid once": 1,
    "10 sat every 12 months, from the first payment, paid in order": 1,
    "10 sat every 2 hours, from the first payment, paid in order": 1,
    "10 sat every 28 days, from the first payment, paid in order": 1,
    "10 sat every 30 days, from the first payment, paid in order": 1,
    "10 sat every 4,294,967,289 days, from the first payment, paid in order": 1,
    "10 sat every 4,294,967,295 seconds, from the first payment, paid in order": 1,
    "10 sat every 5 seconds, from the first payment, paid in order": 1,
    "10 sat every 65,536 days, from the first payment, paid in order": 1,
    "10 sat every 7 days, from the first payment, at most 52 payments, "
    "each from 1 day before to 1 day after its start, may also be paid once (optional)": 1,
    "10 sat every 7 days, from the first payment, paid in order": 1,
    "10 sat every day from 1970-01-01 00:00:00 UTC, paid in order": 1,
    "10 sat every day from 2100-01-01 00:00:00 UTC, paid in order": 1,
    "10 sat every day, from the first payment, at most 2 payments, paid in order": 1,
    "10 sat every day, from the first payment, each from 1 hour before to 2 hours after its start": 1,
    "10 sat every day, from the first payment, "
    "each from 4,294,967,295 seconds before to 4,294,967,295 seconds after its start": 1,
    "10 sat every day, from the first payment, each from its start to 10 minutes after it": 1,
    "10 sat every day, from the first payment, each in a pay window of no length": 1,
    "10 sat every day, from the first payment, paid in order": 2,
    "10 sat every hour, from the first payment, paid in order": 1,
    "10 sat every minute, from the first payment, paid in order": 2,
    "10 sat every month from 2024-01-01 00:00:00 UTC, paid in order": 1,
    "10 sat every month from 2024-01-01 00:00:00 UTC, paid in order, proportional first period": 1,
    "10 sat every month from 2024-01-31 00:00:00 UTC, paid in order": 1,
    "10 sat every month, from the first payment, at most 13 payments, paid in order": 2,
    "10 sat every month, from the first payment, at most 4,294,967,296 payments, paid in order": 1,
    "10 sat every month, from the first payment, paid in order": 2,
    "10 sat every month, from the first payment, paid in order, may also be paid once (optional)": 1,
    "10 sat every second, from the first payment, paid in order": 2,
    "10 sat per item every month from 2025-01-01 00:00:00 UTC, up to period 12, at most 13 payments, "
    "each from 7 days before to 1 day after its start, proportional first period": 1,
    "10 sat per item, paid once": 3,
    "10 sat, paid once": 15,
    "100 JPY, paid once": 1,
    "5.00 AUD every 7 days, from the first payment, paid in order": 1,
    "an amount of the payer's choice every 7 days, from the first payment, paid in order": 1,
    "an amount of the payer's choice every month, from the first payment, paid in order, "
    "may also be paid once (optional)": 1,
    "an amount of the payer's choice, paid once": 3,
}


def test_every_offer_core_lightning_made_is_told_in_words() -> None:
    told: Counter[str] = Counter()
    refused = 0
    for text in set(re.findall(r"\blno1[a-z0-9]{6,}", (DATA / "cln" / "offers.json").read_text())):
        try:
            told[recurrence_in_words(decode(text))] += 1
        except Bolt12Error:
            refused += 1
    assert told == CORE_LIGHTNING
    assert refused == 4  # those that tests/vectors/test_recorded_strings.py names


ASKED = {
    "1second": "every second", "1seconds": "every second", "5seconds": "every 5 seconds", "1minute": "every minute",
    "1minutes": "every minute", "1hour": "every hour", "2hours": "every 2 hours", "1day": "every day",
    "1days": "every day", "30days": "every 30 days", "65536days": "every 65,536 days", "1weeks": "every 7 days",
    "4weeks": "every 28 days", "1month": "every month", "1months": "every month", "12months": "every 12 months",
    "4294967295seconds": "every 4,294,967,295 seconds",
    "4294967295weeks": "every 4,294,967,289 days",  # an overflow of Core Lightning's: it is what the bytes say
}  # fmt: skip
"""The `recurrence` parameter of Core Lightning's `offer`, and what the offer it made says."""


def test_the_words_say_what_core_lightning_was_asked_for() -> None:
    compared = set()
    for step in json.loads((DATA / "cln" / "offers.json").read_text())["steps"]:
        asked = step.get("params", {}).get("recurrence")
        if "offer" not in step or asked is None:
            continue
        words = recurrence_in_words(decode(step["offer"]["bolt12"]))
        assert re.search(rf" {ASKED[asked]}(,| from )", words), (asked, words)
        compared.add(asked)
    assert compared == set(ASKED)


@pytest.mark.parametrize(
    ("msat", "words"),
    [
        (0, "0 sat"),
        (1, "0.001 sat"),
        (500, "0.5 sat"),
        (1_000, "1 sat"),
        (10_000, "10 sat"),
        (1_234_567, "1,234.567 sat"),
        (1_000_000_010, "1,000,000.01 sat"),
        (-1_500, "-1.5 sat"),
        (U64_MAX, "18,446,744,073,709,551.615 sat"),
    ],
)
def test_an_amount_is_told_in_sat(msat: int, words: str) -> None:
    assert amount_in_words(msat) == words


@given(st.integers(-U64_MAX, U64_MAX))
def test_an_amount_in_words_is_exact_to_the_msat(msat: int) -> None:
    assert Fraction(amount_in_words(msat).removesuffix(" sat").replace(",", "")) * 1000 == msat


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (500, "USD", "5.00 USD"),
        (5, "EUR", "0.05 EUR"),
        (123_456_789, "EUR", "1,234,567.89 EUR"),
        (100, "JPY", "100 JPY"),
        (5_000, "KRW", "5,000 KRW"),
        (1_500, "BHD", "1.500 BHD"),
        (12_345, "CLF", "1.2345 CLF"),
        (100, "XOF", "100 XOF"),
        (100, "XCD", "1.00 XCD"),
        (3, "XAU", "3 XAU"),
        (10_000, None, "10 sat"),
    ],
)
def test_a_price_in_a_currency_has_its_minor_units(amount: int, currency: str | None, words: str) -> None:
    assert price_in_words(amount, currency) == words


@pytest.mark.parametrize(
    ("unit", "period", "words"),
    [
        (TimeUnit.SECONDS, 0, "0 seconds"),
        (TimeUnit.SECONDS, 1, "1 second"),
        (TimeUnit.SECONDS, 12, "12 seconds"),
        (TimeUnit.SECONDS, 60, "1 minute"),
        (TimeUnit.SECONDS, 90, "90 seconds"),
        (TimeUnit.SECONDS, 3600, "1 hour"),
        (TimeUnit.SECONDS, 86_400, "1 day"),
        (TimeUnit.SECONDS, 90_000, "25 hours"),
        (TimeUnit.DAYS, 1, "1 day"),
        (TimeUnit.DAYS, 365, "365 days"),
        (TimeUnit.MONTHS, 1, "1 month"),
        (TimeUnit.MONTHS, 12, "12 months"),
    ],
)
def test_a_span_is_told_in_the_largest_unit_that_divides_it(unit: TimeUnit, period: int, words: str) -> None:
    assert duration_in_words(unit, period) == words


@pytest.mark.parametrize(
    ("unix", "words", "stamp"),
    [
        (0, "1970-01-01 00:00:00 UTC", "1970-01-01T00:00:00Z"),
        (JANUARY_31, "2026-01-31 00:00:00 UTC", "2026-01-31T00:00:00Z"),
        (951_782_399, "2000-02-28 23:59:59 UTC", "2000-02-28T23:59:59Z"),
        (253_402_300_799, "9999-12-31 23:59:59 UTC", "9999-12-31T23:59:59Z"),
        (253_402_300_800, "10000-01-01 00:00:00 UTC", "+10000-01-01T00:00:00Z"),
        (U64_MAX, "584554051223-11-09 07:00:15 UTC", "+584554051223-11-09T07:00:15Z"),
    ],
)
def test_a_moment_is_told_in_utc_whatever_the_year(unix: int, words: str, stamp: str) -> None:
    assert moment_in_words(unix) == words
    assert rfc3339(unix) == stamp


@given(st.integers(0, 253_402_300_799))
def test_a_moment_is_the_standard_librarys_as_far_as_that_reaches(unix: int) -> None:
    assert datetime.fromisoformat(rfc3339(unix)) == datetime.fromtimestamp(unix, UTC)
