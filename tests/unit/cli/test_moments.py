"""How people write moments, and how moments are shown to them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lnrecur.cli.moments import local_time, parse_moment
from lnrecur.errors import UsageError
from lnrecur.wire.integers import U64_MAX


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The reader's zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


MOMENTS = {
    "0": 0,
    "1800000000": 1_800_000_000,
    str(U64_MAX): U64_MAX,
    "2027-01-15 08:00:00 UTC": 1_800_000_000,
    "2027-01-15 UTC": 1_799_971_200,
    "2027-01-15T08:00:00Z": 1_800_000_000,
    "2027-01-15 09:00:00+01:00": 1_800_000_000,
    "2027-01-15T08:00:00.999999Z": 1_800_000_000,
    "1970-01-01T00:00:00-12:00": 43_200,
    "9999-12-31T23:59:59.999999Z": 253_402_300_799,
    " 2027-01-15T08:00Z ": 1_800_000_000,
}


@pytest.mark.parametrize(("text", "unix"), MOMENTS.items())
def test_a_moment_is_read_to_the_second_wherever_the_reader_is(zone: str, text: str, unix: int) -> None:
    assert parse_moment(text) == unix


@pytest.mark.parametrize(
    "text",
    ["", "now", "tomorrow", "-1", "1.5", "1969-12-30", "1970-01-01T00:00:00+01:00", "0001-01-01T00:00:00+14:00",
     "2027-13-01", "2027-02-30", "24:00", str(U64_MAX + 1), "9" * 5000, "\u0661"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_moment(text)
    assert len(str(raised.value)) < 200


OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda delta: timezone(timedelta(minutes=delta // timedelta(minutes=1)))
)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=OFFSETS))
@example(datetime(9999, 12, 29, 23, 59, 59, 999_999, UTC))
def test_every_date_is_counted_exactly(moment: datetime) -> None:
    exact = Fraction(moment.toordinal() - datetime(1970, 1, 1).toordinal()) * 86_400
    exact += moment.hour * 3600 + moment.minute * 60 + moment.second
    offset = moment.utcoffset()
    assert offset is not None
    assert parse_moment(moment.isoformat()) == exact - offset // timedelta(seconds=1)


LOCAL = {"UTC": 0, "Europe/Berlin": 3600, "America/New_York": -5 * 3600, "Asia/Kathmandu": 5 * 3600 + 45 * 60}


def test_a_moment_without_a_zone_is_in_the_readers(zone: str) -> None:
    assert parse_moment("2027-01-15T08:00:00") == parse_moment("2027-01-15 08:00") == 1_800_000_000 - LOCAL[zone]
    assert parse_moment("2027-01-15") == 1_799_971_200 - LOCAL[zone]


def test_what_is_shown_without_its_zone_can_be_typed_again(zone: str) -> None:
    for moment in ("2027-01-15T08:00:00Z", "2027-07-15T20:59:59Z"):
        shown = local_time(moment)
        assert parse_moment(shown[: len("2027-01-15 08:00:00")]) == parse_moment(moment)
        if zone == "UTC":
            assert parse_moment(shown) == parse_moment(moment)


def test_a_moment_that_no_calendar_of_this_machine_knows_is_shown_as_it_came() -> None:
    assert local_time("+12026-01-31T00:00:00Z") == "+12026-01-31T00:00:00Z"
    assert local_time(None) == ""
