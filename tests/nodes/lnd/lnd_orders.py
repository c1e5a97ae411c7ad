"""Payments between the adapters of two real lnd nodes, made as the service makes them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from lnd_daemons import baked
from lnd_network import Lnd

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.nodes.lnd import LndAccess, LndNode
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.payment_path import RelayTerms, build_payment_path
from lnrecur.ports import InboundEdge, MoneyNode, PaymentPath, PayOrder, ReceivedState, ReceiveOrder, Sent, SentState
from lnrecur.values import REGTEST, Msat, Point, Preimage, ShortChannelId, UnixSeconds

PRICE = Msat(2_000_000)
ENTROPY = SystemEntropy()


def access(lnd: Lnd, **changes: Any) -> LndAccess:
    return replace(LndAccess(lnd.url, baked(lnd), lnd.certificate), **changes)


def adapter(lnd: Lnd, **extra: Any) -> LndNode:
    return LndNode(access(lnd), SystemClock(), chain=REGTEST, **extra)


async def payable(
    payee: MoneyNode, amount: Msat = PRICE, edges: list[InboundEdge] | None = None
) -> tuple[ReceiveOrder, PayOrder]:
    """Something the payee awaits, over paths that begin at its peers, each as the service makes it."""
    expires_at = UnixSeconds(int(time.time()) + 3600)
    order = ReceiveOrder(Preimage(ENTROPY.take(32)), amount, expires_at, "a thing", b"sealed")
    receivable, info = await payee.register(order), await payee.info()
    found = list(await payee.inbound_edges()) if edges is None else edges
    paths = []
    for edge in found or [None]:
        hops = [] if edge is None else [
            RelayTerms(edge.peer, ShortChannelId(edge.short_channel_id), edge.fee_base_msat,
                       edge.fee_proportional_millionths, edge.cltv_expiry_delta, edge.htlc_minimum_msat,
                       edge.htlc_maximum_msat)
        ]  # fmt: skip
        path, terms = build_payment_path(
            PrivateKey(ENTROPY.take(32)), info.node_id, receivable.path_id, hops,
            max_cltv=info.block_height + 1200, htlc_minimum=Msat(1), final_cltv_delta=receivable.final_cltv_delta,
        )  # fmt: skip
        paths.append(
            PaymentPath(path, terms.fee_base_msat, terms.fee_proportional_millionths, terms.cltv_expiry_delta,
                        terms.htlc_minimum_msat, terms.htlc_maximum_msat)
        )  # fmt: skip
    payment = PayOrder(
        receivable.payment_hash, amount, Msat(20_000), tuple(paths), Point(info.node_id), expires_at, b"", "a thing",
        may_split=receivable.takes_parts,
    )  # fmt: skip
    return order, payment


async def until(payee: MoneyNode, payment: PayOrder, state: ReceivedState) -> Msat:
    async with asyncio.timeout(60):
        while (received := await payee.received(payment.payment_hash)).state is not state:
            await asyncio.sleep(0.02)
    return received.amount_msat


async def ended(payer: MoneyNode, payment: PayOrder) -> Sent:
    async with asyncio.timeout(120):
        return await payer.follow(payment.payment_hash)


async def pay_through(payer: MoneyNode, payee: MoneyNode, amount: Msat) -> None:
    """Pay and claim, such as to give back what a test has moved."""
    order, payment = await payable(payee, amount)
    await payer.pay(replace(payment, max_fee_msat=Msat(100_000)))
    await until(payee, payment, ReceivedState.CLAIMABLE)
    await payee.claim(order.preimage)
    assert (await ended(payer, payment)).state is SentState.SUCCEEDED
