"""How people write amounts, durations and moments on the command line; integers all the way, never floats."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import click

from lnrecur.errors import UsageError
from lnrecur.values import MSAT_PER_SAT, Msat

_AMOUNT: Final = re.compile(r"(?P<whole>\d[\d,_]*)(?:\.(?P<part>\d{1,3}))?\s*(?P<unit>sats?|msats?|)", re.IGNORECASE)
_EVERY: Final = re.compile(r"(?P<count>\d*)\s*(?P<unit>[a-z]+)", re.IGNORECASE)
_UNITS: Final = {
    "s": ("seconds", 1), "sec": ("seconds", 1), "second": ("seconds", 1), "min": ("seconds", 60),
    "minute": ("seconds", 60), "h": ("seconds", 3600), "hour": ("seconds", 3600), "d": ("days", 1), "day": ("days", 1),
    "w": ("days", 7), "week": ("days", 7), "mo": ("months", 1), "month": ("months", 1), "y": ("months", 12),
    "year": ("months", 12),
}  # fmt: skip
_SECONDS: Final = {"seconds": 1, "days": 86_400}


def parse_amount(text: str) -> Msat:
    """`1000`, `1,000 sat`, `0.5sat` or `1500 msat`, in msat.

    Raises:
        UsageError: not an amount, or finer than a millisatoshi.
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no amount: write 1000sat, 0.5sat or 1500msat")
    whole = int(found["whole"].replace(",", "").replace("_", ""))
    part = found["part"]
    if found["unit"].lower().startswith("m"):
        if part is not None:
            raise UsageError(f"{text!r}: a millisatoshi cannot be divided")
        return Msat(whole)
    return Msat(whole * MSAT_PER_SAT + int((part or "0").ljust(3, "0")))


def parse_every(text: str) -> tuple[str, int]:
    """`3s`, `30 minutes`, `day`, `2 weeks`, `month`, `1y`: the unit of the wire (seconds, days, months) and how many.

    Raises:
        UsageError: not a period.
    """
    found = _EVERY.fullmatch(text.strip())
    unit = found["unit"].lower() if found is not None else ""
    known = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
    if found is None or known is None:
        raise UsageError(f"{text!r} is no period: write 30s, 10min, 2h, 1d, 2w, 1month or 1y (m alone could be either)")
    name, factor = known
    count = int(found["count"] or 1) * factor
    if count == 0:
        raise UsageError(f"{text!r}: a period of nothing never passes [O4]")
    return name, count


def parse_seconds(text: str) -> int:
    """A duration in seconds: `90s`, `10min`, `2h`, `1d`, `1w`, or 0.

    Raises:
        UsageError: not a duration, or one in months, which have no fixed length.
    """
    if text.strip() == "0":
        return 0
    unit, count = parse_every(text)
    if unit not in _SECONDS:
        raise UsageError(f"{text!r}: months have no fixed length in seconds, write days")
    return count * _SECONDS[unit]


def parse_moment(text: str) -> int:
    """A moment in seconds since 1970: unix seconds, or ISO 8601 such as 2027-01-31T12:00:00+01:00.

    A moment that does not name its zone is in UTC.

    Raises:
        UsageError: not a moment.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no moment: write 2027-01-31, 2027-01-31T12:00:00Z or unix seconds") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = int(moment.timestamp())
    if seconds < 0:
        raise UsageError(f"{text!r} is before 1970")
    return seconds


class Parsed(click.ParamType[Any]):
    """A click option type around one of the parsers above; a bad value is a usage error that names the option."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse texts; let values that are parsed already pass."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


AMOUNT: Final = Parsed("amount", parse_amount)
EVERY: Final = Parsed("period", parse_every)
SECONDS: Final = Parsed("duration", parse_seconds)
MOMENT: Final = Parsed("moment", parse_moment)
