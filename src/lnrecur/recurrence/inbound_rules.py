"""What a payee demands of an invoice request: rules Q8 to Q22, cheapest first (Q21).

`check_request` needs the message and what we decided about our offer; `check_history` needs what was claimed before;
`price` tells what the period costs and how long its invoice may live. Each answers a refusal as a value: refusing
strangers is no exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lnrecur.bolt12 import fields
from lnrecur.bolt12.answer_rules import ANSWERING_REQUEST_RULES
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.invoice_error import CHANGED_PREFIX, ENDED_PREFIX
from lnrecur.bolt12.invoice_request import InvoiceRequest
from lnrecur.bolt12.recurrence_terms import Recurrence
from lnrecur.bolt12.rules import first_broken
from lnrecur.recurrence.effects import Refuse
from lnrecur.recurrence.errors import CalendarError, PriceError
from lnrecur.recurrence.habits import last_second_s
from lnrecur.recurrence.inbound_model import Inbound, Phase
from lnrecur.recurrence.offering import Offering, OfferPolicy, OfferStatus, Windows
from lnrecur.recurrence.pricing import full_price, price_in_currency, price_now, share_left
from lnrecur.recurrence.rates import Conversion, ExchangeRate
from lnrecur.recurrence.windows import pay_window
from lnrecur.values import Msat, UnixSeconds
from lnrecur.wire.integers import U64_MAX, encode_tu32, encode_tu64


@dataclass(frozen=True, slots=True)
class Quote:
    """What an invoice for this request says."""

    amount_msat: Msat
    basetime: UnixSeconds | None
    expires_at: UnixSeconds
    conversion: Conversion | None


def check_request(request: InvoiceRequest, offering: Offering, now: UnixSeconds) -> Refuse | None:
    """What needs no history: how the message is made, how many payments there are (O11), whether the offer is sold."""
    broken = first_broken(ANSWERING_REQUEST_RULES, request)
    if broken is not None:
        rule, breach = broken
        return Refuse(rule, f"{breach.field}: {breach.told}", breach.number, breach.suggested)
    if request.counter is not None and offering.is_beyond(request.start, request.counter):
        told = f"period {request.period_index} is beyond the last period of this offer"
        return _refuse("Q8", request, fields.INVREQ_RECURRENCE_COUNTER, told)
    return None if request.is_cancel else _check_sale(request, offering, now)


def _check_sale(request: InvoiceRequest, offering: Offering, now: UnixSeconds) -> Refuse | None:
    """Whether the offer is sold, and to whom. Its expiry and its retirement bind only first requests (O7)."""
    if offering.status is OfferStatus.ENDED:
        return Refuse("V10", f"{ENDED_PREFIX} this offer has ended")
    if offering.status is OfferStatus.REPLACED:
        return Refuse("V10", f"{CHANGED_PREFIX} {offering.successor}")
    if offering.status is OfferStatus.PAUSED:
        return Refuse("Q22", "this offer is paused: please ask again later")
    if request.counter:
        return None
    if offering.status is OfferStatus.RETIRED:
        return Refuse("O7", "this offer is closed for new subscribers")
    if request.absolute_expiry is not None and now > request.absolute_expiry:
        return Refuse("O7", f"the offer expired at {request.absolute_expiry}, it is {now}")
    return None


def check_history(state: Inbound, request: InvoiceRequest) -> Refuse | None:
    """The rules about what happened between this payer and us before (Q13 to Q15, Q20, Q22, V10)."""
    counter = request.counter
    if state.phase is Phase.CANCELLED:
        return _refuse("Q15", request, fields.INVREQ_PAYER_ID, "this payer has cancelled")
    if state.phase is Phase.ENDED:
        return Refuse("V10", f"{ENDED_PREFIX} the seller ended this subscription")
    if state.phase is Phase.LAPSED:
        return Refuse("V10", f"{ENDED_PREFIX} counter {state.next_counter} was not paid in time")
    if counter is None:
        if state.next_counter:
            return _refuse("Q13", request, fields.INVREQ_PAYER_ID, "this payer has paid already")
        return None
    if counter < state.next_counter:
        settled = "waived" if counter >= state.next_counter - state.waived_last else "paid"
        told = f"counter {counter} is {settled} already"
        return _refuse("Q13", request, fields.INVREQ_RECURRENCE_COUNTER, told, encode_tu32(state.next_counter))
    if state.phase is Phase.COMPLETED:
        return _refuse("Q8", request, fields.INVREQ_RECURRENCE_COUNTER, "every payment of this subscription is made")
    if counter > state.next_counter:
        told = f"counter {counter - 1} is not paid yet"
        return _refuse("Q14", request, fields.INVREQ_RECURRENCE_COUNTER, told, encode_tu32(state.next_counter))
    if counter and request.start != state.start:
        told = f"was {state.start} so far, and stays the same for a whole subscription"
        return _refuse("Q20", request, fields.INVREQ_RECURRENCE_START, told)
    if state.paused_at is not None:
        return Refuse("Q22", "this subscription is paused: please ask again later")
    return None


def price(
    state: Inbound, request: InvoiceRequest, policy: OfferPolicy, rate: ExchangeRate | None, now: UnixSeconds
) -> Quote | Refuse:
    """What the asked period costs now, and until when (Q16, Q17, V2, V3, V11, T10)."""
    recurrence = request.recurrence if request.counter is not None else None
    lives_s = policy.invoice_expiry_s if rate is None else min(policy.invoice_expiry_s, policy.fiat_expiry_s)
    expires_at, basetime = now + lives_s, None
    try:
        cost = _Cost.of(request, rate)
    except PriceError as error:
        return _refuse("Q17", request, fields.OFFER_CURRENCY, str(error))
    if cost is not None and cost.msat > U64_MAX:
        return _refuse("Q17", request, fields.INVREQ_QUANTITY, "so many cost more than an invoice can ask for")
    try:
        if recurrence is not None:
            basetime = _basetime(state, recurrence, now)
            last = _last_second(request, recurrence, basetime, policy, now)
            if isinstance(last, Refuse):
                return last
            expires_at = expires_at if last is None else min(expires_at, last)
            cost = None if cost is None else cost.share_left(recurrence, basetime, request.period_index, now)
    except CalendarError as error:
        return _refuse("T7", request, fields.INVREQ_RECURRENCE_COUNTER, str(error))
    except PriceError as error:
        return _refuse("T10", request, fields.OFFER_AMOUNT, str(error))
    wanted = _check_amount(request, None if cost is None else cost.msat, policy)
    if isinstance(wanted, Refuse):
        return wanted
    return Quote(wanted, basetime, UnixSeconds(expires_at), None if cost is None else cost.conversion(wanted))


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a period costs: in msat, and where the offer is priced in a currency, in that too."""

    msat: Msat
    minor: int | None = None
    rate: ExchangeRate | None = None

    @classmethod
    def of(cls, request: InvoiceRequest, rate: ExchangeRate | None) -> _Cost | None:
        msat = full_price(request, request.quantity, rate)
        return None if msat is None else cls(msat, price_in_currency(request, request.quantity), rate)

    def share_left(self, recurrence: Recurrence, basetime: int, index: int, now: int) -> _Cost:
        minor = None if self.minor is None else share_left(self.minor, recurrence, basetime, index, now)
        return _Cost(price_now(self.msat, recurrence, basetime, index, now), minor, self.rate)

    def conversion(self, wanted: Msat) -> Conversion | None:
        """What the receipt says when `wanted` is asked, which may be more than this costs."""
        if self.rate is None or self.minor is None:
            return None
        return Conversion(self.minor if wanted == self.msat else self.rate.minor(wanted), self.rate)


def _check_amount(request: InvoiceRequest, cost: Msat | None, policy: OfferPolicy) -> Msat | Refuse:
    """Q17: what is asked for, between what it costs and a bearable multiple of that."""
    asked = request.invreq_amount
    least = cost if cost is not None else policy.amount_min_msat
    if asked is None:  # then the offer names a price (BR8)
        return Msat(cost or 0)
    if least is not None and asked < least:
        told = f"{asked} msat are less than the {least} msat this costs"
        return _refuse("Q17", request, fields.INVREQ_AMOUNT, told, encode_tu64(least))
    if cost is not None and asked // cost > policy.overask_max:
        told = f"{asked} msat are more than {policy.overask_max} times the {cost} msat this costs"
        return _refuse("Q17", request, fields.INVREQ_AMOUNT, told, encode_tu64(cost))
    return Msat(asked)


def _basetime(state: Inbound, recurrence: Recurrence, now: UnixSeconds) -> UnixSeconds:
    """T1: the base, or the creation of the first invoice; pinned once one is paid."""
    if recurrence.base is not None:
        return UnixSeconds(recurrence.base.basetime)
    return now if state.basetime is None else state.basetime


def _last_second(
    request: InvoiceRequest, recurrence: Recurrence, basetime: UnixSeconds, policy: OfferPolicy, now: UnixSeconds
) -> UnixSeconds | Refuse | None:
    """Q16: refuse outside the window, or answer the last second for a payment (V3; None: nothing binds it).

    A period that is served behind its window, lenient or in its grace, cannot keep V3.
    """
    window, more_s = pay_window(recurrence, basetime, request.period_index), last_second_s(recurrence)
    if not request.counter and not policy.first_in_window:  # T9: no reader rule bounds the first request
        return UnixSeconds(window.closes - 1) if window.closes > now else None
    if now < window.opens - policy.early_s:
        told = f"period {request.period_index} can be paid from {window.opens - policy.early_s}, it is {now}"
        return _refuse("Q16", request, fields.INVREQ_RECURRENCE_COUNTER, f"too early: {told}")
    if now < window.closes + more_s:
        return UnixSeconds(max(window.closes - 1 + more_s, now + more_s))  # nothing can be paid in no time
    if policy.windows is Windows.LENIENT:
        return None
    if now < window.closes + policy.grace_s:
        return UnixSeconds(window.closes + policy.grace_s - 1)
    told = f"period {request.period_index} could be paid before {window.closes + policy.grace_s}, it is {now}"
    return _refuse("Q16", request, fields.INVREQ_RECURRENCE_COUNTER, f"too late: {told}")


def _refuse(rule: str, request: InvoiceRequest, field: Field[Any], told: str, suggested: bytes | None = None) -> Refuse:
    return Refuse(rule, f"{field.name}: {told}", request.number(field), suggested)
