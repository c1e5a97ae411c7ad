"""What a payee demands of an invoice request: rules Q8 to Q20, cheapest first (Q21).

`check_request` needs nothing but the message; `check_history` needs what was claimed before; `price` tells what the
period costs and how long its invoice may live. Each answers a refusal as a value: refusing strangers is no exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lnrecur.bolt12 import fields
from lnrecur.bolt12.answer_rules import ANSWERING_REQUEST_RULES
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.invoice_request import InvoiceRequest
from lnrecur.bolt12.recurrence_terms import Recurrence
from lnrecur.bolt12.rules import first_broken
from lnrecur.recurrence.effects import Refuse
from lnrecur.recurrence.errors import CalendarError, PriceError
from lnrecur.recurrence.inbound_model import Inbound, OfferPolicy, Phase, Windows
from lnrecur.recurrence.pricing import full_price, price_now
from lnrecur.recurrence.windows import pay_window
from lnrecur.values import Msat, UnixSeconds
from lnrecur.wire.integers import U64_MAX, encode_tu32, encode_tu64


@dataclass(frozen=True, slots=True)
class Quote:
    """What an invoice for this request says."""

    amount_msat: Msat
    basetime: UnixSeconds | None
    expires_at: UnixSeconds


def check_request(request: InvoiceRequest, policy: OfferPolicy) -> Refuse | None:
    """The rules that the request alone can break, and the number of payments that the policy allows (O11)."""
    broken = first_broken(ANSWERING_REQUEST_RULES, request)
    if broken is not None:
        rule, breach = broken
        return Refuse(rule, f"{breach.field}: {breach.told}", breach.number, breach.suggested)
    if request.counter is not None and policy.payments_max is not None and request.counter >= policy.payments_max:
        told = f"period {request.period_index} is beyond the last period of this offer"
        return _refuse("Q8", request, fields.INVREQ_RECURRENCE_COUNTER, told)
    return None


def check_history(state: Inbound, request: InvoiceRequest) -> Refuse | None:
    """The rules about what this payer did before (Q13 to Q15, Q20)."""
    counter = request.counter
    if state.phase is Phase.CANCELLED:
        return _refuse("Q15", request, fields.INVREQ_PAYER_ID, "this payer has cancelled")
    if counter is None:
        if state.next_counter:
            return _refuse("Q13", request, fields.INVREQ_PAYER_ID, "this payer has paid already")
        return None
    if counter < state.next_counter:
        told = f"counter {counter} is paid already"
        return _refuse("Q13", request, fields.INVREQ_RECURRENCE_COUNTER, told, encode_tu32(state.next_counter))
    if state.phase is Phase.COMPLETED:
        return _refuse("Q8", request, fields.INVREQ_RECURRENCE_COUNTER, "every payment of this subscription is made")
    if counter > state.next_counter:
        told = f"counter {counter - 1} is not paid yet"
        return _refuse("Q14", request, fields.INVREQ_RECURRENCE_COUNTER, told, encode_tu32(state.next_counter))
    if counter and request.start != state.start:
        told = f"was {state.start} so far, and stays the same for a whole subscription"
        return _refuse("Q20", request, fields.INVREQ_RECURRENCE_START, told)
    return None


def price(state: Inbound, request: InvoiceRequest, policy: OfferPolicy, now: UnixSeconds) -> Quote | Refuse:
    """What the asked period costs now, and until when (Q16, Q17, V2, V3, T10)."""
    expires_at = now + policy.invoice_expiry_s
    recurrence = request.recurrence if request.counter is not None else None
    basetime = None
    try:
        amount = full_price(request, request.quantity)
    except PriceError as error:
        return _refuse("Q17", request, fields.OFFER_CURRENCY, str(error))
    if amount is not None and amount > U64_MAX:
        return _refuse("Q17", request, fields.INVREQ_QUANTITY, "so many cost more than an invoice can ask for")
    try:
        if recurrence is not None:
            basetime = _basetime(state, recurrence, now)
            late = _check_window(state, request, recurrence, basetime, policy, now)
            if isinstance(late, Refuse):
                return late
            expires_at = expires_at if late is None else min(expires_at, late)
            if amount is not None:
                amount = price_now(amount, recurrence, basetime, request.period_index, now)
    except CalendarError as error:
        return _refuse("T7", request, fields.INVREQ_RECURRENCE_COUNTER, str(error))
    except PriceError as error:
        return _refuse("T10", request, fields.OFFER_AMOUNT, str(error))
    asked = request.invreq_amount
    if asked is not None and amount is not None and asked < amount:
        told = f"{asked} msat are less than the {amount} msat this costs"
        return _refuse("Q17", request, fields.INVREQ_AMOUNT, told, encode_tu64(amount))
    wanted = max(asked or 0, amount or 0)  # one of them is there and above 0 (BR8), and asked is not below amount
    return Quote(Msat(wanted), basetime, UnixSeconds(expires_at))


def _basetime(state: Inbound, recurrence: Recurrence, now: UnixSeconds) -> UnixSeconds:
    """T1: the base, or the creation of the first invoice; pinned once one is paid."""
    if recurrence.base is not None:
        return UnixSeconds(recurrence.base.basetime)
    return now if state.basetime is None else state.basetime


def _check_window(
    state: Inbound, request: InvoiceRequest, recurrence: Recurrence, basetime: UnixSeconds, policy: OfferPolicy,
    now: UnixSeconds,
) -> UnixSeconds | Refuse | None:  # fmt: skip
    """Q16: refuse outside the window, or answer the last second of it (V3; None: it does not bind)."""
    window = pay_window(recurrence, basetime, request.period_index)
    if not request.counter and not policy.first_in_window:  # T9: no reader rule bounds the first request
        return UnixSeconds(window.closes - 1) if window.closes > now else None
    if now < window.opens:
        told = f"period {request.period_index} can be paid from {window.opens}, it is {now}"
        return _refuse("Q16", request, fields.INVREQ_RECURRENCE_COUNTER, f"too early: {told}")
    if now < window.closes:
        return UnixSeconds(window.closes - 1)
    if policy.windows is Windows.LENIENT:
        return None
    told = f"period {request.period_index} could be paid before {window.closes}, it is {now}"
    return _refuse("Q16", request, fields.INVREQ_RECURRENCE_COUNTER, f"too late: {told}")


def _refuse(rule: str, request: InvoiceRequest, field: Field[Any], told: str, suggested: bytes | None = None) -> Refuse:
    return Refuse(rule, f"{field.name}: {told}", request.number(field), suggested)
