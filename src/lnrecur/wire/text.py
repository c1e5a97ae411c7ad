"""The text form of BOLT 12: a prefix, `1`, and bech32 characters without a checksum.

All of the data part becomes one big integer (Python reads base 32 in linear time), which is several times faster than
going character by character.
"""

from __future__ import annotations

import re
from base64 import b32encode
from typing import Final

from lnrecur.wire.errors import WireError

_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BASE32: Final = "0123456789abcdefghijklmnopqrstuv"
_TO_BASE32: Final = str.maketrans(_BECH32, _BASE32)
_FROM_RFC4648: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _BECH32.encode())
_JOINT: Final = re.compile(r"\+[ \t\r\n\v\f]*")
_FOREIGN: Final = re.compile(f"[^{_BECH32}]")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")

TEXT_MAX: Final = 400_000
"""Longest text we look at, in characters: far beyond what an onion message can carry."""


def encode_text(prefix: str, data: bytes) -> str:
    """`data` as a bolt12 text with a prefix such as `lno`."""
    digits = b32encode(data).rstrip(b"=").translate(_FROM_RFC4648)
    return f"{prefix}1{digits.decode('ascii')}"


def decode_text(text: str) -> tuple[str, bytes]:
    """Split a bolt12 text into its prefix (lower case) and its bytes.

    Raises:
        WireError: mixed case, a foreign character, a misplaced `+`, no separator, or padding that is not zero or
            longer than four bits. The offset counts characters of `text`.
    """
    if len(text) > TEXT_MAX:
        raise WireError(f"a bolt12 text of {len(text)} characters is longer than the {TEXT_MAX} we read")
    stranger = _NOT_ASCII.search(text)  # before lower(): the Kelvin sign would become an honest k
    if stranger is not None:
        raise WireError(f"{stranger.group()!r} is not a bech32 character", offset=stranger.start())
    joined = _joined(text)
    if joined != joined.lower() and joined != joined.upper():
        raise WireError("a bolt12 text is all lower case or all upper case, not both")
    prefix, separator, payload = joined.lower().partition("1")
    if not separator or not prefix.isalpha():
        raise WireError("a bolt12 text begins with letters and a 1, such as lno1")
    foreign = _FOREIGN.search(payload)
    if foreign is not None:
        raise WireError(
            f"{foreign.group()!r} is not a bech32 character",
            offset=_original_offset(text, len(prefix) + 1 + foreign.start()),
        )
    return prefix, _data_bytes(payload, len(text))


def _joined(text: str) -> str:
    if "+" not in text:
        return text
    for joint in _JOINT.finditer(text):
        before, after = text[max(0, joint.start() - 1) : joint.start()], text[joint.end() : joint.end() + 1]
        if not _is_bech32(before) or not _is_bech32(after):
            raise WireError("a + stands only between two bech32 characters", offset=joint.start())
    return _JOINT.sub("", text)


def _is_bech32(character: str) -> bool:
    # The letters of the prefix count too: the specification's own vectors join "l+no1...".
    return character.isalnum()


def _original_offset(text: str, joined_offset: int) -> int:
    """The offset in `text` of a character that stands at `joined_offset` once the joints are gone."""
    shift = 0
    for joint in _JOINT.finditer(text):
        if joint.start() - shift > joined_offset:
            break
        shift += joint.end() - joint.start()
    return joined_offset + shift


def _data_bytes(payload: str, text_length: int) -> bytes:
    padding = len(payload) * 5 % 8
    if padding > 4:
        raise WireError(f"{padding} bits of padding: at most 4 are needed", offset=text_length)
    if not payload:
        return b""
    number = int(payload.translate(_TO_BASE32), 32)
    if number & ((1 << padding) - 1):
        raise WireError("the bits of padding are not zero", offset=text_length)
    return (number >> padding).to_bytes(len(payload) * 5 // 8, "big")
