"""How people write amounts, periods, durations and moments; every wrong one is a clear refusal, and none is guessed."""

from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.cli.amounts import (
    AMOUNT,
    Price,
    parse_amount,
    parse_every,
    parse_percent,
    parse_price,
    parse_retry,
    parse_seconds,
)
from lnrecur.errors import UsageError
from lnrecur.wire.integers import U32_MAX, U64_MAX

AMOUNTS = {
    "0": 0,
    "1000": 1_000_000,
    "1000sat": 1_000_000,
    "1000 sats": 1_000_000,
    " 1,000 SAT ": 1_000_000,
    "1_000_000sat": 1_000_000_000,
    "0.5sat": 500,
    "0.05": 50,
    "0.005sat": 5,
    "1.001": 1001,
    "1500msat": 1500,
    "1,500 mSats": 1500,
    "12,345,678.9sat": 12_345_678_900,
    "18446744073709551615msat": U64_MAX,
    "18446744073709551.615sat": U64_MAX,
}


@pytest.mark.parametrize(("text", "msat"), AMOUNTS.items())
def test_an_amount_is_read_exactly(text: str, msat: int) -> None:
    assert parse_amount(text) == msat


@pytest.mark.parametrize(
    "text",
    ["", "sat", "-1sat", "+1", "1e3", "0,5sat", "1,00", "1,0000", ",100", "1,000_000", "1.sat", ".5", "0.0005",
     "1.5msat",
     "1btc", "1 000", "\u0663sat", "1\u017fat", "0x10", "1sat1", "18446744073709551616msat", "18446744073709551.616sat",
     "9" * 5000, "nan", "\x00"],
)  # fmt: skip
def test_what_is_no_amount_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_amount(text)
    assert len(str(raised.value)) < 200


@given(st.integers(0, U64_MAX))
def test_every_amount_is_what_it_says_in_either_unit(msat: int) -> None:
    sat, rest = divmod(msat, 1000)
    assert parse_amount(f"{msat}msat") == parse_amount(f"{msat:,} msat") == msat
    assert parse_amount(f"{sat}.{rest:03}sat") == parse_amount(f"{sat:,}.{rest:03}") == msat


PERIODS = {
    "3s": ("seconds", 3),
    "30 sec": ("seconds", 30),
    "1second": ("seconds", 1),
    "10min": ("seconds", 600),
    "30 minutes": ("seconds", 1800),
    "2h": ("seconds", 7200),
    "24 hours": ("seconds", 86_400),
    "day": ("days", 1),
    "1d": ("days", 1),
    "2 weeks": ("days", 14),
    "2W": ("days", 14),
    "month": ("months", 1),
    "3mo": ("months", 3),
    "1y": ("months", 12),
    "2 years": ("months", 24),
    "007days": ("days", 7),
    f"{U32_MAX}s": ("seconds", U32_MAX),
}


@pytest.mark.parametrize(("text", "period"), PERIODS.items())
def test_a_period_is_read_in_the_units_of_the_wire(text: str, period: tuple[str, int]) -> None:
    assert parse_every(text) == period


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0d", "[O4]"), ("0 months", "[O4]"), ("1m", "minutes or months"), ("m", "is no period"), ("5", "is no period"),
        ("", "is no period"), ("-1d", "is no period"), ("1.5h", "is no period"), ("1ss", "is no period"),
        ("1ds", "is no period"), ("1 fortnight", "is no period"), ("1d2h", "is no period"), ("\u0661d", "is no period"),
        ("1\u017f", "is no period"), (f"{U32_MAX + 1}s", "too long"), ("999999999y", "too long"),
        ("9" * 5000 + "s", "is no period"), ("s" * 5000, "is no period"),
    ],
)  # fmt: skip
def test_what_is_no_period_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_every(text)
    assert told in str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("90s", 90), ("10min", 600), ("2h", 7200), ("1d", 86_400), ("w", 604_800)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: int) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "told"),
    [("1month", "no fixed length"), ("1y", "no fixed length"), ("90", "is no duration"), ("49711d", "too long")],
)
def test_what_is_no_duration_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_seconds(text)


NEARLY = st.from_regex(r"[0-9,._]{0,12} ?(s|sat|msat|min|m|mo|d|Y|)", fullmatch=True)


@pytest.mark.parametrize("parse", [parse_amount, parse_every, parse_seconds, parse_price, parse_percent, parse_retry])
@given(text=st.text() | NEARLY | st.from_regex(r"\d{1,4}-\d{1,2}-\d{1,2}(T\d\d:\d\d)?(Z|[+-]\d\d:\d\d)?"))
def test_no_text_whatever_leads_to_anything_but_a_refusal(parse: Callable[[str], Any], text: str) -> None:
    try:
        found = parse(text)
    except UsageError:
        return
    if isinstance(found, dict):
        numbers = [number for number in found.values() if number is not None]
    else:
        numbers = [found[1] if isinstance(found, tuple) else found.amount if isinstance(found, Price) else found]
    assert all(type(number) is int and 0 <= number <= U64_MAX for number in numbers)


def test_a_wrong_value_names_its_option() -> None:
    @click.command()
    @click.option("--amount", type=AMOUNT, default=5)
    def command(amount: int) -> None:
        click.echo(amount)

    refused = CliRunner().invoke(command, ["--amount", "0,5"])
    assert refused.exit_code == 2
    assert "Invalid value for '--amount': '0,5' is no amount: write 1000sat" in refused.stderr
    assert CliRunner().invoke(command, []).stdout == "5\n"


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("9.99EUR", Price(999, "EUR")),
        ("9.9 eur", Price(990, "EUR")),
        ("1,000 JPY", Price(1000, "JPY")),
        ("1.5KWD", Price(1500, "KWD")),
        ("0.05 USD", Price(5, "USD")),
        ("1000sat", Price(1_000_000)),
        ("0.5 SAT", Price(500)),
        ("7", Price(7000)),
    ],
)
def test_a_price_is_in_sat_or_in_a_currency(text: str, price: Price) -> None:
    assert parse_price(text) == price


@pytest.mark.parametrize("text", ["9.999EUR", "1.5JPY", "EUR", "9,9EUR", "-1EUR", "5 EURO", "999999999999999999EUR"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_price(text)


@pytest.mark.parametrize(("text", "ppm"), [("5", 50_000), ("2.5%", 25_000), ("0", 0), ("100 %", 1_000_000)])
def test_a_percentage_is_read_as_parts_per_million(text: str, ppm: int) -> None:
    assert parse_percent(text) == ppm


@pytest.mark.parametrize("text", ["", "-1", "100.1", "five", "1.23456"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no percentage"):
        parse_percent(text)


def test_a_retry_policy_is_read_in_any_order() -> None:
    told = parse_retry("tries=3, first=5s,cap=15min,factor=4,jitter=0")
    assert told == {"first_delay_s": 5, "factor": 4, "cap_s": 900, "jitter_percent": 0, "tries_max": 3}
    assert parse_retry("tries=none") == {"tries_max": None}


@pytest.mark.parametrize("text", ["", "first", "first=soon", "tries=-1", "often=1", "factor=1.5"])
def test_what_says_nothing_about_tries_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_retry(text)
