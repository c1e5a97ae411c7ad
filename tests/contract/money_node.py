"""What every `lnrecur.ports.MoneyNode` has to do, as tests to be inherited.

A subclass gives the fixture `pair`: two nodes that can pay each other, and a clock both go by. Nothing here looks
inside them. What may take a while on a real node is awaited with `eventually`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.onion.payment_path import build_payment_path
from lnrecur.ports import (
    FailureReason,
    MoneyNode,
    PaymentPath,
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
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import ZERO_MSAT, Msat, NodeId, PaymentHash, Point, Preimage, UnixSeconds

NOW = 1_750_000_000
ONE_MSAT = Msat(1)
PRICE = Msat(25_000)
OPENING_BALANCE = Msat(1_000_000)
HOUR = 3600
PATIENCE_SECONDS = 10

_Answer = TypeVar("_Answer")


async def eventually(ask: Callable[[], Awaitable[_Answer]], expected: Callable[[_Answer], bool]) -> _Answer:
    """Ask until the answer is the expected one; fail with the last answer otherwise."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not expected(answer := await ask()):
        assert asyncio.get_running_loop().time() < deadline, f"still {answer}"
        await asyncio.sleep(0.002)
    return answer


@dataclass
class Pair:
    """A payer's and a payee's node, and what a test asks of them."""

    payer: MoneyNode
    payee: MoneyNode
    clock: VirtualClock
    balances: Callable[[], Awaitable[tuple[Msat, Msat]]]
    """What payer and payee can spend."""
    entropy: SeededEntropy = field(default_factory=lambda: SeededEntropy(12))

    def receive_order(self, amount: Msat = PRICE) -> ReceiveOrder:
        return ReceiveOrder(
            preimage=Preimage(self.entropy.take(32)),
            amount_msat=amount,
            expires_at=UnixSeconds(self.clock.now() + HOUR),
            description="one month of coffee",
            context=b"sealed" + self.entropy.take(8),
        )

    async def path(
        self,
        path_id: bytes,
        *,
        to: MoneyNode | None = None,
        htlc_minimum: Msat = ONE_MSAT,
        max_cltv: int | None = None,
        final_cltv_delta: int = 18,
    ) -> PaymentPath:
        """A path of one hop, made as the service makes it."""
        info = await (to or self.payee).info()
        path, terms = build_payment_path(
            PrivateKey(self.entropy.take(32)),
            info.node_id,
            path_id,
            max_cltv=info.block_height + 1000 if max_cltv is None else max_cltv,
            htlc_minimum=htlc_minimum,
            final_cltv_delta=final_cltv_delta,
        )
        return PaymentPath(
            path,
            terms.fee_base_msat,
            terms.fee_proportional_millionths,
            terms.cltv_expiry_delta,
            terms.htlc_minimum_msat,
            terms.htlc_maximum_msat,
        )

    def pay_order(self, payment_hash: PaymentHash, *paths: PaymentPath, amount: Msat = PRICE) -> PayOrder:
        return PayOrder(
            payment_hash=payment_hash,
            amount_msat=amount,
            max_fee_msat=ZERO_MSAT,
            paths=paths,
            payee=Point(PrivateKey(bytes(31) + b"\x07").point),
            expires_at=UnixSeconds(self.clock.now() + HOUR),
            invoice=b"lni",
        )

    async def payable(self, amount: Msat = PRICE) -> tuple[ReceiveOrder, Receivable, PayOrder]:
        """Something the payee awaits and the payer can pay."""
        order = self.receive_order(amount)
        receivable = await self.payee.register(order)
        paths = receivable.paths or (await self.path(receivable.path_id, final_cltv_delta=receivable.final_cltv_delta),)
        return order, receivable, self.pay_order(receivable.payment_hash, *paths, amount=amount)

    async def held(self, amount: Msat = PRICE) -> tuple[ReceiveOrder, PayOrder]:
        """A payment that has arrived and waits for claim or cancel."""
        order, _, payment = await self.payable(amount)
        await self.payer.pay(payment)
        await self.arrived(payment, ReceivedState.CLAIMABLE)
        return order, payment

    async def paid(self) -> tuple[ReceiveOrder, PayOrder]:
        """A payment that was claimed."""
        order, payment = await self.held()
        await self.payee.claim(order.preimage)
        await self.went(payment, SentState.SUCCEEDED)
        return order, payment

    async def arrived(self, payment: PayOrder, state: ReceivedState) -> Received:
        return await eventually(lambda: self.payee.received(payment.payment_hash), lambda now: now.state is state)

    async def went(self, payment: PayOrder, state: SentState) -> Sent:
        return await eventually(lambda: self.payer.sent(payment.payment_hash), lambda now: now.state is state)

    async def refused(self, payment: PayOrder) -> None:
        """Pay, and see it refused by the payee with the money back where it was."""
        before = await self.balances()
        await self.payer.pay(payment)
        failed = await self.went(payment, SentState.FAILED)
        assert failed == Sent(SentState.FAILED, reason=FailureReason.REFUSED_BY_PAYEE)
        assert await self.balances() == before

    async def not_started(self, payment: PayOrder, reason: FailureReason) -> Sent:
        """Pay, and see it fail at the payer with the money where it was."""
        before = await self.balances()
        await self.payer.pay(payment)
        failed = await self.went(payment, SentState.FAILED)
        assert failed.reason is reason
        assert await self.balances() == before
        return failed

    async def receipts(self, count: int, cursor: str | None = None) -> list[Receipt]:
        """The next `count` receipts after a cursor."""
        found: list[Receipt] = []
        stream: AsyncIterator[Receipt] = self.payee.receipts(cursor)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(found) < count:
                    found.append(await anext(stream))
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()
        return found


class MoneyNodeContract:
    """Inherit, give `pair`, and every test below runs on your node."""

    # --- receivables

    async def test_the_same_receive_order_again_is_the_same_receivable(self, pair: Pair) -> None:
        order = pair.receive_order()
        first = await pair.payee.register(order)
        assert await pair.payee.register(order) == first
        assert first.payment_hash == sha256(order.preimage)
        assert len(first.path_id) == 32
        assert first.final_cltv_delta >= 18

    async def test_the_same_receive_order_is_still_known_after_it_expired_or_was_paid(self, pair: Pair) -> None:
        order, receivable, payment = await pair.payable()
        await pair.payer.pay(payment)
        await pair.arrived(payment, ReceivedState.CLAIMABLE)
        await pair.payee.claim(order.preimage)
        pair.clock.advance(2 * HOUR)
        assert await pair.payee.register(order) == receivable
        assert (await pair.payee.received(payment.payment_hash)).state is ReceivedState.CLAIMED

    async def test_two_receivables_share_no_path_id(self, pair: Pair) -> None:
        first, second = [await pair.payee.register(pair.receive_order()) for _ in range(2)]
        assert first.path_id != second.path_id

    @pytest.mark.parametrize(
        "change",
        [
            {"amount_msat": Msat(PRICE + 1)},
            {"expires_at": UnixSeconds(NOW + 2 * HOUR)},
            {"description": "two months of coffee"},
            {"context": b"another"},
        ],
        ids=lambda change: next(iter(change)),
    )
    async def test_a_preimage_is_not_registered_with_other_terms(self, pair: Pair, change: dict[str, object]) -> None:
        order = pair.receive_order()
        await pair.payee.register(order)
        with pytest.raises(Rejected, match="other terms"):
            await pair.payee.register(replace(order, **change))

    async def test_a_preimage_of_one_node_is_not_registered_by_another(self, pair: Pair) -> None:
        order = pair.receive_order()
        receivable = await pair.payee.register(order)
        with pytest.raises(Rejected):
            await pair.payer.register(order)
        assert (await pair.payer.received(receivable.payment_hash)).state is ReceivedState.UNKNOWN

    @pytest.mark.parametrize(
        "change",
        [
            {"amount_msat": ZERO_MSAT},
            {"amount_msat": Msat(-1)},
            {"amount_msat": Msat(2**63)},
            {"preimage": bytes(31)},
            {"expires_at": NOW - 1},
        ],
        ids=str,
    )
    async def test_impossible_terms_are_rejected(self, pair: Pair, change: dict[str, object]) -> None:
        with pytest.raises(Rejected):
            await pair.payee.register(replace(pair.receive_order(), **change))

    async def test_nothing_is_known_of_an_unknown_hash(self, pair: Pair) -> None:
        preimage = Preimage(pair.entropy.take(32))
        unknown = PaymentHash(sha256(preimage))
        assert await pair.payee.received(unknown) == Received(ReceivedState.UNKNOWN)
        assert await pair.payer.sent(unknown) == Sent(SentState.UNKNOWN)
        assert await pair.payee.cancel(unknown)
        with pytest.raises(Rejected):
            await pair.payee.claim(preimage)

    async def test_an_open_receivable_brings_its_context_back(self, pair: Pair) -> None:
        order, receivable, _ = await pair.payable()
        found = await pair.payee.received(receivable.payment_hash)
        assert found == Received(ReceivedState.OPEN, ZERO_MSAT, order.context)

    # --- the way of a payment

    async def test_a_payment_is_held_and_succeeds_only_when_it_is_claimed(self, pair: Pair) -> None:
        payer_before, payee_before = await pair.balances()
        order, payment = await pair.held()
        assert await pair.payee.received(payment.payment_hash) == Received(
            ReceivedState.CLAIMABLE, PRICE, order.context
        )
        assert (await pair.payer.sent(payment.payment_hash)).state is SentState.PENDING
        assert await pair.balances() == (payer_before - PRICE, payee_before)

        await pair.payee.claim(order.preimage)
        assert await pair.went(payment, SentState.SUCCEEDED) == Sent(SentState.SUCCEEDED, order.preimage, ZERO_MSAT)
        assert await pair.payee.received(payment.payment_hash) == Received(ReceivedState.CLAIMED, PRICE, order.context)
        assert await pair.balances() == (payer_before - PRICE, payee_before + PRICE)

    async def test_a_payment_is_known_to_its_payer_alone(self, pair: Pair) -> None:
        _, payment = await pair.paid()
        assert (await pair.payee.sent(payment.payment_hash)).state is SentState.UNKNOWN

    async def test_paying_again_while_it_is_in_flight_changes_nothing(self, pair: Pair) -> None:
        _, payment = await pair.held()
        before = await pair.balances()
        await pair.payer.pay(payment)
        assert (await pair.payer.sent(payment.payment_hash)).state is SentState.PENDING
        assert await pair.balances() == before

    async def test_paying_again_after_success_changes_nothing(self, pair: Pair) -> None:
        order, payment = await pair.paid()
        before = await pair.balances()
        await pair.payer.pay(payment)
        assert (await pair.payer.sent(payment.payment_hash)).preimage == order.preimage
        assert await pair.balances() == before

    async def test_two_payments_do_not_touch_each_other(self, pair: Pair) -> None:
        (first, first_payment), (_, second_payment) = await pair.held(), await pair.held()
        await pair.payee.claim(first.preimage)
        await pair.went(first_payment, SentState.SUCCEEDED)
        assert (await pair.payer.sent(second_payment.payment_hash)).state is SentState.PENDING

    async def test_a_payment_of_another_account_is_rejected(self, pair: Pair) -> None:
        _, payment = await pair.held()
        with pytest.raises(Rejected):
            await pair.payee.pay(payment)

    @pytest.mark.parametrize("change", [{"payment_hash": bytes(31)}, {"amount_msat": ZERO_MSAT}], ids=str)
    async def test_an_order_nobody_could_pay_is_rejected_and_not_recorded(
        self, pair: Pair, change: dict[str, object]
    ) -> None:
        _, _, payment = await pair.payable()
        wrong = replace(payment, **change)
        with pytest.raises(Rejected):
            await pair.payer.pay(wrong)
        assert (await pair.payer.sent(wrong.payment_hash)).state is SentState.UNKNOWN

    # --- claim and cancel

    async def test_claiming_twice_pays_once(self, pair: Pair) -> None:
        order, _ = await pair.paid()
        before = await pair.balances()
        await pair.payee.claim(order.preimage)
        assert await pair.balances() == before

    async def test_nothing_can_be_claimed_before_it_arrived(self, pair: Pair) -> None:
        order, _, _ = await pair.payable()
        with pytest.raises(Rejected):
            await pair.payee.claim(order.preimage)

    async def test_a_payment_is_not_claimed_by_another_node(self, pair: Pair) -> None:
        order, payment = await pair.held()
        with pytest.raises(Rejected):
            await pair.payer.claim(order.preimage)
        assert (await pair.payer.sent(payment.payment_hash)).state is SentState.PENDING

    async def test_a_canceled_payment_fails_back_with_all_its_money(self, pair: Pair) -> None:
        before = await pair.balances()
        order, payment = await pair.held()
        assert await pair.payee.cancel(payment.payment_hash)
        failed = await pair.went(payment, SentState.FAILED)
        assert failed == Sent(SentState.FAILED, reason=FailureReason.REFUSED_BY_PAYEE)
        assert await pair.balances() == before
        found = await pair.payee.received(payment.payment_hash)
        assert found == Received(ReceivedState.CANCELED, ZERO_MSAT, order.context)

    async def test_what_was_canceled_cannot_be_claimed(self, pair: Pair) -> None:
        order, payment = await pair.held()
        assert await pair.payee.cancel(payment.payment_hash)
        with pytest.raises(Rejected):
            await pair.payee.claim(order.preimage)

    async def test_cancel_may_be_said_twice(self, pair: Pair) -> None:
        _, payment = await pair.held()
        assert await pair.payee.cancel(payment.payment_hash)
        assert await pair.payee.cancel(payment.payment_hash)

    async def test_it_is_too_late_to_cancel_what_was_claimed(self, pair: Pair) -> None:
        _, payment = await pair.paid()
        assert not await pair.payee.cancel(payment.payment_hash)
        assert (await pair.payer.sent(payment.payment_hash)).state is SentState.SUCCEEDED

    async def test_a_withdrawn_receivable_takes_no_payment(self, pair: Pair) -> None:
        _, _, payment = await pair.payable()
        assert await pair.payee.cancel(payment.payment_hash)
        await pair.refused(payment)

    # --- what the payee refuses

    @pytest.mark.parametrize("amount", [PRICE - 1, 2 * PRICE + 1])
    async def test_a_wrong_amount_is_refused(self, pair: Pair, amount: Msat) -> None:
        _, _, payment = await pair.payable()
        await pair.refused(replace(payment, amount_msat=amount))
        assert (await pair.payee.received(payment.payment_hash)).state is ReceivedState.OPEN

    @pytest.mark.parametrize("amount", [PRICE, 2 * PRICE])
    async def test_up_to_twice_the_amount_is_taken_and_told(self, pair: Pair, amount: Msat) -> None:
        order, _, payment = await pair.payable()
        await pair.payer.pay(replace(payment, amount_msat=amount))
        await pair.arrived(payment, ReceivedState.CLAIMABLE)
        await pair.payee.claim(order.preimage)
        assert (await pair.payee.received(payment.payment_hash)).amount_msat == amount

    async def test_a_wrong_path_id_is_refused(self, pair: Pair) -> None:
        _, receivable, _ = await pair.payable()
        path = await pair.path(bytes(32))
        await pair.refused(pair.pay_order(receivable.payment_hash, path))

    async def test_the_path_of_another_receivable_is_refused(self, pair: Pair) -> None:
        _, receivable, payment = await pair.payable()
        _, _, other = await pair.payable()
        assert receivable.payment_hash == payment.payment_hash
        await pair.refused(replace(payment, paths=other.paths))

    async def test_a_path_that_was_not_sealed_for_the_payee_is_refused(self, pair: Pair) -> None:
        _, receivable, _ = await pair.payable()
        stranger = await pair.path(receivable.path_id, to=pair.payer)
        payee = (await pair.payee.info()).node_id
        forged = replace(stranger, path=replace(stranger.path, first_node_id=Point(payee)))
        await pair.refused(pair.pay_order(receivable.payment_hash, forged))

    async def test_a_changed_path_key_is_refused(self, pair: Pair) -> None:
        _, receivable, payment = await pair.payable()
        path = payment.paths[0]
        for path_key in (PrivateKey(bytes(31) + b"\x09").point, Point(b"\x05" + bytes(32))):
            changed = replace(path, path=replace(path.path, first_path_key=path_key))
            await pair.refused(pair.pay_order(receivable.payment_hash, changed))

    async def test_a_payment_nobody_awaits_is_refused(self, pair: Pair) -> None:
        path = await pair.path(bytes(32))
        await pair.refused(pair.pay_order(PaymentHash(pair.entropy.take(32)), path))

    async def test_the_constraints_of_the_path_are_kept(self, pair: Pair) -> None:
        _, receivable, _ = await pair.payable()
        height = (await pair.payee.info()).block_height
        too_small = await pair.path(receivable.path_id, htlc_minimum=Msat(PRICE + 1))
        too_small = replace(too_small, htlc_minimum_msat=Msat(1))
        await pair.refused(pair.pay_order(receivable.payment_hash, too_small))
        too_late = await pair.path(receivable.path_id, max_cltv=height + 17)
        await pair.refused(pair.pay_order(receivable.payment_hash, too_late))

    async def test_an_expired_receivable_takes_no_payment_and_counts_as_canceled(self, pair: Pair) -> None:
        order, _, payment = await pair.payable()
        pair.clock.advance(HOUR)
        assert (await pair.payee.received(payment.payment_hash)).state is ReceivedState.OPEN  # its last second
        pair.clock.advance(1)
        await pair.refused(replace(payment, expires_at=UnixSeconds(pair.clock.now() + HOUR)))
        found = await pair.payee.received(payment.payment_hash)
        assert found == Received(ReceivedState.CANCELED, ZERO_MSAT, order.context)

    async def test_what_is_held_stays_held_when_the_receivable_would_have_expired(self, pair: Pair) -> None:
        order, payment = await pair.held()
        pair.clock.advance(2 * HOUR)
        assert (await pair.payee.received(payment.payment_hash)).state is ReceivedState.CLAIMABLE
        await pair.payee.claim(order.preimage)
        await pair.went(payment, SentState.SUCCEEDED)

    # --- what the payer's node does not even begin

    async def test_an_expired_invoice_is_not_paid(self, pair: Pair) -> None:
        _, _, payment = await pair.payable()
        pair.clock.advance(HOUR + 1)
        failed = await pair.not_started(payment, FailureReason.EXPIRED)
        assert not failed.retryable

    async def test_nobody_pays_what_they_do_not_have(self, pair: Pair) -> None:
        _, _, payment = await pair.payable(Msat(OPENING_BALANCE + 1))
        failed = await pair.not_started(payment, FailureReason.INSUFFICIENT_FUNDS)
        assert failed.retryable

    async def test_the_last_millisatoshi_can_be_spent(self, pair: Pair) -> None:
        order, _ = await pair.held(OPENING_BALANCE)
        await pair.payee.claim(order.preimage)
        assert await pair.balances() == (0, 2 * OPENING_BALANCE)

    async def test_there_is_no_route_to_a_stranger(self, pair: Pair) -> None:
        _, _, payment = await pair.payable()
        path = payment.paths[0]
        stranger = PrivateKey(bytes(31) + b"\x0b").point
        unknown = replace(path, path=replace(path.path, first_node_id=stranger))
        await pair.not_started(replace(payment, paths=(unknown,)), FailureReason.NO_ROUTE)
        await pair.not_started(replace(payment, paths=()), FailureReason.NO_ROUTE)

    async def test_of_several_paths_one_that_can_be_walked_is_taken(self, pair: Pair) -> None:
        order, _, payment = await pair.payable()
        path = payment.paths[0]
        unknown = replace(path, path=replace(path.path, first_node_id=PrivateKey(bytes(31) + b"\x0b").point))
        await pair.payer.pay(replace(payment, paths=(unknown, path)))
        await pair.arrived(payment, ReceivedState.CLAIMABLE)
        await pair.payee.claim(order.preimage)
        await pair.went(payment, SentState.SUCCEEDED)

    @pytest.mark.parametrize(
        "limits", [{"htlc_minimum_msat": PRICE + 1}, {"htlc_maximum_msat": PRICE - 1}], ids=["below", "above"]
    )
    async def test_an_amount_outside_the_limits_of_the_path_is_not_sent(
        self, pair: Pair, limits: dict[str, object]
    ) -> None:
        _, _, payment = await pair.payable()
        path = replace(payment.paths[0], **limits)
        failed = await pair.not_started(replace(payment, paths=(path,)), FailureReason.OTHER)
        assert not failed.retryable

    async def test_a_fee_beyond_the_limit_is_not_paid(self, pair: Pair) -> None:
        _, _, payment = await pair.payable()
        path = replace(payment.paths[0], fee_base_msat=Msat(5), fee_proportional_millionths=1000)
        dear = replace(payment, paths=(path,), max_fee_msat=Msat(29))
        await pair.not_started(dear, FailureReason.FEE_LIMIT)
        await pair.payer.pay(replace(dear, max_fee_msat=Msat(30)))
        await pair.arrived(payment, ReceivedState.CLAIMABLE)
        assert (await pair.payer.sent(payment.payment_hash)).fee_msat == 30

    # --- trying anew

    async def test_a_failed_payment_is_tried_anew_and_succeeds_once(self, pair: Pair) -> None:
        payer_before, payee_before = await pair.balances()
        order, _, payment = await pair.payable()
        await pair.not_started(replace(payment, paths=()), FailureReason.NO_ROUTE)
        await pair.refused(replace(payment, amount_msat=Msat(PRICE - 1)))
        await pair.payer.pay(payment)
        await pair.arrived(payment, ReceivedState.CLAIMABLE)
        assert (await pair.payer.sent(payment.payment_hash)) == Sent(SentState.PENDING)
        await pair.payee.claim(order.preimage)
        await pair.went(payment, SentState.SUCCEEDED)
        await pair.payer.pay(payment)
        assert await pair.balances() == (payer_before - PRICE, payee_before + PRICE)

    async def test_a_payment_that_was_canceled_is_refused_when_tried_anew(self, pair: Pair) -> None:
        _, payment = await pair.held()
        assert await pair.payee.cancel(payment.payment_hash)
        await pair.went(payment, SentState.FAILED)
        await pair.refused(payment)

    # --- receipts

    async def test_receipts_tell_every_step_in_order_with_their_context(self, pair: Pair) -> None:
        claimed, _ = await pair.paid()
        canceled, canceled_payment = await pair.held()
        assert await pair.payee.cancel(canceled_payment.payment_hash)
        found = await pair.receipts(4)
        assert [(step.state, step.amount_msat, step.context) for step in found] == [
            (ReceivedState.CLAIMABLE, PRICE, claimed.context),
            (ReceivedState.CLAIMED, PRICE, claimed.context),
            (ReceivedState.CLAIMABLE, PRICE, canceled.context),
            (ReceivedState.CANCELED, ZERO_MSAT, canceled.context),
        ]
        assert {step.payment_hash for step in found[2:]} == {canceled_payment.payment_hash}
        assert {step.at for step in found} == {NOW}

    async def test_receipts_replay_from_every_cursor(self, pair: Pair) -> None:
        for _ in range(3):
            await pair.paid()
        every = await pair.receipts(6)
        assert len({receipt.cursor for receipt in every}) == 6
        for index, receipt in enumerate(every[:-1]):
            assert await pair.receipts(5 - index, receipt.cursor) == every[index + 1 :]

    async def test_receipts_go_on_live(self, pair: Pair) -> None:
        stream = pair.payee.receipts(None)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        order, payment = await pair.held()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await waiting).state is ReceivedState.CLAIMABLE
            await pair.payee.claim(order.preimage)
            told = await anext(stream)
        assert (told.state, told.payment_hash) == (ReceivedState.CLAIMED, payment.payment_hash)

    async def test_a_reader_is_told_when_it_knows_all_that_has_happened(self, pair: Pair) -> None:
        order, _ = await pair.paid()
        caught_up = asyncio.Event()
        told: list[tuple[ReceivedState, bytes]] = []

        async def read() -> None:
            async for receipt in pair.payee.receipts(None, caught_up.set):
                if not caught_up.is_set():
                    told.append((receipt.state, receipt.context))

        reader = asyncio.ensure_future(read())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await caught_up.wait()
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        assert told[-1] == (ReceivedState.CLAIMED, order.context)

    async def test_two_readers_are_told_the_same(self, pair: Pair) -> None:
        first, second = (asyncio.ensure_future(pair.receipts(2)) for _ in range(2))
        await asyncio.sleep(0)
        await pair.paid()
        assert await first == await second

    async def test_the_payer_gets_no_receipts_of_the_payee(self, pair: Pair) -> None:
        await pair.paid()
        stream = pair.payer.receipts(None)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(stream)

    async def test_an_expired_receivable_has_its_receipt_once(self, pair: Pair) -> None:
        _, _, payment = await pair.payable()
        pair.clock.advance(HOUR + 1)
        for _ in range(2):
            await pair.arrived(payment, ReceivedState.CANCELED)
        await pair.paid()
        found = await pair.receipts(3)
        assert [step.state for step in found] == [
            ReceivedState.CANCELED,
            ReceivedState.CLAIMABLE,
            ReceivedState.CLAIMED,
        ]

    async def test_a_cursor_of_somebody_else_is_refused(self, pair: Pair) -> None:
        with pytest.raises(UsageError):
            await pair.receipts(1, "lnd:7")

    # --- who it is

    async def test_the_node_says_who_it_is(self, pair: Pair) -> None:
        payer, payee = await pair.payer.info(), await pair.payee.info()
        assert payer.node_id != payee.node_id
        assert payer.chain == payee.chain
        assert payer.block_height > 0
        assert payer.kind

    async def test_paths_begin_where_the_node_says(self, pair: Pair) -> None:
        for edge in await pair.payee.inbound_edges():
            assert len(NodeId(edge.peer)) == 33
