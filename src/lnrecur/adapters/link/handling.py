"""Hands arriving onion messages to the one handler, fairly between connections.

A handler may wait for a money node for many seconds, so several run at once, within bounds that are proven here:

- Every connection has a lane. The first message of a lane always starts at once: no lane waits for another one.
- A lane may have up to `per_peer` handlers, and `per_chosen_peer` where we dialled the peer or keep it. All beyond the
  first come out of a pool of `shared` ones; lanes that wait for the pool are served in turn. Messages of one lane start
  in the order in which they came.
- A lane holds messages (waiting and being handled) up to its connection's `inbox_max_bytes`; more is dropped.
- When a connection ends its waiting messages are dropped. What is being handled goes on, because its answer may travel
  another way; of such orphans there are at most `shared`, beyond that the oldest is cancelled.

So there are never more handlers than connections + 2 * shared. Handlers take turns on one event loop: what one of them
computes without waiting is bounded by what one message can cost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lnrecur.adapters.link.settings import MESSAGE_OVERHEAD, HandlingLimits
from lnrecur.errors import LnrecurError
from lnrecur.ports import OnionMessageHandler
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage

_log = logging.getLogger("lnrecur.link")


@dataclass(eq=False, slots=True)
class Lane:
    """The messages of one connection."""

    sender: NodeId
    bytes_max: int
    handlers_max: int
    bytes_held: int = 0
    waiting: deque[OnionMessage] = field(default_factory=deque)
    running: set[asyncio.Task[None]] = field(default_factory=set)
    over: bool = False


class FairHandling:
    """Runs the handler for every message that was put in."""

    def __init__(self, limits: HandlingLimits) -> None:
        self._limits = limits
        self._handler: OnionMessageHandler | None = None
        self._shared = 0  # handlers beyond the first of their lane
        self._hungry: dict[Lane, None] = {}  # lanes that wait for the pool, in turn
        self._orphans: dict[asyncio.Task[None], None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def running(self) -> int:
        """How many handlers there are."""
        return sum(not task.done() for task in self._tasks)

    def use(self, handler: OnionMessageHandler) -> None:
        """Name the handler."""
        self._handler = handler

    def put(self, lane: Lane, message: OnionMessage) -> bool:
        """Have a message handled; False if the lane is full, and then it is dropped."""
        if self._handler is None:
            _log.warning("a message from %s was dropped: nobody handles messages yet", lane.sender.hex())
            return True
        cost = _cost(message)
        if self._closed or lane.over or lane.bytes_held + cost > lane.bytes_max:
            return False
        lane.bytes_held += cost
        lane.waiting.append(message)
        self._start_what_may(lane)
        return True

    def end(self, lane: Lane) -> None:
        """The lane's connection is over."""
        lane.over = True
        lane.waiting.clear()
        self._hungry.pop(lane, None)
        self._shared -= max(0, len(lane.running) - 1)
        self._orphans.update(dict.fromkeys(lane.running))
        while len(self._orphans) > self._limits.shared:
            oldest = next(iter(self._orphans))
            del self._orphans[oldest]
            oldest.cancel()
        self._feed_the_hungry()

    async def close(self) -> None:
        """Cancel what runs, and return when it is gone."""
        self._closed = True
        running = [*self._tasks]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _start_what_may(self, lane: Lane) -> None:
        if lane.waiting and not lane.running:
            self._start_one(lane)
        if lane.waiting and len(lane.running) < lane.handlers_max:
            self._hungry.setdefault(lane)
        self._feed_the_hungry()

    def _start_one(self, lane: Lane) -> None:
        message = lane.waiting.popleft()
        self._shared += bool(lane.running)
        task = asyncio.create_task(self._handle(lane.sender, message), name=f"message from {lane.sender.hex()}")
        lane.running.add(task)
        self._tasks.add(task)
        task.add_done_callback(self._finisher(lane, _cost(message)))

    def _finisher(self, lane: Lane, cost: int) -> Callable[[asyncio.Task[None]], None]:
        def finish(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            lane.running.discard(task)
            lane.bytes_held -= cost
            if self._closed:
                return
            if lane.over:
                self._orphans.pop(task, None)
                return
            self._shared -= bool(lane.running)
            self._start_what_may(lane)

        return finish

    def _feed_the_hungry(self) -> None:
        while self._hungry and self._shared < self._limits.shared:
            lane = next(iter(self._hungry))
            del self._hungry[lane]
            if lane.waiting and len(lane.running) < lane.handlers_max:
                self._start_one(lane)
                self._hungry[lane] = None  # behind the others

    async def _handle(self, sender: NodeId, message: OnionMessage) -> None:
        assert self._handler is not None, "put takes nothing without a handler"
        try:
            await self._handler(sender, message)
        except LnrecurError as error:
            _log.warning("a message from %s: %s", sender.hex(), error)
        except Exception:  # noqa: BLE001 - a border: one bug in a handler must not end the handling
            _log.exception("a message from %s met a bug", sender.hex())


def _cost(message: OnionMessage) -> int:
    return len(message.onion) + MESSAGE_OVERHEAD
