"""The payee's state, carried by the payer (V9): what an invoice hands out and the next request brings back.

A token says that the payment of one counter is made, once its invoice is paid: which offer, who, which counter, since
when. It is sealed with ChaCha20-Poly1305 under a key that follows from our seed, the offer and the payer, so nobody can
read, forge or move it. It proves nothing about what happened since: that a period is not taken twice is decided when a
payment is claimed, never by a token.

The seal's nonce follows from our key and the invoice's preimage, which is random: no two invoices have the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lnrecur.crypto.aead import TAG_SIZE, decrypt, encrypt
from lnrecur.crypto.errors import InvalidTag
from lnrecur.crypto.hashes import hmac_sha256
from lnrecur.recurrence.errors import StateRefused
from lnrecur.recurrence.inbound_model import Inbound, Phase
from lnrecur.values import OfferId, Point, Preimage, UnixSeconds
from lnrecur.wire.errors import WireError
from lnrecur.wire.integers import decode_tu64, encode_tu64
from lnrecur.wire.tlv import TlvRecord, TlvStream

STATE_MAX: Final = 1024
"""Longest state that anybody keeps, in bytes (V9)."""
_VERSION: Final = b"\x01"
_NONCE_SIZE: Final = 12
_SIZE_MIN: Final = len(_VERSION) + _NONCE_SIZE + TAG_SIZE


@dataclass(frozen=True, slots=True)
class PaidState:
    """What holds once the invoice of `counter` is paid. `start` is there for offers with a base."""

    offer_id: OfferId
    payer_id: Point
    counter: int
    start: int | None
    basetime: UnixSeconds

    def seal(self, key: bytes, preimage: Preimage) -> bytes:
        """The token, some 60 bytes; `key` is 32 secret bytes, `preimage` that of the invoice it travels in."""
        records = [TlvRecord.of(0, encode_tu64(self.counter)), TlvRecord.of(2, encode_tu64(self.basetime))]
        if self.start is not None:
            records.append(TlvRecord.of(1, encode_tu64(self.start)))
        nonce = hmac_sha256(key, b"nonce", preimage)[:_NONCE_SIZE]
        sealed = encrypt(_key(key, self.offer_id, self.payer_id), nonce, TlvStream(records).to_bytes(), _VERSION)
        return _VERSION + nonce + sealed

    def to_inbound(self) -> Inbound:
        """The subscription as far as answering the next request needs it."""
        return Inbound(
            self.offer_id,
            self.payer_id,
            phase=Phase.ACTIVE,
            start=self.start,
            basetime=self.basetime,
            next_counter=self.counter + 1,
        )


def open_state(key: bytes, offer_id: OfferId, payer_id: Point, token: bytes) -> PaidState:
    """Open the token that came with a payer's request.

    Raises:
        StateRefused: too long, of another version, or not sealed by us for this payer of this offer.
    """
    if not _SIZE_MIN <= len(token) <= STATE_MAX:
        raise StateRefused(f"{len(token)} bytes are no state of ours: it has {_SIZE_MIN} to {STATE_MAX}")
    if token[:1] != _VERSION:
        raise StateRefused(f"it is of version {token[0]}, and ours are of version {_VERSION[0]}")
    nonce, sealed = token[1 : 1 + _NONCE_SIZE], token[1 + _NONCE_SIZE :]
    try:
        opened = decrypt(_key(key, offer_id, payer_id), nonce, sealed, _VERSION)
        values = {record.type: record.value for record in TlvStream.from_bytes(opened)}
        numbers = {number: decode_tu64(value) for number, value in values.items()}
        return PaidState(offer_id, payer_id, numbers[0], numbers.get(1), UnixSeconds(numbers[2]))
    except (InvalidTag, WireError, KeyError) as error:
        raise StateRefused("it was not sealed by us for this payer of this offer") from error


def check_order(paid: PaidState, counter: int, stored: Inbound | None) -> None:
    """A state of another counter than the one right before the asked one fits only across periods that we waived.

    Raises:
        StateRefused: it is older or newer than that.
    """
    waived = -1 if stored is None else stored.next_counter - paid.counter - 1
    if stored is None or not 0 < waived <= stored.waived_last or counter != stored.next_counter:
        raise StateRefused(f"it is of counter {paid.counter}, which is not the payment before counter {counter}")


def _key(key: bytes, offer_id: OfferId, payer_id: Point) -> bytes:
    return hmac_sha256(key, b"state", offer_id, payer_id)
