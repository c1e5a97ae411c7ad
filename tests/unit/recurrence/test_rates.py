import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.recurrence.errors import PriceError
from lnrecur.recurrence.rates import MSAT_PER_BTC, ExchangeRate
from lnrecur.values import UnixSeconds


def _rate(minor_per_btc: int) -> ExchangeRate:
    return ExchangeRate("EUR", minor_per_btc, UnixSeconds(0), "test")


def test_a_price_is_rounded_up_to_the_msat() -> None:
    assert _rate(10_000_000).msat(999) == 9_990_000  # 100,000 EUR a bitcoin: 9.99 EUR are 9,990 sat
    assert _rate(3).msat(1) == MSAT_PER_BTC // 3 + 1


def test_a_value_is_rounded_up_to_the_minor_unit() -> None:
    assert _rate(10_000_000).minor(9_990_000) == 999
    assert _rate(10_000_000).minor(9_990_001) == 1000


@pytest.mark.parametrize("minor_per_btc", [0, -1])
def test_a_bitcoin_costs_something(minor_per_btc: int) -> None:
    with pytest.raises(PriceError, match=r"cannot cost .* of EUR \(test\)"):
        _rate(minor_per_btc)


@given(st.integers(1, 2**64), st.integers(1, 10**12))
def test_what_is_converted_is_never_worth_less_than_asked(minor: int, minor_per_btc: int) -> None:
    rate = _rate(minor_per_btc)
    msat = rate.msat(minor)
    assert rate.minor(msat) >= minor
    assert msat * minor_per_btc >= minor * MSAT_PER_BTC > (msat - 1) * minor_per_btc
