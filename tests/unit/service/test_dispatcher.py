"""Messages on their way out: at once while the receiver takes them, in turns when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.pacing import Pace
from lnrecur.ports import PeerUnreachable
from lnrecur.service.dispatcher import Dispatcher, TooManyWaiting
from lnrecur.testing.network import MemoryNetwork, RateLimit
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import NodeId, Point, UnixSeconds
from lnrecur.wire.messages import OnionMessage

START = 1_767_225_600
US, PEER, OTHER = (NodeId(PrivateKey(bytes([number]) * 32).point) for number in (1, 2, 3))
NOBODY = NodeId(PrivateKey(b"\x04" * 32).point)


class WallClock(VirtualClock):
    """A clock that somebody may set back. What has elapsed goes on."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.set_back_s = 0

    def now(self) -> UnixSeconds:
        return UnixSeconds(super().now() - self.set_back_s)

    async def sleep_until(self, moment: float) -> None:
        while (left := moment + self.set_back_s - self.elapsed()) > 0:
            await self.pause(left)

    async def pause(self, seconds: float) -> None:
        await super().sleep_until(self.elapsed() + seconds)


@dataclass
class World:
    clock: WallClock
    network: MemoryNetwork
    dispatcher: Dispatcher
    sent: list[tuple[float, NodeId, int]]
    """When, to whom, which."""

    async def send(self, number: int, peer: NodeId = PEER, conversation: bytes = b"") -> None:
        await self.dispatcher.send(peer, OnionMessage(Point(US), bytes([number]) * 100), conversation)

    async def pass_time(self, seconds: float) -> None:
        until = self.clock.elapsed() + seconds
        await self._turns()
        while (moment := self._next_moment()) is not None and moment <= until:
            self.clock.advance_to(moment)
            await self._turns()
        self.clock.advance_to(until)
        await self._turns()

    def _next_moment(self) -> float | None:
        moments = (self.clock.next_wake(), self.network.next_arrival())
        return min((moment for moment in moments if moment is not None), default=None)

    async def _turns(self) -> None:
        for _ in range(5):
            self.network.deliver()
            await asyncio.sleep(0)


async def a_world(pace: Pace | None) -> AsyncIterator[World]:
    clock = WallClock(START)
    network = MemoryNetwork(clock=clock)
    for node in (PEER, OTHER):
        network.link(node)
    sent: list[tuple[float, NodeId, int]] = []
    network.watch(lambda _, receiver, message: sent.append((clock.precise() - START, receiver, message.onion[0])))
    world = World(clock, network, Dispatcher(network.link(US), clock, pace), sent)
    yield world
    await world.dispatcher.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async for one in a_world(Pace(margin_s=0)):
        yield one


async def test_a_burst_goes_at_once_and_the_rest_one_by_one(world: World) -> None:
    for number in range(7):
        await world.send(number)
    assert [number for _, _, number in world.sent] == [0, 1, 2, 3]
    assert world.dispatcher.waiting() == 3
    await world.pass_time(10)
    assert [at for at, _, _ in world.sent] == [0, 0, 0, 0, 0.25, 0.5, 0.75]
    assert world.dispatcher.waiting() == 0
    await world.send(7)
    assert world.sent[-1][0] == 10, "after a quiet while it goes at once again"


async def test_peers_do_not_wait_for_each_other(world: World) -> None:
    for number in range(8):
        await world.send(number, (PEER, OTHER)[number % 2])
    assert len(world.sent) == 8


async def test_a_noisy_conversation_does_not_keep_another_one_waiting(world: World) -> None:
    for number in range(24):
        await world.send(number, conversation=b"noisy")
    await world.send(99, conversation=b"quiet")
    await world.pass_time(0.5)
    assert [number for _, _, number in world.sent[4:]] == [4, 99]


async def test_no_pace_sends_everything_at_once() -> None:
    async for world in a_world(None):
        for number in range(100):
            await world.send(number)
        assert len(world.sent) == 100


async def test_too_much_for_one_peer_is_an_error_that_says_to_come_back_later(world: World) -> None:
    for number in range(4 + 32):
        await world.send(number)
    with pytest.raises(TooManyWaiting, match="32 messages of this conversation") as caught:
        await world.send(99)
    assert caught.value.retry
    assert world.dispatcher.waiting() == 32
    await world.send(0, conversation=b"another one")


async def test_what_waits_for_a_peer_that_has_gone_is_dropped_and_counted(world: World) -> None:
    for number in range(7):
        await world.send(number)
    world.network.leave(PEER)
    await world.pass_time(10)
    assert (len(world.sent), world.dispatcher.waiting(), world.dispatcher.dropped) == (4, 0, 3)
    with pytest.raises(PeerUnreachable):
        await world.send(8)
    world.network.link(PEER)
    await world.send(9)
    assert world.sent[-1][2] == 9


async def test_a_peer_that_was_never_there_is_told_at_once_even_when_its_burst_is_spent(world: World) -> None:
    for _ in range(10):
        with pytest.raises(PeerUnreachable):
            await world.send(0, NOBODY)
    assert world.dispatcher.waiting() == 0


async def test_what_waits_goes_out_in_its_turn_though_somebody_sets_the_clock_back(world: World) -> None:
    for number in range(7):
        await world.send(number)
    await world.pass_time(0.3)
    world.clock.set_back_s = 3600
    await world.pass_time(0.5)
    assert [number for _, _, number in world.sent] == list(range(7))


async def test_closing_forgets_what_waits(world: World) -> None:
    for number in range(7):
        await world.send(number)
    await world.dispatcher.close()
    await world.pass_time(10)
    assert len(world.sent) == 4


async def test_the_memory_of_quiet_peers_is_bounded(world: World) -> None:
    for number in range(1000):
        peer = NodeId(b"\x02" + number.to_bytes(32, "big"))
        world.network.link(peer)
        await world.send(0, peer)
        await world.pass_time(1)
        world.network.leave(peer)
    assert len(world.dispatcher._queues) <= 257


async def test_a_margin_keeps_what_an_uneven_connection_would_bring_too_early(world: World) -> None:
    """Ten messages over a connection that delays each by up to ten milliseconds: without a margin some come early."""
    lost = {}
    for margin_s in (0.0, 0.01):
        dispatcher = Dispatcher(world.network.link(US), world.clock, Pace(margin_s=margin_s))
        world.network.limit, world.network.throttled = RateLimit(), 0
        world.network.faults.jitter_s = 0.01
        await world.pass_time(100)
        for number in range(24):
            await dispatcher.send(PEER, OnionMessage(Point(US), bytes([number])))
        await world.pass_time(8)
        lost[margin_s] = world.network.throttled
        await dispatcher.close()
    assert lost[0.01] == 0
    assert lost[0.0] > 0


async def test_what_is_paced_passes_the_limit_of_the_receiver_and_what_is_not_is_lost(world: World) -> None:
    for pace, lost in ((Pace(), 0), (None, 16)):
        dispatcher = Dispatcher(world.network.link(US), world.clock, pace)
        world.network.limit, world.network.throttled = RateLimit(), 0
        await world.pass_time(100)
        for number in range(20):
            await dispatcher.send(PEER, OnionMessage(Point(US), bytes([number])))
        await world.pass_time(6)
        assert world.network.throttled == lost
        await dispatcher.close()
