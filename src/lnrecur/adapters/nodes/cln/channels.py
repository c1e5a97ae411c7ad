"""lightningd's channels: where a payment path to us may begin, and what can be paid."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lnrecur.adapters.nodes.cln.errors import ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.rpc import ClnRpc
from lnrecur.ports import InboundEdge
from lnrecur.values import Msat, NodeId, ShortChannelId

_LOG = logging.getLogger("lnrecur.cln")
NORMAL: Final = "CHANNELD_NORMAL"
_ALSO_NORMAL: Final = "CHANNELD_AWAITING_SPLICE"
ROUTE_BLINDING: Final = 24
ONION_MESSAGES: Final = 38
EDGES_MAX: Final = 8
"""More are not told, those with the most to receive first."""
_KEPT_S: Final = 10.0
"""How long the edges are taken for true: each time costs two questions."""


class Channels:
    """What one lightningd says of its channels."""

    def __init__(self, rpc: ClnRpc) -> None:
        self._rpc = rpc
        self._edges: list[InboundEdge] = []
        self._asked_at: float | None = None

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        """Peers that may lead a blinded path to this node, with the most to receive first.

        A peer is one if its channel is up, it can pay us through it, it has told its terms, and it says that it
        forwards in blinded routes.

        Raises:
            ClnUnavailable: no answer.
        """
        if self._asked_at is None or time.monotonic() - self._asked_at > _KEPT_S:
            blinding = {peer for peer, features in (await self.peers()).items() if has(features, ROUTE_BLINDING)}
            usable = [one for one in await self.normal() if is_up(one) and msat(one, "receivable_msat")]
            usable.sort(key=lambda one: msat(one, "receivable_msat"), reverse=True)
            found = [_edge(one) for one in usable if one.get("peer_id") in blinding]
            self._edges = [edge for edge in found if edge is not None][:EDGES_MAX]
            self._asked_at = time.monotonic()
        return list(self._edges)

    async def lacks(self, amount: Msat) -> bool:
        """Whether all channels together, up or not, hold less than this to spend.

        Raises:
            ClnUnavailable: no answer.
        """
        return sum(msat(one, "spendable_msat") for one in await self.normal()) < amount

    async def normal(self) -> list[Mapping[str, Any]]:
        """The channels that are open, as lightningd lists them.

        Raises:
            ClnUnavailable: no answer.
        """
        listed = await self._ask("listpeerchannels", "channels")
        return [one for one in listed if one.get("state") in (NORMAL, _ALSO_NORMAL)]

    async def peers(self) -> dict[str, str]:
        """The connected peers, with the features of their `init`, in hex.

        Raises:
            ClnUnavailable: no answer.
        """
        listed = await self._ask("listpeers", "peers")
        return {str(one.get("id")): str(one.get("features", "")) for one in listed if one.get("connected")}

    async def _ask(self, method: str, key: str) -> list[Mapping[str, Any]]:
        try:
            told: list[Mapping[str, Any]] = (await self._rpc.call(method))[key]
        except (ClnRefused, KeyError) as error:
            raise ClnUnavailable(Trouble.NO_CLN, f"Core Lightning does not answer {method}: {error}") from error
        return told


def is_up(channel: Mapping[str, Any]) -> bool:
    """Whether its peer is there."""
    return bool(channel.get("peer_connected")) and channel.get("reestablished") is not False


def msat(channel: Mapping[str, Any], key: str) -> int:
    """An amount of lightningd's: a number, or a text that ends in msat (up to v23)."""
    told = str(channel.get(key, 0)).removesuffix("msat")
    return int(told) if told.isascii() and told.isdecimal() else 0


def has(features: str, bit: int) -> bool:
    """Whether a bit, or its odd twin, stands in a bitmap in hex."""
    try:
        return bool(int(features or "0", 16) >> bit & 3)
    except ValueError:
        return False


def parse_scid(text: str) -> ShortChannelId:
    """BLOCKxTXxOUTPUT as a number.

    Raises:
        ValueError: it is not that.
    """
    block, transaction, output = (int(part) for part in text.split("x"))
    return ShortChannelId(block << 40 | transaction << 16 | output)


def _coarse(amount: int) -> int:
    """The greatest power of two that is not more: payers read it in invoices, and balances are nobody's business."""
    return 1 << amount.bit_length() - 1 if amount else 0


def _edge(channel: Mapping[str, Any]) -> InboundEdge | None:
    """The peer's terms for forwarding to us; None where it has not told them yet."""
    remote = channel.get("updates", {}).get("remote")
    # A peer forwards over a channel that is not announced only by the alias that it gave us for it.
    alias = channel.get("alias", {}).get("remote") if channel.get("private") else None
    try:
        if remote is None:
            return None
        return InboundEdge(
            NodeId(bytes.fromhex(channel["peer_id"])),
            parse_scid(alias or channel["short_channel_id"]),
            Msat(msat(remote, "fee_base_msat")),
            int(remote["fee_proportional_millionths"]),
            int(remote["cltv_expiry_delta"]),
            Msat(msat(remote, "htlc_minimum_msat")),
            Msat(min(msat(remote, "htlc_maximum_msat"), _coarse(msat(channel, "receivable_msat")))),
        )
    except (KeyError, TypeError, ValueError) as error:
        _LOG.warning("a channel of Core Lightning's cannot be read: %r", error)
        return None
