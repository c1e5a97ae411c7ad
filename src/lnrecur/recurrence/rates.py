"""What a bitcoin costs in a currency, and amounts of that currency in msat and back: whole numbers only.

An offer in a currency names its amount in the currency's minor unit (ISO 4217: cents, where there are cents). A rate is
the price of one bitcoin in that same unit, so no exponent is needed to convert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lnrecur.recurrence.errors import PriceError
from lnrecur.values import Msat, UnixSeconds
from lnrecur.wire.integers import U64_MAX

MSAT_PER_BTC: Final = 100_000_000_000


@dataclass(frozen=True, slots=True)
class Worth:
    """A sum of payments in a currency, each at its own rate; exact: `parts` is minor units times `MSAT_PER_BTC`."""

    currency: str
    parts: int

    @classmethod
    def of(cls, currency: str, minor: int) -> Worth:
        """What a price in minor units is worth, by the same rule as `ExchangeRate.worth`."""
        return cls(currency, max(0, minor * MSAT_PER_BTC - 1))

    @property
    def minor(self) -> int:
        """In minor units, rounded up."""
        return -(-self.parts // MSAT_PER_BTC)

    def plus(self, other: Worth) -> Worth:
        """The sum; the other alone, where that is in another currency."""
        return Worth(self.currency, self.parts + other.parts) if other.currency == self.currency else other


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """One bitcoin costs `minor_per_btc` minor units of `currency` (ISO 4217, capitals), as `source` said at `at`."""

    currency: str
    minor_per_btc: int
    at: UnixSeconds
    source: str

    def __post_init__(self) -> None:
        """Refuse what is no price."""
        if not 0 < self.minor_per_btc <= U64_MAX:
            raise PriceError(f"a bitcoin cannot cost {self.minor_per_btc} of {self.currency} ({self.source})")

    def msat(self, minor: int) -> Msat:
        """What `minor` units are worth, rounded up to the msat: nobody is sold anything below its price (Q17)."""
        return Msat(-(-minor * MSAT_PER_BTC // self.minor_per_btc))

    def worth(self, msat: int) -> Worth:
        """What a payment of `msat` is worth. A price becomes msat by rounding up, so the last msat is not counted.

        What is worth a price is then worth a little less than that, and n such payments less than n times the price.
        """
        return Worth(self.currency, max(0, msat - 1) * self.minor_per_btc)

    def minor(self, msat: int) -> int:
        """What `msat` are worth, rounded up to the minor unit."""
        return -(-msat * self.minor_per_btc // MSAT_PER_BTC)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a receipt says beside the msat: the price in minor units of a currency, and the rate it was converted at."""

    minor: int
    rate: ExchangeRate
