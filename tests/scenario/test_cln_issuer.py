"""Our payer at a Core Lightning issuer (a model held to its recordings), for years and over bad networks.

The promises hold as everywhere: each counter is paid once and in order (P1), within the mandate (P2), no period ends
without an event (P3), and the books agree with what the issuer was paid (P6).
"""

import random
from dataclasses import replace
from typing import Any

import pytest

from helpers.cln_issuer import Label, Version
from helpers.cln_nodes import PRICE, ClnIssuerNode
from helpers.rig import Death, IntentWatch, counters, events, live_through, outbound, subscribe
from lnrecur.bolt12 import InvoiceRequest, Offer, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.crypto.hashes import sha256
from lnrecur.errors import UsageError
from lnrecur.ports import FailureReason, SentState
from lnrecur.recurrence.outbound_model import Missed, Phase, Terms, Wait
from lnrecur.recurrence.outbound_terms import PayAt
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import START, Rig, RigNode
from lnrecur.values import Msat, RecurrenceId

DAY = 86_400
MONTH = 31 * DAY
MONTHLY = Recurrence(TimeUnit.MONTHS, 1)
DAILY = Recurrence(TimeUnit.DAYS, 1)
WINDOW = Paywindow(DAY, 5 * DAY)
BAD = Faults(loss=0.3, doubling=0.3, reordering=0.3, lateness=0.3, late_s_max=20)
EAGER = Terms(request_retry=RetryPolicy(5, cap_s=30))
VERSIONS = list(Version)


def assert_agreed(rig: Rig, issuer: ClnIssuerNode, payer: RigNode, subscription: RecurrenceId, payments: int) -> None:
    """So many periods are paid, each once and in order, and both sides know of the same payments."""
    state = outbound(payer, subscription)
    booked = payer.manager.payments(subscription)
    assert [paid.booking.counter for paid in booked] == list(range(payments))
    assert state.payments == state.next_counter == payments
    payer_id = payer.keyring.payer(subscription).payer_id
    assert issuer.paid_counters(state.offer, payer_id) == list(range(payments))
    assert all(sha256(paid.booking.preimage) == paid.booking.payment_hash for paid in booked)
    settled = [hash_ for hash_, paid in rig.ledger.payments.items() if paid.sent.state is SentState.SUCCEEDED]
    assert sorted(settled) == sorted(paid.booking.payment_hash for paid in payer.manager.payments())


def last_event(payer: RigNode, name: str) -> dict[str, Any]:
    """What the last event of a name says."""
    return dict([event for event in payer.manager.events() if event.name == name][-1].data)


# --- years -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("recurrence", [
    MONTHLY,
    replace(MONTHLY, paywindow=WINDOW, base=RecurrenceBase(0, START - 10 * DAY - 7)),
    replace(MONTHLY, base=RecurrenceBase(0, START + 40 * DAY)),
    replace(DAILY, period=10, paywindow=Paywindow(0, DAY)),
])  # fmt: skip
async def test_three_years_are_paid_over_a_bad_network(version: Version, seed: int, recurrence: Recurrence) -> None:
    async with Rig(seed, faults=BAD) as rig, ClnIssuerNode(rig, version) as issuer:
        watch = IntentWatch(rig, strangers={issuer.node_id: issuer.key})
        alice = await rig.join("alice", dress=watch.dress("alice"))
        offer = issuer.publish(replace(recurrence, limit=30))
        subscription = subscribe(alice, offer, replace(EAGER, jitter_s=3600))
        first = outbound(alice, subscription).terms.start or 0
        await rig.run_for(3 * 366 * DAY)
        assert_agreed(rig, issuer, alice, subscription, 31 - first)
        assert outbound(alice, subscription).phase is Phase.COMPLETED
        assert len(watch.orders) == len(set(watch.orders)), "one invoice was accepted per period"
        assert not set(events(alice)) & {"subscription.missed", "subscription.price_differs", "subscription.given_up"}


@pytest.mark.parametrize("seed", range(6))
async def test_sudden_deaths_of_the_payer_pay_nothing_twice(seed: int) -> None:
    async with Rig(seed, faults=replace(BAD, loss=0.1)) as rig, ClnIssuerNode(rig) as issuer:
        death = Death(rig, "alice", [1 + (seed * 7 + step * 5) % 23 for step in range(12)])
        alice = await rig.join("alice", dress=death.dress)
        subscription = subscribe(alice, issuer.publish(replace(DAILY, limit=9)), EAGER)
        death.armed = True
        await live_through(rig, 11 * DAY, look_s=3600)
        assert len(death.died) > 8
        assert_agreed(rig, issuer, alice, subscription, 10)


# --- 2: one msat -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_proportional_periods_for_one_msat_are_paid_and_each_is_told(version: Version) -> None:
    async with Rig(1) as rig, ClnIssuerNode(rig, version) as issuer:
        alice = await rig.join("alice")
        offer = issuer.publish(replace(DAILY, base=RecurrenceBase(1, START - DAY // 2), limit=3))
        subscription = subscribe(alice, offer)
        early = subscribe(alice, offer, Terms(pay_at=PayAt.EARLIEST))
        await rig.run_for(5 * DAY)
        assert outbound(alice, subscription).paid_msat == 4
        assert outbound(alice, early).paid_msat == 1 + 3 * PRICE, "a period that has not begun costs its price"
        assert events(alice).count("subscription.price_differs") == 4 + 1
        told = last_event(alice, "subscription.price_differs")
        assert (told["amount_msat"], told["expected_msat"]) == (1, PRICE)
        for one in (subscription, early):
            assert issuer.paid_counters(offer, alice.keyring.payer(one).payer_id) == [0, 1, 2, 3]


# --- 3 and 4: cancels ------------------------------------------------------------------------------------------------


async def unpaid(rig: Rig, issuer: ClnIssuerNode, alice: RigNode, paid: int = 1) -> tuple[Offer, RecurrenceId]:
    """A subscription with an invoice for the next period out that cannot be paid."""
    offer = issuer.publish(DAILY)
    subscription = subscribe(alice, offer)
    if paid:
        await rig.run_for(paid * DAY - 100)
    alice.money.fail_next_payments(10**4, reason=FailureReason.NO_ROUTE)
    await rig.run_for(300)
    assert outbound(alice, subscription).payments == paid
    assert outbound(alice, subscription).payment is not None
    return offer, subscription


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_cancel_that_is_lost_behind_an_unpaid_invoice_is_told_and_repeated_and_nothing_is_paid(
    version: Version,
) -> None:
    async with Rig(2) as rig, ClnIssuerNode(rig, version) as issuer:
        alice = await rig.join("alice")
        offer, subscription = await unpaid(rig, issuer, alice)
        alice.money.forget_troubles()
        alice.payer.cancel(subscription)
        await rig.run_for(3600)
        label = Label(offer.offer_id, alice.keyring.payer(subscription).payer_id, 1)
        assert issuer.model.invoices[label].status(rig.clock.now()) == "unpaid", "the issuer has forgotten the cancel"
        assert outbound(alice, subscription).phase is Phase.CANCELLING
        assert events(alice)[-1] == "subscription.cancel_unheard"
        await rig.run_for(3 * DAY)
        assert outbound(alice, subscription).phase is Phase.CANCELLED
        cancels = [data for data in issuer.requests if InvoiceRequest.from_bytes(data).is_cancel]
        assert len(cancels) == 2
        assert cancels[0] == cancels[1]
        assert counters(alice, subscription) == [0]
        assert issuer.paid_counters(offer, label.payer_id) == [0]


async def test_a_cancel_in_its_window_is_heard_and_its_counter_sold_no_more() -> None:
    async with Rig(3) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        offer = issuer.publish(replace(DAILY, paywindow=Paywindow(100, 200)))
        subscription = subscribe(alice, offer)
        await rig.run_for(3600)
        alice.payer.cancel(subscription)
        await rig.run_for(2 * DAY)
        label = Label(offer.offer_id, alice.keyring.payer(subscription).payer_id, 1)
        assert issuer.model.invoices[label].cancelled
        assert outbound(alice, subscription).phase is Phase.CANCELLED


async def test_before_the_first_payment_nothing_is_sent_that_would_burn_counter_0() -> None:
    async with Rig(4) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        _, subscription = await unpaid(rig, issuer, alice, paid=0)
        alice.payer.cancel(subscription)
        await rig.run_for(3 * DAY)
        assert not any(InvoiceRequest.from_bytes(data).is_cancel for data in issuer.requests)
        assert outbound(alice, subscription).phase is Phase.CANCELLED


# --- 5: the old invoice ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_payment_that_failed_for_good_is_tried_with_the_same_invoice(version: Version) -> None:
    async with Rig(5) as rig, ClnIssuerNode(rig, version) as issuer:
        alice = await rig.join("alice")
        subscription = subscribe(alice, issuer.publish(replace(DAILY, limit=3)))
        for _ in range(4):
            alice.money.fail_next_payments(3, reason=FailureReason.REFUSED_BY_PAYEE, retryable=False)
            await rig.run_for(DAY)
        assert_agreed(rig, issuer, alice, subscription, 4)
        assert len(issuer.requests) > len(set(issuer.requests)) == 4, "the same bytes for each counter"


async def test_another_holder_of_the_seed_pays_no_period_twice() -> None:
    async with Rig(6) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        offer = issuer.publish(replace(DAILY, limit=5))
        subscription = subscribe(alice, offer)
        await rig.run_for(3600)
        twin = await rig.join("twin", twin_of="alice", shares_money=False)
        await rig.run_for(6 * DAY)
        payer_id = alice.keyring.payer(subscription).payer_id
        paid = sorted(counters(alice, subscription) + [one for one in counters(twin, subscription) if one])
        assert paid == sorted(set(paid)), "no counter by both"
        assert issuer.paid_counters(offer, payer_id) == paid
        for node in (alice, twin):
            state = outbound(node, subscription)
            assert state.phase is Phase.COMPLETED or state.waits_for is Wait.REFUSAL or state.phase is Phase.LAPSED


# --- 7: windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_first_payment_waits_for_the_window_that_binds_it(version: Version) -> None:
    async with Rig(7) as rig, ClnIssuerNode(rig, version) as issuer:
        alice = await rig.join("alice")
        base = START - DAY // 2
        offer = issuer.publish(replace(DAILY, base=RecurrenceBase(0, base), paywindow=Paywindow(3600, 3600), limit=3))
        subscription = subscribe(alice, offer)
        assert outbound(alice, subscription).terms.start == 1
        assert outbound(alice, subscription).wake_at == base + DAY - 3600
        await rig.run_for(5 * DAY)
        assert_agreed(rig, issuer, alice, subscription, 3)
        assert "subscription.request_refused" not in events(alice)


@pytest.mark.parametrize("missed", list(Missed))
async def test_a_missed_period_ends_the_series_for_good(missed: Missed) -> None:
    async with Rig(8) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        subscription = subscribe(alice, issuer.publish(DAILY), Terms(missed=missed))
        await rig.run_for(2 * DAY - 3600)
        rig.crash("alice")
        await rig.run_for(3 * DAY)
        await rig.restart("alice")
        await rig.run_for(DAY)
        assert_agreed(rig, issuer, alice, subscription, 2)
        assert outbound(alice, subscription).phase is Phase.LAPSED
        told = [event for event in alice.manager.events() if event.name == "subscription.missed"]
        assert [event.data["counter"] for event in told][:1] == [2]


# --- 11: an invoice that expires unpaid ------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "phase"), [(Version.V26_06, Phase.LAPSED), (Version.MASTER, Phase.IDLE)])
async def test_a_person_who_says_yes_after_the_invoice_expired_hears_what_it_means(
    version: Version, phase: Phase
) -> None:
    async with Rig(9) as rig, ClnIssuerNode(rig, version) as issuer:
        alice = await rig.join("alice")
        offer = issuer.publish(replace(DAILY, base=RecurrenceBase(1, START - 3600)))
        subscription = subscribe(alice, offer, Terms(ask_if_price_differs=True))
        await rig.run_for(60)
        told = last_event(alice, "subscription.needs_approval")
        assert (told["waits_for"], told["invoice_expires_at"]) == ("price", START - 3600 + DAY - 1)
        stored = issuer.model.invoices[Label(offer.offer_id, alice.keyring.payer(subscription).payer_id, 0)]
        stored.expires_at = START + 3600  # while the window is open
        await rig.run_for(7200)
        alice.payer.approve(subscription)
        await rig.run_for(60)
        assert outbound(alice, subscription).phase is phase
        if version is Version.V26_06:
            assert "expired unpaid" in str(last_event(alice, "subscription.ended")["meaning"])
            assert_agreed(rig, issuer, alice, subscription, 0)


async def test_a_person_who_says_yes_in_time_pays_the_invoice_that_was_asked_for_first() -> None:
    async with Rig(10) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        offer = issuer.publish(replace(DAILY, base=RecurrenceBase(1, START - 3600), limit=1))
        subscription = subscribe(alice, offer, Terms(ask_if_price_differs=True))
        for _ in range(2):
            await rig.run_for(3600)
            assert outbound(alice, subscription).waits_for is Wait.PRICE
            alice.payer.approve(subscription)
            await rig.run_for(DAY - 3600)
        assert_agreed(rig, issuer, alice, subscription, 2)
        assert outbound(alice, subscription).paid_msat == 2


async def test_a_yes_pays_the_invoice_at_hand_though_the_issuer_is_away() -> None:
    async with Rig(15) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        offer = issuer.publish(replace(DAILY, base=RecurrenceBase(1, START - 3600), limit=1))
        subscription = subscribe(alice, offer, Terms(ask_if_price_differs=True))
        await rig.run_for(60)
        rig.network.leave(issuer.node_id)  # its messages; its channels are open
        alice.payer.approve(subscription)
        await rig.run_for(60)
        assert_agreed(rig, issuer, alice, subscription, 1)
        assert len(issuer.requests) == 1


async def test_an_invoice_that_could_never_be_paid_ends_the_subscription_with_an_event() -> None:
    async with Rig(11) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        _, subscription = await unpaid(rig, issuer, alice)
        await rig.run_for(3 * DAY)
        assert outbound(alice, subscription).phase is Phase.LAPSED
        assert {"subscription.missed", "subscription.given_up"} & set(events(alice))
        assert_agreed(rig, issuer, alice, subscription, 1)


# --- its words -------------------------------------------------------------------------------------------------------


async def test_an_offer_that_its_owner_disabled_ends_the_subscription() -> None:
    async with Rig(12) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        offer = issuer.publish(DAILY)
        subscription = subscribe(alice, offer)
        await rig.run_for(3600)
        issuer.model.disable(offer.offer_id)
        await rig.run_for(2 * DAY)
        assert_agreed(rig, issuer, alice, subscription, 1)
        assert "sells the offer to nobody" in str(last_event(alice, "subscription.ended")["meaning"])


async def test_an_issuer_that_forgets_what_was_paid_is_for_a_person_to_judge() -> None:
    async with Rig(13) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        offer = issuer.publish(DAILY)
        subscription = subscribe(alice, offer)
        await rig.run_for(3600)
        issuer.model.forget(Label(offer.offer_id, alice.keyring.payer(subscription).payer_id, 0))
        await rig.run_for(DAY + 600)
        assert outbound(alice, subscription).waits_for is Wait.REFUSAL
        assert "forgotten" in str(last_event(alice, "subscription.needs_approval")["why"])
        assert counters(alice, subscription) == [0]


async def test_a_price_above_the_mandate_is_never_asked_for() -> None:
    """Asked for and not paid it would end the subscription [11]: what is known before is decided before."""
    async with Rig(14) as rig, ClnIssuerNode(rig) as issuer:
        alice = await rig.join("alice")
        subscription = subscribe(alice, issuer.publish(DAILY), max_per_period_msat=Msat(PRICE - 1))
        await rig.run_for(3600)
        assert issuer.requests == []
        assert outbound(alice, subscription).waits_for is Wait.MANDATE


# --- everything at once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_people_and_machines_do_in_two_months_both_sides_know_of_the_same_payments(
    seed: int, version: Version
) -> None:
    async with Rig(seed, faults=replace(BAD, loss=0.15)) as rig, ClnIssuerNode(rig, version) as issuer:
        chance = random.Random(seed)
        alice = await rig.join("alice")
        offer = issuer.publish(replace(DAILY, base=RecurrenceBase(1, START - 3600)))
        people = [subscribe(alice, offer, replace(EAGER, ask_if_price_differs=bool(n % 2))) for n in range(4)]
        for _ in range(240):
            await rig.run_for(chance.choice([600, 3600, 12 * 3600]))
            whim(rig, alice, chance.choice(people), chance)
            if chance.random() < 0.05:
                rig.crash("alice")
                await rig.run_for(chance.choice([60, 3 * 3600]))
                await rig.restart("alice")
        alice.money.forget_troubles()
        await rig.run_for(2 * DAY)
        for subscription in people:
            booked = counters(alice, subscription)
            assert booked == list(range(len(booked)))
            assert issuer.paid_counters(offer, alice.keyring.payer(subscription).payer_id) == booked
            state = outbound(alice, subscription)
            assert state.paid_msat <= len(booked) * PRICE
            if state.is_final:
                names = {event.name for event in alice.manager.events() if event.subject == subscription}
                assert names & {"subscription.missed", "subscription.cancelled", "subscription.ended",
                                "subscription.given_up"}, "no silent end (P3)"  # fmt: skip
        assert sum(len(counters(alice, subscription)) for subscription in people) > 8


def whim(rig: Rig, alice: RigNode, subscription: RecurrenceId, chance: random.Random) -> None:
    """Something that somebody does."""
    state, roll = outbound(alice, subscription), chance.random()
    if state.phase is Phase.NEEDS_APPROVAL and roll < 0.9:
        alice.payer.approve(subscription)
    elif state.phase is Phase.PAUSED and roll < 0.8:
        alice.payer.resume(subscription)
    elif roll < 0.05 and not state.is_final:
        try:
            alice.payer.pause(subscription)
        except UsageError:
            assert state.pause_asked or state.phase in (Phase.PAUSED, Phase.CANCELLING)
    elif roll < 0.06 and not state.is_final:
        alice.payer.cancel(subscription)
    elif roll < 0.25:
        alice.money.fail_next_payments(
            chance.choice([1, 3]), reason=FailureReason.NO_ROUTE, retryable=chance.random() < 0.5
        )
    elif roll < 0.3:
        alice.money.be_unavailable("pay", 2, after_acting=chance.random() < 0.5)
