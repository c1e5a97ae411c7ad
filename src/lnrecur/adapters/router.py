"""Ways to nodes that are no peers of ours, from what the settings say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lnrecur.ports import PeerAddress
from lnrecur.values import NodeId


class StaticRouter:
    """A `ports.MessageRouter` that knows what it was told: addresses, and routes by destination."""

    def __init__(
        self, addresses: Iterable[PeerAddress] = (), routes: Mapping[NodeId, Sequence[NodeId]] | None = None
    ) -> None:
        self._addresses = {address.node_id: address for address in addresses}
        self._routes = dict(routes or {})

    def route(self, destination: NodeId, peers: frozenset[NodeId]) -> Sequence[NodeId] | None:
        """The route that was told, if it begins at a connected peer."""
        route = self._routes.get(destination)
        return route if route and route[0] in peers else None

    def address(self, node: NodeId) -> PeerAddress | None:
        """The address that was told."""
        return self._addresses.get(node)
