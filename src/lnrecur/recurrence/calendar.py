"""Period starts: rules T1 to T7, exact for every number the wire can carry.

Days and months are counted on the proleptic Gregorian calendar with days of 86,400 seconds, by integer arithmetic on
numbers of any size; the standard library's calendar ends in the year 9999 and is not used. Leap seconds do not exist in
POSIX time, so T6 (a base that falls on one) has nothing to do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from lnrecur.bolt12.recurrence_terms import TimeUnit
from lnrecur.recurrence.errors import CalendarError
from lnrecur.values import UnixSeconds
from lnrecur.wire.integers import U64_MAX

SECONDS_PER_DAY: Final = 86_400
_DAYS_PER_ERA: Final = 146_097
"""400 Gregorian years."""
_DAYS_BEFORE_EPOCH: Final = 719_468
"""From 1 March of the year 0 to 1 January 1970."""


@lru_cache(maxsize=4096)
def period_start(basetime: int, unit: TimeUnit | int, period: int, index: int) -> UnixSeconds:
    """The first second of period `index` (T2 to T5), in seconds since 1970.

    `basetime` is the start of period 0 (T1), `period` the number of units one period lasts.

    Raises:
        CalendarError: negative numbers, an unknown unit, a period of 0, or a start beyond 2^64 - 1 (T7).
    """
    if basetime < 0 or index < 0 or period <= 0:
        raise CalendarError(f"basetime {basetime} and index {index} must not be negative, period {period} not below 1")
    count = period * index
    if unit == TimeUnit.SECONDS:
        start = basetime + count
    elif unit == TimeUnit.DAYS:
        start = basetime + count * SECONDS_PER_DAY
    elif unit == TimeUnit.MONTHS:
        start = _months_later(basetime, count)
    else:
        raise CalendarError(f"time unit {unit} is none of 0 (seconds), 1 (days), 2 (months)")
    if start > U64_MAX:
        raise CalendarError(f"period {index} would start beyond what 64 bits of seconds can hold")
    return UnixSeconds(start)


def _months_later(basetime: int, months: int) -> int:
    """T5: counted from the base, keeping the day of the month or the last day of a shorter month."""
    days, second_of_day = divmod(basetime, SECONDS_PER_DAY)
    year, month, day = civil_date(days)
    year_offset, month_index = divmod(month - 1 + months, 12)
    year += year_offset
    day = min(day, days_in_month(year, month_index + 1))
    return day_number(year, month_index + 1, day) * SECONDS_PER_DAY + second_of_day


def days_in_month(year: int, month: int) -> int:
    """28 to 31."""
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 if month in (4, 6, 9, 11) else 31


def day_number(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date. Years are counted from March so that the leap day comes last."""
    shifted_year = year if month > 2 else year - 1
    era, year_of_era = divmod(shifted_year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * _DAYS_PER_ERA + day_of_era - _DAYS_BEFORE_EPOCH


def civil_date(days: int) -> tuple[int, int, int]:
    """Year, month and day of the date `days` after 1970-01-01."""
    era, day_of_era = divmod(days + _DAYS_BEFORE_EPOCH, _DAYS_PER_ERA)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = era * 400 + year_of_era + (1 if month <= 2 else 0)
    return year, month, day
