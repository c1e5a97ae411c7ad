"""Where exchange rates come from, as the settings say it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from lnrecur.adapters.rates import PRESETS, AgreeingRates, FirstRates, HttpRates, Place, StaticRates
from lnrecur.errors import UsageError
from lnrecur.ports import Clock, RateSource
from lnrecur.recurrence.currencies import nearest_minor
from lnrecur.recurrence.errors import PriceError
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.values import UnixSeconds

if TYPE_CHECKING:
    from lnrecur.daemon.config import Settings

RATE_RANGES: Final = {"rate_tolerance_percent": (0, 100), "rate_max_age_s": (1, 86_400)}
"""From and to, both included."""
_RATE: Final = re.compile(r"(?P<currency>[A-Z]{3})=(?P<price>\d{1,20}(?:\.\d{1,10})?)", re.ASCII)


def parse_rate(text: str) -> tuple[str, Decimal]:
    """`EUR=58123.45`: what a bitcoin costs.

    Raises:
        UsageError: not that.
    """
    found = _RATE.fullmatch(text)
    if found is None:
        raise UsageError(f"{text[:60]!r} is not CURRENCY=PRICE, such as EUR=58123.45")
    currency, price = found["currency"], Decimal(found["price"])
    try:
        ExchangeRate(currency, nearest_minor(currency, price), UnixSeconds(0), "settings")
    except PriceError as error:
        raise UsageError(f"{text[:60]!r}: {error}") from error
    return currency, price


def check_rate_settings(settings: Settings) -> None:
    """What a type alone cannot say.

    Raises:
        UsageError: names the key.
    """
    if settings.rate_second_source and not settings.rate_source:
        raise UsageError("is a second source, and there is no first: set rate_source", field="rate_second_source")
    for source, path in (("rate_source", "rate_path"), ("rate_second_source", "rate_second_path")):
        _place(settings, source, path)


def rate_source(settings: Settings, clock: Clock) -> RateSource | None:
    """The source of exchange rates, from settings that have been checked; None where they name none.

    What is set by hand comes first.
    """
    sources: list[RateSource] = []
    if settings.rates:
        sources.append(StaticRates(dict(map(parse_rate, settings.rates)), clock))
    proxy = f"socks5://{settings.socks5_proxy}" if settings.socks5_for == "everything" else None

    def ask(place: Place) -> HttpRates:
        return HttpRates(place, clock, max_age_s=settings.rate_max_age_s, proxy=proxy)

    first = _place(settings, "rate_source", "rate_path")
    second = _place(settings, "rate_second_source", "rate_second_path")
    if first is not None and second is not None:
        sources.append(AgreeingRates(ask(first), ask(second), settings.rate_tolerance_percent))
    elif first is not None:
        sources.append(ask(first))
    return FirstRates(sources) if sources else None


def _place(settings: Settings, source_key: str, path_key: str) -> Place | None:
    source: str = getattr(settings, source_key)
    path: str = getattr(settings, path_key)
    if not source:
        if path:
            told = f"says where in an answer the price is, and nobody is asked: set {source_key}"
            raise UsageError(told, field=path_key)
        return None
    if source in PRESETS:
        return PRESETS[source]
    if not source.startswith(("https://", "http://")) or "{currency" not in source + path:
        names = ", ".join(PRESETS)
        told = f"is {names}, or a URL; and URL or {path_key} say {{currency}} where the code belongs"
        raise UsageError(f"{told}, unlike {source[:80]!r}", field=source_key)
    try:
        _ = urlsplit(source).port
    except ValueError as error:
        raise UsageError(f"is no URL: {error}", field=source_key) from error
    if not path:
        told = f"is missing: where in the answer of {source_key} the price is, such as data.amount"
        raise UsageError(told, field=path_key)
    return Place(source, path)
