"""Time (T1 to T10), by walking: from 1 January 1970 month by month, and from the base month by month again.

Only whole cycles of 400 years (4,800 months, 146,097 days) are stepped over, since the end of 64 bits of seconds is
half a million million years away.
"""

from __future__ import annotations

DAY = 86_400
LAST = 2**64 - 1
CYCLE_MONTHS, CYCLE_DAYS = 4800, 146_097


class NoSuchTime(Exception):
    """T7: an unknown unit, or a start beyond 64 bits of seconds."""


class PeriodOver(Exception):
    """T10: nothing of the period is left."""


def length(year: int, month: int) -> int:
    if month == 2:
        if year % 400 == 0:
            return 29
        if year % 100 == 0:
            return 28
        return 29 if year % 4 == 0 else 28
    return 30 if month in (4, 6, 9, 11) else 31


def start(base: int, unit: int, period: int, n: int) -> int:
    """The first second of period n."""
    if unit == 0:
        found = base + n * period
    elif unit == 1:
        found = base + n * period * DAY
    elif unit == 2:
        found = months_later(base, n * period)
    else:
        raise NoSuchTime(f"unit {unit}")
    if found > LAST:
        raise NoSuchTime("beyond 64 bits")
    return found


def months_later(base: int, months: int) -> int:
    days_left = base // DAY
    second_of_day = base % DAY
    year, month, first_of_month = 1970, 1, 0
    while days_left >= CYCLE_DAYS:
        skipped = days_left // CYCLE_DAYS
        days_left -= skipped * CYCLE_DAYS
        first_of_month += skipped * CYCLE_DAYS
        year += skipped * 400
    while days_left >= length(year, month):
        days_left -= length(year, month)
        first_of_month += length(year, month)
        year, month = following(year, month)
    day_of_month = days_left
    skipped = months // CYCLE_MONTHS
    first_of_month += skipped * CYCLE_DAYS
    year += skipped * 400
    for _ in range(months % CYCLE_MONTHS):
        first_of_month += length(year, month)
        year, month = following(year, month)
    if day_of_month >= length(year, month):
        day_of_month = length(year, month) - 1
    return (first_of_month + day_of_month) * DAY + second_of_day


def following(year: int, month: int) -> tuple[int, int]:
    return (year + 1, 1) if month == 12 else (year, month + 1)


def end(base: int, unit: int, period: int, n: int) -> int | None:
    """The first second after period n; None if there is no such second."""
    try:
        return start(base, unit, period, n + 1)
    except NoSuchTime:
        return None


def window(base: int, unit: int, period: int, paywindow: tuple[int, int] | None, n: int) -> tuple[int, int | None]:
    """T8: the first second of the window and the first one behind it (None: it never closes)."""
    begins = start(base, unit, period, n)
    if paywindow is None:
        return (start(base, unit, period, n - 1) if n > 0 else 0), end(base, unit, period, n)
    before, after = paywindow
    opens = begins - before if begins >= before else 0
    closes = begins + after
    return opens, (closes if closes <= LAST else None)


def price(amount: int, proportional: bool, base: int, unit: int, period: int, n: int, now: int) -> int:
    """T10: the share of the seconds that are left, rounded up."""
    if not proportional:
        return amount
    begins, ends = start(base, unit, period, n), end(base, unit, period, n)
    if ends is None:
        ends = LAST + 1
    if now >= ends:
        raise PeriodOver
    if now <= begins:
        return amount
    exact, rest = divmod(amount * (ends - now), ends - begins)
    return exact + 1 if rest else exact


def longest(unit: int, period: int) -> int:
    """O8: the most seconds one period can have."""
    if unit == 0:
        return period
    if unit == 1:
        return period * DAY
    lengths = [length(year, month) for year in range(400) for month in range(1, 13)] * 2
    whole, rest = divmod(period, CYCLE_MONTHS)
    most = 0
    for first in range(CYCLE_MONTHS):
        most = max(most, sum(lengths[first : first + rest]))
    return (whole * CYCLE_DAYS + most) * DAY
