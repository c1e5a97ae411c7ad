"""Ways for onion messages over what Core Lightning has heard, on a stand-in for lightningd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helpers.stand_in_lightningd import Network, StandIn
from lnrecur.adapters.nodes.cln import ClnRouter, ClnRpc, ClnUnavailable
from lnrecur.adapters.nodes.cln.channels import has, parse_scid
from lnrecur.adapters.nodes.cln.router import kept_fresh
from lnrecur.adapters.router import StaticRouter
from lnrecur.ports import PeerAddress
from lnrecur.values import NodeId

FEATURES = "8000000000"  # bit 39
A, B, C, D = (NodeId(b"\x02" + bytes([number]) * 32) for number in range(1, 5))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[StandIn]:
    one = StandIn(tmp_path / "l1", tmp_path / "network.sqlite")
    for other in (A, B, C):
        one.network.join(other.hex(), other.hex()[:8], FEATURES)
    one.network.join(D.hex(), "no onion messages", "")
    await one.start()
    yield one
    await one.close()


def own(node: StandIn) -> NodeId:
    return NodeId(bytes.fromhex(node.id))


def open_between(network: Network, one: NodeId, other: NodeId) -> str:
    return network.open_channel(one.hex(), other.hex(), (1000, 1000))


async def test_the_shortest_way_over_nodes_that_carry_messages(node: StandIn) -> None:
    network = node.network
    open_between(network, own(node), A)
    open_between(network, A, B)
    open_between(network, A, D)
    open_between(network, D, C)
    router = ClnRouter(ClnRpc(node.rpc_file))
    assert router.route(B, frozenset({own(node)})) is None
    await router.refresh()
    assert router.route(B, frozenset({own(node)})) == [own(node), A, B]
    assert router.route(C, frozenset({own(node)})) is None, "D passes nothing on"
    network.set_up(open_between(network, B, C), is_up=False)
    await router.refresh()
    assert router.route(C, frozenset({own(node)})) == [own(node), A, B, C]


async def test_every_channel_has_its_ends(node: StandIn) -> None:
    scid = open_between(node.network, D, C)
    router = ClnRouter(ClnRpc(node.rpc_file))
    await router.refresh()
    assert router.channel_ends(parse_scid(scid)) == (C, D)


async def test_a_peer_without_a_channel_is_a_way_too(node: StandIn) -> None:
    node.connected.add(B.hex())
    router = ClnRouter(ClnRpc(node.rpc_file))
    await router.refresh()
    assert router.route(B, frozenset({own(node)})) == [own(node), B]


async def test_what_the_settings_say_stays_and_wins(node: StandIn) -> None:
    node.addresses = {A.hex(): [{"type": "ipv4", "address": "93.184.216.34", "port": 9735}]}
    told = PeerAddress(A, "told.example", 1)
    router = ClnRouter(ClnRpc(node.rpc_file), [told], [[A, B, C]])
    assert router.route(C, frozenset({A})) == [A, B, C]
    await router.refresh()
    assert router.route(C, frozenset({A})) == [A, B, C]
    assert router.address(A) == told


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([("torv3", "x" * 56 + ".onion"), ("ipv4", "93.184.216.34")], "93.184.216.34"),
        ([("torv3", "x" * 56 + ".onion"), ("dns", "node.example")], "node.example"),
        ([("torv2", "x" * 16 + ".onion")], None),
        ([("ipv4", "10.1.2.3"), ("ipv6", "fe80::1"), ("ipv4", "127.0.0.1")], None),
        ([("ipv4", "192.168.1.1"), ("torv3", "x" * 56 + ".onion")], "x" * 56 + ".onion"),
    ],
)
async def test_an_announced_address_is_dialled_if_it_is_a_public_one(
    node: StandIn, addresses: list[tuple[str, str]], expected: str | None
) -> None:
    """A stranger's reply path must not have us dial into our own network."""
    node.addresses = {A.hex(): [{"type": kind, "address": where, "port": 9735} for kind, where in addresses]}
    router = ClnRouter(ClnRpc(node.rpc_file))
    await router.refresh()
    assert router.address(A) == (None if expected is None else PeerAddress(A, expected, 9735))


async def test_on_regtest_everybody_is_at_home(node: StandIn) -> None:
    node.addresses = {A.hex(): [{"type": "ipv4", "address": "127.0.0.1", "port": 9735}]}
    router = ClnRouter(ClnRpc(node.rpc_file), dials_private=True)
    await router.refresh()
    assert router.address(A) == PeerAddress(A, "127.0.0.1", 9735)


async def test_while_lightningd_is_away_the_old_graph_stays(node: StandIn) -> None:
    open_between(node.network, own(node), A)
    router = ClnRouter(ClnRpc(node.rpc_file))
    await router.refresh()
    await node.stop()
    with pytest.raises(ClnUnavailable):
        await router.refresh()
    assert router.route(A, frozenset({own(node)})) == [own(node), A]
    await node.start()


async def test_a_router_is_kept_fresh_in_the_background(node: StandIn) -> None:
    open_between(node.network, own(node), A)
    router = ClnRouter(ClnRpc(node.rpc_file))
    async with kept_fresh(router):
        for _ in range(1000):
            if router.route(A, frozenset({own(node)})):
                break
            await asyncio.sleep(0.005)
    assert router.route(A, frozenset({own(node)})) == [own(node), A]
    async with kept_fresh(StaticRouter()):
        pass


def test_a_feature_is_there_required_or_offered() -> None:
    assert has("8000000000", 38)
    assert has("4000000000", 38)
    assert not has("2000000000", 38)
    assert not has("", 38)
    assert not has("nonsense", 38)
