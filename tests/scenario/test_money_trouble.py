"""Money nodes that do not answer, hang, refuse, repeat themselves, or have no money."""

from dataclasses import replace
from typing import Any, cast

import pytest

from helpers.rig import (
    END,
    PERIOD,
    PRICE,
    IntentWatch,
    assert_consistent,
    assert_paid,
    counters,
    events,
    outbound,
    publish,
    recurring,
    subscribe,
)
from lnrecur.ports import FailureReason, MoneyNode, PayOrder, Rejected
from lnrecur.recurrence.outbound_model import Phase
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.testing.scripted_node import Call
from lnrecur.values import Msat

PAYEE_CALLS: tuple[Call, ...] = ("info", "register", "inbound_edges", "claim", "cancel")
PAYER_CALLS: tuple[Call, ...] = ("pay", "sent", "follow")


async def _world(rig: Rig, **joining: Msat) -> tuple[RigNode, RigNode]:
    return await rig.join("merchant"), await rig.join("alice", **joining)


@pytest.mark.parametrize("after_acting", [False, True], ids=["before acting", "after acting"])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("call", [*PAYEE_CALLS, *PAYER_CALLS])
async def test_a_money_node_that_does_not_answer_costs_time_but_no_payment(
    call: Call, times: int, after_acting: bool
) -> None:
    async with Rig(seed=1) as rig:
        merchant, alice = await _world(rig)
        subscription = subscribe(alice, publish(merchant))
        node = merchant if call in PAYEE_CALLS else alice
        await rig.run_for(PERIOD // 4)
        for _ in range(4):
            node.money.be_unavailable(call, times, after_acting=after_acting)
            await rig.run_for(PERIOD)
            assert_consistent(rig)
        assert_paid(rig, alice, subscription, 4)


@pytest.mark.parametrize("times", [1, 5])
async def test_a_money_node_that_answers_nothing_at_all_now_and_then_costs_no_payment(times: int) -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await _world(rig)
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 4)
        for turn in range(4):
            for node in (merchant, alice):
                node.money.be_unavailable(None, times, after_acting=bool(turn % 2))
            await rig.run_for(PERIOD)
            assert_consistent(rig)
        assert_paid(rig, alice, subscription, 4)


async def test_a_payment_that_fails_is_tried_again_with_the_same_invoice() -> None:
    async with Rig(seed=3) as rig:
        merchant, alice = await _world(rig)
        subscription = subscribe(alice, publish(merchant))
        alice.money.fail_next_payments(3, reason=FailureReason.NO_ROUTE)
        await rig.run_for(4 * PERIOD)
        assert len(events(alice, "subscription.payment_failed")) == 3
        assert len(events(alice, "payment.retried")) == 3
        assert len(events(alice, "subscription.requested")) == 4
        assert_paid(rig, alice, subscription, 4)


async def test_a_payment_that_cannot_be_retried_is_replaced_by_a_new_invoice() -> None:
    async with Rig(seed=4) as rig:
        watch = IntentWatch(rig)
        merchant, alice = await _world(rig)
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 2)
        alice.money.fail_next_payments(2, reason=FailureReason.REFUSED_BY_PAYEE, retryable=False)
        await rig.run_for(4 * PERIOD)
        assert len(events(alice, "subscription.requested")) == 6
        assert len(set(watch.requests)) == 6, "Q7: no two of them are the same"
        assert_paid(rig, alice, subscription, 4)


async def test_a_money_node_that_refuses_a_payment_is_asked_with_a_new_invoice_later() -> None:
    async with Rig(seed=5) as rig:
        merchant, alice = await _world(rig)
        subscription = subscribe(alice, publish(merchant))
        alice.money.refuse("pay", 2)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


class NoWayYet:
    """Finds no route a few times before it begins anything, and says so."""

    def __init__(self, inner: MoneyNode, times: int) -> None:
        self._inner, self._left = inner, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def pay(self, order: PayOrder) -> None:
        if self._left:
            self._left -= 1
            raise Rejected("nothing leads there", reason=FailureReason.NO_ROUTE, retryable=True)
        await self._inner.pay(order)


async def test_what_was_not_begun_for_a_reason_that_may_pass_is_tried_again_with_the_same_invoice() -> None:
    async with Rig(seed=8) as rig:
        merchant = await rig.join("merchant")
        alice = await rig.join(
            "alice", dress=lambda parts: replace(parts, node=cast("MoneyNode", NoWayYet(parts.node, 3)))
        )
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(4 * PERIOD)
        failed = [event for event in alice.manager.events() if event.name == "subscription.payment_failed"]
        assert [event.data["reason"] for event in failed] == ["no_route"] * 3
        assert len(events(alice, "subscription.requested")) == 4
        assert_paid(rig, alice, subscription, 4)


async def test_without_money_an_event_says_so_and_the_payment_is_made_when_there_is_some() -> None:
    async with Rig(seed=6) as rig:
        merchant, alice = await _world(rig, opening_balance_msat=Msat(PRICE // 2))
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(60)
        assert events(alice, "subscription.payment_failed")
        assert "insufficient_funds" in (outbound(alice, subscription).problem or "")
        alice.account.balance_msat = Msat(100 * PRICE)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_payment_that_never_succeeds_is_given_up_and_told() -> None:
    async with Rig(seed=7) as rig:
        merchant, alice = await _world(rig, opening_balance_msat=Msat(0))
        subscription = subscribe(alice, publish(merchant, recurring(paywindow=None)))
        await rig.run_for(20 * PERIOD)
        assert outbound(alice, subscription).phase is Phase.LAPSED
        assert events(alice)[-1] == "subscription.given_up"
        assert_paid(rig, alice, subscription, 0)


@pytest.mark.parametrize("call", ["pay", "follow", "claim", "receipts", "register"])
async def test_a_money_node_that_hangs_holds_up_its_payment_until_it_answers_and_no_second_one_starts(
    call: Call,
) -> None:
    async with Rig(seed=8) as rig:
        merchant, alice = await _world(rig)
        subscription = subscribe(alice, publish(merchant))
        node = alice if call in PAYER_CALLS else merchant
        node.money.hang(call)
        await rig.run_for(600)
        assert counters(alice, subscription) == ([0] if call == "follow" else [])
        assert len(rig.ledger.payments) <= 1
        node.money.release()
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_payment_that_hangs_holds_up_no_other_subscription() -> None:
    async with Rig(seed=9) as rig:
        merchant, alice = await _world(rig)
        other = await rig.join("other merchant")
        slow = subscribe(alice, publish(merchant))
        merchant.money.hang("claim")
        quick = subscribe(alice, publish(other))
        await rig.run_for(PERIOD + 5)
        assert counters(alice, slow) == []
        assert counters(alice, quick) == [0, 1]
        merchant.money.release()
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, slow, 4)
        assert_paid(rig, alice, quick, 4)


async def test_receipts_that_come_late_and_twice_are_booked_once() -> None:
    async with Rig(seed=10) as rig:
        merchant, alice = await _world(rig)
        merchant.money.repeat_receipts(3)
        merchant.money.delay_receipts(40)
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(5 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert len(events(merchant, "subscription.renewed")) == 3


async def test_all_receipts_told_again_after_a_restart_change_nothing() -> None:
    async with Rig(seed=11) as rig:
        merchant, alice = await _world(rig)
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(2 * PERIOD + 10)
        before = list(merchant.manager.events())
        rig.crash("merchant")
        assert merchant.manager.receipt_cursor() == "6", "the cursor is stored with what a receipt changed"
        merchant.manager.save_receipt_cursor("0")
        await rig.restart("merchant")
        await rig.run_for(10)
        assert list(merchant.manager.events()) == before
        assert merchant.account.balance_msat == 1_000_000_000 + 3 * PRICE
        await rig.run_for(2 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_payment_order_without_an_answer_is_asked_about_within_seconds_and_given_again_if_unknown() -> None:
    for after_acting in (False, True):
        async with Rig(seed=13) as rig:
            merchant, alice = await _world(rig)
            alice.money.be_unavailable("pay", after_acting=after_acting)
            subscription = subscribe(alice, publish(merchant))
            await rig.run_for(3)
            assert counters(alice, subscription) == [0]
            assert alice.money.calls["sent"] == 1
            assert alice.money.calls["pay"] == (1 if after_acting else 2)


async def test_a_node_that_is_away_for_a_day_finds_one_question_waiting_and_not_hundreds() -> None:
    async with Rig(seed=14) as rig:
        merchant, alice = await _world(rig)
        subscription = subscribe(alice, publish(merchant, recurring(paywindow=None, period=3 * 24 * 3600)))
        alice.money.be_unavailable(None, 200)
        await rig.run_for(24 * 3600)
        assert len(alice.manager.due_outbox(END, 1000)) <= 1
        await rig.run_for(24 * 3600)
        assert counters(alice, subscription) == [0]


@pytest.mark.parametrize("minutes", [1, 5])
async def test_no_money_is_made_or_lost(minutes: int) -> None:
    async with Rig(seed=12) as rig:
        merchant, alice = await _world(rig)
        total = rig.ledger.total_msat()
        subscribe(alice, publish(merchant))
        alice.money.fail_next_payments(2)
        await rig.run_for(minutes * 600)
        assert rig.ledger.total_msat() == total
        paid = sum(paid.booking.amount_msat for paid in alice.manager.payments())
        assert alice.account.balance_msat == 1_000_000_000 - paid
