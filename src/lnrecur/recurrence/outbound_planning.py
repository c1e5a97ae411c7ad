"""What follows when a period is settled, or when a subscription goes on after a pause."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.recurrence.effects import Emit
from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.outbound_endings import cancelled_after, lapse
from lnrecur.recurrence.outbound_model import Outbound, Phase, Step
from lnrecur.recurrence.outbound_times import next_ending, pay_at
from lnrecur.values import UnixSeconds


def plan_next(state: Outbound, now: UnixSeconds, entropy: bytes) -> Step:
    """The next period: when it is asked for, or that there is none."""
    limit = None if state.one_off else state.recurrence.limit
    if state.one_off or (limit is not None and state.next_index > limit):
        done = replace(state, phase=Phase.COMPLETED, request=None, wake_at=None)
        return Step(done, (Emit("subscription.completed", {"payments": state.payments}),))
    try:
        wake_at = pay_at(state, entropy)
    except CalendarError as error:  # T7: what was paid is booked all the same
        return lapse(state, "subscription.given_up", str(error))
    if state.cancel_asked:
        return cancelled_after(state, now)
    if state.pause_asked:
        return paused(state)
    return Step(replace(state, phase=Phase.IDLE, wake_at=wake_at))


def paused(state: Outbound) -> Step:
    """Nothing is asked or paid, until the subscriber resumes; it is woken to tell the periods that pass meanwhile."""
    kept = replace(
        state, phase=Phase.PAUSED, request=None, payment=None, waits_for=None, pause_asked=False, payee_paused=False
    )
    return Step(
        replace(kept, wake_at=next_ending(kept)), (Emit("subscription.paused", {"counter": state.next_counter}),)
    )
