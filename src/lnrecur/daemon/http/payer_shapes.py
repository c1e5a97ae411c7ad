"""How our own subscriptions and payments look in JSON; the habits of `shapes.py` hold here too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lnrecur.bolt12.offer import Offer
from lnrecur.daemon.http.shapes import Shape, at
from lnrecur.ports import BookedPayment, Role
from lnrecur.recurrence.habits import consequences
from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.outbound_model import Outbound, Phase
from lnrecur.recurrence.outbound_questions import question_of
from lnrecur.recurrence.outbound_times import gives_up_at, next_window
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.recurrence.words import recurrence_in_words
from lnrecur.service.authorising import mandate_left
from lnrecur.values import Point

_ONE_OFF_STATES: Final = {
    Phase.AWAITING_FIRST_INVOICE: "requesting",
    Phase.PAYING: "paying",
    Phase.COMPLETED: "paid",
    Phase.CANCELLED: "cancelled",
    Phase.LAPSED: "failed",
}


def outbound_shape(state: Outbound, payer_id: Point) -> Shape:
    """A subscription that we pay, under this payer_id."""
    offer, terms = state.offer, state.terms
    waiting = state.phase is Phase.NEEDS_APPROVAL
    question, new_offer, worth = question_of(state), _new_offer(state), state.spent.worth
    return {
        "id": state.recurrence_id.hex(),
        "role": Role.PAYER.value,
        "phase": state.phase.value,
        "offer_id": offer.offer_id.hex(),
        "payer_id": payer_id.hex(),
        "description": offer.description,
        "terms": recurrence_in_words(offer),
        "offer": offer.to_text(),
        "quantity": terms.quantity,
        "next_counter": state.next_counter,
        "next_at": at(state.wake_at),
        "next_window": _window(state),
        "next_try": next_try(state),
        "payments": state.payments,
        "paid_elsewhere": state.adopted,
        "waived": state.waived,
        "missed_periods": max(0, state.missed_through - state.next_counter),
        "total_msat": state.paid_msat,
        "total_worth": None if worth is None else {"currency": worth.currency, "amount_minor": worth.minor},
        "fees_msat": state.fees_msat,
        "waits_for": state.waits_for.value if waiting and state.waits_for is not None else None,
        "awaiting_msat": state.awaiting_msat if waiting else None,
        "new_offer": None if new_offer is None else new_offer.to_text(),
        "new_terms": None if new_offer is None else recurrence_in_words(new_offer),
        "new_mandate": None if new_offer is None or not waiting else mandate_shape(mandate_left(state, new_offer)),
        "question": None if question is None else question.hex(),
        "problem": state.problem,
        "invoice_expires_at": at(state.invoice_until),
        "mind": list(consequences(offer)),
        "pause_asked": state.pause_asked,
        "cancel_asked": state.cancel_asked,
        "trigger": terms.trigger.value,
        "missed": terms.missed.value,
        "pay_at": terms.pay_at.value,
        "margin_s": terms.margin_s,
        "jitter_s": terms.jitter_s,
        "ask_if_price_differs": terms.ask_if_price_differs,
        "give_up_after_s": terms.give_up_after_s,
        "request_retry": retry_shape(terms.request_retry),
        "payment_retry": retry_shape(terms.payment_retry),
        "via": list(terms.via),
        "start": terms.start,
        "basetime": at(state.basetime),
        "mandate": mandate_shape(state.mandate),
        "created_at": at(state.created_at),
    }


def mandate_shown(state: Outbound) -> Mandate:
    """The mandate that a plain yes leads to: where a new offer waits, that of the subscription to it."""
    new_offer = _new_offer(state)
    return state.mandate if new_offer is None else mandate_left(state, new_offer)


def _new_offer(state: Outbound) -> Offer | None:
    return None if state.new_offer is None else Offer.from_bytes(state.new_offer)


def _window(state: Outbound) -> Shape | None:
    """When the next period can be paid; None where nothing bounds it."""
    window = None if state.is_final else next_window(state)
    return None if window is None else {"opens": at(window.opens), "closes": at(window.closes)}


def next_try(state: Outbound) -> Shape | None:
    """What is tried again, when, the how manieth try that will be, and when it is given up (null: by no clock)."""
    when = {"at": at(state.wake_at), "gives_up_at": at(gives_up_at(state))}
    if state.payment is not None and state.payment.next_try is not None:
        return {"what": "payment", "try": state.payment.tries + state.attempt, **when}
    if state.request is not None:
        return {"what": "request", "try": state.request.tries + 1, **when}
    return None


def retry_shape(policy: RetryPolicy) -> Shape:
    """How often and how long something is tried."""
    return {
        "first_delay_s": policy.first_delay_s,
        "factor": policy.factor,
        "cap_s": policy.cap_s,
        "jitter_percent": policy.jitter_percent,
        "tries_max": policy.tries_max,
        "tries_max_unbounded": policy.tries_max_unbounded,
    }


def mandate_shape(mandate: Mandate) -> Shape:
    """What a subscriber authorised."""
    fiat = mandate.fiat
    return {
        "max_per_period_msat": mandate.max_per_period_msat,
        "fiat": None if fiat is None else fiat_shape(fiat),
        "max_total_msat": mandate.max_total_msat,
        "max_payments": mandate.max_payments,
        "ends_at": at(mandate.ends_at),
        "fee_base_msat": mandate.fee_base_msat,
        "fee_ppm": mandate.fee_ppm,
        "fee_max_msat": mandate.fee_max_msat,
        "catch_up_max": mandate.catch_up_max,
        "purpose": mandate.purpose,
    }


def fiat_shape(fiat: FiatLimit) -> Shape:
    """A limit in a currency."""
    return {
        "currency": fiat.currency,
        "max_per_period_minor": fiat.minor,
        "slippage_ppm": fiat.slippage_ppm,
        "max_total_minor": fiat.total_minor,
    }


def one_off_shape(state: Outbound, booked: Sequence[BookedPayment]) -> Shape:
    """A single payment that we ordered, with its receipt once it is made."""
    offer = state.offer
    paid = booked[0].booking if booked else None
    pending = state.payment
    return {
        "id": state.recurrence_id.hex(),
        "state": _ONE_OFF_STATES.get(state.phase, state.phase.value),
        "offer_id": offer.offer_id.hex(),
        "description": offer.description,
        "quantity": state.terms.quantity,
        "payer_note": state.terms.payer_note,
        "max_amount_msat": state.mandate.max_per_period_msat,
        "fiat": mandate_shape(state.mandate)["fiat"],
        "amount_msat": paid.amount_msat if paid is not None else None if pending is None else pending.amount_msat,
        "fee_msat": None if paid is None else paid.fee_msat,
        "payment_hash": paid.payment_hash.hex() if paid else None if pending is None else pending.payment_hash.hex(),
        "preimage": None if paid is None else paid.preimage.hex(),
        "problem": state.problem,
        "next_try": next_try(state),
        "created_at": at(state.created_at),
        "settled_at": None if paid is None else at(paid.settled_at),
    }
