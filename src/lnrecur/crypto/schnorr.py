"""BIP 340 signatures over 32-byte messages. Verification raises; it never answers False."""

from __future__ import annotations

from btclib_secp256k1 import ssa

from lnrecur.crypto.errors import InvalidPoint, InvalidSignature
from lnrecur.crypto.keys import PrivateKey

_NO_AUXILIARY = bytes(32)


def sign(digest: bytes, key: PrivateKey) -> bytes:
    """A 64-byte BIP 340 signature of a 32-byte digest.

    The auxiliary input is zero, so the same digest and key give the same signature: a message that is built again
    after a crash is byte-identical.
    """
    return ssa.sign(digest, key.secret, _NO_AUXILIARY)


def verify(digest: bytes, point: bytes, signature: bytes) -> None:
    """Check a signature against a 33-byte public key (its y is not looked at, as BOLT 12 wants).

    Raises:
        InvalidSignature: it does not match.
        InvalidPoint: `point` is not on the curve.
    """
    if len(signature) != 64:
        raise InvalidSignature(f"a BIP 340 signature takes 64 bytes, here are {len(signature)}")
    try:
        matches = ssa.verify(digest, point, signature)
    except ValueError as error:
        raise InvalidPoint(f"not a point of secp256k1: {point.hex()}") from error
    if not matches:
        raise InvalidSignature(f"the signature was not made by {point.hex()} over this message")
