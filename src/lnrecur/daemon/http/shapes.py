"""How things look in JSON. Amounts are integer msat, times RFC 3339 in UTC, bytes hexadecimal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lnrecur.bolt12.offer import Offer
from lnrecur.ports import BookedPayment, OfferRecord, RecurrenceManager, Role, StoredEvent
from lnrecur.recurrence.effects import Facts
from lnrecur.recurrence.event_objects import ObjectType
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.rates import Conversion
from lnrecur.recurrence.words import recurrence_in_words, rfc3339
from lnrecur.service import event_log

Shape = dict[str, Any]


def at(moment: int | None) -> str | None:
    """A moment, where there is one."""
    return None if moment is None else rfc3339(moment)


def offer_shape(record: OfferRecord) -> Shape:
    """An offer of ours."""
    offer = Offer.from_bytes(record.offer)
    begins = [path.first_node_id for path in offer.paths or ()]
    return {
        "offer_id": record.offer_id.hex(),
        "offer": offer.to_text(),
        "label": record.label,
        "description": offer.description,
        "amount_msat": None if offer.currency is not None else offer.amount,
        "currency": offer.currency,
        "amount_minor": None if offer.currency is None else offer.amount,
        "terms": recurrence_in_words(offer),
        "introductions": [node.hex() for node in begins if isinstance(node, bytes)],
        "status": record.status.value,
        "successor": record.successor,
        "windows": record.policy.windows.value,
        "policy": asdict(record.policy),
        "created_at": at(record.created_at),
    }


def inbound_shape(state: Inbound, offer: Offer | None) -> Shape:
    """A subscription that is paid to us."""
    return {
        "id": state.subscription_id.hex(),
        "role": Role.PAYEE.value,
        "phase": state.phase.value,
        "offer_id": state.offer_id.hex(),
        "description": None if offer is None else offer.description,
        "terms": None if offer is None else recurrence_in_words(offer),
        "payer_id": state.payer_id.hex(),
        "payer_note": state.payer_note,
        "quantity": state.quantity,
        "next_counter": state.next_counter,
        "payments": state.payments,
        "total_msat": state.received_msat,
        "surplus_msat": state.surplus_msat,
        "missed_periods": state.missed,
        "waived_periods": state.waived,
        "paused_at": at(state.paused_at),
        "next_at": at(state.wake_at),
        "start": state.start,
        "basetime": at(state.basetime),
        "created_at": at(state.created_at),
        "last_paid_at": at(state.last_paid_at),
        "ended_at": at(state.ended_at),
    }


def payment_shape(payment: BookedPayment) -> Shape:
    """One line of the books."""
    booking = payment.booking
    return {
        "subscription": payment.subject.hex(),
        "role": payment.role.value,
        "counter": booking.counter,
        "amount_msat": booking.amount_msat,
        "fee_msat": booking.fee_msat,
        "payment_hash": booking.payment_hash.hex(),
        "preimage": booking.preimage.hex(),
        "period_start": at(booking.period_start),
        "settled_at": at(booking.settled_at),
        "surplus": booking.surplus,
        "conversion": None if booking.conversion is None else conversion_shape(booking.conversion),
    }


def conversion_shape(conversion: Conversion) -> Shape:
    """A price in a currency (in its minor unit) and the rate it was converted at."""
    rate = conversion.rate
    return {
        "currency": rate.currency,
        "amount_minor": conversion.minor,
        "minor_per_btc": rate.minor_per_btc,
        "rate_at": at(rate.at),
        "rate_source": rate.source,
    }


def event_shape(event: StoredEvent) -> Shape:
    """One line of the event log; it is about a subscription (or a payment of one), an offer, or the money node."""
    about = event.object
    about_offer = about.type is ObjectType.OFFER
    about_subscription = about.type not in (ObjectType.OFFER, ObjectType.NODE)
    return {
        "id": event.id,
        "sequence": event.sequence,
        "at": at(event.at),
        "name": event.name,
        "role": None if event.role is None else event.role.value,
        "subscription": event.subject.hex() if about_subscription else None,
        "offer_id": event.subject.hex() if about_offer else None,
        "object": {"type": about.type.value, "id": about.id, "state": _facts_shape(about.state)},
        "data": _facts_shape(event.data),
    }


def _facts_shape(facts: Facts) -> Shape:
    """Times in it are RFC 3339 like everywhere; a changed value is of the kind that its field names."""
    field = str(facts.get("field"))
    kinds = {name: field if name in ("old", "new") else name for name in facts}
    return {
        name: at(fact) if kinds[name].endswith("_at") and isinstance(fact, int) else fact
        for name, fact in facts.items()
    }


def events_of(manager: RecurrenceManager, subject: bytes) -> list[Shape]:
    """All events of one subscription, payment or offer, in order."""
    return [event_shape(event) for event in event_log.events_of(manager, subject)]
