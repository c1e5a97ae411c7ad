"""The subtype `blinded_path` (BOLT 4 and 12): an introduction, a path key and encrypted hops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lnrecur.values import POINT_SIZE, Point, ShortChannelId
from lnrecur.wire.errors import WireError
from lnrecur.wire.reader import ByteReader


@dataclass(frozen=True, slots=True)
class ChannelDirection:
    """A node named as one end of a channel: BOLT 1's `sciddir`."""

    channel: ShortChannelId
    direction: int


Introduction = Point | ChannelDirection
"""Who takes a message into a blinded path: a node id, or one end of a channel."""


@dataclass(frozen=True, slots=True)
class BlindedHop:
    """One hop: its blinded node id (33 bytes) and what is encrypted for it."""

    blinded_node_id: Point
    encrypted_recipient_data: bytes


@dataclass(frozen=True, slots=True)
class BlindedPath:
    """A blinded path as it stands in offers, invoices and reply paths. It has at least one hop once validated."""

    first_node_id: Introduction
    first_path_key: Point
    hops: tuple[BlindedHop, ...]

    def to_bytes(self) -> bytes:
        """The subtype's bytes."""
        parts = [
            _write_introduction(self.first_node_id),
            self.first_path_key,
            bytes((len(self.hops),)),
        ]
        for hop in self.hops:
            parts += [
                hop.blinded_node_id,
                len(hop.encrypted_recipient_data).to_bytes(2, "big"),
                hop.encrypted_recipient_data,
            ]
        return b"".join(parts)


def read_blinded_path(reader: ByteReader) -> BlindedPath:
    """Read one blinded path from a cursor. Points are not yet proven to be on the curve.

    Raises:
        WireError: truncated, or an introduction that is neither a point nor a channel end.
    """
    introduction = _read_introduction(reader)
    path_key = Point(reader.take(POINT_SIZE, "first_path_key"))
    hops = [_read_hop(reader, index) for index in range(reader.integer(1, "num_hops"))]
    return BlindedPath(introduction, path_key, tuple(hops))


def _read_hop(reader: ByteReader, index: int) -> BlindedHop:
    # A hostile message has 1,872 hops, so the bytes are taken where they stand; the cursor tells what is missing.
    data, start = reader.data, reader.offset
    sized = start + POINT_SIZE + 2
    end = sized + int.from_bytes(data[start + POINT_SIZE : sized], "big")
    if sized > len(data) or end > len(data):
        reader.take(POINT_SIZE, f"blinded_node_id of hop {index}")
        size = reader.integer(2, f"enclen of hop {index}")
        reader.take(size, f"encrypted_recipient_data of hop {index}")
    reader.offset = end
    return BlindedHop(Point(data[start : start + POINT_SIZE]), data[sized:end])


def read_blinded_paths(data: bytes) -> tuple[BlindedPath, ...]:
    """All of `data` as one blinded path after the other.

    Raises:
        WireError: truncated or malformed.
    """
    reader = ByteReader(data)
    paths = []
    while not reader.exhausted:
        paths.append(read_blinded_path(reader))
    return tuple(paths)


def write_blinded_paths(paths: Sequence[BlindedPath]) -> bytes:
    """Blinded paths one after the other."""
    return b"".join([path.to_bytes() for path in paths])


def _read_introduction(reader: ByteReader) -> Introduction:
    first = reader.integer(1, "first_node_id")
    if first in (2, 3):
        return Point(bytes((first,)) + reader.take(POINT_SIZE - 1, "first_node_id"))
    if first in (0, 1):
        return ChannelDirection(ShortChannelId(reader.integer(8, "short_channel_id")), first)
    raise WireError(
        f"first_node_id begins with {first}: 0 or 1 for a channel end, 2 or 3 for a point",
        offset=reader.offset - 1,
    )


def _write_introduction(introduction: Introduction) -> bytes:
    if isinstance(introduction, ChannelDirection):
        return bytes((introduction.direction,)) + introduction.channel.to_bytes(8, "big")
    return introduction
