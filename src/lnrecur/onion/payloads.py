"""What stands in the data of blinded hops and inside onion messages: TLV streams of BOLT 4 as values.

Reading proves the encoding and what BOLT 4 forbids everywhere (an unknown even type, two next hops). What depends on
the place, such as who may forward, is a method for the reader in that place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lnrecur.crypto.keys import parse_point
from lnrecur.onion.errors import ConstraintBroken, PayloadInvalid
from lnrecur.onion.fields import decoded, encode, required, unknown_records
from lnrecur.values import Msat, NodeId, Point, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath, read_blinded_path
from lnrecur.wire.integers import decode_tu32, decode_tu64, encode_tu32, encode_tu64
from lnrecur.wire.reader import ByteReader
from lnrecur.wire.tlv import TlvRecord, TlvStream

_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PaymentRelay:
    """What a blinded hop charges for forwarding: type 10."""

    cltv_expiry_delta: int
    fee_proportional_millionths: int
    fee_base_msat: int

    def to_bytes(self) -> bytes:
        """u16, u32, tu32."""
        return b"".join(
            [
                self.cltv_expiry_delta.to_bytes(2, "big"),
                self.fee_proportional_millionths.to_bytes(4, "big"),
                encode_tu32(self.fee_base_msat),
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> PaymentRelay:
        """Read the whole of `data`.

        Raises:
            WireError: truncated, or too long.
        """
        reader = ByteReader(data)
        delta, proportional = reader.integer(2, "cltv_expiry_delta"), reader.integer(4, "fee_proportional_millionths")
        return cls(delta, proportional, decode_tu32(reader.rest()))

    def forwarded(self, amount_msat: Msat, cltv_expiry: int) -> tuple[Msat, int]:
        """The amount and expiry that go on, of what came in.

        Raises:
            ConstraintBroken: what came in does not even pay the fee.
        """
        if amount_msat <= self.fee_base_msat:
            raise ConstraintBroken(f"{amount_msat} msat do not pay the base fee of {self.fee_base_msat} msat")
        scale = _MILLION + self.fee_proportional_millionths
        forwarded = ((amount_msat - self.fee_base_msat) * _MILLION + scale - 1) // scale
        return Msat(forwarded), cltv_expiry - self.cltv_expiry_delta


@dataclass(frozen=True, slots=True)
class PaymentConstraints:
    """When a blinded hop must refuse a payment: type 12."""

    max_cltv_expiry: int
    htlc_minimum_msat: Msat

    def to_bytes(self) -> bytes:
        """u32, tu64."""
        return self.max_cltv_expiry.to_bytes(4, "big") + encode_tu64(self.htlc_minimum_msat)

    @classmethod
    def from_bytes(cls, data: bytes) -> PaymentConstraints:
        """Read the whole of `data`.

        Raises:
            WireError: truncated, or too long.
        """
        reader = ByteReader(data)
        expiry = reader.integer(4, "max_cltv_expiry")
        return cls(expiry, Msat(decode_tu64(reader.rest())))

    def admit(self, amount_msat: Msat, cltv_expiry: int) -> None:
        """Check an incoming HTLC: its amount, and the block height at which it expires.

        Raises:
            ConstraintBroken: too small or too late.
        """
        if cltv_expiry > self.max_cltv_expiry:
            raise ConstraintBroken(f"expires at block {cltv_expiry}, allowed is {self.max_cltv_expiry} at the latest")
        if amount_msat < self.htlc_minimum_msat:
            raise ConstraintBroken(f"{amount_msat} msat, allowed are {self.htlc_minimum_msat} msat at the least")


@dataclass(frozen=True, slots=True)
class EncryptedData:
    """encrypted_data_tlv: what the maker of a blinded path tells one hop."""

    short_channel_id: ShortChannelId | None = None
    next_node_id: NodeId | None = None
    path_id: bytes | None = None
    next_path_key_override: Point | None = None
    payment_relay: PaymentRelay | None = None
    payment_constraints: PaymentConstraints | None = None
    allowed_features: bytes | None = None
    padding: bytes | None = None
    unknown: tuple[TlvRecord, ...] = ()

    def to_bytes(self) -> bytes:
        """The encoded stream."""
        channel, relay, constraints = self.short_channel_id, self.payment_relay, self.payment_constraints
        return encode(
            {
                1: self.padding,
                2: None if channel is None else channel.to_bytes(8, "big"),
                4: self.next_node_id,
                6: self.path_id,
                8: self.next_path_key_override,
                10: None if relay is None else relay.to_bytes(),
                12: None if constraints is None else constraints.to_bytes(),
                14: self.allowed_features,
            },
            self.unknown,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> EncryptedData:
        """Read what a hop decrypted.

        Raises:
            WireError: not a TLV stream, or a value in another form than its type has.
            InvalidPoint: a node id or path key that is not on the curve.
            PayloadInvalid: an unknown even type, or both a short_channel_id and a next_node_id.
        """
        stream = TlvStream.from_bytes(data)
        unknown = unknown_records(stream, {1, 2, 4, 6, 8, 10, 12, 14})
        if 2 in stream and 4 in stream:
            raise PayloadInvalid("the next hop is named twice, by short_channel_id and by next_node_id", tlv_type=4)
        return cls(
            short_channel_id=decoded(stream, 2, _short_channel_id),
            next_node_id=decoded(stream, 4, lambda value: NodeId(parse_point(value))),
            path_id=stream.get(6),
            next_path_key_override=decoded(stream, 8, parse_point),
            payment_relay=decoded(stream, 10, PaymentRelay.from_bytes),
            payment_constraints=decoded(stream, 12, PaymentConstraints.from_bytes),
            allowed_features=stream.get(14),
            padding=stream.get(1),
            unknown=unknown,
        )

    @property
    def next_hop(self) -> NodeId | ShortChannelId | None:
        """Where to forward to; None says the reader is the recipient."""
        return self.next_node_id if self.short_channel_id is None else self.short_channel_id

    def require_no_features(self) -> None:
        """Refuse features: we know none that messages or our payments could use.

        Raises:
            PayloadInvalid: a bit of allowed_features is set (BOLT 4: even an odd one).
        """
        if self.allowed_features and any(self.allowed_features):
            raise PayloadInvalid("allowed_features has a bit that is not known here", tlv_type=14)

    def forward_to(self) -> NodeId | ShortChannelId:
        """The next hop, for the reader of an onion with more layers.

        Raises:
            PayloadInvalid: no next hop is named, or a path_id is given, which only a recipient may have.
        """
        if self.next_hop is None:
            raise PayloadInvalid("a forwarding hop is not told where to forward to")
        if self.path_id is not None:
            raise PayloadInvalid("only the recipient may have a path_id", tlv_type=6)
        return self.next_hop

    def require_recipient(self) -> None:
        """For the reader of an onion's last layer.

        Raises:
            PayloadInvalid: the data names a next hop, so it was written for another place of the path.
        """
        if self.next_hop is not None:
            raise PayloadInvalid("the onion ends here, but the data of this hop names a next one")


@dataclass(frozen=True, slots=True)
class OnionMessagePayload:
    """onionmsg_tlv: one hop's layer of an onion message."""

    encrypted_recipient_data: bytes
    reply_path: BlindedPath | None = None
    invoice_request: bytes | None = None
    invoice: bytes | None = None
    invoice_error: bytes | None = None
    unknown: tuple[TlvRecord, ...] = ()

    def to_bytes(self) -> bytes:
        """The encoded stream."""
        return encode(
            {
                2: None if self.reply_path is None else self.reply_path.to_bytes(),
                4: self.encrypted_recipient_data,
                64: self.invoice_request,
                66: self.invoice,
                68: self.invoice_error,
            },
            self.unknown,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> OnionMessagePayload:
        """Read a peeled layer.

        Raises:
            WireError: not a TLV stream, or a reply path that is none.
            PayloadInvalid: an unknown even type, no encrypted_recipient_data, a reply path without hops, or more than
                one of invoice_request, invoice and invoice_error.
        """
        stream = TlvStream.from_bytes(data)
        unknown = unknown_records(stream, {2, 4, 64, 66, 68})
        if sum(tlv_type in stream for tlv_type in (64, 66, 68)) > 1:
            raise PayloadInvalid("one message carries one of invoice_request, invoice and invoice_error")
        return cls(
            encrypted_recipient_data=required(stream, 4, "encrypted_recipient_data", bytes),
            reply_path=decoded(stream, 2, _one_path),
            invoice_request=stream.get(64),
            invoice=stream.get(66),
            invoice_error=stream.get(68),
            unknown=unknown,
        )

    def require_nothing_else(self) -> None:
        """For a forwarding hop.

        Raises:
            PayloadInvalid: the layer has more than encrypted_recipient_data.
        """
        if self != OnionMessagePayload(self.encrypted_recipient_data):
            raise PayloadInvalid("a forwarding hop gets encrypted_recipient_data and nothing else")


def _short_channel_id(data: bytes) -> ShortChannelId:
    reader = ByteReader(data)
    channel = reader.integer(8, "short_channel_id")
    reader.finish("short_channel_id")
    return ShortChannelId(channel)


def _one_path(data: bytes) -> BlindedPath:
    reader = ByteReader(data)
    path = read_blinded_path(reader)
    reader.finish("the reply path")
    if not path.hops:
        raise PayloadInvalid("a reply path has at least one hop", tlv_type=2)
    return path
