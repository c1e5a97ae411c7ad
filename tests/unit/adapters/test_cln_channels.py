"""Where payment paths to a Core Lightning begin, and what the doctor says about one, on stand-ins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers.stand_in_lightningd import Network, StandIn, Terms
from lnrecur.adapters.nodes.cln import ClnNode, ClnRpc, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.channels import Channels, msat, parse_scid
from lnrecur.ports import Finding, Health, InboundEdge
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, Msat, NodeId, UnixSeconds

BLINDS = "0200000000"
"""Bit 33 is not 24."""
FEATURES = "8003000000"
"""Bits 24, 25 and 39."""
PEER, OTHER = (NodeId(b"\x02" + bytes([number]) * 32) for number in (7, 8))
NOW = 1_750_000_000


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[StandIn]:
    one = StandIn(tmp_path / "l1", tmp_path / "network.sqlite")
    one.network.join(PEER.hex(), "peer", FEATURES)
    one.network.join(OTHER.hex(), "other", BLINDS)
    await one.start()
    yield one
    await one.close()


def open_with(network: Network, node: StandIn, peer: NodeId, msat: tuple[int, int], **more: Any) -> str:
    terms = (Terms(), Terms(7, 300, 34, 1000, 50_000_000))
    return network.open_channel(node.id, peer.hex(), msat, terms=terms, **more)


async def edges(node: StandIn) -> Sequence[InboundEdge]:
    return await Channels(ClnRpc(node.rpc_file)).inbound_edges()


async def test_a_path_begins_at_a_peer_on_its_own_terms(node: StandIn) -> None:
    scid = open_with(node.network, node, PEER, (1_000_000, 90_000_000))
    assert await edges(node) == [
        InboundEdge(PEER, parse_scid(scid), Msat(7), 300, 34, Msat(1000), Msat(50_000_000)),
    ]


@pytest.mark.parametrize(("has", "told"), [(20_000_000, 16_777_216), (16_777_216, 16_777_216), (1, 1)])
async def test_no_more_can_come_in_than_the_peer_has_and_payers_do_not_learn_how_much(
    node: StandIn, has: int, told: int
) -> None:
    open_with(node.network, node, PEER, (0, has))
    [edge] = await edges(node)
    assert edge.htlc_maximum_msat == told


async def test_a_channel_that_is_not_announced_goes_by_the_alias_of_the_peer(node: StandIn) -> None:
    open_with(node.network, node, PEER, (0, 20_000_000), announced=False)
    [channel] = (await ClnRpc(node.rpc_file).call("listpeerchannels"))["channels"]
    [edge] = await edges(node)
    assert edge.short_channel_id == parse_scid(channel["alias"]["remote"])


async def test_peers_that_cannot_lead_a_payment_here_are_left_out(node: StandIn) -> None:
    network = node.network
    open_with(network, node, OTHER, (0, 20_000_000))  # blinds no routes
    open_with(network, node, PEER, (20_000_000, 0))  # has nothing
    network.set_up(open_with(network, node, PEER, (0, 20_000_000)), is_up=False)
    assert await edges(node) == []


async def test_those_that_can_bring_the_most_come_first(node: StandIn) -> None:
    small, large, middle = (open_with(node.network, node, PEER, (0, each)) for each in (2_000, 9_000_000, 5_000_000))
    assert [edge.short_channel_id for edge in await edges(node)] == [parse_scid(x) for x in (large, middle, small)]


@pytest.mark.parametrize(("told", "expected"), [(5, 5), ("5msat", 5), ("x", 0), (None, 0)])
def test_an_amount_is_a_number_or_ends_in_msat(told: Any, expected: int) -> None:
    assert msat({"amount": told}, "amount") == expected
    assert msat({}, "amount") == 0


# --- the doctor


async def diagnose(node: StandIn) -> dict[str, Finding]:
    found = await ClnNode(ClnRpc(node.rpc_file), VirtualClock(NOW), chain=REGTEST).diagnose()
    return {one.subject: one for one in found}


async def test_a_node_that_can_pay_and_receive_is_well(node: StandIn) -> None:
    open_with(node.network, node, PEER, (1_000_000, 2_000_000))
    found = await diagnose(node)
    assert {one.health for one in found.values()} == {Health.GOOD}
    assert found["money node"].told == f"Core Lightning v26.06.6, {node.id} (l1), at block 110"
    assert found["chain"].told == "regtest, synced"
    assert found["channels"].told == "1 of 1 up; about 1,000 sat to pay with, 2,000 sat can be received"
    assert (
        found["receiving"].told == "payment paths begin at 1 peers; payments are claimed by lightningd as they arrive"
    )
    assert "does not run" in found["plugin"].told


async def test_what_is_wrong_is_told_with_a_way_out(node: StandIn) -> None:
    node.warnings = {"warning_bitcoind_sync": "Bitcoind is not up-to-date with network."}
    node.version = "v25.05"
    node.configs = {
        "autoclean-paidinvoices-age": {"value_int": 3600},
        "disable-plugin": {"values_str": ["cln-xpay"]},
    }
    node.plugins = [{"name": "/usr/bin/lnrecur-cln", "active": True}]
    found = await diagnose(node)
    assert found["chain"].health is found["channels"].health is found["xpay"].health is Health.BROKEN
    assert found["chain"].told == "regtest, not synced: Bitcoind is not up-to-date with network."
    assert found["channels"].told == "no channels"
    assert found["Core Lightning version"].health is found["autoclean"].health is Health.WARNING
    assert "autoclean-paidinvoices-age=3600" in found["autoclean"].told
    assert found["plugin"].told == "lnrecur-cln runs in lightningd"
    assert all(one.way_out for one in found.values() if one.health is not Health.GOOD)


@pytest.mark.parametrize(
    ("peer", "announced", "balances", "health", "told"),
    [
        (OTHER, True, (0, 5_000_000), Health.WARNING, "payers see your node's id"),
        (OTHER, False, (0, 5_000_000), Health.BROKEN, "nobody can pay you"),
        (PEER, True, (5_000_000, 0), Health.WARNING, "nothing can be received"),
    ],
)
async def test_how_payments_come_in(
    node: StandIn, peer: NodeId, announced: bool, balances: tuple[int, int], health: Health, told: str
) -> None:
    open_with(node.network, node, peer, balances, announced=announced)
    found = (await diagnose(node))["receiving"]
    assert (found.health, told in found.told) == (health, True)


async def test_an_old_node_and_one_of_another_chain_are_broken(node: StandIn) -> None:
    node.version, node.chain = "v24.08", "signet"
    found = await diagnose(node)
    assert found["Core Lightning version"].told == "v24.08 lacks xpay"
    assert found["chain"].told == "Core Lightning is on signet, and chain of the settings is regtest"


@pytest.mark.parametrize(("key", "nonsense"), [("id", "03zz"), ("id", None), ("blockheight", "high"), ("version", 26)])
async def test_what_does_not_speak_of_itself_as_lightningd_does_is_unavailable(
    node: StandIn, monkeypatch: pytest.MonkeyPatch, key: str, nonsense: object
) -> None:
    call = ClnRpc.call

    async def odd(self: ClnRpc, method: str, *args: Any, **options: Any) -> dict[str, Any]:
        return await call(self, method, *args, **options) | {key: nonsense}

    monkeypatch.setattr(ClnRpc, "call", odd)
    async with ClnNode(ClnRpc(node.rpc_file), VirtualClock(UnixSeconds(NOW)), chain=REGTEST) as adapter:
        with pytest.raises(ClnUnavailable, match="no Core Lightning") as told:
            await adapter.info()
    assert told.value.trouble is Trouble.NO_CLN


async def test_a_node_that_is_not_there_is_one_finding(node: StandIn) -> None:
    await node.stop()
    found = await diagnose(node)
    assert [one.health for one in found.values()] == [Health.BROKEN]
    assert "see that cln_rpc_file names its rpc-file" in found["money node"].way_out
    await node.start()
