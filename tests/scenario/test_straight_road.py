"""The straight road: from offer to last payment, whatever the offer looks like."""

import pytest

from helpers.rig import (
    DAY,
    PERIOD,
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
from lnrecur.bolt12 import Dialect, TimeUnit
from lnrecur.bolt12.codecs import RecurrenceBase
from lnrecur.recurrence.outbound_model import Phase, Terms
from lnrecur.testing.rig import START, Rig


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("blinded", [False, True], ids=["direct", "blinded"])
@pytest.mark.parametrize("based", [False, True], ids=["without base", "with base"])
async def test_a_subscription_runs_from_offer_to_last_payment_and_both_books_agree(
    dialect: Dialect, blinded: bool, based: bool
) -> None:
    async with Rig(seed=1) as rig:
        watch = IntentWatch(rig)
        merchant, alice = await rig.join("merchant"), await rig.join("alice", dress=watch.dress("alice"))
        base = RecurrenceBase(0, START - 10) if based else None
        offer = publish(merchant, recurring(dialect=dialect, base=base), blinded=blinded)
        subscription = subscribe(alice, offer)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert outbound(alice, subscription).phase is Phase.COMPLETED
        theirs = inbound(merchant, offer, alice, subscription)
        assert theirs is not None
        assert theirs.phase == "completed"
        assert theirs.basetime == outbound(alice, subscription).basetime == (START - 10 if based else START)
        assert len(watch.requests) == len(watch.orders) == 4, "nothing was asked or paid twice"
        assert events(merchant, "subscription.renewed") == ["subscription.renewed"] * 3


@pytest.mark.parametrize(
    ("unit", "period", "days"),
    [(TimeUnit.DAYS, 7, 4 * 7 + 1), (TimeUnit.MONTHS, 1, 4 * 31), (TimeUnit.MONTHS, 12, 1500)],
)
async def test_weeks_months_and_years_are_paid_when_they_begin(unit: TimeUnit, period: int, days: int) -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, recurring(unit=unit, period=period, paywindow=None))
        subscription = subscribe(alice, offer)
        await rig.run_for(days * DAY)
        assert_paid(rig, alice, subscription, 4)
        for paid in alice.manager.payments(subscription):
            assert paid.booking.period_start is not None
            assert 0 <= paid.booking.settled_at - paid.booking.period_start <= 5


async def test_months_without_an_end_go_on_and_a_base_on_the_31st_is_paid_on_the_last_day_of_short_months() -> None:
    base = RecurrenceBase(0, 1_769_817_600)  # 2026-01-31
    async with Rig(seed=3, start=base.basetime) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, recurring(unit=TimeUnit.MONTHS, period=1, paywindow=None, limit=None, base=base))
        subscription = subscribe(alice, offer)
        await rig.run_for(364 * DAY)
        assert_paid(rig, alice, subscription, 12)
        starts = [paid.booking.period_start for paid in alice.manager.payments(subscription)]
        assert starts[1:3] == [1_772_236_800, 1_774_915_200]  # 28 February and 31 March


async def test_who_joins_an_offer_with_a_base_late_pays_from_the_running_period_to_the_last() -> None:
    async with Rig(seed=4) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, recurring(base=RecurrenceBase(0, START - 2 * PERIOD - 5)))
        subscription = subscribe(alice, offer)
        await rig.run_for(4 * PERIOD)
        assert outbound(alice, subscription).terms.start == 2
        assert_paid(rig, alice, subscription, 2)
        assert outbound(alice, subscription).phase is Phase.COMPLETED


async def test_who_joins_a_proportional_offer_inside_a_period_pays_for_what_is_left_of_it() -> None:
    async with Rig(seed=5) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, recurring(base=RecurrenceBase(1, START - 250), limit=None))
        subscription = subscribe(alice, offer)
        await rig.run_for(2 * PERIOD)
        amounts = [paid.booking.amount_msat for paid in alice.manager.payments(subscription)]
        assert amounts == [7500, 10_000, 10_000]
        assert_consistent(rig)


async def test_several_subscribers_of_one_merchant_do_not_disturb_each_other() -> None:
    async with Rig(seed=6) as rig:
        merchant = await rig.join("merchant")
        offer = publish(merchant)
        names = ["alice", "bob", "carol", "dave"]
        people = [await rig.join(name) for name in names]
        subscriptions = [subscribe(person, offer) for person in people]
        twice = subscribe(people[0], offer)
        await rig.run_for(4 * PERIOD)
        for person, subscription in zip([*people, people[0]], [*subscriptions, twice], strict=True):
            assert_paid(rig, person, subscription, 4)


async def test_two_nodes_may_be_payee_and_payer_of_each_other() -> None:
    async with Rig(seed=7) as rig:
        alice, bob = await rig.join("alice"), await rig.join("bob")
        there = subscribe(alice, publish(bob))
        back = subscribe(bob, publish(alice, blinded=True))
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, there, 4)
        assert_paid(rig, bob, back, 4)


async def test_the_same_seed_tells_the_same_story() -> None:
    books = []
    for _ in range(2):
        async with Rig(seed=8) as rig:
            rig.network.faults.loss = 0.5
            merchant, alice = await rig.join("merchant"), await rig.join("alice")
            subscribe(alice, publish(merchant))
            await rig.run_for(4 * PERIOD)
            books.append((list(alice.manager.payments()), list(alice.manager.events()), rig.network.submitted))
    assert books[0] == books[1]


async def test_a_subscriber_may_want_several_and_say_something() -> None:
    async with Rig(seed=9) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, quantity_max=5)
        terms = Terms(quantity=3, payer_note="for the office")
        subscription = subscribe(alice, offer, terms, max_per_period_msat=30_000)
        await rig.run_for(PERIOD)
        theirs = inbound(merchant, offer, alice, subscription)
        assert theirs is not None
        assert (theirs.quantity, theirs.payer_note, theirs.received_msat) == (3, "for the office", 60_000)
        assert counters(alice, subscription) == [0, 1]
