"""Invoice requests: a payer asks for an invoice, for one period of a subscription or once.

Trust grows in steps that types name: an `InvoiceRequest` can be read; a `VerifiedInvoiceRequest` was signed by its
payer_id. Whether it may be answered is for `recurrence/inbound.py` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lnrecur.bolt12 import fields, rules, signature
from lnrecur.bolt12.errors import Breach, NotSigned, RuleBroken, WritingError
from lnrecur.bolt12.fields import Dialect, Field, in_invreq_range, number_table
from lnrecur.bolt12.message import Bolt12Message, broken_in_writing, write_fields
from lnrecur.bolt12.offer import Offer, OfferFields
from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import PrivateKey
from lnrecur.values import BITCOIN, ChainHash, Point
from lnrecur.wire.tlv import TlvRecord, TlvStream


class InvoiceRequestFields(OfferFields):
    """The fields of an invoice request, in the request itself or mirrored in an invoice."""

    __slots__ = ()

    invreq_metadata = fields.INVREQ_METADATA
    invreq_chain = fields.INVREQ_CHAIN
    invreq_amount = fields.INVREQ_AMOUNT
    invreq_features = fields.INVREQ_FEATURES
    quantity = fields.INVREQ_QUANTITY
    payer_note = fields.INVREQ_PAYER_NOTE
    invreq_paths = fields.INVREQ_PATHS
    bip_353_name = fields.INVREQ_BIP_353_NAME
    counter = fields.INVREQ_RECURRENCE_COUNTER
    start = fields.INVREQ_RECURRENCE_START
    prev_state = fields.INVREQ_RECURRENCE_PREV_STATE

    @property
    def payer_id(self) -> Point:
        """The payer's transient key; the same for all requests of one subscription.

        Raises:
            RuleBroken: an invoice that mirrors no request; a request always has it (BR2).
        """
        field = fields.INVREQ_PAYER_ID
        payer_id: Point | None = self.values.get(field.name)
        if payer_id is None:
            raise RuleBroken("BR2", Breach("missing", field.name, field.number))
        return payer_id

    @property
    def is_cancel(self) -> bool:
        """Whether this is the courtesy message that ends a subscription (Q6)."""
        return self.has(fields.INVREQ_RECURRENCE_CANCEL)

    @property
    def chain(self) -> ChainHash:
        """The chain to pay on."""
        return self.invreq_chain or BITCOIN

    @property
    def period_index(self) -> int:
        """The period asked for: start + counter (Q3)."""
        return (self.start or 0) + (self.counter or 0)

    def request_records(self) -> tuple[TlvRecord, ...]:
        """The records an invoice must mirror: everything of the offer and the request (V6)."""
        return tuple(record for record in self.stream.records if in_invreq_range(record.type))


class InvoiceRequest(InvoiceRequestFields):
    """A request that can be read (BR1 to BR6). Nothing is known about who wrote it."""

    __slots__ = ()

    PREFIX = "lnr"
    NAME = "invoice_request"
    TABLE = number_table((*fields.OFFER_FIELDS, *fields.INVREQ_FIELDS, fields.SIGNATURE))

    signature = fields.SIGNATURE

    def _check(self) -> None:
        rules.enforce(rules.INVOICE_REQUEST_RULES, self)

    def verify_signature(self) -> VerifiedInvoiceRequest:
        """Prove that the owner of payer_id wrote this.

        Raises:
            NotSigned: there is no signature, or it does not match (BOLT 12, Signature Calculation).
        """
        verify_message(self, self.payer_id)
        return VerifiedInvoiceRequest.proven(self)


class VerifiedInvoiceRequest(InvoiceRequest):
    """A request that was signed by its payer_id. Made by `InvoiceRequest.verify_signature` only."""

    __slots__ = ()


class UnsignedInvoiceRequest:
    """A request that is written but not signed."""

    __slots__ = ("_records",)

    def __init__(self, records: tuple[TlvRecord, ...]) -> None:
        self._records = records

    def sign(self, key: PrivateKey) -> VerifiedInvoiceRequest:
        """Sign with the key of payer_id; the same request and key give the same bytes.

        Raises:
            WritingError: a rule is broken, or the key is not payer_id's.
        """
        with broken_in_writing():
            stream = TlvStream(self._records)
            unsigned = InvoiceRequest(stream)
        if unsigned.payer_id != key.point:
            told = "the key that signs is not the key of invreq_payer_id"
            raise WritingError("BR2", Breach(told, fields.INVREQ_PAYER_ID.name, fields.INVREQ_PAYER_ID.number))
        return VerifiedInvoiceRequest(signed_stream(InvoiceRequest.NAME, stream, key))


def write_invoice_request(
    offer: Offer, values: Mapping[Field[Any], Any], dialect: Dialect | None
) -> UnsignedInvoiceRequest:
    """Write a request that answers `offer`: all its fields as they are, and `values` for the request's own.

    Raises:
        WritingError: a value does not fit its field.
    """
    return UnsignedInvoiceRequest((*offer.stream.records, *write_fields(values, dialect)))


def signed_stream(name: str, stream: TlvStream, key: PrivateKey) -> TlvStream:
    """A stream with its `signature` added."""
    made = signature.sign(name, signature.merkle_root(stream.records), key)
    return TlvStream((*stream.records, TlvRecord.of(fields.SIGNATURE.number, made)))


def verify_message(message: Bolt12Message, point: bytes) -> None:
    """Check the signature of a request or an invoice.

    Raises:
        NotSigned: missing or wrong.
    """
    made = message.values.get(fields.SIGNATURE.name)
    name, number = fields.SIGNATURE.name, fields.SIGNATURE.number
    if made is None:
        raise NotSigned("BOLT 12 signature", Breach(f"this {message.NAME} is not signed", name, number))
    try:
        signature.verify(message.NAME, signature.merkle_root(message.stream.records), point, made)
    except CryptoError as error:
        raise NotSigned(
            "BOLT 12 signature", Breach(f"not made by {point.hex()} over these fields", name, number)
        ) from error
