"""What a merchant may order about one subscription: pause, resume, waive, end.

An order that changes nothing (pausing what is paused) has no effects, so that whoever gave it can be told.
"""

from __future__ import annotations

from dataclasses import replace

from lnrecur.recurrence.effects import Emit
from lnrecur.recurrence.inbound_model import Due, EndAsked, Inbound, PauseAsked, ResumeAsked, Step, WaiveAsked
from lnrecur.recurrence.inbound_periods import due, ended, waive, withdrawn
from lnrecur.recurrence.inbound_times import planned
from lnrecur.values import UnixSeconds


def pause(state: Inbound, event: PauseAsked, now: UnixSeconds) -> Step:
    """Refuse requests for now; withdraw the unpaid invoice. A payment that is here already is claimed all the same."""
    if state.paused_at is not None:
        return Step(state)
    paused = replace(state, paused_at=now, open_invoice=None)
    emitted = Emit("subscription.paused", {"counter": state.next_counter})
    return Step(paused, (*withdrawn(state, "the subscription is paused"), emitted))


def resume(state: Inbound, event: ResumeAsked, now: UnixSeconds) -> Step:
    """Serve again; what passed while it was paused is waived first."""
    if state.paused_at is None:
        return Step(state)
    passed = due(state, Due(event.offering), now)
    if passed.state.is_final:
        return passed
    resumed = planned(replace(passed.state, paused_at=None), event.offering, now)
    emitted = Emit("subscription.resumed", {"counter": resumed.next_counter})
    return Step(resumed, (*passed.effects, emitted))


def forgive(state: Inbound, event: WaiveAsked, now: UnixSeconds) -> Step:
    """Waive the next periods: they count as settled, and a request for one is told the next counter (Q13)."""
    return waive(state, event.offering, event.periods, now)


def end(state: Inbound, event: EndAsked, now: UnixSeconds) -> Step:
    """End it: further requests are told so (V10)."""
    return ended(state, event.why or "the seller ended it", now)
