"""The calendar and the windows, against an independent derivation and their own laws."""

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.bolt12 import Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.calendar import civil_date, day_number, days_in_month, period_start
from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.windows import END_OF_TIME, end_of, first_open_period, pay_window, start_of
from lnrecur.wire.integers import U32_MAX, U64_MAX

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_OF_DATETIME = 253_402_300_799
"""The last second of the year 9999."""

units = st.sampled_from(TimeUnit)
periods = st.integers(1, U32_MAX)
indexes = st.integers(0, U32_MAX)
basetimes = st.integers(0, U64_MAX)
human_basetimes = st.integers(0, LAST_OF_DATETIME)
paywindows = st.none() | st.builds(Paywindow, st.integers(0, U32_MAX), st.integers(0, U32_MAX))


def months_later(basetime: int, months: int) -> int | None:
    """The same, from python-dateutil; None beyond its year 9999."""
    try:
        later = EPOCH + timedelta(seconds=basetime) + relativedelta(months=months)
    except (OverflowError, ValueError):
        return None
    return (later - EPOCH) // timedelta(seconds=1)


@given(human_basetimes, st.integers(1, 5000), st.integers(0, 5000))
def test_months_are_those_of_an_independent_calendar(basetime: int, period: int, index: int) -> None:
    expected = months_later(basetime, period * index)
    if expected is not None:
        assert period_start(basetime, TimeUnit.MONTHS, period, index) == expected


@given(st.integers(1970, 9990), st.integers(1, 12), st.integers(28, 31), st.integers(0, 86_399), st.integers(0, 100))
def test_the_last_days_of_a_month_come_again(year: int, month: int, day: int, second: int, index: int) -> None:
    day = min(day, days_in_month(year, month))
    basetime = day_number(year, month, day) * 86_400 + second
    start = period_start(basetime, TimeUnit.MONTHS, 1, index)
    assert start == months_later(basetime, index)
    date_year, date_month, date_day = civil_date(start // 86_400)
    assert date_day == min(day, days_in_month(date_year, date_month))
    assert start % 86_400 == second


@given(basetimes, periods, indexes)
def test_seconds_and_days_only_add(basetime: int, period: int, index: int) -> None:
    for unit, seconds in ((TimeUnit.SECONDS, 1), (TimeUnit.DAYS, 86_400)):
        expected = basetime + period * index * seconds
        if expected > U64_MAX:
            with pytest.raises(CalendarError):
                period_start(basetime, unit, period, index)
        else:
            assert period_start(basetime, unit, period, index) == expected


@given(basetimes, units, periods, indexes)
def test_every_number_of_the_wire_gives_a_moment_or_a_calendar_error(
    basetime: int, unit: TimeUnit, period: int, index: int
) -> None:
    try:
        start = period_start(basetime, unit, period, index)
    except CalendarError:
        # Beyond 64 bits, then: no period is shorter than its shortest month.
        longest = {TimeUnit.SECONDS: 1, TimeUnit.DAYS: 86_400, TimeUnit.MONTHS: 31 * 86_400}[unit]
        assert basetime + period * index * longest > U64_MAX
    else:
        assert basetime <= start <= U64_MAX


@given(basetimes, units, periods, st.integers(0, U32_MAX - 1))
def test_later_periods_start_later(basetime: int, unit: TimeUnit, period: int, index: int) -> None:
    try:
        following = period_start(basetime, unit, period, index + 1)
    except CalendarError:
        return
    assert period_start(basetime, unit, period, index) < following


@given(basetimes, units, periods)
def test_period_0_starts_at_the_base(basetime: int, unit: TimeUnit, period: int) -> None:
    assert period_start(basetime, unit, period, 0) == basetime


@given(st.integers(-(10**15), 10**15))
def test_days_and_dates_are_the_same_thing_far_beyond_the_year_9999(days: int) -> None:
    year, month, day = civil_date(days)
    assert 1 <= month <= 12
    assert 1 <= day <= days_in_month(year, month)
    assert day_number(year, month, day) == days


@given(st.integers(-(10**15), 10**15))
def test_the_day_after_is_the_next_date(days: int) -> None:
    year, month, day = civil_date(days)
    if day < days_in_month(year, month):
        following = (year, month, day + 1)
    else:
        following = (year, month + 1, 1) if month < 12 else (year + 1, 1, 1)
    assert civil_date(days + 1) == following


@given(st.integers(0, 2_932_896))
def test_dates_are_those_of_the_standard_library(days: int) -> None:
    moment = EPOCH + timedelta(days=days)
    assert civil_date(days) == (moment.year, moment.month, moment.day)
    assert days_in_month(moment.year, moment.month) == calendar.monthrange(moment.year, moment.month)[1]


@given(basetimes, units, periods, indexes, paywindows)
def test_windows_are_ordered_and_stay_within_time(
    basetime: int, unit: TimeUnit, period: int, index: int, paywindow: Paywindow | None
) -> None:
    recurrence = Recurrence(unit, period, paywindow=paywindow)
    try:
        start = start_of(recurrence, basetime, index)
    except CalendarError:
        with pytest.raises(CalendarError):
            pay_window(recurrence, basetime, index)
        return
    window = pay_window(recurrence, basetime, index)
    assert 0 <= window.opens <= start <= window.closes <= END_OF_TIME
    assert window.contains(window.closes) is False
    if paywindow is None:
        assert window.contains(start)
        assert window.closes == end_of(recurrence, basetime, index)


@given(human_basetimes, units, st.integers(1, 10_000), human_basetimes)
def test_who_joins_now_begins_with_the_period_that_is_running(
    basetime: int, unit: TimeUnit, period: int, now: int
) -> None:
    recurrence = Recurrence(unit, period, base=RecurrenceBase(0, basetime))
    index = first_open_period(recurrence, now)
    if now < basetime:
        assert index == 0
    else:
        assert start_of(recurrence, basetime, index) <= now < end_of(recurrence, basetime, index)
    assert pay_window(recurrence, basetime, index).contains(now)


@given(st.integers(U64_MAX - 100, U64_MAX), st.integers(0, U64_MAX))
def test_who_joins_at_the_end_of_time_gets_an_answer(basetime: int, now: int) -> None:
    recurrence = Recurrence(TimeUnit.MONTHS, U32_MAX, base=RecurrenceBase(0, basetime))
    assert first_open_period(recurrence, now) == 0
