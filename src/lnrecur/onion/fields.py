"""From TLV streams to the fields of a payload and back: what the payloads of this room have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from lnrecur.onion.errors import PayloadInvalid
from lnrecur.wire.tlv import TlvRecord, TlvStream

_Value = TypeVar("_Value")


def encode(fields: dict[int, bytes | None], unknown: Iterable[TlvRecord] = ()) -> bytes:
    """The stream of the fields that are there, and of the records kept beside them."""
    known = [TlvRecord.of(tlv_type, value) for tlv_type, value in fields.items() if value is not None]
    return TlvStream([*known, *unknown]).to_bytes()


def unknown_records(stream: TlvStream, known: set[int]) -> tuple[TlvRecord, ...]:
    """The records of types that are not `known`; it is OK to be odd.

    Raises:
        PayloadInvalid: one of them is even.
    """
    unknown = tuple(record for record in stream if record.type not in known)
    for record in unknown:
        if record.type % 2 == 0:
            raise PayloadInvalid("an even type that is not known here", tlv_type=record.type)
    return unknown


def only(stream: TlvStream, allowed: set[int]) -> None:
    """Insist on nothing but these types.

    Raises:
        PayloadInvalid: there is another one, odd or even.
    """
    for record in stream:
        if record.type not in allowed:
            raise PayloadInvalid("this field may not stand here", tlv_type=record.type)


def decoded(stream: TlvStream, tlv_type: int, decode: Callable[[bytes], _Value]) -> _Value | None:
    """A field's value, or None where it is absent."""
    value = stream.get(tlv_type)
    return None if value is None else decode(value)


def required(stream: TlvStream, tlv_type: int, name: str, decode: Callable[[bytes], _Value]) -> _Value:
    """A field's value.

    Raises:
        PayloadInvalid: it is absent.
    """
    value = stream.get(tlv_type)
    if value is None:
        raise PayloadInvalid(f"{name} is missing", tlv_type=tlv_type)
    return decode(value)
