"""What a seed alone brings back, and what a store of yesterday does: docs/backup.md tells both."""

from helpers.rig import PERIOD, assert_paid, outbound, publish, subscribe
from helpers.shelf import Shelf
from lnrecur.recurrence.outbound_model import Phase
from lnrecur.testing.rig import Rig


async def test_a_payer_with_a_store_of_yesterday_pays_nothing_twice_and_goes_on() -> None:
    async with Rig(seed=11) as rig:
        shelf = Shelf()
        merchant = await rig.join("merchant")
        alice = await rig.join("alice", open_manager=shelf.open)
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD + PERIOD // 4)
        yesterday = shelf.backup()
        await rig.run_for(PERIOD)
        assert_paid(rig, alice, subscription, 3)
        shelf.restore(yesterday)
        alice = await rig.restart("alice")
        await rig.run_for(PERIOD)
        [payer] = merchant.manager.inbounds()
        assert payer.surplus_msat == 0
        assert [booked.booking.counter for booked in merchant.manager.payments()] == [0, 1, 2, 3]
        assert outbound(alice, subscription).next_counter == 4
        adopted = [event.data["counter"] for event in alice.manager.events() if event.name == "subscription.adopted"]
        assert adopted == [2]
        mine = [payment.booking.counter for payment in alice.manager.payments()]
        assert mine == [0, 1, 3], "what was paid meanwhile is not in the books"


async def test_a_payer_with_a_store_older_than_a_pay_window_pays_nothing_twice_but_may_lapse() -> None:
    async with Rig(seed=11) as rig:
        shelf = Shelf()
        merchant = await rig.join("merchant")
        alice = await rig.join("alice", open_manager=shelf.open)
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 4)
        old = shelf.backup()
        await rig.run_for(2 * PERIOD)
        shelf.restore(old)
        alice = await rig.restart("alice")
        await rig.run_for(2 * PERIOD)
        assert [booked.booking.counter for booked in merchant.manager.payments()] == [0, 1, 2]
        assert outbound(alice, subscription).phase is Phase.LAPSED


async def test_a_payee_with_a_store_of_yesterday_books_what_it_was_paid_meanwhile() -> None:
    async with Rig(seed=12) as rig:
        shelf = Shelf()
        merchant = await rig.join("merchant", open_manager=shelf.open)
        alice = await rig.join("alice")
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 4)
        yesterday = shelf.backup()
        await rig.run_for(2 * PERIOD)
        shelf.restore(yesterday)
        await rig.restart("merchant")
        await rig.run_for(PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_seed_alone_knows_its_offers_and_sells_them_but_no_subscriber() -> None:
    async with Rig(seed=13) as rig:
        shelf = Shelf()
        merchant = await rig.join("merchant", open_manager=shelf.open)
        alice, bob = await rig.join("alice"), await rig.join("bob")
        offer = publish(merchant)
        old = subscribe(alice, offer)
        await rig.run_for(PERIOD // 4)
        node_id = merchant.node_id
        shelf.lose()
        merchant = await rig.restart("merchant")
        assert (merchant.node_id, list(merchant.manager.offers())) == (node_id, [])
        new = subscribe(bob, offer)
        await rig.run_for(PERIOD // 4)
        assert outbound(bob, new).payments == 1
        await rig.run_for(2 * PERIOD)
        assert outbound(bob, new).payments == 3
        assert outbound(alice, old).payments >= 1
        assert len([one for one in merchant.manager.payments() if not one.booking.surplus]) >= 3


async def test_a_seed_alone_pays_nothing_that_it_does_not_know_of() -> None:
    async with Rig(seed=14) as rig:
        shelf = Shelf()
        merchant = await rig.join("merchant")
        alice = await rig.join("alice", open_manager=shelf.open)
        subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 4)
        shelf.lose()
        alice = await rig.restart("alice")
        await rig.run_for(3 * PERIOD)
        assert (list(alice.manager.outbounds()), alice.money.calls["pay"]) == ([], 1)
        assert len(merchant.manager.payments()) == 1
