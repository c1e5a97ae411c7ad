"""Bytes: BigSize, TLV streams, truncated integers, blinded paths, and BOLT 12's merkle root."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import parse_point


class Malformed(Exception):
    """These bytes are not what they should be (BOLT 1)."""


class Record(NamedTuple):
    type: int
    value: bytes
    raw: bytes


def take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise Malformed(f"{size} bytes at {at} of {len(data)}")
    return data[at : at + size]


def bigsize(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    first = take(data, at, 1)[0]
    for mark, size, least in ((0xFD, 2, 0xFD), (0xFE, 4, 2**16), (0xFF, 8, 2**32)):
        if first == mark:
            number = int.from_bytes(take(data, at + 1, size), "big")
            if number < least:
                raise Malformed("a BigSize that could be shorter")
            return number, at + 1 + size
    return first, at + 1


def to_bigsize(number: int) -> bytes:
    if number < 0xFD:
        return bytes([number])
    if number < 2**16:
        return b"\xfd" + number.to_bytes(2, "big")
    if number < 2**32:
        return b"\xfe" + number.to_bytes(4, "big")
    return b"\xff" + number.to_bytes(8, "big")


def read_stream(data: bytes) -> list[Record]:
    records: list[Record] = []
    at = 0
    while at < len(data):
        start = at
        kind, at = bigsize(data, at)
        size, at = bigsize(data, at)
        value = take(data, at, size)
        at += size
        if records and kind <= records[-1].type:
            raise Malformed("types do not ascend")
        records.append(Record(kind, value, data[start:at]))
    return records


def truncated(data: bytes, size: int) -> int:
    if len(data) > size or data[:1] == b"\x00":
        raise Malformed("not a truncated integer")
    return int.from_bytes(data, "big")


def point(data: bytes) -> bytes:
    try:
        return parse_point(data)
    except CryptoError as error:
        raise Malformed(str(error)) from error


def paths(data: bytes) -> list[list[bytes]]:
    """For each path, the blinded node ids of its hops."""
    found = []
    at = 0
    while at < len(data):
        first = take(data, at, 1)[0]
        if first in (0, 1):
            at += 9
        else:
            point(take(data, at, 33))
            at += 33
        point(take(data, at, 33))
        count = take(data, at + 33, 1)[0]
        at += 34
        hops = []
        for _ in range(count):
            hops.append(point(take(data, at, 33)))
            size = int.from_bytes(take(data, at + 33, 2), "big")
            take(data, at + 35, size)
            at += 35 + size
        found.append(hops)
    if at != len(data):
        raise Malformed("a path that ends too late")
    return found


def payinfos(data: bytes) -> list[bytes]:
    """The features of each payinfo."""
    found = []
    at = 0
    while at < len(data):
        size = int.from_bytes(take(data, at + 26, 2), "big")
        found.append(take(data, at + 28, size))
        at += 28 + size
    return found


def tagged(tag: bytes, message: bytes) -> bytes:
    inner = hashlib.sha256(tag).digest()
    return hashlib.sha256(inner + inner + message).digest()


def merkle_root(records: list[Record]) -> bytes:
    """Leaves of all fields but signatures, each joined with its nonce; then pairs of pairs, the smaller hash first."""
    signed = [record for record in records if not 240 <= record.type <= 1000]
    hashes = []
    for record in signed:
        leaf = tagged(b"LnLeaf", record.raw)
        nonce = tagged(b"LnNonce" + signed[0].raw, to_bigsize(record.type))
        hashes.append(tagged(b"LnBranch", min(leaf, nonce) + max(leaf, nonce)))
    while len(hashes) > 1:
        upper = []
        while len(hashes) >= 2:
            one, two = hashes.pop(0), hashes.pop(0)
            upper.append(tagged(b"LnBranch", min(one, two) + max(one, two)))
        hashes = upper + hashes
    return hashes[0]


def even_bit(features: bytes, known: tuple[int, ...] = ()) -> bool:
    """Whether an even bit is set that is not among the known ones."""
    for bit in range(0, 8 * len(features), 2):
        byte = features[len(features) - 1 - bit // 8]
        if byte & (1 << (bit % 8)) and bit not in known:
            return True
    return False
