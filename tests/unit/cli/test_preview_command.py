"""What `lnrecur preview` shows: starts and pay windows, as far as the limit and the end of time allow."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lnrecur.bolt12 import Offer, OfferTerms, Recurrence, TimeUnit, write_offer
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.cli import main as command
from lnrecur.crypto.keys import PrivateKey
from lnrecur.wire.integers import U64_MAX

MERCHANT = PrivateKey(b"\x51" * 32)
JANUARY_31 = 1_769_817_600  # 2026-01-31T00:00:00Z
DAY = 86_400
MONTHLY = {"unit": TimeUnit.MONTHS, "period": 1}
BASED = {**MONTHLY, "base": RecurrenceBase(0, JANUARY_31)}


def _offer(**changes: Any) -> Offer:
    told = {"description": "tea", "amount": 1_000_000, "issuer_id": MERCHANT.point, **changes}
    return write_offer(OfferTerms(**told))


def _text(**recurrence: Any) -> str:
    return _offer(recurrence=Recurrence(**recurrence)).to_text()


def _run(*arguments: str) -> Result:
    result = CliRunner(env={"COLUMNS": None}).invoke(command.main, ["preview", *arguments], prog_name="lnrecur")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def _document(*arguments: str) -> dict[str, Any]:
    result = _run("--json", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def _lines(*arguments: str) -> list[str]:
    result = _run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


@pytest.fixture
def _tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_tokyo")
def test_people_read_periods_in_their_own_zone() -> None:
    text = _text(**MONTHLY, paywindow=Paywindow(3600, DAY))
    assert _lines(text, "--count", "3", "--from", "2026-01-31T00:00:00Z") == [
        "1,000 sat every month, from the first payment, each from 1 hour before to 1 day after its start",
        "",
        "period starts may be paid from and before",
        "─" * 84,
        "0 2026-01-31 09:00:00 JST any time any time",
        "1 2026-02-28 09:00:00 JST 2026-02-28 08:00:00 JST 2026-03-01 09:00:00 JST",
        "2 2026-03-31 09:00:00 JST 2026-03-31 08:00:00 JST 2026-04-01 09:00:00 JST",
        "",
        "period 0 starts with your first payment; here it is counted from 2026-01-31 09:00:00 JST",
    ]


@pytest.mark.usefixtures("_tokyo")
def test_programs_read_periods_in_utc() -> None:
    offer = _offer(recurrence=Recurrence(**BASED))
    assert _document(offer.to_text(), "--from", "2026-01-01T00:00:00Z", "--count", "2") == {
        "offer_id": offer.offer_id.hex(),
        "words": "1,000 sat every month from 2026-01-31 00:00:00 UTC, paid in order",
        "counted_from": "base",
        "from": "2026-01-01T00:00:00Z",
        "from_unix": JANUARY_31 - 30 * DAY,
        "limit": None,
        "payments_max": None,
        "ends_with_limit": False,
        "periods": [
            {
                "index": 0,
                "starts": "2026-01-31T00:00:00Z",
                "starts_unix": JANUARY_31,
                "opens": None,
                "opens_unix": None,
                "closes": "2026-02-28T00:00:00Z",
                "closes_unix": JANUARY_31 + 28 * DAY,
            },
            {
                "index": 1,
                "starts": "2026-02-28T00:00:00Z",
                "starts_unix": JANUARY_31 + 28 * DAY,
                "opens": "2026-01-31T00:00:00Z",
                "opens_unix": JANUARY_31,
                "closes": "2026-03-31T00:00:00Z",
                "closes_unix": JANUARY_31 + 59 * DAY,
            },
        ],
    }


def test_a_late_payer_of_a_fixed_calendar_begins_with_the_period_that_is_running() -> None:
    text = _text(**BASED, paywindow=Paywindow(DAY, 2 * DAY))
    document = _document(text, "--from", "2026-03-15T12:00:00+01:00")
    assert [period["index"] for period in document["periods"]] == [1, 2, 3, 4, 5]
    assert document["periods"][0]["opens"] == "2026-02-27T00:00:00Z"
    assert _document(_text(**BASED, limit=11), "--from", "2026-03-15T12:00:00+01:00")["payments_max"] == 11
    assert "a payer who joins at that moment begins with period 1, which is running" in _lines(
        text, "--from", "2026-03-15T12:00:00+01:00"
    )


def test_without_a_base_the_periods_are_counted_from_the_moment_asked_for() -> None:
    document = _document(_text(unit=TimeUnit.SECONDS, period=12), "--from", str(JANUARY_31))
    assert document["counted_from"] == "first_payment"
    assert [period["starts_unix"] - JANUARY_31 for period in document["periods"]] == [0, 12, 24, 36, 48]
    first, second = document["periods"][:2]
    assert (first["opens"], first["closes"]) == (None, None)
    assert (second["opens_unix"], second["closes_unix"]) == (JANUARY_31, JANUARY_31 + 24)


def test_now_is_the_default() -> None:
    before = int(time.time())
    document = _document(_text(unit=TimeUnit.DAYS, period=1))
    assert before <= document["from_unix"] <= int(time.time())


def test_the_periods_stop_at_the_limit() -> None:
    text = _text(**MONTHLY, limit=2)
    document = _document(text)
    assert [period["index"] for period in document["periods"]] == [0, 1, 2]
    assert document["ends_with_limit"] is True
    assert document["payments_max"] == 3
    assert "period 2 is the last one: 3 payments at most from the first above" in _lines(text)
    assert _document(text, "--count", "2")["ends_with_limit"] is False


def test_a_calendar_that_is_over_has_no_periods_left() -> None:
    text = _text(**BASED, limit=2)
    document = _document(text, "--from", "2027-01-01T00:00:00Z")
    assert (document["periods"], document["ends_with_limit"], document["payments_max"]) == ([], True, 0)
    assert _lines(text, "--from", "2027-01-01T00:00:00Z")[-1] == (
        "no period is left: the limit or the end of time lies before that moment"
    )


def test_the_periods_stop_at_the_end_of_time() -> None:
    """T7: beyond 64 bits of seconds there is no period, and no error of another kind."""
    text = _text(unit=TimeUnit.DAYS, period=1)
    moment = U64_MAX - DAY
    document = _document(text, "--from", str(moment))
    assert [period["starts_unix"] for period in document["periods"]] == [moment, U64_MAX]
    assert document["periods"][1]["starts"] == "+584554051223-11-09T07:00:15Z"
    assert document["periods"][1]["closes"] is None
    assert document["ends_with_limit"] is False
    lines = _lines(text, "--from", str(moment))
    assert "1 584554051223-11-09 07:00:15 UTC 584554051223-11-08 07:00:15 UTC any time" in lines


@pytest.mark.usefixtures("_utc")
def test_what_matters_besides_is_said_below() -> None:
    recurrence = Recurrence(**MONTHLY, base=RecurrenceBase(1, JANUARY_31))
    text = _offer(recurrence=recurrence, absolute_expiry=JANUARY_31).to_text()
    assert _lines(text, "--from", str(JANUARY_31))[-2:] == [
        "proportional: a period that is running already costs the share that is left of it",
        "the offer takes new payers until 2026-01-31 00:00:00 UTC",
    ]
    assert _lines(text, "--from", str(JANUARY_31 + 1))[-1] == "the offer took new payers until 2026-01-31 00:00:00 UTC"


@pytest.mark.parametrize(
    ("told", "unix"),
    [
        ("0", 0),
        ("1769817600", JANUARY_31),
        ("2026-01-31T00:00:00Z", JANUARY_31),
        ("2026-01-31T09:00:00.999+09:00", JANUARY_31),
        ("18446744073709551615", U64_MAX),
    ],
)
def test_a_moment_may_be_written_as_rfc_3339_or_unix_seconds(told: str, unix: int) -> None:
    assert _document(_text(unit=TimeUnit.DAYS, period=1), "--from", told)["from_unix"] == unix


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("yesterday", "'yesterday' is no moment"),
        ("2026-02-30T00:00:00Z", "'2026-02-30T00:00:00Z' is no moment"),
        ("\u0661", "'\u0661' is no moment"),  # an Arabic-Indic 1 is a digit to Python
        ("1969-12-31T23:59:59Z", "'1969-12-31T23:59:59Z' is before 1970"),
        ("18446744073709551616", "'18446744073709551616' is later than 64 bits of seconds can say"),
        ("9" * 5000, "'999"),
    ],
)
def test_any_other_moment_is_refused_in_one_line(told: str, line: str) -> None:
    result = _run(_text(unit=TimeUnit.DAYS, period=1), "--from", told)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"lnrecur: --from: {line}")
    assert result.stderr.count("\n") == 1


def test_an_offer_that_does_not_recur_has_no_periods() -> None:
    result = _run(_offer().to_text())
    assert (result.exit_code, result.stderr) == (
        2,
        "lnrecur: this offer does not recur: it is paid once, and has no periods (lnrecur decode shows it)\n",
    )
    assert json.loads(_run("--json", _offer().to_text()).stdout)["error"]["code"] == "UsageError"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("garbage", "a bolt12 text begins with letters and a 1, such as lno1"),
        ("lnr1qq", "an offer begins with lno1, this text with lnr1 at offset 0"),
    ],
)
def test_what_is_no_offer_is_refused_in_one_line(text: str, line: str) -> None:
    result = _run(text)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"lnrecur: {line}\n")


@pytest.mark.parametrize("count", ["0", "1001", "-1", "many"])
def test_the_count_has_bounds(count: str) -> None:
    result = _run(_text(unit=TimeUnit.DAYS, period=1), "--count", count)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("lnrecur: Invalid value for '--count'")
    assert result.stderr.count("\n") == 1


def test_a_thousand_periods_are_told() -> None:
    assert len(_document(_text(**MONTHLY), "--count", "1000")["periods"]) == 1000
