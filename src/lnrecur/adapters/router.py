"""Ways to nodes that are no peers of ours: over a graph of onion-message nodes, and to addresses that we were told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from lnrecur.messaging.graph import MessageGraph
from lnrecur.ports import PeerAddress
from lnrecur.values import NodeId, ShortChannelId


class GraphRouter:
    """A `ports.MessageRouter` over a graph that others may go on feeding."""

    def __init__(self, addresses: Iterable[PeerAddress] = (), graph: MessageGraph | None = None) -> None:
        """Know these addresses, and this graph (without one: no routes)."""
        self.graph = MessageGraph() if graph is None else graph
        """May be changed at any time."""
        self._addresses = {address.node_id: address for address in addresses}

    def learn(self, address: PeerAddress) -> None:
        """A node can be dialled there; this takes the place of what was known of it."""
        self._addresses[address.node_id] = address

    def route(self, destination: NodeId, peers: frozenset[NodeId]) -> Sequence[NodeId] | None:
        """The shortest route from a connected peer."""
        return self.graph.shortest_route(peers, destination)

    def address(self, node: NodeId) -> PeerAddress | None:
        """The address that was told."""
        return self._addresses.get(node)

    def channel_ends(self, channel: ShortChannelId) -> tuple[NodeId, NodeId] | None:
        """What the graph says."""
        return self.graph.channel_ends(channel)


class StaticRouter(GraphRouter):
    """A router that knows what the settings say: chains of neighbours, and the ends of channels."""

    def __init__(
        self,
        addresses: Iterable[PeerAddress] = (),
        routes: Iterable[Sequence[NodeId]] = (),
        channels: Iterable[tuple[ShortChannelId, NodeId, NodeId]] = (),
    ) -> None:
        """Each route is a chain of nodes in which neighbours are connected.

        Raises:
            UsageError: a node stands beside itself.
        """
        super().__init__(addresses)
        self._told = (tuple(routes), tuple(channels))
        self.tell_settings(self.graph)

    def tell_settings(self, graph: MessageGraph) -> None:
        """Put what the settings say into a graph."""
        routes, channels = self._told
        for route in routes:
            for one, other in pairwise(route):
                graph.connect(one, other)
        for channel, one, other in channels:
            graph.add_channel(channel, one, other)
