"""SHA-256, tagged hashes, HMAC and HKDF, as the BOLTs use them."""

from __future__ import annotations

import hmac
from functools import cache
from hashlib import sha256 as _sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash


def sha256(*parts: bytes) -> bytes:
    """SHA-256 of the concatenated parts."""
    return _sha256(parts[0] if len(parts) == 1 else b"".join(parts)).digest()


def hmac_sha256(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 of the concatenated parts."""
    return hmac.digest(key, b"".join(parts), "sha256")


def same_bytes(left: bytes, right: bytes) -> bool:
    """Compare without telling by the time taken where the two differ."""
    return hmac.compare_digest(left, right)


def tag_once(tag: bytes) -> _Hash:
    """A SHA-256 that has consumed SHA256(tag) twice (BIP 340), for a tag made of data; copy it before feeding it."""
    digest = _sha256(tag).digest()
    return _sha256(digest + digest)


_kept = cache(tag_once)


def tagged_hash_state(tag: bytes) -> _Hash:
    """A fresh copy of `tag_once` for one of a protocol's few fixed tags: the work is done once."""
    return _kept(tag).copy()


def tagged_hash(tag: bytes, message: bytes) -> bytes:
    """BIP 340's tagged hash, SHA256(SHA256(tag) || SHA256(tag) || message), for a fixed tag."""
    state = tagged_hash_state(tag)
    state.update(message)
    return state.digest()


def hkdf_two(salt: bytes, key_material: bytes) -> tuple[bytes, bytes]:
    """HKDF-SHA256 with empty info and 64 bytes of output, as two keys (BOLT 8)."""
    secret = hmac_sha256(salt, key_material)
    first = hmac_sha256(secret, b"\x01")
    second = hmac_sha256(secret, first, b"\x02")
    return first, second
