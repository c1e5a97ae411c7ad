"""Recoverable ECDSA signatures, as BOLT 11 has them. BOLT 12 and everything else here signs with `schnorr`."""

from __future__ import annotations

from btclib_secp256k1 import recovery

from lnrecur.crypto.keys import PrivateKey


def sign_recoverable(digest: bytes, key: PrivateKey) -> bytes:
    """65 bytes: the compact signature of a 32-byte digest, and behind it the id that the key is recovered with.

    The nonce is that of RFC 6979: the same digest and key give the same signature.
    """
    signature, recovery_id = recovery.sign(digest, key.secret)
    return bytes(signature) + bytes((recovery_id,))
