"""A network of messaging nodes without sockets: delivers onion messages, or loses, doubles, delays and reorders them.

Everything random follows from the seed, so what happened once happens again. Each node handles the messages it gets one
at a time and in the order of their arrival, as over TCP; a handler that waits keeps back only its own node.

Everybody is a peer of everybody until `lay_out` says who is connected to whom. A receiver may let through only so many
messages from each of its peers (`limit`), and drop the rest without a word, as Core Lightning does.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lnrecur.errors import UsageError
from lnrecur.ports import Clock, OnionMessageHandler, PeerAddress, PeerHandler, PeerUnreachable
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
    jitter_s: float = 0.0
    """Each message is under way for up to this long; those of one connection stay in order, as over TCP."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a receiver lets through from one peer: a burst, then one each `every_s`; Core Lightning's defaults."""

    burst: int = 4
    every_s: float = 0.25


@dataclass(slots=True)
class _Turnstile:
    """One peer's credit at one receiver, in whole milliseconds, as Core Lightning counts: a bit early is too early."""

    limit: RateLimit
    looked_at: float
    credit_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self.credit_ms = self._cost_ms * self.limit.burst

    @property
    def _cost_ms(self) -> int:
        return round(self.limit.every_s * 1000)

    def passes(self, now: float) -> bool:
        gained = int((now - self.looked_at) * 1000)
        self.looked_at = now
        self.credit_ms = min(self._cost_ms * self.limit.burst, self.credit_ms + gained)
        if self.credit_ms < self._cost_ms:
            return False
        self.credit_ms -= self._cost_ms
        return True


@dataclass(frozen=True, slots=True)
class _UnderWay:
    arrives_at: float
    sender: NodeId
    receiver: NodeId
    message: OnionMessage


class MemoryNetwork:
    """Who can reach whom, and what is under way."""

    def __init__(self, seed: int = 0, faults: Faults | None = None, clock: Clock | None = None) -> None:
        """A network without nodes; what it does to messages may be changed at any time through `faults`."""
        self.faults = faults or Faults()
        self.limit: RateLimit | None = None
        """What every node lets through from each peer; None: everything."""
        self.throttled = 0
        """How many messages were dropped because of the limit."""
        self.listening: set[NodeId] = set()
        """Who can be dialled by nodes that are not connected to it; of importance once connections are laid out."""
        self.links: dict[NodeId, MemoryLink] = {}
        self.submitted = 0
        """How many messages were sent, lost ones included."""
        self.failures: list[BaseException] = []
        """What handlers raised: bugs, since whatever can be wrong with a message is for them to handle."""
        self._clock = clock
        self._wires: set[frozenset[NodeId]] | None = None
        self._turnstiles: dict[tuple[NodeId, NodeId], _Turnstile] = {}
        self._last_arrivals: dict[tuple[NodeId, NodeId], float] = {}
        self._under_way: list[_UnderWay] = []
        self._watchers: list[Watcher] = []
        self._chance = random.Random(seed)  # noqa: S311 - reproducible faults, not secrets

    def link(self, node_id: NodeId) -> MemoryLink:
        """Join the network. A node that joins again (after a restart) takes its old place."""
        self.leave(node_id)
        link = self.links[node_id] = MemoryLink(node_id, self)
        for peer in self.peers_of(node_id):
            self.links[peer].greet(node_id)
        return link

    def leave(self, node_id: NodeId) -> None:
        """A node goes down: it handles and gets nothing any more; what arrives for it while it is down is lost."""
        link = self.links.pop(node_id, None)
        if link is not None:
            link.stop()

    # --- who is connected to whom ------------------------------------------------------------------------------------

    def lay_out(self, *chains: Sequence[NodeId]) -> None:
        """From now on only neighbours in these chains are connected: a line is one chain, a star a pair per leaf.

        Nodes may be named before they join, and their connections outlive their absence.
        """
        self._wires = set()
        for chain in chains:
            for one, other in pairwise(chain):
                self.connect(one, other)

    def connect(self, one: NodeId, other: NodeId) -> None:
        """Connect two nodes; harmless where everybody is connected.

        Raises:
            UsageError: it is one and the same node.
        """
        if one == other:
            raise UsageError("a node has no connection to itself", field="other")
        wire = frozenset((one, other))
        if self._wires is None or wire in self._wires:
            return
        self._wires.add(wire)
        if wire <= self.links.keys():
            self.links[one].greet(other)
            self.links[other].greet(one)

    def disconnect(self, one: NodeId, other: NodeId) -> None:
        """Take a connection away.

        Raises:
            UsageError: connections were not laid out: everybody is connected.
        """
        if self._wires is None:
            raise UsageError("lay out the connections before taking one away", field="one")
        self._wires.discard(frozenset((one, other)))

    def peers_of(self, node_id: NodeId) -> frozenset[NodeId]:
        """Who is up and connected to a node."""
        others = frozenset(self.links) - {node_id}
        if self._wires is None:
            return others
        return frozenset(other for other in others if frozenset((node_id, other)) in self._wires)

    # --- what is under way -------------------------------------------------------------------------------------------

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
            arrives_at = self._now() + late + self._jitter(sender, receiver)
            self._under_way.insert(at, _UnderWay(arrives_at, sender, receiver, message))

    def _jitter(self, sender: NodeId, receiver: NodeId) -> float:
        """How long a message is under way over a connection that keeps the order of its messages."""
        if not self.faults.jitter_s:
            return 0.0
        now, last = self._now(), self._last_arrivals.get((sender, receiver), 0.0)
        arrives_at = max(last, now + self._chance.uniform(0, self.faults.jitter_s))
        self._last_arrivals[sender, receiver] = arrives_at
        return arrives_at - now

    def deliver(self) -> int:
        """Hand over what has arrived by now; answers how many messages that were.

        They are handled when the event loop gets its turn, and what follows from them is handed over by the next call.
        """
        if not self.has_arrived():
            return 0
        now = self._now()
        arrived = [message for message in self._under_way if message.arrives_at <= now]
        self._under_way = [message for message in self._under_way if message.arrives_at > now]
        for one in arrived:
            link = self.links.get(one.receiver)
            if link is not None and self._lets_through(one.sender, one.receiver):
                link.take(one.sender, one.message)
        return len(arrived)

    def _lets_through(self, sender: NodeId, receiver: NodeId) -> bool:
        if self.limit is None:
            return True
        now = self._now()
        turnstile = self._turnstiles.setdefault((sender, receiver), _Turnstile(self.limit, now))
        passes = turnstile.passes(now)
        self.throttled += not passes
        return passes

    def has_arrived(self) -> bool:
        """Whether there is something to hand over now."""
        return bool(self._under_way) and any(message.arrives_at <= self._now() for message in self._under_way)

    def next_arrival(self) -> float | None:
        """When the next message that is under way arrives; None if there is none."""
        return min((message.arrives_at for message in self._under_way), default=None)

    def _happens(self, chance: float) -> bool:
        return self._chance.random() < chance

    def _now(self) -> float:
        return 0 if self._clock is None else self._clock.elapsed()


class MemoryLink:
    """One node's `lnrecur.ports.PeerLink` into a `MemoryNetwork`."""

    def __init__(self, node_id: NodeId, network: MemoryNetwork) -> None:
        self.node_id = node_id
        self._network = network
        self._handler: OnionMessageHandler | None = None
        self._on_peer: PeerHandler | None = None
        self._inbox: deque[tuple[NodeId, OnionMessage]] = deque()
        self._handling: asyncio.Task[None] | None = None

    async def reach(self, address: PeerAddress) -> None:
        """Have a connection to somebody who is up and, where connections are laid out, listens.

        Raises:
            PeerUnreachable: there is none, and none can be made.
        """
        if address.node_id in self.peers():
            return
        if not self.is_up() or address.node_id not in self._network.links:
            raise PeerUnreachable(f"{address} is down")
        if address.node_id not in self._network.listening:
            raise PeerUnreachable(f"{address} does not listen")
        self._network.connect(self.node_id, address.node_id)

    async def send(self, peer: NodeId, message: OnionMessage) -> None:
        """Submit to the network."""
        if peer not in self.peers():
            told = "is no peer of ours" if peer in self._network.links else "is down"
            raise PeerUnreachable(f"{peer.hex()} {told}")
        self._network.submit(self.node_id, peer, message)

    def peers(self) -> frozenset[NodeId]:
        """Everybody who is up and connected to this node; nobody once this node has left."""
        return self._network.peers_of(self.node_id) if self.is_up() else frozenset()

    def is_up(self) -> bool:
        """Whether this node is in the network, in this life of it."""
        return self._network.links.get(self.node_id) is self

    def on_message(self, handler: OnionMessageHandler) -> None:
        """Name the handler."""
        self._handler = handler

    def on_peer(self, handler: PeerHandler) -> None:
        """Name who is told of new peers. Those that are there already are peers from the beginning: nobody is told."""
        self._on_peer = handler

    def greet(self, peer: NodeId) -> None:
        """Somebody is connected to this node from now on."""
        if self._on_peer is not None:
            self._on_peer(peer)

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
