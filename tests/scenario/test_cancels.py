"""Cancelling: nothing is paid from that moment on, and the payee is told as a courtesy."""

from typing import Any

import pytest

from helpers.rig import (
    PERIOD,
    IntentWatch,
    assert_paid,
    events,
    inbound,
    outbound,
    publish,
    subscribe,
)
from lnrecur.bolt12 import InvoiceRequest, Offer
from lnrecur.errors import UsageError
from lnrecur.recurrence.inbound_model import Phase as PayeePhase
from lnrecur.recurrence.outbound_model import Phase
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import RecurrenceId


async def _paid_once(rig: Rig, **mandate: Any) -> tuple[RigNode, RigNode, Offer, RecurrenceId]:
    merchant, alice = await rig.join("merchant"), await rig.join("alice")
    offer = publish(merchant)
    subscription = subscribe(alice, offer, **mandate)
    await rig.run_for(PERIOD // 2)
    assert_paid(rig, alice, subscription, 1)
    return merchant, alice, offer, subscription


def _payee_phase(merchant: RigNode, offer: Offer, alice: RigNode, subscription: RecurrenceId) -> PayeePhase | None:
    theirs = inbound(merchant, offer, alice, subscription)
    return None if theirs is None else theirs.phase


async def test_a_cancel_before_anything_was_paid_ends_it_without_a_word() -> None:
    async with Rig(seed=1, faults=Faults(loss=1.0)) as rig:
        watch = IntentWatch(rig)
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(60)
        assert outbound(alice, subscription).phase is Phase.AWAITING_FIRST_INVOICE
        sent = len(watch.requests)
        alice.payer.cancel(subscription)
        rig.network.faults.loss = 0.0
        await rig.run_for(3 * PERIOD)
        assert outbound(alice, subscription).phase is Phase.CANCELLED
        assert len(watch.requests) == sent
        assert_paid(rig, alice, subscription, 0)


async def test_a_cancel_between_two_periods_is_told_when_the_next_request_would_have_been_due() -> None:
    async with Rig(seed=2) as rig:
        merchant, alice, offer, subscription = await _paid_once(rig)
        watch = IntentWatch(rig)
        alice.payer.cancel(subscription)
        await rig.settle()
        assert outbound(alice, subscription).phase is Phase.CANCELLING
        assert watch.requests == []
        await rig.run_for(PERIOD)
        assert outbound(alice, subscription).phase is Phase.CANCELLED
        [cancel] = [InvoiceRequest.from_bytes(data) for data in watch.requests]
        assert cancel.is_cancel
        assert cancel.counter == 1
        assert _payee_phase(merchant, offer, alice, subscription) is PayeePhase.CANCELLED
        await rig.run_for(3 * PERIOD)
        assert_paid(rig, alice, subscription, 1)


async def test_a_cancel_while_the_invoice_is_awaited_forgets_the_invoice() -> None:
    async with Rig(seed=3) as rig:
        merchant, alice, offer, subscription = await _paid_once(rig)
        rig.network.faults = Faults(lateness=1.0, late_s_max=100)
        await rig.run_for(PERIOD // 2 + 1)
        assert outbound(alice, subscription).phase is Phase.REQUESTING
        alice.payer.cancel(subscription)
        await rig.run_for(3 * PERIOD)
        assert outbound(alice, subscription).phase is Phase.CANCELLED
        assert _payee_phase(merchant, offer, alice, subscription) is PayeePhase.CANCELLED
        assert_paid(rig, alice, subscription, 1)


async def test_a_cancel_while_a_payment_is_in_flight_follows_it_to_its_end_and_books_it() -> None:
    async with Rig(seed=4) as rig:
        merchant, alice, offer, subscription = await _paid_once(rig)
        merchant.money.hang("claim")
        await rig.run_for(PERIOD // 2 + 10)
        assert outbound(alice, subscription).phase is Phase.PAYING
        alice.payer.cancel(subscription)
        alice.payer.cancel(subscription)
        await rig.run_for(20)
        assert outbound(alice, subscription).phase is Phase.PAYING
        merchant.money.release()
        await rig.run_for(3 * PERIOD)
        assert outbound(alice, subscription).phase is Phase.CANCELLED
        assert _payee_phase(merchant, offer, alice, subscription) is PayeePhase.CANCELLED
        assert_paid(rig, alice, subscription, 2)


async def test_a_cancel_between_two_tries_of_a_payment_ends_the_trying() -> None:
    async with Rig(seed=5) as rig:
        merchant, alice, offer, subscription = await _paid_once(rig)
        alice.money.fail_next_payments(100)
        await rig.run_for(PERIOD // 2 + 30)
        assert events(alice, "subscription.payment_failed")
        alice.payer.cancel(subscription)
        await rig.settle()
        tries = alice.money.calls["pay"]
        await rig.run_for(3 * PERIOD)
        assert alice.money.calls["pay"] == tries
        assert outbound(alice, subscription).phase is Phase.CANCELLED
        assert _payee_phase(merchant, offer, alice, subscription) is PayeePhase.CANCELLED
        assert_paid(rig, alice, subscription, 1)


async def test_a_cancel_in_place_of_an_approval_ends_it() -> None:
    async with Rig(seed=6) as rig:
        merchant, alice, offer, subscription = await _paid_once(rig, max_payments=1)
        await rig.run_for(PERIOD // 2 + 10)
        assert outbound(alice, subscription).phase is Phase.NEEDS_APPROVAL
        alice.payer.cancel(subscription)
        await rig.run_for(PERIOD)
        assert outbound(alice, subscription).phase is Phase.CANCELLED
        assert _payee_phase(merchant, offer, alice, subscription) is PayeePhase.CANCELLED
        assert_paid(rig, alice, subscription, 1)


async def test_a_cancel_of_what_is_over_changes_nothing() -> None:
    async with Rig(seed=7) as rig:
        _, alice, _, subscription = await _paid_once(rig)
        await rig.run_for(4 * PERIOD)
        before = outbound(alice, subscription)
        assert before.phase is Phase.COMPLETED
        with pytest.raises(UsageError, match="nothing to cancel"):
            alice.payer.cancel(subscription)
        assert outbound(alice, subscription) == before


@pytest.mark.parametrize("after", [0, 1])
async def test_a_cancel_that_the_network_loses_still_ends_the_payments(after: int) -> None:
    async with Rig(seed=8) as rig:
        merchant, alice, offer, subscription = await _paid_once(rig)
        alice.payer.cancel(subscription)
        rig.network.faults.loss = 1.0
        await rig.run_for(PERIOD)
        rig.network.faults.loss = 0.0
        await rig.run_for(after * 3 * PERIOD)
        assert outbound(alice, subscription).phase is Phase.CANCELLED
        untold = PayeePhase.LAPSED if after else PayeePhase.ACTIVE
        assert _payee_phase(merchant, offer, alice, subscription) is untold, "it was never told"
        assert_paid(rig, alice, subscription, 1)


async def test_a_payee_that_is_away_is_told_of_the_cancel_when_it_is_back() -> None:
    async with Rig(seed=9) as rig:
        merchant, alice, offer, subscription = await _paid_once(rig)
        alice.payer.cancel(subscription)
        rig.crash("merchant")
        await rig.run_for(2 * PERIOD)
        await rig.restart("merchant")
        await rig.run_for(PERIOD)
        assert _payee_phase(merchant, offer, alice, subscription) is PayeePhase.CANCELLED
        assert_paid(rig, alice, subscription, 1)


async def test_a_payee_that_never_comes_back_is_given_up_after_about_a_day() -> None:
    async with Rig(seed=10) as rig:
        _, alice, _, subscription = await _paid_once(rig)
        alice.payer.cancel(subscription)
        rig.crash("merchant")
        await rig.run_for(20 * 3600)
        assert alice.manager.next_wake() is not None
        await rig.run_for(12 * 3600)
        assert alice.manager.next_wake() is None


async def test_a_payer_that_crashes_while_cancelling_tells_the_payee_all_the_same() -> None:
    async with Rig(seed=11) as rig:
        merchant, alice, offer, subscription = await _paid_once(rig)
        alice.payer.cancel(subscription)
        rig.crash("alice")
        await rig.run_for(3 * PERIOD)
        await rig.restart("alice")
        await rig.run_for(10)
        assert _payee_phase(merchant, offer, alice, subscription) is PayeePhase.CANCELLED
        assert_paid(rig, alice, subscription, 1)
