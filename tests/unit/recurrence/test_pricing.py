"""What a period costs (Q17, T10)."""

import pytest

from helpers.engine import NOW, PERIOD, a_plain_offer, an_offer, every
from lnrecur.bolt12.codecs import RecurrenceBase
from lnrecur.recurrence.errors import PriceError
from lnrecur.recurrence.pricing import full_price, price_now
from lnrecur.values import Msat
from lnrecur.wire.integers import U64_MAX

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
