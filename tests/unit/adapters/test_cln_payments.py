"""Paying over Core Lightning: never twice, whatever crashes and whoever deletes what, on stand-ins for lightningd."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cln_pair import HASH, NOW, PREIMAGE, PRICE, Two, eventually, two

from helpers.lni import signed_invoice
from lnrecur.adapters.nodes.cln import ClnNode, ClnRefused, ClnUnavailable, Trouble, payments
from lnrecur.adapters.nodes.cln.failures import reason_of
from lnrecur.adapters.nodes.cln.notes import KEPT_S, Kind, Notes
from lnrecur.adapters.nodes.cln.payments import LATE_S, RETRY_S
from lnrecur.adapters.nodes.cln.rpc import ClnRpc
from lnrecur.bolt12 import fields
from lnrecur.bolt12.codecs import Paywindow, RecurrenceField
from lnrecur.bolt12.fields import Dialect
from lnrecur.bolt12.invoice import Invoice
from lnrecur.ports import FailureReason, PayOrder, Rejected, Sent, SentState
from lnrecur.values import REGTEST, ZERO_MSAT, Msat, PaymentHash, UnixSeconds

SUCCEEDED = Sent(SentState.SUCCEEDED, PREIMAGE, ZERO_MSAT)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Two]:
    async with two(tmp_path) as made:
        yield made


async def went(pair: Two, state: SentState) -> Sent:
    return await eventually(lambda: pair.payer.sent(HASH), lambda now: now.state is state)


# --- xpay was asked, and nobody hears what it says


async def test_while_xpay_looks_for_a_route_the_payment_is_pending_for_everybody(pair: Two) -> None:
    pair.l1.delays["xpay"] = asyncio.Event()
    order = await pair.payable()
    await pair.payer.pay(order)
    assert await pair.payer.sent(HASH) == Sent(SentState.PENDING)
    async with pair.again(pair.l1) as another:  # the daemon was killed and started again
        assert await another.sent(HASH) == Sent(SentState.PENDING)
        await another.pay(order)
        assert pair.xpays() == 1
        pair.l1.delays["xpay"].set()
        assert await another.follow(HASH) == SUCCEEDED
        await another.pay(order)
    assert pair.xpays() == 1
    assert pair.network.balance(pair.l2.id) - pair.network.balance(pair.l1.id) == 2 * PRICE


async def test_an_xpay_that_died_with_lightningd_is_pending_until_it_cannot_have_begun_anything(pair: Two) -> None:
    pair.l1.delays["xpay"] = asyncio.Event()
    order = await pair.payable()
    await pair.payer.pay(order)
    await pair.l1.stop()
    with pytest.raises(ClnUnavailable):
        await pair.payer.sent(HASH)
    pair.l1.delays.clear()
    await pair.l1.start()
    async with pair.again(pair.l1) as another:
        pair.clock.advance(RETRY_S + LATE_S)
        assert await another.sent(HASH) == Sent(SentState.PENDING)
        pair.clock.advance(1)
        assert await another.sent(HASH) == Sent(SentState.FAILED, reason=FailureReason.OTHER, retryable=True)
        await another.pay(order)
        assert await another.follow(HASH) == SUCCEEDED
    assert pair.xpays() == 2


async def test_a_crash_between_the_note_and_xpay_is_no_second_payment(pair: Two) -> None:
    order = await pair.payable()
    notes = Notes(ClnRpc(pair.l1.rpc_file))
    await notes.write(Kind.PAYMENTS, HASH, {"at": NOW, "until": NOW + 180, "amount_msat": PRICE}, instead_of=None)
    assert await pair.payer.sent(HASH) == Sent(SentState.PENDING)
    await pair.payer.pay(order)
    assert pair.xpays() == 0


async def test_an_answer_that_was_lost_is_found_out(pair: Two) -> None:
    order = await pair.payable()
    await pair.payer.pay(order)
    await pair.payer.close()  # as it dies, or hangs up
    async with pair.again(pair.l1) as another:
        assert await another.follow(HASH) == SUCCEEDED


async def test_xpay_that_answers_before_its_parts_have_come_back_has_not_failed(pair: Two) -> None:
    """Issue 8046 of Core Lightning: the error is told while an HTLC is still out."""
    notes = Notes(ClnRpc(pair.l1.rpc_file))
    failed = {"at": NOW, "until": NOW + 180, "amount_msat": PRICE, "code": 209, "message": "Timed out"}
    await notes.write(Kind.PAYMENTS, HASH, failed, instead_of=None)
    part = ("INSERT INTO sendpays (owner, created_index, payment_hash, groupid, partid, amount, amount_sent, status)"
            " VALUES (?, 1, ?, 1, 1, 25000, 25030, 'pending')")  # fmt: skip
    pair.network.run(part, pair.l1.id, HASH.hex())
    assert await pair.payer.sent(HASH) == Sent(SentState.PENDING, fee_msat=Msat(30))
    pair.network.run("UPDATE sendpays SET status = 'failed'")
    assert await pair.payer.sent(HASH) == Sent(SentState.FAILED, reason=FailureReason.NO_ROUTE, retryable=True)
    pair.network.run("UPDATE sendpays SET status = 'complete', preimage = ?", PREIMAGE.hex())
    assert await pair.payer.sent(HASH) == Sent(SentState.SUCCEEDED, PREIMAGE, Msat(30))
    pair.network.run("UPDATE sendpays SET status = 'complete', preimage = ?", "00" * 32)
    with pytest.raises(ClnUnavailable, match="a preimage of another payment"):
        await pair.payer.sent(HASH)


async def test_parts_that_failed_while_xpay_tries_on_are_pending(pair: Two) -> None:
    notes = Notes(ClnRpc(pair.l1.rpc_file))
    await notes.write(Kind.PAYMENTS, HASH, {"at": NOW, "until": NOW + 180, "amount_msat": PRICE}, instead_of=None)
    part = ("INSERT INTO sendpays (owner, created_index, payment_hash, groupid, partid, amount, amount_sent, status)"
            " VALUES (?, 1, ?, 1, 1, 25000, 25030, 'failed')")  # fmt: skip
    pair.network.run(part, pair.l1.id, HASH.hex())
    assert await pair.payer.sent(HASH) == Sent(SentState.PENDING)


async def test_two_workers_that_begin_one_payment_ask_once(pair: Two) -> None:
    order = await pair.payable()
    async with pair.again(pair.l1) as another:
        await asyncio.gather(pair.payer.pay(order), another.pay(order))
        assert await pair.payer.follow(HASH) == await another.follow(HASH) == SUCCEEDED
    assert pair.xpays() == 1


@pytest.mark.parametrize("code", [-32602, 205], ids=["it was no invoice", "there was no way"])
async def test_a_failure_that_is_heard_late_says_nothing_of_a_later_attempt(pair: Two, code: int) -> None:
    order, call = await pair.payable(), ClnRpc.call

    async def late(self: ClnRpc, method: str, *args: Any, **options: Any) -> dict[str, Any]:
        if method != "xpay":
            return await call(self, method, *args, **options)
        await heard.wait()
        raise ClnRefused("xpay", code, "refused")

    heard, begun = asyncio.Event(), asyncio.Event()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ClnRpc, "call", late)
        await pair.payer.pay(order)
    pair.clock.advance(RETRY_S + LATE_S + 1)
    pair.l1.delays["xpay"] = begun  # the later attempt looks for its way
    async with pair.again(pair.l1) as another:
        await another.pay(order)
        heard.set()
        with contextlib.suppress(Rejected):
            await asyncio.gather(*pair.payer._payments._running.values())
        for node in (pair.payer, another):
            assert await node.sent(HASH) == Sent(SentState.PENDING)
        begun.set()
        assert await another.follow(HASH) == SUCCEEDED
    assert pair.xpays() == 1


# --- what somebody else did


async def test_two_workers_that_try_a_failed_payment_anew_do_not_both_begin_it(pair: Two) -> None:
    notes = Notes(ClnRpc(pair.l1.rpc_file))
    failed = {"at": NOW, "code": 205}
    await notes.write(Kind.PAYMENTS, HASH, failed, instead_of=None)
    seen = await notes.read(Kind.PAYMENTS, HASH)
    assert await notes.write(Kind.PAYMENTS, HASH, {"at": NOW, "until": NOW + 9}, instead_of=seen)
    assert not await notes.write(Kind.PAYMENTS, HASH, {"at": NOW, "until": NOW + 9}, instead_of=seen)


async def test_what_was_paid_stays_paid_when_lightningd_forgets_it(pair: Two) -> None:
    order = await pair.payable()
    await pair.payer.pay(order)
    assert await pair.payer.follow(HASH) == SUCCEEDED
    await asyncio.sleep(0.05)
    pair.network.run("DELETE FROM sendpays")  # delpay, or autoclean
    async with pair.again(pair.l1) as another:
        assert await another.sent(HASH) == SUCCEEDED
        await another.pay(order)
    assert pair.xpays() == 1


async def test_a_payment_made_by_hand_is_known(pair: Two) -> None:
    order = await pair.payable()
    paid = await ClnRpc(pair.l1.rpc_file).call("xpay", {"invstring": Invoice.from_bytes(order.invoice).to_text()})
    assert paid["payment_preimage"] == PREIMAGE.hex()
    assert await pair.payer.sent(HASH) == SUCCEEDED
    await pair.payer.pay(order)
    assert pair.xpays() == 1


async def test_old_notes_are_thrown_away_and_young_ones_are_not(pair: Two) -> None:
    notes, old, young = Notes(ClnRpc(pair.l1.rpc_file)), PaymentHash(b"\x01" * 32), PaymentHash(b"\x02" * 32)
    await notes.write(Kind.PAYMENTS, old, {"at": NOW}, instead_of=None)
    await notes.write(Kind.WITHDRAWN, old, {"at": NOW}, instead_of=None)
    await notes.write(Kind.PAYMENTS, young, {"at": NOW + 10}, instead_of=None)
    await notes.prune(pair.clock.now())
    pair.clock.advance(KEPT_S + 5)
    await notes.prune(pair.clock.now())
    assert await notes.read(Kind.PAYMENTS, old) is None
    assert await notes.read(Kind.WITHDRAWN, old) is None
    assert await notes.read(Kind.PAYMENTS, young) is not None


# --- invoices that Core Lightning cannot read

RECURRING = {
    fields.OFFER_RECURRENCE_COMPULSORY: RecurrenceField(0, 10),
    fields.OFFER_RECURRENCE_PAYWINDOW: Paywindow(5, 5),
    fields.INVREQ_RECURRENCE_COUNTER: 3,
    fields.INVREQ_RECURRENCE_START: 1,
    fields.INVOICE_RECURRENCE_BASETIME: UnixSeconds(NOW),
}


def recurring(order: PayOrder, dialect: Dialect) -> PayOrder:
    return replace(order, invoice=signed_invoice(order, created_at=NOW, dialect=dialect, more=RECURRING))


def handed_over(pair: Two) -> Invoice:
    [text] = [params["invstring"] for method, params in pair.l1.calls if method == "xpay"]
    return Invoice.from_text(text)


async def test_an_invoice_in_numbers_of_the_draft_is_handed_over_as_a_copy_that_can_be_read(pair: Two) -> None:
    order = recurring(await pair.payable(), Dialect.DRAFT)
    await pair.payer.pay(order)
    assert await pair.payer.follow(HASH) == SUCCEEDED
    original, copy = Invoice.from_bytes(order.invoice), handed_over(pair)
    copy.verify_signature()
    assert copy.node_id != original.node_id
    theirs, ours = {24, 27, 92, 93, 177}, {fields.INVOICE_NODE_ID.number, fields.SIGNATURE.number}
    kept = [record for record in original.stream if record.type not in theirs | ours]
    assert {record.type for record in original.stream} >= theirs | ours
    assert [record for record in copy.stream if record.type not in ours] == kept, "byte for byte what was verified"
    for field in (fields.INVOICE_PAYMENT_HASH, fields.INVOICE_AMOUNT, fields.INVOICE_PATHS, fields.INVOICE_BLINDEDPAY,
                  fields.INVOICE_CREATED_AT, fields.INVOICE_RELATIVE_EXPIRY, fields.INVREQ_CHAIN):  # fmt: skip
        assert field.number in {record.type for record in kept}, field.name


async def test_an_invoice_in_numbers_of_core_lightning_is_handed_over_as_it_is(pair: Two) -> None:
    order = recurring(await pair.payable(), Dialect.CLN)
    await pair.payer.pay(order)
    assert await pair.payer.follow(HASH) == SUCCEEDED
    assert handed_over(pair).to_bytes() == order.invoice


async def test_an_invoice_in_numbers_of_the_draft_is_not_even_read_by_xpay(pair: Two) -> None:
    """Otherwise the copy above would be for nothing."""
    text = Invoice.from_bytes(recurring(await pair.payable(), Dialect.DRAFT).invoice).to_text()
    with pytest.raises(ClnRefused, match="Invalid bolt12 invoice: invalid invoice data"):
        await ClnRpc(pair.l1.rpc_file).call("xpay", {"invstring": text})


# --- what is not even begun


async def test_only_the_ordered_invoice_is_paid(pair: Two) -> None:
    order = await pair.payable()
    for wrong in (
        replace(order, amount_msat=Msat(PRICE - 1)),
        replace(order, payment_hash=PaymentHash(b"\x01" * 32)),
        replace(order, invoice=b"no invoice"),
        replace(order, max_fee_msat=Msat(-1)),
    ):
        with pytest.raises(Rejected):
            await pair.payer.pay(wrong)
    assert pair.xpays() == 0
    assert (await pair.payer.sent(HASH)).state is SentState.UNKNOWN


async def test_an_invoice_of_the_very_node_is_not_paid(pair: Two) -> None:
    order = await pair.payable()
    with pytest.raises(Rejected, match="the very node"):
        await pair.payee.pay(order)


async def test_without_xpay_nothing_was_begun(pair: Two) -> None:
    order = await pair.payable()
    pair.l1.missing.add("xpay")
    with pytest.raises(ClnUnavailable, match=r"does not know xpay: it takes 24\.11 or newer") as caught:
        await pair.payer.pay(order)
    assert caught.value.trouble is Trouble.TOO_OLD
    assert (await pair.payer.sent(HASH)).state is SentState.UNKNOWN


@pytest.mark.parametrize("warning", ["warning_bitcoind_sync", "warning_lightningd_sync"])
async def test_a_node_that_is_behind_pays_nothing(pair: Two, warning: str) -> None:
    order = await pair.payable()
    pair.l1.warnings = {warning: "Still loading latest blocks from bitcoind."}
    with pytest.raises(ClnUnavailable, match="not synced: Still loading"):
        await pair.payer.pay(order)
    assert pair.xpays() == 0


async def test_xpay_that_refuses_late_leaves_nothing_behind(pair: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payments, "REFUSAL_S", 0.0)
    order = await pair.payable()
    strange = bytearray(order.invoice)
    strange[-1] ^= 1  # the signature
    await pair.payer.pay(replace(order, invoice=bytes(strange)))
    await eventually(lambda: pair.payer.sent(HASH), lambda now: now.state is SentState.UNKNOWN)


async def test_funds_that_are_lacking_are_told_apart_from_a_missing_route(pair: Two) -> None:
    order = await pair.payable()
    pair.network.run("UPDATE channels SET msat1 = 10000, msat2 = ? WHERE node1 = ?", 1_990_000, pair.l1.id)
    pair.network.run("UPDATE channels SET msat2 = 10000, msat1 = ? WHERE node2 = ?", 1_990_000, pair.l1.id)
    await pair.payer.pay(order)
    failed = await went(pair, SentState.FAILED)
    assert failed == Sent(SentState.FAILED, reason=FailureReason.INSUFFICIENT_FUNDS, retryable=True)


async def test_a_channel_that_is_down_is_a_missing_route(pair: Two) -> None:
    order = await pair.payable()
    pair.network.run("UPDATE channels SET is_up = 0")
    await pair.payer.pay(order)
    failed = await went(pair, SentState.FAILED)
    assert failed == Sent(SentState.FAILED, reason=FailureReason.NO_ROUTE, retryable=True)


# --- words

WORDS = [
    (203, "Destination said it doesn't know invoice: incorrect_or_unknown_payment_details",
     FailureReason.REFUSED_BY_PAYEE, False),
    (209, "Failed after 1 attempts. We got an error from inside the blinded path 0x0x0/1: we assume it means"
     " insufficient capacity. Then routing failed: ...", FailureReason.REFUSED_BY_PAYEE, False),
    (205, "Failed: There is no connection between source and destination at all", FailureReason.NO_ROUTE, True),
    (209, "Timed out after after 6 attempts. We got temporary_channel_failure for 843729x1660x0/0, assuming it can't"
     " carry 1300650msat. ", FailureReason.NO_ROUTE, True),
    (206, "Failed: Could not find route without excessive cost", FailureReason.FEE_LIMIT, True),
    (209, "Failed after 2 attempts. Then routing failed: Could not find route without excessive cost",
     FailureReason.FEE_LIMIT, True),
    (206, "Failed: Could not find route without excessive delays", FailureReason.NO_ROUTE, True),
    (207, "Invoice expired 17 seconds ago", FailureReason.EXPIRED, False),
    (205, "Failed: The shortest path is 0x0x0, but 0x0x0/1 exceeds htlc_maximum_msat ~1msat",
     FailureReason.OTHER, False),
    (205, "Failed: The shortest path is 0x0x0, but 0x0x0/1 below htlc_minumum_msat ~1msat", FailureReason.OTHER, False),
    (213, "invoice was declined", FailureReason.OTHER, False),
    (-1, "something else", FailureReason.OTHER, True),
    (-3, "Unexpected injectpaymentonion error", FailureReason.OTHER, True),
]  # fmt: skip


@pytest.mark.parametrize(("code", "message", "reason", "retryable"), WORDS)
def test_the_words_of_xpay_in_ours(code: int, message: str, reason: FailureReason, retryable: bool) -> None:
    assert reason_of(code, message) == (reason, retryable)


# --- a crash at every step


class Crashing(ClnRpc):
    """Breaks off at one call: before it is sent, or before its answer is heard."""

    def __init__(self, rpc_file: Path, step: int, *, was_sent: bool) -> None:
        super().__init__(rpc_file)
        self.left, self.was_sent, self.crashed = step, was_sent, False

    async def call(self, method: str, params: Mapping[str, Any] | None = None, **extra: Any) -> dict[str, Any]:
        self.left -= 1
        if self.left == 0:
            self.crashed = True
            if self.was_sent:
                sending = asyncio.ensure_future(super().call(method, params, **extra))
                await asyncio.wait({sending}, timeout=0.05)
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            raise ClnUnavailable(Trouble.UNREACHABLE, "a power cut")
        return await super().call(method, params, **extra)


@pytest.mark.parametrize("was_sent", [False, True], ids=["not sent", "not heard"])
@pytest.mark.parametrize("step", range(1, 12))
async def test_whatever_step_a_crash_falls_on_it_is_paid_once_and_nothing_is_said_too_early(
    pair: Two, step: int, was_sent: bool
) -> None:
    order = await pair.payable()
    rpc = Crashing(pair.l1.rpc_file, step, was_sent=was_sent)
    with contextlib.suppress(ClnUnavailable):
        async with ClnNode(rpc, pair.clock, chain=REGTEST) as dying:
            await dying.pay(order)
            await dying.follow(HASH)
    assert rpc.crashed or step > 8, "fewer steps than there are to crash at"
    async with pair.again(pair.l1) as another:
        told = await another.sent(HASH)
        assert (told.state is SentState.UNKNOWN) <= (pair.xpays() == 0), "what xpay was asked for may still be made"
        while told.state is not SentState.SUCCEEDED:
            if told.state is SentState.PENDING:
                pair.clock.advance(RETRY_S + LATE_S + 1)
            else:
                await another.pay(order)
            told = await another.follow(HASH)
    assert pair.xpays() <= 2
    assert pair.network.balance(pair.l2.id) - pair.network.balance(pair.l1.id) == 2 * PRICE
