"""Pay windows (T8) and period starts (T2 to T7) at their edges."""

import pytest

from helpers.engine import NOW, PERIOD, every
from lnrecur.bolt12 import TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.calendar import day_number, period_start
from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.windows import END_OF_TIME, PayWindow, end_of, first_open_period, pay_window
from lnrecur.wire.integers import U64_MAX


def _noon(year: int, month: int, day: int) -> int:
    return day_number(year, month, day) * 86_400 + 43_200


def test_months_are_counted_from_the_base_and_never_from_the_period_before() -> None:
    base = _noon(2023, 1, 31)
    starts = [period_start(base, TimeUnit.MONTHS, 1, index) for index in range(5)]
    assert starts == [base, _noon(2023, 2, 28), _noon(2023, 3, 31), _noon(2023, 4, 30), _noon(2023, 5, 31)]


@pytest.mark.parametrize(("year", "last"), [(2024, 29), (2023, 28), (2100, 28), (2000, 29), (2400, 29)])
def test_february_knows_its_leap_years(year: int, last: int) -> None:
    assert period_start(_noon(year, 1, 30), TimeUnit.MONTHS, 1, 1) == _noon(year, 2, last)


@pytest.mark.parametrize(
    ("basetime", "unit", "period", "index"),
    [
        (-1, 0, 1, 0),
        (0, 0, 1, -1),
        (0, 0, 0, 1),
        (0, 3, 1, 1),
        (U64_MAX, 0, 1, 1),
        (U64_MAX, 2, 1, 1),
        (0, 1, 2**32, 2**32),
    ],
)
def test_what_cannot_be_counted_is_a_calendar_error(basetime: int, unit: int, period: int, index: int) -> None:
    with pytest.raises(CalendarError):
        period_start(basetime, unit, period, index)


def test_the_last_second_of_64_bits_can_be_a_start() -> None:
    assert period_start(U64_MAX - 1, TimeUnit.SECONDS, 1, 1) == U64_MAX
    assert end_of(every(1), U64_MAX, 0) == END_OF_TIME
    assert pay_window(every(1), U64_MAX, 0) == PayWindow(0, END_OF_TIME)


def test_without_a_paywindow_a_period_is_payable_from_the_period_before_to_its_own_end() -> None:
    assert pay_window(every(), NOW, 3) == PayWindow(NOW + 2 * PERIOD, NOW + 4 * PERIOD)
    assert pay_window(every(), NOW, 0) == PayWindow(0, NOW + PERIOD)


def test_a_paywindow_reaches_before_and_behind_the_start_of_its_period() -> None:
    recurrence = every(paywindow=Paywindow(30, 60))
    window = pay_window(recurrence, NOW, 2)
    start = NOW + 2 * PERIOD
    assert window == PayWindow(start - 30, start + 60)
    assert [window.contains(start + at) for at in (-31, -30, 0, 59, 60)] == [False, True, True, True, False]


def test_a_paywindow_never_begins_before_1970_nor_ends_behind_the_end_of_time() -> None:
    recurrence = every(paywindow=Paywindow(3600, 7200))
    assert pay_window(recurrence, 5, 0) == PayWindow(0, 7205)
    assert pay_window(recurrence, U64_MAX, 0).closes == END_OF_TIME


@pytest.mark.parametrize(
    ("now", "index"),
    [
        (0, 0),
        (NOW - 1, 0),
        (NOW, 0),
        (NOW + 999, 0),
        (NOW + 1000, 1),
        (NOW + 2000, 2),
        (NOW + 8999, 8),
        (NOW + 9000, 9),
        (NOW + 12_345_678, 12_345),
    ],
)
def test_a_payer_begins_with_the_period_that_is_running(now: int, index: int) -> None:
    assert first_open_period(every(base=RecurrenceBase(0, NOW)), now) == index


def test_without_a_base_a_payer_begins_with_its_own_period_0() -> None:
    assert first_open_period(every(), NOW) == 0
