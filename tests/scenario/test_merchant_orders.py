"""What a merchant orders, between real payers and a real payee: pause, waive, end; retire and replace an offer."""

import pytest

from helpers.rig import PERIOD, assert_consistent, assert_paid, counters, events, inbound, outbound, publish, subscribe
from lnrecur.bolt12 import Offer
from lnrecur.recurrence.inbound_model import Phase as PayeePhase
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus, Windows
from lnrecur.recurrence.outbound_model import Missed, Phase, Terms
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import Point, RecurrenceId


def _payer_id(payer: RigNode, subscription: RecurrenceId) -> Point:
    return payer.keyring.payer(subscription).payer_id


async def test_a_waived_period_is_skipped_by_both_sides_and_the_books_agree() -> None:
    async with Rig(seed=1) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        subscription = subscribe(alice, offer)
        await rig.run_for(PERIOD // 2)
        merchant.payee.subscribers.waive(offer.offer_id, _payer_id(alice, subscription))
        await rig.run_for(4 * PERIOD)
        assert counters(alice, subscription) == [0, 2, 3]
        theirs = inbound(merchant, offer, alice, subscription)
        assert theirs is not None
        assert (theirs.phase, theirs.payments, theirs.waived) == (PayeePhase.COMPLETED, 3, 1)
        assert outbound(alice, subscription).phase is Phase.COMPLETED
        assert events(merchant, "subscription.waived") == ["subscription.waived"]
        assert events(merchant, "subscription.missed") == []
        assert_consistent(rig)


async def test_a_paused_subscriber_who_catches_up_goes_on_behind_the_pause() -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        subscription = subscribe(alice, offer, Terms(missed=Missed.CATCH_UP))
        await rig.run_for(PERIOD // 2)
        subscribers, payer_id = merchant.payee.subscribers, _payer_id(alice, subscription)
        subscribers.pause(offer.offer_id, payer_id)
        await rig.run_for(2 * PERIOD)
        assert counters(alice, subscription) == [0]
        subscribers.resume(offer.offer_id, payer_id)
        await rig.run_for(3 * PERIOD)
        assert events(merchant, "subscription.waived") != []
        assert events(merchant, "subscription.missed") == []
        paid = counters(alice, subscription)
        assert paid[0] == 0
        assert paid[-1] == 3
        theirs = inbound(merchant, offer, alice, subscription)
        assert theirs is not None
        assert theirs.payments + theirs.waived == 4
        assert_consistent(rig)


async def test_an_ended_subscription_is_told_to_its_payer_who_stops() -> None:
    async with Rig(seed=3) as rig:
        merchant, alice, bob = [await rig.join(name) for name in ("merchant", "alice", "bob")]
        offer = publish(merchant)
        hers, his = subscribe(alice, offer), subscribe(bob, offer)
        await rig.run_for(PERIOD // 2)
        merchant.payee.subscribers.end(offer.offer_id, _payer_id(alice, hers))
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, hers, 1)
        assert_paid(rig, bob, his, 4)
        assert outbound(alice, hers).phase is Phase.LAPSED
        assert "recurrence-ended" in (outbound(alice, hers).problem or "")


async def test_a_retired_offer_serves_those_it_has_and_nobody_else() -> None:
    async with Rig(seed=4) as rig:
        merchant, alice, bob = [await rig.join(name) for name in ("merchant", "alice", "bob")]
        offer = publish(merchant)
        hers = subscribe(alice, offer)
        await rig.run_for(PERIOD // 2)
        merchant.payee.subscribers.change_offer(offer.offer_id, OfferStatus.RETIRED)
        his = subscribe(bob, offer)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, hers, 4)
        assert_paid(rig, bob, his, 0)
        assert "closed for new subscribers" in (outbound(bob, his).problem or "")


async def test_a_replaced_offer_ends_its_subscriptions_and_names_the_next() -> None:
    async with Rig(seed=5) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer, better = publish(merchant), publish(merchant, description="a better thing")
        subscription = subscribe(alice, offer)
        await rig.run_for(PERIOD // 2)
        merchant.payee.subscribers.change_offer(offer.offer_id, OfferStatus.REPLACED, better.offer_id)
        theirs = inbound(merchant, offer, alice, subscription)
        assert theirs is not None
        assert theirs.phase is PayeePhase.ENDED
        await rig.run_for(PERIOD)
        assert_paid(rig, alice, subscription, 1)
        assert outbound(alice, subscription).phase in (Phase.LAPSED, Phase.NEEDS_APPROVAL)
        names = events(merchant)
        assert names[-2:] == ["offer.replaced", "subscription.ended"]


async def test_a_merchant_that_crashes_while_ending_an_offer_ends_the_rest_when_it_is_back() -> None:
    async with Rig(seed=6) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        subscription = subscribe(alice, offer)
        await rig.run_for(PERIOD // 2)
        merchant.payee.offers.change(offer.offer_id, OfferStatus.ENDED)  # and no further
        await rig.restart("merchant")
        await rig.run_for(2 * PERIOD)
        theirs = inbound(merchant, offer, alice, subscription)
        assert theirs is not None
        assert theirs.phase is PayeePhase.ENDED
        assert events(merchant, "subscription.missed") == []
        assert_paid(rig, alice, subscription, 1)


@pytest.mark.parametrize("windows", Windows)
async def test_periods_that_nobody_pays_are_told_to_the_merchant(windows: Windows) -> None:
    async with Rig(seed=7) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, policy=OfferPolicy(windows=windows))
        subscription = subscribe(alice, offer)
        await rig.run_for(PERIOD // 2)
        rig.crash("alice")
        await rig.run_for(5 * PERIOD)
        theirs = inbound(merchant, offer, alice, subscription)
        assert theirs is not None
        if windows is Windows.STRICT:
            assert events(merchant)[-2:] == ["subscription.missed", "subscription.lapsed"]
            assert (theirs.phase, theirs.missed) == (PayeePhase.LAPSED, 1)
        else:
            assert events(merchant)[-3:] == ["subscription.missed"] * 3
            assert (theirs.phase, theirs.missed, theirs.wake_at) == (PayeePhase.ACTIVE, 3, None)


async def test_a_payment_whose_receipt_was_lost_in_a_long_outage_still_counts() -> None:
    async with Rig(seed=8) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        subscription = subscribe(alice, offer)
        await rig.run_for(PERIOD // 2)
        merchant.money.hang("receipts")
        await rig.run_for(PERIOD)
        rig.crash("merchant")
        merchant.money.release("receipts")
        await rig.run_for(PERIOD)
        await rig.restart("merchant")
        await rig.run_for(2 * PERIOD)
        assert counters(merchant, _subject(merchant, offer)) == counters(alice, subscription)
        assert counters(alice, subscription)[:2] == [0, 1]
        assert_consistent(rig)


def _subject(merchant: RigNode, offer: Offer) -> bytes:
    [state] = [state for state in merchant.manager.inbounds() if state.offer_id == offer.offer_id]
    return state.subscription_id
