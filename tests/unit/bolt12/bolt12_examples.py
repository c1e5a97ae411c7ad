"""One offer, request and invoice that break no rule, as records that a test can change one at a time."""

from collections.abc import Mapping
from typing import Any

from helpers.forged import forge_invoice, forge_request
from lnrecur.bolt12 import Dialect, Invoice, InvoiceRequest, Offer, OfferTerms, Recurrence, TimeUnit, fields
from lnrecur.bolt12.codecs import BlindedPayinfo, Paywindow, RecurrenceBase, RecurrenceField
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest
from lnrecur.bolt12.message import write_fields
from lnrecur.bolt12.offer import write_offer
from lnrecur.crypto.keys import PrivateKey
from lnrecur.values import REGTEST
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath
from lnrecur.wire.tlv import TlvRecord, TlvStream

MERCHANT = PrivateKey(b"\x51" * 32)
PAYER = PrivateKey(b"\x52" * 32)
HOP = PrivateKey(b"\x53" * 32)

PATH = BlindedPath(MERCHANT.point, HOP.point, (BlindedHop(HOP.point, b"\0" * 16),))
NO_HOPS = BlindedPath(MERCHANT.point, HOP.point, ())
PAYINFO = BlindedPayinfo(1000, 50, 144, 1, 10_000_000)

Values = Mapping[Field[Any], Any]

OFFER: Values = {
    fields.OFFER_CHAINS: (REGTEST,),
    fields.OFFER_AMOUNT: 1_000_000,
    fields.OFFER_DESCRIPTION: "a thousand sat a day",
    fields.OFFER_ISSUER_ID: MERCHANT.point,
    fields.OFFER_RECURRENCE_COMPULSORY: RecurrenceField(1, 1),
    fields.OFFER_RECURRENCE_BASE: RecurrenceBase(1, 1_700_000_000),
    fields.OFFER_RECURRENCE_PAYWINDOW: Paywindow(3600, 7200),
    fields.OFFER_RECURRENCE_LIMIT: 11,
}
REQUEST: Values = {
    fields.INVREQ_METADATA: b"\x07" * 16,
    fields.INVREQ_CHAIN: REGTEST,
    fields.INVREQ_PAYER_ID: PAYER.point,
    fields.INVREQ_RECURRENCE_COUNTER: 2,
    fields.INVREQ_RECURRENCE_START: 3,
}
INVOICE: Values = {
    fields.INVOICE_PATHS: (PATH,),
    fields.INVOICE_BLINDEDPAY: (PAYINFO,),
    fields.INVOICE_CREATED_AT: 1_700_000_123,
    fields.INVOICE_RELATIVE_EXPIRY: 60,
    fields.INVOICE_PAYMENT_HASH: b"\x09" * 32,
    fields.INVOICE_AMOUNT: 1_000_000,
    fields.INVOICE_NODE_ID: MERCHANT.point,
    fields.INVOICE_RECURRENCE_BASETIME: 1_700_000_000,
}


def stream_of(values: Values, dialect: Dialect = Dialect.CLN, raw: Mapping[int, bytes] | None = None) -> TlvStream:
    """The records of these values (None: left out), and of raw ones by number."""
    records = write_fields(values, dialect)
    return TlvStream([*records, *(TlvRecord.of(number, value) for number, value in (raw or {}).items())])


def an_offer(changes: Values | None = None, raw: Mapping[int, bytes] | None = None) -> Offer:
    """The good offer with some fields changed (None: removed)."""
    return Offer(stream_of({**OFFER, **(changes or {})}, raw=raw))


def a_request(changes: Values | None = None, raw: Mapping[int, bytes] | None = None) -> InvoiceRequest:
    """The good request, unsigned, with some fields changed."""
    return InvoiceRequest(stream_of({**OFFER, **REQUEST, **(changes or {})}, raw=raw))


def an_invoice(changes: Values | None = None, raw: Mapping[int, bytes] | None = None) -> Invoice:
    """The good invoice, unsigned, with some fields changed."""
    return Invoice(stream_of({**OFFER, **REQUEST, **INVOICE, **(changes or {})}, raw=raw))


def terms(dialect: Dialect = Dialect.DRAFT, *, optional: bool = False, **changes: Any) -> OfferTerms:
    """What a merchant would say, in a dialect."""
    recurrence = Recurrence(
        TimeUnit.DAYS, 30, optional=optional, paywindow=Paywindow(3600, 86_400), limit=11, dialect=dialect
    )
    told: dict[str, Any] = {
        "description": "a month",
        "amount": 5_000_000,
        "chains": (REGTEST,),
        "issuer_id": MERCHANT.point,
        "recurrence": recurrence,
    }
    return OfferTerms(**{**told, **changes})


def request_values(changes: Values | None = None) -> Values:
    """What the payer says for counter 0 of the merchant's offer."""
    return {
        fields.INVREQ_METADATA: b"\x07" * 16,
        fields.INVREQ_CHAIN: REGTEST,
        fields.INVREQ_PAYER_ID: PAYER.point,
        fields.INVREQ_RECURRENCE_COUNTER: 0,
        **(changes or {}),
    }


def invoice_values(changes: Values | None = None, key: PrivateKey = MERCHANT) -> Values:
    """What the merchant says to that."""
    return {**INVOICE, fields.INVOICE_AMOUNT: 5_000_000, fields.INVOICE_NODE_ID: key.point, **(changes or {})}


def signed_request(
    dialect: Dialect = Dialect.DRAFT, changes: Values | None = None, offer: Offer | None = None
) -> VerifiedInvoiceRequest:
    """A signed request for counter 0 of the merchant's offer, whatever `changes` break."""
    return forge_request(offer or write_offer(terms(dialect), b"meta"), request_values(changes), dialect, PAYER)


def signed_invoice(request: InvoiceRequest, changes: Values | None = None, key: PrivateKey = MERCHANT) -> Invoice:
    """The merchant's answer, as the payer reads it from the wire, whatever `changes` break."""
    return Invoice.from_bytes(forge_invoice(request, invoice_values(changes, key), key).to_bytes())
