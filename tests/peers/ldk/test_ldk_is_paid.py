"""LDK as the payee: it answers our requests for its own offers, and gets real money for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from lnrecur.bolt12 import Invoice, Offer, OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.invoice_error import InvoiceError, read_invoice_error
from lnrecur.messaging.messenger import ContentsKind
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Phase
from lnrecur.recurrence.outbound_terms import Terms
from lnrecur.values import REGTEST, Msat
from peers.ldk.hand import Hand
from peers.ldk.house import ENTROPY, House, eventually
from peers.ldk.minting import NONCE_SIZE, mint
from peers.ldk.nodes import LdkNodes, connected
from peers.ldk.sidecar import LdkSidecar, Told

PRICE = Msat(30_000)


def offer_of(ldk: LdkSidecar, recurrence: Recurrence | None = None) -> Offer:
    terms = OfferTerms(chains=(REGTEST,), amount=PRICE, description="LDK's thing", recurrence=recurrence)
    return mint(ldk.seed, ldk.node_id, terms, ENTROPY.take(NONCE_SIZE))


@pytest_asyncio.fixture(loop_scope="session")
async def hand(ldk: LdkNodes) -> AsyncIterator[Hand]:
    hand = await Hand.reach(ldk.payee)
    await connected(ldk.payee, hand.node_id)
    yield hand
    await hand.close()


async def test_ldk_answers_our_request_for_its_offer_with_an_invoice_that_we_verify(ldk: LdkNodes, hand: Hand) -> None:
    offer = offer_of(ldk.payee)
    request = hand.request(offer, INVREQ_PAYER_NOTE="with thanks")
    answer = await hand.ask(offer, request, back=[])
    assert answer.kind is ContentsKind.INVOICE
    assert offer.issuer_id is not None
    invoice = Invoice.from_bytes(answer.data).verify_answers(request, offer.issuer_id)
    assert invoice.invoice_amount == PRICE


async def test_each_copy_of_a_request_gets_an_invoice_of_its_own(ldk: LdkNodes, hand: Hand) -> None:
    """So we must send it again only when no answer came, and pay one invoice only (P1)."""
    offer = offer_of(ldk.payee)
    request = hand.request(offer)
    answers = [Invoice.from_bytes((await hand.ask(offer, request, back=[])).data) for _ in range(2)]
    assert answers[0].payment_hash != answers[1].payment_hash


async def test_ldk_mirrors_an_optional_recurrence_in_its_offer(ldk: LdkNodes, hand: Hand) -> None:
    offer = offer_of(ldk.payee, Recurrence(TimeUnit.DAYS, 30, optional=True))
    request = hand.request(offer)
    assert offer.issuer_id is not None
    invoice = Invoice.from_bytes((await hand.ask(offer, request, back=[])).data)
    assert invoice.verify_answers(request, offer.issuer_id).recurrence == offer.recurrence


async def test_an_offer_of_its_own_builder_is_answered_with_the_amount_we_name(ldk: LdkNodes, hand: Hand) -> None:
    """The builder can be told nothing but an expiry, so the offer has no amount and no description."""
    offer = Offer.from_bytes(bytes.fromhex(await ldk.payee.call("create_offer", expiry=2_000_000_000)))
    assert (offer.amount, offer.absolute_expiry) == (None, 2_000_000_000)
    request = hand.request(offer, INVREQ_AMOUNT=4242)
    assert offer.issuer_id is not None
    invoice = Invoice.from_bytes((await hand.ask(offer, request, back=[])).data)
    assert invoice.verify_answers(request, offer.issuer_id).invoice_amount == 4242


async def test_our_daemon_pays_an_offer_of_ldk(ldk: LdkNodes) -> None:
    """Our payer asks over two LDK nodes, checks the invoice, and has the nearer one pay the farther one."""

    def claim(event: Told) -> None:
        if event["event"] == "payment_claimable" and event["preimage"] is not None:
            deeds.append(ldk.payee.call("claim", preimage=event["preimage"]))

    deeds = []
    stop = ldk.payee.watch(claim)
    reader = await House.open(ldk.payer, routes=[[ldk.payer.node_id, ldk.payee.node_id]])
    try:
        mark, offer = ldk.payee.mark(), offer_of(ldk.payee)
        mandate = Mandate(max_per_period_msat=PRICE)
        recurrence_id = reader.services.payer.pay_once(offer, mandate, Terms(jitter_s=0)).recurrence_id
        await eventually(lambda: deeds)
        await deeds.pop()
        [paid] = await eventually(lambda: reader.manager.payments(recurrence_id))
        claimed = await ldk.payee.event(mark, "payment_claimed", payment_hash=paid.booking.payment_hash.hex())
        assert claimed["amount_msat"] == PRICE == paid.booking.amount_msat
        stored = reader.manager.outbound(recurrence_id)
        assert stored is not None
        assert stored.state.phase is Phase.COMPLETED
    finally:
        stop()
        await reader.close()


async def test_our_daemon_reads_a_refusal_as_ldk_writes_it(lone_ldk: LdkSidecar, ldk: LdkNodes) -> None:
    """Without channels LDK has no path for an invoice, and says so with a length in front."""
    reader = await House.open(ldk.payer, peer=lone_ldk)
    try:
        await connected(lone_ldk, reader.node_id)
        mandate = Mandate(max_per_period_msat=PRICE)
        reader.services.payer.pay_once(offer_of(lone_ldk), mandate, Terms(jitter_s=0))
        [data] = await eventually(lambda: reader.heard(ContentsKind.INVOICE_ERROR))
        assert data == read_invoice_error(data).to_ldk_bytes() != InvoiceError.to_bytes(read_invoice_error(data))
        assert read_invoice_error(data).text == "MissingPaths"
        told = await eventually(
            lambda: [event.data for event in reader.manager.events() if "MissingPaths" in str(event.data)]
        )
        assert told
    finally:
        await reader.close()
