"""The payer's side: one payment by hash, through `xpay`, which is handed the invoice and the fee limit.

xpay is handed an invoice that it can read (payable.py), and has no record of its own. lightningd records a part of a
payment when its HTLC goes out (`listsendpays`); before that, xpay may look for a route for as long as it was told to
retry, and nobody can ask about it. It refuses to pay a hash that was paid, and lightningd lets no second xpay send
while parts of another are out; but a new invoice for the same period has another hash. So a note goes to lightningd's
datastore before xpay is called (notes.py), and `sent` believes

1. `listsendpays`: a complete part is success (with its preimage, which is checked); a pending one is PENDING;
2. the note, if there is no such part: while xpay may still begin an attempt, PENDING; what xpay said when it gave up
   is the reason of FAILED. A note of success outlives `delpay` and autoclean: what was paid is never paid again;
3. neither: UNKNOWN; xpay was never called, or by somebody else who never sent a part.

xpay answers before all its HTLCs have come back (lightning issue 8046), so its answer never ends a payment: only 1.
does. The note is taken by its generation: of two workers that begin one payment, one does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lnrecur.adapters.nodes.cln import failures
from lnrecur.adapters.nodes.cln.channels import Channels
from lnrecur.adapters.nodes.cln.errors import ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.notes import Kind, Note, Notes
from lnrecur.adapters.nodes.cln.payable import payable_text
from lnrecur.adapters.nodes.cln.rpc import ClnRpc, Json
from lnrecur.bolt12.invoice import Invoice
from lnrecur.crypto.hashes import sha256
from lnrecur.errors import LnrecurError
from lnrecur.ports import Clock, FailureReason, PayOrder, Rejected, Sent, SentState
from lnrecur.values import Msat, PaymentHash, Preimage

_LOG = logging.getLogger("lnrecur.cln")
RETRY_S: Final = 60
"""Seconds in which xpay may begin new attempts; what is on its way then stays on its way."""
LATE_S: Final = 120
"""xpay makes its first attempt even if its time is over by then (a slow search for a route)."""
REFUSAL_S: Final = 0.1
"""How long `pay` waits for an invoice that xpay does not even begin with."""
_ANSWER_S_MAX: Final = 30 * 24 * 3600.0
"""An HTLC may be out for weeks. lightningd goes on whether we listen or not."""
_WAIT_S: Final = 30
_LOOK_S: Final = 0.5
_AMOUNT_MAX: Final = 2**63 - 1


class Payments:
    """Payments out of one lightningd."""

    def __init__(self, rpc: ClnRpc, notes: Notes, channels: Channels, clock: Clock) -> None:
        self._rpc = rpc
        self._notes = notes
        self._channels = channels
        self._clock = clock
        self._running: dict[PaymentHash, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Stop listening to xpay; it goes on."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def pay(self, order: PayOrder) -> None:
        """See `MoneyNode.pay`."""
        text = _check(order)
        payment_hash, now = order.payment_hash, self._clock.now()
        await self._notes.prune(now)
        note = await self._notes.read(Kind.PAYMENTS, payment_hash)
        sent = await self._judge(payment_hash, note)
        if sent.state in (SentState.PENDING, SentState.SUCCEEDED):
            return
        if await self._is_own(payment_hash):
            raise Rejected("this is an invoice of the very node that is asked to pay it")
        begun = {"at": now, "until": now + RETRY_S + LATE_S, "amount_msat": int(order.amount_msat)}
        if not await self._notes.write(Kind.PAYMENTS, payment_hash, begun, instead_of=note):
            return  # another worker has begun it
        task = asyncio.get_running_loop().create_task(
            self._carry(order, text, begun), name=f"xpay {payment_hash.hex()[:16]}"
        )
        self._running[payment_hash] = task
        task.add_done_callback(lambda done: self._ran(payment_hash, done))
        await asyncio.wait({task}, timeout=REFUSAL_S)
        if task.done() and isinstance(error := task.exception(), LnrecurError):
            raise error

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        """See `MoneyNode.sent`."""
        return await self._judge(payment_hash, await self._notes.read(Kind.PAYMENTS, payment_hash))

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        """See `MoneyNode.follow`."""
        while (sent := await self.sent(payment_hash)).state is SentState.PENDING:
            await self._wait(payment_hash)
        return sent

    def _ran(self, payment_hash: PaymentHash, done: asyncio.Task[None]) -> None:
        self._running.pop(payment_hash, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            _LOG.warning("payment %s: %s", payment_hash.hex(), error)

    # --- judging

    async def _judge(self, payment_hash: PaymentHash, note: Note | None) -> Sent:
        parts = await self._parts(payment_hash)
        complete = [part for part in parts if part["status"] == "complete"]
        pending = [part for part in parts if part["status"] == "pending"]
        try:
            if complete:
                preimage = _preimage(complete[0]["payment_preimage"], payment_hash)
                return Sent(SentState.SUCCEEDED, preimage, _fee(complete, note))
            if note is not None and "preimage" in note.value:
                preimage = _preimage(note.value["preimage"], payment_hash)
                return Sent(SentState.SUCCEEDED, preimage, Msat(int(note.value["fee_msat"])))
            if pending:
                return Sent(SentState.PENDING, fee_msat=_fee(pending, note))
        except (KeyError, TypeError, ValueError) as error:
            told = f"Core Lightning's word on a payment cannot be read: {error!r}"
            raise ClnUnavailable(Trouble.NO_CLN, told) from error
        if note is None:
            return Sent(SentState.UNKNOWN) if not parts else _failed(failures.CUT_OFF, "")
        if "code" in note.value:
            return _failed(int(note.value["code"]), str(note.value.get("message", "")))
        if payment_hash in self._running or self._clock.now() <= int(note.value.get("until", 0)):
            return Sent(SentState.PENDING)
        return _failed(failures.CUT_OFF, "")

    async def _parts(self, payment_hash: PaymentHash) -> Sequence[Json]:
        if len(payment_hash) != 32:
            return []
        try:
            told = await self._rpc.call("listsendpays", {"payment_hash": payment_hash.hex()})
            parts: list[Json] = told["payments"]
        except (ClnRefused, KeyError) as error:
            told_so = f"Core Lightning does not say how far a payment is: {error}"
            raise ClnUnavailable(Trouble.NO_CLN, told_so) from error
        return parts

    async def _is_own(self, payment_hash: PaymentHash) -> bool:
        try:
            told = await self._rpc.call("listinvoices", {"payment_hash": payment_hash.hex()})
        except ClnRefused as error:
            raise ClnUnavailable(Trouble.NO_CLN, f"Core Lightning does not look an invoice up: {error}") from error
        return bool(told.get("invoices"))

    async def _wait(self, payment_hash: PaymentHash) -> None:
        """Until something about it has changed, or for a while."""
        if (running := self._running.get(payment_hash)) is not None:
            await asyncio.wait({running}, timeout=_WAIT_S)
            if not running.done():
                return
        for part in await self._parts(payment_hash):
            if part.get("status") == "pending":
                which: dict[str, Any] = {key: part[key] for key in ("partid", "groupid") if key in part}
                await self._wait_for_part({"payment_hash": payment_hash.hex(), "timeout": _WAIT_S, **which})
                return
        await asyncio.sleep(_LOOK_S)

    async def _wait_for_part(self, params: Mapping[str, Any]) -> None:
        try:
            await self._rpc.call("waitsendpay", params, timeout_s=_WAIT_S + 20)
        except ClnRefused as error:
            _LOG.debug("a part of a payment: %s", error)  # it failed, or the time is over; listsendpays says what is so
            await asyncio.sleep(_LOOK_S / 10)

    # --- paying

    async def _carry(self, order: PayOrder, text: str, begun: Json) -> None:
        """Have it paid, and note how that ended. What was heard wrong or not at all, `sent` finds out.

        That it failed counts for the attempt of the note `begun` only: heard late, it says nothing of a later one.

        Raises:
            Rejected: xpay does not begin with this invoice.
            ClnUnavailable: no answer.
        """
        params = {"invstring": text, "maxfee": int(order.max_fee_msat), "retry_for": RETRY_S}
        try:
            told = await self._rpc.call("xpay", params, timeout_s=_ANSWER_S_MAX)
        except ClnRefused as error:
            await self._fail(order, begun, error)
            return
        except ClnUnavailable as error:
            if error.trouble is Trouble.TOO_OLD:  # there is no xpay, so nothing was begun
                await self._forget(order.payment_hash, begun)
            raise
        preimage, fee = told.get("payment_preimage"), told.get("amount_sent_msat", 0) - order.amount_msat
        note = await self._notes.read(Kind.PAYMENTS, order.payment_hash)
        await self._end(note, {"preimage": preimage, "fee_msat": max(0, fee)})

    async def _fail(self, order: PayOrder, begun: Json, error: ClnRefused) -> None:
        _LOG.info("payment %s: %s", order.payment_hash.hex(), error)
        code = error.code
        if code in failures.ALREADY_PAID:
            return  # listsendpays says so, too
        if code == failures.INVALID:
            await self._forget(order.payment_hash, begun)
            reason = FailureReason.NO_ROUTE if failures.UNKNOWN_START in error.message else None
            told = f"Core Lightning does not pay this: {error}"
            raise Rejected(told, reason=reason, retryable=reason is not None) from error
        if code in (failures.NO_ROUTE, failures.OTHER_FAILURE) and await self._channels.lacks(order.amount_msat):
            code = failures.INSUFFICIENT
        note = await self._note_of(order.payment_hash, begun)
        await self._end(note, {"code": code, "message": error.message[:500]})

    async def _note_of(self, payment_hash: PaymentHash, begun: Json) -> Note | None:
        """The note of this attempt, unless there is a later one."""
        note = await self._notes.read(Kind.PAYMENTS, payment_hash)
        return note if note is not None and note.value.get("at") == begun["at"] else None

    async def _forget(self, payment_hash: PaymentHash, begun: Json) -> None:
        """Nothing was begun: it is as if nobody had asked."""
        if (note := await self._note_of(payment_hash, begun)) is not None:
            await self._notes.drop(Kind.PAYMENTS, payment_hash, only=note)

    async def _end(self, note: Note | None, outcome: Json) -> None:
        if note is not None:
            await self._notes.write(Kind.PAYMENTS, note.payment_hash, {**note.value, **outcome}, instead_of=note)


def _check(order: PayOrder) -> str:
    """The text for xpay, if the invoice is the one that was ordered to be paid.

    Raises:
        Rejected: it cannot be paid, or it is not.
    """
    if len(order.payment_hash) != 32:
        raise Rejected(f"a payment hash takes 32 bytes, not {len(order.payment_hash)}")
    if not 1 <= order.amount_msat <= _AMOUNT_MAX or not 0 <= order.max_fee_msat <= _AMOUNT_MAX:
        raise Rejected(f"{order.amount_msat} msat with fees up to {order.max_fee_msat} msat cannot be paid")
    try:
        invoice = Invoice.from_bytes(order.invoice)
    except LnrecurError as error:
        raise Rejected(f"this is no invoice: {error}") from error
    if (invoice.payment_hash, invoice.invoice_amount) != (order.payment_hash, order.amount_msat):
        raise Rejected("this invoice is for another payment or another amount")
    return payable_text(invoice)


def _preimage(told: object, payment_hash: PaymentHash) -> Preimage:
    preimage = Preimage(bytes.fromhex(str(told)))
    if sha256(preimage) != payment_hash:
        raise ValueError("a preimage of another payment")
    return preimage


def _fee(parts: Sequence[Json], note: Note | None) -> Msat:
    """What was sent beyond what arrives; lightningd 24.11.0 does not say what arrives."""
    sent = sum(int(part["amount_sent_msat"]) for part in parts)
    if all("amount_msat" in part for part in parts):
        arrives = sum(int(part["amount_msat"]) for part in parts)
    else:
        arrives = sent if note is None else int(note.value.get("amount_msat", sent))
    return Msat(max(0, sent - arrives))


def _failed(code: int, message: str) -> Sent:
    reason, retryable = failures.reason_of(code, message)
    return Sent(SentState.FAILED, reason=reason, retryable=retryable)
