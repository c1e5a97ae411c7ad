"""Pause and resume. Periods that pass meanwhile are missed like others: the first stops it, or all are caught up."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.recurrence.effects import Emit, Facts
from lnrecur.recurrence.outbound_missed import tell_missed
from lnrecur.recurrence.outbound_model import Due, Outbound, PauseAsked, Phase, ResumeAsked, Step, Wait
from lnrecur.recurrence.outbound_planning import paused, plan_next
from lnrecur.recurrence.outbound_times import next_ending
from lnrecur.values import UnixSeconds


def pause(state: Outbound, event: PauseAsked, now: UnixSeconds) -> Step:
    """Ask and pay nothing until told to go on. An answer that comes meanwhile is not paid."""
    if state.one_off or state.waits_for is Wait.NEW_OFFER:  # there is nothing that could go on by itself
        return Step(state)
    return paused(state)


def pause_later(state: Outbound, event: PauseAsked, now: UnixSeconds) -> Step:
    """A payment may be in flight: it is followed to its end first. One that has finally failed is not tried again."""
    if state.one_off or state.cancel_asked or state.pause_asked:
        return Step(state)
    if state.payment is not None and state.payment.next_try is not None:
        return paused(replace(state, given_up=state.payment))
    data: Facts = {"counter": state.next_counter, "why": "a payment is in flight and is followed to its end"}
    return Step(replace(state, pause_asked=True), (Emit("subscription.pause_asked", data),))


def resume(state: Outbound, event: ResumeAsked, now: UnixSeconds) -> Step:
    """Go on: the next period is asked for when it is due, which may be now."""
    resumed = Emit("subscription.resumed", {"counter": state.next_counter})
    if state.next_counter == 0:
        return Step(replace(state, phase=Phase.AWAITING_FIRST_INVOICE, wake_at=now), (resumed,))
    return plan_next(state, now, event.entropy).after(resumed)


def stay_unpaused(state: Outbound, event: ResumeAsked, now: UnixSeconds) -> Step:
    """A pause that was asked for while a payment is in flight is taken back."""
    if not state.pause_asked:
        return Step(state)
    resumed = Emit("subscription.resumed", {"counter": state.next_counter})
    return Step(replace(state, pause_asked=False), (resumed,))


def paused_due(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """A period passed during the pause: it is told."""
    missed = tell_missed(replace(state, problem="paused"), now)
    if missed.state.is_final:
        return missed
    return Step(replace(missed.state, problem=state.problem, wake_at=next_ending(missed.state)), missed.effects)
