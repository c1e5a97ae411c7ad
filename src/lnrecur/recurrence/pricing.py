"""What a period costs: the expected amount of rule Q17, scaled by T10."""

from __future__ import annotations

from lnrecur.bolt12.offer import OfferFields
from lnrecur.bolt12.recurrence_terms import Recurrence
from lnrecur.recurrence.errors import PriceError
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.recurrence.windows import end_of, start_of
from lnrecur.values import Msat


def full_price(offer: OfferFields, quantity: int | None, rate: ExchangeRate | None = None) -> Msat | None:
    """What one period costs when paid in full, in msat; None where the payer chooses the amount.

    `rate` is needed where the offer is priced in a currency; the price is then rounded up to the msat, once, over all
    items.

    Raises:
        PriceError: the price is in a currency, and there is no rate of it.
    """
    minor = price_in_currency(offer, quantity)
    if minor is not None:
        if rate is None or rate.currency != offer.currency:
            raise PriceError(f"the offer is priced in {offer.currency}, and there is no exchange rate for it just now")
        return rate.msat(minor)
    return None if offer.amount is None else Msat(offer.amount * _items(quantity))


def price_in_currency(offer: OfferFields, quantity: int | None) -> int | None:
    """What one period costs in minor units of the offer's currency; None where it is not priced in one."""
    return None if offer.amount is None or offer.currency is None else offer.amount * _items(quantity)


def share_left(full: int, recurrence: Recurrence, basetime: int, index: int, now: int) -> int:
    """The part of a price that is due for period `index` at `now` (T10), in the unit of `full`, rounded up.

    Less than `full` only inside a proportional period.

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
    return -(-full * (end - now) // (end - start))


def price_now(full: Msat, recurrence: Recurrence, basetime: int, index: int, now: int) -> Msat:
    """What period `index` costs at `now`, in msat; see `share_left`.

    Raises:
        PriceError: the price is proportional and the period is over.
    """
    return Msat(share_left(full, recurrence, basetime, index, now))


def _items(quantity: int | None) -> int:
    return 1 if quantity is None else quantity
