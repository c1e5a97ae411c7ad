"""The link over a Core Lightning node's own connections: who is a peer, what is injected, what is told of trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from lnrecur.adapters.nodes.cln.errors import ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.host_link import HostLink
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import PeerAddress, PeerUnreachable
from lnrecur.values import NodeId, Point
from lnrecur.wire.messages import OnionMessage

HOST, BOB, CAROL, DAVE = (NodeId(PrivateKey(bytes([number]) * 32).point) for number in range(1, 5))
ONION, NONE = "800898880a8a59a1", "0a8a59a1"
MESSAGE = OnionMessage(Point(DAVE), b"\x00\x01\x02")


class Lightningd:
    """Answers as it is told; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.peers = [self.peer(BOB), self.peer(CAROL, features=NONE), self.peer(DAVE, connected=False)]
        self.public = {HOST.hex()}
        self.trouble: Exception | None = None
        self.features = ONION

    @staticmethod
    def peer(node: NodeId, *, connected: bool = True, features: str = ONION, channels: int = 1) -> dict[str, Any]:
        told = {"id": node.hex(), "connected": connected, "num_channels": channels}
        return {**told, "features": features} if connected else told

    async def call(self, method: str, params: Mapping[str, Any] | None = None, **_: Any) -> dict[str, Any]:
        self.asked.append((method, dict(params or {})))
        if self.trouble is not None:
            raise self.trouble
        if method == "listpeers":
            return {"peers": self.peers}
        if method == "listnodes":
            node = (params or {})["id"]
            return {"nodes": [{"nodeid": node, "last_timestamp": 1}] if node in self.public else [{"nodeid": node}]}
        if method == "connect":
            return {"id": (params or {})["id"], "features": self.features, "direction": "out"}
        assert method == "injectonionmessage"
        return {}


def a_link() -> tuple[HostLink, Lightningd]:
    lightningd = Lightningd()
    return HostLink(lightningd, HOST), lightningd  # type: ignore[arg-type]


async def test_peers_are_those_connected_that_take_onion_messages_and_the_node_itself() -> None:
    link, _ = a_link()
    assert link.peers() == {HOST}
    await link.refresh()
    assert link.peers() == {HOST, BOB}


async def test_what_is_sent_is_injected_as_path_key_and_onion() -> None:
    link, lightningd = a_link()
    await link.send(BOB, MESSAGE)
    assert lightningd.asked == [("injectonionmessage", {"path_key": DAVE.hex(), "message": "000102"})]


@pytest.mark.parametrize(
    "trouble",
    [ClnRefused("injectonionmessage", -1, "onion msg: unknown next peer 02ab"),
     ClnUnavailable(Trouble.UNREACHABLE, "no answer: unknown next peer or whatever")],
    ids=["refused", "silent"],
)  # fmt: skip
async def test_a_message_that_is_not_passed_on_is_told_with_lightningds_words(trouble: Exception) -> None:
    link, lightningd = a_link()
    lightningd.trouble = trouble
    with pytest.raises(PeerUnreachable, match=f"on to {BOB.hex()}: .*unknown next peer"):
        await link.send(BOB, MESSAGE)


async def test_an_address_is_reached_by_having_the_node_connect_once() -> None:
    link, lightningd = a_link()
    came: list[NodeId] = []
    link.on_peer(came.append)
    await link.reach(PeerAddress(CAROL, "carol.example", 9735))
    assert lightningd.asked == [("connect", {"id": CAROL.hex(), "host": "carol.example", "port": 9735})]
    assert (link.peers(), came) == ({HOST, CAROL}, [CAROL])
    await link.reach(PeerAddress(CAROL, "carol.example", 9735))
    await link.reach(PeerAddress(HOST, "home.example", 9735))
    assert len(lightningd.asked) == 1


async def test_a_node_that_cannot_be_reached_and_one_that_takes_no_onion_messages_are_no_peers() -> None:
    link, lightningd = a_link()
    lightningd.features = NONE
    await link.reach(PeerAddress(CAROL, "carol.example", 9735))
    lightningd.trouble = ClnRefused("connect", 401, "All addresses failed: connection refused")
    with pytest.raises(PeerUnreachable, match=r"cannot connect to .*All addresses failed"):
        await link.reach(PeerAddress(DAVE, "dave.example", 9735))
    assert link.peers() == {HOST}


async def test_kept_peers_are_dialled_when_they_are_not_there() -> None:
    lightningd = Lightningd()
    kept = [PeerAddress(BOB, "bob.example", 9735), PeerAddress(CAROL, "carol.example", 9735)]
    link = HostLink(lightningd, HOST, kept)  # type: ignore[arg-type]
    await link.look()
    assert [params["id"] for method, params in lightningd.asked if method == "connect"] == [CAROL.hex()]
    assert link.peers() == {HOST, BOB, CAROL}
    lightningd.trouble = ClnUnavailable(Trouble.UNREACHABLE, "busy")
    await link.look()
    assert link.peers() == {HOST, BOB, CAROL}, "what is not known anew stays as it was"


async def test_paths_to_a_public_node_begin_at_it_and_those_to_a_private_one_at_public_channel_peers() -> None:
    link, lightningd = a_link()
    await link.refresh()
    assert link.introductions() == ()
    lightningd.public = {CAROL.hex(), DAVE.hex()}
    lightningd.peers = [Lightningd.peer(BOB), Lightningd.peer(CAROL), Lightningd.peer(DAVE, channels=0)]
    await link.refresh()
    assert link.introductions() == (CAROL,), "bob is private too, and dave has no channel with us"


async def test_peers_that_come_and_those_that_come_back_unseen_are_told() -> None:
    link, lightningd = a_link()
    came: list[NodeId] = []
    link.on_peer(came.append)
    keeping = asyncio.create_task(link.keep_up())
    try:
        while not came:
            await asyncio.sleep(0)
        lightningd.trouble = ClnUnavailable(Trouble.UNREACHABLE, "busy")
        link.look_again(BOB)
        while sum(method == "listpeers" for method, _ in lightningd.asked) < 2:
            await asyncio.sleep(0)
        assert link.peers() == {HOST, BOB}, "what is not known anew stays as it was"
        lightningd.trouble = None
        lightningd.peers.append(Lightningd.peer(CAROL))
        link.look_again(BOB)
        while len(came) < 3:
            await asyncio.sleep(0)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert came == [BOB, *sorted([BOB, CAROL])]
