"""What an event is about, and how that stands after the step: whoever reads the log needs no second question.

The state here is a copy for readers of the log (webhooks, books elsewhere), small and in plain facts. It is written in
the transaction of the step, so it is that state and no later one. Nothing of it is ever read back into a decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from lnrecur.crypto.hashes import sha256
from lnrecur.recurrence.effects import Emit, Fact, Facts
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.offering import OfferStatus
from lnrecur.recurrence.outbound_model import Outbound

_PAYMENT: Final = "payment."
NODE_SUBJECT: Final = sha256(b"lnrecur: the money node")
"""What the events of the money node are logged under, whichever node it is."""


class ObjectType(StrEnum):
    """The kinds of things that events are about."""

    SUBSCRIPTION = "subscription"
    OFFER = "offer"
    PAYMENT = "payment"
    NODE = "node"
    """The money node."""


@dataclass(frozen=True, slots=True)
class EventObject:
    """What an event is about. `id` is hexadecimal: a subscription's id, an offer_id, a payment_hash or a node id.

    `state` is that of the subscription or of the offer after the step; times in it are unix seconds and end in `_at`.
    """

    type: ObjectType
    id: str
    state: Facts = field(default_factory=dict)


Objects = Callable[[Emit], EventObject]
"""What each event of a step is about."""


def subscription_objects(subject: bytes, state: Inbound | Outbound) -> Objects:
    """What the events of one step are about, given the state it led to."""
    facts = _outbound_facts(state) if isinstance(state, Outbound) else _inbound_facts(state)

    def about(event: Emit) -> EventObject:
        payment_hash = event.data.get("payment_hash")
        if isinstance(state, Outbound) and state.one_off:  # it is known by this id before there is any payment_hash
            return EventObject(ObjectType.PAYMENT, subject.hex(), facts)
        if event.name.startswith(_PAYMENT) and isinstance(payment_hash, str):
            return EventObject(ObjectType.PAYMENT, payment_hash, facts)
        return EventObject(ObjectType.SUBSCRIPTION, subject.hex(), facts)

    return about


def offer_objects(offer_id: bytes, status: OfferStatus, label: str, successor: str | None) -> Objects:
    """What the events of an offer are about, given how it stands now."""
    facts: dict[str, Fact] = {"status": status.value, "label": label, "successor": successor}
    return lambda event: EventObject(ObjectType.OFFER, offer_id.hex(), facts)


def unknown_object(name: str, subject: bytes) -> EventObject:
    """What an event is about whose object was not stored: as much as its name tells."""
    kind = ObjectType.OFFER if name.startswith(f"{ObjectType.OFFER}.") else ObjectType.SUBSCRIPTION
    return EventObject(kind, subject.hex())


def _outbound_facts(state: Outbound) -> Facts:
    return {
        "offer_id": sha256(state.offer_bytes).hex(),
        "phase": state.phase.value,
        "next_counter": state.next_counter,
        "next_at": state.wake_at,
        "payments": state.payments,
        "total_msat": state.paid_msat,
        "fees_msat": state.fees_msat,
        "adopted": state.adopted,
        "waived": state.waived,
        "waits_for": None if state.waits_for is None else state.waits_for.value,
        "awaiting_msat": state.awaiting_msat,
        "problem": state.problem,
    }


def _inbound_facts(state: Inbound) -> Facts:
    return {
        "offer_id": state.offer_id.hex(),
        "payer_id": state.payer_id.hex(),
        "phase": state.phase.value,
        "next_counter": state.next_counter,
        "next_at": state.wake_at,
        "payments": state.payments,
        "total_msat": state.received_msat,
        "surplus_msat": state.surplus_msat,
        "missed": state.missed,
        "waived": state.waived,
        "paused_at": state.paused_at,
        "ended_at": state.ended_at,
    }
