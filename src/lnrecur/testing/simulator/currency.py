"""What a bitcoin costs in a simulated world: a price that wanders a little from day to day, the same for everybody."""

from __future__ import annotations

import random
from typing import Final

from lnrecur.ports import Clock, RateUnavailable
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.values import UnixSeconds

CURRENCY: Final = "EUR"
_DAY_S: Final = 86_400
_START_MINOR: Final = 9_000_000
_SWING_PERCENT: Final = 20


class SimulatedRates:
    """A `lnrecur.ports.RateSource` of one currency: between 80 and 120 % of 90,000 euro, by the day and the seed."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._seed = seed
        self._clock = clock

    async def rate(self, currency: str) -> ExchangeRate:
        """The rate of today."""
        if currency != CURRENCY:
            raise RateUnavailable(f"no rate for {currency}: this world knows {CURRENCY}")
        return self.now()

    def now(self) -> ExchangeRate:
        """The rate of today."""
        day = self._clock.now() // _DAY_S
        swing = random.Random(f"{self._seed}/rate/{day}").randint(-_SWING_PERCENT, _SWING_PERCENT)  # noqa: S311
        return ExchangeRate(CURRENCY, _START_MINOR * (100 + swing) // 100, UnixSeconds(day * _DAY_S), "simulated")
