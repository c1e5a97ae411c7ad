"""Two of our nodes, two of LDK's: every message passes through LDK, and LDK moves every satoshi."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from lnrecur.bolt12 import Dialect, Invoice, Offer, OfferTerms, Recurrence, TimeUnit
from lnrecur.messaging.messenger import ContentsKind
from lnrecur.ports import FailureReason, ReceivedState, Sent, SentState
from lnrecur.recurrence.effects import Pay
from lnrecur.recurrence.inbound_model import subscription_id
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.outbound_model import Outbound, Phase
from lnrecur.recurrence.outbound_terms import Terms
from lnrecur.service.performer import pay_order
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import Msat, NodeId, PaymentHash, RecurrenceId
from peers.ldk.hand import Hand
from peers.ldk.house import House, eventually
from peers.ldk.nodes import START, LdkNodes, connected

PRICE = Msat(25_000)
DAY = 86_400


@asynccontextmanager
async def two_houses(ldk: LdkNodes, *, one_relay: bool = False) -> AsyncIterator[tuple[House, House]]:
    """A shop and a reader, each with one of the LDK nodes for money and messages; or with the same one for messages."""
    clock = VirtualClock(START)
    route = [[ldk.payer.node_id, ldk.payee.node_id]]
    shop = await House.open(ldk.payee, clock, routes=route)
    reader = await House.open(ldk.payer, clock, routes=route, peer=ldk.payee if one_relay else None)
    try:
        await connected(ldk.payee, shop.node_id)
        yield shop, reader
    finally:
        await shop.close()
        await reader.close()


def publish(shop: House, via: NodeId, recurrence: Recurrence | None) -> Offer:
    terms = OfferTerms(description="a thing", amount=PRICE, recurrence=recurrence)
    return Offer.from_bytes(shop.services.payee.create_offer(terms, OfferPolicy(), via=[via]).offer)


def daily(**changes: object) -> Recurrence:
    """Every day, at most three payments."""
    return replace(Recurrence(TimeUnit.DAYS, 1, limit=2), **changes)


def state(reader: House, recurrence_id: RecurrenceId) -> Outbound:
    stored = reader.manager.outbound(recurrence_id)
    assert stored is not None
    return stored.state


def books(house: House, subject: bytes) -> list[tuple[int, bytes, int]]:
    lines = (paid.booking for paid in house.manager.payments(subject))
    return [(line.counter, line.payment_hash, line.amount_msat) for line in lines]


async def live_through(shop: House, reader: House, offer: Offer, recurrence_id: RecurrenceId, payments: int) -> bytes:
    """Let so many days pass, each when its payment is booked on both sides; answers the shop's name of it all."""
    theirs = subscription_id(offer.offer_id, reader.services.keyring.payer(recurrence_id).payer_id)
    for count in range(1, payments + 1):
        for house, subject in ((reader, recurrence_id), (shop, theirs)):
            await eventually(lambda: books(house, subject), lambda lines: len(lines) == count)  # noqa: B023
        reader.clock.advance(DAY)
    return theirs


async def steps(house: House, payment_hash: PaymentHash) -> list[ReceivedState]:
    """What its money node told of a payment so far."""
    found = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            async for receipt in house.money.receipts(None):
                found += [receipt.state] if receipt.payment_hash == payment_hash else []
    return found


async def assert_three_periods(ldk: LdkNodes, shop: House, reader: House, offer: Offer) -> None:
    mark = ldk.payee.mark()
    started = await reader.money.balance(), await shop.money.balance()
    terms = Terms(jitter_s=0)
    recurrence_id = reader.services.payer.subscribe(offer, Mandate(max_per_period_msat=PRICE), terms).recurrence_id
    theirs = await live_through(shop, reader, offer, recurrence_id, 3)
    mine = books(reader, recurrence_id)
    assert mine == books(shop, theirs)
    assert [(counter, amount) for counter, _, amount in mine] == [(0, PRICE), (1, PRICE), (2, PRICE)]
    for _, payment_hash, amount in mine:
        for event in ("payment_claimable", "payment_claimed"):
            told = ldk.payee.told_since(mark, event, payment_hash=payment_hash.hex(), amount_msat=amount)
            assert len(told) == 1, "LDK says that it happened, once"
    assert state(reader, recurrence_id).phase is Phase.COMPLETED
    ended = await reader.money.balance(), await shop.money.balance()
    assert ended == (started[0] - 3 * PRICE, started[1] + 3 * PRICE)


async def test_three_periods_over_two_ldk_nodes(ldk: LdkNodes) -> None:
    """The offer begins at the shop's LDK, the reply path at the reader's; neither of ours has another peer."""
    async with two_houses(ldk) as (shop, reader):
        offer = publish(shop, ldk.payee.node_id, daily())
        assert offer.paths is not None
        assert [path.first_node_id for path in offer.paths] == [ldk.payee.node_id]
        assert offer.issuer_id is None
        await assert_three_periods(ldk, shop, reader, offer)
        assert shop.link.peers() == {ldk.payee.node_id}
        assert reader.link.peers() == {ldk.payer.node_id}
        assert len(shop.heard(ContentsKind.INVOICE_REQUEST)) == 3
        assert len(reader.heard(ContentsKind.INVOICE)) == 3


async def test_three_periods_in_the_numbers_of_core_lightning(ldk: LdkNodes) -> None:
    """LDK reads neither numbers of a compulsory recurrence, and need not: it carries messages and pays paths."""
    async with two_houses(ldk) as (shop, reader):
        offer = publish(shop, ldk.payee.node_id, daily(dialect=Dialect.CLN))
        await assert_three_periods(ldk, shop, reader, offer)


async def test_one_ldk_node_is_introduction_of_the_offer_and_of_the_reply_path(ldk: LdkNodes) -> None:
    async with two_houses(ldk, one_relay=True) as (shop, reader):
        offer = publish(shop, ldk.payee.node_id, daily(limit=1))
        mandate = Mandate(max_per_period_msat=PRICE)
        recurrence_id = reader.services.payer.subscribe(offer, mandate, Terms(jitter_s=0)).recurrence_id
        await live_through(shop, reader, offer, recurrence_id, 2)
        assert reader.link.peers() == shop.link.peers() == {ldk.payee.node_id}


async def test_a_second_payment_for_a_period_is_failed_back_at_claimable(ldk: LdkNodes) -> None:
    """Somebody gets two invoices for one period and pays both: LDK holds the second, and our engine sends it back."""
    async with two_houses(ldk) as (shop, reader):
        offer = publish(shop, ldk.payee.node_id, daily())
        hand = await Hand.reach(ldk.payee)
        try:
            await connected(ldk.payee, hand.node_id)
            requests = [hand.request(offer, INVREQ_RECURRENCE_COUNTER=0) for _ in range(2)]
            answers = [await hand.ask(offer, request, back=[ldk.payee.node_id]) for request in requests]
        finally:
            await hand.close()
        first, second = [Invoice.from_bytes(answer.data) for answer in answers]
        assert first.payment_hash != second.payment_hash
        before, mark = await reader.money.balance(), ldk.payee.mark()

        for invoice, expected in ((first, SentState.SUCCEEDED), (second, SentState.FAILED)):
            effect = Pay(invoice.payment_hash, invoice.to_bytes(), invoice.invoice_amount, Msat(1000))
            await reader.money.pay(pay_order(effect))
            told = await reader.money.follow(effect.payment_hash)
            assert told.state is expected
        assert told == Sent(SentState.FAILED, reason=FailureReason.REFUSED_BY_PAYEE)

        held = ldk.payee.told_since(mark, "payment_claimable", payment_hash=second.payment_hash.hex())
        assert len(held) == 1, "it was held, not refused at the door"
        assert await steps(shop, second.payment_hash) == [ReceivedState.CLAIMABLE, ReceivedState.CANCELED]
        assert not ldk.payee.told_since(mark, "payment_claimed", payment_hash=second.payment_hash.hex())
        subject = subscription_id(offer.offer_id, hand.payer_key.point)
        assert books(shop, subject) == [(0, first.payment_hash, PRICE)]
        assert await reader.money.balance() == before - PRICE
