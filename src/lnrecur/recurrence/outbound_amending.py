"""Changes of the mandate and of the terms while a subscription runs. They hold from the next decision on.

A payment that may be in flight is not called back; its next try is a new decision. Every changed field is told with its
old and its new value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from enum import Enum
from typing import Any, Final

from lnrecur.errors import UsageError
from lnrecur.recurrence.effects import Emit, Fact
from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.outbound_model import Amended, Outbound, Phase, Step, Terms, Trigger, Wait
from lnrecur.recurrence.outbound_prices import check_amount_said
from lnrecur.recurrence.outbound_times import pay_at
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import UnixSeconds

AMENDABLE: Final = frozenset(
    {
        "trigger",
        "missed",
        "request_retry",
        "payment_retry",
        "pay_at",
        "margin_s",
        "jitter_s",
        "via",
        "ask_if_price_differs",
        "give_up_after_s",
    }
)
"""The terms that may change. The others stand in every request of a subscription, and stay (Q20)."""
_SCHEDULE: Final = frozenset({"pay_at", "margin_s", "jitter_s"})


def amended(state: Outbound, event: Amended, now: UnixSeconds) -> Step:
    """The subscriber changes limits or terms; what waits for a person because of them is decided anew."""
    step = _changed(state, event)
    if not step.effects:
        return step
    return Step(_looked_at_anew(step.state, now), step.effects)


def amended_in_flight(state: Outbound, event: Amended, now: UnixSeconds) -> Step:
    """The subscriber changes limits or terms; nothing else changes before the next decision."""
    return _changed(state, event)


def amended_idle(state: Outbound, event: Amended, now: UnixSeconds) -> Step:
    """The subscriber changes limits or terms; with the schedule, the next request has another moment."""
    step = _changed(state, event)
    if not step.effects or _SCHEDULE.isdisjoint(event.terms):
        return step
    try:
        return Step(replace(step.state, wake_at=pay_at(step.state, event.entropy)), step.effects)
    except CalendarError:  # T7: it stays when it was, and lapses there
        return step


def _looked_at_anew(state: Outbound, now: UnixSeconds) -> Outbound:
    decided = {Wait.MANDATE, Wait.CATCH_UP} | (
        set() if state.terms.trigger is Trigger.ON_APPROVAL else {Wait.EACH_PAYMENT}
    )
    decided |= set() if state.terms.ask_if_price_differs else {Wait.PRICE}
    if state.phase is not Phase.NEEDS_APPROVAL or state.waits_for not in decided:
        return state
    return replace(state, phase=state.asking_phase, waits_for=None, awaiting_msat=None, problem=None, wake_at=now)


def _changed(state: Outbound, event: Amended) -> Step:
    if state.one_off:
        return Step(state)
    fixed = sorted(set(event.terms) - AMENDABLE)
    if fixed:
        raise UsageError(f"{fixed[0]} is the same for a whole subscription", field=fixed[0])
    changed = replace(
        state, mandate=replace(state.mandate, **event.mandate), terms=replace(state.terms, **event.terms)
    )  # fmt: skip
    check_amount_said(state.offer, changed.mandate)
    told = (*_told(state.mandate, changed.mandate, event.mandate), *_told(state.terms, changed.terms, event.terms))
    return Step(changed, told)


def changes_of_mandate(old: Mandate, new: Mandate) -> list[Emit]:
    """What is told where a mandate takes the place of another."""
    return _told(old, new, {field.name: None for field in fields(new)})


def _told(old: Mandate | Terms, new: Mandate | Terms, changes: Mapping[str, Any]) -> list[Emit]:
    kind = "mandate" if isinstance(old, Mandate) else "terms"
    return [
        Emit("subscription.amended", {"field": f"{kind}.{name}", "old": _fact(before), "new": _fact(after)})
        for name in changes
        if (before := getattr(old, name)) != (after := getattr(new, name))
    ]


def _fact(value: Any) -> Fact:
    if isinstance(value, FiatLimit):
        total = value.total_in_words()
        return f"{value.in_words()}, {total} in total" if total else value.in_words()
    if isinstance(value, RetryPolicy):
        return value.in_words()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ", ".join(value)
    return value if value is None or isinstance(value, int) else str(value)
