"""LDK as the payer of our offers: it asks, reads our invoice or our refusal, and pays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lnrecur.bolt12 import Invoice, InvoiceRequest, OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.invoice_error import read_invoice_error
from lnrecur.crypto.hashes import sha256
from lnrecur.ports import OfferRecord
from lnrecur.recurrence.inbound_model import subscription_id
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus
from lnrecur.service import payee as payee_module
from lnrecur.values import Msat
from peers.ldk.house import ENTROPY, House, eventually
from peers.ldk.nodes import LdkNodes, connected
from peers.ldk.sidecar import LdkRefused

PRICE = Msat(25_000)
QUIET_SECONDS = 0.5


@pytest_asyncio.fixture(loop_scope="session")
async def shop(ldk: LdkNodes) -> AsyncIterator[House]:
    """Behind the payee's LDK; the way to the payer's is known."""
    house = await House.open(ldk.payee, routes=[[ldk.payee.node_id, ldk.payer.node_id]])
    await connected(ldk.payee, house.node_id)
    yield house
    await house.close()


def publish(shop: House, ldk: LdkNodes, recurrence: Recurrence | None = None) -> OfferRecord:
    terms = OfferTerms(description="a thing", amount=PRICE, recurrence=recurrence)
    return shop.services.payee.create_offer(terms, OfferPolicy(), via=[ldk.payee.node_id])


async def pay_offer(ldk: LdkNodes, record: OfferRecord, **terms: object) -> str:
    payment_id = ENTROPY.take(32).hex()
    await ldk.payer.call("pay_offer", offer=record.offer.hex(), payment_id=payment_id, **terms)
    return payment_id


def heard_by(ldk: LdkNodes, mark: int, kind: str) -> list[bytes]:
    """The BOLT 12 messages of a kind that reached the payer's LDK."""
    told = ldk.payer.told_since(mark, "offers_message", way="in", kind=kind)
    return [bytes.fromhex(message["data"]) for message in told]


async def test_ldk_asks_accepts_our_invoice_and_pays_it(ldk: LdkNodes, shop: House) -> None:
    record, mark = publish(shop, ldk), ldk.payer.mark()
    payment_id = await pay_offer(ldk, record, note="for the thing")
    told = await ldk.payer.event(mark, "invoice_received", payment_id=payment_id)
    invoice = Invoice.from_bytes(bytes.fromhex(told["invoice"]))
    assert invoice.invoice_amount == PRICE
    assert invoice.payer_note == "for the thing"

    await ldk.payer.call("pay_received_invoice", payment_id=payment_id)
    sent = await ldk.payer.event(mark, "payment_sent", payment_id=payment_id)
    assert sent["payment_hash"] == invoice.payment_hash.hex()
    assert sha256(bytes.fromhex(sent["preimage"])) == invoice.payment_hash
    subject = subscription_id(record.offer_id, invoice.payer_id)
    [booked] = await eventually(lambda: shop.manager.payments(subject))
    assert (booked.booking.payment_hash, booked.booking.amount_msat) == (invoice.payment_hash, PRICE)


async def test_ldk_sends_its_request_twice_and_we_answer_once(ldk: LdkNodes, shop: House) -> None:
    record, mark = publish(shop, ldk), ldk.payer.mark()
    payment_id = await pay_offer(ldk, record)
    await ldk.payer.event(mark, "invoice_received", payment_id=payment_id)
    await asyncio.sleep(QUIET_SECONDS)
    [first, second] = [contents.data for contents in shop.said]
    assert first == second, "byte for byte the same request"
    assert len(heard_by(ldk, mark, "Invoice")) == 1


async def test_ldk_pays_no_optional_recurrence_because_of_its_own_bug(ldk: LdkNodes, shop: House) -> None:
    """Its request is good and so is our answer (a one-off, Q9); LDK drops it without a word. Sell a plain offer too."""
    record, mark = publish(shop, ldk, Recurrence(TimeUnit.MONTHS, 1, optional=True)), ldk.payer.mark()
    await pay_offer(ldk, record)
    [data] = await eventually(lambda: heard_by(ldk, mark, "Invoice"))
    invoice = Invoice.from_bytes(data)
    request = InvoiceRequest.from_bytes(shop.said[0].data)
    assert request.counter is None
    invoice.verify_answers(request, invoice.node_id)
    await asyncio.sleep(QUIET_SECONDS)
    assert not ldk.payer.told_since(mark, "invoice_received")
    assert not ldk.payer.told_since(mark, "payment_failed")


async def refused(ldk: LdkNodes, shop: House) -> tuple[int, str]:
    """Have LDK ask for an offer that is closed; answers where its events stood, and its name of the payment."""
    record, mark = publish(shop, ldk), ldk.payer.mark()
    shop.services.payee.offers.change(record.offer_id, OfferStatus.RETIRED)
    payment_id = await pay_offer(ldk, record)
    await eventually(lambda: shop.said)
    return mark, payment_id


async def test_ldk_understands_our_refusal(ldk: LdkNodes, shop: House) -> None:
    mark, payment_id = await refused(ldk, shop)
    failed = await ldk.payer.event(mark, "payment_failed", payment_id=payment_id)
    assert failed["reason"] == "InvoiceRequestRejected"
    [data] = heard_by(ldk, mark, "InvoiceError")
    assert "closed for new subscribers" in read_invoice_error(data).text


async def test_a_refusal_as_bolt_12_has_it_means_nothing_to_ldk(
    ldk: LdkNodes, shop: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why we recognise LDK at all: it would wait until its request expires."""
    monkeypatch.setattr(payee_module, "wants_length_in_front", lambda metadata, path: False)
    mark, payment_id = await refused(ldk, shop)
    await asyncio.sleep(QUIET_SECONDS)
    assert not ldk.payer.told_since(mark, "payment_failed")
    assert not heard_by(ldk, mark, "InvoiceError")
    for _ in range(2):
        await ldk.payer.call("payer_tick")
    failed = await ldk.payer.event(mark, "payment_failed", payment_id=payment_id)
    assert failed["reason"] == "InvoiceRequestExpired"


async def test_ldk_does_not_even_ask_for_less_than_the_price(ldk: LdkNodes, shop: House) -> None:
    with pytest.raises(LdkRefused, match="InsufficientAmount"):
        await pay_offer(ldk, publish(shop, ldk), amount_msat=PRICE - 1)
