"""What becomes of periods that nobody pays: missed, waived, or ended with their offer (P3).

A window that closes unpaid is told as `subscription.missed`. Under strict windows the subscription lapses with it;
under lenient ones it stays, the period may still be paid, in order, and each further window is told as it closes. While
the subscription or its offer is paused, a period that passes is waived instead.

An invoice can be paid in the last second of its window and its receipt come a little later, or much later if we were
not running. So a period with an unpaid invoice is given `SETTLE_S` more seconds before it is told as missed, and none
is told of whose time the receipts were not read yet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lnrecur.recurrence.effects import Effect, Emit, Facts, FailBack
from lnrecur.recurrence.inbound_model import Due, Inbound, Phase, Step
from lnrecur.recurrence.inbound_times import closes_at, planned, watched
from lnrecur.recurrence.offering import Offering, OfferStatus, Windows
from lnrecur.values import UnixSeconds

SETTLE_S: Final = 60
_PERIODS_MAX: Final = 100
"""Periods told in one step; a subscription that has more of them behind it is due again at once."""


def due(state: Inbound, event: Due, now: UnixSeconds) -> Step:
    """The offer may be over, and windows may have closed: tell each of them, once."""
    offering = event.offering
    known_until = now if event.known_until is None else min(now, event.known_until)
    if offering.is_over:
        return ended(state, f"the offer is {offering.status}", now)
    effects: list[Effect] = []
    for _ in range(_PERIODS_MAX):
        counter = watched(state)
        closed_at = closes_at(state, offering, state.start, counter)
        beyond = offering.is_beyond(state.start, counter)
        if state.phase is not Phase.ACTIVE or beyond or closed_at is None or known_until < closed_at:
            break
        paused = is_paused(state, offering)
        if state.open_invoice is not None and state.open_invoice.counter == counter and not paused:
            # It has expired with its window; only its receipt can still be on its way.
            settling = replace(state, open_invoice=None, wake_at=UnixSeconds(now + SETTLE_S))
            return Step(settling, tuple(effects))
        passed = _waive(state, "paused") if paused else _miss(state, offering, closed_at, now)
        state = passed.state
        effects += passed.effects
        state, told = completed(state, offering, now)
        effects += told
    return Step(planned(state, offering, now), tuple(effects))


def is_paused(state: Inbound, offering: Offering) -> bool:
    """Whether this subscriber, or the whole offer, is not served for now."""
    return state.paused_at is not None or offering.status is OfferStatus.PAUSED


def waive(state: Inbound, offering: Offering, periods: int, now: UnixSeconds) -> Step:
    """Count the next periods as settled, with nothing paid for them; an unpaid invoice is withdrawn."""
    effects: list[Effect] = []
    for _ in range(min(periods, _PERIODS_MAX)):
        if state.phase is not Phase.ACTIVE:
            break
        passed = _waive(state, "the seller waived it")
        state, told = completed(passed.state, offering, now)
        effects += [*passed.effects, *told]
    return Step(planned(state, offering, now), tuple(effects))


def ended(state: Inbound, why: str, now: UnixSeconds) -> Step:
    """We end it. A payment that is being claimed is claimed to its end and counts; an unpaid invoice is withdrawn."""
    over = replace(state, phase=Phase.ENDED, open_invoice=None, ended_at=now, wake_at=None)
    data: Facts = {"counter": state.next_counter, "payments": state.payments, "why": why}
    return Step(over, (*withdrawn(state, why), Emit("subscription.ended", data)))


def withdrawn(state: Inbound, why: str) -> tuple[Effect, ...]:
    """Take back the unpaid invoice, if there is one."""
    return () if state.open_invoice is None else (FailBack(state.open_invoice.payment_hash, why),)


def completed(state: Inbound, offering: Offering, now: UnixSeconds) -> tuple[Inbound, tuple[Effect, ...]]:
    """Complete the subscription if nothing is left to be sold to it (Q8, O11)."""
    if state.phase is not Phase.ACTIVE or not offering.is_beyond(state.start, state.next_counter):
        return state, ()
    done = replace(state, phase=Phase.COMPLETED, ended_at=now, wake_at=None)
    return done, (Emit("subscription.completed", {"payments": state.payments}),)


def _waive(state: Inbound, why: str) -> Step:
    settled = replace(
        state,
        next_counter=state.next_counter + 1,
        waived=state.waived + 1,
        waived_last=state.waived_last + 1,
        open_invoice=None,
    )
    emitted = Emit("subscription.waived", {**_period(state, state.next_counter), "why": why})
    return Step(settled, (*withdrawn(state, "its period is waived"), emitted))


def _miss(state: Inbound, offering: Offering, closed_at: UnixSeconds, now: UnixSeconds) -> Step:
    counter = watched(state)
    missed = replace(state, missed=state.missed + 1, told_to=counter + 1)
    told = Emit("subscription.missed", {**_period(state, counter), "closed_at": closed_at})
    most = 0 if offering.policy.windows is Windows.STRICT else offering.policy.arrears_max
    owed = missed.told_to - state.next_counter
    if most is None or owed <= most:
        return Step(missed, (told,))
    why = "its period was not paid in time" if owed == 1 else f"{owed} periods in a row were not paid in time"
    lapsed = replace(missed, phase=Phase.LAPSED, ended_at=now, wake_at=None)
    return Step(lapsed, (told, Emit("subscription.lapsed", {"counter": state.next_counter, "why": why})))


def _period(state: Inbound, counter: int) -> dict[str, int]:
    return {"counter": counter, "index": (state.start or 0) + counter}
