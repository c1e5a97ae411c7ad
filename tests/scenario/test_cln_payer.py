"""Core Lightning's payer (a model held to its recordings) at our payee: what it buys, and what it must not get."""

import random
from dataclasses import replace
from typing import Any

import pytest

from helpers.cln_issuer import Version
from helpers.cln_nodes import PRICE, ClnPayerNode
from helpers.cln_payer import ClnError
from helpers.rig import assert_paid, counters, events, publish, subscribe
from lnrecur.bolt12 import Dialect, Invoice, Offer, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.messaging.relay import RelayLimits
from lnrecur.ports import SentState
from lnrecur.recurrence.habits import consequences
from lnrecur.recurrence.inbound_model import Phase, subscription_id
from lnrecur.recurrence.offering import OfferPolicy, Windows
from lnrecur.recurrence.outbound_model import Missed, Terms
from lnrecur.service.courier import MessageSettings
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import START, Rig, RigNode
from lnrecur.values import Point

DAY = 86_400
DAILY = Recurrence(TimeUnit.DAYS, 1, dialect=Dialect.CLN)
MONTHLY = replace(DAILY, unit=TimeUnit.MONTHS)
BAD = Faults(loss=0.3, doubling=0.3, reordering=0.3, lateness=0.3, late_s_max=20)
LABEL = "coffee"


def sold(merchant: RigNode, offer: Offer, payer: ClnPayerNode, label: str = LABEL) -> list[int]:
    """The counters that the merchant has booked for this label."""
    return counters(merchant, subscription_id(offer.offer_id, Point(payer.payer_id(offer, label))))


def phase(merchant: RigNode, offer: Offer, payer: ClnPayerNode, label: str = LABEL) -> Phase:
    """How the subscription stands at the merchant."""
    stored = merchant.manager.inbound(offer.offer_id, Point(payer.payer_id(offer, label)))
    assert stored is not None
    return stored.state.phase


def assert_books(rig: Rig, merchant: RigNode) -> None:
    """P1 and P6: nothing is booked twice, nothing is a surplus, and the ledger knows of nothing else."""
    booked = merchant.manager.payments()
    assert not any(paid.booking.surplus for paid in booked)
    once = [(paid.subject, paid.booking.counter) for paid in booked]
    assert len(once) == len(set(once))
    settled = [hash_ for hash_, paid in rig.ledger.payments.items() if paid.sent.state is SentState.SUCCEEDED]
    assert sorted(settled) == sorted(paid.booking.payment_hash for paid in booked)


async def buys(payer: ClnPayerNode, offer: Offer, counter: int, label: str = LABEL, **told: Any) -> SentState | str:
    """`fetchinvoice` as often as it takes, then `pay`; the text of a refusal where there is one."""
    for _ in range(20):
        fetched = await payer.fetch(offer, label, counter, **told)
        if isinstance(fetched, Invoice):
            return await payer.pay(fetched)
        if isinstance(fetched, str):
            return fetched
    raise AssertionError("no answer")


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("recurrence", [
    replace(MONTHLY, limit=23),
    replace(MONTHLY, limit=23, base=RecurrenceBase(0, START), paywindow=Paywindow(2 * DAY, 10 * DAY)),
    replace(MONTHLY, limit=23, optional=True),
])  # fmt: skip
async def test_two_years_are_bought_over_a_bad_network(version: Version, seed: int, recurrence: Recurrence) -> None:
    async with Rig(seed, faults=BAD) as rig:
        merchant, payer = await rig.join("merchant"), ClnPayerNode(rig, version)
        offer = publish(merchant, recurrence, amount=PRICE, blinded=bool(seed % 2))
        start = None if recurrence.base is None else 0
        for counter in range(24):
            assert await buys(payer, offer, counter, start=start) is SentState.SUCCEEDED
            await rig.run_for(30 * DAY + DAY // 2)
        assert sold(merchant, offer, payer) == list(range(24))
        assert phase(merchant, offer, payer) is Phase.COMPLETED
        assert_books(rig, merchant)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("windows", list(Windows))
async def test_whatever_master_asks_each_period_is_sold_once_and_in_order(seed: int, windows: Windows) -> None:
    """It checks nothing: any counter, any start, at any time, paid or not; and the merchant dies now and then."""
    async with Rig(seed, faults=replace(BAD, loss=0.1)) as rig:
        merchant = await rig.join("merchant")
        hourly = Recurrence(TimeUnit.SECONDS, 3600, dialect=Dialect.CLN)
        recurrence = replace(hourly, base=RecurrenceBase(0, START), paywindow=Paywindow(1800, 3600), limit=20)
        offer = publish(merchant, recurrence, amount=PRICE, policy=OfferPolicy(windows=windows))
        payers = [ClnPayerNode(rig, Version.MASTER, f"payer {number}") for number in range(2)]
        chance = random.Random(seed)
        held: list[tuple[ClnPayerNode, Invoice]] = []
        for _ in range(120):
            payer = chance.choice(payers)
            paid = len(sold(merchant, offer, payer))
            counter = chance.choice([paid, paid, paid, max(0, paid - 1), paid + 1, chance.randrange(25)])
            start = chance.choice([0, 0, 0, 0, 1])
            try:
                fetched = await payer.fetch(offer, LABEL, counter, start=start)
            except ClnError:
                fetched = None
            if isinstance(fetched, Invoice):
                held.append((payer, fetched))
            if held and chance.random() < 0.7:
                whose, invoice = held.pop(chance.randrange(len(held)))
                await whose.pay(invoice)
            if chance.random() < 0.1:
                rig.crash("merchant")
                merchant = await rig.restart("merchant")
            await rig.run_for(chance.choice([60, 300, 900]))
        bought = [sold(merchant, offer, payer) for payer in payers]
        assert all(counters == list(range(len(counters))) for counters in bought)
        assert sum(map(len, bought)) >= 3
        assert_books(rig, merchant)


async def test_a_cancel_is_recorded_and_whoever_asks_on_is_refused_and_begins_anew_under_another_label() -> None:
    async with Rig(1) as rig:
        merchant, payer = await rig.join("merchant"), ClnPayerNode(rig)
        offer = publish(merchant, DAILY, amount=PRICE)
        assert await buys(payer, offer, 0) is SentState.SUCCEEDED
        unpaid = await payer.fetch(offer, LABEL, 1)
        assert isinstance(unpaid, Invoice)
        await payer.cancel(offer, LABEL, 1)
        assert phase(merchant, offer, payer) is Phase.CANCELLED
        assert await payer.pay(unpaid) is SentState.FAILED, "the unpaid invoice is withdrawn"
        assert "has cancelled" in str(await buys(payer, offer, 1))
        assert await buys(payer, offer, 0, "again") is SentState.SUCCEEDED
        assert_books(rig, merchant)


async def test_the_last_second_that_core_lightning_counts_is_sold() -> None:
    async with Rig(2) as rig:
        merchant, payer = await rig.join("merchant"), ClnPayerNode(rig)
        offer = publish(merchant, replace(DAILY, paywindow=Paywindow(100, 200)), amount=PRICE)
        await rig.run_for(7)
        assert await buys(payer, offer, 0) is SentState.SUCCEEDED
        first = merchant.manager.inbounds()[0].basetime or 0
        await rig.run_until(first + DAY + 200)
        assert await buys(payer, offer, 1) is SentState.SUCCEEDED
        await rig.run_until(first + 2 * DAY + 201)
        with pytest.raises(ClnError, match=r"Too late: expired time .* \(1 secs ago\)"):
            await buys(payer, offer, 2)
        assert events(merchant, "subscription.missed") == ["subscription.missed"]


async def test_its_reply_path_may_begin_at_the_node_before_the_last_or_at_itself() -> None:
    relaying = MessageSettings(relay=RelayLimits(burst=100))
    async with Rig(3, messages=relaying) as rig:
        merchant, hub = await rig.join("merchant"), await rig.join("hub")
        payer = ClnPayerNode(rig)
        rig.network.lay_out([payer.node_id, hub.node_id, merchant.node_id])
        plain = publish(merchant, DAILY, amount=PRICE)
        assert await buys(payer, plain, 0, via=[hub.node_id]) is SentState.SUCCEEDED
        hidden = publish(merchant, DAILY, amount=PRICE, via=[hub])
        assert hidden.paths is not None
        assert hidden.paths[0].first_node_id == hub.node_id, "the path begins at the payer's neighbour"
        fetched = await payer.fetch(hidden, LABEL, 0)
        assert isinstance(fetched, Invoice), (
            "the reply path begins at the payer: the answer leaves by the peer that asked"
        )
        assert await payer.pay(fetched) is SentState.SUCCEEDED
        assert_books(rig, merchant)


async def test_a_payer_that_asks_again_while_its_invoice_is_unpaid_gets_the_very_same() -> None:
    async with Rig(4) as rig:
        merchant, payer = await rig.join("merchant"), ClnPayerNode(rig)
        offer = publish(merchant, DAILY, amount=PRICE)
        first = await payer.fetch(offer, LABEL, 0)
        await rig.run_for(300)
        again = await payer.fetch(offer, LABEL, 0)
        assert isinstance(first, Invoice)
        assert isinstance(again, Invoice)
        assert await payer.pay(again) is SentState.SUCCEEDED
        assert await payer.pay(first) in (SentState.SUCCEEDED, SentState.FAILED)
        assert "paid already" in str(await buys(payer, offer, 0))
        assert_books(rig, merchant)


@pytest.mark.parametrize("seed", range(3))
async def test_two_of_ours_speak_its_dialect_and_keep_the_rules(seed: int) -> None:
    """Offers of ours carry metadata: nobody reckons with Core Lightning's habits, and late periods are caught up."""
    async with Rig(seed, faults=BAD) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, replace(DAILY, limit=9), policy=OfferPolicy(windows=Windows.LENIENT))
        subscription = subscribe(alice, offer, Terms(missed=Missed.CATCH_UP))
        assert consequences(offer) == ()
        await rig.run_for(2 * DAY + 3600)
        rig.crash("alice")
        await rig.run_for(3 * DAY)
        await rig.restart("alice")
        await rig.run_for(8 * DAY)
        assert_paid(rig, alice, subscription, 10)


async def test_another_request_of_the_same_payer_gets_another_invoice_and_one_of_them_can_be_paid() -> None:
    """Core Lightning's own issuer would send the first invoice again [5]; its payer refuses that."""
    async with Rig(6) as rig:
        merchant, payer = await rig.join("merchant"), ClnPayerNode(rig)
        offer = publish(merchant, DAILY, amount=PRICE)
        for counter in range(3):
            one = await payer.fetch(offer, LABEL, counter, note="one")
            other = await payer.fetch(offer, LABEL, counter, note="another")
            assert isinstance(one, Invoice)
            assert isinstance(other, Invoice)
            assert one.payment_hash != other.payment_hash
            if counter:
                assert await payer.pay(one) is SentState.FAILED, "a subscriber's older invoice is withdrawn"
            assert await payer.pay(other) is SentState.SUCCEEDED
            assert await payer.pay(one) is SentState.FAILED
            await rig.run_for(DAY)
        assert sold(merchant, offer, payer) == [0, 1, 2]
        assert_books(rig, merchant)


async def test_core_lightning_cannot_pay_an_offer_in_the_numbers_of_the_draft() -> None:
    async with Rig(5) as rig:
        merchant, payer = await rig.join("merchant"), ClnPayerNode(rig)
        offer = publish(merchant, replace(DAILY, dialect=Dialect.DRAFT), amount=PRICE)
        with pytest.raises(ClnError, match="unnecessary invreq_recurrence_counter"):
            await payer.fetch(offer, LABEL, 0)
