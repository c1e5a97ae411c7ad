"""A scripted node over a real (in-memory) one: each trouble, and what it leaves behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.onion.payment_path import build_payment_path
from lnrecur.ports import (
    FailureReason,
    PaymentPath,
    PayOrder,
    ReceivedState,
    ReceiveOrder,
    Rejected,
    Sent,
    SentState,
    Unavailable,
)
from lnrecur.testing.memory_node import MemoryLedger, MemoryMoneyNode
from lnrecur.testing.scripted_node import ScriptedNode
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import ZERO_MSAT, Msat, PaymentHash, Preimage, UnixSeconds

NOW = 1_750_000_000
PRICE = Msat(1000)
PREIMAGE = Preimage(b"\x05" * 32)
HASH = PaymentHash(sha256(PREIMAGE))
ORDER = ReceiveOrder(PREIMAGE, PRICE, UnixSeconds(NOW + 3600), "coffee", b"context")


@dataclass
class Stage:
    payer: ScriptedNode
    payee: ScriptedNode
    clock: VirtualClock
    order: PayOrder


@pytest.fixture
async def stage() -> Stage:
    ledger, clock = MemoryLedger(), VirtualClock(NOW)
    keys = [PrivateKey(bytes(31) + bytes((number,))) for number in (1, 2, 3)]
    payer, payee = (ScriptedNode(MemoryMoneyNode(ledger, key, clock), clock) for key in keys[:2])
    receivable = await payee.inner.register(ORDER)
    path, terms = build_payment_path(
        keys[2], keys[1].point, receivable.path_id, max_cltv=10**7, htlc_minimum=Msat(1), final_cltv_delta=18
    )
    payment_path = PaymentPath(path, ZERO_MSAT, 0, terms.cltv_expiry_delta, Msat(1), terms.htlc_maximum_msat)
    order = PayOrder(HASH, PRICE, ZERO_MSAT, (payment_path,), keys[1].point, UnixSeconds(NOW + 3600), b"lni")
    return Stage(payer, payee, clock, order)


async def test_ordered_failures_come_as_often_as_ordered_and_move_no_money(stage: Stage) -> None:
    stage.payer.fail_next_payments(2, reason=FailureReason.NO_ROUTE, retryable=True)
    for _ in range(2):
        await stage.payer.pay(stage.order)
        assert await stage.payer.sent(HASH) == Sent(SentState.FAILED, reason=FailureReason.NO_ROUTE, retryable=True)
        assert (await stage.payer.inner.sent(HASH)).state is SentState.UNKNOWN
    await stage.payer.pay(stage.order)
    assert (await stage.payer.sent(HASH)).state is SentState.PENDING


async def test_an_ordered_failure_does_not_hit_a_payment_already_in_flight(stage: Stage) -> None:
    await stage.payer.pay(stage.order)
    stage.payer.fail_next_payments()
    await stage.payer.pay(stage.order)
    assert (await stage.payer.sent(HASH)).state is SentState.PENDING


async def test_a_refused_call_does_not_reach_the_node(stage: Stage) -> None:
    stage.payer.refuse("pay")
    with pytest.raises(Rejected):
        await stage.payer.pay(stage.order)
    assert (await stage.payer.sent(HASH)).state is SentState.UNKNOWN
    await stage.payer.pay(stage.order)
    assert (await stage.payer.sent(HASH)).state is SentState.PENDING


async def test_a_call_lost_before_it_acted_leaves_nothing(stage: Stage) -> None:
    stage.payer.be_unavailable("pay")
    with pytest.raises(Unavailable):
        await stage.payer.pay(stage.order)
    assert (await stage.payer.sent(HASH)).state is SentState.UNKNOWN


async def test_an_answer_lost_after_acting_leaves_the_payment(stage: Stage) -> None:
    stage.payer.be_unavailable("pay", after_acting=True)
    with pytest.raises(Unavailable):
        await stage.payer.pay(stage.order)
    assert (await stage.payer.sent(HASH)).state is SentState.PENDING


async def test_trouble_for_any_call_hits_the_next_one_whatever_it_is(stage: Stage) -> None:
    stage.payee.be_unavailable(times=2)
    with pytest.raises(Unavailable):
        await stage.payee.received(HASH)
    with pytest.raises(Unavailable):
        await stage.payee.info()
    assert (await stage.payee.received(HASH)).state is ReceivedState.OPEN


async def test_a_lost_answer_of_claim_is_found_out_by_asking(stage: Stage) -> None:
    await stage.payer.pay(stage.order)
    stage.payee.be_unavailable("claim", after_acting=True)
    with pytest.raises(Unavailable):
        await stage.payee.claim(PREIMAGE)
    assert (await stage.payee.received(HASH)).state is ReceivedState.CLAIMED


async def test_what_hangs_acts_when_released(stage: Stage) -> None:
    stage.payer.hang("pay")
    paying = asyncio.ensure_future(stage.payer.pay(stage.order))
    await asyncio.sleep(0.01)
    assert not paying.done()
    assert (await stage.payer.sent(HASH)).state is SentState.UNKNOWN
    stage.payer.release()
    await paying
    assert (await stage.payer.sent(HASH)).state is SentState.PENDING


async def test_receipts_can_hang(stage: Stage) -> None:
    stage.payee.hang("receipts")
    waiting = asyncio.ensure_future(anext(stage.payee.receipts(None)))
    await stage.payer.pay(stage.order)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    stage.payee.release("receipts")
    assert (await waiting).state is ReceivedState.CLAIMABLE


async def test_receipts_come_late_by_the_clock(stage: Stage) -> None:
    stage.payee.delay_receipts(60)
    waiting = asyncio.ensure_future(anext(stage.payee.receipts(None)))
    await stage.payer.pay(stage.order)
    await asyncio.sleep(0.01)
    stage.clock.advance(59)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    stage.clock.advance(1)
    assert (await waiting).state is ReceivedState.CLAIMABLE


async def test_receipts_can_be_told_twice(stage: Stage) -> None:
    stage.payee.repeat_receipts()
    await stage.payer.pay(stage.order)
    await stage.payee.claim(PREIMAGE)
    stream = stage.payee.receipts(None)
    told = [await anext(stream) for _ in range(4)]
    assert [receipt.state for receipt in told] == [ReceivedState.CLAIMABLE] * 2 + [ReceivedState.CLAIMED] * 2
    assert told[0] == told[1]


def test_without_a_clock_nothing_can_be_late() -> None:
    key, clock = PrivateKey(bytes(31) + b"\x01"), VirtualClock(NOW)
    with pytest.raises(UsageError):
        ScriptedNode(MemoryMoneyNode(MemoryLedger(), key, clock)).delay_receipts(1)


async def test_calls_are_counted_with_the_troubled_ones(stage: Stage) -> None:
    stage.payer.refuse("pay")
    with pytest.raises(Rejected):
        await stage.payer.pay(stage.order)
    await stage.payer.pay(stage.order)
    await stage.payer.sent(HASH)
    assert (stage.payer.calls["pay"], stage.payer.calls["sent"], stage.payer.calls["claim"]) == (2, 1, 0)


def test_one_key_joins_a_ledger_once() -> None:
    ledger, key, clock = MemoryLedger(), PrivateKey(bytes(31) + b"\x01"), VirtualClock(NOW)
    MemoryMoneyNode(ledger, key, clock)
    with pytest.raises(UsageError):
        MemoryMoneyNode(ledger, key, clock)
