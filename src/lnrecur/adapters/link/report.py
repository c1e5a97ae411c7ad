"""How things are with a peer, put together from its connection and from what is kept of it."""

from __future__ import annotations

from lnrecur.adapters.link.connection import Counters, PeerConnection
from lnrecur.adapters.link.keeping import Kept
from lnrecur.ports import PeerStatus
from lnrecur.values import NodeId


def status_of(node: NodeId, connection: PeerConnection | None, kept: Kept | None, now: float) -> PeerStatus:
    """One peer's status; `now` is the event loop's time."""
    counters = connection.counters if connection is not None else kept.counters if kept is not None else Counters()
    next_dial_at = kept.next_dial_at if kept is not None and connection is None else None
    return PeerStatus(
        node_id=node,
        address=None if kept is None else kept.address,
        where=None if connection is None else connection.where,
        outbound=None if connection is None else connection.outbound,
        connected_seconds=None if connection is None else now - connection.ready_at,
        next_dial_seconds=None if next_dial_at is None else max(0.0, next_dial_at - now),
        last_reason=None if kept is None else kept.last_reason,
        takes_onion_messages=connection is not None and connection.takes_onion_messages,
        received=counters.received,
        sent=counters.sent,
        dropped=counters.dropped,
    )
