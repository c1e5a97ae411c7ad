"""Exchange rates: from settings, over HTTP from a real server on this machine, and from two sources that must agree."""

import asyncio
import json
import socket
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from lnrecur.adapters.rates import (
    ANSWER_MAX,
    FRESH_S,
    PAUSE_S,
    PRESETS,
    AgreeingRates,
    FirstRates,
    HttpRates,
    Place,
    StaticRates,
)
from lnrecur.ports import RateSource, RateUnavailable
from lnrecur.recurrence.errors import PriceError
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.testing.virtual_clock import VirtualClock

NOW = 1_800_000_000


class Source:
    """A web server that answers what it is told, and counts."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.asked: list[str] = []
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                source.asked.append(self.path)
                status, body = source.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def say(self, price: object) -> None:
        self.answer = (200, json.dumps({"data": [{"EUR": price}]}).encode())


@pytest.fixture
def source() -> Iterator[Source]:
    running = Source()
    yield running
    running.server.shutdown()
    running.server.server_close()
    running.thread.join()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


def _http(source: Source, clock: VirtualClock, **changes: Any) -> HttpRates:
    place = Place(f"{source.url}/price/{{currency}}?c={{currency_lower}}", "data.0.{currency}")
    return HttpRates(place, clock, **{"max_age_s": 600, **changes})


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "price", "minor"),
    [
        ("EUR", "58123.45", 5_812_345),
        ("EUR", "58123.456", 5_812_346),
        ("JPY", "9500000.4", 9_500_000),
        ("KWD", "20123.4567", 20_123_457),
        ("EUR", "0.01", 1),
    ],
)
async def test_a_price_of_the_settings_becomes_minor_units(
    clock: VirtualClock, currency: str, price: str, minor: int
) -> None:
    rate = await StaticRates({currency: Decimal(price)}, clock).rate(currency)
    assert rate == ExchangeRate(currency, minor, rate.at, "settings")
    assert rate.at == NOW
    clock.advance(10**6)
    assert (await StaticRates({currency: Decimal(price)}, clock).rate(currency)).at == NOW + 10**6


@pytest.mark.parametrize("price", ["0", "0.001", "-1", "NaN", "Infinity", "1e30", "99999999999999999999"])
def test_what_is_no_price_is_refused_at_once(clock: VirtualClock, price: str) -> None:
    with pytest.raises(PriceError):
        StaticRates({"EUR": Decimal(price)}, clock)


async def test_a_currency_that_is_not_set_has_no_rate(clock: VirtualClock) -> None:
    with pytest.raises(RateUnavailable, match="no rate for USD") as raised:
        await StaticRates({"EUR": Decimal(1)}, clock).rate("USD")
    assert raised.value.retry


# --- HTTP ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [58123.45, "58123.45"])
async def test_a_source_is_asked_for_the_currency_and_its_price_read_without_floats(
    source: Source, clock: VirtualClock, price: object
) -> None:
    source.say(price)
    rate = await _http(source, clock).rate("EUR")
    assert rate == ExchangeRate("EUR", 5_812_345, rate.at, "127.0.0.1")
    assert (rate.at, source.asked) == (NOW, ["/price/EUR?c=eur"])


async def test_a_long_decimal_is_exact_to_the_half_cent(source: Source, clock: VirtualClock) -> None:
    source.answer = (200, b'{"data": [{"EUR": 123456789012345.005000000000000000001}]}')
    assert (await _http(source, clock).rate("EUR")).minor_per_btc == 12_345_678_901_234_501


async def test_an_answer_is_used_for_a_while_before_it_is_asked_for_again(source: Source, clock: VirtualClock) -> None:
    rates = _http(source, clock)
    source.say(100)
    await rates.rate("EUR")
    source.say(200)
    clock.advance(FRESH_S - 1)
    assert (await rates.rate("EUR")).minor_per_btc == 10_000
    clock.advance(1)
    assert (await rates.rate("EUR")).minor_per_btc == 20_000
    assert len(source.asked) == 2


async def test_many_that_ask_at_once_are_one_question(source: Source, clock: VirtualClock) -> None:
    source.say(100)
    rates = _http(source, clock)
    assert {rate.minor_per_btc for rate in await asyncio.gather(*[rates.rate("EUR") for _ in range(20)])} == {10_000}
    assert len(source.asked) == 1


async def test_an_old_answer_serves_until_it_is_too_old_when_the_source_fails(
    source: Source, clock: VirtualClock
) -> None:
    rates = _http(source, clock)
    source.say(100)
    await rates.rate("EUR")
    source.answer = (503, b"")
    clock.advance(600)
    assert (await rates.rate("EUR")).at == NOW
    clock.advance(1)
    with pytest.raises(RateUnavailable, match=r"601 seconds old, and no newer one comes: .*503"):
        await rates.rate("EUR")
    source.say(300)
    clock.advance(PAUSE_S)
    assert (await rates.rate("EUR")).minor_per_btc == 30_000


async def test_a_source_that_fails_is_left_alone_for_a_while(source: Source, clock: VirtualClock) -> None:
    rates = _http(source, clock)
    source.answer = (500, b"")
    for _ in range(5):
        with pytest.raises(RateUnavailable, match="500"):
            await rates.rate("EUR")
    assert len(source.asked) == 1
    clock.advance(PAUSE_S)
    with pytest.raises(RateUnavailable):
        await rates.rate("EUR")
    assert len(source.asked) == 2


async def test_currencies_do_not_share_their_troubles(source: Source, clock: VirtualClock) -> None:
    rates = _http(source, clock)
    source.say(100)
    with pytest.raises(RateUnavailable, match="nothing at"):
        await rates.rate("USD")
    assert (await rates.rate("EUR")).minor_per_btc == 10_000


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b"", "404"),
        (302, b"", "302"),
        (200, b"", "no JSON"),
        (200, b"<html>", "no JSON"),
        (200, b"\xff\xfe", "no JSON"),
        (200, b"[" * 50_000, "no JSON"),
        (200, b'{"data": [{"EUR": NaN}]}', "no JSON"),
        (200, b'{"data": [{"EUR": Infinity}]}', "no JSON"),
        (200, b'{"data": []}', "nothing at"),
        (200, b'{"data": {}}', "nothing at"),
        (200, b'{"data": 5}', "nothing at"),
        (200, b'"data"', "nothing at"),
        (200, b'{"data": [{"EUR": true}]}', "no number"),
        (200, b'{"data": [{"EUR": null}]}', "no number"),
        (200, b'{"data": [{"EUR": {}}]}', "no number"),
        (200, b'{"data": [{"EUR": "much"}]}', "no number"),
        (200, b'{"data": [{"EUR": "nan"}]}', "no amount"),
        (200, b'{"data": [{"EUR": -5}]}', "no amount"),
        (200, b'{"data": [{"EUR": 1e999999}]}', "no amount"),
        (200, b'{"data": [{"EUR": 0}]}', "cannot cost 0"),
        (200, b'{"data": [{"EUR": 1e-999999}]}', "cannot cost 0"),
        (200, b" " * (ANSWER_MAX + 1), "longer than"),
    ],
)
async def test_an_answer_that_is_none_is_told(
    source: Source, clock: VirtualClock, status: int, body: bytes, told: str
) -> None:
    source.answer = (status, body)
    with pytest.raises(RateUnavailable, match=f"127.0.0.1 tells no rate for EUR: .*{told}"):
        await _http(source, clock).rate("EUR")


async def test_a_source_that_is_not_there_is_told(source: Source, clock: VirtualClock) -> None:
    with pytest.raises(RateUnavailable, match="tells no rate for EUR"):
        await HttpRates(Place("http://127.0.0.1:1/{currency}", "x"), clock, max_age_s=60).rate("EUR")


async def test_a_source_that_says_nothing_is_not_waited_for(clock: VirtualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        place = Place(f"http://127.0.0.1:{mute.getsockname()[1]}/{{currency}}", "x")
        with pytest.raises(RateUnavailable, match="tells no rate for EUR"):
            await HttpRates(place, clock, max_age_s=60, ask_s_max=0.05).rate("EUR")


def test_every_preset_has_room_for_a_currency() -> None:
    assert all("{currency" in place.url and place.path for place in PRESETS.values())


# --- several sources -------------------------------------------------------------------------------------------------


class Said:
    """A source that says a number, or nothing."""

    def __init__(self, name: str, minor: int | None, at: int = NOW) -> None:
        self.name = name
        self.minor = minor
        self.at = at

    async def rate(self, currency: str) -> ExchangeRate:
        if self.minor is None:
            raise RateUnavailable(f"{self.name} is silent")
        return ExchangeRate(currency, self.minor, self.at, self.name)  # type: ignore[arg-type]


@pytest.mark.parametrize(("second", "agrees"), [(1000, True), (1020, True), (1021, False), (981, True), (980, False)])
async def test_two_sources_agree_within_the_tolerance(second: int, agrees: bool) -> None:
    both: RateSource = AgreeingRates(Said("one", 1000), Said("two", second, NOW - 5), 2)
    if agrees:
        assert await both.rate("EUR") == ExchangeRate("EUR", 1000, NOW - 5, "one, two agrees")  # type: ignore[arg-type]
        return
    with pytest.raises(RateUnavailable, match=f"one says 1000 and two says {second} .* further apart than 2 %"):
        await both.rate("EUR")


@pytest.mark.parametrize(("first", "second"), [(None, 1000), (1000, None), (None, None)])
async def test_without_both_there_is_no_agreement(first: int | None, second: int | None) -> None:
    with pytest.raises(RateUnavailable, match="is silent"):
        await AgreeingRates(Said("one", first), Said("two", second), 2).rate("EUR")


async def test_the_first_that_has_the_currency_answers() -> None:
    assert (await FirstRates([Said("a", None), Said("b", 7), Said("c", 8)]).rate("EUR")).source == "b"
    with pytest.raises(RateUnavailable, match="a is silent; b is silent"):
        await FirstRates([Said("a", None), Said("b", None)]).rate("EUR")
