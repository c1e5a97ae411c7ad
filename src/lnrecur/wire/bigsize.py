"""BigSize: BOLT 1's big-endian CompactSize, with minimal encodings only."""

from __future__ import annotations

from lnrecur.wire.errors import WireError

_FORMS = {0xFD: (2, 0xFD), 0xFE: (4, 0x1_0000), 0xFF: (8, 0x1_0000_0000)}


def encode_bigsize(value: int) -> bytes:
    """Encode 0 to 2^64 - 1 in one, three, five or nine bytes."""
    if value < 0 or value > 0xFFFF_FFFF_FFFF_FFFF:
        raise ValueError(f"a BigSize holds 0 to 2^64-1, not {value}")
    if value < 0xFD:
        return bytes((value,))
    if value < 0x1_0000:
        return b"\xfd" + value.to_bytes(2, "big")
    if value < 0x1_0000_0000:
        return b"\xfe" + value.to_bytes(4, "big")
    return b"\xff" + value.to_bytes(8, "big")


def decode_bigsize(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Read one BigSize at `offset`; answers the value and the offset behind it.

    Raises:
        WireError: the bytes end too early, or a shorter encoding exists.
    """
    if offset >= len(data):
        raise WireError("the bytes end where a BigSize should begin", offset=offset)
    first = data[offset]
    if first < 0xFD:
        return first, offset + 1
    size, minimum = _FORMS[first]
    end = offset + 1 + size
    if end > len(data):
        raise WireError(f"the bytes end inside a BigSize of {size + 1} bytes", offset=offset)
    value = int.from_bytes(data[offset + 1 : end], "big")
    if value < minimum:
        raise WireError(f"the BigSize {value} is not in its shortest form", offset=offset)
    return value, end
