"""Every BOLT 12 field: its name, its numbers, its form. The only file that knows a number.

The recurrence fields have two sets of numbers, called dialects: those of the open draft (lightning/bolts pull request
1240) and the experimental ones Core Lightning uses. They are two spellings of one protocol: a message speaks one of
them, and everything above this file is blind to which, but for recurrence/habits.py: it tells by the spelling of an
offer whose habits are to be reckoned with.

Ranges keep the three messages apart, since each contains the one it answers: offer fields 1 to 79 and the second
billion, invoice request fields 0, 80 to 159 and the third billion, invoice fields 160 and up; 240 to 1000 are
signatures, which sign everything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from lnrecur.bolt12 import codecs
from lnrecur.bolt12.codecs import Codec

if TYPE_CHECKING:
    from lnrecur.bolt12.message import Bolt12Message

T = TypeVar("T")


class Dialect(StrEnum):
    """Which numbers the recurrence fields of a message have."""

    DRAFT = "draft"
    """lightning/bolts pull request 1240."""
    CLN = "cln"
    """Core Lightning's experimental numbers."""


class Field(Generic[T]):
    """One field. As an attribute of a message class it reads the field's value, None where it is absent."""

    __slots__ = ("cln_number", "codec", "name", "number")

    def __init__(self, name: str, number: int, codec: Codec[T], *, cln: int | None = None) -> None:
        self.name = name
        self.number = number
        self.cln_number = cln
        self.codec = codec

    def number_in(self, dialect: Dialect | None) -> int:
        """The field's number in a dialect; fields without dialects have one number."""
        return self.number if dialect is not Dialect.CLN or self.cln_number is None else self.cln_number

    @property
    def has_dialects(self) -> bool:
        """Whether the number depends on the dialect."""
        return self.cln_number is not None

    @overload
    def __get__(self, message: None, owner: type) -> Field[T]: ...
    @overload
    def __get__(self, message: Bolt12Message, owner: type) -> T | None: ...
    def __get__(self, message: Bolt12Message | None, owner: type) -> Field[T] | T | None:
        if message is None:
            return self
        value: T | None = message.values.get(self.name)
        return value

    def __repr__(self) -> str:
        return f"Field({self.name})"


OFFER_CHAINS: Final = Field("offer_chains", 2, codecs.CHAINS)
OFFER_METADATA: Final = Field("offer_metadata", 4, codecs.BLOB)
OFFER_CURRENCY: Final = Field("offer_currency", 6, codecs.TEXT)
OFFER_AMOUNT: Final = Field("offer_amount", 8, codecs.TU64)
OFFER_DESCRIPTION: Final = Field("offer_description", 10, codecs.TEXT)
OFFER_FEATURES: Final = Field("offer_features", 12, codecs.BLOB)
OFFER_ABSOLUTE_EXPIRY: Final = Field("offer_absolute_expiry", 14, codecs.TU64)
OFFER_PATHS: Final = Field("offer_paths", 16, codecs.PATHS)
OFFER_ISSUER: Final = Field("offer_issuer", 18, codecs.TEXT)
OFFER_QUANTITY_MAX: Final = Field("offer_quantity_max", 20, codecs.TU64)
OFFER_ISSUER_ID: Final = Field("offer_issuer_id", 22, codecs.POINT)
OFFER_RECURRENCE_COMPULSORY: Final = Field("offer_recurrence_compulsory", 24, codecs.RECURRENCE, cln=1000000024)
OFFER_RECURRENCE_OPTIONAL: Final = Field("offer_recurrence_optional", 25, codecs.RECURRENCE, cln=1000000025)
OFFER_RECURRENCE_BASE: Final = Field("offer_recurrence_base", 26, codecs.BASE, cln=1000000026)
OFFER_RECURRENCE_PAYWINDOW: Final = Field("offer_recurrence_paywindow", 27, codecs.PAYWINDOW, cln=1000000027)
OFFER_RECURRENCE_LIMIT: Final = Field("offer_recurrence_limit", 29, codecs.TU32, cln=1000000029)

INVREQ_METADATA: Final = Field("invreq_metadata", 0, codecs.BLOB)
INVREQ_CHAIN: Final = Field("invreq_chain", 80, codecs.CHAIN)
INVREQ_AMOUNT: Final = Field("invreq_amount", 82, codecs.TU64)
INVREQ_FEATURES: Final = Field("invreq_features", 84, codecs.BLOB)
INVREQ_QUANTITY: Final = Field("invreq_quantity", 86, codecs.TU64)
INVREQ_PAYER_ID: Final = Field("invreq_payer_id", 88, codecs.POINT)
INVREQ_PAYER_NOTE: Final = Field("invreq_payer_note", 89, codecs.TEXT)
INVREQ_PATHS: Final = Field("invreq_paths", 90, codecs.PATHS)
INVREQ_BIP_353_NAME: Final = Field("invreq_bip_353_name", 91, codecs.BIP353)
INVREQ_RECURRENCE_COUNTER: Final = Field("invreq_recurrence_counter", 92, codecs.TU32, cln=2000000092)
INVREQ_RECURRENCE_START: Final = Field("invreq_recurrence_start", 93, codecs.TU32, cln=2000000093)
INVREQ_RECURRENCE_CANCEL: Final = Field("invreq_recurrence_cancel", 94, codecs.EMPTY, cln=2000000094)
INVREQ_RECURRENCE_PREV_STATE: Final = Field("invreq_recurrence_prev_state", 95, codecs.BLOB)

INVOICE_PATHS: Final = Field("invoice_paths", 160, codecs.PATHS)
INVOICE_BLINDEDPAY: Final = Field("invoice_blindedpay", 162, codecs.PAYINFOS)
INVOICE_CREATED_AT: Final = Field("invoice_created_at", 164, codecs.TU64)
INVOICE_RELATIVE_EXPIRY: Final = Field("invoice_relative_expiry", 166, codecs.TU32)
INVOICE_PAYMENT_HASH: Final = Field("invoice_payment_hash", 168, codecs.HASH)
INVOICE_AMOUNT: Final = Field("invoice_amount", 170, codecs.TU64)
INVOICE_FALLBACKS: Final = Field("invoice_fallbacks", 172, codecs.FALLBACKS)
INVOICE_FEATURES: Final = Field("invoice_features", 174, codecs.BLOB)
INVOICE_NODE_ID: Final = Field("invoice_node_id", 176, codecs.POINT)
INVOICE_RECURRENCE_BASETIME: Final = Field("invoice_recurrence_basetime", 177, codecs.TU64, cln=3000000177)
INVOICE_RECURRENCE_NEXT_STATE: Final = Field("invoice_recurrence_next_state", 179, codecs.BLOB)

SIGNATURE: Final = Field("signature", 240, codecs.SIGNATURE)

ERRONEOUS_FIELD: Final = Field("erroneous_field", 1, codecs.TU64)
SUGGESTED_VALUE: Final = Field("suggested_value", 3, codecs.BLOB)
ERROR: Final = Field("error", 5, codecs.TEXT)

OFFER_FIELDS: Final[tuple[Field[Any], ...]] = (
    OFFER_CHAINS, OFFER_METADATA, OFFER_CURRENCY, OFFER_AMOUNT, OFFER_DESCRIPTION, OFFER_FEATURES,
    OFFER_ABSOLUTE_EXPIRY, OFFER_PATHS, OFFER_ISSUER, OFFER_QUANTITY_MAX, OFFER_ISSUER_ID,
    OFFER_RECURRENCE_COMPULSORY, OFFER_RECURRENCE_OPTIONAL, OFFER_RECURRENCE_BASE, OFFER_RECURRENCE_PAYWINDOW,
    OFFER_RECURRENCE_LIMIT,
)  # fmt: skip
INVREQ_FIELDS: Final[tuple[Field[Any], ...]] = (
    INVREQ_METADATA, INVREQ_CHAIN, INVREQ_AMOUNT, INVREQ_FEATURES, INVREQ_QUANTITY, INVREQ_PAYER_ID,
    INVREQ_PAYER_NOTE, INVREQ_PATHS, INVREQ_BIP_353_NAME, INVREQ_RECURRENCE_COUNTER, INVREQ_RECURRENCE_START,
    INVREQ_RECURRENCE_CANCEL, INVREQ_RECURRENCE_PREV_STATE,
)  # fmt: skip
INVOICE_FIELDS: Final[tuple[Field[Any], ...]] = (
    INVOICE_PATHS, INVOICE_BLINDEDPAY, INVOICE_CREATED_AT, INVOICE_RELATIVE_EXPIRY, INVOICE_PAYMENT_HASH,
    INVOICE_AMOUNT, INVOICE_FALLBACKS, INVOICE_FEATURES, INVOICE_NODE_ID, INVOICE_RECURRENCE_BASETIME,
    INVOICE_RECURRENCE_NEXT_STATE,
)  # fmt: skip
ERROR_FIELDS: Final[tuple[Field[Any], ...]] = (ERRONEOUS_FIELD, SUGGESTED_VALUE, ERROR)

Entry = tuple[Field[Any], Dialect | None]
"""A field, and the dialect that spells it with the number looked up (None: every dialect does)."""


def number_table(fields: Iterable[Field[Any]]) -> dict[int, Entry]:
    """Numbers to fields, for the reader of one kind of message."""
    table: dict[int, Entry] = {}
    for field in fields:
        table[field.number] = (field, Dialect.DRAFT if field.has_dialects else None)
        if field.cln_number is not None:
            table[field.cln_number] = (field, Dialect.CLN)
    return table


def in_offer_range(number: int) -> bool:
    """Whether a TLV number belongs to the offer (BOLT 12: 1 to 79 and 1000000000 to 1999999999)."""
    return 1 <= number <= 79 or 1_000_000_000 <= number <= 1_999_999_999


def in_invreq_range(number: int) -> bool:
    """Whether a TLV number belongs to the invoice request or the offer inside it (0 to 159, 1e9 to 2999999999)."""
    return 0 <= number <= 159 or 1_000_000_000 <= number <= 2_999_999_999


def is_signature(number: int) -> bool:
    """Whether a TLV number is that of a signature (240 to 1000): not part of what is signed, nor mirrored."""
    return 240 <= number <= 1000
