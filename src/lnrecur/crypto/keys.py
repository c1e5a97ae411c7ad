"""secp256k1 keys and points, over libsecp256k1 (the `btclib-secp256k1` binding; docs/design/libsecp256k1.md).

Points cross this border as 33 compressed bytes. A private key is a `PrivateKey`, whose repr never shows it.
"""

from __future__ import annotations

from btclib_secp256k1 import ecdh, ffi, keys, lib
from btclib_secp256k1.context import ctx

from lnrecur.crypto.errors import InvalidKey, InvalidPoint
from lnrecur.crypto.hashes import hmac_sha256
from lnrecur.values import POINT_SIZE, Point

_SCRATCH = ffi.new("secp256k1_pubkey *")  # where proofs leave the parsed point; it is never read


class PrivateKey:
    """A secp256k1 private key: a scalar in [1, n-1] and its public point."""

    __slots__ = ("_point", "_secret")

    def __init__(self, secret: bytes) -> None:
        """Take 32 bytes.

        Raises:
            InvalidKey: not 32 bytes, zero, or not below the group order.
        """
        if len(secret) != 32 or not keys.prvkey_verify(secret):
            raise InvalidKey("a private key is 32 bytes, not zero and below the order of secp256k1")
        self._secret = bytes(secret)
        self._point: Point | None = None

    @property
    def secret(self) -> bytes:
        """The 32 secret bytes, for writing a key file or handing it to another library."""
        return self._secret

    @property
    def point(self) -> Point:
        """The public key."""
        if self._point is None:
            self._point = Point(keys.pubkey_from_prvkey(self._secret))
        return self._point

    def ecdh(self, point: bytes) -> bytes:
        """SHA256 of the compressed shared point (BOLT 4 and 8).

        Raises:
            InvalidPoint: `point` is not on the curve.
        """
        try:
            shared = ecdh.shared_secret(point, self._secret)
        except ValueError as error:
            raise InvalidPoint(f"not a point of secp256k1: {point.hex()}") from error
        return shared

    def times(self, factor: bytes) -> PrivateKey:
        """This scalar multiplied by another (32 bytes), modulo the group order.

        Raises:
            InvalidKey: `factor` is zero or beyond the group order.
        """
        try:
            return PrivateKey(keys.prvkey_tweak_mul(self._secret, factor))
        except ValueError as error:
            raise InvalidKey("the factor is zero or not below the order of secp256k1") from error

    def __repr__(self) -> str:
        return f"PrivateKey(of {self.point.hex()})"


def parse_point(data: bytes) -> Point:
    """Prove 33 bytes a point of the curve, in compressed form.

    Raises:
        InvalidPoint: another length, another first byte, or an x that is on no point.
    """
    if len(data) != POINT_SIZE:
        raise InvalidPoint(f"a point takes {POINT_SIZE} bytes, here are {len(data)}")
    point = Point(bytes(data))
    # `keys.pubkey_verify` without its own checks: the length is right, and messages are full of points
    if not lib.secp256k1_ec_pubkey_parse(ctx, _SCRATCH, point, POINT_SIZE):
        raise InvalidPoint(f"not a point of secp256k1: {data.hex()}")
    return point


def point_times(point: bytes, factor: bytes) -> Point:
    """A point multiplied by a 32-byte scalar.

    Raises:
        InvalidPoint: `point` is not on the curve, or the product is the point at infinity.
    """
    try:
        return Point(keys.pubkey_tweak_mul(point, factor))
    except ValueError as error:
        raise InvalidPoint(f"cannot multiply this point: {point.hex()}") from error


def derive_key(seed: bytes, label: str, *parts: bytes) -> PrivateKey:
    """A private key that follows from a seed, a purpose and further parts (each length-prefixed by us).

    The same inputs always give the same key; without the seed nothing about it can be told.
    """
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (label.encode(), *parts))
    for attempt in range(256):  # a digest beyond the group order turns up once in 2^128 tries
        digest = hmac_sha256(seed, bytes([attempt]), message)
        if keys.prvkey_verify(digest):
            return PrivateKey(digest)
    raise InvalidKey(f"no key for {label!r} in 256 tries")  # pragma: no cover - cannot be reached in practice


def derive_secret(seed: bytes, label: str, *parts: bytes) -> bytes:
    """32 secret bytes that follow from a seed, a purpose and further parts."""
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (label.encode(), *parts))
    return hmac_sha256(seed, b"secret", message)
