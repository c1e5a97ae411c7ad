"""When a period may be paid: rule T8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lnrecur.bolt12.recurrence_terms import Recurrence
from lnrecur.recurrence.calendar import period_start
from lnrecur.recurrence.errors import CalendarError
from lnrecur.values import UnixSeconds
from lnrecur.wire.integers import U64_MAX

END_OF_TIME: Final = UnixSeconds(U64_MAX + 1)
"""The bound of a window whose end no 64 bits can hold."""


@dataclass(frozen=True, slots=True)
class PayWindow:
    """The seconds in which a period may be paid: `opens` is the first of them, `closes` the first one too late."""

    opens: UnixSeconds
    closes: UnixSeconds

    def contains(self, moment: int) -> bool:
        """Whether it is time."""
        return self.opens <= moment < self.closes


def start_of(recurrence: Recurrence, basetime: int, index: int) -> UnixSeconds:
    """The start of a period of this recurrence (T2 to T5).

    Raises:
        CalendarError: beyond the range of the wire (T7).
    """
    return period_start(basetime, recurrence.unit, recurrence.period, index)


def end_of(recurrence: Recurrence, basetime: int, index: int) -> UnixSeconds:
    """The first second behind a period (T2); `END_OF_TIME` where the next period cannot be counted any more."""
    try:
        return start_of(recurrence, basetime, index + 1)
    except CalendarError:
        return END_OF_TIME


def pay_window(recurrence: Recurrence, basetime: int, index: int) -> PayWindow:
    """The pay window of period `index` (T8). `basetime` is the start of period 0.

    Raises:
        CalendarError: the period itself lies beyond the range of the wire (T7).
    """
    start = start_of(recurrence, basetime, index)
    window = recurrence.paywindow
    if window is not None:
        opens = max(0, start - window.seconds_before)
        return PayWindow(UnixSeconds(opens), UnixSeconds(min(start + window.seconds_after, END_OF_TIME)))
    opens = start_of(recurrence, basetime, index - 1) if index else 0
    return PayWindow(UnixSeconds(opens), end_of(recurrence, basetime, index))


def first_payable_period(recurrence: Recurrence, now: int) -> int:
    """The same where the pay window binds the first payment too: the first period whose window has not closed."""
    first = first_open_period(recurrence, now)
    base = recurrence.base
    if base is None or now < pay_window(recurrence, base.basetime, first).closes:
        return first
    return first + 1


def first_open_period(recurrence: Recurrence, now: int) -> int:
    """The period a payer who joins now begins with: the one that is running, or 0 before the base (Q3).

    Without a base every subscription has its own period 0.
    """
    base = recurrence.base
    if base is None or now < base.basetime:
        return 0
    low, high = 0, 1
    while end_of(recurrence, base.basetime, high) <= now:
        high *= 2
    while low < high:
        middle = (low + high) // 2
        if end_of(recurrence, base.basetime, middle) <= now:
            low = middle + 1
        else:
            high = middle
    return low
