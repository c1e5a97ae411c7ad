"""What all BOLT 12 messages share: the bytes they came as, the fields read from them, their text form.

A message is its bytes. They are read once, kept, and given out again unchanged, unknown fields included; what was
understood of them stands beside them and is never written back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from lnrecur.bolt12.errors import Bolt12Error, Breach, FieldMalformed, RuleBroken, WritingError
from lnrecur.bolt12.fields import SIGNATURE, Dialect, Entry, Field
from lnrecur.crypto.errors import CryptoError
from lnrecur.wire.errors import WireError
from lnrecur.wire.messages import MESSAGE_MAX
from lnrecur.wire.text import decode_text, encode_text
from lnrecur.wire.tlv import TlvRecord, TlvStream

MIXED_DIALECTS = "D1"
"""Rule id: a message speaks one dialect of recurrence (RECURRENCE.md section 1)."""
UNKNOWN_EVEN = "BOLT 1"


class Bolt12Message:
    """A message that was read or written. Equality is equality of bytes."""

    __slots__ = ("dialect", "stream", "values")

    PREFIX: ClassVar[str]
    """What the text form begins with, without the 1."""
    NAME: ClassVar[str]
    """What the message is called, in errors and in signature tags."""
    TABLE: ClassVar[Mapping[int, Entry]]
    """The fields a reader knows, by number."""

    stream: TlvStream
    """All records, in order."""
    values: Mapping[str, Any]
    """The known fields that are present, by name, as values."""
    dialect: Dialect | None
    """Which dialect the recurrence fields are in; None if there are none."""

    def __init__(self, stream: TlvStream) -> None:
        """Read the fields of a stream and check the rules of this kind of message.

        Raises:
            WireError: longer than MESSAGE_MAX.
            FieldMalformed: a known field's bytes are not of its form.
            RuleBroken: a rule of `rules.py` is broken; names rule and field.
        """
        check_size(len(stream.to_bytes()))
        self.stream = stream
        self.values, self.dialect = read_fields(stream, self.TABLE)
        self._check()

    def _check(self) -> None:
        """Enforce what can be told from this message alone."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a message.

        Raises:
            WireError: not a TLV stream, or longer than MESSAGE_MAX.
            Bolt12Error: see `__init__`.
        """
        check_size(len(data))
        return cls(TlvStream.from_bytes(data))

    @classmethod
    def proven(cls, message: Bolt12Message) -> Self:
        """The same message under a type that says what was proved of it; nothing is read or checked again."""
        more = cls.__new__(cls)
        more.stream, more.values, more.dialect = message.stream, message.values, message.dialect
        return more

    @classmethod
    def with_signature(cls, message: Bolt12Message, stream: TlvStream, made: bytes) -> Self:
        """A message we wrote, checked and signed: `stream` is its own, with the record of the signature `made`."""
        more = cls.proven(message)
        more.stream, more.values = stream, {**message.values, SIGNATURE.name: made}
        return more

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a message from its text form.

        Raises:
            WireError: not a bolt12 text, or one with another prefix.
            Bolt12Error: see `__init__`.
        """
        prefix, data = decode_text(text)
        if prefix != cls.PREFIX:
            raise WireError(f"an {cls.NAME} begins with {cls.PREFIX}1, this text with {prefix}1", offset=0)
        return cls.from_bytes(data)

    def to_bytes(self) -> bytes:
        """The very bytes that were read or written."""
        return self.stream.to_bytes()

    def to_text(self) -> str:
        """The text form, lower case."""
        return encode_text(self.PREFIX, self.to_bytes())

    def has(self, field: Field[Any]) -> bool:
        """Whether a field is present."""
        return field.name in self.values

    def number(self, field: Field[Any]) -> int:
        """A field's number in the dialect of this message."""
        return field.number_in(self.dialect)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.stream == self.stream

    def __hash__(self) -> int:
        return hash((type(self), self.stream))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_bytes().hex()[:40]}... {len(self.stream)} fields>"


def check_size(size: int) -> None:
    """Refuse what no onion message can carry.

    Raises:
        WireError: it is longer than MESSAGE_MAX.
    """
    # Requests, invoices and errors travel in onion messages, and a request carries all of its offer. The limit also
    # bounds the points that have to be proven: 1,872 hops of 35 bytes take all of it.
    if size > MESSAGE_MAX:
        raise WireError(f"a message of {size} bytes is longer than the {MESSAGE_MAX} an onion message can carry")


def read_fields(stream: TlvStream, table: Mapping[int, Entry]) -> tuple[dict[str, Any], Dialect | None]:
    """The values of all known fields, by name, and the dialect they are in.

    Raises:
        RuleBroken: an even field nobody here knows, or both dialects at once.
        FieldMalformed: a field's bytes are not of its form.
    """
    values: dict[str, Any] = {}
    dialect: Dialect | None = None
    for number, value, _ in stream.records:
        entry = table.get(number)
        if entry is None:
            if number % 2 == 0:
                told = f"unknown even field {number}: it must be understood, and we do not"
                raise RuleBroken(UNKNOWN_EVEN, Breach(told, number=number))
            continue
        field, spoken = entry
        if spoken is not None and spoken is not dialect:
            if dialect is not None:
                told = f"in the {spoken} dialect, but an earlier recurrence field is in the {dialect} dialect"
                raise RuleBroken(MIXED_DIALECTS, Breach(told, field.name, number))
            dialect = spoken
        try:
            values[field.name] = field.codec.read(value)
        except (WireError, CryptoError) as error:
            offset = _offset_of(stream, number)
            raise FieldMalformed(Breach(str(error), field.name, number), offset) from error
    return values, dialect


def write_fields(values: Mapping[Field[Any], Any], dialect: Dialect | None) -> list[TlvRecord]:
    """Records for all values that are not None.

    Raises:
        WritingError: a value does not fit its field; names it.
    """
    records = []
    for field, value in values.items():
        if value is None:
            continue
        number = field.number_in(dialect)
        try:
            records.append(TlvRecord.of(number, field.codec.write(value)))
        except (ValueError, OverflowError) as error:
            raise WritingError("BOLT 1", Breach(str(error), field.name, number)) from error
    return records


@contextmanager
def broken_in_writing() -> Iterator[None]:
    """Read what was just written: a rule that breaks is then the writer's mistake.

    Raises:
        WritingError: the message breaks a rule, a value is not of its field's form, or a field stands twice.
    """
    try:
        yield
    except Bolt12Error as error:
        raise WritingError(error.rule, error.breach) from error
    except WireError as error:
        raise WritingError("BOLT 1", Breach(str(error))) from error


def _offset_of(stream: TlvStream, number: int) -> int:
    offset = 0
    for record in stream.records:
        if record.type == number:
            break
        offset += len(record.raw)
    return offset
