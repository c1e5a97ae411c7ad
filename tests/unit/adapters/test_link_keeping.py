"""Kept peers, also those named and forgotten while the link runs, and what is told of everybody."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from helpers.links import (
    ALICE,
    BOB,
    CAROL,
    HOST,
    SETTINGS,
    address_of,
    bob_as,
    onion_message,
    open_link,
    raw_peer,
    until,
)
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import TcpPeerLink
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.ports import PeerAddress, PeerUnreachable
from lnrecur.values import REGTEST, NodeId
from lnrecur.wire.messages import Init

SLOW = replace(SETTINGS, redial_first_seconds=30.0, redial_max_seconds=300.0)


def _nowhere(key: PrivateKey = BOB) -> PeerAddress:
    return PeerAddress(NodeId(key.point), HOST, 1)


async def _hang_up_at_once(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


async def test_a_peer_named_while_the_link_runs_is_dialled_again_ever_more_seldom_until_it_is_forgotten() -> None:
    calls: list[float] = []

    async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        calls.append(asyncio.get_running_loop().time())

    patient = replace(SETTINGS, redial_first_seconds=0.05, redial_max_seconds=10.0)
    async with bob_as(hang_up) as address, open_link(ALICE, patient) as (alice, _):
        alice.start()
        alice.keep(address)
        await until(lambda: len(calls) == 4)
        await until(lambda: alice.statuses()[0].next_dial_seconds is not None)
        alice.forget(address.node_id)
        assert alice.statuses() == []
        await asyncio.sleep(0.9)  # longer than the longest pause that could follow
        assert len(calls) == 4
    for number, (earlier, later) in enumerate(pairwise(calls)):
        assert later - earlier + 0.001 >= 0.05 * 2**number / 2


@pytest.mark.parametrize(("chance", "share"), [(b"\x00\x00", 0.5), (b"\x80\x00", 0.75), (b"\xff\xff", 1.0)])
async def test_the_pause_before_the_next_dial_is_a_matter_of_chance(chance: bytes, share: float) -> None:
    class Chance(SystemEntropy):
        def take(self, size: int) -> bytes:
            return chance if size == len(chance) else super().take(size)

    alice = TcpPeerLink(ALICE, Chance(), replace(SETTINGS, redial_first_seconds=1000.0))
    alice.start()
    alice.keep(_nowhere())
    await until(lambda: alice.statuses()[0].next_dial_seconds is not None)
    told = alice.statuses()[0].next_dial_seconds
    assert told is not None
    assert 1000 * share - 10 < told <= 1000 * share
    await alice.close()


async def test_forgetting_a_connected_peer_hangs_up_and_dials_it_no_more() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        alice.start()
        alice.keep(await address_of(bob))
        await until(lambda: bool(alice.peers()) and bool(bob.peers()))
        alice.forget(bob.node_id)
        await until(lambda: not bob.peers() and not alice.peers())
        await asyncio.sleep(0.3)
        assert not bob.peers()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("keep")]


async def test_forgetting_a_peer_gives_up_a_dial_that_is_under_way() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with bob_as(silent) as address, open_link(ALICE) as (alice, _):
        alice.start()
        alice.keep(address)
        waiter = asyncio.create_task(alice.reach(address))
        await until(lambda: bool(alice._connections))
        alice.forget(address.node_id)
        with pytest.raises(PeerUnreachable, match="given up meanwhile"):
            await waiter
        await until(lambda: not alice._connections)


async def test_forgetting_a_stranger_changes_nothing() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        await alice.reach(await address_of(bob))
        alice.forget(bob.node_id)
        assert alice.peers() == {bob.node_id}


async def test_naming_a_kept_peer_again_dials_it_at_once() -> None:
    async with open_link(ALICE, SLOW) as (alice, _), open_link(BOB) as (bob, _):
        alice.start()
        alice.keep(_nowhere())
        await until(lambda: alice.statuses()[0].next_dial_seconds is not None)
        alice.keep(await address_of(bob))
        await until(lambda: alice.peers() == {bob.node_id})


async def test_a_peer_that_moved_is_dialled_at_its_new_place_though_a_dial_to_the_old_one_is_under_way() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with open_link(ALICE, SLOW) as (alice, _), open_link(BOB) as (bob, _), bob_as(silent) as old:
        alice.start()
        alice.keep(old)
        await until(lambda: bool(alice._connections))
        new = await address_of(bob)
        alice.keep(new)
        await alice.reach(new)
        assert alice.peers() == {bob.node_id}
        await until(lambda: len(alice._connections) == 1)


async def test_no_more_peers_are_kept_than_may_be() -> None:
    async with open_link(ALICE, replace(SETTINGS, kept_max=1)) as (alice, _):
        alice.keep(_nowhere())
        alice.keep(_nowhere())
        with pytest.raises(UsageError, match="remove one first"):
            alice.keep(_nowhere(CAROL))


async def test_the_status_of_a_peer_that_cannot_be_reached_says_why_and_when_it_is_tried_again() -> None:
    async with open_link(ALICE, SLOW) as (alice, _):
        alice.keep(_nowhere())
        (status,) = alice.statuses()
        assert (status.node_id, status.address, status.where) == (BOB.point, _nowhere(), None)
        assert status.last_reason is status.next_dial_seconds is status.connected_seconds is status.outbound is None
        alice.start()
        await until(lambda: alice.statuses()[0].next_dial_seconds is not None)
        (status,) = alice.statuses()
        assert status.next_dial_seconds is not None
        assert 10 < status.next_dial_seconds <= 30
        assert str(_nowhere()) in (status.last_reason or "")
        assert not status.takes_onion_messages


async def test_the_status_of_a_connected_peer_counts_its_messages_over_reconnects() -> None:
    async with open_link(ALICE) as (alice, to_alice):
        alice.start()
        async with open_link(BOB) as (bob, _):
            address = await address_of(bob)
            alice.keep(address)
            await until(lambda: bool(alice.peers()) and bool(bob.peers()))
            await alice.send(bob.node_id, onion_message(1))
            await bob.send(alice.node_id, onion_message(2))
            await until(lambda: len(to_alice) == 1)
        await until(lambda: not alice.peers())
        assert "hung up" in (alice.statuses()[0].last_reason or "")
        async with open_link(BOB) as (bob, _):
            await bob.listen(HOST, address.port)
            await until(lambda: bool(alice.peers()) and bool(bob.peers()))
            await bob.send(alice.node_id, onion_message(3))
            await until(lambda: len(to_alice) == 2)
            (status,) = alice.statuses()
            assert (status.received, status.sent, status.dropped) == (2, 1, 0)
            assert status.outbound is True
            assert status.takes_onion_messages
            assert status.where == f"{HOST}:{address.port}"
            assert status.connected_seconds is not None
            (theirs,) = bob.statuses()
            assert (theirs.address, theirs.outbound, theirs.sent) == (None, False, 1)


async def test_a_peer_without_onion_messages_is_listed_as_such() -> None:
    async with open_link(BOB) as (bob, _), raw_peer(await address_of(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        peer.say(Init(b"", (REGTEST,)))
        await until(lambda: bool(bob.statuses()))
        assert not bob.statuses()[0].takes_onion_messages
        assert bob.peers() == frozenset()


async def test_a_kept_peer_that_dialled_us_is_left_connected_and_not_dialled_too() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        await alice.reach(await address_of(bob))
        await until(lambda: bool(bob.peers()))
        bob.start()
        bob.keep(await address_of(alice))
        await asyncio.sleep(0.1)
        assert len(bob._connections) == 1
        assert bob.statuses()[0].outbound is False
