"""Paths that begin at LND itself: what the payer's node does as a hop is done here before LND is asked to pay.

LND skips a blinded path whose introduction node it is and finds no route (lnd issue 9027). It is an everyday case: the
payer has a channel with the node that the payee's path begins at. LND does not give its key away, but it computes the
secret that it shares with the maker of the path (`DeriveSharedKey` of its signer). The same call could open onions that
pass through the node; whoever does not want to allow it leaves it out of the macaroon, and pays other paths only.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Final

from lnrecur.adapters.nodes.lnd.channels import Channels
from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble
from lnrecur.adapters.nodes.lnd.rest import LndRest
from lnrecur.crypto.errors import CryptoError
from lnrecur.onion.errors import OnionError
from lnrecur.onion.payment_entry import PaymentEntry, begin, take_off
from lnrecur.onion.payment_path import AggregatedTerms
from lnrecur.ports import NodeInfo, PaymentPath, Rejected
from lnrecur.values import Msat, NodeId, Point, ShortChannelId
from lnrecur.wire.blinded_path import ChannelDirection
from lnrecur.wire.errors import WireError

_OWN_HOPS_MAX: Final = 8


class Unusable(Rejected):
    """LND cannot walk this path; another of the invoice may do."""


class Entering:
    """Makes every path begin at a node that is not this LND."""

    def __init__(self, rest: LndRest, channels: Channels) -> None:
        self._rest = rest
        self._channels = channels

    async def from_outside(self, path: PaymentPath, delivered: Msat, info: NodeInfo) -> PaymentPath:
        """The path as LND can be handed it: beginning at a node id, and not at its own.

        Raises:
            Unusable: there is no such path; says why.
            LndUnavailable: no answer.
        """
        first = await self._node_at(path.path.first_node_id)
        if first != info.node_id:
            return replace(path, path=replace(path.path, first_node_id=Point(first)))
        terms = AggregatedTerms(
            path.fee_base_msat,
            path.fee_proportional_millionths,
            path.cltv_expiry_delta,
            path.htlc_minimum_msat,
            path.htlc_maximum_msat,
        )
        try:
            entry = begin(path.path, terms, delivered, info.block_height)
            for _ in range(_OWN_HOPS_MAX):
                entry = take_off(entry, await self._shared_secret(entry))
                node = await self._node_at(entry.next_node)
                if node != info.node_id:
                    rest, cost = entry.rest(node, delivered, info.block_height)
                    return PaymentPath(
                        rest,
                        cost.fee_base_msat,
                        cost.fee_proportional_millionths,
                        cost.cltv_expiry_delta,
                        cost.htlc_minimum_msat,
                        cost.htlc_maximum_msat,
                    )
        except (OnionError, WireError, CryptoError) as error:
            raise Unusable(f"the path begins at our LND, and {error}") from error
        raise Unusable("the path runs through our LND again and again")

    async def _shared_secret(self, entry: PaymentEntry) -> bytes:
        body = {"ephemeral_pubkey": base64.b64encode(entry.path_key).decode()}
        try:
            told = await self._rest.post("/v2/signer/sharedkey", body)
            return base64.b64decode(told["shared_key"], validate=True)
        except LndUnavailable as error:
            if error.trouble is not Trouble.NOT_PERMITTED:
                raise
            told_so = "the path begins at our LND, and its macaroon does not allow /signrpc.Signer/DeriveSharedKey"
            raise Unusable(told_so) from error
        except (LndRefused, KeyError, ValueError) as error:
            raise Unusable(f"the path begins at our LND, and it computes no shared key: {error}") from error

    async def _node_at(self, named: Point | NodeId | ShortChannelId | ChannelDirection) -> NodeId:
        if isinstance(named, bytes):
            return NodeId(named)
        if isinstance(named, ChannelDirection):
            found = await self._channels.end_of(named)
        else:
            found = await self._channels.peer_of(named)
        if found is None:
            raise Unusable(f"the path goes over a channel LND does not know: {named}")
        return found
