"""What every `lnrecur.ports.PeerLink` does, whatever carries its messages."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.sphinx import AREA_BIG
from lnrecur.ports import PeerAddress, PeerLink, PeerUnreachable
from lnrecur.values import NodeId, Point
from lnrecur.wire.messages import OnionMessage

ALICE, BOB, CAROL, NOBODY = (PrivateKey(bytes([number]) * 32) for number in range(1, 5))
ID = {key: NodeId(key.point) for key in (ALICE, BOB, CAROL, NOBODY)}


def a_message(number: int, size: int = 1366) -> OnionMessage:
    return OnionMessage(Point(ID[NOBODY]), number.to_bytes(4, "big") + bytes(size - 4))


class World(ABC):
    """Nodes that may reach each other."""

    @abstractmethod
    async def node(self, key: PrivateKey) -> tuple[PeerLink, PeerAddress]:
        """A node that is up, and where it can be dialled."""

    @abstractmethod
    async def down(self, key: PrivateKey) -> None:
        """A node is gone."""

    @abstractmethod
    async def until(self, true: Callable[[], bool]) -> None:
        """Let things happen until something holds."""

    @abstractmethod
    def nowhere(self, node: NodeId) -> PeerAddress:
        """An address at which nobody answers."""


def kept(link: PeerLink) -> list[tuple[NodeId, OnionMessage]]:
    """What a link hands over from now on."""
    got: list[tuple[NodeId, OnionMessage]] = []

    async def note(sender: NodeId, message: OnionMessage) -> None:
        got.append((sender, message))

    link.on_message(note)
    return got


class PeerLinkContract:
    """Subclasses give a fixture `world`."""

    async def test_who_is_reached_is_a_peer_and_so_are_we_to_it(self, world: World) -> None:
        (alice, _), (bob, address) = await world.node(ALICE), await world.node(BOB)
        await alice.reach(address)
        await world.until(lambda: ID[ALICE] in bob.peers())
        assert ID[BOB] in alice.peers()
        assert ID[ALICE] not in alice.peers()

    async def test_reaching_a_peer_again_changes_nothing(self, world: World) -> None:
        (alice, _), (_, address) = await world.node(ALICE), await world.node(BOB)
        await alice.reach(address)
        await alice.reach(address)
        assert alice.peers() == {ID[BOB]}

    async def test_a_message_arrives_unchanged_with_its_sender(self, world: World) -> None:
        (alice, _), (bob, address) = await world.node(ALICE), await world.node(BOB)
        got = kept(bob)
        await alice.reach(address)
        await alice.send(ID[BOB], a_message(1))
        await world.until(lambda: bool(got))
        assert got == [(ID[ALICE], a_message(1))]

    async def test_messages_go_both_ways_over_one_connection(self, world: World) -> None:
        (alice, _), (bob, address) = await world.node(ALICE), await world.node(BOB)
        got = kept(alice)
        await alice.reach(address)
        await world.until(lambda: ID[ALICE] in bob.peers())
        await bob.send(ID[ALICE], a_message(2))
        await world.until(lambda: bool(got))
        assert got == [(ID[BOB], a_message(2))]

    async def test_messages_of_one_peer_arrive_in_the_order_they_were_sent(self, world: World) -> None:
        (alice, _), (bob, address) = await world.node(ALICE), await world.node(BOB)
        got = kept(bob)
        await alice.reach(address)
        for number in range(30):
            await alice.send(ID[BOB], a_message(number))
        await world.until(lambda: len(got) == 30)
        assert [message for _, message in got] == [a_message(number) for number in range(30)]

    async def test_the_big_onion_fits(self, world: World) -> None:
        (alice, _), (bob, address) = await world.node(ALICE), await world.node(BOB)
        got = kept(bob)
        await alice.reach(address)
        await alice.send(ID[BOB], a_message(1, AREA_BIG + 66))
        await world.until(lambda: bool(got))
        assert len(got[0][1].onion) == AREA_BIG + 66

    async def test_nobody_is_reached_where_nobody_answers(self, world: World) -> None:
        alice, _ = await world.node(ALICE)
        with pytest.raises(PeerUnreachable) as caught:
            await alice.reach(world.nowhere(ID[NOBODY]))
        assert caught.value.retry
        assert alice.peers() == frozenset()

    async def test_a_message_for_somebody_who_is_no_peer_is_refused(self, world: World) -> None:
        alice, _ = await world.node(ALICE)
        with pytest.raises(PeerUnreachable, match=ID[NOBODY].hex()):
            await alice.send(ID[NOBODY], a_message(1))

    async def test_who_goes_down_is_no_peer_any_more_and_may_come_back(self, world: World) -> None:
        (alice, _), (_, address) = await world.node(ALICE), await world.node(BOB)
        await alice.reach(address)
        await world.down(BOB)
        await world.until(lambda: not alice.peers())
        with pytest.raises(PeerUnreachable):
            await alice.send(ID[BOB], a_message(1))
        bob, address = await world.node(BOB)
        got = kept(bob)
        await alice.reach(address)
        await alice.send(ID[BOB], a_message(2))
        await world.until(lambda: bool(got))
        assert got == [(ID[ALICE], a_message(2))]

    async def test_a_handler_that_waits_keeps_nobody_from_sending(self, world: World) -> None:
        (alice, _), (bob, to_bob), (carol, to_carol) = [await world.node(key) for key in (ALICE, BOB, CAROL)]
        gate, got = asyncio.Event(), kept(carol)

        async def wait(sender: NodeId, message: OnionMessage) -> None:
            await gate.wait()

        bob.on_message(wait)
        await alice.reach(to_bob)
        await alice.reach(to_carol)
        for number in range(5):
            await alice.send(ID[BOB], a_message(number))
        await alice.send(ID[CAROL], a_message(9))
        await world.until(lambda: bool(got))
        gate.set()

    async def test_each_new_connection_is_told_on_both_sides_when_messages_can_be_sent(self, world: World) -> None:
        (alice, _), (bob, address) = await world.node(ALICE), await world.node(BOB)
        told: list[tuple[str, NodeId, bool]] = []
        alice.on_peer(lambda peer: told.append(("alice", peer, peer in alice.peers())))
        bob.on_peer(lambda peer: told.append(("bob", peer, peer in bob.peers())))
        await alice.reach(address)
        await alice.reach(address)
        await world.until(lambda: len(told) >= 2)
        assert sorted(told) == [("alice", ID[BOB], True), ("bob", ID[ALICE], True)]
        await world.down(BOB)
        await world.until(lambda: not alice.peers())
        assert len(told) == 2
        _, address = await world.node(BOB)
        await alice.reach(address)
        await world.until(lambda: len(told) == 3)
        assert told[2] == ("alice", ID[BOB], True)
