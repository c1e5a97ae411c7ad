"""Period starts and pay windows as Core Lightning v26.06.6 computes them, 1,507 of them.

Where we differ, we differ on purpose (RECURRENCE.md T7, T8 and section 6):

| vector | Core Lightning | we |
| --- | --- | --- |
| seconds, period 2^32-1, n = 2^33 | the sum wraps at 2^64 | CalendarError: beyond 64 bits |
| days, period 65536, n = 65536 and 65537 | period * n is cut to 32 bits: period 0 and 1 come again | exact |
| days, period 65536, n = 2^32-1 | 32 bits, then a negative number of days | CalendarError: beyond 64 bits |
| months, period 65536, n = 65536 and 65537 | period * n is cut to 32 bits | exact |
| months, period 65536, n = 2^32-1 | 32 bits, then negative months | CalendarError: beyond 64 bits |
| with a paywindow, its last second | start + seconds_after may still be paid | the first second too late |
| with a paywindow reaching before 1970 | the lower bound wraps at 2^64 | 0 |
"""

import calendar
import json
from pathlib import Path
from typing import Any, Final

import pytest

from lnrecur.bolt12 import Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.recurrence.calendar import period_start
from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.windows import pay_window
from lnrecur.wire.integers import U32_MAX, U64_MAX

FILE: Final = json.loads((Path(__file__).parent / "data" / "cln" / "period_calculation.json").read_text())
VECTORS: Final = [vector for vector in FILE["vectors"] if vector["agrees"]]
DISAGREEMENTS: Final = [vector for vector in FILE["vectors"] if not vector["agrees"]]
BEYOND: Final = None
"""The calendar ends before."""
DAY: Final = 86_400

OURS: Final = {
    (0, U32_MAX, 2**33): BEYOND,
    (1, 65_536, 65_536): 1_704_067_200 + 65_536 * 65_536 * DAY,
    (1, 65_536, 65_537): 1_704_067_200 + 65_536 * 65_537 * DAY,
    (1, 65_536, U32_MAX): BEYOND,
    (2, 65_536, U32_MAX): BEYOND,
}
"""(unit, period, n) of a disagreement: what we say instead. The two of months are checked by the Gregorian cycle."""


def _recurrence(vector: dict[str, Any], *, with_paywindow: bool) -> Recurrence:
    window = Paywindow(*vector["paywindow"]) if with_paywindow else None
    return Recurrence(TimeUnit(vector["time_unit"]), vector["period"], paywindow=window)


def _start(vector: dict[str, Any]) -> int:
    return period_start(vector["basetime"], vector["time_unit"], vector["period"], vector["n"])


def test_the_vectors_are_all_there() -> None:
    assert (len(VECTORS), len(DISAGREEMENTS)) == (1500, 7)
    assert FILE["disagreements_with_python_reading_of_spec"] == DISAGREEMENTS


def test_every_period_starts_where_core_lightning_says() -> None:
    assert [vector for vector in VECTORS if _start(vector) != vector["cln_period_start"]] == []


def test_without_a_paywindow_ours_is_the_same_window_half_open() -> None:
    for vector in VECTORS:
        ours = pay_window(_recurrence(vector, with_paywindow=False), vector["basetime"], vector["n"])
        opens, last = vector["cln_window_without_paywindow"]
        assert (ours.opens, ours.closes) == (opens, last + 1), vector


def test_without_a_paywindow_period_0_is_open_from_the_beginning_of_time() -> None:
    first = [vector for vector in VECTORS if vector["n"] == 0]
    assert first
    for vector in first:
        assert vector["cln_window_without_paywindow"][0] == 0
        assert pay_window(_recurrence(vector, with_paywindow=False), vector["basetime"], 0).opens == 0


def test_with_a_paywindow_core_lightnings_last_second_is_our_first_one_too_late() -> None:
    for vector in VECTORS:
        ours = pay_window(_recurrence(vector, with_paywindow=True), vector["basetime"], vector["n"])
        opens, last = vector["cln_window_with_paywindow"]
        wrapped = vector["cln_period_start"] < vector["paywindow"][0]
        assert ours.opens == (0 if wrapped else opens), vector
        assert (opens > U64_MAX // 2) == wrapped, vector
        assert ours.closes == last, vector
        assert ours.contains(last - 1)
        assert not ours.contains(last)


@pytest.mark.parametrize(("key", "ours"), OURS.items(), ids=str)
def test_where_core_lightning_wraps_around_we_are_exact_or_say_that_the_calendar_ends(
    key: tuple[int, int, int], ours: int | None
) -> None:
    [vector] = [vector for vector in DISAGREEMENTS if (vector["time_unit"], vector["period"], vector["n"]) == key]
    if ours is BEYOND:
        with pytest.raises(CalendarError, match="beyond what 64 bits"):
            _start(vector)
    else:
        assert _start(vector) == ours != vector["cln_period_start"]


@pytest.mark.parametrize("n", [65_536, 65_537])
def test_hundreds_of_millions_of_years_of_months_are_exact(n: int) -> None:
    """1 January 2024 plus n * 65536 months, by whole Gregorian cycles (4,800 months are 146,097 days)."""
    assert any(vector["time_unit"] == 2 and vector["n"] == n for vector in DISAGREEMENTS)
    cycles, rest = divmod(65_536 * n, 4800)
    year, month = 2024 + rest // 12, rest % 12 + 1
    expected = calendar.timegm((year, month, 1, 0, 0, 0)) + cycles * 146_097 * DAY
    assert period_start(1_704_067_200, TimeUnit.MONTHS, 65_536, n) == expected


def test_core_lightnings_32_bits_explain_its_answers() -> None:
    """The table above is the whole story: cut period * n to 32 bits, and its numbers come out."""
    for vector in DISAGREEMENTS:
        count = vector["period"] * vector["n"]
        if vector["time_unit"] == 0:
            assert vector["cln_period_start"] == (vector["basetime"] + count) % 2**64
            continue
        cut = count & U32_MAX
        signed = cut - 2**32 if cut > 2**31 - 1 else cut
        if signed >= 0:
            assert vector["cln_period_start"] == period_start(vector["basetime"], vector["time_unit"], 1, signed)
        else:
            assert vector["cln_period_start"] > 2**63  # before 1970, as an unsigned number
