"""Sphinx (BOLT 4): one packet that each hop peels by one layer, always of the same length.

    version 0x00 | ephemeral point (33) | payload area (1300 or 32768) | HMAC (32)

The area holds, for each hop, BigSize length | payload | HMAC of the next packet. A hop that takes its part off in front
shifts the rest and gets as many bytes of key stream at the end; the sender foresees these bytes (the filler), for the
HMAC covers them. An all-zero HMAC tells a hop that it is the last.

What this guarantees: a hop sees its own payload, whether it is the last, and nothing of how many there were. A packet
with a byte changed is refused by the next hop. What it does not: replay protection, which belongs to whoever acts on
the payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lnrecur.crypto.aead import KeyStream, chacha20_stream
from lnrecur.crypto.errors import InvalidPoint
from lnrecur.crypto.hashes import hmac_sha256, same_bytes
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.ephemeral import Link, ephemeral_chain, next_ephemeral
from lnrecur.onion.errors import OnionUnreadable, PathImpossible
from lnrecur.values import POINT_SIZE, NodeId, Point
from lnrecur.wire.bigsize import decode_bigsize, encode_bigsize
from lnrecur.wire.errors import WireError

AREA_SMALL: Final = 1300
"""The payload area of payments, and of messages that fit."""
AREA_BIG: Final = 32768
"""The payload area of messages that do not."""

_VERSION: Final = b"\0"
_HMAC_SIZE: Final = 32
_HMAC_LAST: Final = bytes(_HMAC_SIZE)
_FRAME_SIZE: Final = len(_VERSION) + POINT_SIZE + _HMAC_SIZE
_PAYLOAD_MIN: Final = 2
_AREA_MAX: Final = 65535 - _FRAME_SIZE


@dataclass(frozen=True, slots=True)
class Peeled:
    """One layer taken off: this hop's payload (a TLV stream, without its length), and the onion for the next hop."""

    payload: bytes
    next_onion: bytes | None
    """None where this is the last hop."""


def room_needed(payloads: Sequence[bytes]) -> int:
    """How many bytes of payload area these payloads take, lengths and HMACs included."""
    return sum(_framed_size(payload) for payload in payloads)


def wrap(
    session_key: PrivateKey,
    hops: Sequence[tuple[Point | NodeId, bytes]],
    *,
    associated_data: bytes = b"",
    size: int = AREA_SMALL,
) -> bytes:
    """Build the onion for the first hop.

    Args:
        session_key: fresh for each onion.
        hops: the key each hop peels with (blinded node ids inside a blinded path) and its payload, a TLV stream.
        associated_data: what every hop must know to accept the onion (the payment_hash; nothing for messages).
        size: bytes of payload area.

    Raises:
        PathImpossible: no hops, a payload too short to be one, or all of them too long for `size`.
        InvalidPoint: a hop's key is not on the curve.
    """
    payloads = [payload for _, payload in hops]
    if not hops or min(map(len, payloads)) < _PAYLOAD_MIN:
        raise PathImpossible(f"an onion has at least one hop, and each payload at least {_PAYLOAD_MIN} bytes")
    if (needed := room_needed(payloads)) > size:
        raise PathImpossible(f"the payloads take {needed} bytes, and the onion has room for {size}")
    links = ephemeral_chain(session_key, [key for key, _ in hops])
    secrets = [link.shared_secret for link in links]
    filler = _filler(secrets, payloads, size)
    area, mac = chacha20_stream(_key(b"pad", session_key.secret), size), _HMAC_LAST
    for index in reversed(range(len(hops))):
        framed = encode_bigsize(len(payloads[index])) + payloads[index] + mac
        area = KeyStream(_key(b"rho", secrets[index])).xor((framed + area)[:size])
        if index == len(hops) - 1 and filler:
            area = area[: -len(filler)] + filler
        mac = hmac_sha256(_key(b"mu", secrets[index]), area, associated_data)
    return _VERSION + links[0].ephemeral + area + mac


def peel(key: PrivateKey, onion: bytes, *, associated_data: bytes = b"") -> Peeled:
    """Take this hop's layer off.

    Args:
        key: the key the onion was wrapped for: on a blinded path the hop's blinded key
            (`BlindedHopSecrets.blinded_key`), otherwise the node's.
        onion: the whole packet; its payload area may have any size.
        associated_data: as the sender gave it.

    Raises:
        OnionUnreadable: unknown version, too short, a bad point, not for this key, changed on its way, or a payload
            that does not lie within the area.
    """
    if not _FRAME_SIZE + _PAYLOAD_MIN <= len(onion) <= _FRAME_SIZE + _AREA_MAX:
        raise OnionUnreadable(f"an onion of {len(onion)} bytes cannot hold a payload")
    if onion[:1] != _VERSION:
        raise OnionUnreadable(f"onion version {onion[0]} is not known, only version 0")
    ephemeral, area, mac = Point(onion[1 : 1 + POINT_SIZE]), onion[1 + POINT_SIZE : -_HMAC_SIZE], onion[-_HMAC_SIZE:]
    try:
        shared_secret = key.ecdh(ephemeral)
    except InvalidPoint as error:
        raise OnionUnreadable("the onion's ephemeral key is not a point of secp256k1") from error
    if not same_bytes(hmac_sha256(_key(b"mu", shared_secret), area, associated_data), mac):
        raise OnionUnreadable("the onion's HMAC does not fit: it is for another key, or was changed")
    stream = KeyStream(_key(b"rho", shared_secret))
    opened = stream.xor(area)
    payload, end = _payload(opened)
    next_mac = opened[end - _HMAC_SIZE : end]
    if next_mac == _HMAC_LAST:
        return Peeled(payload, None)
    next_area = opened[end:] + stream.xor(bytes(end))
    return Peeled(payload, _VERSION + next_ephemeral(Link(ephemeral, shared_secret)) + next_area + next_mac)


def _payload(opened: bytes) -> tuple[bytes, int]:
    """The payload at the front of a decrypted area, and where the HMAC behind it ends."""
    try:
        length, start = decode_bigsize(opened)
    except WireError as error:
        raise OnionUnreadable(f"the payload's length cannot be read: {error}") from error
    end = start + length + _HMAC_SIZE
    if length < _PAYLOAD_MIN or end > len(opened):
        raise OnionUnreadable(f"a payload of {length} bytes cannot be in an area of {len(opened)}")
    return opened[start : start + length], end


def _filler(secrets: Sequence[bytes], payloads: Sequence[bytes], size: int) -> bytes:
    """The bytes at the end of the last hop's area: what every hop before it will have appended."""
    filler = b""
    for secret, payload in zip(secrets[:-1], payloads[:-1], strict=True):
        taken = _framed_size(payload)
        stream = chacha20_stream(_key(b"rho", secret), size + taken)
        filler = _xor(filler + bytes(taken), stream[size - len(filler) :])
    return filler


def _framed_size(payload: bytes) -> int:
    return len(encode_bigsize(len(payload))) + len(payload) + _HMAC_SIZE


def _key(kind: bytes, secret: bytes) -> bytes:
    return hmac_sha256(kind, secret)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")
