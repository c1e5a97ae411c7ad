"""Being paid over Core Lightning, with the plugin and without, and whatever somebody deletes, on stand-ins."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cln_pair import HASH, HOUR, NOW, PREIMAGE, PRICE, Two, eventually, receive_order, two

from lnrecur.adapters.nodes.cln import ClnNode, ClnRpc, ClnUnavailable, HeldPayments, Trouble
from lnrecur.adapters.nodes.cln.hook_answers import PaymentAnswer
from lnrecur.adapters.nodes.cln.invoices import (
    hash_of,
    label_of,
    payment_secret,
    read_description,
    read_invoice,
    write_description,
)
from lnrecur.adapters.nodes.cln.notes import Kind, Notes
from lnrecur.adapters.nodes.cln.receivables import HOLD_S_MAX
from lnrecur.ports import FailureReason, Receipt, Received, ReceivedState, Rejected, Sent, SentState
from lnrecur.values import SIGNET, ZERO_MSAT, PaymentHash, Preimage, UnixSeconds

LABEL = label_of(HASH)
CLAIMED = Received(ReceivedState.CLAIMED, PRICE, b"sealed")
CANCELED = Received(ReceivedState.CANCELED, ZERO_MSAT, b"sealed")
REFUSED = Sent(SentState.FAILED, reason=FailureReason.REFUSED_BY_PAYEE)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Two]:
    """Without the plugin: lightningd claims what arrives."""
    async with two(tmp_path) as made:
        yield made


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Two]:
    """With the plugin."""
    async with two(tmp_path, holds=True) as made:
        yield made


async def is_now(pair: Two, state: ReceivedState) -> Received:
    return await eventually(lambda: pair.payee.received(HASH), lambda now: now.state is state)


async def paid(pair: Two, preimage: Preimage) -> PaymentHash:
    order = pair.order(await pair.payee.register(receive_order(preimage)))
    await pair.payer.pay(order)
    assert (await pair.payer.follow(order.payment_hash)).state is SentState.SUCCEEDED
    return order.payment_hash


async def receipts(node: ClnNode, count: int, cursor: str | None = None) -> list[Receipt]:
    async with aclosing(node.receipts(cursor)) as told, asyncio.timeout(10):
        return [await anext(told) for _ in range(count)]


# --- without the plugin


async def test_what_arrives_is_claimed_by_lightningd(alone: Two) -> None:
    assert not (await alone.payee.info()).can_hold
    order = await alone.payable()
    assert await alone.payee.received(HASH) == Received(ReceivedState.OPEN, ZERO_MSAT, b"sealed")
    with pytest.raises(Rejected, match="nothing to claim, this payment is open"):
        await alone.payee.claim(PREIMAGE)
    await alone.payer.pay(order)
    assert await is_now(alone, ReceivedState.CLAIMED) == CLAIMED
    await alone.payee.claim(PREIMAGE)
    assert not await alone.payee.cancel(HASH)
    [told] = await receipts(alone.payee, 1)
    assert (told.state, told.amount_msat, told.context, told.at) == (ReceivedState.CLAIMED, PRICE, b"sealed", NOW)


async def test_what_is_withdrawn_is_refused_and_stays_withdrawn(alone: Two) -> None:
    order = await alone.payable()
    assert await alone.payee.cancel(HASH)
    await alone.payer.pay(order)
    assert await alone.payer.follow(HASH) == REFUSED
    assert await alone.payee.received(HASH) == CANCELED
    with pytest.raises(Rejected, match="withdrawn"):
        await alone.payee.register(receive_order())
    async with alone.again(alone.l2) as another:
        assert await another.received(HASH) == CANCELED
        [told] = await receipts(another, 1)
        assert (told.state, told.context) == (ReceivedState.CANCELED, b"sealed")


async def test_a_withdrawal_that_came_too_late_is_none(alone: Two) -> None:
    order = await alone.payable()
    gate = alone.l2.delays["delinvoice"] = asyncio.Event()
    withdrawing = asyncio.ensure_future(alone.payee.cancel(HASH))
    await eventually(lambda: Notes(ClnRpc(alone.l2.rpc_file)).read(Kind.WITHDRAWN, HASH), lambda note: note is not None)
    await alone.payer.pay(order)
    assert (await alone.payer.follow(HASH)).state is SentState.SUCCEEDED
    gate.set()
    assert not await withdrawing
    assert await alone.payee.received(HASH) == CLAIMED
    assert await Notes(ClnRpc(alone.l2.rpc_file)).read(Kind.WITHDRAWN, HASH) is None


async def test_a_withdrawal_that_a_crash_cut_in_two_is_finished_at_the_next_start(alone: Two) -> None:
    order = await alone.payable()
    notes = Notes(ClnRpc(alone.l2.rpc_file))
    await notes.write(Kind.WITHDRAWN, HASH, {"at": NOW, "context": "c2VhbGVk"}, instead_of=None)
    assert await alone.payee.received(HASH) == CANCELED
    [told] = await receipts(alone.payee, 1)
    assert (told.state, told.context) == (ReceivedState.CANCELED, b"sealed")
    await alone.payer.pay(order)
    assert await alone.payer.follow(HASH) == REFUSED


async def test_what_was_paid_between_the_note_and_the_deletion_is_claimed_and_stays_on_record(alone: Two) -> None:
    """A plugin that dies between the two says "continue" to lightningd, and without one it takes what arrives."""
    order, notes = await alone.payable(), Notes(ClnRpc(alone.l2.rpc_file))
    await notes.write(Kind.WITHDRAWN, HASH, {"at": NOW, "context": "c2VhbGVk"}, instead_of=None)
    await alone.payer.pay(order)
    assert (await alone.payer.follow(HASH)).state is SentState.SUCCEEDED
    async with alone.again(alone.l2) as another:
        [told] = await receipts(another, 1)
        assert (told.state, told.amount_msat, told.context) == (ReceivedState.CLAIMED, PRICE, b"sealed")
        assert await another.received(HASH) == CLAIMED
        assert not await another.cancel(HASH)
    assert await notes.read(Kind.WITHDRAWN, HASH) is None


async def test_what_is_being_withdrawn_is_not_registered_again(alone: Two) -> None:
    await alone.payable()
    note = {"at": NOW, "context": "c2VhbGVk"}
    await Notes(ClnRpc(alone.l2.rpc_file)).write(Kind.WITHDRAWN, HASH, note, instead_of=None)
    with pytest.raises(Rejected, match="withdrawn"):
        await alone.payee.register(receive_order())


# --- nothing is missed


async def test_what_was_paid_while_nobody_listened_is_told_in_order(alone: Two) -> None:
    hashes = [await paid(alone, Preimage(bytes([number]) * 32)) for number in range(1, 5)]
    first = await receipts(alone.payee, 2)
    async with alone.again(alone.l2) as another:
        rest = await receipts(another, 2, first[-1].cursor)
    assert [told.payment_hash for told in (*first, *rest)] == hashes


async def test_receipts_go_on_after_a_restart_of_lightningd(alone: Two) -> None:
    first = await paid(alone, Preimage(b"\x01" * 32))
    stream = alone.payee.receipts(None)
    told = await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.02)
    await alone.l2.stop()
    with pytest.raises(ClnUnavailable):
        await waiting
    await alone.l2.start()
    second = await paid(alone, Preimage(b"\x02" * 32))
    [after] = await receipts(alone.payee, 1, told.cursor)
    assert [told.payment_hash, after.payment_hash] == [first, second]


async def test_a_payment_is_told_at_once(alone: Two) -> None:
    async with aclosing(alone.payee.receipts(None)) as stream:
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.05)
        await paid(alone, PREIMAGE)
        assert (await asyncio.wait_for(waiting, 2)).state is ReceivedState.CLAIMED


async def test_invoices_of_others_pass_by_and_a_long_history_is_skipped(alone: Two) -> None:
    rpc = ClnRpc(alone.l2.rpc_file)
    for number in range(3):
        await rpc.call("invoice", {"amount_msat": 5, "label": f"shop {number}", "description": "x", "expiry": HOUR})
    alone.network.run("UPDATE invoices SET status = 'paid', pay_index = created_index, updated_index = created_index,"
                      " received = 5, paid_at = 1")  # fmt: skip
    for name in ("pay_index", "invoices updated"):
        alone.network.run("INSERT INTO counters VALUES (?, ?, 3)", alone.l2.id, name)
    await paid(alone, PREIMAGE)
    [told] = await receipts(alone.payee, 1)
    assert (told.payment_hash, told.cursor) == (HASH, "cln:4:3")
    waited = [params["lastpay_index"] for method, params in alone.l2.calls if method == "waitanyinvoice"]
    assert min(waited) == 3


async def test_caught_up_is_told_after_all_that_happened_was_handled(alone: Two) -> None:
    await paid(alone, Preimage(b"\x01" * 32))
    await paid(alone, Preimage(b"\x02" * 32))
    handled: list[str] = []
    async with asyncio.timeout(10):
        stream: AsyncGenerator[Receipt] = alone.payee.receipts(None, lambda: handled.append("caught up"))
        for _ in range(2):
            await anext(stream)
            handled.append("receipt")
        waiting = asyncio.ensure_future(anext(stream))
        while "caught up" not in handled:
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert handled[:3] == ["receipt", "receipt", "caught up"]


async def test_an_expiry_that_happened_while_we_were_away_is_told_once(alone: Two) -> None:
    await alone.payable()
    alone.clock.advance(HOUR + 2)
    await eventually(lambda: alone.payee.received(HASH), lambda now: now.state is ReceivedState.CANCELED)
    [told] = await receipts(alone.payee, 1)
    assert (told.state, told.context) == (ReceivedState.CANCELED, b"sealed")
    with pytest.raises(TimeoutError):
        async with aclosing(alone.payee.receipts(told.cursor)) as again, asyncio.timeout(0.1):
            await anext(again)


# --- what somebody else did


async def test_payments_that_somebody_deleted_are_a_gap_that_the_doctor_tells(alone: Two) -> None:
    first = await paid(alone, Preimage(b"\x01" * 32))
    [told] = await receipts(alone.payee, 1)
    gone = await paid(alone, Preimage(b"\x02" * 32))
    await ClnRpc(alone.l2.rpc_file).call("delinvoice", {"label": label_of(gone), "status": "paid"})
    last = await paid(alone, Preimage(b"\x03" * 32))
    [after] = await receipts(alone.payee, 1, told.cursor)
    assert [told.payment_hash, after.payment_hash] == [first, last]
    assert await alone.payee.received(gone) == Received(ReceivedState.UNKNOWN)
    [finding] = [one for one in await alone.payee.diagnose() if one.subject == "receipts"]
    assert "payments 2 to 2 were deleted before they were told" in finding.told


async def test_what_was_deleted_before_the_first_payment_we_saw_is_no_gap(alone: Two) -> None:
    """A node that cleans up its invoices has numbered thousands of payments before lnrecur came."""
    gone = await paid(alone, Preimage(b"\x01" * 32))
    await ClnRpc(alone.l2.rpc_file).call("delinvoice", {"label": label_of(gone), "status": "paid"})
    await paid(alone, Preimage(b"\x02" * 32))
    await receipts(alone.payee, 1)
    assert not [one for one in await alone.payee.diagnose() if one.subject == "receipts"]


async def test_an_invoice_that_somebody_deleted_is_unknown_and_can_be_made_again(alone: Two) -> None:
    order = await alone.payable()
    await ClnRpc(alone.l2.rpc_file).call("delinvoice", {"label": LABEL, "status": "unpaid"})
    assert await alone.payee.received(HASH) == Received(ReceivedState.UNKNOWN)
    assert await alone.payee.cancel(HASH)
    await alone.payer.pay(order)
    assert await alone.payer.follow(HASH) == REFUSED
    assert (await alone.payee.register(receive_order())).path_id


async def test_a_label_of_somebody_else_is_refused(alone: Two) -> None:
    rpc = ClnRpc(alone.l2.rpc_file)
    await rpc.call("invoice", {"amount_msat": 5, "label": LABEL, "description": "lnrecur:1:c2VhbGVk"})
    with pytest.raises(Rejected, match="the label of this receivable belongs to an invoice that lnrecur did not make"):
        await alone.payee.register(receive_order())
    assert await alone.payee.received(HASH) == Received(ReceivedState.UNKNOWN)


async def test_a_preimage_of_somebody_else_is_refused(alone: Two) -> None:
    told = {"amount_msat": 5, "label": "shop", "description": "x", "preimage": PREIMAGE.hex()}
    await ClnRpc(alone.l2.rpc_file).call("invoice", told)
    with pytest.raises(Rejected, match="this preimage belongs to an invoice that lnrecur did not make"):
        await alone.payee.register(receive_order())


async def test_a_registration_that_was_not_heard_is_done_again(alone: Two) -> None:
    first = await alone.payee.register(receive_order())
    async with alone.again(alone.l2) as another:
        alone.clock.advance(30)
        assert await another.register(receive_order()) == first
    assert sum(1 for method, _ in alone.l2.calls if method == "invoice") == 1


# --- with the plugin


async def test_a_held_payment_waits_over_a_restart_of_lightningd(held: Two) -> None:
    assert (await held.payee.info()).can_hold
    await held.payer.pay(await held.payable())
    assert await is_now(held, ReceivedState.CLAIMABLE) == Received(ReceivedState.CLAIMABLE, PRICE, b"sealed")
    await held.l2.stop()
    with pytest.raises(ClnUnavailable):
        await held.payee.received(HASH)
    await held.l2.start()
    await is_now(held, ReceivedState.CLAIMABLE)
    assert held.hooks is not None
    assert held.hooks.asked == 2, "lightningd calls the hook again"
    await held.payee.claim(PREIMAGE)
    assert (await held.payer.follow(HASH)).state is SentState.SUCCEEDED
    assert await held.payee.received(HASH) == CLAIMED


async def test_a_payment_nobody_decides_about_is_failed_back_and_withdrawn(held: Two) -> None:
    assert held.hooks is not None
    await held.payable()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):  # the deadline of the plugin
            await held.hooks.held.arrived(LABEL, b"", PRICE)
    await is_now(held, ReceivedState.CANCELED)
    [told] = await receipts(held.payee, 1)
    assert (told.state, told.context) == (ReceivedState.CANCELED, b"sealed")
    assert await held.hooks.held.arrived(LABEL, b"", PRICE) is PaymentAnswer.REJECT


async def test_what_a_crash_left_half_withdrawn_is_returned_before_the_rest_is_done(held: Two) -> None:
    assert held.hooks is not None
    await held.payable()
    note = {"at": NOW, "context": "c2VhbGVk"}
    await Notes(ClnRpc(held.l2.rpc_file)).write(Kind.WITHDRAWN, HASH, note, instead_of=None)
    assert await held.hooks.held.arrived(LABEL, b"", PRICE) is PaymentAnswer.REJECT


async def test_a_payment_that_went_back_without_us_is_withdrawn_when_it_is_claimed(held: Two) -> None:
    """The plugin was stopped while it held it; who reserved the period for this payment hears that it has ended."""
    order = await held.payable()
    async with aclosing(held.payee.receipts(None)) as told, asyncio.timeout(10):
        news = asyncio.ensure_future(anext(told))
        with pytest.raises(Rejected, match="nothing to claim, this payment is open"):
            await held.payee.claim(PREIMAGE)
        assert (await news).state is ReceivedState.CANCELED
    await held.payer.pay(order)
    assert await held.payer.follow(HASH) == REFUSED


async def test_a_claim_waits_for_a_payment_whose_hook_was_just_called_again(held: Two) -> None:
    await held.payable()
    gate = asyncio.Event()

    class Slow(HeldPayments):
        def bind(self, admit: Any, on_change: Any, on_given_up: Any) -> None:
            async def slowly(payment_hash: PaymentHash) -> Any:
                await gate.wait()
                return await admit(payment_hash)

            super().bind(slowly, on_change, on_given_up)

    waits = Slow()
    async with held.again(held.l2, waits) as daemon:
        arriving = asyncio.ensure_future(waits.arrived(LABEL, b"", PRICE))  # no HTLC stands behind it
        await asyncio.sleep(0)
        claiming = asyncio.ensure_future(daemon.claim(PREIMAGE))
        await asyncio.sleep(0.05)
        gate.set()
        assert await arriving is PaymentAnswer.CONTINUE
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)


async def test_a_second_payment_of_one_invoice_is_refused_while_the_first_is_held(held: Two) -> None:
    assert held.hooks is not None
    await held.payable()
    first = asyncio.ensure_future(held.hooks.held.arrived(LABEL, b"", PRICE))
    await is_now(held, ReceivedState.CLAIMABLE)
    assert await held.hooks.held.arrived(LABEL, b"", PRICE) is PaymentAnswer.REJECT
    assert await held.payee.cancel(HASH)
    assert await first is PaymentAnswer.REJECT


async def test_payments_of_others_go_on_at_once(held: Two) -> None:
    assert held.hooks is not None
    for label in ("shop", "lnrecur-short", "lnrecur-" + "G" * 64, ""):
        assert await held.hooks.held.arrived(label, b"", 5) is PaymentAnswer.CONTINUE
    assert HeldPayments.is_ours(LABEL)
    assert not HeldPayments.is_ours("shop")


async def test_a_payment_that_arrives_before_the_daemon_is_up_waits_for_it(held: Two) -> None:
    await held.payable()
    waits = HeldPayments()
    arriving = asyncio.ensure_future(waits.arrived(LABEL, b"", PRICE))
    await asyncio.sleep(0.02)
    async with held.again(held.l2, waits) as daemon:
        await eventually(lambda: daemon.received(HASH), lambda now: now.state is ReceivedState.CLAIMABLE)
        assert await daemon.cancel(HASH)
        assert await arriving is PaymentAnswer.REJECT


async def test_when_lightningd_asks_and_does_not_answer_the_payment_is_returned(held: Two) -> None:
    assert held.hooks is not None
    await held.payable()
    await held.l2.stop()
    assert await held.hooks.held.arrived(LABEL, b"", PRICE) is PaymentAnswer.REJECT
    await held.l2.start()
    assert (await held.payee.received(HASH)).state is ReceivedState.OPEN


async def test_what_is_late_by_our_clock_is_refused_though_lightningd_would_take_it(held: Two) -> None:
    order = await held.payable()
    held.clock.advance(HOUR + HOLD_S_MAX // 2)
    late = held.order(await held.payee.register(receive_order()))
    assert late.payment_hash == order.payment_hash
    await held.payer.pay(replace(order, expires_at=UnixSeconds(NOW + 2 * HOUR)))
    assert (await held.payer.follow(HASH)).state is SentState.FAILED
    assert (await held.payee.received(HASH)).state is ReceivedState.CANCELED


async def test_a_claim_that_lightningd_did_not_follow_is_told(held: Two) -> None:
    """The deadline of the hook may have been over."""
    assert held.hooks is not None
    await held.payable()
    arriving = asyncio.ensure_future(held.hooks.held.arrived(LABEL, b"", PRICE))  # no HTLC stands behind it
    await is_now(held, ReceivedState.CLAIMABLE)
    claiming = asyncio.ensure_future(held.payee.claim(PREIMAGE))
    assert await arriving is PaymentAnswer.CONTINUE
    held.clock.advance(2 * HOUR)
    with pytest.raises(Rejected, match="did not claim this payment: its invoice expired"):
        await claiming


async def test_a_payment_whose_invoice_somebody_deletes_while_it_is_held_is_told_as_canceled(held: Two) -> None:
    assert held.hooks is not None
    await held.payable()
    arriving = asyncio.ensure_future(held.hooks.held.arrived(LABEL, b"", PRICE))
    await is_now(held, ReceivedState.CLAIMABLE)
    await ClnRpc(held.l2.rpc_file).call("delinvoice", {"label": LABEL, "status": "unpaid"})
    with pytest.raises(Rejected, match="did not claim this payment: its invoice expired or was deleted"):
        await held.payee.claim(PREIMAGE)
    assert await arriving is PaymentAnswer.CONTINUE
    assert await held.payee.received(HASH) == CANCELED
    async with held.again(held.l2) as another:
        [told] = await receipts(another, 1)
        assert (told.state, told.context) == (ReceivedState.CANCELED, b"sealed")


# --- what stands in an invoice


def test_a_description_keeps_the_moment_and_the_context_behind_what_people_read() -> None:
    order = receive_order(description="Caf\u00e9 \x00\n weekly\u2028 \u20ac", context=bytes(range(256)))
    written = write_description(order)
    assert written.startswith("Caf\u00e9    weekly\u2028 \u20ac lnrecur:")
    assert not re.search(r"[\x00-\x1f\x7f]", written), "lightningd takes no \\u"
    assert read_description(written) == (order.expires_at, order.context)
    longest = write_description(replace(order, description="\u20ac" * 5000))
    assert len(longest.encode()) < 1500
    assert read_description(longest) == (order.expires_at, order.context)
    assert read_description(write_description(replace(order, description=""))) == (order.expires_at, order.context)


@pytest.mark.parametrize(
    "text", ["", "coffee", "lnrecur:", "lnrecur:12", "lnrecur:x:c2Vh", "lnrecur:12:!!", "lnrecur:-1:"]
)
def test_a_description_of_somebody_else_is_none_of_ours(text: str) -> None:
    assert read_description(text) is None


def test_labels_are_hashes() -> None:
    assert hash_of(LABEL) == HASH
    assert hash_of(LABEL + "0") is None
    assert hash_of(LABEL.upper()) is None


CLN_RECORDED = (
    "lnbcrt100n1pne035qsp5ct5g9265vn4k2zn8ecuk6pxe0anszfl3uy4w5vukrvl4emm9w28qpp5j43wux8fg2cwkt3kq5xpprhukdxtqljum03g6zxjd"
    "wm34u24dshsdp9f9h8vmmfvdjjqer9wd3hy6tsw35k7m3qdsenzxqyjw5qcqp9rzjqgkjyd3q5dv6gllh77kygly9c3kfy0d9xwyjyxsq2nq3c83u5vw4j"
    "qqqwqqqqqgqqqqqqqqpqqqqqzsqqc9qxpqysgqflkpcezmaphptn08syzk9wh4rfkdzj3syan9ng9fzzv94htydujx6qut2tdgsmq2rg5utlmwcyce30f"
    "cqth7r68tc5mpqm7k4dfvy7gp0xletu"
)
"""An `invoice` of Core Lightning 25.05 (doc/schemas/invoice.json), and the payment_secret it answered with it."""
CLN_SECRET = "c2e882ab5464eb650a67ce396d04d97f670127f1e12aea33961b3f5cef65728e"


def test_the_payment_secret_is_read_from_what_core_lightning_wrote() -> None:
    assert payment_secret(CLN_RECORDED).hex() == CLN_SECRET


@pytest.mark.parametrize("text", ["", "lnbcrt1", "lnbcrt1" + "q" * 200, "lnbcrt1" + "q" * 7 + "sp", CLN_RECORDED[:150]])
def test_a_bolt11_text_without_a_secret_is_told(text: str) -> None:
    with pytest.raises(ClnUnavailable, match="bolt11"):
        payment_secret(text)


@pytest.mark.parametrize(
    "change", [{"status": "burnt"}, {"amount_msat": "any"}, {"bolt11": None}, {"payment_hash": "00"}]
)
def test_an_invoice_that_is_not_written_as_lightningd_writes_is_told_or_passed_by(change: dict[str, Any]) -> None:
    told = {
        "label": LABEL,
        "payment_hash": HASH.hex(),
        "status": "unpaid",
        "amount_msat": 5,
        "bolt11": "lnbcrt1",
        "description": "lnrecur:1:c2VhbGVk",
    }
    assert read_invoice(told) is not None
    changed = {key: value for key, value in {**told, **change}.items() if value is not None}
    if change.get("payment_hash"):
        assert read_invoice(changed) is None
        return
    with pytest.raises(ClnUnavailable, match="cannot be read"):
        read_invoice(changed)


# --- who it is


async def test_a_node_of_another_chain_is_refused(alone: Two) -> None:
    other = ClnNode(ClnRpc(alone.l2.rpc_file), alone.clock, chain=SIGNET)
    with pytest.raises(ClnUnavailable, match="is on regtest, and chain of the settings is signet") as caught:
        await other.register(receive_order())
    assert caught.value.trouble is Trouble.WRONG_CHAIN


@pytest.mark.parametrize(("version", "works"), [
    ("v24.11", True), ("v25.05rc2", True), ("v26.09-12-gabcdef", True), ("basedon-v26-abc", True),
    ("v24.08.2", False), ("v0.12.1", False), ("23.11", False),
])  # fmt: skip
async def test_an_old_version_is_refused_and_the_least_is_named(alone: Two, version: str, works: bool) -> None:
    alone.l2.version = version
    if works:
        assert (await alone.payee.info()).kind == f"Core Lightning {version}"
        return
    with pytest.raises(ClnUnavailable, match=r"is older than 24\.11") as caught:
        await alone.payee.info()
    assert caught.value.trouble is Trouble.TOO_OLD


async def test_the_final_delta_follows_the_setting_of_lightningd(alone: Two) -> None:
    alone.l2.cltv_final = 144
    assert (await alone.payee.register(receive_order())).final_cltv_delta == 147
    alone.l2.missing.add("listconfigs")
    async with alone.again(alone.l2) as another:
        with pytest.raises(ClnUnavailable):
            await another.register(receive_order(Preimage(b"\x02" * 32)))
