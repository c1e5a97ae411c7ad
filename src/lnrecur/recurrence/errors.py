"""What the engine refuses, and why."""

from __future__ import annotations

from lnrecur.errors import Fault, LnrecurError


class RecurrenceError(LnrecurError):
    """Root of this room's errors."""


class CalendarError(RecurrenceError):
    """A period that cannot be counted: its start lies beyond what 64 bits of seconds can hold (T7)."""

    fault = Fault.CALLER


class PriceError(RecurrenceError):
    """An offer's price cannot be told: no rate for its currency, or a period that is over (T10)."""

    fault = Fault.CALLER


class ContextError(RecurrenceError):
    """Sealed bytes that were not sealed by us, or not for this payment."""

    fault = Fault.PEER


class StateRefused(RecurrenceError):
    """A request brought back a state that we did not give to this payer, or not for this request (V9)."""

    fault = Fault.PEER


class ImpossibleTransition(RecurrenceError):
    """A step led where the transition table does not allow: a bug of ours, stopped before anything was stored."""
