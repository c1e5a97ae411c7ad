"""What the next period will cost, as far as offer and mandate tell before an invoice is there, and whether it may."""

from __future__ import annotations

from typing import Final

from lnrecur.bolt12 import Offer
from lnrecur.bolt12.invoice import VerifiedInvoice
from lnrecur.errors import UsageError
from lnrecur.recurrence.errors import PriceError
from lnrecur.recurrence.mandate import Mandate, MandateExceeded, MandateLimit, exceeds, exceeds_total
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.recurrence.pricing import share_left
from lnrecur.recurrence.rates import ExchangeRate, Worth
from lnrecur.recurrence.words import price_in_words
from lnrecur.values import ZERO_MSAT, Msat, UnixSeconds

_ROUNDING_S: Final = 60
"""A payee may reckon a proportional price for another second than the one it writes into the invoice."""


def check_amount_said(offer: Offer, mandate: Mandate) -> None:
    """Where the payer chooses the amount, it is the limit in msat, and every request says it.

    Raises:
        UsageError: there is no such limit.
    """
    if offer.amount is None and mandate.max_per_period_msat is None:
        told = "this offer leaves the amount to you: say it in sat, since it is written into the request"
        raise UsageError(told, field="max_per_period_msat")


def price_of(state: Outbound) -> Msat | None:
    """The full price of a period; None where the payer chooses it, or where it is in a currency."""
    offer = state.offer
    if offer.amount is None or offer.currency is not None:
        return None
    return Msat(offer.amount * _items(state))


def most_for_period(state: Outbound) -> Msat:
    """The most that somebody with this mandate can have paid for a period, as far as that is known in msat."""
    most = price_of(state)
    return (state.mandate.max_per_period_msat or ZERO_MSAT) if most is None else most


def most_worth(state: Outbound) -> Worth | None:
    """The same in the currency of the mandate, where it is in one."""
    offer, fiat = state.offer, state.mandate.fiat
    if fiat is None:
        return None
    priced = offer.amount is not None and offer.currency == fiat.currency
    minor = (offer.amount or 0) * _items(state) if priced else fiat.most_minor
    return Worth.of(fiat.currency, minor)


def other_price(state: Outbound, invoice: VerifiedInvoice, basetime: int | None) -> Msat | None:
    """The price, where an invoice asks for another amount; None where it asks for the price, or nobody knows that.

    A proportional price is that of the moment at which the payee says it made the invoice (T10), a minute more or less.
    """
    full = invoice.invreq_amount if state.offer.amount is None else price_of(state)
    if full is None:
        return None
    least = most = fair = full
    if _scaled(state) and basetime is not None:
        made_at, index = invoice.created_at, state.next_index
        try:
            least, fair, most = (
                share_left(full, state.recurrence, basetime, index, moment)
                for moment in (made_at + _ROUNDING_S, made_at, made_at - _ROUNDING_S)
            )
        except PriceError:  # it is for a period that has ended, and T10 has no price for those
            return None
    return None if least <= invoice.invoice_amount <= most else Msat(fair)


def fiat_excess(state: Outbound) -> MandateExceeded | None:
    """Whether a price in the currency of the mandate is above its limit already, before any rate is asked for."""
    offer, fiat = state.offer, state.mandate.fiat
    if fiat is None or offer.currency != fiat.currency or offer.amount is None or _scaled(state):
        return None
    price = offer.amount * _items(state)
    if price <= fiat.most_minor:
        return exceeds_total(fiat, state.spent, Worth.of(fiat.currency, price))
    told = f"{price_in_words(price, fiat.currency)} asked, at most {fiat.in_words()} per period allowed"
    return MandateExceeded(MandateLimit.FIAT, told)


def least_for_period(state: Outbound) -> Msat:
    """The least that the next period can cost; 0 where only its invoice will tell."""
    price = price_of(state)
    return ZERO_MSAT if price is None or _scaled(state) else price


def mandate_excess(
    state: Outbound, amount: Msat, now: UnixSeconds, rate: ExchangeRate | None = None
) -> MandateExceeded | None:
    """Why a person must be asked: the mandate, unless this very payment was approved up to this amount."""
    if is_approved(state, amount):
        return None
    return exceeds(state.mandate, amount, spent=state.spent, now=now, rate=rate_for(state, rate))


def rate_for(state: Outbound, rate: ExchangeRate | None) -> ExchangeRate | None:
    """A rate, if it is one for the mandate as it is now: that may have been amended since the rate was found."""
    fiat = state.mandate.fiat
    return rate if fiat is not None and rate is not None and rate.currency == fiat.currency else None


def is_unjudged(state: Outbound, amount: Msat, rate: ExchangeRate | None) -> bool:
    """Whether nobody knows if `amount` is within a mandate in a currency: then it must not be paid.

    Where there is a total in that currency not even an approved one: it could not be counted.
    """
    fiat = state.mandate.fiat
    if fiat is None or rate_for(state, rate) is not None:
        return False
    return fiat.total_minor is not None or not is_approved(state, amount)


def is_approved(state: Outbound, amount: Msat) -> bool:
    """Whether a person said yes to this very payment."""
    return state.approved_counter == state.next_counter and amount <= (state.approved_msat or 0)


def _items(state: Outbound) -> int:
    return 1 if state.terms.quantity is None else state.terms.quantity


def _scaled(state: Outbound) -> bool:
    recurrence = state.offer.recurrence
    return recurrence is not None and recurrence.proportional and not state.one_off
