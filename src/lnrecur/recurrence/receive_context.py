"""What must be known when a payment arrives, sealed and carried by the money node.

A stranger's request costs no stored row: everything needed at claim time (which offer, who, which period, at what
price, the preimage) travels with the receivable and comes back with the payment. It is encrypted under a key that
follows from our seed and the payment hash, so the node (or a thief of its database) can neither read nor forge it, and
a context can never be moved to another payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lnrecur.crypto.aead import decrypt, encrypt
from lnrecur.crypto.errors import InvalidTag
from lnrecur.crypto.hashes import hmac_sha256, sha256
from lnrecur.recurrence.errors import ContextError
from lnrecur.recurrence.rates import Conversion, ExchangeRate
from lnrecur.values import Msat, OfferId, PaymentHash, Point, Preimage, UnixSeconds
from lnrecur.wire.errors import WireError
from lnrecur.wire.integers import decode_tu64, encode_tu64
from lnrecur.wire.tlv import TlvRecord, TlvStream

_VERSION = b"\x01"
_NONCE = bytes(12)
_NOTE_MAX = 256
_SOURCE_MAX = 64


@dataclass(frozen=True, slots=True)
class ReceiveContext:
    """One invoice of ours, as far as its payment needs it. `counter` is None for a one-off."""

    offer_id: OfferId
    payer_id: Point
    counter: int | None
    start: int | None
    basetime: UnixSeconds | None
    amount_msat: Msat
    created_at: UnixSeconds
    preimage: Preimage = field(repr=False)
    quantity: int | None = None
    payer_note: str = ""
    """What the payer wrote, cut to 256 bytes: a stranger's words."""
    conversion: Conversion | None = None

    @property
    def payment_hash(self) -> PaymentHash:
        """SHA-256 of the preimage."""
        return PaymentHash(sha256(self.preimage))

    def seal(self, key: bytes) -> bytes:
        """The sealed bytes, about 200 of them; `key` is 32 secret bytes."""
        records = [
            TlvRecord.of(0, self.offer_id),
            TlvRecord.of(1, self.payer_id),
            TlvRecord.of(5, encode_tu64(self.amount_msat)),
            TlvRecord.of(6, encode_tu64(self.created_at)),
            TlvRecord.of(7, self.preimage),
            TlvRecord.of(9, self.payer_note.encode()[:_NOTE_MAX]),
        ]
        optional = {2: self.counter, 3: self.start, 4: self.basetime, 8: self.quantity}
        records += [TlvRecord.of(number, encode_tu64(value)) for number, value in optional.items() if value is not None]
        records += [] if self.conversion is None else _conversion_records(self.conversion)
        message_key = hmac_sha256(key, self.payment_hash)
        return _VERSION + encrypt(message_key, _NONCE, TlvStream(records).to_bytes(), _VERSION)


def open_context(key: bytes, payment_hash: PaymentHash, sealed: bytes) -> ReceiveContext:
    """Open what `seal` made for this payment hash.

    Raises:
        ContextError: another version, another key, another payment, or changed bytes.
    """
    if sealed[:1] != _VERSION:
        raise ContextError(f"no receive context of version 1 ({len(sealed)} bytes)")
    try:
        stream = TlvStream.from_bytes(decrypt(hmac_sha256(key, payment_hash), _NONCE, sealed[1:], _VERSION))
        context = _read(stream)
    except (InvalidTag, WireError, KeyError) as error:
        raise ContextError("these bytes were not sealed by us for this payment") from error
    if context.payment_hash != payment_hash:
        raise ContextError("the sealed preimage is not of this payment hash")
    return context


def _read(stream: TlvStream) -> ReceiveContext:
    values = {record.type: record.value for record in stream}

    def number(at: int) -> int | None:
        return decode_tu64(values[at]) if at in values else None

    basetime = number(4)
    return ReceiveContext(
        offer_id=OfferId(values[0]),
        payer_id=Point(values[1]),
        counter=number(2),
        start=number(3),
        basetime=None if basetime is None else UnixSeconds(basetime),
        amount_msat=Msat(decode_tu64(values[5])),
        created_at=UnixSeconds(decode_tu64(values[6])),
        preimage=Preimage(values[7]),
        quantity=number(8),
        payer_note=values[9].decode(errors="replace"),
        conversion=_read_conversion(values),
    )


def _conversion_records(conversion: Conversion) -> list[TlvRecord]:
    rate = conversion.rate
    return [
        TlvRecord.of(10, rate.currency.encode()),
        TlvRecord.of(11, encode_tu64(conversion.minor)),
        TlvRecord.of(12, encode_tu64(rate.minor_per_btc)),
        TlvRecord.of(13, encode_tu64(rate.at)),
        TlvRecord.of(14, rate.source.encode()[:_SOURCE_MAX]),
    ]


def _read_conversion(values: Mapping[int, bytes]) -> Conversion | None:
    if 10 not in values:
        return None
    minor, minor_per_btc, at = (decode_tu64(values[number]) for number in (11, 12, 13))
    source = values[14].decode(errors="replace")
    return Conversion(minor, ExchangeRate(values[10].decode(), minor_per_btc, UnixSeconds(at), source))
