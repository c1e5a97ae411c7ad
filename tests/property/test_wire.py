"""The codecs of the wire, for any value: what is written is read, and garbage raises errors of ours alone."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.errors import LnrecurError
from lnrecur.wire.bigsize import decode_bigsize, encode_bigsize
from lnrecur.wire.blinded_path import read_blinded_paths, write_blinded_paths
from lnrecur.wire.errors import WireError
from lnrecur.wire.integers import U64_MAX, decode_truncated, encode_truncated
from lnrecur.wire.text import decode_text, encode_text
from lnrecur.wire.tlv import TlvRecord, TlvStream

u64 = st.integers(0, U64_MAX)
records = st.dictionaries(u64, st.binary(max_size=300), max_size=12)


@given(u64, st.binary(max_size=4), st.binary(max_size=4))
def test_a_bigsize_is_read_wherever_it_stands(value: int, before: bytes, after: bytes) -> None:
    data = encode_bigsize(value)
    assert decode_bigsize(before + data + after, len(before)) == (value, len(before) + len(data))


@given(st.binary(min_size=1, max_size=9))
def test_every_bigsize_has_one_form(data: bytes) -> None:
    try:
        value, end = decode_bigsize(data)
    except WireError:
        return
    assert encode_bigsize(value) == data[:end]


@given(u64, st.sampled_from([2, 4, 8]))
def test_a_truncated_integer_comes_back(value: int, size: int) -> None:
    value &= (1 << 8 * size) - 1
    assert decode_truncated(encode_truncated(value, size), size) == value


@given(st.binary(max_size=10), st.sampled_from([2, 4, 8]))
def test_every_truncated_integer_has_one_form(data: bytes, size: int) -> None:
    try:
        value = decode_truncated(data, size)
    except WireError:
        assert len(data) > size or data[:1] == b"\0"
        return
    assert encode_truncated(value, size) == data


@given(records)
def test_a_stream_comes_back(values: dict[int, bytes]) -> None:
    stream = TlvStream(TlvRecord.of(number, value) for number, value in values.items())
    read = TlvStream.from_bytes(stream.to_bytes())
    assert read == stream
    assert read.to_bytes() == stream.to_bytes()
    assert {record.type: record.value for record in read} == values
    assert [record.type for record in read] == sorted(values)


@given(st.binary(max_size=200))
def test_whatever_is_read_as_a_stream_is_written_back_unchanged(data: bytes) -> None:
    with suppress(WireError):
        assert TlvStream.from_bytes(data).to_bytes() == data


@given(records, st.integers(0, 5000), st.integers(1, 255))
def test_a_changed_byte_of_a_stream_is_an_error_of_the_wire_or_another_stream(
    values: dict[int, bytes], at: int, change: int
) -> None:
    data = bytearray(TlvStream(TlvRecord.of(number, value) for number, value in values.items()).to_bytes())
    if not data:
        return
    data[at % len(data)] ^= change
    with suppress(WireError):
        assert TlvStream.from_bytes(bytes(data)).to_bytes() == data


@given(st.sampled_from(["lno", "lnr", "lni", "x"]), st.binary(max_size=400))
def test_a_text_comes_back(prefix: str, data: bytes) -> None:
    text = encode_text(prefix, data)
    assert decode_text(text) == decode_text(text.upper()) == (prefix, data)


@given(
    st.binary(min_size=5, max_size=100), st.lists(st.integers(0, 10_000), max_size=6), st.text(" \t\r\n", max_size=3)
)
def test_a_text_may_be_joined_anywhere(data: bytes, places: list[int], space: str) -> None:
    text = encode_text("lno", data)
    cuts = sorted({1 + place % (len(text) - 1) for place in places})
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert decode_text(f"+{space}".join(parts)) == ("lno", data)


@given(st.text(max_size=80) | st.text("lnor1qpzry9x8gf2tvdw0s3jn54khce6mua7lLNOQ+ \n\u212a", max_size=80))
def test_any_text_is_bytes_or_an_error_of_the_wire(text: str) -> None:
    try:
        prefix, data = decode_text(text)
    except WireError as error:
        assert error.offset is None or 0 <= error.offset <= len(text)  # noqa: PT017 - raising is not demanded
        return
    assert text.isascii()
    assert encode_text(prefix, data) == "".join(text.lower().replace("+", " ").split())


@given(st.binary(max_size=300))
def test_whatever_is_read_as_blinded_paths_is_written_back_unchanged(data: bytes) -> None:
    with suppress(LnrecurError):
        assert write_blinded_paths(read_blinded_paths(data)) == data


def test_a_text_that_ends_in_a_partial_byte_is_refused() -> None:
    with pytest.raises(WireError, match="padding"):
        decode_text("lno1q")
