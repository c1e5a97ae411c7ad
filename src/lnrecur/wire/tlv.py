"""TLV streams (BOLT 1): read once, kept as they came.

A stream remembers the exact bytes of every record, because signatures and mirrored fields are about bytes, not about
what we understood of them. Unknown records are kept like any other; which types are allowed is decided by the floors
above.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lnrecur.wire.bigsize import decode_bigsize, encode_bigsize
from lnrecur.wire.errors import WireError


class TlvRecord(NamedTuple):
    """One record: its number, its value and all its bytes (type, length and value)."""

    type: int
    value: bytes
    raw: bytes

    @classmethod
    def of(cls, tlv_type: int, value: bytes) -> TlvRecord:
        """A record to be written."""
        return cls(tlv_type, value, encode_bigsize(tlv_type) + encode_bigsize(len(value)) + value)


class TlvStream:
    """TLV records in strictly ascending order of type."""

    __slots__ = ("_by_type", "records")

    def __init__(self, records: Iterable[TlvRecord] = ()) -> None:
        """Take records in any order; they are sorted.

        Raises:
            WireError: two records have the same type.
        """
        self.records = tuple(sorted(records, key=lambda record: record.type))
        self._by_type = {record.type: record.value for record in self.records}
        if len(self._by_type) != len(self.records):
            raise WireError("two records have the same type")

    @classmethod
    def from_bytes(cls, data: bytes) -> TlvStream:
        """Read a whole stream.

        Raises:
            WireError: truncated, not minimal, out of order or a type twice; says the offset.
        """
        records: list[TlvRecord] = []
        offset, previous, end = 0, -1, len(data)
        while offset < end:
            start = offset
            tlv_type, offset = decode_bigsize(data, offset)
            if tlv_type <= previous:
                told = "appears twice" if tlv_type == previous else f"comes after type {previous}"
                raise WireError(
                    f"records go in ascending order of type, but this one {told}",
                    offset=start,
                    tlv_type=tlv_type,
                )
            try:
                length, offset = decode_bigsize(data, offset)
            except WireError as error:
                raise WireError(error.reason, offset=error.offset, tlv_type=tlv_type) from None
            if length > end - offset:
                raise WireError(
                    f"the record says {length} bytes, but only {end - offset} follow",
                    offset=offset,
                    tlv_type=tlv_type,
                )
            value = data[offset : offset + length]
            offset += length
            records.append(TlvRecord(tlv_type, value, data[start:offset]))
            previous = tlv_type
        stream = cls.__new__(cls)
        stream.records = tuple(records)
        stream._by_type = {record.type: record.value for record in records}
        return stream

    def to_bytes(self) -> bytes:
        """The stream as it goes on the wire; byte-identical to what was read."""
        return b"".join([record.raw for record in self.records])

    def get(self, tlv_type: int) -> bytes | None:
        """The value of a record, or None where there is no such record."""
        return self._by_type.get(tlv_type)

    def __contains__(self, tlv_type: object) -> bool:
        return tlv_type in self._by_type

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
