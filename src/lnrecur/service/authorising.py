"""What must be true of an offer, a mandate and terms before anything is paid under them."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.bolt12.offer import Offer
from lnrecur.crypto.hashes import sha256
from lnrecur.errors import UsageError
from lnrecur.recurrence.habits import habits_of
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Outbound, Terms
from lnrecur.recurrence.outbound_prices import check_amount_said
from lnrecur.recurrence.outbound_times import first_due
from lnrecur.recurrence.windows import first_open_period, first_payable_period
from lnrecur.values import BITCOIN, ChainHash, Msat, RecurrenceId, UnixSeconds


class NothingWaits(UsageError):
    """An answer to a subscription that asks nothing, or nothing any more: the first answer counts."""

    def __init__(self, state: Outbound) -> None:
        super().__init__(f"nothing waits for approval: this subscription is {state.phase}", field="id")


class KeyReused(UsageError):
    """The key of an order names another order already."""

    def __init__(self) -> None:
        super().__init__(
            "this key was used for another order: give each order a key of its own", field="Idempotency-Key"
        )


def subscription_terms(offer: Offer, mandate: Mandate, terms: Terms, chain: ChainHash, now: UnixSeconds) -> Terms:
    """Terms with what follows from the offer.

    Raises:
        UsageError: the offer cannot be subscribed to, or not like this; names the field.
    """
    recurrence = offer.recurrence
    if recurrence is None:
        told = "this offer has no recurrence: it can be paid once (lnrecur pay), but not subscribed to"
        raise UsageError(told, field="offer")
    _check_offer(offer, mandate, terms, chain, now)
    start = terms.start
    if recurrence.base is None and start is not None:
        raise UsageError("this offer has no base: its period 0 begins with your first payment [Q3]", field="start")
    if recurrence.base is not None and start is None:
        first = first_payable_period if habits_of(offer).binds_first else first_open_period
        start = first(recurrence, now)
    if recurrence.payments_from(start or 0) == 0:
        told = f"period {start} is beyond the last period of this offer, {recurrence.limit} [Q4]"
        raise UsageError(told, field="start")
    return replace(terms, start=start, chain=_chain_field(chain))


def one_off_terms(offer: Offer, mandate: Mandate, terms: Terms, chain: ChainHash, now: UnixSeconds) -> Terms:
    """The same for a single payment.

    Raises:
        UsageError: the offer cannot be paid once, or not like this; names the field.
    """
    if offer.recurrence is not None and not offer.recurrence.optional:
        told = "this offer is paid by subscription only: see `lnrecur subscribe`, perhaps with --max-payments 1 [Q9]"
        raise UsageError(told, field="offer")
    habits = habits_of(offer)
    if habits.wants_counter:
        told = f"{habits.name} sells this offer by subscription only: `lnrecur subscribe --max-payments 1` pays it once"
        raise UsageError(told, field="offer")
    _check_offer(offer, mandate, terms, chain, now)
    return replace(terms, start=None, chain=_chain_field(chain))


def new_state(
    recurrence_id: RecurrenceId,
    offer: Offer,
    mandate: Mandate,
    terms: Terms,
    now: UnixSeconds,
    *,
    one_off: bool = False,
) -> Outbound:
    """A subscription or a single payment that begins now, under complete terms."""
    due = now if one_off else first_due(offer, terms.start, now)
    return Outbound(recurrence_id, offer.to_bytes(), mandate, terms, created_at=now, wake_at=due, one_off=one_off)


def _chain_field(chain: ChainHash) -> ChainHash | None:
    return None if chain == BITCOIN else chain


def _check_offer(offer: Offer, mandate: Mandate, terms: Terms, chain: ChainHash, now: UnixSeconds) -> None:
    if chain not in offer.accepted_chains:
        raise UsageError("this offer is for another chain than ours", field="offer")
    if offer.absolute_expiry is not None and now > offer.absolute_expiry:
        raise UsageError(f"this offer expired at {offer.absolute_expiry}, it is {now} [O7]", field="offer")
    check_amount_said(offer, mandate)
    quantity, most = terms.quantity, offer.quantity_max
    if most is None and quantity is not None:
        raise UsageError("this offer is for single items: leave the quantity out", field="quantity")
    if most is not None and not 1 <= (quantity or 0) <= (most or 2**64 - 1):
        raise UsageError(f"this offer needs a quantity from 1 to {most or 'any number'}", field="quantity")


def replacement_id(state: Outbound, offer: Offer) -> RecurrenceId:
    """The id of the subscription that takes the place of another one: the same, however often that is tried."""
    return RecurrenceId(sha256(b"lnrecur replacement", state.recurrence_id, offer.offer_id))


def mandate_left(state: Outbound, offer: Offer) -> Mandate:
    """The mandate for a new offer in place of an old one: its price, within what is left of the other limits.

    A person sees the new price and says yes to it, in whatever it is: in sat, or in a currency if the old limit was in
    one. A limit in sat stays where the new price is in a currency, and so does any where the offer names no price. A
    total in a currency stays in that, and with it the limit per period.
    """
    old, fiat = state.mandate, state.mandate.fiat
    per_period = old.max_per_period_msat
    has_total = fiat is not None and fiat.total_minor is not None
    if fiat is not None:
        fiat = replace(fiat, total_minor=fiat.left_of_total(state.spent.worth))
    if offer.amount is not None and offer.currency is None:
        per_period, fiat = Msat(offer.amount * _items(state)), fiat if has_total else None
    elif offer.amount is not None and fiat is not None and (offer.currency == fiat.currency or not has_total):
        fiat = replace(fiat, currency=offer.currency or fiat.currency, minor=offer.amount * _items(state))
    return replace(
        old,
        max_per_period_msat=per_period,
        fiat=fiat,
        max_total_msat=None if old.max_total_msat is None else Msat(max(0, old.max_total_msat - state.spent.msat)),
        max_payments=None if old.max_payments is None else max(0, old.max_payments - state.spent.payments),
    )


def terms_carried_over(state: Outbound, offer: Offer) -> Terms:
    """The terms for a new offer in place of an old one: the same, but for where it begins.

    One item stays one item, whether an offer counts them or not.
    """
    quantity = state.terms.quantity
    if quantity in (None, 1):
        quantity = None if offer.quantity_max is None else 1
    return replace(state.terms, start=None, quantity=quantity)


def _items(state: Outbound) -> int:
    return 1 if state.terms.quantity is None else state.terms.quantity
