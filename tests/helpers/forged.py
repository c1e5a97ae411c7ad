"""Signed messages that a writer of ours would refuse to write: what others may send us all the same."""

from collections.abc import Mapping
from typing import Any

from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer
from lnrecur.bolt12.fields import Dialect, Field
from lnrecur.bolt12.invoice import VerifiedInvoice
from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest, sign_stream
from lnrecur.bolt12.message import write_fields
from lnrecur.crypto.keys import PrivateKey
from lnrecur.wire.tlv import TlvStream


def forge_request(
    offer: Offer, values: Mapping[Field[Any], Any], dialect: Dialect | None, key: PrivateKey
) -> VerifiedInvoiceRequest:
    """A request for `offer`, signed with `key`, whatever rules of answers it breaks."""
    stream = TlvStream((*offer.stream.records, *write_fields(values, dialect)))
    return VerifiedInvoiceRequest(sign_stream(InvoiceRequest.NAME, stream, key)[0])


def forge_invoice(request: InvoiceRequest, values: Mapping[Field[Any], Any], key: PrivateKey) -> VerifiedInvoice:
    """An invoice for `request`, signed with `key`, whatever rules of answers it breaks."""
    stream = TlvStream((*request.request_records(), *write_fields(values, request.dialect)))
    return VerifiedInvoice(sign_stream(Invoice.NAME, stream, key)[0])
