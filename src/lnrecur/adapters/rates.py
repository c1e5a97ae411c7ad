"""What a bitcoin costs, by settings or over HTTP. No source is asked that nobody configured.

A price comes as a number of the currency's major unit (euros for one bitcoin), is read as a decimal, never as a float,
and becomes a whole number of minor units (cents).

- `StaticRates`: what the settings say.
- `HttpRates`: a JSON document at a URL, one place in it. An answer is used for a while before it is asked for again,
  and for as long as it is not too old when asking again fails. One question at a time per currency; after a failure
  there is a pause, so that whoever sends us requests cannot have us hammer the source.
- `AgreeingRates`: a second source has to say nearly the same as the first.
- `FirstRates`: the first source that has the currency.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from lnrecur.ports import Clock, RateSource, RateUnavailable
from lnrecur.recurrence.currencies import nearest_minor
from lnrecur.recurrence.errors import PriceError
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.values import UnixSeconds

ANSWER_MAX: Final = 65_536
"""Longest answer of a source that we read, in bytes."""
ASK_S_MAX: Final = 4.0
"""Real seconds a source has to answer; less than a payer's request waits for."""
FRESH_S: Final = 60
"""How long an answer is used before it is asked for again."""
PAUSE_S: Final = 10
"""How long a source is left alone after a failure."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source's price is. `{currency}` in both stands for EUR, `{currency_lower}` for eur.

    `path` names the way through the JSON document: keys and positions, with dots between them ("data.amount").
    """

    url: str
    path: str


PRESETS: Final = {
    "coinbase": Place("https://api.coinbase.com/v2/prices/BTC-{currency}/spot", "data.amount"),
    "coingecko": Place(
        "https://api.coingecko.com/api/v3/simple/price?ids=bitcoin&vs_currencies={currency_lower}",
        "bitcoin.{currency_lower}",
    ),
}
"""Public sources by name. Like any other source they are asked only where the settings name them."""


class StaticRates:
    """A `ports.RateSource` that says what it was told."""

    def __init__(self, prices: Mapping[str, Decimal], clock: Clock) -> None:
        """`prices`: what a bitcoin costs, in the major unit of each currency.

        Raises:
            PriceError: something that is no price.
        """
        self._clock = clock
        self._minor = {currency: nearest_minor(currency, price) for currency, price in prices.items()}
        for currency, minor in self._minor.items():
            ExchangeRate(currency, minor, UnixSeconds(0), "settings")

    async def rate(self, currency: str) -> ExchangeRate:
        """See `lnrecur.ports.RateSource.rate`; always of this very second."""
        if currency not in self._minor:
            raise RateUnavailable(f"the settings name no rate for {currency}")
        return ExchangeRate(currency, self._minor[currency], self._clock.now(), "settings")


@dataclass(slots=True)
class _Known:
    """What is known of one currency."""

    rate: ExchangeRate | None = None
    ask_again_at: int = 0
    trouble: str = ""
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class HttpRates:
    """A `ports.RateSource` that asks a web page for JSON."""

    def __init__(
        self,
        place: Place,
        clock: Clock,
        *,
        max_age_s: int,
        ask_s_max: float = ASK_S_MAX,
        proxy: str | None = None,
    ) -> None:
        """Ask a place.

        Args:
            place: where.
            clock: tells how old an answer is.
            max_age_s: how old a rate may be that is still used.
            ask_s_max: real seconds it has to answer.
            proxy: URL of one to ask through.

        Raises:
            ValueError: the place is no URL.
        """
        self._place = place
        self._clock = clock
        self._max_age_s = max_age_s
        self._ask_s_max = ask_s_max
        self._proxy = proxy
        self._known: dict[str, _Known] = {}
        self.name = urlsplit(place.url).hostname or place.url

    async def rate(self, currency: str) -> ExchangeRate:
        """See `lnrecur.ports.RateSource.rate`."""
        known = self._known.setdefault(currency, _Known())
        async with known.asking:
            if self._clock.now() >= known.ask_again_at:
                await self._ask(currency, known)
            now = self._clock.now()
            if known.rate is None:
                raise RateUnavailable(f"{self.name} tells no rate for {currency}: {known.trouble}")
            age = now - known.rate.at
            if age > self._max_age_s:
                told = f"the last rate of {self.name} for {currency} is {age} seconds old"
                raise RateUnavailable(f"{told}, and no newer one comes: {known.trouble}")
            return known.rate

    async def _ask(self, currency: str, known: _Known) -> None:
        try:
            minor = _price_in(await self._fetch(currency), _filled(self._place.path, currency), currency)
            known.rate = ExchangeRate(currency, minor, self._clock.now(), self.name)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            known.trouble = str(error) or f"no answer within {self._ask_s_max:g} seconds"
        except PriceError as error:
            known.trouble = str(error)
        else:
            known.trouble = ""
            known.ask_again_at = self._clock.now() + min(FRESH_S, self._max_age_s)
            return
        known.ask_again_at = self._clock.now() + PAUSE_S

    async def _fetch(self, currency: str) -> bytes:
        url = _filled(self._place.url, currency)
        async with asyncio.timeout(self._ask_s_max):
            async with httpx.AsyncClient(timeout=self._ask_s_max, proxy=self._proxy) as http:
                return await _read(http, url)


class AgreeingRates:
    """A `ports.RateSource` that believes one source only while another one says nearly the same."""

    def __init__(self, first: RateSource, second: RateSource, tolerance_percent: int) -> None:
        """`tolerance_percent`: how far apart the two may be, in hundredths of the lower one."""
        self._first = first
        self._second = second
        self._tolerance_percent = tolerance_percent

    async def rate(self, currency: str) -> ExchangeRate:
        """See `lnrecur.ports.RateSource.rate`: the first one's rate, once the second one agrees."""
        first, second = await asyncio.gather(self._first.rate(currency), self._second.rate(currency))
        low, high = sorted((first.minor_per_btc, second.minor_per_btc))
        if (high - low) * 100 > self._tolerance_percent * low:
            told = f"{first.source} says {first.minor_per_btc} and {second.source} says {second.minor_per_btc}"
            raise RateUnavailable(f"{told} minor units of {currency}: further apart than {self._tolerance_percent} %")
        at = UnixSeconds(min(first.at, second.at))
        return replace(first, at=at, source=f"{first.source}, {second.source} agrees")


class FirstRates:
    """A `ports.RateSource` made of several: the first one that has the currency answers."""

    def __init__(self, sources: Sequence[RateSource]) -> None:
        """At least one, the one to be asked first first."""
        self._sources = sources

    async def rate(self, currency: str) -> ExchangeRate:
        """See `lnrecur.ports.RateSource.rate`."""
        troubles = []
        for source in self._sources:
            try:
                return await source.rate(currency)
            except RateUnavailable as error:
                troubles.append(str(error))
        raise RateUnavailable("; ".join(troubles))


async def _read(http: httpx.AsyncClient, url: str) -> bytes:
    """The whole answer.

    Raises:
        httpx.HTTPError: none came, or one that says no.
        PriceError: it is too long.
    """
    async with http.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        answer.raise_for_status()
        found = b""
        async for piece in answer.aiter_bytes():
            found += piece
            if len(found) > ANSWER_MAX:
                raise PriceError(f"its answer is longer than {ANSWER_MAX} bytes")
        return found


def _filled(pattern: str, currency: str) -> str:
    return pattern.replace("{currency}", currency).replace("{currency_lower}", currency.lower())


def _price_in(answer: bytes, path: str, currency: str) -> int:
    """The price at a place of a JSON document, in minor units.

    Raises:
        PriceError: no JSON, nothing there, or no price.
    """
    try:
        found: Any = json.loads(answer, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise PriceError(f"its answer is no JSON: {str(error)[:80]}") from error
    for step in path.split("."):
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise PriceError(f"its answer has nothing at {path} (looking for {step!r})") from error
    if isinstance(found, bool) or not isinstance(found, (int, str, Decimal)):
        raise PriceError(f"what its answer has at {path} is no number")
    try:
        price = Decimal(found)
    except InvalidOperation as error:
        raise PriceError(f"what its answer has at {path} is no number: {str(found)[:40]!r}") from error
    return nearest_minor(currency, price)


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")
