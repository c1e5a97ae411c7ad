"""Starts of periods (T2 to T7): a file in the form Core Lightning's own test reads, and one about the ends of time."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from cases.build import DAY, U32, U64, Case, case, refused
from lnrecur.recurrence.calendar import period_start

SECONDS, DAYS, MONTHS = 0, 1, 2
YEAR_9999 = 253_402_300_799
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def moment(*date: int) -> int:
    """Unix seconds of a UTC date."""
    return int(datetime(*date, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


SERIES = (
    ("every second from the epoch", 0, SECONDS, 1, range(3)),
    ("every minute", moment(2021, 1, 1), SECONDS, 60, range(3)),
    ("every hour", moment(2024, 6, 30, 23, 59, 59), SECONDS, HOUR := 3600, range(3)),
    ("every week, in seconds", moment(2025, 3, 30, 1, 0), SECONDS, 604_800, (0, 1, 52, 520)),
    ("the largest counter", moment(2025, 1, 1), SECONDS, 1, (U32,)),
    ("the largest period", moment(2025, 1, 1), SECONDS, U32, (0, 1, 2)),
    ("a base before the leap second of 2016 (T6: POSIX time has none)", moment(2016, 12, 31, 23, 59, 59), SECONDS, 1,
     range(3)),
    ("a base after the leap second of 2016 (T6: POSIX time has none)", moment(2017, 1, 1), DAYS, 1, range(3)),
    ("every day", moment(1970, 1, 1), DAYS, 1, (0, 1, 59, 365)),
    ("every day over a leap day", moment(2024, 2, 28, 12), DAYS, 1, range(4)),
    ("every day over no leap day", moment(2100, 2, 28, 12), DAYS, 1, range(3)),
    ("every ten days", moment(2021, 1, 1), DAYS, 10, (0, 1, 5, 36, 37)),
    ("every four weeks, at the last second of the day", moment(2023, 12, 31, 23, 59, 59), DAYS, 28, (0, 1, 2, 13)),
    ("days do not know summer time", moment(2025, 3, 29, 1, 30), DAYS, 1, range(3)),
    ("every month from the 31st: the last day of a shorter month, then the 31st again", moment(2025, 1, 31, 10, 0, 1),
     MONTHS, 1, range(14)),
    ("the same in a leap year", moment(2024, 1, 31), MONTHS, 1, (1, 2, 3, 13)),
    ("every month from the 30th", moment(2023, 1, 30, 8, 15), MONTHS, 1, (1, 2, 13, 14)),
    ("every month from the 29th", moment(2023, 1, 29), MONTHS, 1, (1, 2, 13)),
    ("every month from the 28th", moment(2023, 2, 28), MONTHS, 1, (1, 12, 13)),
    ("every year from a leap day", moment(2024, 2, 29, 6), MONTHS, 12, (0, 1, 2, 3, 4, 76)),
    ("2000 is a leap year, 2100 is none", moment(2000, 2, 29), MONTHS, 1200, (0, 1, 2, 3, 4)),
    ("every quarter from the end of November", moment(2022, 11, 30), MONTHS, 3, (0, 1, 2, 5, 9)),
    ("every half year from the end of August", moment(2023, 8, 31, 23, 59, 59), MONTHS, 6, range(5)),
    ("over the turn of the year", moment(2022, 12, 15, 3, 4, 5), MONTHS, 1, range(3)),
    ("every 13 months", moment(2020, 10, 31), MONTHS, 13, (0, 1, 4, 7)),
    ("before the end of the 32-bit clock and after", moment(2038, 1, 19, 3, 14, 7), MONTHS, 1, range(2)),
    ("up to the year 9999", moment(1999, 12, 31, 23, 59, 59), MONTHS, 12, (1000, 8000)),
)  # fmt: skip


def period_file() -> list[dict[str, Any]]:
    """The cases as Core Lightning's test program reads them."""
    found = []
    for comment, basetime, unit, period, indices in SERIES:
        for at, index in enumerate(indices):
            found.append(_entry(basetime, unit, period, index, comment if at == 0 else None))
    chance = random.Random("lnrecur offer-period-test")
    for unit, longest in ((SECONDS, 10_000_000), (DAYS, 400), (MONTHS, 60)):
        for _ in range(50):
            basetime, period, index = chance.randrange(2**32), chance.randint(1, longest), chance.randrange(1000)
            found.append(_entry(basetime, unit, period, index, None))
    return found


def _entry(basetime: int, unit: int, period: int, index: int, comment: str | None) -> dict[str, Any]:
    start = period_start(basetime, unit, period, index)
    assert start <= YEAR_9999, "the C library's asctime ends with the year 9999"
    expect = {"seconds_since_epoch": start, "timestring": timestring(start)}
    told = {"basetime": basetime, "time_unit": unit, "period": period, "n": index, "expect": expect}
    return told if comment is None else {"comment": comment, **told}


def timestring(unix: int) -> str:
    """As `date -u` prints it: every part of C's asctime(), and UTC."""
    at = datetime.fromtimestamp(unix, UTC)
    day = f"{WEEKDAYS[at.weekday()]} {MONTH_NAMES[at.month - 1]} {at.day:2}"
    return f"{day} {at.hour:02}:{at.minute:02}:{at.second:02} UTC {at.year:04}"


def _given(basetime: int, unit: int, period: int, index: int) -> dict[str, int]:
    return {"basetime": basetime, "time_unit": unit, "period": period, "n": index}


FAR = (
    ("the last second there is", U64, SECONDS, 1, 0),
    ("one second before it", U64 - 1, SECONDS, 1, 1),
    ("the largest period and counter", 0, SECONDS, U32, U32),
    ("the largest start and counter together", 0, SECONDS, U32 // 2, 2 * U32),
    ("more days than 32 bits of days", 1_704_067_200, DAYS, 65_536, 65_536),
    ("the same and one", 1_704_067_200, DAYS, 65_536, 65_537),
    ("days to the last day of time", 0, DAYS, 1, U32),
    ("the largest number of days that fits", 0, DAYS, U64 // DAY // 65_535, 65_535),
    ("the year 10000", moment(9999, 12, 31), MONTHS, 1, 1),
    ("a leap day beyond 9999", moment(9996, 2, 29), MONTHS, 12, 4),
    ("no leap day beyond 9999", moment(9996, 2, 29), MONTHS, 12, 104),
    ("the 31st, a long time later", moment(2024, 1, 31), MONTHS, 65_537, 65_537),
    ("more months than 32 bits of months", 1_704_067_200, MONTHS, 65_536, 65_536),
    ("the same and one", 1_704_067_200, MONTHS, 65_536, 65_537),
    ("whole cycles of 400 years", moment(2000, 2, 29), MONTHS, 4800, 1_000_000),
    ("a base far beyond 9999", 10**15, MONTHS, 1, 1),
)
BEYOND = (
    ("one second too many", U64, SECONDS, 1, 1),
    ("the largest period, start and counter", 0, SECONDS, U32, 2 * U32),
    ("two numbers whose sum wraps around", 1_704_067_200, SECONDS, U32, 2**33),
    ("a day too many", U64 - DAY + 1, DAYS, 1, 1),
    ("the largest days", 1_704_067_200, DAYS, 65_536, U32),
    ("the largest period and counter in days", 0, DAYS, U32, U32),
    ("a month too many", U64, MONTHS, 1, 1),
    ("the largest months", 1_704_067_200, MONTHS, 65_536, U32),
    ("the largest period and counter in months", 0, MONTHS, U32, U32),
)
STRANGE_UNITS = (3, 4, 255)


def limit_cases() -> list[Case]:
    """T7: exact up to the last second that 64 bits hold, and a clear refusal beyond."""
    found = [
        case(comment, _given(*told), {"seconds_since_epoch": period_start(*told)}, "T7")
        for comment, *told in FAR
    ]  # fmt: skip
    found += [refused(comment, _given(*told), "T7") for comment, *told in BEYOND]
    found += [
        refused(f"time unit {unit} is none", _given(1_704_067_200, unit, 1, index), "T7")
        for unit in STRANGE_UNITS
        for index in (0, 1)
    ]
    return found
