"""BOLT 12 messages: offers, invoice requests, invoices and invoice errors, with their recurrence fields."""

from __future__ import annotations

from lnrecur.bolt12.fields import Dialect
from lnrecur.bolt12.invoice import Invoice, VerifiedInvoice
from lnrecur.bolt12.invoice_error import InvoiceError
from lnrecur.bolt12.invoice_request import InvoiceRequest, VerifiedInvoiceRequest
from lnrecur.bolt12.offer import Offer, OfferTerms, write_offer
from lnrecur.bolt12.recurrence_terms import Recurrence, TimeUnit
from lnrecur.wire.errors import WireError
from lnrecur.wire.text import decode_text

__all__ = [
    "Dialect", "Invoice", "InvoiceError", "InvoiceRequest", "Offer", "OfferTerms", "Recurrence", "TimeUnit",
    "VerifiedInvoice", "VerifiedInvoiceRequest", "decode", "write_offer",
]  # fmt: skip

_KINDS: dict[str, type[Offer] | type[InvoiceRequest] | type[Invoice]] = {
    kind.PREFIX: kind for kind in (Offer, InvoiceRequest, Invoice)
}


def decode(text: str) -> Offer | InvoiceRequest | Invoice:
    """Read any bolt12 text (`lno1...`, `lnr1...`, `lni1...`). Signatures are not checked here.

    Raises:
        WireError: not a bolt12 text; says the offset.
        Bolt12Error: a rule is broken; says rule and field.
    """
    prefix, data = decode_text(text.strip())
    kind = _KINDS.get(prefix)
    if kind is None:
        raise WireError(f"{prefix}1 is no bolt12 text we know: lno1 (offer), lnr1 (invoice request), lni1 (invoice)",
                        offset=0)  # fmt: skip
    return kind.from_bytes(data)
