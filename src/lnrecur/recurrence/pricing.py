"""What a period costs: the expected amount of rule Q17, scaled by T10."""

from __future__ import annotations

from lnrecur.bolt12.offer import OfferFields
from lnrecur.bolt12.recurrence_terms import Recurrence
from lnrecur.recurrence.errors import PriceError
from lnrecur.recurrence.windows import end_of, start_of
from lnrecur.values import Msat


def full_price(offer: OfferFields, quantity: int | None) -> Msat | None:
    """What one period costs when paid in full, in msat; None where the payer chooses the amount.

    Raises:
        PriceError: the price is in a currency, and no rate source is configured.
    """
    if offer.amount is None:
        return None
    if offer.currency is not None:
        raise PriceError(
            f"the offer is priced in {offer.currency}, and this version of lnrecur has no exchange rates: only offers "
            "priced in sat can be answered or paid"
        )
    return Msat(offer.amount * (1 if quantity is None else quantity))


def price_now(full: Msat, recurrence: Recurrence, basetime: int, index: int, now: int) -> Msat:
    """What period `index` costs at `now` (T10): less than `full` only inside a proportional period.

    Raises:
        PriceError: the price is proportional and the period is over, so nothing of it is left to pay for.
    """
    if not recurrence.proportional:
        return full
    start = start_of(recurrence, basetime, index)
    end = end_of(recurrence, basetime, index)
    if now <= start:
        return full
    if now >= end:
        raise PriceError(f"period {index} ended at {end}, and its price is for the time that is left")
    return Msat(-(-full * (end - now) // (end - start)))
