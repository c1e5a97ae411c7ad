"""The other daemon of a machine, for test_playmoney.py: a process with a play-money node that can be killed.

playmoney_child.py pay FILE          pay the order that comes in on stdin, wait, say how it went
playmoney_child.py hold FILE         say what it awaits, wait until that is claimable, say so, hang
playmoney_child.py churn FILE SEED   move money back and forth for ever, saying so each time
"""

from __future__ import annotations

import asyncio
import pickle
import sys

from lnrecur.adapters.nodes.playmoney import PlayMoneyNode
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.payment_path import build_payment_path
from lnrecur.ports import PaymentPath, PayOrder, Receivable, ReceivedState, ReceiveOrder, SentState
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import ZERO_MSAT, Msat, Preimage, UnixSeconds

NOW = 1_750_000_000
PRICE = Msat(25_000)
PAYER, PAYEE = PrivateKey(bytes(31) + b"\x01"), PrivateKey(bytes(31) + b"\x02")


def node(path: str, key: PrivateKey) -> PlayMoneyNode:
    return PlayMoneyNode(path, key, VirtualClock(NOW), poll_seconds=0.002)


def receive_order(preimage: bytes) -> ReceiveOrder:
    return ReceiveOrder(Preimage(preimage), PRICE, UnixSeconds(NOW + 3600), "coffee", b"context")


def pay_order(receivable: Receivable, payee: PrivateKey = PAYEE) -> PayOrder:
    path, terms = build_payment_path(
        PrivateKey(receivable.payment_hash),
        payee.point,
        receivable.path_id,
        max_cltv=10_000_000,
        htlc_minimum=Msat(1),
        final_cltv_delta=receivable.final_cltv_delta,
    )
    payment_path = PaymentPath(path, ZERO_MSAT, 0, terms.cltv_expiry_delta, Msat(1), terms.htlc_maximum_msat)
    return PayOrder(
        receivable.payment_hash, PRICE, ZERO_MSAT, (payment_path,), payee.point, UnixSeconds(NOW + 3600), b"lni"
    )


def say(word: str) -> None:
    print(word, flush=True)


async def pay(path: str) -> None:
    order: PayOrder = pickle.loads(sys.stdin.buffer.read())
    payer = node(path, PAYER)
    await payer.pay(order)
    say("pending")
    while (sent := await payer.sent(order.payment_hash)).state is SentState.PENDING:
        await asyncio.sleep(0.002)
    say(f"{sent.state} {'' if sent.preimage is None else sent.preimage.hex()}")
    payer.close()


async def hold(path: str) -> None:
    payee = node(path, PAYEE)
    await payee.register(receive_order(b"\x11" * 32))
    say("registered")
    async for receipt in payee.receipts(None):
        assert receipt.state is ReceivedState.CLAIMABLE
        say("claimable")


async def churn(path: str, seed: int) -> None:
    entropy, nodes = SeededEntropy(seed), [(node(path, key), key) for key in (PAYER, PAYEE)]
    while True:
        (payer, _), (payee, payee_key) = nodes
        order = receive_order(entropy.take(32))
        receivable = await payee.register(order)
        await payer.pay(pay_order(receivable, payee_key))
        assert (await payee.received(receivable.payment_hash)).state is ReceivedState.CLAIMABLE
        if entropy.take(1)[0] % 3:
            await payee.claim(order.preimage)
        else:
            assert await payee.cancel(receivable.payment_hash)
        say("moved")
        nodes.reverse()


if __name__ == "__main__":
    command, file, *rest = sys.argv[1:]
    asyncio.run({"pay": pay, "hold": hold, "churn": churn}[command](file, *map(int, rest)))
