"""How people write amounts and durations on the command line; integers all the way, never floats."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import click

from lnrecur.cli.moments import parse_moment, quoted
from lnrecur.errors import UsageError
from lnrecur.recurrence.currencies import currency_exponent
from lnrecur.recurrence.words import price_in_words
from lnrecur.values import MSAT_PER_SAT, Msat
from lnrecur.wire.integers import U32_MAX, U64_MAX

_AMOUNT: Final = re.compile(
    r"(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,3}(?:_\d{3})+|\d{1,20})(?:\.(?P<part>\d{1,3}))?\s*(?P<unit>sats?|msats?|)",
    re.IGNORECASE | re.ASCII,
)
"""Separators stand between groups of three: whoever writes 0,5 for a half must not pay 5."""
_FIAT: Final = re.compile(
    r"(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,3}(?:_\d{3})+|\d{1,18})(?:\.(?P<part>\d{1,4}))?\s*(?P<currency>[A-Za-z]{3})",
    re.ASCII,
)
_PERCENT: Final = re.compile(r"(?P<whole>\d{1,3})(?:\.(?P<part>\d{1,4}))?\s*%?", re.ASCII)
_RETRY_COUNTS: Final = {"factor": "factor", "jitter": "jitter_percent", "tries": "tries_max"}
_COUNT_DIGITS_MAX: Final = 9
_MINOR_MAX: Final = 2**63 - 1
_EVERY: Final = re.compile(r"(?P<count>\d{0,12})\s*(?P<unit>[a-z]+)", re.IGNORECASE | re.ASCII)
_UNITS: Final = {
    "s": ("seconds", 1), "sec": ("seconds", 1), "second": ("seconds", 1), "min": ("seconds", 60),
    "minute": ("seconds", 60), "h": ("seconds", 3600), "hour": ("seconds", 3600), "d": ("days", 1), "day": ("days", 1),
    "w": ("days", 7), "week": ("days", 7), "mo": ("months", 1), "month": ("months", 1), "y": ("months", 12),
    "year": ("months", 12),
}  # fmt: skip
_SECONDS: Final = {"seconds": 1, "days": 86_400}


def parse_amount(text: str) -> Msat:
    """`1000`, `1,000 sat`, `0.5sat` or `1500 msat`, in msat; at most what 64 bits hold.

    Raises:
        UsageError: not an amount, too high, or finer than a millisatoshi.
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{quoted(text)} is no amount: write 1000sat, 1,000sat, 0.5sat or 1500msat")
    whole, part = int(found["whole"].replace(",", "").replace("_", "")), found["part"]
    if not found["unit"].lower().startswith("m"):
        msat = whole * MSAT_PER_SAT + int((part or "0").ljust(3, "0"))
    elif part is None:
        msat = whole
    else:
        raise UsageError(f"{quoted(text)}: a millisatoshi cannot be divided")
    if msat > U64_MAX:
        raise UsageError(f"{quoted(text)} is more than there can be")
    return Msat(msat)


@dataclass(frozen=True, slots=True)
class Price:
    """An amount as a person says it: in msat, or in minor units of a currency."""

    amount: int
    currency: str | None = None


def parse_price(text: str) -> Price:
    """An amount as `parse_amount` reads it, or one in a currency: `9.99EUR`, `1,000 JPY`.

    Raises:
        UsageError: neither, or finer than the currency's minor unit.
    """
    found = _FIAT.fullmatch(text.strip())
    if found is None or found["currency"].lower() == "sat":
        return Price(parse_amount(text))
    currency, part = found["currency"].upper(), found["part"] or ""
    exponent = currency_exponent(currency)
    if len(part) > exponent:
        told = f"has no smaller unit than {price_in_words(1, currency)}"
        raise UsageError(f"{quoted(text)}: {currency} {told}")
    whole = int(found["whole"].replace(",", "").replace("_", ""))
    minor = whole * 10**exponent + int(part.ljust(exponent, "0") or "0")
    if minor > _MINOR_MAX:
        raise UsageError(f"{quoted(text)} is more than there can be")
    return Price(minor, currency)


def parse_percent(text: str) -> int:
    """`5`, `5%` or `2.5 %`, in parts per million; at most 100 %.

    Raises:
        UsageError: not a percentage, or a finer one.
    """
    found = _PERCENT.fullmatch(text.strip())
    ppm = -1 if found is None else int(found["whole"]) * 10_000 + int((found["part"] or "0").ljust(4, "0"))
    if not 0 <= ppm <= 1_000_000:
        raise UsageError(f"{quoted(text)} is no percentage: write 5, 5% or 2.5%, at most 100")
    return ppm


def parse_retry(text: str) -> dict[str, int | None]:
    """`first=5s,factor=2,cap=15min,jitter=25,tries=10` (any of them), as the API wants it; `tries=none`: no limit.

    Raises:
        UsageError: an unknown word, or a value that is none.
    """
    told: dict[str, int | None] = {}
    for part in text.split(","):
        name, _, value = (piece.strip().lower() for piece in part.partition("="))
        if name in ("first", "cap"):
            told["first_delay_s" if name == "first" else "cap_s"] = parse_seconds(value)
        elif name == "tries" and value == "none":
            told["tries_max"] = None
        elif name in _RETRY_COUNTS and value.isascii() and value.isdigit() and len(value) <= _COUNT_DIGITS_MAX:
            told[_RETRY_COUNTS[name]] = int(value)
        else:
            raise UsageError(f"{quoted(part)} says nothing about tries: write first=5s,factor=2,cap=15min,tries=10")
    return told


def parse_every(text: str) -> tuple[str, int]:
    """`3s`, `30 minutes`, `day`, `2 weeks`, `month`, `1y`: the unit of the wire (seconds, days, months) and how many.

    Raises:
        UsageError: not a period, none at all, or longer than the wire can say.
    """
    span = _span(text)
    if span is None:
        told = "is no period: write 30s, 10min, 2h, 1d, 2w, 1month or 1y (m alone could be minutes or months)"
        raise UsageError(f"{quoted(text)} {told}")
    if not span[1]:
        raise UsageError(f"{quoted(text)}: a period of nothing never passes [O4]")
    if span[1] > U32_MAX:
        raise UsageError(f"{quoted(text)} is too long: a period has at most {U32_MAX} {span[0]}")
    return span


def parse_seconds(text: str) -> int:
    """A duration in seconds: `90s`, `10min`, `2h`, `1d`, `1w`, or 0.

    Raises:
        UsageError: not a duration, longer than the wire can say, or in months, which have no fixed length.
    """
    span = ("seconds", 0) if text.strip() == "0" else _span(text)
    if span is None:
        raise UsageError(f"{quoted(text)} is no duration: write 90s, 10min, 2h, 1d or 1w")
    unit, count = span
    if unit not in _SECONDS:
        raise UsageError(f"{quoted(text)}: months have no fixed length in seconds, write days")
    seconds = count * _SECONDS[unit]
    if seconds > U32_MAX:
        raise UsageError(f"{quoted(text)} is too long: at most {U32_MAX} seconds")
    return seconds


def _span(text: str) -> tuple[str, int] | None:
    """Unit of the wire and count, None for what is no span of time."""
    found = _EVERY.fullmatch(text.strip())
    if found is None:
        return None
    word = found["unit"].lower()
    known = _UNITS.get(word) or (_UNITS.get(word.removesuffix("s")) if len(word) > 2 else None)
    if known is None:
        return None
    name, factor = known
    return name, int(found["count"] or 1) * factor


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


PRICE: Final = Parsed("price", parse_price)
PERCENT: Final = Parsed("percent", parse_percent)
RETRY: Final = Parsed("policy", parse_retry)
AMOUNT: Final = Parsed("amount", parse_amount)
EVERY: Final = Parsed("period", parse_every)
SECONDS: Final = Parsed("duration", parse_seconds)
MOMENT: Final = Parsed("moment", parse_moment)
