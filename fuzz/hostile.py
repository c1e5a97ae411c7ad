"""The most expensive inputs we could think of, for tests/property/test_hardness.py and bench/bolt12.py.

Each comes twice: as large as a message may be, so that all of it is looked at, and a megabyte of the same. What bounds
the price: a message has at most 65,535 bytes (1,872 points), a stream 1,000 records, a list of small things 1,000
entries, a text 400,000 characters; and no step is worse than linear in what it looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer, decode
from lnrecur.bolt12.invoice_error import InvoiceError
from lnrecur.crypto.errors import InvalidPoint
from lnrecur.crypto.keys import PrivateKey, parse_point
from lnrecur.wire.bigsize import encode_bigsize
from lnrecur.wire.messages import MESSAGE_MAX
from lnrecur.wire.text import TEXT_MAX, encode_text
from lnrecur.wire.tlv import TlvRecord

MEGABYTE = 1_000_000
POINT = PrivateKey(b"\x42" * 32).point
CHANNEL_END = bytes(9)
EMPTY_PATH = CHANNEL_END + POINT + b"\x00"
HOP = POINT + b"\x00\x00"


def no_point() -> bytes:
    """33 bytes that look like a point until its square root is tried."""
    for number in range(256):
        candidate = b"\x02" + sha256(bytes((number,))).digest()
        try:
            parse_point(candidate)
        except InvalidPoint:
            return candidate
    raise AssertionError("every x has a point: impossible")


@dataclass(frozen=True)
class Case:
    """An input and who has to read it."""

    name: str
    read: Callable[[Any], object]
    data: bytes | str


def inputs() -> Iterator[Case]:
    """All of them, the allowed size before the megabyte."""
    for size in (MESSAGE_MAX, MEGABYTE):
        told = "the longest message" if size == MESSAGE_MAX else "a megabyte"
        for name, read, data in _messages(size):
            yield Case(f"{told}: {name}", read, data)
    for size in (TEXT_MAX, MEGABYTE):
        told = "the longest text" if size == TEXT_MAX else "a megabyte of text"
        for name, text in _texts(size):
            yield Case(f"{told}: {name}", decode, text)


def _messages(size: int) -> Iterator[tuple[str, Callable[[bytes], object], bytes]]:
    yield "zero bytes", Offer.from_bytes, bytes(size)
    yield "records of four bytes", Invoice.from_bytes, _tiny_records(size)
    yield "records of six bytes", Offer.from_bytes, _unknown_records(size)
    yield "one odd field nobody knows", Offer.from_bytes, _offer(size, 23, b"\0")
    yield (
        "a path of hops after the other",
        Offer.from_bytes,
        _offer(size, 16, CHANNEL_END + POINT + b"\xff" + HOP * 255),
    )
    yield "hops, the last no point", Offer.from_bytes, _offer(size, 16, _hops(size))
    yield "paths without hops", Offer.from_bytes, _offer(size, 16, EMPTY_PATH)
    yield "paths of one hop", InvoiceRequest.from_bytes, _filled(size, 90, CHANNEL_END + POINT + b"\x01" + HOP)
    yield "a bitmap of odd bits", Offer.from_bytes, _offer(size, 12, b"\xaa")
    yield "a bitmap of even bits", Offer.from_bytes, _offer(size, 12, b"\x55")
    yield "chains", Offer.from_bytes, _offer(size, 2, b"\x5a" * 32)
    yield "payinfos", Invoice.from_bytes, _filled(size, 162, b"\xff" * 26 + b"\x00\x00")
    yield "fallback addresses of three bytes", Invoice.from_bytes, _filled(size, 172, b"\x00\x00\x00")
    yield "a description of emoji", Offer.from_bytes, _offer(size, 10, "\N{PILE OF POO}".encode())
    yield "a currency of private characters", Offer.from_bytes, _offer(size, 6, "\U000f0000".encode())
    yield "an error of control characters", _told, _filled(size, 5, b"\x07")


def _texts(size: int) -> Iterator[tuple[str, str]]:
    yield "zero digits", "lno1".ljust(size, "q")
    yield "a joint after every digit", _joined("+q", size)
    yield "a joint and a space after every digit", _joined("+ q", size)
    yield "joints, then a foreign digit", _joined("+q", size - 1) + "b"
    yield "joints, then a space", _joined("+q", size - 2) + " q"
    yield "one joint with much space", "lno1q+" + "\n" * (size - 7) + "q"
    yield "pluses", "lno1q".ljust(size, "+")
    yield "a prefix of joined letters", "l" + "+l" * ((size - 6) // 2) + "1qqqq"
    yield "letters without end", "l" * size
    yield "ones", "1" * size
    yield "Kelvin signs at the end", "lno1".ljust(size - 1, "q") + "\N{KELVIN SIGN}"
    hops = CHANNEL_END + POINT + b"\xff" + HOP * 255
    yield "too many bytes of hops", encode_text("lno", _offer(size * 5 // 8 - 4, 16, hops))
    joint = "+" + " " * (1 if size == TEXT_MAX else 8)
    yield (
        "the longest message of hops, joined everywhere",
        joint.join(encode_text("lno", _offer(MESSAGE_MAX, 16, hops))),
    )


def _told(data: bytes) -> str:
    return InvoiceError.from_bytes(data).text


def _offer(size: int, number: int, piece: bytes) -> bytes:
    """An offer of `size` bytes at most: an issuer, and one field that takes all the rest."""
    issuer = TlvRecord.of(22, POINT).raw
    field = _filled(size - len(issuer), number, piece)
    return field + issuer if number < 22 else issuer + field


def _filled(size: int, number: int, piece: bytes) -> bytes:
    """One record of `size` bytes at most: whole pieces, as many as go in."""
    room = size - 1 - len(encode_bigsize(size))
    return TlvRecord.of(number, piece * (room // len(piece))).raw


def _hops(size: int) -> bytes:
    """One value of `size` bytes at most: paths of 255 hops, the last point of which is none."""
    path = CHANNEL_END + POINT + b"\xff" + HOP * 255
    count = (size - 100) // len(path)
    return path * (count - 1) + path[: -len(HOP)] + no_point() + b"\x00\x00"


def _tiny_records(size: int) -> bytes:
    """Odd types from 161, then those of three and of five bytes, without values."""
    numbers = [*range(161, 240, 2), *range(1001, 1001 + size // 2, 2)]
    return b"".join(encode_bigsize(number) + b"\0" for number in numbers)[: size // 4 * 4]


def _unknown_records(size: int) -> bytes:
    issuer = TlvRecord.of(22, POINT).raw
    count = (size - len(issuer)) // 6
    return issuer + b"".join(
        encode_bigsize(1_000_000_001 + 2 * at) + b"\0" for at in range(count) if at not in (12, 14)
    )


def _joined(piece: str, size: int) -> str:
    return "lno1q" + piece * ((size - 5) // len(piece))
