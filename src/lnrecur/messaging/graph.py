"""Which onion-message nodes are connected, and the shortest way between them: an adjacency table and a search.

Fed with what is known: routes from the settings, the channel graph of a money node. Connections carry messages both
ways. Nothing here knows who our peers are or what time it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Final

from lnrecur.errors import UsageError
from lnrecur.values import NodeId, ShortChannelId

ROUTE_MAX: Final = 10
"""Nodes on a route at most; each makes the message longer and likelier to be lost."""


class MessageGraph:
    """Nodes that pass on onion messages, their connections, and whose ends channels have."""

    def __init__(self) -> None:
        self._neighbours: dict[NodeId, dict[NodeId, None]] = {}
        self._channels: dict[ShortChannelId, tuple[NodeId, NodeId]] = {}

    def connect(self, one: NodeId, other: NodeId) -> None:
        """Two nodes pass messages to each other.

        Raises:
            UsageError: it is one and the same node.
        """
        if one == other:
            raise UsageError(f"{one.hex()} is no neighbour of itself", field="graph")
        self._neighbours.setdefault(one, {})[other] = None
        self._neighbours.setdefault(other, {})[one] = None

    def add_channel(self, channel: ShortChannelId, one: NodeId, other: NodeId, *, carries: bool = True) -> None:
        """A channel's ends, in any order; they are connected too, for what its ends do they do over its connection.

        `carries` is False where an end does not pass on onion messages: then only whose ends they are is known.

        Raises:
            UsageError: both ends are one node.
        """
        if carries:
            self.connect(one, other)
        self._channels[channel] = (min(one, other), max(one, other))

    def forget(self, node: NodeId) -> None:
        """A node is gone, with its connections and channels."""
        for neighbour in self._neighbours.pop(node, {}):
            del self._neighbours[neighbour][node]
        self._channels = {channel: ends for channel, ends in self._channels.items() if node not in ends}

    def channel_ends(self, channel: ShortChannelId) -> tuple[NodeId, NodeId] | None:
        """Both ends of a channel, the lesser node id first (BOLT 7's node_id_1), or None."""
        return self._channels.get(channel)

    def shortest_route(self, sources: Collection[NodeId], destination: NodeId) -> Sequence[NodeId] | None:
        """The nodes from one of `sources` to `destination`, both included, or None; at most `ROUTE_MAX` of them."""
        if destination in sources:
            return [destination]
        if not any(source in self._neighbours for source in sources):
            return None  # a stranger's reply path must not have us look through a whole network in vain
        towards: dict[NodeId, NodeId] = {}  # the next node on the way to the destination, found from its end
        depths = {destination: 1}
        waiting = deque([destination])
        while waiting:
            node = waiting.popleft()
            if depths[node] == ROUTE_MAX:
                return None
            for neighbour in self._neighbours.get(node, {}):
                if neighbour in depths:
                    continue
                towards[neighbour], depths[neighbour] = node, depths[node] + 1
                if neighbour in sources:
                    return self._walk(neighbour, destination, towards)
                waiting.append(neighbour)
        return None

    def _walk(self, node: NodeId, destination: NodeId, towards: dict[NodeId, NodeId]) -> Sequence[NodeId]:
        route = [node]
        while node != destination:
            node = towards[node]
            route.append(node)
        return route
