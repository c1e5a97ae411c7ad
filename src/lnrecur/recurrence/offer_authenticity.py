"""Is this offer one of ours? Told by its metadata alone, without looking anything up (Q21).

Our offers carry 8 random bytes and a 16-byte authentication code over all their other fields in offer_metadata. An
offer with blinded paths also has a path secret that follows from the same fields: a request for it counts only if it
came over such a path, and a request for an offer without paths only if it did not (BOLT 12).
"""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from lnrecur.bolt12 import fields
from lnrecur.bolt12.offer import Offer, OfferFields, OfferTerms, write_offer
from lnrecur.crypto.hashes import hmac_sha256, same_bytes
from lnrecur.wire.tlv import TlvRecord

NONCE_SIZE: Final = 8
_CODE_SIZE: Final = 16
_type_of = itemgetter(0)


def path_secret(key: bytes, terms: OfferTerms, nonce: bytes) -> bytes:
    """The 32-byte path_id for the blinded paths of an offer with these terms, which need not have paths yet."""
    return _path_secret(key, nonce, terms.records())


def write_authentic_offer(key: bytes, terms: OfferTerms, nonce: bytes) -> Offer:
    """Write an offer that we shall know again. `nonce` is 8 random bytes.

    Raises:
        WritingError: the terms break a rule.
    """
    return write_offer(terms, nonce + _code(key, nonce, terms.records()))


def is_ours(key: bytes, offer: OfferFields, path_id: bytes | None) -> bool:
    """Whether the offer in this message is ours and was reached as it says; constant time in the secrets."""
    metadata = offer.metadata or b""
    if len(metadata) != NONCE_SIZE + _CODE_SIZE:
        return False
    records = [record for record in offer.offer_records() if record[0] != fields.OFFER_METADATA.number]
    nonce, code = metadata[:NONCE_SIZE], metadata[NONCE_SIZE:]
    if not same_bytes(code, _code(key, nonce, records)):
        return False
    if offer.paths is None:
        return path_id is None
    return path_id is not None and same_bytes(path_id, _path_secret(key, nonce, records))


def _code(key: bytes, nonce: bytes, records: list[TlvRecord]) -> bytes:
    return hmac_sha256(key, b"offer", nonce, *[raw for _, _, raw in sorted(records, key=_type_of)])[:_CODE_SIZE]


def _path_secret(key: bytes, nonce: bytes, records: list[TlvRecord]) -> bytes:
    ordered = sorted(records, key=_type_of)
    raw = [record.raw for record in ordered if record.type != fields.OFFER_PATHS.number]
    return hmac_sha256(key, b"offer path", nonce, *raw)
