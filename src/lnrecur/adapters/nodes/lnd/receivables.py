"""The payee's side: what LND shall accept payments for, and what became of it.

A receivable is an invoice in LND, a hold invoice where payments are held. Its memo carries the sealed context and the
moment it ends, so that LND alone remembers what the payment needs: nothing of it is kept here, and a restart on either
side loses nothing. The BOLT 11 text that LND makes is thrown away: what the payer is given is a blinded path of ours,
which ends at LND with the invoice's payment_addr as path_id. LND takes it for its own (`invoices/update.go`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble, reading
from lnrecur.adapters.nodes.lnd.rest import LndRest
from lnrecur.crypto.hashes import sha256
from lnrecur.ports import Receivable, Received, ReceivedState, ReceiveOrder, Rejected
from lnrecur.values import Msat, PaymentHash, Preimage, UnixSeconds

CLTV_EXPIRY: Final = 80
"""Blocks from the arrival of a payment to its end. LND fails back what nobody claims 18 blocks before that."""
_PADDING_BLOCKS: Final = 3
"""With a blinded path it is the recipient who leaves room for blocks that come while the payment is on its way."""
MEMO_MAX: Final = 1024
_MARK: Final = "lnrecur:"
_AMOUNT_MAX: Final = 2**63 - 1
_STATES: Final = {
    "OPEN": ReceivedState.OPEN,
    "ACCEPTED": ReceivedState.CLAIMABLE,
    "SETTLED": ReceivedState.CLAIMED,
    "CANCELED": ReceivedState.CANCELED,
}


def b64(data: bytes) -> str:
    """Bytes as LND's JSON has them."""
    return base64.b64encode(data).decode()


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice of ours, as LND tells of it."""

    payment_hash: PaymentHash
    payment_addr: bytes
    state: ReceivedState
    value_msat: Msat
    amount_msat: Msat
    """What is held or was paid."""
    memo: str
    context: bytes
    add_index: int
    settle_index: int
    created_at: UnixSeconds
    settled_at: UnixSeconds

    @property
    def received(self) -> Received:
        """The port's view."""
        taken = self.state in (ReceivedState.CLAIMABLE, ReceivedState.CLAIMED)
        return Received(self.state, self.amount_msat if taken else Msat(0), self.context)


def read_invoice(told: Mapping[str, Any]) -> Invoice | None:
    """An invoice of LND's, or None where it is not one of ours.

    Raises:
        LndUnavailable: it is not written as LND writes.
    """
    with reading("an invoice of LND's"):
        memo = str(told["memo"])
        _, mark, sealed = memo.rpartition(_MARK)
        if not mark:
            return None
        try:
            context = base64.b64decode(sealed.partition(":")[2], validate=True)
        except binascii.Error:
            return None  # somebody else's words
        held = sum(int(htlc["amt_msat"]) for htlc in told["htlcs"] if htlc["state"] == "ACCEPTED")
        return Invoice(
            PaymentHash(base64.b64decode(told["r_hash"])),
            base64.b64decode(told["payment_addr"]),
            _STATES[told["state"]],
            Msat(int(told["value_msat"])),
            Msat(int(told["amt_paid_msat"]) if told["state"] == "SETTLED" else held),
            memo,
            context,
            int(told["add_index"]),
            int(told["settle_index"]),
            UnixSeconds(int(told["creation_date"])),
            UnixSeconds(int(told["settle_date"])),
        )


class Receivables:
    """Invoices of ours in one LND."""

    def __init__(self, rest: LndRest, *, hold: bool) -> None:
        self._rest = rest
        self._hold = hold

    async def register(self, order: ReceiveOrder, now: UnixSeconds) -> Receivable:
        """See `MoneyNode.register`."""
        _check(order)
        payment_hash = PaymentHash(sha256(order.preimage))
        memo = _memo(order)
        known = await self.invoice(payment_hash)
        if known is None:
            if order.expires_at <= now:
                raise Rejected(f"this receivable would have expired at {order.expires_at}, and it is {now}")
            try:
                await self._add(order, payment_hash, memo, now)
            except LndRefused as error:
                if "already exists" not in str(error):
                    raise Rejected(f"LND makes no invoice: {error}") from error
            known = await self.invoice(payment_hash)
        if known is None:
            raise Rejected("this preimage belongs to an invoice in LND that lnrecur did not make")
        if (known.memo, known.value_msat) != (memo, order.amount_msat):
            raise Rejected("this preimage was registered with other terms")
        return Receivable(payment_hash, known.payment_addr, CLTV_EXPIRY + _PADDING_BLOCKS, takes_parts=True)

    async def invoice(self, payment_hash: PaymentHash) -> Invoice | None:
        """What LND knows of a payment hash; None where it is nothing, or not an invoice of ours.

        Raises:
            LndUnavailable: no answer.
        """
        try:
            told = await self._rest.get(f"/v1/invoice/{payment_hash.hex()}")
        except LndRefused as error:
            if _is_unknown(error):
                return None
            raise LndUnavailable(Trouble.NO_LND, f"LND does not look an invoice up: {error}") from error
        return read_invoice(told)

    async def received(self, payment_hash: PaymentHash) -> Received:
        """See `MoneyNode.received`."""
        invoice = await self.invoice(payment_hash)
        return Received(ReceivedState.UNKNOWN) if invoice is None else invoice.received

    async def claim(self, preimage: Preimage) -> None:
        """See `MoneyNode.claim`."""
        try:
            await self._rest.post("/v2/invoices/settle", {"preimage": b64(preimage)})
        except LndRefused as error:
            state = (await self.received(PaymentHash(sha256(preimage)))).state
            if state is ReceivedState.CLAIMED:
                return
            if state is ReceivedState.CLAIMABLE:
                raise LndUnavailable(Trouble.NOT_SYNCED, f"LND does not claim just now: {error}") from error
            raise Rejected(f"there is nothing to claim, this payment is {state}: {error}") from error

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        """See `MoneyNode.cancel`; a payment hash nobody registered counts as withdrawn."""
        try:
            await self._rest.post("/v2/invoices/cancel", {"payment_hash": b64(payment_hash)})
        except LndRefused as error:
            state = (await self.received(payment_hash)).state
            if state in (ReceivedState.CANCELED, ReceivedState.UNKNOWN):
                return True
            if state is ReceivedState.CLAIMED:
                return False
            raise LndUnavailable(Trouble.NOT_SYNCED, f"LND does not cancel just now: {error}") from error
        return True

    async def _add(self, order: ReceiveOrder, payment_hash: PaymentHash, memo: str, now: UnixSeconds) -> None:
        body: dict[str, Any] = {
            "memo": memo,
            # With a hash of the description LND leaves the memo out of its BOLT 11 text, where it would not fit.
            "description_hash": b64(sha256(order.description.encode())),
            "value_msat": str(order.amount_msat),
            "expiry": str(order.expires_at - now),
            "cltv_expiry": str(CLTV_EXPIRY),
        }
        if self._hold:
            await self._rest.post("/v2/invoices/hodl", {**body, "hash": b64(payment_hash)})
        else:
            await self._rest.post("/v1/invoices", {**body, "r_preimage": b64(order.preimage)})


def _check(order: ReceiveOrder) -> None:
    if len(order.preimage) != 32:
        raise Rejected(f"a preimage takes 32 bytes, not {len(order.preimage)}")
    if not 1 <= order.amount_msat <= _AMOUNT_MAX:
        raise Rejected(f"{order.amount_msat} msat cannot be received")


def _memo(order: ReceiveOrder) -> str:
    """What a wallet's list shows, cut where it must be, and behind it what only we read."""
    sealed = f"{_MARK}{order.expires_at}:{b64(order.context)}"
    room = MEMO_MAX - len(sealed) - 1
    if room < 0:
        raise Rejected(f"a context of {len(order.context)} bytes does not fit LND's memo of {MEMO_MAX}")
    told = order.description.encode()[:room].decode(errors="ignore")
    return f"{told} {sealed}"


def _is_unknown(error: LndRefused) -> bool:
    low = str(error).lower()
    return error.code == LndRefused.NOT_FOUND or "unable to locate invoice" in low or "no invoices" in low
