"""Truncated integers and BigSize at their borders."""

import pytest

from lnrecur.wire.bigsize import decode_bigsize, encode_bigsize
from lnrecur.wire.errors import WireError
from lnrecur.wire.integers import (
    U16_MAX,
    U32_MAX,
    U64_MAX,
    decode_truncated,
    decode_tu32,
    decode_tu64,
    encode_truncated,
    encode_tu32,
    encode_tu64,
)


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, ""), (1, "01"), (255, "ff"), (256, "0100"), (0x1_0000, "010000"), (U32_MAX, "ffffffff")],
)
def test_a_tu32_takes_as_few_bytes_as_it_can(value: int, data: str) -> None:
    assert encode_tu32(value).hex() == data
    assert decode_tu32(bytes.fromhex(data)) == value


@pytest.mark.parametrize(("value", "data"), [(0, ""), (U32_MAX + 1, "0100000000"), (U64_MAX, "ff" * 8)])
def test_a_tu64_takes_as_few_bytes_as_it_can(value: int, data: str) -> None:
    assert encode_tu64(value).hex() == data
    assert decode_tu64(bytes.fromhex(data)) == value


@pytest.mark.parametrize("data", [b"\0", b"\0\1", b"\0\0\0\0"])
def test_a_leading_zero_byte_is_refused(data: bytes) -> None:
    for decode in (decode_tu32, decode_tu64):
        with pytest.raises(WireError, match="leading zero"):
            decode(data)


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(WireError, match="a tu32 takes at most 4 bytes, here are 5"):
        decode_tu32(b"\1" * 5)
    with pytest.raises(WireError, match="a tu64 takes at most 8 bytes, here are 9"):
        decode_tu64(b"\1" * 9)
    with pytest.raises(WireError, match="a tu16 takes at most 2 bytes"):
        decode_truncated(b"\1" * 3, 2)


@pytest.mark.parametrize(("value", "size"), [(-1, 8), (U16_MAX + 1, 2), (U32_MAX + 1, 4), (U64_MAX + 1, 8)])
def test_a_value_that_does_not_fit_is_a_mistake_of_the_writer(value: int, size: int) -> None:
    with pytest.raises(ValueError, match="holds 0 to"):
        encode_truncated(value, size)


@pytest.mark.parametrize("value", [-1, U64_MAX + 1])
def test_a_bigsize_holds_no_more_than_a_u64(value: int) -> None:
    with pytest.raises(ValueError, match="a BigSize holds"):
        encode_bigsize(value)


@pytest.mark.parametrize("value", [0, 0xFC, 0xFD, U16_MAX, U16_MAX + 1, U32_MAX, U32_MAX + 1, U64_MAX])
def test_a_bigsize_at_a_border_comes_back(value: int) -> None:
    data = encode_bigsize(value)
    assert decode_bigsize(data) == (value, len(data))
    for cut in range(len(data)):
        with pytest.raises(WireError):
            decode_bigsize(data[:cut])
