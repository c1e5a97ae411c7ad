"""A single payment of an offer goes through the same machine as a subscription, and is told in words of its own.

It has no counter and no periods, nobody can pause or amend it, and what would make a subscription ask a person ends it:
whoever ordered it is there, and can order it again. Its events are called `payment.*`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lnrecur.recurrence.effects import Effect, Emit
from lnrecur.recurrence.outbound_model import Step

_PREFIX: Final = "subscription."
_NAMES: Final = {
    "subscription.created": "payment.settled",
    "subscription.payment_failed": "payment.failed",
    "subscription.ended": "payment.given_up",
}
_UNTOLD: Final = frozenset({"subscription.completed"})
_NO_FACTS: Final = frozenset({"counter", "index", "payments"})


def as_one_off(step: Step) -> Step:
    """The step of a one-off, in the words of a single payment."""
    told = tuple(_renamed(effect) for effect in step.effects if not _is_untold(effect))
    return replace(step, effects=told)


def _is_untold(effect: Effect) -> bool:
    return isinstance(effect, Emit) and effect.name in _UNTOLD


def _renamed(effect: Effect) -> Effect:
    if not isinstance(effect, Emit):
        return effect
    name = _NAMES.get(effect.name) or effect.name.replace(_PREFIX, "payment.")
    return Emit(name, {key: value for key, value in effect.data.items() if key not in _NO_FACTS})
