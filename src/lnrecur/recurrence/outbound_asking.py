"""How an outbound subscription asks for an invoice: rules Q1 to Q7, and resends."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.bolt12 import TimeUnit
from lnrecur.recurrence import outbound_requests as requests
from lnrecur.recurrence.effects import Emit, Facts, SendInvoiceRequest
from lnrecur.recurrence.outbound_approvals import needs_approval, over_mandate
from lnrecur.recurrence.outbound_endings import lapse
from lnrecur.recurrence.outbound_missed import has_more_to_tell, tell_missed, too_many_missed
from lnrecur.recurrence.outbound_model import Due, Outbound, PendingRequest, Step, Trigger, Unreachable, Wait
from lnrecur.recurrence.outbound_prices import fiat_excess, least_for_period, mandate_excess, price_of
from lnrecur.recurrence.outbound_times import first_request_until, left_s, resend_at
from lnrecur.recurrence.words import duration_in_words
from lnrecur.values import UnixSeconds


def due(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """A period is due: tell what was missed, check the mandate, then ask for its invoice."""
    missed = tell_missed(state, now)
    if has_more_to_tell(missed):
        return missed
    return _ask_if_allowed(missed.state, event, now).after(*missed.effects)


def _ask_if_allowed(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    many = too_many_missed(state)
    if many is not None:
        return needs_approval(state, Wait.CATCH_UP, many, {"missed": state.missed_through - state.next_counter})
    if state.terms.trigger is Trigger.ON_APPROVAL and state.approved_counter != state.next_counter:
        return needs_approval(state, Wait.EACH_PAYMENT, "every payment of this subscription waits for approval", {})
    price = price_of(state)
    excess = mandate_excess(state, least_for_period(state), now)
    if excess is not None:
        return over_mandate(state, state.mandate.max_per_period_msat if price is None else price, excess)
    excess = fiat_excess(state)
    if excess is not None and state.approved_counter != state.next_counter:
        return over_mandate(state, None, excess)
    return _ask(state, event, now)


def _ask(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    request = replace(requests.next_request(state, event.keys), since=now)
    asked = replace(state, phase=state.asking_phase, request=request, attempt=state.attempt + 1)
    asked = replace(asked, wake_at=resend_at(asked, 1, event.entropy, now))
    if state.habits.repeats_invoices:
        asked = replace(asked, first_request=request.data)
    emitted = Emit("subscription.requested", {"counter": request.counter, "index": state.next_index})
    return Step(asked, (SendInvoiceRequest(request.data), emitted))


def ask_again(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """No answer yet: resend the same bytes, as long as the window is open and the policy wants to."""
    if state.request is None:
        return due(state, event, now)
    missed = tell_missed(state, now)
    if has_more_to_tell(missed):
        return missed
    return _resend(missed.state, event, now).after(*missed.effects)


def _resend(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    assert state.request is not None
    over = _is_over(state, state.request, now)
    if over is not None:
        return lapse(state, "subscription.given_up", over if state.problem is None else f"{state.problem} ({over})")
    request = replace(state.request, tries=state.request.tries + 1)
    wake_at = resend_at(state, request.tries, event.entropy, now)
    return Step(replace(state, request=request, wake_at=wake_at), (SendInvoiceRequest(request.data),))


def _is_over(state: Outbound, request: PendingRequest, now: UnixSeconds) -> str | None:
    """Why a request is not sent again, None where it is."""
    expiry = state.offer.absolute_expiry
    if state.next_counter == 0 and expiry is not None and now > expiry:
        return "the offer has expired"
    if state.terms.request_retry.gives_up_after(request.tries, bounded=left_s(state, now) is not None):
        return f"no invoice after {request.tries} requests"
    until, most = first_request_until(state), state.terms.give_up_after_s
    if until is not None and most is not None and now >= until:
        return f"no invoice within {duration_in_words(TimeUnit.SECONDS, most)}"
    return None


def unreachable(state: Outbound, event: Unreachable, now: UnixSeconds) -> Step:
    """No peer took the request: it is sent again when the next resend is due. Told once, not at every try."""
    problem = f"the payee cannot be reached: {event.told}"
    if state.problem == problem:
        return Step(state)
    data: Facts = {"why": event.told, "counter": state.next_counter}
    return Step(replace(state, problem=problem), (Emit("subscription.unreachable", data),))
