"""Pay an invoice of a stand-in lightningd without xpay: an HTLC over a channel, with a blinded path of one hop."""

from __future__ import annotations

import os
from typing import Any

from helpers.stand_in_lightningd import Network, StandIn
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.payment_path import build_payment_path
from lnrecur.values import Msat, Point


async def pay_by_hand(
    network: Network, payer: StandIn, payee: StandIn, scid: str, invoice: dict[str, Any], amount: int
) -> int:
    """Send it; the number of the HTLC. `invoice` is what `invoice` answered."""
    path, _ = build_payment_path(
        PrivateKey(os.urandom(32)),
        Point(bytes.fromhex(payee.id)),
        bytes.fromhex(invoice["payment_secret"]),
        max_cltv=network.height + 1000,
        htlc_minimum=Msat(1),
        final_cltv_delta=18,
    )
    onion = {
        "plain": [],
        "path_key": path.first_path_key.hex(),
        "blinded": [hop.encrypted_recipient_data.hex() for hop in path.hops],
    }
    with network.transaction():
        htlc = network.offer_htlc(scid, payer.id, invoice["payment_hash"], amount, network.height + 40, onion, None)
    assert htlc is not None
    return htlc
