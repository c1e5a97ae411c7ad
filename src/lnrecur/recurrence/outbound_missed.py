"""Periods whose pay window closes before they are settled: each is told once, and then it stops or is caught up (P3).

A payee serves periods in order only. So a missed one cannot be left out: whoever does not stop pays it late, before
those behind it, as far as the payee allows and the mandate says how many at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lnrecur.recurrence.effects import Emit, Facts
from lnrecur.recurrence.outbound_endings import lapse
from lnrecur.recurrence.outbound_model import Missed, Outbound, Step
from lnrecur.recurrence.outbound_times import window_of
from lnrecur.values import UnixSeconds

TOLD_AT_ONCE: Final = 100
"""Most missed periods that one step tells; the rest follow at once, in steps of their own."""


def tell_missed(state: Outbound, now: UnixSeconds) -> Step:
    """Tell the periods whose windows have closed since this was last asked; lapses where the subscriber wants to stop.

    Where there are more than one step tells, the state is due again at once. An invoice that expired unpaid is told
    before them, where that matters.
    """
    expired = _tell_expired(state, now)
    return _tell_missed(expired.state, now).after(*expired.effects)


def _tell_expired(state: Outbound, now: UnixSeconds) -> Step:
    """Such an invoice may have ended the subscription (habits.py, 11): the payee's next word decides."""
    until, habits = state.invoice_until, state.habits
    if until is None or now <= until:
        return Step(state)
    why = f"an invoice for this period expired unpaid: {habits.name} takes that for a cancel, and may serve no more"
    data: Facts = {"counter": state.next_counter, "expired_at": until, "why": why}
    return Step(replace(state, invoice_until=None, held_invoice=None), (Emit("subscription.invoice_expired", data),))


def _tell_missed(state: Outbound, now: UnixSeconds) -> Step:
    told: list[Emit] = []
    first = max(state.next_counter, state.missed_through)
    for counter in range(first, first + TOLD_AT_ONCE):
        window = window_of(state, counter)
        if window is None or now < window.closes:
            break
        data: Facts = {
            "counter": counter,
            "index": (state.terms.start or 0) + counter,
            "closed_at": window.closes,
            "why": (state.problem if counter == state.next_counter else None) or "the pay window closed",
        }
        if state.terms.missed is Missed.STOP and not state.payee_paused:
            return lapse(state, "subscription.missed", str(data["why"]), data)
        told.append(Emit("subscription.missed", data))
    missed = replace(state, missed_through=first + len(told)) if told else state
    return Step(replace(missed, wake_at=now) if len(told) == TOLD_AT_ONCE else missed, tuple(told))


def has_more_to_tell(missed: Step) -> bool:
    """Whether a step of `tell_missed` wants another one before anything else happens."""
    told = [effect for effect in missed.effects if isinstance(effect, Emit) and effect.name == "subscription.missed"]
    return missed.state.is_final or len(told) == TOLD_AT_ONCE


def too_many_missed(state: Outbound) -> str | None:
    """Why a person must be asked before missed periods are caught up, None where they may be."""
    most, behind = state.mandate.catch_up_max, state.missed_through - state.next_counter
    if most is None or behind <= most or state.next_counter < state.catch_up_through:
        return None
    return f"{behind:,} periods were missed, at most {most:,} are caught up at once without asking"
