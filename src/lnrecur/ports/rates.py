"""Exchange rates, for offers and mandates in a currency."""

from __future__ import annotations

from typing import ClassVar, Protocol

from lnrecur.errors import Fault, LnrecurError
from lnrecur.recurrence.rates import ExchangeRate


class RateUnavailable(LnrecurError):
    """No rate for this currency may be used now. The text says why: none set, no answer, too old, too far apart."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT
    retry: ClassVar[bool] = True


class RateSource(Protocol):
    """Tells what a bitcoin costs."""

    async def rate(self, currency: str) -> ExchangeRate:
        """A rate for an ISO 4217 currency (capitals) that is fresh enough to be used now.

        Raises:
            RateUnavailable: there is none; the text says why and what to do.
        """
        ...
