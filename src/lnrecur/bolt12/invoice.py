"""Invoices: what a payee answers, and what a payer must check before any money moves.

An `Invoice` can be read; a `VerifiedInvoice` was signed by its node id and mirrors the request it answers. Whether it
may be paid is for the mandate to say (`recurrence/mandate.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from lnrecur.bolt12 import answer_rules, fields, rules
from lnrecur.bolt12.codecs import BlindedPayinfo
from lnrecur.bolt12.errors import Breach, RuleBroken, WritingError
from lnrecur.bolt12.fields import Field, in_invreq_range, number_table
from lnrecur.bolt12.invoice_request import InvoiceRequest, sign_stream, verify_message
from lnrecur.bolt12.message import broken_in_writing, check_size, read_fields, write_fields
from lnrecur.bolt12.request_fields import InvoiceRequestFields
from lnrecur.crypto.keys import PrivateKey
from lnrecur.values import Msat, PaymentHash, Point, UnixSeconds
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.tlv import TlvRecord, TlvStream

DEFAULT_RELATIVE_EXPIRY: Final = 7200
"""Seconds an invoice lives that does not say (BOLT 12)."""


class Invoice(InvoiceRequestFields):
    """An invoice that can be read (BI1 to BI10 and BI12). Nothing is known about who wrote it."""

    __slots__ = ()

    PREFIX = "lni"
    NAME = "invoice"
    TABLE = number_table((*fields.OFFER_FIELDS, *fields.INVREQ_FIELDS, *fields.INVOICE_FIELDS, fields.SIGNATURE))

    relative_expiry = fields.INVOICE_RELATIVE_EXPIRY
    fallbacks = fields.INVOICE_FALLBACKS
    invoice_features = fields.INVOICE_FEATURES
    basetime = fields.INVOICE_RECURRENCE_BASETIME
    next_state = fields.INVOICE_RECURRENCE_NEXT_STATE
    signature = fields.SIGNATURE

    def _check(self) -> None:
        rules.enforce(rules.INVOICE_RULES, self)

    @classmethod
    def completing(cls, request: InvoiceRequest, records: tuple[TlvRecord, ...]) -> Self:
        """An unsigned invoice from what it mirrors, which was read already, and its own records, which are read now.

        Raises:
            WireError: a field stands twice, or longer than MESSAGE_MAX.
            FieldMalformed: one of the records is not of its field's form.
            RuleBroken: the invoice as a whole breaks a rule.
        """
        own, _ = read_fields(TlvStream(records), cls.TABLE)
        made = cls.__new__(cls)
        made.stream = TlvStream((*request.request_records(), *records))
        check_size(len(made.stream.to_bytes()))
        values = {**request.values, **own}
        values.pop(fields.SIGNATURE.name, None)
        made.values = values
        made.dialect = request.dialect
        made._check()
        return made

    @property
    def invoice_amount(self) -> Msat:
        """What is to be paid, msat."""
        return Msat(self.values[fields.INVOICE_AMOUNT.name])

    @property
    def created_at(self) -> UnixSeconds:
        """When the invoice was made."""
        return UnixSeconds(self.values[fields.INVOICE_CREATED_AT.name])

    @property
    def expires_at(self) -> UnixSeconds:
        """The last second at which it may be paid."""
        relative = self.relative_expiry
        return UnixSeconds(self.created_at + (DEFAULT_RELATIVE_EXPIRY if relative is None else relative))

    @property
    def payment_hash(self) -> PaymentHash:
        """SHA-256 of the preimage that payment reveals."""
        return PaymentHash(self.values[fields.INVOICE_PAYMENT_HASH.name])

    @property
    def node_id(self) -> Point:
        """The key that signs: offer_issuer_id, or the blinded id the request was sent to (V7)."""
        node_id: Point = self.values[fields.INVOICE_NODE_ID.name]
        return node_id

    @property
    def payment_paths(self) -> tuple[tuple[BlindedPath, BlindedPayinfo], ...]:
        """The blinded paths to pay through, each with its price, most preferred first.

        Paths with an unknown even feature bit are left out; one remains at least (BI12).
        """
        paths: tuple[BlindedPath, ...] = self.values[fields.INVOICE_PATHS.name]
        infos: tuple[BlindedPayinfo, ...] = self.values[fields.INVOICE_BLINDEDPAY.name]
        pairs = zip(paths, infos, strict=True)
        return tuple((path, info) for path, info in pairs if rules.unknown_even_bit(info.features) is None)

    def verify_signature(self) -> None:
        """Check the signature against invoice_node_id.

        Raises:
            NotSigned: missing or wrong.
        """
        verify_message(self, self.node_id)

    def verify_answers(self, request: InvoiceRequest, asked: Point) -> VerifiedInvoice:
        """Prove that this is the answer to `request` by the node that was asked.

        `asked` is offer_issuer_id, or the final blinded_node_id the request was sent to.

        Raises:
            RuleBroken: a field is not mirrored (V6), another node answers (V7), another amount than the request's is
                wanted (BI11), or a basetime is missing or out of place (V1).
            NotSigned: missing or wrong signature.
        """
        self._check_mirror(request)
        if self.node_id != asked:
            raise RuleBroken(
                "V7", _breach(fields.INVOICE_NODE_ID, f"{self.node_id.hex()}, but {asked.hex()} was asked")
            )
        rules.enforce(answer_rules.ANSWERING_INVOICE_RULES, self)
        self.verify_signature()
        return VerifiedInvoice.proven(self)

    def _check_mirror(self, request: InvoiceRequest) -> None:
        ours = [record for record in request.stream.records if in_invreq_range(record.type)]
        theirs = self.request_records()
        if theirs == tuple(ours):
            return
        for number in sorted({record.type for record in (*ours, *theirs)}):
            if request.stream.get(number) != self.stream.get(number):
                field = self.TABLE[number][0].name if number in self.TABLE else None
                told = "is not what the request said: an invoice mirrors every field of its request"
                raise RuleBroken("V6", Breach(told, field, number))
        raise AssertionError("unequal records without an unequal field")  # pragma: no cover


class VerifiedInvoice(Invoice):
    """A signed invoice that mirrors our request. Made by `Invoice.verify_answers` and `UnsignedInvoice.sign` only."""

    __slots__ = ()


class UnsignedInvoice:
    """An invoice that is written but not signed: what it mirrors, and its own records."""

    __slots__ = ("_records", "_request")

    def __init__(self, request: InvoiceRequest, records: tuple[TlvRecord, ...]) -> None:
        self._request = request
        self._records = records

    def sign(self, key: PrivateKey) -> VerifiedInvoice:
        """Sign with the key of invoice_node_id.

        Raises:
            WritingError: a rule is broken, or the key is not invoice_node_id's.
        """
        with broken_in_writing():
            unsigned = Invoice.completing(self._request, self._records)
            rules.enforce(answer_rules.ANSWERING_INVOICE_RULES, unsigned)
        if unsigned.node_id != key.point:
            raise WritingError(
                "V7", _breach(fields.INVOICE_NODE_ID, "the key that signs is not the key of this node id")
            )
        return VerifiedInvoice.with_signature(unsigned, *sign_stream(Invoice.NAME, unsigned.stream, key))


def write_invoice(request: InvoiceRequest, values: Mapping[Field[Any], Any]) -> UnsignedInvoice:
    """Write an invoice that answers `request`, in the dialect of the request.

    Raises:
        WritingError: a value does not fit its field.
    """
    return UnsignedInvoice(request, tuple(write_fields(values, request.dialect)))


def _breach(field: Field[Any], told: str) -> Breach:
    return Breach(told, field.name, field.number)
