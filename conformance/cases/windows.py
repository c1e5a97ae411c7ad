"""Pay windows (T8) and what a period costs when it is partly over (T10)."""

from __future__ import annotations

from typing import Any

from cases.build import DAY, HOUR, U32, U64, Case, case, refused
from cases.periods import DAYS, MONTHS, SECONDS, moment
from lnrecur.bolt12 import Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.pricing import price_now
from lnrecur.recurrence.windows import END_OF_TIME, pay_window
from lnrecur.values import Msat

JAN_31 = moment(2025, 1, 31, 9)

CALENDARS = (
    ("every 1,000 seconds", 1_750_000_000, SECONDS, 1000),
    ("every day", moment(2024, 2, 28, 12), DAYS, 1),
    ("every month from the 31st", JAN_31, MONTHS, 1),
)
WINDOWS = (
    ("without a paywindow: from the period before to the end of this one", None),
    ("an hour around the start", (HOUR, HOUR)),
    ("from the start on", (0, 600)),
    ("until the start", (600, 0)),
    ("a window without length", (0, 0)),
    ("longer than the period on both sides", (100 * DAY, 100 * DAY)),
)
EDGES = (
    ("the lower bound does not fall below 0", 100, SECONDS, 10, (500, 5), 0),
    ("the lower bound does not fall below 0 in a later period", 100, SECONDS, 10, (500, 5), 3),
    ("the lower bound is 0 exactly", 500, SECONDS, 10, (500, 5), 0),
    ("the widest window", 0, SECONDS, 1, (U32, U32), 1),
    ("period 0 without a paywindow is open from the beginning of time", 1_750_000_000, MONTHS, 1, None, 0),
    ("the last period has no end that 64 bits can hold", U64, SECONDS, 1, None, 0),
    ("a window that would end beyond 64 bits", U64 - 10, SECONDS, 1, (5, 100), 0),
    ("a month that would end beyond 64 bits", U64, MONTHS, 1, None, 0),
)
BEYOND = (
    ("a period beyond 64 bits has no window", U64, SECONDS, 1, None, 1),
    ("a period beyond 64 bits has no window, whatever its paywindow", U64, DAYS, 1, (100, 100), 1),
)


def _given(basetime: int, unit: int, period: int, window: tuple[int, int] | None, index: int) -> dict[str, Any]:
    told = None if window is None else {"seconds_before": window[0], "seconds_after": window[1]}
    return {"basetime": basetime, "time_unit": unit, "period": period, "paywindow": told, "n": index}


def _window(basetime: int, unit: int, period: int, window: tuple[int, int] | None, index: int) -> dict[str, Any]:
    told = None if window is None else Paywindow(*window)
    found = pay_window(Recurrence(TimeUnit(unit), period, paywindow=told), basetime, index)
    return {"window": {"opens": found.opens, "closes": None if found.closes >= END_OF_TIME else found.closes}}


def window_cases() -> list[Case]:
    """T8 in every calendar."""
    found = []
    for calendar, basetime, unit, period in CALENDARS:
        for comment, window in WINDOWS:
            for index in (0, 1, 2):
                told = (basetime, unit, period, window, index)
                found.append(case(f"{calendar}, period {index}, {comment}", _given(*told), _window(*told), "T2", "T8"))
    found += [case(comment, _given(*told), _window(*told), "T8") for comment, *told in EDGES]
    return found + [refused(comment, _given(*told), "T7") for comment, *told in BEYOND]


def _price(
    comment: str, amount: int, calendar: tuple[int, int, int], index: int, now: int, proportional: bool = True
) -> Case:
    basetime, unit, period = calendar
    given = {
        "amount_msat": amount,
        "proportional_amount": int(proportional),
        "basetime": basetime,
        "time_unit": unit,
        "period": period,
        "n": index,
        "now": now,
    }
    recurrence = Recurrence(TimeUnit(unit), period, base=RecurrenceBase(int(proportional), basetime))
    expect = {"amount_msat": price_now(Msat(amount), recurrence, basetime, index, now)}
    return case(comment, given, expect, "T10")


KILOSECONDS = (1_750_000_000, SECONDS, 1000)
MONTHLY = (JAN_31, MONTHS, 1)
DAILY = (moment(2024, 2, 28, 12), DAYS, 1)


def price_cases() -> list[Case]:
    """T10: in full before the period, a share of it inside, rounded up, nothing after its end."""
    base = KILOSECONDS[0]
    found = [
        _price("a long time before", 10_000, KILOSECONDS, 3, base - 10 * DAY),
        _price("in the period before", 10_000, KILOSECONDS, 3, base + 2999),
        _price("at its very start", 10_000, KILOSECONDS, 3, base + 3000),
        _price("one second into it", 10_000, KILOSECONDS, 3, base + 3001),
        _price("half of it is left", 10_000, KILOSECONDS, 3, base + 3500),
        _price("a third is gone, rounded up", 10_000, (base, SECONDS, 3), 0, base + 1),
        _price("two thirds are gone, rounded up", 10_000, (base, SECONDS, 3), 0, base + 2),
        _price("its last second", 10_000, KILOSECONDS, 3, base + 3999),
        _price("1 msat is never less than 1 msat", 1, KILOSECONDS, 0, base + 999),
        _price("7 msat, half of it left: 3.5 is 4", 7, KILOSECONDS, 0, base + 500),
        _price("an exact share is not rounded", 1000, KILOSECONDS, 0, base + 999),
        _price("one msat more than an exact share", 1001, KILOSECONDS, 0, base + 999),
        _price("all the money there is", 2_100_000_000_000_000_000, KILOSECONDS, 0, base + 1),
        _price("half a day", 86_400_000, DAILY, 1, DAILY[0] + DAY + DAY // 2),
        _price("the last second of a day", 86_400_000, DAILY, 0, DAILY[0] + DAY - 1),
        _price("a month from 31 January has 28 days", 2_800_000, MONTHLY, 0, JAN_31 + 14 * DAY),
        _price("the month from 28 February has 31 days", 3_100_000, MONTHLY, 1, moment(2025, 2, 28, 9) + 31 * HOUR),
        _price("the month from 31 March has 30 days", 3_000_000, MONTHLY, 2, moment(2025, 3, 31, 9) + DAY),
        _price("the last second of a month", 3_000_000, MONTHLY, 2, moment(2025, 4, 30, 9) - 1),
        _price("before the month", 3_000_000, MONTHLY, 2, moment(2025, 3, 31, 9) - 1),
    ]
    for now in (base - 1, base, base + 1, base + 500, base + 999, base + 1000, base + 5000):
        found.append(_price(f"not proportional, {now - base} seconds into it", 10_000, KILOSECONDS, 0, now, False))
    for comment, calendar, index, now in (
        ("the first second after it", KILOSECONDS, 3, base + 4000),
        ("a long time after it", KILOSECONDS, 3, base + 99_000),
        ("after a month", MONTHLY, 0, moment(2025, 2, 28, 9)),
        ("after a day", DAILY, 0, DAILY[0] + DAY),
    ):
        given = _price(comment, 10_000, calendar, index, calendar[0])["given"] | {"now": now}
        found.append(refused(f"{comment} nothing is left to pay for", given, "T10"))
    return found
