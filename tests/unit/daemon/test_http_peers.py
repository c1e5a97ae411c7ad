"""/v1/peers over a real link."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from helpers.api import NOW, PEER, TOKEN, services_in_memory
from helpers.links import ALICE, BOB, HOST, SETTINGS, address_of, onion_message, open_link, until
from lnrecur.adapters.link import TcpPeerLink
from lnrecur.adapters.router import StaticRouter
from lnrecur.daemon.config import Settings
from lnrecur.daemon.http.app import build_app
from lnrecur.daemon.peer_book import PeerBook
from lnrecur.ports import PeerAddress
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import NodeId

NOWHERE = PeerAddress(NodeId(BOB.point), HOST, 1)


@asynccontextmanager
async def _serving(link: TcpPeerLink, folder: Path, *configured: PeerAddress) -> AsyncIterator[httpx.AsyncClient]:
    book = PeerBook(link, StaticRouter(), configured, folder / "peers.json")
    link.start()
    clock = VirtualClock(NOW)
    app = build_app(services_in_memory(clock), Settings(), TOKEN, PEER, peers=book)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://daemon", headers=headers) as http:
        yield http


async def test_without_peers_the_list_is_empty(tmp_path: Path) -> None:
    async with open_link(ALICE) as (alice, _), _serving(alice, tmp_path) as http:
        answer = await http.get("/v1/peers")
        totals = {"messages_received": 0, "messages_sent": 0, "messages_dropped": 0, "connections_refused": 0}
        assert (answer.status_code, answer.json()) == (200, {"peers": [], "totals": totals})


async def test_a_peer_is_added_listed_and_removed(tmp_path: Path) -> None:
    async with open_link(BOB) as (bob, _), open_link(ALICE) as (alice, to_alice), _serving(alice, tmp_path) as http:
        address = await address_of(bob)
        answer = await http.post("/v1/peers", json={"address": str(address)})
        assert answer.status_code == 201
        assert answer.json() == {
            "node_id": bob.node_id.hex(),
            "address": str(address),
            "kept": "added",
            "connected": True,
            "direction": "outbound",
            "endpoint": f"{HOST}:{address.port}",
            "connected_since": "2027-01-15T08:00:00Z",
            "next_dial_at": None,
            "last_reason": None,
            "onion_messages": True,
            "messages_received": 0,
            "messages_sent": 0,
            "messages_dropped": 0,
            "problem": None,
        }
        await until(lambda: bool(bob.peers()))
        await bob.send(alice.node_id, onion_message(1))
        await until(lambda: len(to_alice) == 1)
        told = (await http.get("/v1/peers")).json()
        (peer,) = told["peers"]
        assert (peer["messages_received"], peer["kept"]) == (1, "added")
        assert told["totals"]["messages_received"] == 1
        answer = await http.delete(f"/v1/peers/{bob.node_id.hex()[:8].upper()}")
        assert (answer.status_code, answer.json()) == (200, {"node_id": bob.node_id.hex(), "removed": True})
        await until(lambda: not alice.peers())
        assert (await http.get("/v1/peers")).json()["peers"] == []


async def test_a_peer_that_cannot_be_reached_is_kept_and_the_answer_says_why(tmp_path: Path) -> None:
    async with open_link(ALICE) as (alice, _), _serving(alice, tmp_path) as http:
        answer = await http.post("/v1/peers", json={"address": str(NOWHERE)})
        told = answer.json()
        assert answer.status_code == 201
        assert (told["connected"], told["kept"], told["direction"]) == (False, "added", None)
        assert str(NOWHERE) in told["problem"]


async def test_a_peer_that_dialled_us_is_listed_as_inbound(tmp_path: Path) -> None:
    async with open_link(BOB) as (bob, _), open_link(ALICE) as (alice, _), _serving(bob, tmp_path) as http:
        await alice.reach(await address_of(bob))
        await until(lambda: bool(bob.peers()))
        (peer,) = (await http.get("/v1/peers")).json()["peers"]
        assert (peer["kept"], peer["direction"], peer["address"]) == (None, "inbound", None)
        answer = await http.delete(f"/v1/peers/{alice.node_id.hex()}")
        assert answer.status_code == 400
        assert "it came by itself" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        ({"address": "alice"}, "address", "write ID@HOST:PORT"),
        ({"address": f"{BOB.point.hex()}@short.onion"}, "address", "56 characters"),
        ({"address": f"{ALICE.point.hex()}@{HOST}:1"}, "address", "this node itself"),
        ({"address": 5}, "address", "Expected `str`"),
        ({}, "address", "missing"),
        ({"address": str(NOWHERE), "kept": True}, "kept", "unknown"),
    ],
)
async def test_a_wrong_body_is_refused_by_its_field(tmp_path: Path, body: object, field: str, told: str) -> None:
    async with open_link(ALICE) as (alice, _), _serving(alice, tmp_path) as http:
        answer = await http.post("/v1/peers", json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["field"]) == (400, field)
        assert told in error["message"]
    assert not (tmp_path / "peers.json").exists()


async def test_what_the_settings_keep_is_not_removed(tmp_path: Path) -> None:
    async with open_link(ALICE, SETTINGS) as (alice, _), _serving(alice, tmp_path, NOWHERE) as http:
        answer = await http.delete(f"/v1/peers/{BOB.point.hex()}")
        assert answer.status_code == 400
        assert "named in the settings" in answer.json()["error"]["message"]
        (peer,) = (await http.get("/v1/peers")).json()["peers"]
        assert peer["kept"] == "config"


async def test_a_peer_that_is_not_there_is_not_found_and_other_methods_are_not_allowed(tmp_path: Path) -> None:
    async with open_link(ALICE) as (alice, _), _serving(alice, tmp_path) as http:
        assert (await http.delete("/v1/peers/02ff")).status_code == 404
        answer = await http.put("/v1/peers", json={})
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
        assert (await http.get("/v1/peers/02ff")).status_code == 405
