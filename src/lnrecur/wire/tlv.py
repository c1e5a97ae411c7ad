"""TLV streams (BOLT 1): read once, kept as they came.

A stream remembers the exact bytes of every record, because signatures and mirrored fields are about bytes, not about
what we understood of them. Unknown records are kept like any other; which types are allowed is decided by the floors
above.

Reading is the hottest loop of the house. Nearly every type and length is one byte: those are taken where they stand,
and only the longer forms (and everything that is wrong) go through `decode_bigsize`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final, NamedTuple

from lnrecur.wire.bigsize import decode_bigsize, encode_bigsize
from lnrecur.wire.errors import WireError

RECORDS_MAX: Final = 1000
"""Most records in a stream that is read.

The largest TLV namespace we speak, that of invoices, has some forty. A record of four bytes costs us forty times its
size in memory, and in a message that is signed four hashes: without a limit, 64 kB would be 16,000 of them.
"""


class TlvRecord(NamedTuple):
    """One record: its number, its value and all its bytes (type, length and value)."""

    type: int
    value: bytes
    raw: bytes

    @classmethod
    def of(cls, tlv_type: int, value: bytes) -> TlvRecord:
        """A record to be written."""
        if tlv_type < 0xFD and (size := len(value)) < 0xFD:
            return _record(cls, (tlv_type, value, bytes((tlv_type, size)) + value))
        return cls(tlv_type, value, encode_bigsize(tlv_type) + encode_bigsize(len(value)) + value)


class TlvStream:
    """TLV records in strictly ascending order of type."""

    __slots__ = ("_by_type", "_data", "records")

    _by_type: dict[int, bytes] | None
    _data: bytes | None

    def __init__(self, records: Iterable[TlvRecord] = ()) -> None:
        """Take records in any order; they are sorted.

        Raises:
            WireError: two records have the same type.
        """
        self.records = tuple(sorted(records, key=_type_of))
        self._by_type = {tlv_type: value for tlv_type, value, _ in self.records}
        self._data = None
        if len(self._by_type) != len(self.records):
            raise WireError("two records have the same type")

    @classmethod
    def from_bytes(cls, data: bytes) -> TlvStream:
        """Read a whole stream.

        Raises:
            WireError: truncated, not minimal, out of order, a type twice, or more than RECORDS_MAX records; says the
                offset.
        """
        records: list[TlvRecord] = []
        offset, previous, end = 0, -1, len(data)
        while offset < end:
            start = offset
            tlv_type = data[offset]
            if tlv_type < 0xFD:
                offset += 1
            else:
                tlv_type, offset = decode_bigsize(data, offset)
            if tlv_type <= previous or len(records) == RECORDS_MAX:
                raise _refused(start, tlv_type, previous)
            if offset < end and data[offset] < 0xFD:
                length = data[offset]
                offset += 1
            else:
                length, offset = _long_length(data, offset, tlv_type)
            value_start = offset
            offset += length
            if offset > end:
                raise WireError(
                    f"the record says {length} bytes, but only {end - value_start} follow",
                    offset=value_start,
                    tlv_type=tlv_type,
                )
            records.append(_record(TlvRecord, (tlv_type, data[value_start:offset], data[start:offset])))
            previous = tlv_type
        stream = cls.__new__(cls)
        stream.records = tuple(records)
        stream._by_type = None
        stream._data = data
        return stream

    def to_bytes(self) -> bytes:
        """The stream as it goes on the wire; byte-identical to what was read."""
        if self._data is None:
            self._data = b"".join([raw for _, _, raw in self.records])
        return self._data

    def get(self, tlv_type: int) -> bytes | None:
        """The value of a record, or None where there is no such record."""
        return self._index().get(tlv_type)

    def __contains__(self, tlv_type: object) -> bool:
        return tlv_type in self._index()

    def _index(self) -> dict[int, bytes]:
        if self._by_type is None:
            self._by_type = {tlv_type: value for tlv_type, value, _ in self.records}
        return self._by_type

    def __iter__(self) -> Iterator[TlvRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TlvStream) and self.records == other.records

    def __hash__(self) -> int:
        return hash(self.records)

    def __repr__(self) -> str:
        return f"TlvStream({[record.type for record in self.records]})"


_type_of = itemgetter(0)
_record = tuple.__new__  # what NamedTuple's own constructor does, at half its price


def _refused(start: int, tlv_type: int, previous: int) -> WireError:
    if tlv_type > previous:
        return WireError(f"a stream of more than {RECORDS_MAX} records is longer than we read", offset=start)
    told = "appears twice" if tlv_type == previous else f"comes after type {previous}"
    reason = f"records go in ascending order of type, but this one {told}"
    return WireError(reason, offset=start, tlv_type=tlv_type)


def _long_length(data: bytes, offset: int, tlv_type: int) -> tuple[int, int]:
    try:
        return decode_bigsize(data, offset)
    except WireError as error:
        raise WireError(error.reason, offset=error.offset, tlv_type=tlv_type) from None
