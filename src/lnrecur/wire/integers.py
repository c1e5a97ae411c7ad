"""Truncated integers (tu16, tu32, tu64): big-endian without leading zero bytes, zero being empty (BOLT 1)."""

from __future__ import annotations

from lnrecur.wire.errors import WireError

U16_MAX = 0xFFFF
U32_MAX = 0xFFFF_FFFF
U64_MAX = 0xFFFF_FFFF_FFFF_FFFF


def encode_truncated(value: int, size: int) -> bytes:
    """Encode `value` as a tu of at most `size` bytes."""
    if value < 0 or value >> (8 * size):
        raise ValueError(f"a tu{8 * size} holds 0 to 2^{8 * size}-1, not {value}")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode_truncated(data: bytes, size: int) -> int:
    """Read the whole of `data` as a tu of at most `size` bytes.

    Raises:
        WireError: too long, or it has a leading zero byte.
    """
    if len(data) > size:
        raise WireError(f"a tu{8 * size} takes at most {size} bytes, here are {len(data)}")
    if data and data[0] == 0:
        raise WireError(f"a tu{8 * size} has no leading zero bytes")
    return int.from_bytes(data, "big")


def encode_tu32(value: int) -> bytes:
    """A tu32."""
    return encode_truncated(value, 4)


def decode_tu32(data: bytes) -> int:
    """The whole of `data` as a tu32."""
    return decode_truncated(data, 4)


def encode_tu64(value: int) -> bytes:
    """A tu64."""
    return encode_truncated(value, 8)


def decode_tu64(data: bytes) -> int:
    """The whole of `data` as a tu64."""
    return decode_truncated(data, 8)
