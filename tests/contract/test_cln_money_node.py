"""The contract of `MoneyNode`, on two stand-ins for lightningd that have a channel (helpers/stand_in_lightningd)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("money_node")

from money_node import HOUR, NOW, OPENING_BALANCE, PRICE, MoneyNodeContract, Pair  # noqa: E402

from helpers.lni import signed_invoice  # noqa: E402
from helpers.stand_in_lightningd import Hooks, Network, StandIn  # noqa: E402
from lnrecur.adapters.nodes.cln import ClnNode, ClnRpc, HeldPayments, payments  # noqa: E402
from lnrecur.crypto.keys import PrivateKey  # noqa: E402
from lnrecur.errors import UsageError  # noqa: E402
from lnrecur.ports import (  # noqa: E402
    FailureReason,
    InboundEdge,
    NodeInfo,
    PayOrder,
    Receipt,
    Receivable,
    Received,
    ReceivedState,
    ReceiveOrder,
    Rejected,
    Sent,
    SentState,
)
from lnrecur.testing.virtual_clock import VirtualClock  # noqa: E402
from lnrecur.values import REGTEST, ZERO_MSAT, Msat, PaymentHash, Preimage  # noqa: E402


class Plugin(Hooks):
    """What the plugin does with the hook of payments."""

    def __init__(self) -> None:
        self.held = HeldPayments()

    async def call(self, name: str, payload: dict[str, Any]) -> dict[str, Any]:
        if name != "invoice_payment":
            return {"result": "continue"}
        payment = payload["payment"]
        amount = int(payment["msat"].removesuffix("msat"))
        answer = await self.held.arrived(payment["label"], bytes.fromhex(payment["preimage"]), amount)
        return {"result": answer.value}


class Signing:
    """A payer's node that is handed real invoices: the contract makes up its orders."""

    def __init__(self, node: ClnNode) -> None:
        self.node = node

    async def pay(self, order: PayOrder) -> None:
        await self.node.pay(replace(order, invoice=signed_invoice(order, created_at=NOW)))

    async def info(self) -> NodeInfo:
        return await self.node.info()

    async def register(self, order: ReceiveOrder) -> Receivable:
        return await self.node.register(order)

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        return await self.node.inbound_edges()

    async def received(self, payment_hash: PaymentHash) -> Received:
        return await self.node.received(payment_hash)

    async def claim(self, preimage: Preimage) -> None:
        await self.node.claim(preimage)

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        return await self.node.cancel(payment_hash)

    def receipts(self, cursor: str | None, on_caught_up: Callable[[], None] | None = None) -> AsyncGenerator[Receipt]:
        return self.node.receipts(cursor, on_caught_up)

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        return await self.node.sent(payment_hash)

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        return await self.node.follow(payment_hash)


class TestClnNode(MoneyNodeContract):
    """With the plugin, which holds payments."""

    @pytest.fixture
    async def pair(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
        monkeypatch.setattr(payments, "REFUSAL_S", 0.02)
        clock, network = VirtualClock(NOW), Network(tmp_path / "network.sqlite")
        plugins = [Plugin(), Plugin()]
        nodes = [
            StandIn(tmp_path / name, network.file, clock=clock.now, hooks=plugin)
            for name, plugin in zip(("l1", "l2"), plugins, strict=True)
        ]
        network.open_channel(nodes[0].id, nodes[1].id, (OPENING_BALANCE, OPENING_BALANCE))
        for node in nodes:
            await node.start()
        payer, payee = [
            ClnNode(ClnRpc(node.rpc_file), clock, chain=REGTEST, held=plugin.held)
            for node, plugin in zip(nodes, plugins, strict=True)
        ]

        async def balances() -> tuple[Msat, Msat]:
            """Once they have come to rest."""
            before = None
            while (now := (network.balance(nodes[0].id), network.balance(nodes[1].id))) != before:
                before = now
                await asyncio.sleep(0.015)
            return Msat(now[0]), Msat(now[1])

        async with payer, payee:
            yield Pair(Signing(payer), Signing(payee), clock, balances)
        for node in nodes:
            assert node.crashed is None
            assert not any(method == "createinvoice" for method, _ in node.calls)
            await node.close()
        assert network.total() == 2 * OPENING_BALANCE
        network.close()

    # --- where lightningd differs

    async def test_a_preimage_of_one_node_is_not_registered_by_another(self, pair: Pair) -> None:
        pytest.skip("two lightningd know nothing of each other's invoices")

    async def test_the_same_receive_order_again_is_the_same_receivable(self, pair: Pair) -> None:
        await super().test_the_same_receive_order_again_is_the_same_receivable(pair)
        assert (await pair.payee.register(pair.receive_order())).final_cltv_delta == 43

    async def test_a_changed_path_key_is_refused(self, pair: Pair) -> None:
        """A key that is no point is not even an invoice."""
        _, receivable, payment = await pair.payable()
        path = payment.paths[0]
        changed = replace(path, path=replace(path.path, first_path_key=PrivateKey(bytes(31) + b"\x09").point))
        await pair.refused(pair.pay_order(receivable.payment_hash, changed))

    async def test_there_is_no_route_to_a_stranger(self, pair: Pair) -> None:
        _, _, payment = await pair.payable()
        path = payment.paths[0]
        stranger = PrivateKey(bytes(31) + b"\x0b").point
        unknown = replace(path, path=replace(path.path, first_node_id=stranger))
        failed = await pair.not_started(replace(payment, paths=(unknown,)), FailureReason.NO_ROUTE)
        assert failed.retryable

    async def test_a_failed_payment_is_tried_anew_and_succeeds_once(self, pair: Pair) -> None:
        payer_before, payee_before = await pair.balances()
        order, _, payment = await pair.payable()
        await pair.refused(replace(payment, amount_msat=Msat(PRICE - 1)))
        await pair.payer.pay(payment)
        await pair.arrived(payment, ReceivedState.CLAIMABLE)
        assert (await pair.payer.sent(payment.payment_hash)) == Sent(SentState.PENDING)
        await pair.payee.claim(order.preimage)
        await pair.went(payment, SentState.SUCCEEDED)
        await pair.payer.pay(payment)
        assert await pair.balances() == (payer_before - PRICE, payee_before + PRICE)

    async def test_what_is_held_stays_held_when_the_receivable_would_have_expired(self, pair: Pair) -> None:
        """For as long as the plugin may hold it; then lightningd itself would not take it any more."""
        order, payment = await pair.held()
        pair.clock.advance(HOUR + 30)
        assert (await pair.payee.received(payment.payment_hash)).state is ReceivedState.CLAIMABLE
        await pair.payee.claim(order.preimage)
        await pair.went(payment, SentState.SUCCEEDED)

    # --- receipts: of a payment that has ended, its end is told; what is held is told while it is held

    async def test_receipts_tell_every_step_in_order_with_their_context(self, pair: Pair) -> None:
        stream = pair.payee.receipts(None)
        order, payment = await pair.held()
        async with asyncio.timeout(10):
            steps = [await anext(stream)]
            await pair.payee.claim(order.preimage)
            steps.append(await anext(stream))
            other, other_payment = await pair.held()
            steps.append(await anext(stream))
            assert await pair.payee.cancel(other_payment.payment_hash)
            steps.append(await anext(stream))
        assert [(step.state, step.amount_msat, step.context) for step in steps] == [
            (ReceivedState.CLAIMABLE, PRICE, order.context),
            (ReceivedState.CLAIMED, PRICE, order.context),
            (ReceivedState.CLAIMABLE, PRICE, other.context),
            (ReceivedState.CANCELED, ZERO_MSAT, other.context),
        ]
        assert [step.payment_hash for step in steps[1:3]] == [payment.payment_hash, other_payment.payment_hash]
        assert {step.at for step in steps} == {NOW}
        await stream.aclose()

    async def test_receipts_replay_from_every_cursor(self, pair: Pair) -> None:
        for _ in range(3):
            await pair.paid()
        every = await pair.receipts(3)
        assert {step.state for step in every} == {ReceivedState.CLAIMED}
        assert len({step.cursor for step in every}) == 3
        for index, step in enumerate(every[:-1]):
            assert await pair.receipts(2 - index, step.cursor) == every[index + 1 :]

    async def test_what_is_held_is_told_again_after_a_restart(self, pair: Pair) -> None:
        order, payment = await pair.held()
        for _ in range(2):
            [told] = await pair.receipts(1)
            assert (told.state, told.context) == (ReceivedState.CLAIMABLE, order.context)
        assert await pair.payee.cancel(payment.payment_hash)
        [told] = await pair.receipts(1, told.cursor)
        assert (told.state, told.context) == (ReceivedState.CANCELED, order.context)

    async def test_two_readers_are_told_the_same(self, pair: Pair) -> None:
        first, second = (asyncio.ensure_future(pair.receipts(2)) for _ in range(2))
        await asyncio.sleep(0.05)
        order, _ = await pair.held()
        await asyncio.sleep(0.1)
        await pair.payee.claim(order.preimage)
        assert await first == await second
        assert [step.state for step in await first] == [ReceivedState.CLAIMABLE, ReceivedState.CLAIMED]

    async def test_an_expired_receivable_has_its_receipt_once(self, pair: Pair) -> None:
        order, _, payment = await pair.payable()
        pair.clock.advance(HOUR + 61)
        for _ in range(2):
            await pair.arrived(payment, ReceivedState.CANCELED)
        await pair.paid()
        found = await pair.receipts(2)
        assert {(step.state, step.context) for step in found} >= {(ReceivedState.CANCELED, order.context)}
        assert {step.state for step in found} == {ReceivedState.CANCELED, ReceivedState.CLAIMED}

    async def test_a_cursor_of_somebody_else_is_refused(self, pair: Pair) -> None:
        for cursor in ("7", "cln:", "cln:1", "cln:1:-1", "cln:1:2:3", "lnd:1:1"):
            with pytest.raises(UsageError, match="no cursor of Core Lightning"):
                await pair.receipts(1, cursor)

    async def test_a_payment_over_no_path_is_rejected(self, pair: Pair) -> None:
        _, _, payment = await pair.payable()
        with pytest.raises(Rejected):
            await pair.payer.pay(replace(payment, paths=()))
        assert (await pair.payer.sent(payment.payment_hash)).state is SentState.UNKNOWN
