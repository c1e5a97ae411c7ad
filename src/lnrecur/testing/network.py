"""A network of messaging nodes without sockets: delivers onion messages, or loses, doubles, delays and reorders them.

Everything random follows from the seed, so what happened once happens again. Each node handles the messages it gets one
at a time and in the order of their arrival, as over TCP; a handler that waits keeps back only its own node.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lnrecur.ports import Clock, OnionMessageHandler, PeerAddress, PeerUnreachable
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage

Watcher = Callable[[NodeId, NodeId, OnionMessage], None]
"""Sees every message that is handed to the network: sender, receiver, message; also those that then get lost."""


@dataclass(slots=True)
class Faults:
    """What the network does to messages, as chances from 0 to 1."""

    loss: float = 0.0
    doubling: float = 0.0
    reordering: float = 0.0
    """The chance of a message to overtake others that are under way at the same moment."""
    lateness: float = 0.0
    """The chance of a message to be under way for some seconds instead of none; needs a clock."""
    late_s_max: int = 10


@dataclass(frozen=True, slots=True)
class _UnderWay:
    arrives_at: int
    sender: NodeId
    receiver: NodeId
    message: OnionMessage


class MemoryNetwork:
    """Who can reach whom, and what is under way."""

    def __init__(self, seed: int = 0, faults: Faults | None = None, clock: Clock | None = None) -> None:
        """A network without nodes; what it does to messages may be changed at any time through `faults`."""
        self.faults = faults or Faults()
        self.links: dict[NodeId, MemoryLink] = {}
        self.submitted = 0
        """How many messages were sent, lost ones included."""
        self.failures: list[BaseException] = []
        """What handlers raised: bugs, since whatever can be wrong with a message is for them to handle."""
        self._clock = clock
        self._under_way: list[_UnderWay] = []
        self._watchers: list[Watcher] = []
        self._chance = random.Random(seed)  # noqa: S311 - reproducible faults, not secrets

    def link(self, node_id: NodeId) -> MemoryLink:
        """Join the network. A node that joins again (after a restart) takes its old place."""
        self.leave(node_id)
        link = self.links[node_id] = MemoryLink(node_id, self)
        return link

    def leave(self, node_id: NodeId) -> None:
        """A node goes down: it handles and gets nothing any more; what arrives for it while it is down is lost."""
        link = self.links.pop(node_id, None)
        if link is not None:
            link.stop()

    def watch(self, watcher: Watcher) -> None:
        """Show every message to `watcher` when it is sent."""
        self._watchers.append(watcher)

    def submit(self, sender: NodeId, receiver: NodeId, message: OnionMessage) -> None:
        """Take a message on its way, or lose it, or take it twice."""
        self.submitted += 1
        for watcher in self._watchers:
            watcher(sender, receiver, message)
        if self._happens(self.faults.loss):
            return
        for _ in range(2 if self._happens(self.faults.doubling) else 1):
            late = self._chance.randint(1, self.faults.late_s_max) if self._happens(self.faults.lateness) else 0
            at = len(self._under_way)
            if self._under_way and self._happens(self.faults.reordering):
                at = self._chance.randrange(len(self._under_way))
            self._under_way.insert(at, _UnderWay(self._now() + late, sender, receiver, message))

    def deliver(self) -> int:
        """Hand over what has arrived by now; answers how many messages that were.

        They are handled when the event loop gets its turn, and what follows from them is handed over by the next call.
        """
        now = self._now()
        arrived = [message for message in self._under_way if message.arrives_at <= now]
        self._under_way = [message for message in self._under_way if message.arrives_at > now]
        for one in arrived:
            link = self.links.get(one.receiver)
            if link is not None:
                link.take(one.sender, one.message)
        return len(arrived)

    def next_arrival(self) -> int | None:
        """When the next message that is under way arrives; None if there is none."""
        return min((message.arrives_at for message in self._under_way), default=None)

    def _happens(self, chance: float) -> bool:
        return self._chance.random() < chance

    def _now(self) -> int:
        return 0 if self._clock is None else self._clock.now()


class MemoryLink:
    """One node's `lnrecur.ports.PeerLink` into a `MemoryNetwork`: everybody on it is a peer of everybody."""

    def __init__(self, node_id: NodeId, network: MemoryNetwork) -> None:
        self.node_id = node_id
        self._network = network
        self._handler: OnionMessageHandler | None = None
        self._inbox: deque[tuple[NodeId, OnionMessage]] = deque()
        self._handling: asyncio.Task[None] | None = None

    async def reach(self, address: PeerAddress) -> None:
        """There is a connection to everybody who is up."""
        if address.node_id not in self.peers():
            raise PeerUnreachable(f"{address} is down")

    async def send(self, peer: NodeId, message: OnionMessage) -> None:
        """Submit to the network."""
        if peer not in self.peers():
            raise PeerUnreachable(f"{peer.hex()} is down")
        self._network.submit(self.node_id, peer, message)

    def peers(self) -> frozenset[NodeId]:
        """Everybody else who is up; nobody once this node has left."""
        return frozenset(self._network.links) - {self.node_id} if self.is_up() else frozenset()

    def is_up(self) -> bool:
        """Whether this node is in the network, in this life of it."""
        return self._network.links.get(self.node_id) is self

    def on_message(self, handler: OnionMessageHandler) -> None:
        """Name the handler."""
        self._handler = handler

    def take(self, sender: NodeId, message: OnionMessage) -> None:
        """A message has arrived: it is handled after those that came before it."""
        self._inbox.append((sender, message))
        if self._handling is None or self._handling.done():
            self._handling = asyncio.get_running_loop().create_task(self._handle())

    def stop(self) -> None:
        """Handle nothing any more, and cut off what is being handled."""
        self._inbox.clear()
        if self._handling is not None:
            self._handling.cancel()

    async def _handle(self) -> None:
        while self._inbox and self._handler is not None:
            sender, message = self._inbox.popleft()
            try:
                await self._handler(sender, message)
            except asyncio.CancelledError:
                raise
            except BaseException as bug:  # noqa: BLE001 - told to the owner of the network, who raises it
                if self.is_up():  # of the dead, nothing
                    self._network.failures.append(bug)
