"""Ways for onion messages over the network that the Core Lightning node knows: its gossip, and its own peers.

Nodes carry onion messages if they say so (feature 38 or 39), and Core Lightning passes a message on to connected peers
only; that the two ends of an announced channel are connected is likely, not certain. The graph is read anew every ten
minutes as a whole, tens of thousands of channels on bitcoin, and put in place of the old one at once. What the settings
say is in it too, and is all there is while lightningd does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from lnrecur.adapters.nodes.cln.channels import ONION_MESSAGES, has, parse_scid
from lnrecur.adapters.nodes.cln.rpc import ClnRpc
from lnrecur.adapters.router import StaticRouter
from lnrecur.messaging.graph import MessageGraph
from lnrecur.ports import MessageRouter, MoneyNodeError, PeerAddress
from lnrecur.recurrence.retry import RECONNECT, Backoff
from lnrecur.values import NodeId, ShortChannelId

_LOG = logging.getLogger("lnrecur.cln")
REFRESH_S: Final = 600.0
_ASK_S_MAX: Final = 60.0
_NODES: Final = {"nodes": [{"nodeid": True, "features": True, "addresses": True}]}
_CHANNELS: Final = {"channels": [{"source": True, "destination": True, "short_channel_id": True}]}
_KINDS: Final = ("ipv4", "ipv6", "dns", "torv3")
"""Kinds of addresses that can be dialled, the most direct first."""


class ClnRouter(StaticRouter):
    """A `ports.MessageRouter` that knows what the settings say and what one lightningd has heard."""

    def __init__(
        self,
        rpc: ClnRpc,
        addresses: Iterable[PeerAddress] = (),
        routes: Iterable[Sequence[NodeId]] = (),
        channels: Iterable[tuple[ShortChannelId, NodeId, NodeId]] = (),
        *,
        dials_private: bool = False,
    ) -> None:
        """Nothing is asked before `refresh`.

        Args:
            rpc: where lightningd is.
            addresses: of the settings; they win over gossip.
            routes: of the settings.
            channels: of the settings.
            dials_private: whether gossip may name private addresses (regtest). Elsewhere a stranger could have us dial
                into our own network.
        """
        super().__init__(addresses, routes, channels)
        self._rpc = rpc
        self._dials_private = dials_private
        self._heard: dict[NodeId, PeerAddress] = {}

    def address(self, node: NodeId) -> PeerAddress | None:
        """What was told, or else what the node announces."""
        return super().address(node) or self._heard.get(node)

    async def refresh(self) -> None:
        """Read the graph anew.

        Raises:
            MoneyNodeError: lightningd does not tell it; the old one stays.
        """
        ask = self._rpc.call
        own = (await ask("getinfo")).get("id")
        nodes = (await ask("listnodes", timeout_s=_ASK_S_MAX, only=_NODES)).get("nodes", [])
        channels = (await ask("listchannels", timeout_s=_ASK_S_MAX, only=_CHANNELS)).get("channels", [])
        peers = (await ask("listpeers")).get("peers", [])
        graph, heard = await asyncio.to_thread(self._read, own, nodes, channels, peers)
        self.tell_settings(graph)
        self.graph, self._heard = graph, heard

    async def keep_fresh(self) -> None:
        """Refresh again and again, until cancelled."""
        backoff = Backoff(RECONNECT)
        while True:
            pause_s = REFRESH_S
            try:
                await self.refresh()
                backoff.succeeded()
            except (MoneyNodeError, KeyError, TypeError, ValueError) as error:
                _LOG.info("ways for onion messages are not known to Core Lightning just now: %s", error)
                pause_s = backoff.failed(os.urandom(8))
            await asyncio.sleep(pause_s)

    def _read(
        self, own: str | None, nodes: Iterable[Any], channels: Iterable[Any], peers: Iterable[Any]
    ) -> tuple[MessageGraph, dict[NodeId, PeerAddress]]:
        graph, heard = MessageGraph(), {}
        carriers: set[str] = set()
        for node in nodes:
            if has(str(node.get("features", "")), ONION_MESSAGES):
                carriers.add(str(node["nodeid"]))
            found = self._address(node)
            if found is not None:
                heard[found.node_id] = found
        for channel in channels:
            one, other = str(channel["source"]), str(channel["destination"])
            if one < other:  # each channel is told once for each direction; one is enough, if it is the only one
                self._add(graph, channel, one, other, carriers)
            elif graph.channel_ends(parse_scid(channel["short_channel_id"])) is None:
                self._add(graph, channel, other, one, carriers)
        for peer in peers:
            if own and peer.get("connected") and has(str(peer.get("features", "")), ONION_MESSAGES):
                graph.connect(_node(own), _node(str(peer["id"])))
        return graph, heard

    @staticmethod
    def _add(graph: MessageGraph, channel: Mapping[str, Any], one: str, other: str, carriers: set[str]) -> None:
        if one != other:
            carries = one in carriers and other in carriers
            graph.add_channel(parse_scid(channel["short_channel_id"]), _node(one), _node(other), carries=carries)

    def _address(self, node: Mapping[str, Any]) -> PeerAddress | None:
        offered = [one for one in node.get("addresses", ()) if one.get("type") in _KINDS and one.get("address")]
        offered.sort(key=lambda one: _KINDS.index(one["type"]))
        for one in offered:
            if one["type"] in ("ipv4", "ipv6") and not (self._dials_private or _is_public(str(one["address"]))):
                continue
            return PeerAddress(_node(str(node["nodeid"])), str(one["address"]), int(one["port"]))
        return None


@asynccontextmanager
async def kept_fresh(router: MessageRouter) -> AsyncIterator[None]:
    """Have a router refreshed in the background, if it is one that reads a graph."""
    if not isinstance(router, ClnRouter):
        yield
        return
    task = asyncio.get_running_loop().create_task(router.keep_fresh(), name="ways of Core Lightning")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _node(text: str) -> NodeId:
    return NodeId(bytes.fromhex(text))


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
