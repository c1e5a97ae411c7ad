"""The BOLT 1 and BOLT 4 messages a messaging node speaks: init, warning, error, ping, pong, onion_message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lnrecur.values import POINT_SIZE, ChainHash, Point
from lnrecur.wire.errors import WireError
from lnrecur.wire.reader import ByteReader
from lnrecur.wire.tlv import TlvRecord, TlvStream

MESSAGE_MAX = 65535
"""Longest message BOLT 8 can carry, its two bytes of type included."""

ALL_CHANNELS = bytes(32)
"""The channel_id of errors and warnings that are about the whole connection (BOLT 1)."""

_CHANNEL_ID_SIZE = 32
_NETWORKS_TYPE = 1


@dataclass(frozen=True, slots=True)
class Init:
    """The first message of each side. `features` is the union of both bitmaps, big-endian without leading zeros."""

    TYPE: ClassVar = 16

    features: bytes
    networks: tuple[ChainHash, ...] = ()

    def to_bytes(self) -> bytes:
        """The whole message."""
        stream = TlvStream([TlvRecord.of(_NETWORKS_TYPE, b"".join(self.networks))] if self.networks else [])
        body = b"\0\0" + len(self.features).to_bytes(2, "big") + self.features + stream.to_bytes()
        return self.TYPE.to_bytes(2, "big") + body

    @classmethod
    def read(cls, reader: ByteReader) -> Init:
        """Read what follows the type."""
        global_features = reader.take(reader.integer(2, "gflen"), "globalfeatures")
        features = reader.take(reader.integer(2, "flen"), "features")
        merged = int.from_bytes(global_features, "big") | int.from_bytes(features, "big")
        stream = TlvStream.from_bytes(reader.rest())
        for record in stream:
            if record.type % 2 == 0:  # all that are defined are odd: 1 networks, 3 remote_addr, 5 option_will_fund
                raise WireError("init must be understood, and this even field is unknown", tlv_type=record.type)
        networks = stream.get(_NETWORKS_TYPE) or b""
        if len(networks) % 32:
            raise WireError("networks is a list of 32-byte chain hashes", tlv_type=_NETWORKS_TYPE)
        chains = tuple(ChainHash(networks[start : start + 32]) for start in range(0, len(networks), 32))
        return cls(merged.to_bytes((merged.bit_length() + 7) // 8, "big"), chains)

    def has_feature(self, even_bit: int) -> bool:
        """Whether a feature is offered, by its even or its odd bit."""
        bits = int.from_bytes(self.features, "big")
        return bool(bits >> even_bit & 3)


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """The peer gives up on a channel, or on us altogether if `channel_id` is `ALL_CHANNELS`."""

    TYPE: ClassVar = 17

    text: str
    channel_id: bytes = ALL_CHANNELS

    def to_bytes(self) -> bytes:
        """The whole message."""
        return _told(self.TYPE, self.channel_id, self.text)

    @classmethod
    def read(cls, reader: ByteReader) -> ErrorMessage:
        """Read what follows the type."""
        channel_id, text = _read_told(reader)
        return cls(text, channel_id)


@dataclass(frozen=True, slots=True)
class WarningMessage:
    """The peer disliked something and may go on."""

    TYPE: ClassVar = 1

    text: str
    channel_id: bytes = ALL_CHANNELS

    def to_bytes(self) -> bytes:
        """The whole message."""
        return _told(self.TYPE, self.channel_id, self.text)

    @classmethod
    def read(cls, reader: ByteReader) -> WarningMessage:
        """Read what follows the type."""
        channel_id, text = _read_told(reader)
        return cls(text, channel_id)


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a pong with `pong_size` bytes (65532 and above: no answer wanted)."""

    TYPE: ClassVar = 18

    pong_size: int
    padding_size: int = 0

    def to_bytes(self) -> bytes:
        """The whole message."""
        return b"".join(
            [
                self.TYPE.to_bytes(2, "big"),
                self.pong_size.to_bytes(2, "big"),
                self.padding_size.to_bytes(2, "big"),
                bytes(self.padding_size),
            ]
        )

    @classmethod
    def read(cls, reader: ByteReader) -> Ping:
        """Read what follows the type."""
        pong_size = reader.integer(2, "num_pong_bytes")
        size = reader.integer(2, "byteslen")
        reader.take(size, "ignored")
        return cls(pong_size, size)


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping."""

    TYPE: ClassVar = 19

    size: int

    def to_bytes(self) -> bytes:
        """The whole message."""
        return self.TYPE.to_bytes(2, "big") + self.size.to_bytes(2, "big") + bytes(self.size)

    @classmethod
    def read(cls, reader: ByteReader) -> Pong:
        """Read what follows the type."""
        size = reader.integer(2, "byteslen")
        reader.take(size, "ignored")
        return cls(size)


@dataclass(frozen=True, slots=True)
class OnionMessage:
    """An onion for the next hop of a message, and the path key to read it with."""

    TYPE: ClassVar = 513

    path_key: Point
    onion: bytes

    def to_bytes(self) -> bytes:
        """The whole message."""
        return b"".join(
            [
                self.TYPE.to_bytes(2, "big"),
                self.path_key,
                len(self.onion).to_bytes(2, "big"),
                self.onion,
            ]
        )

    @classmethod
    def read(cls, reader: ByteReader) -> OnionMessage:
        """Read what follows the type."""
        path_key = Point(reader.take(POINT_SIZE, "path_key"))
        return cls(path_key, reader.take(reader.integer(2, "len"), "onion_message_packet"))


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of a type we do not know. An odd one may be ignored; an even one ends the connection (BOLT 1)."""

    type: int
    body: bytes

    @property
    def may_be_ignored(self) -> bool:
        """It is OK to be odd."""
        return self.type % 2 == 1


Message = Init | ErrorMessage | WarningMessage | Ping | Pong | OnionMessage | UnknownMessage

_READERS = {kind.TYPE: kind.read for kind in (Init, ErrorMessage, WarningMessage, Ping, Pong, OnionMessage)}


def read_message(data: bytes) -> Message:
    """Read one message. Bytes behind the known fields are allowed, as BOLT 1 demands of readers.

    Raises:
        WireError: shorter than its type or its fields say.
    """
    reader = ByteReader(data)
    message_type = reader.integer(2, "the message type")
    read = _READERS.get(message_type)
    if read is None:
        return UnknownMessage(message_type, reader.rest())
    return read(reader)


def _told(message_type: int, channel_id: bytes, text: str) -> bytes:
    data = text.encode()
    return b"".join([message_type.to_bytes(2, "big"), channel_id, len(data).to_bytes(2, "big"), data])


def _read_told(reader: ByteReader) -> tuple[bytes, str]:
    channel_id = reader.take(_CHANNEL_ID_SIZE, "channel_id")
    text = reader.take(reader.integer(2, "len"), "data").decode(errors="replace")
    return channel_id, "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
