"""What a period costs (Q17, T10)."""

from dataclasses import replace
from typing import Any

import pytest

from helpers.engine import NOW, PERIOD, PRICE, PayeeSide, a_plain_offer, an_offer, every, only
from lnrecur.bolt12 import fields
from lnrecur.bolt12.codecs import RecurrenceBase
from lnrecur.recurrence.effects import Book, Emit, IssueInvoice, Refuse
from lnrecur.recurrence.errors import PriceError
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.pricing import full_price, price_in_currency, price_now
from lnrecur.recurrence.rates import Conversion, ExchangeRate
from lnrecur.recurrence.receive_context import open_context
from lnrecur.values import Msat, UnixSeconds
from lnrecur.wire.integers import U64_MAX, encode_tu64

PROPORTIONAL = every(base=RecurrenceBase(1, NOW))
FIXED = every(base=RecurrenceBase(0, NOW))


def test_a_price_is_per_item() -> None:
    offer = an_offer(quantity_max=10)
    assert full_price(offer, 3) == 30_000
    assert full_price(offer, None) == 10_000
    assert full_price(a_plain_offer(), None) == 10_000


def test_an_offer_without_an_amount_leaves_the_price_to_the_payer() -> None:
    assert full_price(an_offer(amount=None), None) is None


def test_without_exchange_rates_a_price_in_euro_cannot_be_told() -> None:
    with pytest.raises(PriceError, match="priced in EUR"):
        full_price(an_offer(currency="EUR"), None)


@pytest.mark.parametrize(
    ("second", "price"),
    [(-10_000, 1000), (-1, 1000), (0, 1000), (1, 999), (333, 667), (500, 500), (999, 1)],
)
def test_a_proportional_price_falls_with_the_time_that_is_left(second: int, price: int) -> None:
    start = NOW + 5 * PERIOD
    assert price_now(Msat(1000), PROPORTIONAL, NOW, 5, start + second) == price


@pytest.mark.parametrize(
    ("full", "second", "price"), [(7, 1, 7), (7, 999, 1), (1, 999, 1), (3, 500, 2), (10**15, 1, 999 * 10**12)]
)
def test_a_share_of_a_msat_is_rounded_up(full: int, second: int, price: int) -> None:
    assert price_now(Msat(full), PROPORTIONAL, NOW, 0, NOW + second) == price


@pytest.mark.parametrize("late", [PERIOD, PERIOD + 1, 100 * PERIOD])
def test_nothing_is_left_to_pay_for_behind_the_end_of_a_proportional_period(late: int) -> None:
    with pytest.raises(PriceError, match=f"period 0 ended at {NOW + PERIOD}"):
        price_now(Msat(1000), PROPORTIONAL, NOW, 0, NOW + late)


def test_a_fixed_price_does_not_care_about_the_time() -> None:
    assert {price_now(Msat(1000), FIXED, NOW, 0, NOW + late) for late in (-1, 0, 999, 10**6)} == {1000}


def test_the_last_period_of_the_calendar_has_a_price_too() -> None:
    recurrence = every(base=RecurrenceBase(1, U64_MAX - 9))
    assert price_now(Msat(1000), recurrence, U64_MAX - 9, 0, U64_MAX - 4) == 500


# --- currencies ------------------------------------------------------------------------------------------------------

RATE = ExchangeRate("EUR", 6_000_000, UnixSeconds(NOW), "a source")
"""60,000.00 EUR: a cent is 16,666.67 msat."""
EURO = an_offer(amount=999, currency="EUR", quantity_max=10)


def test_a_price_in_a_currency_is_converted_once_over_all_items_and_rounded_up() -> None:
    assert full_price(EURO, 1, RATE) == 16_650_000
    assert full_price(EURO, 3, RATE) == 49_950_000
    assert full_price(an_offer(amount=1, currency="EUR"), None, RATE) == 16_667
    assert full_price(an_offer(amount=1, currency="EUR", quantity_max=0), 3, RATE) == 50_000
    assert price_in_currency(EURO, 3) == 2997
    assert price_in_currency(an_offer(), None) is None


def test_a_rate_of_another_currency_is_none() -> None:
    with pytest.raises(PriceError, match="no exchange rate for it"):
        full_price(EURO, 1, replace(RATE, currency="USD"))


def _asked(payee: PayeeSide, **told: Any) -> IssueInvoice:
    return only(payee.asked(0, **told), IssueInvoice)


def _euro(policy: OfferPolicy | None = None, **offer: Any) -> PayeeSide:
    payee = PayeeSide(an_offer(**{"amount": 999, "currency": "EUR", **offer}), policy)
    payee.rate = RATE
    return payee


def test_an_invoice_in_a_currency_expires_early_and_keeps_its_rate_up_to_the_receipt() -> None:
    payee = _euro()
    issued = _asked(payee)
    assert (issued.amount_msat, issued.expires_at) == (16_650_000, NOW + 600)
    assert issued.conversion == Conversion(999, RATE)
    context = payee.context(issued)
    payee.claimable(context)
    effects = payee.claimed(context)
    assert only(effects, Book).conversion == Conversion(999, RATE)
    [created] = [effect for effect in effects if isinstance(effect, Emit)]
    assert {name: created.data[name] for name in ("currency", "amount_minor", "minor_per_btc", "rate_source")} == {
        "currency": "EUR", "amount_minor": 999, "minor_per_btc": 6_000_000, "rate_source": "a source",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "lives"),
    [
        (OfferPolicy(fiat_expiry_s=60), 60),
        (OfferPolicy(invoice_expiry_s=30), 30),
        (OfferPolicy(invoice_expiry_s=30, fiat_expiry_s=99), 30),
    ],
)
def test_the_shorter_expiry_counts_for_a_currency(policy: OfferPolicy, lives: int) -> None:
    assert _asked(_euro(policy)).expires_at == NOW + lives
    in_sat = PayeeSide(an_offer(every(10**6)), policy)
    assert _asked(in_sat).expires_at == NOW + policy.invoice_expiry_s


def test_without_a_rate_a_price_in_a_currency_is_refused() -> None:
    payee = _euro()
    payee.rate = None
    refused = only(payee.asked(0), Refuse)
    assert (refused.rule, refused.field_number) == ("Q17", fields.OFFER_CURRENCY.number)


def test_who_asks_to_pay_more_than_a_price_in_a_currency_is_told_what_that_is_in_it() -> None:
    issued = _asked(_euro(), values={fields.INVREQ_AMOUNT: 20_000_000})
    assert (issued.amount_msat, issued.conversion) == (20_000_000, Conversion(1200, RATE))
    refused = only(_euro().asked(0, values={fields.INVREQ_AMOUNT: 16_649_999}), Refuse)
    assert (refused.rule, refused.suggested) == ("Q17", encode_tu64(16_650_000))


def test_a_proportional_price_in_a_currency_is_scaled_in_msat_and_in_minor_units() -> None:
    payee = _euro(recurrence=every(base=RecurrenceBase(1, NOW - PERIOD // 3)))
    issued = _asked(payee, start=0)
    left = PERIOD - PERIOD // 3
    assert issued.amount_msat == -(-16_650_000 * left // PERIOD)
    assert issued.conversion == Conversion(-(-999 * left // PERIOD), RATE)


def test_the_conversion_travels_sealed_with_the_receivable() -> None:
    payee = _euro()
    context = payee.context(_asked(payee))
    assert open_context(b"k" * 32, context.payment_hash, context.seal(b"k" * 32)) == context
    named = replace(context, conversion=Conversion(2**64 - 1, ExchangeRate("JPY", 2**64 - 1, NOW, "x" * 99)))
    opened = open_context(b"k" * 32, named.payment_hash, named.seal(b"k" * 32)).conversion
    assert opened is not None
    assert (opened.minor, opened.rate.minor_per_btc, opened.rate.source) == (2**64 - 1, 2**64 - 1, "x" * 64)


# --- the payer chooses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "fits"), [(50_000, True), (59_999, True), (60_000, False), (2**63, False), (9_999, False), (10_000, True)]
)
def test_a_request_may_offer_more_than_the_price_up_to_five_whole_times(asked: int, fits: bool) -> None:
    [effect] = PayeeSide().asked(0, values={fields.INVREQ_AMOUNT: asked})
    assert isinstance(effect, IssueInvoice) is fits
    if not fits:
        assert isinstance(effect, Refuse)
        assert (effect.rule, effect.suggested) == ("Q17", encode_tu64(PRICE))


@pytest.mark.parametrize(("asked", "fits"), [(4999, False), (5000, True), (10**15, True)])
def test_where_the_payer_chooses_the_merchant_names_the_least(asked: int, fits: bool) -> None:
    payee = PayeeSide(an_offer(amount=None), OfferPolicy(amount_min_msat=Msat(5000)))
    [effect] = payee.asked(0, values={fields.INVREQ_AMOUNT: asked})
    assert isinstance(effect, IssueInvoice) is fits
    if not fits:
        assert isinstance(effect, Refuse)
        assert (effect.rule, effect.suggested) == ("Q17", encode_tu64(5000))
