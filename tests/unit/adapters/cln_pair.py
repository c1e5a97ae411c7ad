"""Two stand-ins for lightningd with a channel, a Core Lightning adapter on each, and one payment between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from helpers.lni import signed_invoice
from helpers.stand_in_lightningd import Hooks, Network, StandIn
from lnrecur.adapters.nodes.cln import ClnNode, ClnRpc, HeldPayments
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.payment_path import build_payment_path
from lnrecur.ports import PaymentPath, PayOrder, Receivable, ReceiveOrder
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, Msat, PaymentHash, Point, Preimage, UnixSeconds

NOW = 1_750_000_000
HOUR = 3600
PRICE = Msat(25_000)
PREIMAGE = Preimage(b"\x07" * 32)
HASH = PaymentHash(sha256(PREIMAGE))
BALANCE = 1_000_000

_T = TypeVar("_T")


async def eventually(look: Callable[[], Awaitable[_T]], wanted: Callable[[_T], bool], seconds: float = 10) -> _T:
    """Look until it is so."""
    end = asyncio.get_running_loop().time() + seconds
    while not wanted(found := await look()):
        assert asyncio.get_running_loop().time() < end, f"still {found}"
        await asyncio.sleep(0.005)
    return found


class Holding(Hooks):
    """What the plugin does with the hook of payments."""

    def __init__(self) -> None:
        self.held = HeldPayments()
        self.asked = 0

    async def call(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        if name != "invoice_payment":
            return {"result": "continue"}
        self.asked += 1
        payment = payload["payment"]
        amount = int(payment["msat"].removesuffix("msat"))
        return {"result": (await self.held.arrived(payment["label"], b"", amount)).value}


def receive_order(preimage: Preimage = PREIMAGE, **change: Any) -> ReceiveOrder:
    order = ReceiveOrder(preimage, PRICE, UnixSeconds(NOW + HOUR), "coffee", b"sealed")
    return replace(order, **change)


@dataclass
class Two:
    """l1 pays l2."""

    network: Network
    clock: VirtualClock
    l1: StandIn
    l2: StandIn
    payer: ClnNode
    payee: ClnNode
    hooks: Holding | None

    def order(self, receivable: Receivable, *, max_fee: int = 0, amount: Msat = PRICE) -> PayOrder:
        """A real invoice for a receivable, and the order to pay it."""
        path, terms = build_payment_path(
            PrivateKey(b"\x21" * 32),
            Point(bytes.fromhex(self.l2.id)),
            receivable.path_id,
            max_cltv=self.network.height + 1000,
            htlc_minimum=Msat(1),
            final_cltv_delta=receivable.final_cltv_delta,
        )
        payment_path = PaymentPath(
            path,
            terms.fee_base_msat,
            terms.fee_proportional_millionths,
            terms.cltv_expiry_delta,
            terms.htlc_minimum_msat,
            terms.htlc_maximum_msat,
        )
        order = PayOrder(
            receivable.payment_hash,
            amount,
            Msat(max_fee),
            (payment_path,),
            Point(bytes.fromhex(self.l2.id)),
            UnixSeconds(NOW + HOUR),
            b"",
        )
        return replace(order, invoice=signed_invoice(order, created_at=NOW))

    async def payable(self) -> PayOrder:
        return self.order(await self.payee.register(receive_order()))

    def again(self, node: StandIn, held: HeldPayments | None = None) -> ClnNode:
        """An adapter that knows nothing of what the first one did: the daemon was started again."""
        return ClnNode(ClnRpc(node.rpc_file), self.clock, chain=REGTEST, held=held)

    def xpays(self) -> int:
        """How often the payer's lightningd was asked to pay."""
        return sum(1 for method, _ in self.l1.calls if method == "xpay")


@asynccontextmanager
async def two(tmp_path: Path, *, holds: bool = False) -> AsyncIterator[Two]:
    """Both started; afterwards the money is all there, and neither has crashed."""
    clock, network = VirtualClock(NOW), Network(tmp_path / "network.sqlite")
    hooks = Holding() if holds else None
    l1 = StandIn(tmp_path / "l1", network.file, clock=clock.now)
    l2 = StandIn(tmp_path / "l2", network.file, clock=clock.now, hooks=hooks)
    network.open_channel(l1.id, l2.id, (BALANCE, BALANCE))
    for node in (l1, l2):
        await node.start()
    payer = ClnNode(ClnRpc(l1.rpc_file), clock, chain=REGTEST)
    payee = ClnNode(ClnRpc(l2.rpc_file), clock, chain=REGTEST, held=None if hooks is None else hooks.held)
    async with payer, payee:
        yield Two(network, clock, l1, l2, payer, payee, hooks)
    for node in (l1, l2):
        assert node.crashed is None
        await node.close()
    assert network.total() == 2 * BALANCE
    network.close()
