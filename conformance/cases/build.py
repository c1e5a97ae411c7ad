"""Messages from fields, valid or not: bytes are put together by hand, so that nothing here refuses to be wrong.

A message under construction is a dict of TLV numbers to values. Keys, hashes and metadata follow from words, so the
same run gives the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from lnrecur.bolt12.signature import merkle_root, sign
from lnrecur.crypto.keys import PrivateKey
from lnrecur.wire.tlv import TlvRecord, TlvStream

Fields = dict[int, bytes]
Case = dict[str, Any]

NOW = 1_750_000_000
DAY = 86_400
HOUR = 3600
U32, U64 = 2**32 - 1, 2**64 - 1

DRAFT, CLN = "draft", "cln"
OFFER_BILLION, REQUEST_BILLION, INVOICE_BILLION = 1_000_000_000, 2_000_000_000, 3_000_000_000


def secret(word: str) -> bytes:
    """32 bytes that follow from a word."""
    return hashlib.sha256(b"lnrecur conformance " + word.encode()).digest()


MERCHANT, STRANGER, PAYER, HOP = (PrivateKey(secret(word)) for word in ("merchant", "stranger", "payer", "hop"))


def tu(number: int) -> bytes:
    """A truncated integer."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def number(draft: int, dialect: str) -> int:
    """The number of a recurrence field, told by its draft number, in a dialect."""
    if dialect == DRAFT:
        return draft
    return draft + (OFFER_BILLION if draft < 80 else REQUEST_BILLION if draft < 160 else INVOICE_BILLION)


def stream(fields: Fields) -> TlvStream:
    """The fields in ascending order."""
    return TlvStream(TlvRecord.of(number, value) for number, value in fields.items())


def encode(fields: Fields) -> str:
    """The message in hex."""
    return stream(fields).to_bytes().hex()


def signed(name: str, fields: Fields, key: PrivateKey) -> Fields:
    """The fields with a signature over all of them."""
    return {**fields, 240: sign(name, merkle_root(stream(fields).records), key)}


def path(*hops: PrivateKey) -> bytes:
    """A blinded path through these keys; nothing in it can be opened."""
    data = HOP.point + STRANGER.point + bytes((len(hops),))
    return data + b"".join(hop.point + b"\x00\x04data" for hop in hops)


def payinfo(features: bytes = b"") -> bytes:
    """blinded_payinfo: 1 sat and 100 ppm, 144 blocks, 1 msat to 1,000,000,000 msat."""
    terms = [(1000, 4), (100, 4), (144, 2), (1, 8), (10**9, 8), (len(features), 2)]
    return b"".join(value.to_bytes(size, "big") for value, size in terms) + features


@dataclass
class Terms:
    """An offer to be built: by default 10,000 msat every 1,000 seconds."""

    dialect: str = DRAFT
    unit: int = 0
    period: int = 1000
    optional: bool = False
    base: int | None = None
    proportional: int = 0
    window: tuple[int, int] | None = None
    limit: int | None = None
    amount: int | None = 10_000
    quantity_max: int | None = None
    expiry: int | None = None
    recurring: bool = True
    extra: Fields = field(default_factory=dict)
    drop: tuple[int, ...] = ()

    def fields(self) -> Fields:
        """The offer's fields."""
        told: dict[int, bytes | None] = {
            4: secret("offer metadata")[:24],
            8: None if self.amount is None else tu(self.amount),
            10: b"a subscription",
            14: None if self.expiry is None else tu(self.expiry),
            20: None if self.quantity_max is None else tu(self.quantity_max),
            22: MERCHANT.point,
        }
        if self.recurring:
            told |= {number(draft, self.dialect): value for draft, value in self._recurrence().items()}
        return {at: value for at, value in (told | self.extra).items() if value is not None and at not in self.drop}

    def _recurrence(self) -> dict[int, bytes | None]:
        window = self.window
        return {
            25 if self.optional else 24: bytes((self.unit,)) + tu(self.period),
            26: None if self.base is None else bytes((self.proportional,)) + tu(self.base),
            27: None if window is None else window[0].to_bytes(4, "big") + tu(window[1]),
            29: None if self.limit is None else tu(self.limit),
        }

    def hex(self) -> str:
        """The offer."""
        return encode(self.fields())


def request(
    offer: Terms,
    counter: int | None = 0,
    *,
    start: int | None = None,
    cancel: bool = False,
    quantity: int | None = None,
    amount: int | None = None,
    prev_state: bytes | None = None,
    extra: Fields | None = None,
    drop: tuple[int, ...] = (),
    key: PrivateKey = PAYER,
    metadata: str = "request",
) -> Fields:
    """A signed invoice_request for an offer, in its dialect."""
    told: dict[int, bytes | None] = {
        **offer.fields(),
        0: secret(f"{metadata} {counter}")[:16],
        82: None if amount is None else tu(amount),
        86: None if quantity is None else tu(quantity),
        88: PAYER.point,
        number(92, offer.dialect): None if counter is None else tu(counter),
        number(93, offer.dialect): None if start is None else tu(start),
        number(94, offer.dialect): b"" if cancel else None,
        95: prev_state,
        **(extra or {}),
    }
    return signed("invoice_request", {at: v for at, v in told.items() if v is not None and at not in drop}, key)


def invoice(
    asked: Fields,
    *,
    created_at: int,
    basetime: int | None,
    amount: int = 10_000,
    expiry: int | None = HOUR,
    dialect: str = DRAFT,
    node: PrivateKey = MERCHANT,
    extra: Fields | None = None,
    drop: tuple[int, ...] = (),
    key: PrivateKey | None = None,
) -> Fields:
    """A signed invoice for a request; `extra` and `drop` change its fields, the mirrored ones too."""
    told: dict[int, bytes | None] = {
        **{at: value for at, value in asked.items() if at != 240},
        160: path(MERCHANT),
        162: payinfo(),
        164: tu(created_at),
        166: None if expiry is None else tu(expiry),
        168: secret("payment hash"),
        170: tu(amount),
        176: node.point,
        number(177, dialect): None if basetime is None else tu(basetime),
        **(extra or {}),
    }
    return signed("invoice", {at: v for at, v in told.items() if v is not None and at not in drop}, key or node)


def broken_signature(message: Fields) -> Fields:
    """The same message with one bit of its signature turned."""
    made = bytearray(message[240])
    made[-1] ^= 1
    return {**message, 240: bytes(made)}


def case(comment: str, given: dict[str, Any], expect: dict[str, Any], *shows: str, breaks: str | None = None) -> Case:
    """One case; what it breaks it also shows. Its id is added when its file is written."""
    told = sorted({*shows, *([breaks] if breaks else [])}, key=rule_order)
    return {"comment": comment, "given": given, "expect": expect, "breaks": breaks, "shows": told}


def refused(comment: str, given: dict[str, Any], rule: str, *shows: str) -> Case:
    """A case that breaks one rule and is refused for it."""
    return case(comment, given, {"refused": rule}, *shows, breaks=rule)


def rule_order(rule: str) -> tuple[str, int]:
    """Q9 before Q10."""
    letters = rule.rstrip("0123456789")
    return letters, int(rule[len(letters) :] or 0)
