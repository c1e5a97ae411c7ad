"""LND's channels and what its graph knows: where a payment path to us may begin, and who is at the end of a channel."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble, reading
from lnrecur.adapters.nodes.lnd.rest import LndRest
from lnrecur.ports import FailureReason, InboundEdge
from lnrecur.values import MSAT_PER_SAT, Msat, NodeId, ShortChannelId
from lnrecur.wire.blinded_path import ChannelDirection

_LOG = logging.getLogger("lnrecur.lnd")
_ROUTE_BLINDING: Final = ("24", "25")
_KEPT_S: Final = 30.0
"""How long the edges are taken for true: each costs two questions."""
EDGES_MAX: Final = 8
"""More are not looked at, those with the most to receive first."""


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """One of LND's channels, as LND lists it. Amounts are in sat."""

    peer: NodeId
    chan_id: str
    names: frozenset[str]
    """All ids it goes by, `chan_id` included."""
    alias: int
    """What the peer forwards by where the channel is not announced; 0 if it gave none."""
    is_up: bool
    is_private: bool
    capacity: int
    local: int
    remote: int
    reserve: int
    """What of `local` cannot be spent."""


def read_channel(told: Mapping[str, Any]) -> OpenChannel:
    """A channel of LND's list; whatever is wrong with it is raised as it comes (see `reading`)."""
    names = (told["chan_id"], told["peer_scid_alias"], *told["alias_scids"], told["zero_conf_confirmed_scid"])
    return OpenChannel(
        peer=NodeId(bytes.fromhex(told["remote_pubkey"])),
        chan_id=str(told["chan_id"]),
        names=frozenset(str(name) for name in names),
        alias=int(told["peer_scid_alias"]),
        is_up=bool(told["active"]),
        is_private=bool(told["private"]),
        capacity=int(told["capacity"]),
        local=int(told["local_balance"]),
        remote=int(told["remote_balance"]),
        reserve=int(told["local_constraints"]["chan_reserve_sat"]),
    )


class Channels:
    """What one LND knows of channels."""

    def __init__(self, rest: LndRest) -> None:
        self._rest = rest
        self._edges: list[InboundEdge] = []
        self._asked_at: float | None = None

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        """Peers that may lead a blinded path to this LND, with the most to receive first.

        A peer is one if its channel is up, it can pay us through it, it tells its terms, and it says that it forwards
        in blinded routes.

        Raises:
            LndUnavailable: no answer.
        """
        if self._asked_at is None or time.monotonic() - self._asked_at > _KEPT_S:
            channels = [one for one in await self.open_channels() if one.is_up and one.remote]
            channels.sort(key=lambda one: one.remote, reverse=True)
            found = [await self._edge(one) for one in channels[:EDGES_MAX]]
            self._edges = [edge for edge in found if edge is not None]
            self._asked_at = time.monotonic()
        return list(self._edges)

    async def open_channels(self) -> list[OpenChannel]:
        """All open channels.

        Raises:
            LndUnavailable: no answer.
        """
        try:
            told = await self._rest.get("/v1/channels")
        except LndRefused as error:
            raise LndUnavailable(Trouble.NO_LND, f"LND does not list its channels: {error}") from error
        with reading("LND's list of channels"):
            return [read_channel(one) for one in told["channels"]]

    async def peer_of(self, channel: ShortChannelId) -> NodeId | None:
        """Who is at the other end of a channel of ours, named by any of its ids; None if it is none of ours.

        Raises:
            LndUnavailable: no answer.
        """
        return next((one.peer for one in await self.open_channels() if str(channel) in one.names), None)

    async def end_of(self, end: ChannelDirection) -> NodeId | None:
        """The node at one end of a channel, if the graph knows it.

        Raises:
            LndUnavailable: no answer.
        """
        edge = await self._edge_of_graph(str(end.channel))
        if edge is None:
            return None
        with reading("a channel of LND's graph"):
            return NodeId(bytes.fromhex(edge["node2_pub" if end.direction else "node1_pub"]))

    async def knows(self, node: NodeId) -> bool:
        """Whether the graph has a node.

        Raises:
            LndUnavailable: no answer.
        """
        return await self._node_of_graph(node) is not None

    async def route_fee_msat(self, to: NodeId, amount_msat: int) -> int | None:
        """The fee of the best route to a node, whatever it is; None if there is no route.

        Raises:
            LndUnavailable: no answer.
        """
        try:
            told = await self._rest.get(f"/v1/graph/routes/{to.hex()}/0", {"amt_msat": amount_msat})
        except LndRefused:
            return None
        with reading("LND's routes"):
            return min(int(route["total_fees_msat"]) for route in told["routes"])

    async def sendable_msat(self, peer: NodeId, *, in_parts: bool) -> int:
        """About how much can be sent to a peer directly, over its channels together or over the best of them.

        Raises:
            LndUnavailable: no answer.
        """
        ours = [one for one in await self.open_channels() if one.is_up and one.peer == peer]
        free = [max(one.local - one.reserve, 0) for one in ours]
        return (sum(free) if in_parts else max(free, default=0)) * MSAT_PER_SAT

    async def why_insufficient(self, amount_msat: int) -> FailureReason:
        """LND counts channels that are up. Where the others would have enough, it is the way that is missing.

        Raises:
            LndUnavailable: no answer.
        """
        up, down = 0, 0
        for channel in await self.open_channels():
            balance = channel.local * MSAT_PER_SAT
            up, down = (up + balance, down) if channel.is_up else (up, down + balance)
        return FailureReason.NO_ROUTE if up < amount_msat <= up + down else FailureReason.INSUFFICIENT_FUNDS

    async def _edge(self, channel: OpenChannel) -> InboundEdge | None:
        edge = await self._edge_of_graph(channel.chan_id)
        if edge is None:
            return None
        with reading("a channel of LND's graph"):
            policy = edge["node1_policy" if edge["node1_pub"] == channel.peer.hex() else "node2_policy"]
            if policy is None or policy["disabled"]:
                return None
            found = InboundEdge(
                channel.peer,
                # A peer forwards over a channel that is not announced only by the alias it gave us for it.
                channel.alias if channel.is_private and channel.alias else int(channel.chan_id),
                Msat(int(policy["fee_base_msat"])),
                int(policy["fee_rate_milli_msat"]),
                int(policy["time_lock_delta"]),
                Msat(int(policy["min_htlc"])),
                Msat(min(int(policy["max_htlc_msat"]), channel.capacity * MSAT_PER_SAT)),
            )
        return found if await self._blinds_routes(channel.peer) else None

    async def _edge_of_graph(self, channel: str) -> dict[str, Any] | None:
        try:
            return await self._rest.get(f"/v1/graph/edge/{channel}")
        except LndRefused as error:
            _LOG.debug("LND's graph has no channel %s: %s", channel, error)
            return None

    async def _blinds_routes(self, peer: NodeId) -> bool:
        """Whether a node says in its announcement that it forwards in blinded routes (feature 24 or 25)."""
        told = await self._node_of_graph(peer)
        with reading("a node of LND's graph"):
            return told is not None and any(bit in told["node"]["features"] for bit in _ROUTE_BLINDING)

    async def _node_of_graph(self, node: NodeId) -> dict[str, Any] | None:
        try:
            return await self._rest.get(f"/v1/graph/node/{node.hex()}")
        except LndRefused as error:
            _LOG.debug("LND's graph has no node %s: %s", node.hex(), error)
            return None
