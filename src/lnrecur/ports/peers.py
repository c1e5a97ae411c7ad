"""Connections to other nodes, and ways to nodes that are no peers of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from lnrecur.errors import Fault, LnrecurError
from lnrecur.values import NodeId, ShortChannelId
from lnrecur.wire.messages import OnionMessage


class LinkError(LnrecurError):
    """A peer cannot be reached just now."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT
    retry: ClassVar[bool] = True


class PeerUnreachable(LinkError):
    """No connection to this peer and no way to make one; the text says what was tried."""


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a node listens: ID@HOST:PORT."""

    node_id: NodeId
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.node_id.hex()}@{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """How things are with one peer: connected, to be connected for good, or both. Times are seconds from now."""

    node_id: NodeId
    address: PeerAddress | None
    """Where it is dialled; None for a peer that is not kept."""
    where: str | None
    """The far end of the connection, HOST:PORT; None where there is none."""
    outbound: bool | None
    """Whether we dialled; None where there is no connection."""
    connected_seconds: float | None
    next_dial_seconds: float | None
    """When a kept peer is dialled again; None while it is connected or being dialled."""
    last_reason: str | None
    """Why a kept peer is not connected, or why it last was not."""
    takes_onion_messages: bool
    received: int
    """Onion messages that came from it, the dropped ones included."""
    sent: int
    dropped: int
    """Onion messages from it that were dropped: too fast, or too many at once."""


@dataclass(frozen=True, slots=True)
class LinkTotals:
    """What happened on all connections since the start."""

    received: int
    """Onion messages that came, the dropped ones included."""
    sent: int
    dropped: int
    refused: int
    """Connections from outside that got no place, or lost it to another one."""


OnionMessageHandler = Callable[[NodeId, OnionMessage], Awaitable[None]]
"""Called with the peer a message came from."""


PeerHandler = Callable[[NodeId], None]
"""Called with a peer that is connected from now on."""


class PeerLink(Protocol):
    """Connections to other nodes (BOLT 8 over TCP in production, a lossy table in tests)."""

    async def reach(self, address: PeerAddress) -> None:
        """Have a connection to this node, making one where there is none.

        Raises:
            PeerUnreachable: it could not be made.
        """
        ...

    async def send(self, peer: NodeId, message: OnionMessage) -> None:
        """Hand a message to a connected peer. It may still be lost: onion messages are not acknowledged.

        Raises:
            PeerUnreachable: there is no connection to this peer.
        """
        ...

    def peers(self) -> frozenset[NodeId]:
        """The peers that messages can be sent to now."""
        ...

    def on_message(self, handler: OnionMessageHandler) -> None:
        """Name the one handler of arriving onion messages."""
        ...

    def on_peer(self, handler: PeerHandler) -> None:
        """Name who is told of each peer that messages can be sent to from now on, at every new connection.

        The handler may send to it, later: it must neither wait nor raise.
        """
        ...


class MessageRouter(Protocol):
    """Finds a way for a message to a node that may be no peer of ours."""

    def route(self, destination: NodeId, peers: frozenset[NodeId]) -> Sequence[NodeId] | None:
        """The nodes a message passes, from one of `peers` to `destination` (both included), or None."""
        ...

    def address(self, node: NodeId) -> PeerAddress | None:
        """Where a node can be dialled, if we know."""
        ...

    def channel_ends(self, channel: ShortChannelId) -> tuple[NodeId, NodeId] | None:
        """Both ends of a channel, the lesser node id first (BOLT 7's node_id_1), or None where it is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """A node under whose id we speak: it sends for us, and tells us what arrives on paths of ours."""

    node_id: NodeId
    introductions: Callable[[], Sequence[NodeId]]
    """Connected peers of it at which paths to us begin unless somebody chooses; empty: at the host itself."""
