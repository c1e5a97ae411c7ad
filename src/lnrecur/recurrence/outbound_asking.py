"""How an outbound subscription asks for an invoice: rules Q1 to Q7, resends and refusals."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.bolt12.invoice_error import read_invoice_error
from lnrecur.recurrence import outbound_requests as requests
from lnrecur.recurrence.effects import Emit, Facts, SendInvoiceRequest
from lnrecur.recurrence.mandate import MandateExceeded, exceeds
from lnrecur.recurrence.outbound_endings import lapse, missed_period, needs_approval, over_mandate
from lnrecur.recurrence.outbound_model import Due, Missed, Outbound, Phase, RefusalArrived, Step, Trigger, Unreachable
from lnrecur.recurrence.outbound_times import next_window, resend_at
from lnrecur.recurrence.pricing import full_price
from lnrecur.values import ZERO_MSAT, Msat, UnixSeconds
from lnrecur.wire.errors import WireError


def due(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """A period is due: check the window and the mandate, then ask for its invoice."""
    window = next_window(state)
    if window is not None and now >= window.closes:
        missed = missed_period(state, window)
        if missed.state.phase is Phase.LAPSED:
            return missed
    if state.terms.trigger is Trigger.ON_APPROVAL and state.approved_counter != state.next_counter:
        return needs_approval(state, "every payment of this subscription waits for approval", {})
    price = full_price(state.offer, state.terms.quantity)
    most = state.mandate.max_per_period_msat if price is None else price
    least = ZERO_MSAT if price is None or state.recurrence.proportional else price
    excess = mandate_excess(state, least, now)
    if excess is not None:
        return over_mandate(state, most, excess)
    return _ask(state, event, now)


def _ask(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    request = requests.next_request(state, event.keys)
    asking = Phase.REQUESTING if state.next_counter else Phase.AWAITING_FIRST_INVOICE
    wake_at = resend_at(state, 1, event.entropy, now)
    asked = replace(state, phase=asking, request=request, attempt=state.attempt + 1, wake_at=wake_at)
    emitted = Emit("subscription.requested", {"counter": request.counter, "index": state.next_index})
    return Step(asked, (SendInvoiceRequest(request.data), emitted))


def ask_again(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """No answer yet: resend the same bytes, as long as the window is open and the policy wants to."""
    if state.request is None:
        return due(state, event, now)
    window = next_window(state)
    late = window is not None and now >= window.closes
    if late and state.terms.missed is Missed.STOP and window is not None:
        return missed_period(state, window)
    policy = state.terms.request_retry
    expiry = state.offer.absolute_expiry
    expired = state.next_counter == 0 and expiry is not None and now > expiry
    if policy.gives_up_after(state.request.tries) or expired:
        why = "the offer has expired" if expired else f"no invoice after {state.request.tries} requests"
        return lapse(state, "subscription.given_up", state.problem or why)
    request = replace(state.request, tries=state.request.tries + 1)
    wake_at = resend_at(state, request.tries, event.entropy, now)
    return Step(replace(state, request=request, wake_at=wake_at), (SendInvoiceRequest(request.data),))


def unreachable(state: Outbound, event: Unreachable, now: UnixSeconds) -> Step:
    """No peer took the request: it is sent again when the next resend is due."""
    return Step(replace(state, problem=event.told), (Emit("subscription.unreachable", {"why": event.told}),))


def refused(state: Outbound, event: RefusalArrived, now: UnixSeconds) -> Step:
    """An invoice_error: final if the payee says so (V10), otherwise tried again when the next resend is due."""
    try:
        error = read_invoice_error(event.error)
    except (WireError, Bolt12Error) as unreadable:
        told = f"an unreadable refusal: {unreadable}"
        return Step(replace(state, problem=told), (Emit("subscription.request_refused", {"why": told}),))
    if error.ends_subscription:
        return lapse(state, "subscription.ended", error.text)
    told = f"the payee refuses: {error.text}"
    data: Facts = {"why": error.text, "field": error.erroneous_field, "counter": state.next_counter}
    return Step(replace(state, problem=told), (Emit("subscription.request_refused", data),))


def mandate_excess(state: Outbound, amount: Msat, now: UnixSeconds) -> MandateExceeded | None:
    """Why a person must be asked: the mandate, unless this very payment was approved up to this amount."""
    if state.approved_counter == state.next_counter and amount <= (state.approved_msat or 0):
        return None
    return exceeds(state.mandate, amount, paid_msat=state.paid_msat, payments=state.payments, now=now)
