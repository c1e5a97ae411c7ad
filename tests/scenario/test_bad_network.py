"""Messages that are lost, doubled, late and out of order, and nodes that are away for a while."""

import pytest

from helpers.rig import (
    PERIOD,
    WINDOW,
    IntentWatch,
    assert_consistent,
    assert_paid,
    counters,
    events,
    inbound,
    outbound,
    publish,
    recurring,
    subscribe,
)
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.recurrence.inbound_model import Phase as PayeePhase
from lnrecur.recurrence.offering import OfferPolicy, Windows
from lnrecur.recurrence.outbound_model import Missed, Phase, Terms
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import Rig

EAGER = Terms(request_retry=RetryPolicy(first_delay_s=5, cap_s=30))
"""Asks often enough that no window closes on bad luck alone."""
BAD = Faults(loss=0.3, doubling=0.3, reordering=0.3, lateness=0.3, late_s_max=20)


@pytest.mark.parametrize("seed", range(50))
async def test_every_period_is_paid_once_however_bad_the_network_is(seed: int) -> None:
    async with Rig(seed, faults=BAD) as rig:
        watch = IntentWatch(rig)
        merchant = await rig.join("merchant")
        people = [await rig.join(name, dress=watch.dress(name)) for name in ("alice", "bob")]
        offer = publish(merchant, blinded=bool(seed % 2))
        subscriptions = [subscribe(person, offer, EAGER) for person in people]
        await rig.run_for(PERIOD // 4)
        for _ in range(8):
            await rig.run_for(PERIOD // 2)
            assert_consistent(rig)
        for person, subscription in zip(people, subscriptions, strict=True):
            assert_paid(rig, person, subscription, 4)
            assert outbound(person, subscription).phase is Phase.COMPLETED
        assert len(watch.orders) == len(set(watch.orders)) == 8, "one invoice was accepted per period"


async def test_a_resent_request_is_byte_identical_and_its_answer_too() -> None:
    async with Rig(seed=1, faults=Faults(doubling=1.0)) as rig:
        watch = IntentWatch(rig)
        merchant, alice = await rig.join("merchant"), await rig.join("alice", dress=watch.dress("alice"))
        rig.network.faults.loss = 0.6
        subscription = subscribe(alice, publish(merchant), EAGER)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert len(watch.requests) > len(set(watch.requests)) == 4


async def test_a_payee_that_is_away_is_asked_again_until_it_is_back() -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        subscription = subscribe(alice, offer)
        await rig.run_for(PERIOD // 2)
        rig.crash("merchant")
        await rig.run_for(PERIOD)
        assert counters(alice, subscription) == [0]
        assert "is down" in (outbound(alice, subscription).problem or "") or events(alice, "subscription.unreachable")
        await rig.restart("merchant")
        await rig.run_for(PERIOD // 2 - 200)
        assert counters(alice, subscription) == [0, 1]
        await rig.run_for(3 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_payee_that_stays_away_leaves_the_period_missed_and_an_event_says_so() -> None:
    async with Rig(seed=3) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 2)
        rig.crash("merchant")
        await rig.run_for(3 * PERIOD)
        await rig.restart("merchant")
        assert outbound(alice, subscription).phase is Phase.LAPSED
        assert events(alice, "subscription.missed")
        assert_paid(rig, alice, subscription, 1)


async def test_a_payer_that_is_away_for_less_than_its_window_pays_in_time() -> None:
    async with Rig(seed=4) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 2)
        rig.crash("alice")
        await rig.run_for(PERIOD)
        await rig.restart("alice")
        assert counters(alice, subscription) == [0, 1]
        await rig.run_for(3 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_payer_that_was_away_beyond_its_window_stops_if_it_was_told_to() -> None:
    async with Rig(seed=5) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant), Terms(missed=Missed.STOP))
        await rig.run_for(PERIOD // 2)
        rig.crash("alice")
        await rig.run_for(2 * PERIOD)
        await rig.restart("alice")
        assert outbound(alice, subscription).phase is Phase.LAPSED
        assert events(alice, "subscription.missed") == ["subscription.missed"]
        await rig.run_for(3 * PERIOD)
        assert_paid(rig, alice, subscription, 1)


async def test_a_payer_that_was_away_catches_up_in_order_where_the_payee_is_lenient() -> None:
    async with Rig(seed=6) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, policy=OfferPolicy(windows=Windows.LENIENT))
        subscription = subscribe(alice, offer, Terms(missed=Missed.CATCH_UP))
        await rig.run_for(PERIOD // 2)
        rig.crash("alice")
        await rig.run_for(2 * PERIOD + 400)
        await rig.restart("alice")
        await rig.run_for(5)
        assert counters(alice, subscription) == [0, 1, 2], "two periods were missed, both are paid now"
        await rig.run_for(2 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_who_wants_to_catch_up_with_a_strict_payee_is_refused_and_told_and_pays_nothing_more() -> None:
    async with Rig(seed=7) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant), Terms(missed=Missed.CATCH_UP))
        await rig.run_for(PERIOD // 2)
        rig.crash("alice")
        await rig.run_for(2 * PERIOD)
        await rig.restart("alice")
        await rig.run_for(2 * PERIOD)
        assert "counter 1 was not paid in time" in (outbound(alice, subscription).problem or "")
        assert events(merchant, "subscription.missed") == ["subscription.missed"]
        assert events(merchant, "subscription.lapsed") == ["subscription.lapsed"]
        assert_paid(rig, alice, subscription, 1)


async def test_an_invoice_that_comes_late_is_still_paid_within_its_window() -> None:
    async with Rig(seed=8, faults=Faults(lateness=1.0, late_s_max=200)) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, recurring(paywindow=Paywindow(WINDOW.seconds_before, PERIOD)))
        subscription = subscribe(alice, offer)
        await rig.run_for(5 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        theirs = inbound(merchant, offer, alice, subscription)
        assert theirs is not None
        assert theirs.phase is PayeePhase.COMPLETED


async def test_the_answer_to_a_request_from_before_a_restart_is_still_welcome() -> None:
    patient = Terms(request_retry=RetryPolicy(first_delay_s=800))
    async with Rig(seed=9) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        rig.network.faults = Faults(lateness=1.0, late_s_max=20)
        subscription = subscribe(alice, publish(merchant), patient)
        await rig.settle()
        rig.crash("alice")
        await rig.restart("alice")
        await rig.run_for(60)
        assert counters(alice, subscription) == [0]
