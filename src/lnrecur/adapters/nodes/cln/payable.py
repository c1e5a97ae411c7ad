"""The text of an invoice that `xpay` can read.

Core Lightning refuses a message with an even field that it does not know, and it knows recurrence by numbers of its own
only (dialect "cln"): an invoice in the draft's numbers, 24, 26, 92 or 94, is "invalid invoice data" to it. What it
needs of an invoice in order to pay it are chain, hash, amount, moment, expiry, features and paths, and a signature by
the key that invoice_node_id names, whoever that is (seen on live nodes; `invoice_decode` in common/bolt12.c).

So an invoice that Core Lightning can read is handed over as it is, and is a receipt in its list of payments. Of one
that it cannot read a copy is made without the draft's recurrence, signed by a key that everybody can know. The copy
goes to our own node and to nobody else; the payee's own was verified before, and is kept with the payment in our books.
"""

from __future__ import annotations

from typing import Any, Final

from lnrecur.bolt12 import fields
from lnrecur.bolt12.fields import Dialect, Field
from lnrecur.bolt12.invoice import Invoice
from lnrecur.bolt12.invoice_request import sign_stream
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import Rejected
from lnrecur.wire.text import encode_text
from lnrecur.wire.tlv import TlvRecord, TlvStream

_FIELDS: Final[tuple[Field[Any], ...]] = (*fields.OFFER_FIELDS, *fields.INVREQ_FIELDS, *fields.INVOICE_FIELDS)
_KNOWN: Final = {field.number_in(Dialect.CLN) for field in _FIELDS} | {fields.SIGNATURE.number}
_DRAFT: Final = {field.number for field in _FIELDS if field.has_dialects}
_OURS: Final = {fields.INVOICE_NODE_ID.number, fields.SIGNATURE.number}
_THROW_AWAY: Final = PrivateKey(sha256(b"lnrecur: the key of invoices that nobody is to trust"))


def payable_text(invoice: Invoice) -> str:
    """What to hand to `xpay`.

    Raises:
        Rejected: it demands something that neither Core Lightning nor we know.
    """
    if _is_readable(invoice.stream):
        return invoice.to_text()
    kept = [record for record in invoice.stream if record.type not in _DRAFT | _OURS]
    kept.append(TlvRecord.of(fields.INVOICE_NODE_ID.number, _THROW_AWAY.point))
    copy = TlvStream(sorted(kept, key=lambda record: record.type))
    if not _is_readable(copy):
        raise Rejected("this invoice has an even field that Core Lightning does not know")
    signed, _ = sign_stream("invoice", copy, _THROW_AWAY)
    return encode_text("lni", signed.to_bytes())


def _is_readable(stream: TlvStream) -> bool:
    return all(record.type % 2 or record.type in _KNOWN for record in stream)
