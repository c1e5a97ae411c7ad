"""Currencies of ISO 4217: how many minor units (cents) make a major one (euro). Whole numbers and decimals only."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from lnrecur.recurrence.errors import PriceError
from lnrecur.wire.integers import U64_MAX

_USUAL_EXPONENT: Final = 2
_EXPONENTS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""ISO 4217, list one: the currencies whose minor unit is not a hundredth."""
_EXPONENT_OF: Final = {code: exponent for exponent, codes in _EXPONENTS.items() for code in codes.split()}
_HUNDREDTHS_WITH_X: Final = ("XAD", "XCD", "XCG")
"""Of the codes that begin with X, those of money in circulation; gold and the like have no minor unit ("N.A.")."""
_DIGITS: Final = 40
"""Enough for any 64-bit number of minor units with as many decimals behind it."""


def currency_exponent(currency: str) -> int:
    """How many decimals the major unit has: 2 for EUR, 0 for JPY, 3 for KWD."""
    whole = currency.startswith("X") and currency not in _HUNDREDTHS_WITH_X
    return _EXPONENT_OF.get(currency, 0 if whole else _USUAL_EXPONENT)


def nearest_minor(currency: str, major: Decimal) -> int:
    """A price in the major unit, to the nearest minor unit.

    Raises:
        PriceError: it is negative, no number, or more than 64 bits hold.
    """
    if not major.is_finite() or not 0 <= major <= U64_MAX:
        raise PriceError(f"{str(major)[:40]} {currency} is no amount")
    context = Context(_DIGITS, ROUND_HALF_EVEN, traps=[])
    minor = int(major.scaleb(currency_exponent(currency), context).to_integral_value(context=context))
    if minor > U64_MAX:
        raise PriceError(f"{str(major)[:40]} {currency} is more than there can be")
    return minor
