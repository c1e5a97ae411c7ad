"""TLV streams: order, truncation, and that no byte is ever changed."""

import pytest

from lnrecur.wire.errors import WireError
from lnrecur.wire.tlv import TlvRecord, TlvStream

STREAM = bytes.fromhex("0001aa030005020102fd010001bb")


def test_a_stream_keeps_its_records_and_their_bytes() -> None:
    stream = TlvStream.from_bytes(STREAM)
    assert [(record.type, record.value.hex()) for record in stream] == [(0, "aa"), (3, ""), (5, "0102"), (256, "bb")]
    assert [record.raw.hex() for record in stream.records] == ["0001aa", "0300", "05020102", "fd010001bb"]
    assert stream.to_bytes() == STREAM
    assert len(stream) == 4
    assert repr(stream) == "TlvStream([0, 3, 5, 256])"


def test_absent_and_empty_are_two_things() -> None:
    stream = TlvStream.from_bytes(STREAM)
    assert stream.get(3) == b""
    assert 3 in stream
    assert stream.get(4) is None
    assert 4 not in stream


def test_no_bytes_are_a_stream_of_no_records() -> None:
    assert len(TlvStream.from_bytes(b"")) == 0
    assert TlvStream.from_bytes(b"") == TlvStream()


def test_records_to_be_written_are_sorted() -> None:
    records = [TlvRecord.of(number, value) for number, value in ((256, b"\xbb"), (0, b"\xaa"), (5, b"\1\2"), (3, b""))]
    stream = TlvStream(records)
    assert stream.to_bytes() == STREAM
    assert stream == TlvStream.from_bytes(STREAM)
    assert hash(stream) == hash(TlvStream.from_bytes(STREAM))
    assert stream != TlvStream(records[:3])
    assert stream != STREAM


def test_two_records_of_one_type_cannot_be_written() -> None:
    with pytest.raises(WireError, match="same type"):
        TlvStream([TlvRecord.of(5, b"a"), TlvRecord.of(5, b"b")])


@pytest.mark.parametrize(
    ("data", "told", "offset", "tlv_type"),
    [
        ("05000300", "comes after type 5", 2, 3),
        ("03000300", "appears twice", 2, 3),
        ("0300fd", "end inside a BigSize", 2, None),
        ("0300fd000300", "not in its shortest form", 2, None),
        ("03", "end where a BigSize should begin", 1, 3),
        ("03fd", "end inside a BigSize", 1, 3),
        ("03fd0001aa", "not in its shortest form", 1, 3),
        ("0302aa", "says 2 bytes, but only 1 follow", 2, 3),
        ("03ffffffffffffffffff", "but only 0 follow", 10, 3),
    ],
)
def test_a_broken_stream_says_what_and_where(data: str, told: str, offset: int, tlv_type: int | None) -> None:
    with pytest.raises(WireError) as failure:
        TlvStream.from_bytes(bytes.fromhex(data))
    assert told in failure.value.reason
    assert (failure.value.offset, failure.value.tlv_type) == (offset, tlv_type)


@pytest.mark.parametrize("cut", [cut for cut in range(1, len(STREAM)) if cut not in (3, 5, 9)])
def test_a_truncated_stream_is_refused(cut: int) -> None:
    with pytest.raises(WireError) as failure:
        TlvStream.from_bytes(STREAM[:cut])
    assert failure.value.offset is not None
    assert failure.value.offset <= cut
