"""States, effects and events as the JSON text that stands in the database.

A value is stored as `{"v": VERSION, "body": ...}`, the body being msgspec's JSON of the frozen dataclass: bytes in
base64, whole numbers exact whatever their size. What is read back is equal to what was stored, or reading fails; a
database never makes up a state. A field added with a default needs no new version: what was stored before it existed
reads with the default (the schema version keeps older programs away from newer databases). Fields that hold an empty
value (None, False, 0, "", ()) which is their default are left out, and of a subscriber's `Terms` all that are as
usual: they would be half of a state at rest. So such a default may never change, and any other change of a stored
dataclass needs the next version and a reader of this one. A mandate is written out: what may be paid follows from no
default.

Effects are named by their kind, which is the database's word and stays when a class is renamed.

Secrets: a `Claim` in the outbox holds the preimage of a payment that has arrived and is not taken yet; a node on its
way that learns it first could keep the money. The books hold the preimages of what is settled, and whoever shows one
seems to have paid. So the file is readable by its owner only. Keys and seeds never come here.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from lnrecur.adapters.store.errors import UnknownEncoding, UnreadableRow
from lnrecur.recurrence.effects import (
    AskPaymentStatus,
    Claim,
    Facts,
    FailBack,
    Pay,
    SendCancel,
    SendInvoiceRequest,
    StoredEffect,
)
from lnrecur.recurrence.errors import RecurrenceError
from lnrecur.recurrence.event_objects import EventObject
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.recurrence.outbound_terms import Terms

ENCODING_VERSION: Final = 1

EFFECT_KINDS: Final[dict[str, type[StoredEffect]]] = {
    "send_invoice_request": SendInvoiceRequest,
    "send_cancel": SendCancel,
    "pay": Pay,
    "ask_payment_status": AskPaymentStatus,
    "claim": Claim,
    "fail_back": FailBack,
}
_KIND_OF: Final = {effect: kind for kind, effect in EFFECT_KINDS.items()}

OUTBOUND_COLUMNS: Final = ("recurrence_id", "offer_bytes")
"""The fields of a payer's state that stand in columns of their own: half of it, and more as text."""

_T = TypeVar("_T")


class _Envelope(msgspec.Struct):
    v: int
    body: msgspec.Raw


class _WithObject(msgspec.Struct):
    object: EventObject | None = None


_FACTS: Final = dict[str, str | int | bool | None]
_OBJECTS: Final = msgspec.json.Decoder(_WithObject)
_ENVELOPES: Final = msgspec.json.Decoder(_Envelope)
_ENCODER: Final = msgspec.json.Encoder()


def encode(value: Inbound | Outbound | OfferPolicy) -> str:
    """A state or policy as text."""
    return _wrap(_slim(value))


def decode(expected: type[_T], text: str) -> _T:
    """A state or policy from text.

    Raises:
        UnknownEncoding: it was written in another version of this encoding.
        UnreadableRow: it is nothing that `encode` writes.
    """
    return _unwrap(expected, text)


def encode_outbound(state: Outbound) -> str:
    """A payer's state as text, without what has columns of its own: its id and the offer's bytes."""
    slim = _slim(state)
    assert isinstance(slim, dict)
    return _wrap({name: part for name, part in slim.items() if name not in OUTBOUND_COLUMNS})


def decode_outbound(text: str, recurrence_id: bytes, offer: bytes) -> Outbound:
    """A payer's state from its text and its columns.

    Raises:
        UnknownEncoding: it was written in another version of this encoding.
        UnreadableRow: it is nothing that `encode_outbound` writes.
    """
    apart = _ENCODER.encode(dict(zip(OUTBOUND_COLUMNS, (recurrence_id, offer), strict=True)))
    body = bytes(_body(text)).strip()
    return _read(Outbound, apart[:-1] + b"," + body[1:] if len(body) > len(b"{}") else apart)


def encode_effect(effect: StoredEffect) -> tuple[str, str]:
    """An effect as its kind and the text of what it holds."""
    return _KIND_OF[type(effect)], _wrap(effect)


def decode_effect(kind: str, payload: str) -> StoredEffect:
    """An effect from its kind and text.

    Raises:
        UnknownEncoding: it was written in another version of this encoding.
        UnreadableRow: it is nothing that `encode_effect` writes.
    """
    if kind not in EFFECT_KINDS:
        raise UnreadableRow(f"a stored effect is of the unknown kind {kind!r}")
    return _unwrap(EFFECT_KINDS[kind], payload)


def encode_event(data: Facts, about: EventObject) -> str:
    """An event's data and what it is about, as text."""
    return _ENCODER.encode({"v": ENCODING_VERSION, "body": dict(data), "object": about}).decode()


def decode_event(text: str) -> tuple[Facts, EventObject | None]:
    """An event's data and what it is about (None: it was written by version 1), from text.

    Raises:
        UnknownEncoding: it was written in another version of this encoding.
        UnreadableRow: it is nothing that `encode_event` writes.
    """
    return _unwrap(_FACTS, text), _unwrap_object(text)


def _slim(value: object) -> object:
    """A dataclass without the fields that are as they would be anyway: they are most of a state's text."""
    if not is_dataclass(value):
        return value
    kind: Any = type(value)
    kept = {}
    for name, usual in _plan(kind):
        part = getattr(value, name)
        if not (part == usual and type(part) is type(usual)):
            kept[name] = _slim(part)
    return kept


@cache
def _plan(kind: Any) -> tuple[tuple[str, object], ...]:
    """The fields of a dataclass, each with its default if that is left out of the text."""
    return tuple((field.name, field.default if is_left_out(kind, field.default) else MISSING) for field in fields(kind))


def is_left_out(kind: type, default: object) -> bool:
    """Whether a default is left out of the text. It must then stay the default for ever; a test holds it."""
    if default is MISSING or kind is Terms:
        return default is not MISSING
    return default is None or (isinstance(default, (bool, int, str, tuple)) and not default)


def _wrap(body: object) -> str:
    return _ENCODER.encode({"v": ENCODING_VERSION, "body": body}).decode()


def _unwrap(expected: type[_T], text: str) -> _T:
    return _read(expected, _body(text))


def _body(text: str) -> bytes | msgspec.Raw:
    try:
        envelope = _ENVELOPES.decode(text)
    except msgspec.DecodeError as error:
        raise UnreadableRow(f"a stored value cannot be read: {error}") from error
    if envelope.v != ENCODING_VERSION:
        raise UnknownEncoding(envelope.v, ENCODING_VERSION)
    return envelope.body


def _read(expected: type[_T], body: bytes | msgspec.Raw) -> _T:
    try:
        return msgspec.json.decode(body, type=expected)
    except (msgspec.DecodeError, RecurrenceError) as error:  # the second: a value that refuses to exist
        raise UnreadableRow(f"a stored value cannot be read: {error}") from error


def _unwrap_object(text: str) -> EventObject | None:
    try:
        return _OBJECTS.decode(text).object
    except msgspec.DecodeError as error:
        raise UnreadableRow(f"what a stored event is about cannot be read: {error}") from error
