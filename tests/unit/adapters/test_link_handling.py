"""Messages are handled fairly: one slow handling holds up nobody else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from helpers.links import onion_message, until
from lnrecur.adapters.link.handling import FairHandling, Lane
from lnrecur.adapters.link.settings import HandlingLimits
from lnrecur.errors import UsageError
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage


class Handler:
    """Notes what it gets; messages from `slow` senders wait until they are released."""

    def __init__(self) -> None:
        self.begun: list[tuple[NodeId, OnionMessage]] = []
        self.done: list[tuple[NodeId, OnionMessage]] = []
        self.slow: set[NodeId] = set()
        self.release = asyncio.Event()

    async def __call__(self, sender: NodeId, message: OnionMessage) -> None:
        self.begun.append((sender, message))
        if sender in self.slow:
            await self.release.wait()
        self.done.append((sender, message))


def _lane(number: int, quota: int = 2, bytes_max: int = 10**6) -> Lane:
    return Lane(NodeId(bytes([number]) * 33), bytes_max, quota)


@asynccontextmanager
async def _handling(shared: int = 3) -> AsyncIterator[tuple[FairHandling, Handler]]:
    handling, handler = FairHandling(HandlingLimits(shared=shared)), Handler()
    handling.use(handler)
    try:
        yield handling, handler
    finally:
        await handling.close()
        assert handling.running == 0


async def test_a_slow_handling_holds_up_nobody_else_however_many_lanes_there_are() -> None:
    async with _handling() as (handling, handler):
        slow = [_lane(number) for number in range(1, 101)]
        handler.slow = {lane.sender for lane in slow}
        for lane in slow:
            for number in range(5):
                assert handling.put(lane, onion_message(number))
        await until(lambda: len(handler.begun) == 100 + 3)
        honest = _lane(200)
        for number in range(50):
            assert handling.put(honest, onion_message(number))
        await until(lambda: len(handler.done) == 50)
        assert handling.running == 100 + 3
        handler.release.set()
        await until(lambda: len(handler.done) == 550)


async def test_messages_of_a_lane_begin_in_their_order() -> None:
    async with _handling(shared=64) as (handling, handler):
        lane = _lane(1, quota=8)
        for number in range(200):
            handling.put(lane, onion_message(number))
        await until(lambda: len(handler.done) == 200)
        assert [message for _, message in handler.begun] == [onion_message(number) for number in range(200)]


async def test_a_lane_has_no_more_handlers_than_its_quota() -> None:
    async with _handling(shared=100) as (handling, handler):
        lane = _lane(1)
        handler.slow = {lane.sender}
        for number in range(9):
            handling.put(lane, onion_message(number))
        await until(lambda: len(handler.begun) == 2)
        for _ in range(5):
            await asyncio.sleep(0)
        assert handling.running == 2


async def test_lanes_that_wait_for_the_pool_are_served_in_turn() -> None:
    begun: list[int] = []
    one_more = asyncio.Semaphore(0)  # lets the handlers end one by one, the oldest first

    async def handle(sender: NodeId, _message: OnionMessage) -> None:
        begun.append(sender[0])
        await one_more.acquire()

    async with _handling(shared=2) as (handling, _):
        handling.use(handle)
        for lane in [_lane(number, quota=5) for number in (1, 2, 3)]:
            for number in range(8):
                handling.put(lane, onion_message(number))
        await until(lambda: len(begun) == 3 + 2)
        assert begun == [1, 1, 1, 2, 3], "the first lane was alone, and took the pool"
        for count in range(6, 9):
            one_more.release()
            await until(lambda count=count: len(begun) == count)  # type: ignore[misc]
        assert begun[5:] == [1, 2, 3], "what the first lane gives back goes round"


async def test_the_pool_is_shared_and_no_lane_loses_its_order_for_it() -> None:
    async with _handling(shared=1) as (handling, handler):
        lanes = [_lane(number, quota=3) for number in (1, 2)]
        handler.slow = {lane.sender for lane in lanes}
        for lane in lanes:
            for number in range(6):
                handling.put(lane, onion_message(number))
        await until(lambda: len(handler.begun) == 3)
        assert [sender for sender, _ in handler.begun].count(lanes[0].sender) == 2
        handler.release.set()
        await until(lambda: len(handler.done) == 12)
        for lane in lanes:
            mine = [message for sender, message in handler.begun if sender == lane.sender]
            assert mine == [onion_message(number) for number in range(6)]


async def test_a_full_lane_drops_what_comes_on_top_and_has_room_again_later() -> None:
    async with _handling() as (handling, handler):
        lane = _lane(1, quota=1, bytes_max=3 * (1304 + 512))
        handler.slow = {lane.sender}
        assert [handling.put(lane, onion_message(number)) for number in range(4)] == [True, True, True, False]
        handler.release.set()
        await until(lambda: len(handler.done) == 3)
        await until(lambda: lane.bytes_held == 0)
        assert handling.put(lane, onion_message(5))


async def test_when_a_connection_ends_its_waiting_messages_go_and_its_running_ones_finish() -> None:
    async with _handling() as (handling, handler):
        lane = _lane(1)
        handler.slow = {lane.sender}
        for number in range(5):
            handling.put(lane, onion_message(number))
        await until(lambda: len(handler.begun) == 2)
        handling.end(lane)
        assert not handling.put(lane, onion_message(6))
        handler.release.set()
        await until(lambda: handling.running == 0)
        assert len(handler.done) == 2


async def test_connections_that_come_and_go_do_not_pile_up_handlers() -> None:
    async with _handling(shared=4) as (handling, handler):
        for number in range(100):
            lane = _lane(number)
            handler.slow.add(lane.sender)
            handling.put(lane, onion_message(number))
            handling.put(lane, onion_message(number))
            handling.end(lane)
        await until(lambda: handling.running == 4)
        honest = _lane(200)
        handling.put(honest, onion_message(1))
        await until(lambda: len(handler.done) == 1)


async def test_the_pool_is_whole_again_after_all_that() -> None:
    async with _handling(shared=2) as (handling, handler):
        for number in range(20):
            lane = _lane(number, quota=3)
            for count in range(4):
                handling.put(lane, onion_message(count))
            if number % 2:
                handling.end(lane)
        await until(lambda: handling.running == 0)
        last = _lane(99, quota=3)
        handler.slow = {last.sender}
        handler.begun.clear()
        for number in range(9):
            handling.put(last, onion_message(number))
        await until(lambda: len(handler.begun) == 3)


async def test_an_error_of_the_handler_ends_no_lane(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    handled: list[OnionMessage] = []

    async def fail(_: NodeId, message: OnionMessage) -> None:
        handled.append(message)
        raise UsageError("not like this") if len(handled) == 1 else ZeroDivisionError

    handling = FairHandling(HandlingLimits())
    handling.use(fail)
    lane = _lane(1, quota=1)
    for number in range(3):
        handling.put(lane, onion_message(number))
    await until(lambda: len(handled) == 3)
    await handling.close()
    assert "not like this" in caplog.text
    assert "ZeroDivisionError" in caplog.text
