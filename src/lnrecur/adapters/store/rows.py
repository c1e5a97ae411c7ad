"""Rows of the tables and the port's records, each as the other."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from lnrecur.adapters.store.encoding import (
    decode,
    decode_effect,
    decode_event,
    encode,
    encode_effect,
    encode_event,
    encode_outbound,
)
from lnrecur.adapters.store.schema import clamp
from lnrecur.ports import BookedPayment, OfferRecord, OutboxEntry, Role, StoredEvent
from lnrecur.recurrence.effects import Book, Emit, StoredEffect
from lnrecur.recurrence.event_objects import EventObject, unknown_object
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.recurrence.rates import Conversion, ExchangeRate
from lnrecur.values import Msat, OfferId, PaymentHash, Preimage, UnixSeconds

Columns = dict[str, Any]


def offer_columns(record: OfferRecord) -> Columns:
    """An offer to be inserted."""
    return {
        "offer_id": record.offer_id,
        "offer": record.offer,
        "policy": encode(record.policy),
        "created_at": clamp(record.created_at),
        "label": record.label,
        **standing_columns(record),
    }


def standing_columns(record: OfferRecord) -> Columns:
    """How an offer stands: what of it may change."""
    return {"status": record.status.value, "successor": record.successor}


def offer_record(row: Row[Any]) -> OfferRecord:
    """An offer that was read."""
    return OfferRecord(
        offer_id=OfferId(row.offer_id),
        offer=row.offer,
        policy=decode(OfferPolicy, row.policy),
        created_at=UnixSeconds(row.created_at),
        label=row.label,
        status=OfferStatus(row.status),
        successor=row.successor,
    )


def inbound_columns(state: Inbound) -> Columns:
    """A subscription that we are paid, without its subject."""
    return {
        "offer_id": state.offer_id,
        "payer_id": state.payer_id,
        "phase": state.phase.value,
        "next_counter": clamp(state.next_counter),
        "received_msat": clamp(state.received_msat),
        "wake_at": None if state.wake_at is None else clamp(state.wake_at),
        "detail": encode(state),
    }


def outbound_columns(state: Outbound) -> Columns:
    """A subscription that we pay, without its id."""
    return {
        "phase": state.phase.value,
        "next_counter": clamp(state.next_counter),
        "paid_msat": clamp(state.paid_msat),
        "wake_at": None if state.wake_at is None else clamp(state.wake_at),
        "offer": state.offer_bytes,
        "detail": encode_outbound(state),
    }


def outbox_columns(role: Role, subject: bytes, effect: StoredEffect, at: UnixSeconds) -> Columns:
    """An effect to be inserted, due at once."""
    kind, payload = encode_effect(effect)
    return {
        "role": role.value,
        "subject": subject,
        "kind": kind,
        "payload": payload,
        "due_at": clamp(at),
        "tries": 0,
    }


def outbox_entry(row: Row[Any]) -> OutboxEntry:
    """An effect that was read."""
    return OutboxEntry(
        id=row.id,
        role=Role(row.role),
        subject=row.subject,
        effect=decode_effect(row.kind, row.payload),
        due_at=UnixSeconds(row.due_at),
        tries=row.tries,
    )


def event_columns(
    role: Role | None, subject: bytes, event: Emit, at: UnixSeconds, sequence: int, about: EventObject
) -> Columns:
    """An event to be inserted."""
    return {
        "subject": subject,
        "sequence": sequence,
        "at": clamp(at),
        "name": event.name,
        "role": None if role is None else role.value,
        "data": encode_event(event.data, about),
    }


def stored_event(row: Row[Any]) -> StoredEvent:
    """An event that was read."""
    data, about = decode_event(row.data)
    return StoredEvent(
        id=row.id,
        sequence=row.sequence,
        at=UnixSeconds(row.at),
        name=row.name,
        role=None if row.role is None else Role(row.role),
        subject=row.subject,
        data=data,
        object=unknown_object(row.name, row.subject) if about is None else about,
    )


def payment_columns(role: Role, subject: bytes, booking: Book) -> Columns:
    """A booking to be inserted."""
    return {
        "role": role.value,
        "subject": subject,
        "counter": clamp(booking.counter),
        "payment_hash": booking.payment_hash,
        "preimage": booking.preimage,
        "amount_msat": clamp(booking.amount_msat),
        "fee_msat": clamp(booking.fee_msat),
        "settled_at": clamp(booking.settled_at),
        "period_start": None if booking.period_start is None else clamp(booking.period_start),
        "surplus": booking.surplus,
        **_conversion_columns(booking.conversion),
    }


def _conversion_columns(conversion: Conversion | None) -> Columns:
    if conversion is None:
        return dict.fromkeys(("currency", "amount_minor", "minor_per_btc", "rate_at", "rate_source"))
    rate = conversion.rate
    return {
        "currency": rate.currency,
        "amount_minor": clamp(conversion.minor),
        "minor_per_btc": clamp(rate.minor_per_btc),
        "rate_at": clamp(rate.at),
        "rate_source": rate.source,
    }


def booked_payment(row: Row[Any]) -> BookedPayment:
    """A booking that was read."""
    booking = Book(
        counter=row.counter,
        payment_hash=PaymentHash(row.payment_hash),
        preimage=Preimage(row.preimage),
        amount_msat=Msat(row.amount_msat),
        fee_msat=Msat(row.fee_msat),
        settled_at=UnixSeconds(row.settled_at),
        period_start=None if row.period_start is None else UnixSeconds(row.period_start),
        surplus=row.surplus,
        conversion=_conversion(row),
    )
    return BookedPayment(Role(row.role), row.subject, booking)


def _conversion(row: Row[Any]) -> Conversion | None:
    if row.currency is None:
        return None
    rate = ExchangeRate(row.currency, row.minor_per_btc, UnixSeconds(row.rate_at), row.rate_source)
    return Conversion(row.amount_minor, rate)
