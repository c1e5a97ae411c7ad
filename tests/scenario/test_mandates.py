"""What a subscriber authorised, and nothing else: limits, approvals, and their end."""

from dataclasses import replace
from typing import Any

import pytest

from helpers.rig import PERIOD, PRICE, IntentWatch, assert_paid, counters, events, outbound, publish, subscribe
from lnrecur.errors import UsageError
from lnrecur.recurrence.effects import IssueInvoice
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Phase, Terms, Trigger
from lnrecur.testing.rig import START, Rig
from lnrecur.values import Msat

LARGE = Mandate(max_per_period_msat=Msat(1_000_000))


async def test_an_offer_above_the_mandate_is_not_even_asked_for_and_goes_on_after_approval() -> None:
    async with Rig(seed=1) as rig:
        watch = IntentWatch(rig)
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant), max_per_period_msat=Msat(PRICE - 1))
        await rig.run_for(100)
        assert outbound(alice, subscription).phase is Phase.NEEDS_APPROVAL
        assert outbound(alice, subscription).awaiting_msat == PRICE
        assert events(alice) == ["subscription.needs_approval"]
        assert watch.requests == []

        alice.payer.approve(subscription)
        await rig.run_for(10)
        assert counters(alice, subscription) == [0]
        await rig.run_for(PERIOD)
        assert outbound(alice, subscription).phase is Phase.NEEDS_APPROVAL, "one yes is for one payment"
        assert counters(alice, subscription) == [0]

        alice.payer.approve(subscription, LARGE)
        await rig.run_for(3 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        ({"max_payments": 2}, 2),
        ({"max_total_msat": Msat(3 * PRICE + 1)}, 3),
        ({"ends_at": START + PERIOD + 1}, 2),
    ],
    ids=["payments", "total", "end"],
)
async def test_a_mandate_that_is_used_up_asks_before_the_next_payment(limits: dict[str, Any], allowed: int) -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant), **limits)
        await rig.run_for(allowed * PERIOD + 10)
        assert outbound(alice, subscription).phase is Phase.NEEDS_APPROVAL
        assert_paid(rig, alice, subscription, allowed)
        alice.payer.approve(subscription, LARGE)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_an_approval_that_comes_too_late_finds_the_subscription_over() -> None:
    async with Rig(seed=3) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant), max_payments=1)
        await rig.run_for(3 * PERIOD)
        assert outbound(alice, subscription).phase is Phase.LAPSED
        assert events(alice)[-1] == "subscription.missed"
        with pytest.raises(UsageError, match="nothing waits"):
            alice.payer.approve(subscription, LARGE)
        await rig.run_for(PERIOD)
        assert_paid(rig, alice, subscription, 1)


async def test_who_wants_to_be_asked_each_time_is_asked_each_time() -> None:
    async with Rig(seed=4) as rig:
        watch = IntentWatch(rig)
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant), Terms(trigger=Trigger.ON_APPROVAL))
        for payments in range(4):
            await rig.run_for(PERIOD)
            assert outbound(alice, subscription).phase is Phase.NEEDS_APPROVAL
            assert len(watch.requests) == payments
            alice.payer.approve(subscription)
            await rig.settle()
        await rig.run_for(10)
        assert_paid(rig, alice, subscription, 4)


@pytest.mark.parametrize("before", [0, 1])
async def test_a_merchant_that_asks_for_more_than_it_offered_gets_nothing_more(before: int) -> None:
    async with Rig(seed=5) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        if before == 0:
            _raise_prices(merchant.payee, 2)
        subscription = subscribe(alice, offer)
        await rig.run_for(PERIOD // 2)
        _raise_prices(merchant.payee, 2)
        await rig.run_for(PERIOD)
        assert outbound(alice, subscription).phase is Phase.NEEDS_APPROVAL
        assert outbound(alice, subscription).awaiting_msat in (2 * PRICE, 4 * PRICE)
        assert alice.account.balance_msat == 1_000_000_000 - before * PRICE
        assert_paid(rig, alice, subscription, before)


def _raise_prices(payee: Any, factor: int) -> None:
    make = payee._invoicer.make

    async def greedy(request: Any, issued: IssueInvoice, key: Any, **more: Any) -> Any:
        return await make(request, replace(issued, amount_msat=Msat(issued.amount_msat * factor)), key, **more)

    payee._invoicer.make = greedy
