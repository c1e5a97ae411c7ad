"""The layers of a payment onion for the hops of a blinded path (BOLT 4): forwarding and final."""

from __future__ import annotations

from dataclasses import dataclass

from lnrecur.crypto.keys import parse_point
from lnrecur.onion.fields import decoded, encode, only, required
from lnrecur.values import Msat, Point
from lnrecur.wire.integers import decode_tu32, decode_tu64, encode_tu32, encode_tu64
from lnrecur.wire.tlv import TlvStream


@dataclass(frozen=True, slots=True)
class RelayPaymentPayload:
    """A forwarding blinded hop's layer of a payment onion; current_path_key is for the introduction node only."""

    encrypted_recipient_data: bytes
    current_path_key: Point | None = None

    def to_bytes(self) -> bytes:
        """The encoded stream."""
        return encode({10: self.encrypted_recipient_data, 12: self.current_path_key})

    @classmethod
    def from_bytes(cls, data: bytes) -> RelayPaymentPayload:
        """Read a peeled layer.

        Raises:
            WireError: not a TLV stream.
            InvalidPoint: current_path_key is not on the curve.
            PayloadInvalid: no encrypted_recipient_data, or anything beside the two fields.
        """
        stream = TlvStream.from_bytes(data)
        only(stream, {10, 12})
        return cls(
            required(stream, 10, "encrypted_recipient_data", bytes),
            decoded(stream, 12, parse_point),
        )


@dataclass(frozen=True, slots=True)
class FinalPaymentPayload:
    """The recipient's layer of a payment onion that ends in a blinded path."""

    amt_to_forward: Msat
    outgoing_cltv_value: int
    encrypted_recipient_data: bytes
    total_amount_msat: Msat
    current_path_key: Point | None = None
    """Given where the recipient is the introduction node too."""

    def to_bytes(self) -> bytes:
        """The encoded stream."""
        return encode(
            {
                2: encode_tu64(self.amt_to_forward),
                4: encode_tu32(self.outgoing_cltv_value),
                10: self.encrypted_recipient_data,
                12: self.current_path_key,
                18: encode_tu64(self.total_amount_msat),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> FinalPaymentPayload:
        """Read a peeled layer.

        Raises:
            WireError: not a TLV stream, or an amount in another form than a truncated integer.
            InvalidPoint: current_path_key is not on the curve.
            PayloadInvalid: a field is missing, or there is one beside these five.
        """
        stream = TlvStream.from_bytes(data)
        only(stream, {2, 4, 10, 12, 18})
        return cls(
            amt_to_forward=Msat(required(stream, 2, "amt_to_forward", decode_tu64)),
            outgoing_cltv_value=required(stream, 4, "outgoing_cltv_value", decode_tu32),
            encrypted_recipient_data=required(stream, 10, "encrypted_recipient_data", bytes),
            total_amount_msat=Msat(required(stream, 18, "total_amount_msat", decode_tu64)),
            current_path_key=decoded(stream, 12, parse_point),
        )
