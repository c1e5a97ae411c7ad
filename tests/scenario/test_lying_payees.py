"""A payee that cheats with what it signs: money moves once, and no period is lost silently."""

from dataclasses import replace
from typing import Any

from helpers.rig import PERIOD, PRICE, counters, events, outbound, publish, subscribe
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents
from lnrecur.ports import Receivable, ReceiveOrder, SentState
from lnrecur.recurrence.outbound_model import Missed, Phase, Terms
from lnrecur.service.assembly import Parts
from lnrecur.testing.rig import Rig
from lnrecur.values import PaymentHash


class OneHash:
    """The money node of a payee that puts the payment hash of its first invoice into all of them."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._first: PaymentHash | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def register(self, order: ReceiveOrder) -> Receivable:
        receivable: Receivable = await self._inner.register(order)
        self._first = self._first or receivable.payment_hash
        return replace(receivable, payment_hash=self._first)


def cheating(parts: Parts) -> Parts:
    return replace(parts, node=OneHash(parts.node))  # type: ignore[arg-type]


async def test_a_payment_hash_that_was_paid_before_pays_no_second_period_and_the_period_is_told_as_missed() -> None:
    async with Rig(seed=1) as rig:
        merchant, alice = await rig.join("merchant", dress=cheating), await rig.join("alice")
        name = subscribe(alice, publish(merchant), Terms(missed=Missed.STOP))
        await rig.run_for(4 * PERIOD)
        state = outbound(alice, name)
        assert (counters(alice, name), state.payments, state.paid_msat) == ([0], 1, PRICE)
        assert "subscription.payment_failed" in events(alice)
        failed = next(event for event in alice.manager.events() if event.name == "subscription.payment_failed")
        assert (failed.data["reason"], failed.data["counter"]) == ("reused_hash", 1)
        assert (state.phase, events(alice)[-1]) == (Phase.LAPSED, "subscription.missed")


async def test_two_subscriptions_that_are_given_one_payment_hash_are_not_both_paid_with_it() -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant", dress=cheating), await rig.join("alice")
        names = [subscribe(alice, publish(merchant)) for _ in range(2)]
        await rig.run_for(PERIOD // 2)
        assert sorted(len(counters(alice, name)) for name in names) == [0, 1]
        settled = [paid for paid in rig.ledger.payments.values() if paid.sent.state is SentState.SUCCEEDED]
        assert len(settled) == 1
        assert sum(outbound(alice, name).payments for name in names) == 1


async def test_a_refusal_of_an_older_request_is_none_of_the_one_that_waits_now() -> None:
    async with Rig(seed=3) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 2)
        rig.crash("merchant")
        await rig.run_for(PERIOD)
        path_id = b"\x07" * 32  # that of an older request, as long as the new one has not left
        alice.payer.unanswered.expect(name, path_id)
        waiting = outbound(alice, name)
        assert (waiting.phase, waiting.next_counter) == (Phase.REQUESTING, 1)
        error = write_invoice_error("too late [Q16]").to_bytes()
        late = MessageContents(ContentsKind.INVOICE_ERROR, error)
        await alice.payer.handle_answer(Delivered(late, None, path_id, alice.keyring.identity), late, merchant.node_id)
        assert outbound(alice, name) == waiting
