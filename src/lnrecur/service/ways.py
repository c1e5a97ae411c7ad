"""The ways to a destination that is reachable over peers, addresses and routes, best first.

A way leads to the destination's entry: the node itself, or the introduction of a blinded path. In order of promise:

    CONNECTED   the entry is a peer of ours
    DIALLED     an address of the entry is known
    THROUGH     a person named a node that knows the way, and its address
    ROUTED      a route of onion-message nodes begins at a peer of ours; up to three, from different peers
    RETURNED    it is an answer, and whoever brought the question may be connected to the entry

That there is a way does not mean that an answer comes along it: a peer may be dead, or pass nothing on. So whoever asks
again starts with the next way (`in_turn`), and the first choice is spread over ways of equal promise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import Final

from lnrecur.crypto.hashes import sha256
from lnrecur.messaging.errors import MessagingError
from lnrecur.messaging.messenger import Destination, Entry, IntroductionUnresolved, Messenger
from lnrecur.ports import MessageRouter, PeerAddress, PeerLink, PeerUnreachable
from lnrecur.values import NodeId, ShortChannelId
from lnrecur.wire.blinded_path import ChannelDirection

ROUTES_MAX: Final = 3
"""Routes to one entry that are tried in turn."""


class Promise(IntEnum):
    """How likely a way is to work; less is better."""

    CONNECTED = 0
    DIALLED = 1
    THROUGH = 2
    ROUTED = 3
    RETURNED = 4


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a destination."""

    destination: Destination
    channels: dict[ChannelDirection | ShortChannelId, NodeId]
    """What had to be looked up to follow the destination's path."""
    entry: Entry
    promise: Promise
    via: tuple[NodeId, ...] = ()
    """The nodes before the entry; empty where it is handed the message itself."""
    address: PeerAddress | None = None
    """Must be dialled first."""

    @property
    def first_hop(self) -> NodeId:
        """The peer that is handed the message."""
        return self.via[0] if self.via else self.entry.node_id

    def back(self) -> tuple[NodeId, ...]:
        """The nodes an answer comes back over, for a reply path of ours: this way in reverse, from the entry.

        Who answers stands behind the entry, or is it: so the reply path begins at a neighbour of theirs, and nobody has
        to look for a way to us.
        """
        nodes = self.via if self.entry.is_last else (*self.via, self.entry.node_id)
        return nodes[::-1]


class WayFinder:
    """Finds ways with what peers, settings and graphs say."""

    def __init__(self, messenger: Messenger, link: PeerLink, router: MessageRouter) -> None:
        self._messenger = messenger
        self._link = link
        self._router = router

    def ways(
        self,
        destination: Destination,
        addresses: Sequence[PeerAddress] = (),
        *,
        over: NodeId | None = None,
        asked_by: NodeId | None = None,
    ) -> list[Way]:
        """All ways to a destination, best first.

        Args:
            destination: a node or a path.
            addresses: may be dialled to get there.
            over: the peer that every way shall begin at, where only one will do.
            asked_by: the peer that brought the question, where an answer is sent.

        Raises:
            PeerUnreachable: there is none; the text says why.
        """
        entry, channels = self._entry(destination)
        node, peers = entry.node_id, self._link.peers()
        if over is not None:
            peers &= {over}
        if node in peers:
            return [Way(destination, channels, entry, Promise.CONNECTED)]
        known = self._router.address(node)
        found: list[Way] = []
        for address in dict.fromkeys((*addresses, *(() if known is None else (known,)))):
            if address.node_id == node:
                found.append(Way(destination, channels, entry, Promise.DIALLED, address=address))
            elif address.node_id != self._messenger.node_id:
                found.append(Way(destination, channels, entry, Promise.THROUGH, (address.node_id,), address))
        for route in self._routes(node, peers):
            found.append(Way(destination, channels, entry, Promise.ROUTED, tuple(route[:-1])))
        known_asker = asked_by in peers and asked_by != self._messenger.node_id  # a host does not say who brought it
        if asked_by is not None and known_asker and all(way.via != (asked_by,) for way in found):
            found.append(Way(destination, channels, entry, Promise.RETURNED, (asked_by,)))
        if over is not None:
            found = [way for way in found if way.first_hop == over]
        if not found:
            told = "it is no peer of ours, and neither an address of it nor a route to it is known"
            raise PeerUnreachable(f"no way to {node.hex()}: {told}")
        return sorted(found, key=lambda way: way.promise)

    def _routes(self, node: NodeId, peers: frozenset[NodeId]) -> list[Sequence[NodeId]]:
        """Routes that begin at different peers, the shortest first: a node on one of them may be dead."""
        routes: list[Sequence[NodeId]] = []
        while len(routes) < ROUTES_MAX and (route := self._router.route(node, peers)) is not None:
            if self._messenger.node_id not in route:  # we are no relay for ourselves
                routes.append(route)
            peers -= {route[0]}
        return routes

    async def open(self, way: Way) -> None:
        """Dial what has to be dialled.

        Raises:
            PeerUnreachable: nobody answers there, or the node that does takes no onion messages.
        """
        if way.address is None:
            return
        try:
            await self._link.reach(way.address)
        except PeerUnreachable as error:
            raise PeerUnreachable(f"no way to {way.entry.node_id.hex()}: {error}") from error
        if way.address.node_id not in self._link.peers():
            told = f"{way.address.node_id.hex()} is connected, but takes no onion messages from us"
            raise PeerUnreachable(f"no way to {way.entry.node_id.hex()}: {told}")

    def next_node(self, named: NodeId | ShortChannelId) -> NodeId | None:
        """The node that a path goes on to from here; None where it is a channel that is unknown or not ours."""
        return self._other_end(named) if isinstance(named, int) else named

    def _entry(self, destination: Destination) -> tuple[Entry, dict[ChannelDirection | ShortChannelId, NodeId]]:
        channels: dict[ChannelDirection | ShortChannelId, NodeId] = {}
        while True:
            try:
                return self._messenger.entry(destination, channels), channels
            except IntroductionUnresolved as unresolved:
                node = self._resolve(unresolved.channel)
                if node is None:
                    raise PeerUnreachable(f"{unresolved}, and whose that is, is not known here") from unresolved
                channels[unresolved.channel] = node
            except MessagingError as error:
                raise PeerUnreachable(f"no message can be sent there: {error}") from error

    def _resolve(self, channel: ChannelDirection | ShortChannelId) -> NodeId | None:
        if not isinstance(channel, ChannelDirection):
            return self._other_end(channel)
        ends = self._router.channel_ends(channel.channel)
        return None if ends is None else ends[channel.direction]

    def _other_end(self, channel: ShortChannelId) -> NodeId | None:
        ends = self._router.channel_ends(channel)
        if ends is None or self._messenger.node_id not in ends:
            return None
        return ends[0] if ends[1] == self._messenger.node_id else ends[1]


def in_turn(ways: Sequence[Way], conversation: bytes, attempt: int) -> list[Way]:
    """The order in which attempt number `attempt` (1 for the first) tries these ways.

    Each conversation begins at another one of the best ways, so that they spread over several introduction peers, and
    each attempt begins one further than the one before it. The same arguments give the same order, after a restart too.
    """
    spread = int.from_bytes(sha256(conversation)[:4], "big")
    ordered: list[Way] = []
    for _, group in groupby(sorted(ways, key=lambda way: way.promise), key=lambda way: way.promise):
        ordered += _rotated(list(group), spread)
    return _rotated(ordered, attempt - 1)


def _rotated(ways: list[Way], turns: int) -> list[Way]:
    at = turns % len(ways) if ways else 0
    return ways[at:] + ways[:at]
