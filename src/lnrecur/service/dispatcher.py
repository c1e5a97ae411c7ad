"""Hands messages to the link, no faster than their receivers take them.

While nothing waits for a peer a message goes straight to the link; the task that empties a queue lives only as long as
the queue has something. What waits is in memory only: a message is no promise, and who needs an answer asks again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from lnrecur.messaging.pacing import Pace, PacedQueue, QueueFull
from lnrecur.ports import Clock, PeerLink, PeerUnreachable
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage

_LOG = logging.getLogger("lnrecur.dispatcher")
_IDLE_MAX: Final = 256
"""Queues that are remembered although nothing waits in them."""


class TooManyWaiting(PeerUnreachable):
    """So much waits for this peer that no more is taken: later, or another way."""


class Dispatcher:
    """The outgoing side of a post office, for all peers."""

    def __init__(self, link: PeerLink, clock: Clock, pace: Pace | None) -> None:
        """`pace`: None sends everything at once."""
        self._link = link
        self._clock = clock
        self._pace = pace
        self._queues: dict[NodeId, PacedQueue[OnionMessage]] = {}
        self._draining: dict[NodeId, asyncio.Task[None]] = {}
        self.dropped = 0
        """Messages that had to wait, and whose peer was gone when their turn came."""

    async def send(self, peer: NodeId, message: OnionMessage, conversation: bytes = b"") -> None:
        """Send to a connected peer, now or in its turn among the conversations that wait for this peer.

        Raises:
            PeerUnreachable: there is no connection to this peer.
            TooManyWaiting: too much waits for it already.
        """
        if self._pace is None:
            await self._link.send(peer, message)
            return
        queue = self._queue(peer)
        if queue.goes_at_once(self._clock.elapsed()):
            await self._link.send(peer, message)
            return
        if peer not in self._link.peers():
            raise PeerUnreachable(f"there is no connection to {peer.hex()}")
        try:
            queue.put(conversation, message, len(message.onion))
        except QueueFull as error:
            raise TooManyWaiting(f"{peer.hex()}: {error}") from error
        if peer not in self._draining:
            drain = asyncio.get_running_loop().create_task(self._drain(peer, queue), name=f"queue of {peer.hex()[:16]}")
            self._draining[peer] = drain

    def waiting(self) -> int:
        """How many messages wait, for all peers."""
        return sum(len(queue) for queue in self._queues.values())

    async def close(self) -> None:
        """Forget what waits."""
        tasks = list(self._draining.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._queues.clear()

    def _queue(self, peer: NodeId) -> PacedQueue[OnionMessage]:
        queue = self._queues.get(peer)
        if queue is None:
            if len(self._queues) >= _IDLE_MAX:
                now = self._clock.elapsed()
                self._queues = {known: kept for known, kept in self._queues.items() if not kept.is_idle(now)}
            queue = self._queues[peer] = PacedQueue(self._pace or Pace())
        return queue

    async def _drain(self, peer: NodeId, queue: PacedQueue[OnionMessage]) -> None:
        try:
            while (moment := queue.ready_at(now := self._clock.elapsed())) is not None:
                await self._clock.pause(max(0.0, moment - now))
                message = queue.pop(self._clock.elapsed())
                if message is not None:
                    await self._link.send(peer, message)
        except PeerUnreachable as error:
            self.dropped += 1 + queue.clear()
            _LOG.info("messages that waited for %s are dropped: %s", peer.hex(), error)
        finally:
            del self._draining[peer]
