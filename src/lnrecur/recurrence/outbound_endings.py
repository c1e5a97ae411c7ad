"""How an outbound subscription ends: cancelled by the subscriber, or lapsed without anybody cancelling it."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.recurrence import outbound_requests as requests
from lnrecur.recurrence.effects import Emit, Facts, SendCancel
from lnrecur.recurrence.outbound_model import CancelAsked, Due, Outbound, Phase, Step
from lnrecur.recurrence.outbound_times import pay_at
from lnrecur.values import UnixSeconds


def cancel(state: Outbound, event: CancelAsked, now: UnixSeconds) -> Step:
    """Stop paying at once; tell the payee when the next request would have been due (Q6)."""
    asked = Emit("subscription.cancel_asked", {"counter": state.next_counter})
    return cancelled_after(state, now).after(asked)


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
    asked = replace(state, cancel_asked=True, request=None, waits_for=None)
    if state.next_counter == 0 or state.new_offer is not None:  # nothing was paid (Q12), or the payee has ended it
        ended = replace(asked, phase=Phase.CANCELLED, wake_at=None)
        return Step(ended, (Emit("subscription.cancelled", {"payments": state.payments}),))
    wake_at = max(pay_at(state), now)
    return Step(replace(asked, phase=Phase.CANCELLING, wake_at=UnixSeconds(wake_at)))


def send_cancel(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """The courtesy message in place of the next request, once and best effort (Q6); then it is over.

    No payee confirms it. One that loses it while an invoice of ours is unpaid gets the same bytes once more when that
    has expired (habits.py, 3).
    """
    request = requests.cancel_request(state, event.keys)
    until, habits = state.invoice_until, state.habits
    if habits.loses_cancels and until is not None and now <= until:
        why = f"an invoice for this period is unpaid, so {habits.name} forgets the cancel: it is sent again behind it"
        data: Facts = {"counter": state.next_counter, "invoice_expires_at": until, "why": why}
        waiting = replace(state, invoice_until=None, wake_at=UnixSeconds(until + 1))
        return Step(waiting, (SendCancel(request), Emit("subscription.cancel_unheard", data)))
    ended = replace(state, phase=Phase.CANCELLED, wake_at=None)
    emitted = Emit("subscription.cancelled", {"counter": state.next_counter, "payments": state.payments})
    return Step(ended, (SendCancel(request), emitted))


def lapse(state: Outbound, name: str, why: str, data: Facts | None = None) -> Step:
    """The subscription ends without anybody cancelling it; the event says why."""
    lapsed = replace(
        state, phase=Phase.LAPSED, request=None, payment=None, waits_for=None, problem=why, wake_at=None
    )  # fmt: skip
    return Step(lapsed, (Emit(name, {"why": why, "counter": state.next_counter, **(data or {})}),))
