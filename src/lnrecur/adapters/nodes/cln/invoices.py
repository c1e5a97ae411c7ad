"""Our invoices as lightningd keeps them: what stands in their labels and descriptions, and how they are read.

lightningd alone remembers what a payment needs. The label is derived from the payment hash, so that one payment has one
label; the description ends in the moment it expires and the sealed context. The BOLT 11 text that lightningd makes is
shown to nobody: its payment_secret becomes the path_id of a blinded path of ours, which lightningd takes for its own.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lnrecur.adapters.nodes.cln.errors import ClnUnavailable, Trouble
from lnrecur.ports import ReceivedState, ReceiveOrder
from lnrecur.values import Msat, PaymentHash, UnixSeconds
from lnrecur.wire.errors import WireError
from lnrecur.wire.text import decode_text

LABEL_PREFIX: Final = "lnrecur-"
_LABEL: Final = re.compile(LABEL_PREFIX + "([0-9a-f]{64})")
_MARK: Final = "lnrecur:"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
"""lightningd takes no description that JSON has to escape with \\u."""
TEXT_MAX: Final = 1000
_STATES: Final = {
    "unpaid": ReceivedState.OPEN,
    "paid": ReceivedState.CLAIMED,
    "expired": ReceivedState.CANCELED,
}


def label_of(payment_hash: PaymentHash) -> str:
    """The label of the one invoice for a payment hash."""
    return LABEL_PREFIX + payment_hash.hex()


def hash_of(label: str) -> PaymentHash | None:
    """The payment hash of a label of ours; None for others."""
    found = _LABEL.fullmatch(label)
    return None if found is None else PaymentHash(bytes.fromhex(found[1]))


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice of ours, as lightningd tells of it."""

    payment_hash: PaymentHash
    label: str
    status: str
    """lightningd's own word: unpaid, paid or expired."""
    amount_msat: Msat
    received_msat: Msat
    description: str
    context: bytes
    expires_at: UnixSeconds
    """The moment of the receive order; lightningd may accept a payment a little longer (see receivables.py)."""
    paid_at: UnixSeconds
    bolt11: str
    pay_index: int
    updated_index: int

    def state(self, now: UnixSeconds) -> ReceivedState:
        """How far its payment is, as far as lightningd says."""
        state = _STATES[self.status]
        late = state is ReceivedState.OPEN and now > self.expires_at
        return ReceivedState.CANCELED if late else state


def write_description(order: ReceiveOrder) -> str:
    """What a wallet's list shows, cut where it must be, and behind it what only we read."""
    told = _CONTROL.sub(" ", order.description).encode()[:TEXT_MAX].decode(errors="ignore").strip()
    return f"{told} {_MARK}{order.expires_at}:{base64.b64encode(order.context).decode()}".lstrip()


def read_description(description: str) -> tuple[UnixSeconds, bytes] | None:
    """When it expires, and the sealed context; None where it is none of ours."""
    _, mark, sealed = description.rpartition(_MARK)
    expires_at, colon, context = sealed.partition(":")
    if not mark or not colon or not (expires_at.isascii() and expires_at.isdecimal()):
        return None
    try:
        return UnixSeconds(int(expires_at)), base64.b64decode(context, validate=True)
    except (binascii.Error, ValueError):
        return None


def read_invoice(told: Mapping[str, Any]) -> Invoice | None:
    """An invoice of lightningd's, or None where it is not one of ours.

    Raises:
        ClnUnavailable: it is not written as lightningd writes.
    """
    try:
        label, description = str(told["label"]), str(told.get("description", ""))
        payment_hash, sealed = hash_of(label), read_description(description)
        if payment_hash is None or sealed is None or payment_hash.hex() != told["payment_hash"]:
            return None
        if told["status"] not in _STATES:
            raise ValueError(told["status"])
        return Invoice(
            payment_hash,
            label,
            told["status"],
            Msat(int(told["amount_msat"])),
            Msat(int(told.get("amount_received_msat", 0))),
            description,
            sealed[1],
            sealed[0],
            UnixSeconds(int(told.get("paid_at", 0))),
            str(told["bolt11"]),
            int(told.get("pay_index", 0)),
            int(told.get("updated_index", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        told_so = f"an invoice of Core Lightning's cannot be read: {type(error).__name__} {error}"
        raise ClnUnavailable(Trouble.NO_CLN, told_so) from error


_SECRET: Final = "s"  # noqa: S105
_TIMESTAMP_DIGITS: Final = 7
_SIGNATURE_DIGITS: Final = 104
_CHECKSUM_DIGITS: Final = 6
_SECRET_DIGITS: Final = 52
_DIGITS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def payment_secret(bolt11: str) -> bytes:
    """The payment_secret (`s`, 32 bytes) of a BOLT 11 text that our own lightningd wrote.

    `listinvoices` does not tell it, and `decode` is gone where the offers plugin is switched off.

    Raises:
        ClnUnavailable: there is none in it.
    """
    data = bolt11.rpartition("1")[2]
    fields, at = data[_TIMESTAMP_DIGITS : -_SIGNATURE_DIGITS - _CHECKSUM_DIGITS], 0
    try:
        while at < len(fields):
            size = _DIGITS.index(fields[at + 1]) << 5 | _DIGITS.index(fields[at + 2])
            value = fields[at + 3 : at + 3 + size]
            if fields[at] == _SECRET and size == _SECRET_DIGITS:
                return decode_text(f"{_SECRET}1{value}")[1]
            at += 3 + size
    except (IndexError, ValueError, WireError) as error:
        raise ClnUnavailable(Trouble.NO_CLN, "a bolt11 text of Core Lightning's cannot be read") from error
    raise ClnUnavailable(Trouble.NO_CLN, "a bolt11 text of Core Lightning's has no payment_secret")
