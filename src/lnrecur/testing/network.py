"""A network of messaging nodes without sockets: delivers onion messages, or loses, doubles and delays them.

Everything random follows from the seed, so what happened once happens again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from lnrecur.ports import OnionMessageHandler, PeerAddress, PeerUnreachable
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage


@dataclass(slots=True)
class Faults:
    """What the network does to messages, as chances from 0 to 1."""

    loss: float = 0.0
    doubling: float = 0.0
    reordering: float = 0.0


@dataclass(slots=True)
class MemoryNetwork:
    """Who can reach whom, and what is under way."""

    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    links: dict[NodeId, MemoryLink] = field(default_factory=dict)
    _under_way: list[tuple[NodeId, NodeId, OnionMessage]] = field(default_factory=list)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - reproducible faults, not secrets

    def link(self, node_id: NodeId) -> MemoryLink:
        """Join the network. A node that joins again (after a restart) takes its old place."""
        link = MemoryLink(node_id, self)
        self.links[node_id] = link
        return link

    def leave(self, node_id: NodeId) -> None:
        """A node goes down: nothing reaches it any more, and what was under way to it is lost."""
        self.links.pop(node_id, None)

    def submit(self, sender: NodeId, receiver: NodeId, message: OnionMessage) -> None:
        """Take a message on its way, or lose it, or take it twice."""
        if self._chance.random() < self.faults.loss:
            return
        copies = 2 if self._chance.random() < self.faults.doubling else 1
        for _ in range(copies):
            at = len(self._under_way)
            if self._under_way and self._chance.random() < self.faults.reordering:
                at = self._chance.randrange(len(self._under_way))
            self._under_way.insert(at, (sender, receiver, message))

    async def deliver(self, limit: int = 10_000) -> int:
        """Hand over everything under way, and what follows from it; answers how many messages that were."""
        handed = 0
        while self._under_way and handed < limit:
            sender, receiver, message = self._under_way.pop(0)
            handed += 1
            link = self.links.get(receiver)
            if link is not None and link.handler is not None:
                await link.handler(sender, message)
        return handed


@dataclass(slots=True)
class MemoryLink:
    """One node's `ports.PeerLink` into a `MemoryNetwork`: everybody on it is a peer of everybody."""

    node_id: NodeId
    network: MemoryNetwork
    handler: OnionMessageHandler | None = None

    async def reach(self, address: PeerAddress) -> None:
        """There is a connection to everybody who is up."""
        if address.node_id not in self.network.links:
            raise PeerUnreachable(f"{address} is down")

    async def send(self, peer: NodeId, message: OnionMessage) -> None:
        """Submit to the network."""
        if peer not in self.network.links:
            raise PeerUnreachable(f"{peer.hex()} is down")
        self.network.submit(self.node_id, peer, message)

    def peers(self) -> frozenset[NodeId]:
        """Everybody else who is up."""
        return frozenset(self.network.links) - {self.node_id}

    def on_message(self, handler: OnionMessageHandler) -> None:
        """Name the handler."""
        self.handler = handler
