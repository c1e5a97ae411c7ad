"""Invoice errors: why a request or an invoice was refused.

On the wire an invoice_error is a TLV stream. LDK (0.1 to the master of 2026-08) puts a BigSize length in front of it
and reads no other form; Core Lightning follows the text. Both forms are read here, and both can be written.

Nothing in a request says who wrote it, so a payer that needs the length is known by its habits alone
(`wants_length_in_front`). Whoever is taken for another gets a refusal that it cannot read: it pays nothing wrongly, it
only waits in vain, as if the message had been lost.
"""

from __future__ import annotations

from typing import Any, Final

from lnrecur.bolt12 import fields
from lnrecur.bolt12.errors import Bolt12Error, Breach, RuleBroken
from lnrecur.bolt12.fields import Field, number_table
from lnrecur.bolt12.message import Bolt12Message, write_fields
from lnrecur.wire.bigsize import decode_bigsize, encode_bigsize
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.errors import WireError
from lnrecur.wire.tlv import TlvStream

ENDED_PREFIX: Final = "recurrence-ended:"
"""V10: the payee ended this subscription."""
CHANGED_PREFIX: Final = "recurrence-changed:"
"""V10: the payee ended this subscription and names the offer that takes its place."""
TEXT_MAX: Final = 1000
"""Characters of an error text we show or store."""

_LDK_METADATA_SIZE: Final = 32
_LDK_REPLY_DATA_SIZES: Final = frozenset({112, 116})
"""Bytes of encrypted_recipient_data at the end of LDK's reply paths. LDK writes its own field there (65537: the id of
the payment, a nonce and, in 0.1, a code) where others have a path_id of 32 bytes, which makes 50. 112: measured, LDK
0.1.2. 116: LDK 0.2 and later pad each hop to 100 bytes; read in their source, never met."""


class InvoiceError(Bolt12Message):
    """A refusal, as read or written."""

    __slots__ = ()

    PREFIX = "lne"
    NAME = "invoice_error"
    TABLE = number_table(fields.ERROR_FIELDS)

    erroneous_field = fields.ERRONEOUS_FIELD
    suggested_value = fields.SUGGESTED_VALUE

    def _check(self) -> None:
        if not self.has(fields.ERROR):
            raise RuleBroken(
                "BE1", Breach("missing: an invoice_error says what is wrong", fields.ERROR.name, fields.ERROR.number)
            )
        if self.has(fields.SUGGESTED_VALUE) and not self.has(fields.ERRONEOUS_FIELD):
            name, number = fields.SUGGESTED_VALUE.name, fields.SUGGESTED_VALUE.number
            raise RuleBroken("BE2", Breach("stands without erroneous_field", name, number))

    @property
    def text(self) -> str:
        """The explanation, printable and at most 1,000 characters: it comes from a stranger."""
        told: str = self.values[fields.ERROR.name]
        return "".join(
            character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in told[:TEXT_MAX]
        )

    @property
    def ends_subscription(self) -> bool:
        """Whether the payee ended the subscription for good (V10)."""
        return self.text.startswith((ENDED_PREFIX, CHANGED_PREFIX))

    def to_ldk_bytes(self) -> bytes:
        """The form LDK reads: a length in front of the stream."""
        data = self.to_bytes()
        return encode_bigsize(len(data)) + data


def read_invoice_error(data: bytes) -> InvoiceError:
    """Read an invoice_error in either form.

    Raises:
        WireError: neither form.
        Bolt12Error: a stream, but no valid invoice_error.
    """
    try:
        return InvoiceError.from_bytes(data)
    except (WireError, Bolt12Error) as error:
        try:
            length, offset = decode_bigsize(data)
            if length == len(data) - offset:
                return InvoiceError.from_bytes(data[offset:])
        except (WireError, Bolt12Error):
            raise error from None
        raise


def wants_length_in_front(metadata: bytes | None, reply_path: BlindedPath) -> bool:
    """Whether a request, by its invreq_metadata and its reply path, comes from an LDK node (see the head of this file).

    Core Lightning and we end a reply path in 50 or 51 bytes.
    """
    if metadata is None or len(metadata) != _LDK_METADATA_SIZE or not reply_path.hops:
        return False
    return len(reply_path.hops[-1].encrypted_recipient_data) in _LDK_REPLY_DATA_SIZES


def write_invoice_error(text: str, *, field: int | None = None, suggested: bytes | None = None) -> InvoiceError:
    """Write an invoice_error. `suggested` is only said together with a field (BOLT 12)."""
    values: dict[Field[Any], Any] = {fields.ERRONEOUS_FIELD: field, fields.ERROR: text}
    if field is not None:
        values[fields.SUGGESTED_VALUE] = suggested
    return InvoiceError(TlvStream(write_fields(values, None)))


def error_for(error: Bolt12Error) -> InvoiceError:
    """The invoice_error that tells a peer which rule its message broke."""
    return write_invoice_error(str(error), field=error.breach.number, suggested=error.breach.suggested)
