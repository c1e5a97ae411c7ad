"""Who gets in, and what is refused before any route is asked."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from helpers.api import NOW, TOKEN, Api, services_in_memory, serving
from lnrecur.adapters.link import LinkSettings, TcpPeerLink
from lnrecur.adapters.router import StaticRouter
from lnrecur.daemon.config import Settings
from lnrecur.daemon.http.app import BODY_MAX, doctor_route, peer_routes, routes_over
from lnrecur.daemon.http.doctor_routes import DoctorRoutes
from lnrecur.daemon.http.peer_routes import PeerRoutes
from lnrecur.daemon.http.routes import Routes
from lnrecur.daemon.peer_book import PeerBook
from lnrecur.messaging.peer import PeerSettings
from lnrecur.ports import OfferRecord, StoreUnavailable
from lnrecur.testing.memory_store import MemoryRecurrenceManager
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST

PAGE = Path(__file__).parents[3] / "docs" / "http-api.md"
AUTHORIZED = f"Authorization: Bearer {TOKEN}".encode()


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    clock = VirtualClock(NOW)
    with serving(services_in_memory(clock), clock) as served:
        yield served


WRONG_TOKENS = [
    {},
    {"Authorization": ""},
    {"Authorization": TOKEN},
    {"Authorization": "Bearer"},
    {"Authorization": f"Bearer {TOKEN[:-1]}"},
    {"Authorization": f"Bearer {TOKEN}x"},
    {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": "Bearer \xff"},
    {"X-Token": TOKEN},
]


@pytest.mark.parametrize("headers", WRONG_TOKENS)
@pytest.mark.parametrize("path", ["/v1/info", "/v1/offers", "/v1/nothing", "/"])
def test_without_the_token_every_path_answers_the_same(api: Api, path: str, headers: dict[str, str]) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = httpx.get(f"http://127.0.0.1:{api.port}{path}", headers=encoded, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {
        "error": {
            "code": "Unauthorized",
            "message": "send the token of the http-token file as a bearer token",
            "fault": "caller",
            "retry": False,
        }
    }


def test_without_the_token_nothing_is_changed(api: Api) -> None:
    before = api.get("/v1/offers").json()
    answer = httpx.post(f"http://127.0.0.1:{api.port}/v1/offers", json={"description": "x"}, trust_env=False)
    assert answer.status_code == 401
    assert api.get("/v1/offers").json() == before


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/offers/", "/v1/offers/a/b", "/v1/subscriptions/00/pay"])
def test_an_unknown_path_is_not_found(api: Api, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")
    assert path in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/offers", "GET, HEAD, POST"),
        ("PUT", "/v1/subscriptions", "GET, HEAD, POST"),
        ("POST", "/v1/info", "GET, HEAD"),
        ("POST", "/v1/events", "GET, HEAD"),
        ("GET", "/v1/subscriptions/00/cancel", "POST"),
        ("PATCH", "/v1/subscriptions/00/approve", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"]["code"] == "MethodNotAllowed"


def test_a_body_of_the_longest_allowed_length_is_read(api: Api) -> None:
    answer = api.http.post("/v1/offers", content=b'{"amount_msat": "' + b"x" * (BODY_MAX - 19) + b'"}')
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "amount_msat")


def test_a_longer_body_is_refused(api: Api) -> None:
    answer = api.http.post("/v1/offers", content=b" " * (BODY_MAX + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TooLarge")
    assert api.get("/v1/info").status_code == 200


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 99999999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_a_body_without_a_bearable_length_is_refused_unread(api: Api, framing: bytes) -> None:
    answer = api.raw(b"POST /v1/offers HTTP/1.1\r\nHost: localhost\r\n" + AUTHORIZED + b"\r\n" + framing)
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert b"connection: close" in answer.lower()
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"5" * 5000, b"x"])
def test_a_length_that_is_no_number_never_reaches_a_route(api: Api, length: bytes) -> None:
    head = b"POST /v1/offers HTTP/1.1\r\nHost: localhost\r\n" + AUTHORIZED
    answer = api.raw(head + b"\r\nContent-Length: " + length + b"\r\n\r\n{}")
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), answer


class BrokenStore(MemoryRecurrenceManager):
    """A store that is gone, or has a bug."""

    trouble: Exception = StoreUnavailable("the disk is gone")

    def offers(self) -> list[OfferRecord]:
        raise self.trouble


def test_a_failure_of_the_machine_is_told_as_one_and_may_be_tried_again() -> None:
    clock = VirtualClock(NOW)
    with serving(services_in_memory(clock, BrokenStore()), clock) as broken:
        answer = broken.get("/v1/offers")
    assert answer.status_code == 503
    assert answer.json() == {
        "error": {
            "code": "StoreUnavailable",
            "message": "the disk is gone",
            "fault": "environment",
            "retry": True,
        }
    }


def test_a_bug_is_told_without_its_details() -> None:
    clock = VirtualClock(NOW)
    store = BrokenStore()
    store.trouble = RuntimeError("the preimage is 00112233")
    with serving(services_in_memory(clock, store), clock) as broken:
        answer = broken.get("/v1/offers")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "Bug")
        assert "preimage" not in answer.text
        assert broken.get("/v1/info").status_code == 200


def test_the_page_describes_every_route_and_no_other(api: Api, tmp_path: Path) -> None:
    link = TcpPeerLink(api.services.keyring.identity, SeededEntropy(1), LinkSettings(PeerSettings(REGTEST)))
    about_peers = PeerRoutes(PeerBook(link, StaticRouter(), [], tmp_path / "peers.json"), api.clock)
    built = {
        (method, route.path)
        for route in [
            *routes_over(Routes(api.services, Settings(), None)),
            *peer_routes(about_peers),
            doctor_route(DoctorRoutes(api.services, None, None)),
        ]
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert set(re.findall(r"^### (GET|POST|DELETE) (/v1/\S+)$", PAGE.read_text(), re.MULTILINE)) == built
