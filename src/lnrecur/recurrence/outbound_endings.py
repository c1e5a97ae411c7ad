"""How an outbound subscription stops or waits: approval, cancel, missed periods, the end."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.recurrence import outbound_requests as requests
from lnrecur.recurrence.effects import Emit, Facts, SendCancel
from lnrecur.recurrence.mandate import MandateExceeded
from lnrecur.recurrence.outbound_model import Approved, CancelAsked, Due, Missed, Outbound, Phase, Step
from lnrecur.recurrence.outbound_times import closing, next_window, pay_at
from lnrecur.recurrence.windows import PayWindow
from lnrecur.values import Msat, UnixSeconds


def over_mandate(state: Outbound, amount: Msat, excess: MandateExceeded) -> Step:
    """A payment of `amount` is outside the mandate: nothing is paid before a person agrees (V8)."""
    asking = replace(state, awaiting_msat=amount)
    return needs_approval(asking, excess.told, {"limit": excess.limit.value, "amount_msat": amount})


def needs_approval(state: Outbound, told: str, data: Facts) -> Step:
    """Wait for a person, at most until the pay window closes."""
    waiting = replace(state, phase=Phase.NEEDS_APPROVAL, request=None, problem=told, wake_at=closing(state))
    emitted = Emit("subscription.needs_approval", {"why": told, "counter": state.next_counter, **data})
    return Step(waiting, (emitted,))


def approved(state: Outbound, event: Approved, now: UnixSeconds) -> Step:
    """A person agrees: to this very payment, or to a new mandate."""
    asking = Phase.REQUESTING if state.next_counter else Phase.AWAITING_FIRST_INVOICE
    approved = replace(
        state,
        phase=asking,
        mandate=event.mandate or state.mandate,
        approved_counter=state.next_counter,
        approved_msat=state.awaiting_msat if event.mandate is None else None,
        awaiting_msat=None,
        problem=None,
        wake_at=now,
    )
    return Step(approved, (Emit("subscription.approved", {"counter": state.next_counter}),))


def approval_late(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """The window of the period that waits for approval may have closed."""
    window = next_window(state)
    if window is None or now < window.closes:
        return Step(replace(state, wake_at=closing(state)))
    missed = missed_period(state, window)
    if missed.state.phase is Phase.LAPSED:
        return missed
    return Step(replace(state, wake_at=None))


def cancel(state: Outbound, event: CancelAsked, now: UnixSeconds) -> Step:
    """Stop paying at once; tell the payee when the next request would have been due (Q6)."""
    asked = Emit("subscription.cancel_asked", {"counter": state.next_counter})
    cancelled = cancelled_after(replace(state, request=None), now)
    return Step(cancelled.state, (asked, *cancelled.effects))


def cancel_later(state: Outbound, event: CancelAsked, now: UnixSeconds) -> Step:
    """A payment may be in flight: it is followed to its end first. One that has finally failed is not tried again."""
    if state.cancel_asked:
        return Step(state)
    if state.payment is not None and state.payment.next_try is not None:
        return cancel(replace(state, payment=None), event, now)
    data: Facts = {"counter": state.next_counter, "why": "a payment is in flight and is followed to its end"}
    return Step(replace(state, cancel_asked=True), (Emit("subscription.cancel_asked", data),))


def cancelled_after(state: Outbound, now: UnixSeconds) -> Step:
    """Cancelled, with no payment in flight."""
    if state.next_counter == 0:  # nothing was ever paid, so there is nothing to cancel (Q12)
        ended = replace(state, phase=Phase.CANCELLED, cancel_asked=True, request=None, wake_at=None)
        return Step(ended, (Emit("subscription.cancelled", {"payments": 0}),))
    wake_at = max(pay_at(state), now)
    return Step(replace(state, phase=Phase.CANCELLING, cancel_asked=True, wake_at=UnixSeconds(wake_at)))


def send_cancel(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """The courtesy message in place of the next request, once and best effort (Q6); then it is over."""
    request = requests.cancel_request(state, event.keys)
    ended = replace(state, phase=Phase.CANCELLED, wake_at=None)
    emitted = Emit("subscription.cancelled", {"counter": state.next_counter, "payments": state.payments})
    return Step(ended, (SendCancel(request), emitted))


def missed_period(state: Outbound, window: PayWindow) -> Step:
    """The window of the next period has closed: stop, or go on late, as the subscriber decided."""
    data: Facts = {"counter": state.next_counter, "index": state.next_index, "closed_at": window.closes}
    if state.terms.missed is Missed.STOP:
        return lapse(state, "subscription.missed", state.problem or "the pay window closed", data)
    return Step(state)


def lapse(state: Outbound, name: str, why: str, data: Facts | None = None) -> Step:
    """The subscription ends without anybody cancelling it; the event says why."""
    lapsed = replace(state, phase=Phase.LAPSED, request=None, payment=None, problem=why, wake_at=None)
    return Step(lapsed, (Emit(name, {"why": why, "counter": state.next_counter, **(data or {})}),))
