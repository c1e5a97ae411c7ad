"""How a payee takes payments: reserve at claimable, book at claimed, return what is not wanted.

What fits is the payment of the next counter, over at least the invoice's amount and at most twice that (BOLT 4 allows a
payer to overpay so far, to hide what it pays), that arrived before its period was over or under a policy that takes it
later. Everything else is failed back while it is claimable. A payment that settled before anybody could ask, because
the money node cannot hold, and does not fit, is booked as a surplus: it is owed back and advances nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lnrecur.recurrence.effects import Book, Claim, Effect, Emit, Facts, FailBack
from lnrecur.recurrence.inbound_model import (
    CancelArrived,
    Inbound,
    PaymentClaimable,
    PaymentClaimed,
    PaymentReturned,
    Phase,
    Reservation,
    Step,
)
from lnrecur.recurrence.inbound_periods import completed
from lnrecur.recurrence.inbound_times import closes_at, planned
from lnrecur.recurrence.offering import Late, Offering, Windows
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.recurrence.windows import start_of
from lnrecur.values import ZERO_MSAT, Msat, UnixSeconds

OVERPAID_MAX: Final = 2
"""BOLT 4: more than so many times the amount should be failed back."""
_RESERVING: Final = {Phase.STRANGER: Phase.STARTING, Phase.ACTIVE: Phase.RENEWING, Phase.LAPSED: Phase.RENEWING}
"""Where a reservation leads; subscriptions that were cancelled or ended stay so."""
_RELEASED: Final = {Phase.STARTING: Phase.STRANGER, Phase.RENEWING: Phase.ACTIVE}


def claimable(state: Inbound, event: PaymentClaimable, now: UnixSeconds) -> Step:
    """A payment waits: reserve its period and claim it, or return it."""
    context = event.context
    if state.reserved is not None:
        return reclaimable(state, event, now)
    unfit = _unfit(state, event)
    if unfit is not None:
        return _return(state, context, unfit)
    counter = context.counter or 0
    reserved = replace(
        state,
        phase=_RESERVING.get(state.phase, state.phase),
        recurring=context.counter is not None,
        reserved=Reservation(counter, context.payment_hash),
        wake_at=None,
    )
    emitted = Emit("payment.claimable", _told(context, event.amount_msat))
    return Step(reserved, (Claim(context.payment_hash, context.preimage), emitted))


def reclaimable(state: Inbound, event: PaymentClaimable, now: UnixSeconds) -> Step:
    """A period is reserved: claim the payment that owns it (again, harmlessly), return every other."""
    context = event.context
    if _owns(state, context):
        return Step(state, (Claim(context.payment_hash, context.preimage),))
    return _return(state, context, "another payment for this period came first")


def unwanted(state: Inbound, event: PaymentClaimable, now: UnixSeconds) -> Step:
    """Every payment was made: return this one."""
    return _return(state, event.context, f"the subscription is {state.phase}")


def claimed(state: Inbound, event: PaymentClaimed, now: UnixSeconds) -> Step:
    """A payment is ours: book it and advance, or book it as a surplus."""
    context = event.context
    if context.payment_hash == state.last_payment:
        return Step(state)
    if not _owns(state, context) and (state.reserved is not None or _unfit(state, event) is not None):
        return surplus(state, event, now)
    paid = _paid(state, event, now)
    effects = (_book(event, now, surplus=False), _settled(state, event), *_overpaid(event))
    if paid.is_final:  # taken late: it stays cancelled or ended
        return Step(paid, effects)
    if context.counter is None:
        done = replace(paid, phase=Phase.COMPLETED, ended_at=now)
        return Step(done, (*effects, Emit("subscription.completed", {"payments": paid.payments})))
    done, told = completed(paid, event.offering, now)
    return Step(planned(done, event.offering, now), (*effects, *told))


def surplus(state: Inbound, event: PaymentClaimed, now: UnixSeconds) -> Step:
    """It settled although its period was paid, or nothing was wanted any more: it is owed back."""
    context = event.context
    if context.payment_hash == state.last_payment:
        return Step(state)
    owed_msat = Msat(state.surplus_msat + event.amount_msat)
    owed = replace(state, surplus_msat=owed_msat, last_payment=context.payment_hash)
    return Step(owed, (_book(event, now, surplus=True), Emit("payment.surplus", _told(context, event.amount_msat))))


def returned(state: Inbound, event: PaymentReturned, now: UnixSeconds) -> Step:
    """A payment went back, or an invoice died: what it held is free again."""
    hash_ = event.payment_hash
    if state.open_invoice is not None and state.open_invoice.payment_hash == hash_:
        state = replace(state, open_invoice=None)
    if state.reserved is None or state.reserved.payment_hash != hash_:
        return Step(state)
    data: Facts = {"counter": state.reserved.counter, "payment_hash": hash_.hex()}
    released = replace(state, phase=_RELEASED.get(state.phase, state.phase), reserved=None)
    return Step(planned(released, event.offering, now), (Emit("payment.returned", data),))


def too_late(state: Inbound, event: CancelArrived, now: UnixSeconds) -> Step:
    """The payment for the cancelled period is here already: the period is paid, and the next cancel will count."""
    return Step(state)


# --- what fits -------------------------------------------------------------------------------------------------------


def _owns(state: Inbound, context: ReceiveContext) -> bool:
    return state.reserved is not None and state.reserved.payment_hash == context.payment_hash


def _unfit(state: Inbound, event: PaymentClaimable | PaymentClaimed) -> str | None:
    """Why this is not the payment that is wanted next; None: it is."""
    context = event.context
    counter = context.counter or 0
    if counter != state.next_counter:
        return f"counter {counter} is not the next to be paid"
    if state.next_counter and context.basetime != state.basetime:
        return "the invoice belongs to another start of period 0"
    if event.amount_msat < context.amount_msat:
        return f"{event.amount_msat} msat are less than the {context.amount_msat} msat of the invoice"
    if event.amount_msat > OVERPAID_MAX * context.amount_msat and isinstance(event, PaymentClaimable):
        return f"{event.amount_msat} msat are more than twice the {context.amount_msat} msat of the invoice"
    return _too_late(state, event)


def _too_late(state: Inbound, event: PaymentClaimable | PaymentClaimed) -> str | None:
    """A late payment is taken or not as the policy says; one that arrived in time before we noticed always is."""
    policy = event.offering.policy
    if state.phase is Phase.CANCELLED:
        return None if policy.after_cancel is Late.TAKE else f"the subscription is {state.phase}"
    if state.phase is Phase.ENDED or event.offering.is_over:
        return None if policy.after_end is Late.TAKE else "the subscription is ended"
    if policy.after_window is Late.TAKE or policy.windows is Windows.LENIENT or not state.next_counter:
        return None
    closed_at = closes_at(state, event.offering, event.context.start, state.next_counter)
    return None if closed_at is None or event.arrived_at < closed_at else f"its pay window closed at {closed_at}"


# --- what is written -------------------------------------------------------------------------------------------------


def _paid(state: Inbound, event: PaymentClaimed, now: UnixSeconds) -> Inbound:
    context = event.context
    counter = context.counter or 0
    ended = state.phase in (Phase.CANCELLED, Phase.ENDED)
    return replace(
        state,
        phase=state.phase if ended else Phase.ACTIVE,
        recurring=context.counter is not None,
        start=context.start,
        basetime=context.basetime,
        next_counter=counter + 1,
        waived_last=0,
        reserved=None,
        open_invoice=None,
        payments=state.payments + 1,
        received_msat=Msat(state.received_msat + event.amount_msat),
        surplus_msat=Msat(state.surplus_msat + _owed_msat(event)),
        quantity=context.quantity,
        payer_note=context.payer_note or state.payer_note,
        last_payment=context.payment_hash,
        created_at=state.created_at if state.created_at is not None else now,
        last_paid_at=now,
        ended_at=state.ended_at if ended else None,
    )


def _owed_msat(event: PaymentClaimed) -> int:
    """What is owed back of a payment: nothing up to twice the amount, else all beyond the amount."""
    asked_msat = event.context.amount_msat
    return event.amount_msat - asked_msat if event.amount_msat > OVERPAID_MAX * asked_msat else 0


def _overpaid(event: PaymentClaimed) -> tuple[Effect, ...]:
    over_msat = event.amount_msat - event.context.amount_msat
    if over_msat <= 0:
        return ()
    data: Facts = {"counter": event.context.counter, "over_msat": over_msat, "owed_msat": _owed_msat(event)}
    return (Emit("payment.overpaid", data),)


def _settled(state: Inbound, event: PaymentClaimed) -> Emit:
    """What the payment means to people."""
    context = event.context
    data: Facts = {**_told(context, event.amount_msat), **_told_conversion(context)}
    if context.counter is None:
        return Emit("payment.received", data)
    data = {**data, "index": (context.start or 0) + context.counter}
    if state.phase in (Phase.CANCELLED, Phase.ENDED):
        return Emit("payment.late", {**data, "why": f"the subscription is {state.phase}"})
    if context.counter < state.told_to:
        data = {**data, "late": True}
    return Emit("subscription.renewed" if context.counter else "subscription.created", data)


def _told(context: ReceiveContext, amount_msat: Msat) -> Facts:
    return {"counter": context.counter, "amount_msat": amount_msat, "payment_hash": context.payment_hash.hex()}


def _told_conversion(context: ReceiveContext) -> Facts:
    if context.conversion is None:
        return {}
    conversion, rate = context.conversion, context.conversion.rate
    return {"currency": rate.currency, "amount_minor": conversion.minor, "minor_per_btc": rate.minor_per_btc,
            "rate_source": rate.source}  # fmt: skip


def _return(state: Inbound, context: ReceiveContext, why: str) -> Step:
    if context.payment_hash == state.last_payment:  # an old receipt: the payment is ours already
        return Step(state)
    data: Facts = {"counter": context.counter, "why": why, "payment_hash": context.payment_hash.hex()}
    return Step(state, (FailBack(context.payment_hash, why), Emit("payment.failed_back", data)))


def _book(event: PaymentClaimed, now: UnixSeconds, *, surplus: bool) -> Book:
    context = event.context
    return Book(
        counter=context.counter or 0,
        payment_hash=context.payment_hash,
        preimage=context.preimage,
        amount_msat=event.amount_msat,
        fee_msat=ZERO_MSAT,
        settled_at=now,
        period_start=_period_start(context, event.offering),
        surplus=surplus,
        conversion=context.conversion,
    )


def _period_start(context: ReceiveContext, offering: Offering) -> UnixSeconds | None:
    if offering.recurrence is None or context.basetime is None or context.counter is None:
        return None
    return start_of(offering.recurrence, context.basetime, (context.start or 0) + context.counter)
