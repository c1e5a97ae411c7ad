"""A real LDK node as a peer: handshake, init and pings both ways, and what makes it hang up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lnrecur.messaging import peer as peer_module
from lnrecur.messaging.features import ONION_MESSAGES, feature_bits, feature_bytes
from lnrecur.messaging.messenger import ContentsKind, DirectDestination
from lnrecur.messaging.peer import PeerSession, PeerSettings
from lnrecur.ports import PeerUnreachable
from lnrecur.values import BITCOIN, REGTEST
from peers.ldk.hand import Hand
from peers.ldk.house import address_of, eventually
from peers.ldk.nodes import LdkNodes, connected
from peers.ldk.sidecar import LdkSidecar

REQUIRED_BY_LDK = {0: "data_loss_protect", 8: "var_onion", 12: "static_remotekey", 14: "payment_secret"}
QUIET_SECONDS = 0.3
"""After that, what has not come over the loopback interface does not come."""


@asynccontextmanager
async def reached(ldk: LdkNodes, settings: PeerSettings | None = None) -> AsyncIterator[Hand]:
    hand = await Hand.reach(ldk.payee, settings)
    try:
        yield hand
    finally:
        await hand.close()


def without(*even_bits: int) -> bytes:
    """Our features, less some."""
    gone = {bit for even in even_bits for bit in (even, even + 1)}
    return feature_bytes(feature_bits(peer_module.OFFERED) - gone)


async def tick(ldk: LdkNodes, times: int = 4) -> None:
    """Let LDK's ten seconds pass; each time it pings us, and it hangs up where the ping before was not answered."""
    for _ in range(times):
        pongs = ldk.payee.pongs
        await ldk.payee.call("tick")
        await eventually(lambda: ldk.payee.pongs >= pongs + 2)  # noqa: B023 - the other LDK answers too


async def is_connected(ldk: LdkNodes, hand: Hand) -> bool:
    return hand.node_id.hex() in await ldk.payee.call("peers")


async def test_we_dial_ldk_and_answer_its_pings(ldk: LdkNodes) -> None:
    async with reached(ldk) as hand:
        await connected(ldk.payee, hand.node_id)
        assert hand.link.peers() == {ldk.payee.node_id}
        await tick(ldk)
        assert await is_connected(ldk, hand)
        assert hand.link.peers() == {ldk.payee.node_id}


async def test_ldk_dials_us_and_we_answer_its_pings(ldk: LdkNodes) -> None:
    hand = Hand()
    try:
        port = await hand.link.listen("127.0.0.1", 0)
        await ldk.payee.call("connect", node_id=hand.node_id.hex(), host="127.0.0.1", port=port)
        await connected(ldk.payee, hand.node_id)
        await eventually(lambda: hand.link.peers() == {ldk.payee.node_id})
        await tick(ldk)
        assert await is_connected(ldk, hand)
    finally:
        await hand.close()


async def test_ldk_answers_our_pings(ldk: LdkNodes) -> None:
    """Were LDK silent, the connection would be over after 0.55 s."""
    impatient = PeerSettings(REGTEST, idle_seconds=0.05, pong_seconds=0.5)
    async with reached(ldk, impatient) as hand:
        await asyncio.sleep(1.2)
        assert hand.link.peers() == {ldk.payee.node_id}


async def test_a_kept_ldk_that_hangs_up_is_dialled_again(ldk: LdkNodes) -> None:
    hand = Hand()
    try:
        hand.link.keep(address_of(ldk.payee))
        hand.link.start()
        await connected(ldk.payee, hand.node_id)
        await eventually(hand.link.peers)
        await ldk.payee.call("disconnect", node_id=hand.node_id.hex())
        await eventually(lambda: not hand.link.peers())
        await eventually(hand.link.peers)
        await connected(ldk.payee, hand.node_id)
    finally:
        await hand.close()


async def test_without_an_answer_to_its_ping_ldk_hangs_up(ldk: LdkNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PeerSession, "_answer", lambda self, ping: None)
    async with reached(ldk) as hand:
        await connected(ldk.payee, hand.node_id)
        pongs = ldk.payee.pongs
        await ldk.payee.call("tick")
        await eventually(lambda: ldk.payee.pongs == pongs + 1)  # the other LDK's
        assert await is_connected(ldk, hand)
        await ldk.payee.call("tick")
        await eventually(lambda: not hand.link.peers())


@pytest.mark.parametrize("bit", REQUIRED_BY_LDK, ids=REQUIRED_BY_LDK.get)
async def test_without_one_of_the_features_it_requires_ldk_hangs_up(
    ldk: LdkNodes, monkeypatch: pytest.MonkeyPatch, bit: int
) -> None:
    monkeypatch.setattr(peer_module, "OFFERED", without(bit))
    with pytest.raises(PeerUnreachable, match="hung up before its init"):
        async with reached(ldk):
            pass


@pytest.mark.parametrize("even_bits", [tuple(REQUIRED_BY_LDK), (*REQUIRED_BY_LDK, ONION_MESSAGES)], ids=["39", "none"])
async def test_an_ldk_without_channels_demands_no_feature(
    lone_ldk: LdkSidecar, monkeypatch: pytest.MonkeyPatch, even_bits: tuple[int, ...]
) -> None:
    monkeypatch.setattr(peer_module, "OFFERED", without(*even_bits))
    hand = await Hand.reach(lone_ldk)
    await connected(lone_ldk, hand.node_id)
    await hand.close()


async def test_of_another_chain_ldk_hangs_up(ldk: LdkNodes) -> None:
    with pytest.raises(PeerUnreachable, match="hung up before its init"):
        async with reached(ldk, PeerSettings(BITCOIN)):
            pass


async def test_ldk_forwards_only_to_a_peer_that_offers_onion_messages(
    ldk: LdkNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = [ldk.payee.node_id]
    async with reached(ldk) as sender, reached(ldk) as able:
        with monkeypatch.context() as patch:
            patch.setattr(peer_module, "OFFERED", without(ONION_MESSAGES))
            unable = await Hand.reach(ldk.payee)
        try:
            await connected(ldk.payee, unable.node_id)
            for receiver in (unable, able):
                to = DirectDestination(receiver.node_id)
                await sender.say(to, ContentsKind.INVOICE_ERROR, b"\x05\x02hi", through=through)
            await eventually(lambda: able.got)
            await asyncio.sleep(QUIET_SECONDS)
            assert not unable.got
            assert await is_connected(ldk, unable)

            await unable.say(
                DirectDestination(able.node_id), ContentsKind.INVOICE_ERROR, b"\x05\x02ho", through=through
            )
            await eventually(lambda: len(able.got) == 2)  # sending needs no such bit
        finally:
            await unable.close()


async def test_ldk_relays_a_burst_in_order_and_big_messages(ldk: LdkNodes) -> None:
    through = [ldk.payee.node_id]
    async with reached(ldk) as sender, reached(ldk) as receiver:
        await connected(ldk.payee, receiver.node_id)
        said = [bytes([5, 2, index, index]) for index in range(50)] + [b"\x05\xfd\x4e\x20" + bytes(20_000)]
        for data in said:
            to = DirectDestination(receiver.node_id)
            await sender.say(to, ContentsKind.INVOICE_ERROR, data, through=through)
        await eventually(lambda: len(receiver.got) == len(said))
        assert [one.contents.data for one in receiver.got if one.contents] == said
