"""What anybody may send to a payee or a payer, written by hand: answered, refused or ignored, and never stored."""

from dataclasses import replace
from typing import Any

import pytest

from helpers.engine import a_request
from helpers.rig import END, PERIOD, PRICE, Hand, assert_consistent, assert_paid, events, publish, recurring, subscribe
from lnrecur.bolt12 import InvoiceRequest, Offer, OfferTerms, fields
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.bolt12.offer import write_offer
from lnrecur.messaging.messenger import ContentsKind, DirectDestination
from lnrecur.ports import SentState
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.outbound_model import Phase
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import REGTEST, Msat, NodeId
from lnrecur.wire.messages import OnionMessage

CHAIN = {fields.INVREQ_CHAIN: REGTEST}


def _request(offer: Offer, hand: Hand, counter: int | None = None, **told: Any) -> InvoiceRequest:
    values = {**CHAIN, **told.pop("values", {})}
    return a_request(counter, offer, key=hand.key, values=values, **told)


def _rows(node: RigNode) -> tuple[object, ...]:
    """Everything a store can be asked for."""
    store = node.manager
    return (
        list(store.offers()), list(store.inbounds()), list(store.outbounds()), list(store.events()),
        list(store.payments()), list(store.due_outbox(END, 1000)), store.next_wake(), store.receipt_cursor(),
    )  # fmt: skip


# --- one-off payments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blinded", [False, True], ids=["direct", "blinded"])
@pytest.mark.parametrize("optional", [True, False], ids=["optional recurrence", "plain offer"])
async def test_a_wallet_that_knows_no_recurrence_pays_once_and_it_is_booked(optional: bool, blinded: bool) -> None:
    async with Rig(seed=1) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        if optional:
            offer = publish(merchant, recurring(optional=True), blinded=blinded)
        else:
            plain = OfferTerms(description="once", amount=PRICE)
            offer = Offer.from_bytes(merchant.payee.create_offer(plain, OfferPolicy(), blinded=blinded).offer)
        invoice = await hand.invoice(offer, _request(offer, hand))
        assert invoice.basetime is None, "V1: no basetime in an invoice that recurs not"
        assert await hand.pay(invoice) is SentState.SUCCEEDED
        [paid] = merchant.manager.payments()
        assert (paid.booking.amount_msat, paid.booking.payment_hash) == (PRICE, invoice.payment_hash)
        assert events(merchant) == ["offer.created", "payment.claimable", "payment.received", "subscription.completed"]
        assert "paid already" in await hand.refusal(offer, _request(offer, hand, metadata=b"\x09" * 16))
        assert_consistent(rig)


async def test_a_compulsory_offer_is_not_paid_once() -> None:
    async with Rig(seed=2) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        offer = publish(merchant)
        assert "by subscription only" in await hand.refusal(offer, _request(offer, hand))


# --- two invoices, one period ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("counter", [None, 0])
async def test_the_same_request_twice_gets_the_same_invoice_and_another_one_a_new_one(counter: int | None) -> None:
    async with Rig(seed=3) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        offer = publish(merchant, recurring(optional=True))
        first = await hand.ask(offer, _request(offer, hand, counter))
        await rig.run_for(10)
        again = await hand.ask(offer, _request(offer, hand, counter))
        other = await hand.ask(offer, _request(offer, hand, counter, metadata=b"\x09" * 16))
        assert first == again != other


@pytest.mark.parametrize("refused", [False, True])
async def test_two_copies_of_a_request_in_one_moment_get_one_answer_and_a_resend_the_same_again(refused: bool) -> None:
    """LDK sends every request twice within milliseconds."""
    async with Rig(seed=3) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        offer = publish(merchant)
        request = _request(offer, hand, 3 if refused else 0).to_bytes()
        assert offer.issuer_id is not None
        to = DirectDestination(NodeId(offer.issuer_id))
        for _ in range(2):
            await hand.say(to, ContentsKind.INVOICE_REQUEST, request)
        [answer] = hand.answers
        assert answer.kind is (ContentsKind.INVOICE_ERROR if refused else ContentsKind.INVOICE)
        await rig.run_for(5)
        await hand.say(to, ContentsKind.INVOICE_REQUEST, request)
        assert hand.answers == [answer, answer]


async def test_the_same_request_after_its_invoice_expired_gets_a_new_one() -> None:
    async with Rig(seed=4) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        offer = publish(merchant, policy=OfferPolicy(invoice_expiry_s=60))
        first = await hand.invoice(offer, _request(offer, hand, 0))
        await rig.run_for(61)
        second = await hand.invoice(offer, _request(offer, hand, 0))
        assert second.payment_hash != first.payment_hash
        assert await hand.pay(first) is SentState.FAILED
        assert await hand.pay(second) is SentState.SUCCEEDED


async def test_a_second_invoice_that_is_paid_for_the_same_period_is_failed_back() -> None:
    async with Rig(seed=5) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        offer = publish(merchant)
        requests = [_request(offer, hand, 0, metadata=bytes([number]) * 16) for number in range(3)]
        first, second, third = [await hand.invoice(offer, request) for request in requests]
        merchant.money.hang("claim")
        assert await hand.pay(first) is SentState.PENDING
        assert await hand.pay(second) is SentState.PENDING
        merchant.money.release()
        await rig.settle()
        assert (await hand.account.sent(first.payment_hash)).state is SentState.SUCCEEDED
        assert (await hand.account.sent(second.payment_hash)).state is SentState.FAILED, "the first had reserved it"
        assert await hand.pay(third) is SentState.FAILED, "the period is paid"
        assert [paid.booking.payment_hash for paid in merchant.manager.payments()] == [first.payment_hash]
        assert hand.account.balance_msat == 1_000_000_000 - PRICE
        assert events(merchant, "payment.failed_back") == ["payment.failed_back"] * 2


async def test_of_two_invoices_for_a_renewal_only_the_newer_one_can_be_paid() -> None:
    async with Rig(seed=6) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        offer = publish(merchant)
        await hand.pay(await hand.invoice(offer, _request(offer, hand, 0)))
        await rig.run_for(PERIOD)
        old = await hand.invoice(offer, _request(offer, hand, 1, metadata=b"\x01" * 16))
        new = await hand.invoice(offer, _request(offer, hand, 1, metadata=b"\x02" * 16))
        assert await hand.pay(old) is SentState.FAILED
        assert await hand.pay(new) is SentState.SUCCEEDED
        assert [paid.booking.counter for paid in merchant.manager.payments()] == [0, 1]
        again = await hand.ask(offer, _request(offer, hand, 1, metadata=b"\x01" * 16))
        assert [answer.kind for answer in again] == [ContentsKind.INVOICE_ERROR]


# --- requests that get no invoice ------------------------------------------------------------------------------------


async def test_a_strangers_request_is_answered_and_nothing_is_stored_until_it_is_paid() -> None:
    async with Rig(seed=7) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        offer = publish(merchant)
        before = _rows(merchant)
        for number in range(20):
            await hand.invoice(offer, _request(offer, hand, 0, metadata=bytes([number]) * 16))
        assert _rows(merchant) == before


async def test_what_strangers_may_not_ask_is_refused_and_nothing_is_stored_or_registered() -> None:
    async with Rig(seed=8) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        offer = publish(merchant)
        before = _rows(merchant)
        good = _request(offer, hand, 0).to_bytes()
        forged = good[:-1] + bytes([good[-1] ^ 1])
        refused = {
            "signature": forged,
            "is not paid yet": _request(offer, hand, 3),
            "beyond the last period": _request(offer, hand, 3, values={fields.INVREQ_RECURRENCE_COUNTER: 4}),
            "the offer has no base": _request(offer, hand, 0, start=1),
            "single items": _request(offer, hand, 0, values={fields.INVREQ_QUANTITY: 2}),
            "less than": _request(offer, hand, 0, values={fields.INVREQ_AMOUNT: Msat(PRICE - 1)}),
            "that chain": _request(offer, hand, 0, values={fields.INVREQ_CHAIN: None}),
        }
        for told, request in refused.items():
            assert told in await hand.refusal(offer, request)
        assert _rows(merchant) == before
        assert rig.ledger.incoming == {}


async def test_what_is_not_meant_for_us_is_ignored_in_silence() -> None:
    async with Rig(seed=9) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        direct, blinded = publish(merchant), publish(merchant, blinded=True)
        other = publish(merchant, recurring(period=77), blinded=True)
        before = _rows(merchant)
        node = DirectDestination(merchant.node_id)
        assert blinded.paths is not None
        assert other.paths is not None
        foreign = write_offer(_copied(direct, description="not the merchant's"), bytes(24))
        changed = write_offer(_copied(direct, amount=1), direct.metadata)
        said: list[tuple[Any, bytes]] = [
            (node, _request(foreign, hand, 0).to_bytes()),
            (node, _request(changed, hand, 0).to_bytes()),
            (node, _request(blinded, hand, 0).to_bytes()),
            (blinded.paths[0], _request(direct, hand, 0).to_bytes()),
            (other.paths[0], _request(blinded, hand, 0).to_bytes()),
            (node, b""),
            (node, b"\xff" * 500),
            (node, _request(direct, hand, 0).to_bytes()[:-3]),
            (node, _request(direct, hand, 1, cancel=True).to_bytes()),
        ]
        for to, data in said:
            await hand.say(to, ContentsKind.INVOICE_REQUEST, data)
        for kind in (ContentsKind.INVOICE, ContentsKind.INVOICE_ERROR):
            await hand.say(node, kind, b"\x00\x01\x02")
            await hand.say(blinded.paths[0], kind, bytes(100))
        assert hand.got == []
        assert _rows(merchant) == before
        assert rig.ledger.incoming == {}


def _copied(offer: Offer, **changes: Any) -> OfferTerms:
    told = {name: getattr(offer, name) for name in ("description", "amount", "chains", "recurrence", "issuer_id")}
    return OfferTerms(**{**told, **changes})


async def test_onions_that_cannot_be_opened_disturb_nobody() -> None:
    async with Rig(seed=10) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        hand = Hand(rig)
        subscription = subscribe(alice, publish(merchant))
        good = hand.messenger.reply_path(bytes(32), hand.key)
        for number in range(50):
            onion = bytes([number]) * (1366 if number % 2 else number)
            for node in (merchant, alice):
                rig.network.submit(hand.messenger.node_id, node.node_id, OnionMessage(good.first_path_key, onion))
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


# --- payees that are not ours ----------------------------------------------------------------------------------------


async def _asked_by_alice(rig: Rig, hand: Hand) -> tuple[RigNode, Any, Any]:
    """Alice subscribes to an offer of a payee who writes by hand."""
    alice = await rig.join("alice")
    terms = OfferTerms(amount=PRICE, description="x", chains=(REGTEST,), recurrence=recurring())
    offer = write_offer(replace(terms, issuer_id=hand.messenger.node_id), b"by hand")
    subscription = subscribe(alice, offer)
    await rig.settle()
    [asked] = hand.got
    return alice, subscription, asked.reply_path


@pytest.mark.parametrize("told", ["recurrence-ended: we close", "recurrence-changed: lno1new"])
async def test_a_payee_may_end_a_subscription_and_the_payer_stops_asking(told: str) -> None:
    async with Rig(seed=11) as rig:
        hand = Hand(rig)
        alice, subscription, path = await _asked_by_alice(rig, hand)
        await hand.say(path, ContentsKind.INVOICE_ERROR, write_invoice_error(told).to_bytes())
        await rig.run_for(PERIOD)
        stored = alice.manager.outbound(subscription)
        assert stored is not None
        assert stored.state.phase is Phase.LAPSED
        assert len(hand.got) == 1


async def test_a_payee_that_answers_nonsense_is_told_of_and_asked_again() -> None:
    async with Rig(seed=12) as rig:
        hand = Hand(rig)
        alice, subscription, path = await _asked_by_alice(rig, hand)
        for kind in (ContentsKind.INVOICE, ContentsKind.INVOICE_ERROR):
            for data in (b"", b"\xff\xff", bytes(200)):
                await hand.say(path, kind, data)
        request = hand.answers[0].data
        await hand.say(path, ContentsKind.INVOICE, request)
        await rig.run_for(60)
        stored = alice.manager.outbound(subscription)
        assert stored is not None
        assert stored.state.phase is Phase.AWAITING_FIRST_INVOICE
        assert len(hand.got) > 2
        assert {answer.data for answer in hand.answers} == {request}, "it asks with the same bytes"
        assert alice.manager.payments() == []
