"""Invoice requests: a payer asks for an invoice, for one period of a subscription or once.

Trust grows in steps that types name: an `InvoiceRequest` can be read; a `VerifiedInvoiceRequest` was signed by its
payer_id. Whether it may be answered is for `recurrence/inbound.py` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lnrecur.bolt12 import answer_rules, fields, rules, signature
from lnrecur.bolt12.errors import Breach, NotSigned, WritingError
from lnrecur.bolt12.fields import Dialect, Field, number_table
from lnrecur.bolt12.message import Bolt12Message, broken_in_writing, write_fields
from lnrecur.bolt12.offer import Offer
from lnrecur.bolt12.request_fields import InvoiceRequestFields
from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import PrivateKey
from lnrecur.wire.tlv import TlvRecord, TlvStream


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
            rules.enforce(answer_rules.ANSWERING_REQUEST_RULES, unsigned)
        if unsigned.payer_id != key.point:
            told = "the key that signs is not the key of invreq_payer_id"
            raise WritingError("BR2", Breach(told, fields.INVREQ_PAYER_ID.name, fields.INVREQ_PAYER_ID.number))
        made = sign_stream(InvoiceRequest.NAME, stream, key)
        return VerifiedInvoiceRequest.with_signature(unsigned, *made)


def write_invoice_request(
    offer: Offer, values: Mapping[Field[Any], Any], dialect: Dialect | None
) -> UnsignedInvoiceRequest:
    """Write a request that answers `offer`: all its fields as they are, and `values` for the request's own.

    Raises:
        WritingError: a value does not fit its field.
    """
    return UnsignedInvoiceRequest((*offer.stream.records, *write_fields(values, dialect)))


def write_unprompted_request(values: Mapping[Field[Any], Any]) -> InvoiceRequest:
    """Write a request that answers no offer (a refund, money handed out): it is published as it is, unsigned.

    Raises:
        WritingError: a rule of BOLT 12 is broken; names rule and field.
    """
    with broken_in_writing():
        request = InvoiceRequest(TlvStream(write_fields(values, None)))
        rules.enforce(answer_rules.UNPROMPTED_WRITER_RULES, request)
    return request


def sign_stream(name: str, stream: TlvStream, key: PrivateKey) -> tuple[TlvStream, bytes]:
    """A stream with its `signature` added, and that signature."""
    made = signature.sign(name, signature.merkle_root(stream.records), key)
    return TlvStream((*stream.records, TlvRecord.of(fields.SIGNATURE.number, made))), made


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
