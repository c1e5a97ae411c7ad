"""The text form of BOLT 12: a prefix, `1`, and bech32 characters without a checksum.

All of the data part becomes one big integer (Python reads base 32 in linear time), which is several times faster than
going character by character. A `+` may join pieces, with white space behind it: such texts take a second look, the
others do not. Every step is linear in the text and holds no more than a few copies of it, however many joints it has.
"""

from __future__ import annotations

import re
from typing import Final

from lnrecur.wire.base32 import encode_base32
from lnrecur.wire.errors import WireError

_BECH32: Final = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BASE32: Final = b"0123456789abcdefghijklmnopqrstuv"
_STRANGE: Final = b"!"
_DIGITS: Final = bytes(_BASE32[_BECH32.index(code)] if code in _BECH32 else _STRANGE[0] for code in range(256))
_JOINTS: Final = b"+ \t\r\n\v\f"
_SPACE: Final = r" \t\r\n\v\f"
# The letters of the prefix may be joined too: the specification's own vectors have "l+no1...".
_BAD_JOINT: Final = re.compile(rf"\+(?:(?<![0-9A-Za-z]\+)|[{_SPACE}]*+(?![0-9A-Za-z]))")
_PREFIX: Final = re.compile(rf"[a-z]++(?:\+[{_SPACE}]*+[a-z]++)*+(?:\+[{_SPACE}]*+)?1")
_FOREIGN: Final = re.compile(rf"[^{_BECH32.decode()}+{_SPACE}]|(?<![+{_SPACE}])[{_SPACE}]")
_STRAY_SPACE: Final = re.compile(rf"[{_SPACE}](?<![+{_SPACE}][{_SPACE}])")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_URI: Final = "lightning:"
_PREFIX_MAX: Final = 20  # so that errors may quote it

TEXT_MAX: Final = 400_000
"""Longest text we look at, in characters.

The longest message there is (`messages.MESSAGE_MAX`) takes 104,860; the rest is room for a joint and line break after
every character.
"""


def encode_text(prefix: str, data: bytes) -> str:
    """`data` as a bolt12 text with a prefix such as `lno`."""
    return f"{prefix}1{encode_base32(data).decode('ascii')}"


def without_uri(text: str) -> str:
    """A bolt12 text as people copy it, with the space around it and a `lightning:` before it taken away."""
    text = text.strip()
    if text[: len(_URI)].lower() == _URI:
        text = text[len(_URI) :].removeprefix("//").strip()
    return text


def decode_text(text: str) -> tuple[str, bytes]:
    """Split a bolt12 text into its prefix (lower case) and its bytes.

    Raises:
        WireError: longer than TEXT_MAX, mixed case, a foreign character, a misplaced `+`, no separator, or padding
            that is not zero or longer than four bits. The offset counts characters of `text`.
    """
    if len(text) > TEXT_MAX:
        raise WireError(f"a bolt12 text of {len(text)} characters is longer than the {TEXT_MAX} we read")
    if not text.isascii():  # before lower(): the Kelvin sign would become an honest k
        _refuse_foreign(_NOT_ASCII, text)
    joined = "+" in text
    if joined and (joint := _BAD_JOINT.search(text)):
        raise WireError("a + stands only between two bech32 characters", offset=joint.start())
    lowered = text.lower()
    if lowered != text and text != text.upper():
        raise WireError("a bolt12 text is all lower case or all upper case, not both")
    prefix, begin = _prefix(lowered)
    payload = lowered[begin:].encode()
    digits = payload.translate(_DIGITS, _JOINTS) if joined else payload.translate(_DIGITS)
    if _STRANGE in digits or (joined and _STRAY_SPACE.search(lowered, begin)):
        _refuse_foreign(_FOREIGN, lowered, begin)
    return prefix, _data_bytes(digits, len(text))


def _prefix(lowered: str) -> tuple[str, int]:
    """The prefix without its joints, and where the data part begins."""
    found = _PREFIX.match(lowered)
    prefix = b"" if found is None else lowered[: found.end() - 1].encode().translate(None, _JOINTS)
    if found is None or len(prefix) > _PREFIX_MAX:
        raise WireError("a bolt12 text begins with letters and a 1, such as lno1")
    return prefix.decode(), found.end()


def _refuse_foreign(foreign: re.Pattern[str], text: str, begin: int = 0) -> None:
    found = foreign.search(text, begin)
    if found is not None:
        raise WireError(f"{found.group()!r} is not a bech32 character", offset=found.start())


def _data_bytes(digits: bytes, text_length: int) -> bytes:
    padding = len(digits) * 5 % 8
    if padding > 4:
        raise WireError(f"{padding} bits of padding: at most 4 are needed", offset=text_length)
    if not digits:
        return b""
    number = int(digits, 32)
    if number & ((1 << padding) - 1):
        raise WireError("the bits of padding are not zero", offset=text_length)
    return (number >> padding).to_bytes(len(digits) * 5 // 8, "big")
