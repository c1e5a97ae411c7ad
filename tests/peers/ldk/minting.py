"""Offers that an LDK node takes for its own: the setters of its JavaScript builder do nothing, so we write them.

LDK stores none of its offers. It knows one again by the key that answers for it: an HMAC over the offer's records under
a key of the node's seed, with a nonce that the offer's own path brings back (LDK, `offers/signer.rs`).
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Final

from lnrecur.bolt12 import Offer, OfferTerms, write_offer
from lnrecur.crypto.hashes import hmac_sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import blind_path
from lnrecur.values import NodeId
from lnrecur.wire.tlv import TlvRecord, TlvStream

NONCE_SIZE: Final = 16
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_INBOUND_PAYMENT_CHILD: Final = 5
_CONTEXT: Final = 65537


def mint(seed: bytes, node_id: NodeId, terms: OfferTerms, nonce: bytes) -> Offer:
    """An offer of the LDK node with this seed; its path begins and ends at the node. `nonce` has 16 bytes."""
    context = TlvStream([TlvRecord.of(_CONTEXT, b"\x00\x14\x00\x12\x00\x10" + nonce)])
    session = PrivateKey(hmac_sha256(nonce, b"session"))
    terms = replace(terms, paths=(blind_path(session, [(node_id, context.to_bytes())]),))
    records = b"".join(record.raw for record in terms.records())
    issuer = hmac_sha256(_offers_key(seed), b"LDK Offer v2~~~~", nonce, records, b"\x02" * 16, b"\x03" * 16)
    return write_offer(replace(terms, issuer_id=PrivateKey(issuer).point))


def _offers_key(seed: bytes) -> bytes:
    """The fourth output of the HKDF over the BIP 32 child m/5'."""
    extracted = hmac_sha256(b"LDK Inbound Payment Key Expansion", _hardened_child(seed, _INBOUND_PAYMENT_CHILD))
    key = b""
    for counter in range(1, 5):
        key = hmac_sha256(extracted, key, bytes([counter]))
    return key


def _hardened_child(seed: bytes, index: int) -> bytes:
    master = hmac.digest(b"Bitcoin seed", seed, "sha512")
    secret, chain_code = master[:32], master[32:]
    child = hmac.digest(chain_code, b"\x00" + secret + (0x80000000 + index).to_bytes(4, "big"), "sha512")
    return ((int.from_bytes(child[:32], "big") + int.from_bytes(secret, "big")) % _ORDER).to_bytes(32, "big")
