"""No period is told as missed while its payment may stand among the receipts that were not read yet."""

import pytest

from helpers.rig import PERIOD, assert_paid, events, publish, recurring, subscribe
from helpers.shelf import Shelf
from lnrecur.daemon.doctor import look_at_work
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus, Windows
from lnrecur.testing.rig import Rig

WINDOWS = pytest.mark.parametrize("windows", list(Windows))
LONG = recurring(limit=9)


@WINDOWS
async def test_a_store_of_yesterday_books_what_was_paid_and_tells_none_of_it_as_missed(windows: Windows) -> None:
    async with Rig(seed=21) as rig:
        shelf = Shelf()
        merchant = await rig.join("merchant", open_manager=shelf.open)
        alice = await rig.join("alice")
        subscription = subscribe(alice, publish(merchant, LONG, policy=OfferPolicy(windows=windows)))
        await rig.run_for(PERIOD // 4)
        yesterday = shelf.backup()
        await rig.run_for(3 * PERIOD)
        shelf.restore(yesterday)
        merchant = await rig.restart("merchant")
        await rig.run_for(PERIOD)
        assert_paid(rig, alice, subscription, 5)
        told = events(merchant)
        assert "subscription.missed" not in told
        assert "subscription.lapsed" not in told
        assert told.count("subscription.renewed") == 4


@WINDOWS
async def test_while_the_money_node_is_away_nothing_is_told_as_missed_and_afterwards_all_is(windows: Windows) -> None:
    """The payer is gone for good; whether it has paid is known only once the node answers again."""
    async with Rig(seed=22) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscribe(alice, publish(merchant, LONG, policy=OfferPolicy(windows=windows)))
        await rig.run_for(PERIOD // 4)
        rig.crash("alice")
        rig.crash("merchant")
        merchant.money.go_down()
        merchant = await rig.restart("merchant")
        await rig.run_for(3 * PERIOD)
        assert "subscription.missed" not in events(merchant)
        assert merchant.services is not None
        work = merchant.services.scheduler, merchant.payee.receiver.known
        assert [finding.subject for finding in look_at_work(*work)] == ["receipts"]
        merchant.money.come_back()
        await rig.run_for(PERIOD // 8)
        told = events(merchant)
        assert told.count("subscription.missed") == (1 if windows is Windows.STRICT else 2)
        assert ("subscription.lapsed" in told) == (windows is Windows.STRICT)
        assert look_at_work(*work) == []


@WINDOWS
async def test_an_offer_that_is_over_ends_its_subscriptions_whether_or_not_receipts_are_read(
    windows: Windows,
) -> None:
    async with Rig(seed=24) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, LONG, policy=OfferPolicy(windows=windows))
        subscribe(alice, offer)
        await rig.run_for(PERIOD // 4)
        rig.crash("alice")
        merchant.money.go_down()
        merchant = await rig.restart("merchant")
        merchant.payee.subscribers.change_offer(offer.offer_id, OfferStatus.ENDED)
        assert "subscription.ended" in events(merchant)
