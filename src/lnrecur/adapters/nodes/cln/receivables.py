"""The payee's side: what lightningd shall accept payments for, and what became of it.

A receivable is an ordinary `invoice` of lightningd with our preimage. `createinvoice` is never called: two of its calls
crash lightningd, and nothing it does is needed, since the path in our own invoice ends with the payment_secret of the
ordinary one, which lightningd takes (seen working, one hop and two).

Claiming: lightningd claims by itself what arrives, unless the plugin runs and holds it (held.py). What counts as
claimed is the status "paid" in lightningd's database, and nothing else. Withdrawing deletes the invoice: lightningd has
no other way to refuse a payment before its time. A note tells later that it was us (notes.py), written before anything
is deleted; a deletion without a note was somebody else's, `delinvoice` or autoclean, and the payment is then UNKNOWN.

lightningd refuses to claim what it held until after the invoice's expiry. So with the plugin invoices get some more
time there than the payer was told, and we refuse by our own clock what comes late.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any, Final

from lnrecur.adapters.nodes.cln.errors import ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.held import HeldPayments
from lnrecur.adapters.nodes.cln.hook_answers import PaymentAnswer
from lnrecur.adapters.nodes.cln.invoices import Invoice, label_of, payment_secret, read_invoice, write_description
from lnrecur.adapters.nodes.cln.notes import Kind, Note, Notes
from lnrecur.adapters.nodes.cln.rpc import ClnRpc
from lnrecur.crypto.hashes import sha256
from lnrecur.ports import Clock, Receivable, Received, ReceivedState, ReceiveOrder, Rejected
from lnrecur.values import ZERO_MSAT, PaymentHash, Preimage

CLTV_EXPIRY: Final = 40
"""Blocks from the arrival of a payment to its end, where the node's cltv-final does not ask for more."""
PADDING_BLOCKS: Final = 3
"""With a blinded path it is the recipient who leaves room for blocks that come while the payment is on its way."""
HOLD_S_MAX: Final = 60
"""More time than a payment is held: how much longer than the payer was told an invoice lives in lightningd."""
_CLAIM_S_MAX: Final = 15.0
_LOOK_S: Final = (0.01, 0.03, 0.1, 0.3)
_AMOUNT_MAX: Final = 2**63 - 1
_DELETED: Final = 905


class Receivables:
    """Invoices of ours in one lightningd."""

    def __init__(self, rpc: ClnRpc, clock: Clock, notes: Notes, held: HeldPayments | None) -> None:
        self._rpc = rpc
        self._clock = clock
        self._notes = notes
        self._held = held
        self.on_withdrawn: Callable[[Invoice], None] = lambda invoice: None
        """Called when a receivable was withdrawn here."""

    async def register(self, order: ReceiveOrder, cltv_final: int) -> Receivable:
        """See `MoneyNode.register`; `cltv_final` is lightningd's setting."""
        _check(order)
        payment_hash, description = PaymentHash(sha256(order.preimage)), write_description(order)
        cltv = max(CLTV_EXPIRY, cltv_final)
        known = await self.invoice(payment_hash)
        if known is None and order.expires_at < self._clock.now():
            raise Rejected(f"this receivable expired at {order.expires_at}, and it is {self._clock.now()}")
        if await self._notes.read(Kind.WITHDRAWN, payment_hash) is not None:
            raise Rejected("this receivable was withdrawn")
        if known is None:
            known = await self._make(order, payment_hash, description, cltv)
        if (known.description, known.amount_msat) != (description, order.amount_msat):
            raise Rejected("this preimage was registered with other terms")
        return Receivable(payment_hash, payment_secret(known.bolt11), cltv + PADDING_BLOCKS, takes_parts=True)

    async def _make(self, order: ReceiveOrder, payment_hash: PaymentHash, description: str, cltv: int) -> Invoice:
        longer = 1 if self._held is None else HOLD_S_MAX  # lightningd's last second is not included
        params: dict[str, Any] = {
            "amount_msat": int(order.amount_msat),
            "label": label_of(payment_hash),
            "description": description,
            "expiry": order.expires_at - self._clock.now() + longer,
            "preimage": order.preimage.hex(),
            "cltv": cltv,
            "deschashonly": True,  # it is too long for BOLT 11
        }
        try:
            await self._rpc.call("invoice", params)
        except ClnRefused as error:
            if error.code == ClnRefused.PREIMAGE_EXISTS:
                raise Rejected("this preimage belongs to an invoice that lnrecur did not make") from error
            if error.code != ClnRefused.LABEL_EXISTS:
                raise Rejected(f"Core Lightning makes no invoice: {error}") from error
        made = await self.invoice(payment_hash)
        if made is None:
            raise Rejected("the label of this receivable belongs to an invoice that lnrecur did not make")
        return made

    async def invoice(self, payment_hash: PaymentHash) -> Invoice | None:
        """What lightningd knows of a payment hash; None where it is nothing, or not an invoice of ours.

        Raises:
            ClnUnavailable: no answer.
        """
        try:
            told = (await self._rpc.call("listinvoices", {"label": label_of(payment_hash)}))["invoices"]
        except (ClnRefused, KeyError) as error:
            raise ClnUnavailable(Trouble.NO_CLN, f"Core Lightning does not look an invoice up: {error}") from error
        return read_invoice(told[0]) if told else None

    async def admit(self, payment_hash: PaymentHash) -> Invoice | None:
        """The invoice, if a payment of it is still wanted.

        Raises:
            ClnUnavailable: no answer.
        """
        invoice = await self.invoice(payment_hash)
        if invoice is None or invoice.state(self._clock.now()) is not ReceivedState.OPEN:
            return None
        withdrawn = await self._notes.read(Kind.WITHDRAWN, payment_hash)
        return None if withdrawn is not None else invoice

    async def received(self, payment_hash: PaymentHash) -> Received:
        """See `MoneyNode.received`."""
        invoice = await self.invoice(payment_hash)
        if invoice is not None and invoice.status == "paid":
            return Received(ReceivedState.CLAIMED, invoice.received_msat, invoice.context)
        withdrawn = await self._notes.read(Kind.WITHDRAWN, payment_hash)
        if withdrawn is not None:
            return Received(ReceivedState.CANCELED, ZERO_MSAT, context_of(withdrawn))
        if invoice is None:
            return Received(ReceivedState.UNKNOWN)
        held = None if self._held is None else self._held.find(payment_hash)
        if held is not None:
            return Received(ReceivedState.CLAIMABLE, held.amount_msat, invoice.context)
        return Received(invoice.state(self._clock.now()), ZERO_MSAT, invoice.context)

    # --- claim and cancel

    async def claim(self, preimage: Preimage) -> None:
        """See `MoneyNode.claim`. What is claimed was claimable; if it went back meanwhile, it is withdrawn.

        A hook that was answered without us (its deadline, the end of a plugin) has failed a payment back, of which
        lightningd keeps no record: the invoice is as open as before. Who waits for this claim has to hear of its end.
        """
        payment_hash, held = PaymentHash(sha256(preimage)), self._held
        while held is not None and held.is_arriving(payment_hash):
            await asyncio.sleep(_LOOK_S[0])
        state = (await self.received(payment_hash)).state
        if state is ReceivedState.CLAIMED:
            return
        waits = None if held is None else held.find(payment_hash)
        if held is not None and waits is not None and held.decide(payment_hash, PaymentAnswer.CONTINUE):
            try:
                await self._await_claimed(payment_hash)
            except Rejected:
                await self._note_withdrawn(waits.invoice)  # where it was deleted lightningd will not tell of it
                self.on_withdrawn(waits.invoice)
                raise
            return
        went_back = held is not None and state in (ReceivedState.OPEN, ReceivedState.CLAIMABLE)
        if went_back and not await self.cancel(payment_hash):
            return  # lightningd has taken it just now
        raise Rejected(f"there is nothing to claim, this payment is {state}")

    async def _await_claimed(self, payment_hash: PaymentHash) -> None:
        """The hook's answer is a wish; what lightningd made of it stands in its database."""
        end = time.monotonic() + _CLAIM_S_MAX
        naps = iter(_LOOK_S)
        while time.monotonic() < end:
            invoice = await self.invoice(payment_hash)
            if invoice is not None and invoice.status == "paid":
                return
            if invoice is None or invoice.status == "expired":
                raise Rejected("Core Lightning did not claim this payment: its invoice expired or was deleted")
            await asyncio.sleep(next(naps, _LOOK_S[-1]))
        raise ClnUnavailable(Trouble.UNREACHABLE, "Core Lightning does not say that it has claimed a payment")

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        """See `MoneyNode.cancel`; a payment hash nobody registered counts as withdrawn."""
        invoice = await self.invoice(payment_hash)
        if invoice is not None and invoice.status == "paid":
            return False
        if invoice is None:
            return True
        await self._note_withdrawn(invoice)
        if self._held is not None:
            self._held.decide(payment_hash, PaymentAnswer.REJECT)
        if not await self._delete(invoice):
            await self._notes.drop(Kind.WITHDRAWN, payment_hash)
            return False
        self.on_withdrawn(invoice)
        return True

    async def _note_withdrawn(self, invoice: Invoice) -> None:
        note = {"at": self._clock.now(), "context": base64.b64encode(invoice.context).decode()}
        await self._notes.write(Kind.WITHDRAWN, invoice.payment_hash, note, instead_of=None)

    async def finish_withdrawing(self, note: Note) -> bool:
        """Delete what a crash has left between a note and its deletion. False: it was paid in between, and is claimed.

        Raises:
            ClnUnavailable: no answer.
        """
        invoice = await self.invoice(note.payment_hash)
        if invoice is None or await self._delete(invoice):
            return True
        await self._notes.drop(Kind.WITHDRAWN, note.payment_hash)
        return False

    async def _delete(self, invoice: Invoice) -> bool:
        """False: it is paid. That is on record until it was told, so it is never deleted."""
        status = invoice.status
        for _ in range(3):
            if status == "paid":
                return False
            try:
                await self._rpc.call("delinvoice", {"label": invoice.label, "status": status})
            except ClnRefused as error:
                if error.code == _DELETED:
                    return True
                now = await self.invoice(invoice.payment_hash)
                if now is None:
                    return True
                status = now.status
            else:
                return True
        raise ClnUnavailable(Trouble.NO_CLN, "Core Lightning does not withdraw an invoice just now")


def context_of(note: Note) -> bytes:
    """The sealed context that a note of a withdrawal keeps."""
    return base64.b64decode(str(note.value.get("context", "")))


def _check(order: ReceiveOrder) -> None:
    if len(order.preimage) != 32:
        raise Rejected(f"a preimage takes 32 bytes, not {len(order.preimage)}")
    if not 1 <= order.amount_msat <= _AMOUNT_MAX:
        raise Rejected(f"{order.amount_msat} msat cannot be received")
