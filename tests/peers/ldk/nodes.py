"""Two LDK nodes, and the channel between them that stands on no chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from peers.ldk.sidecar import LdkSidecar

START: Final = 1_767_225_600
"""2026-01-01 00:00:00 UTC: when the nodes' own time begins."""
CHANNEL_SAT: Final = 10_000_000
PUSH_MSAT: Final = 4_000_000_000


@dataclass
class LdkNodes:
    """`payer` and `payee` by the side they play most; both have money and both can do either."""

    payer: LdkSidecar
    payee: LdkSidecar


async def open_channel(funder: LdkSidecar, other: LdkSidecar) -> None:
    """Connect two nodes, and give them a channel over a funding transaction that is on no chain."""
    await funder.call("connect", node_id=other.node_id.hex(), host="127.0.0.1", port=other.port)
    await connected(funder, other.node_id)
    marks = funder.mark(), other.mark()
    funding = await funder.call("open_channel", node_id=other.node_id.hex(), satoshis=CHANNEL_SAT, push_msat=PUSH_MSAT)
    sides = list(zip((funder, other), marks, strict=True))
    for node, mark in sides:
        await node.event(mark, "channel_pending")
    for node, _ in sides:
        await node.call("blocks", count=6, transactions=[funding])
    for node, mark in sides:
        await node.event(mark, "channel_ready")


async def connected(node: LdkSidecar, peer: bytes) -> None:
    await node.until("peers", lambda peers: peer.hex() in peers)
