"""The contract of `MoneyNode`, on two real lnd nodes that have a channel: B pays C.

Tests that wind a clock forward or count receipts from the beginning of a node cannot run here; each says why. What
they are about is tested below in a way that real nodes allow, or in tests/unit/adapters.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from lnd_network import CHANNEL_SAT, Lnd, Network

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
pytest.register_assert_rewrite("money_node")

from money_node import PRICE, MoneyNodeContract, Pair  # noqa: E402

from lnrecur.adapters.entropy import SystemEntropy  # noqa: E402
from lnrecur.adapters.nodes.lnd import LndAccess, LndNode  # noqa: E402
from lnrecur.crypto.hashes import sha256  # noqa: E402
from lnrecur.crypto.keys import PrivateKey  # noqa: E402
from lnrecur.errors import UsageError  # noqa: E402
from lnrecur.ports import FailureReason, ReceivedState, Rejected, SentState  # noqa: E402
from lnrecur.values import REGTEST, ZERO_MSAT, Msat, Point, UnixSeconds  # noqa: E402

pytestmark = pytest.mark.slow
PATIENCE_SECONDS = 60


@dataclass
class RealClock:
    """The machine's clock, which nobody winds forward."""

    def now(self) -> UnixSeconds:
        return UnixSeconds(int(time.time()))

    def advance(self, seconds: int) -> None:
        pytest.skip("real nodes live in real time")


def adapter(lnd: Lnd, **extra: Any) -> LndNode:
    access = LndAccess(lnd.url, lnd.macaroon, lnd.certificate)
    return LndNode(access, RealClock(), chain=REGTEST, **extra)


class TestLndNode(MoneyNodeContract):
    @pytest.fixture
    async def pair(self, network: Network, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
        monkeypatch.setattr("money_node.PATIENCE_SECONDS", PATIENCE_SECONDS)
        payer, payee = network["B"], network["C"]

        async def balances() -> tuple[Msat, Msat]:
            """Once they have come to rest: a settled HTLC leaves the channel a moment after the payment succeeded."""
            before = None
            while (now := (payer.balance_msat(), payee.balance_msat(), payer.in_flight())) != before:
                before = now
                await asyncio.sleep(0.15)
            return Msat(now[0]), Msat(now[1])

        async with adapter(payer) as b, adapter(payee) as c:
            yield Pair(b, c, RealClock(), balances, SystemEntropy())
        payee.cancel_all_invoices()

    # --- where lnd differs

    async def test_the_same_receive_order_again_is_the_same_receivable(self, pair: Pair) -> None:
        """lnd wants 80 blocks, and 3 for those that come while the payment is on its way."""
        order = pair.receive_order()
        first = await pair.payee.register(order)
        assert await pair.payee.register(order) == first
        assert first.payment_hash == sha256(order.preimage)
        assert len(first.path_id) == 32
        assert first.final_cltv_delta == 83

    async def test_a_preimage_of_one_node_is_not_registered_by_another(self, pair: Pair) -> None:
        pytest.skip("two lnd nodes know nothing of each other's invoices")

    @pytest.mark.parametrize("amount", [PRICE - 1])
    async def test_a_wrong_amount_is_refused(self, pair: Pair, amount: Msat) -> None:
        await super().test_a_wrong_amount_is_refused(pair, amount)

    @pytest.mark.parametrize("amount", [PRICE, 2 * PRICE, 2 * PRICE + 1])
    async def test_up_to_twice_the_amount_is_taken_and_told(self, pair: Pair, amount: Msat) -> None:
        """lnd takes even more than that."""
        await super().test_up_to_twice_the_amount_is_taken_and_told(pair, amount)

    async def test_a_changed_path_key_is_refused(self, pair: Pair) -> None:
        _, receivable, payment = await pair.payable()
        path = payment.paths[0]
        changed = replace(path, path=replace(path.path, first_path_key=PrivateKey(bytes(31) + b"\x09").point))
        await pair.refused(pair.pay_order(receivable.payment_hash, changed))
        no_point = replace(path, path=replace(path.path, first_path_key=Point(b"\x05" + bytes(32))))
        with pytest.raises(Rejected, match="LND does not pay this"):
            await pair.payer.pay(pair.pay_order(receivable.payment_hash, no_point))

    async def test_nobody_pays_what_they_do_not_have(self, pair: Pair) -> None:
        _, _, payment = await pair.payable(Msat(CHANNEL_SAT * 2000))
        failed = await pair.not_started(payment, FailureReason.INSUFFICIENT_FUNDS)
        assert failed.retryable

    async def test_the_last_millisatoshi_can_be_spent(self, pair: Pair) -> None:
        pytest.skip("a channel keeps a reserve")

    async def test_there_is_no_route_to_a_stranger(self, pair: Pair) -> None:
        _, _, payment = await pair.payable()
        path = payment.paths[0]
        stranger = PrivateKey(bytes(31) + b"\x0b").point
        unknown = replace(path, path=replace(path.path, first_node_id=stranger))
        await pair.not_started(replace(payment, paths=(unknown,)), FailureReason.NO_ROUTE)
        with pytest.raises(Rejected, match="no path to pay by"):
            await pair.payer.pay(replace(payment, paths=()))

    @pytest.mark.parametrize("limits", [{}])
    async def test_an_amount_outside_the_limits_of_the_path_is_not_sent(
        self, pair: Pair, limits: dict[str, object]
    ) -> None:
        pytest.skip("lnd looks at no terms of a path of one hop; over two hops see test_lnd_money.py")

    async def test_a_fee_beyond_the_limit_is_not_paid(self, pair: Pair) -> None:
        pytest.skip("lnd looks at no terms of a path of one hop; over two hops see test_lnd_money.py")

    async def test_a_failed_payment_is_tried_anew_and_succeeds_once(self, pair: Pair) -> None:
        payer_before, payee_before = await pair.balances()
        order, _, payment = await pair.payable()
        await pair.refused(replace(payment, amount_msat=Msat(PRICE - 1)))
        await pair.payer.pay(payment)
        await pair.arrived(payment, ReceivedState.CLAIMABLE)
        await pair.payee.claim(order.preimage)
        await pair.went(payment, SentState.SUCCEEDED)
        await pair.payer.pay(payment)
        assert await pair.balances() == (payer_before - PRICE, payee_before + PRICE)

    # --- receipts: of this test alone, and at least once

    @pytest.fixture
    def cursor(self, network: Network) -> str:
        """Behind all that other tests left, open or not."""
        last = network["C"].get("/v1/invoices", reversed="true", num_max_invoices="1")
        return f"lnd:{last['last_index_offset']}"

    async def test_receipts_tell_every_step_in_order_with_their_context(self, pair: Pair, cursor: str) -> None:
        stream = pair.payee.receipts(cursor)
        order, _, payment = await pair.payable()
        waiting = asyncio.ensure_future(anext(stream))
        await pair.payer.pay(payment)
        async with asyncio.timeout(PATIENCE_SECONDS):
            held = await waiting
            await pair.payee.claim(order.preimage)
            claimed = await anext(stream)
            canceled, canceled_payment = await pair.held()
            held_too = await anext(stream)
            assert await pair.payee.cancel(canceled_payment.payment_hash)
            returned = await anext(stream)
        assert [(step.state, step.amount_msat, step.context) for step in (held, claimed, held_too, returned)] == [
            (ReceivedState.CLAIMABLE, PRICE, order.context),
            (ReceivedState.CLAIMED, PRICE, order.context),
            (ReceivedState.CLAIMABLE, PRICE, canceled.context),
            (ReceivedState.CANCELED, ZERO_MSAT, canceled.context),
        ]
        await stream.aclose()

    async def test_receipts_replay_from_every_cursor(self, pair: Pair, cursor: str) -> None:
        """The end of every payment is told again; that it was held meanwhile is not."""
        for _ in range(3):
            await pair.paid()
        every = await pair.receipts(3, cursor)
        assert {step.state for step in every} == {ReceivedState.CLAIMED}
        assert len({step.cursor for step in every}) == 3
        for index, step in enumerate(every[:-1]):
            assert await pair.receipts(2 - index, step.cursor) == every[index + 1 :]

    async def test_what_is_held_is_told_again_after_a_restart(self, pair: Pair, cursor: str) -> None:
        order, payment = await pair.held()
        paid, _ = await pair.paid()
        for _ in range(2):
            first, second = await pair.receipts(2, cursor)
            assert (first.state, first.context) == (ReceivedState.CLAIMABLE, order.context)
            assert (second.state, second.context) == (ReceivedState.CLAIMED, paid.context)
            cursor = second.cursor
        assert await pair.payee.cancel(payment.payment_hash)
        first, second = await pair.receipts(2, cursor)
        assert (first.state, second.state) == (ReceivedState.CANCELED, ReceivedState.CLAIMED)

    async def test_receipts_go_on_live(self, pair: Pair) -> None:
        pytest.skip("tested with the order of receipts, above")

    async def test_an_expired_receivable_has_its_receipt_once(self, pair: Pair, cursor: str) -> None:
        order = replace(pair.receive_order(), expires_at=UnixSeconds(pair.clock.now() + 2))
        await pair.payee.register(order)
        [told] = await pair.receipts(1, cursor)
        assert (told.state, told.amount_msat, told.context) == (ReceivedState.CANCELED, ZERO_MSAT, order.context)

    async def test_two_readers_are_told_the_same(self, pair: Pair, cursor: str) -> None:
        first, second = (asyncio.ensure_future(pair.receipts(2, cursor)) for _ in range(2))
        order, _ = await pair.held()
        await asyncio.sleep(1)
        await pair.payee.claim(order.preimage)
        assert [step.state for step in await first] == [ReceivedState.CLAIMABLE, ReceivedState.CLAIMED]
        assert [step.state for step in await second] == [ReceivedState.CLAIMABLE, ReceivedState.CLAIMED]

    async def test_the_payer_gets_no_receipts_of_the_payee(self, pair: Pair) -> None:
        pytest.skip("B is paid by others in other tests; two lnd nodes share nothing")

    async def test_a_cursor_of_somebody_else_is_refused(self, pair: Pair) -> None:
        for cursor in ("7", "lnd:", "lnd:-1", "playmoney:1"):
            with pytest.raises(UsageError, match="no cursor of LND"):
                await pair.receipts(1, cursor)
