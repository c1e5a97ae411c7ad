"""How a payee takes payments: reserve at claimable, book at claimed, return what is not wanted."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.recurrence.effects import Book, Claim, Emit, Facts, FailBack
from lnrecur.recurrence.inbound_model import (
    CancelArrived,
    Inbound,
    OfferPolicy,
    PaymentClaimable,
    PaymentClaimed,
    PaymentReturned,
    Phase,
    Reservation,
    Step,
)
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.values import ZERO_MSAT, Msat, UnixSeconds


def claimable(state: Inbound, event: PaymentClaimable, now: UnixSeconds) -> Step:
    """A payment waits: reserve its period and claim it, or return it."""
    context = event.context
    counter = context.counter or 0
    if counter != state.next_counter:
        return _return(state, context, f"counter {counter} is not the next to be paid")
    if state.next_counter and context.basetime != state.basetime:
        return _return(state, context, "the invoice belongs to another start of period 0")
    reserving = Phase.RENEWING if state.phase is Phase.ACTIVE else Phase.STARTING
    reserved = replace(
        state,
        phase=reserving,
        recurring=context.counter is not None,
        reserved=Reservation(counter, context.payment_hash),
    )
    data: Facts = {"counter": counter, "amount_msat": context.amount_msat, "payment_hash": context.payment_hash.hex()}
    return Step(reserved, (Claim(context.payment_hash, context.preimage), Emit("payment.claimable", data)))


def reclaimable(state: Inbound, event: PaymentClaimable, now: UnixSeconds) -> Step:
    """A period is reserved: claim the payment that owns it (again, harmlessly), return every other."""
    context = event.context
    if state.reserved is not None and state.reserved.payment_hash == context.payment_hash:
        return Step(state, (Claim(context.payment_hash, context.preimage),))
    return _return(state, context, "another payment for this period came first")


def unwanted(state: Inbound, event: PaymentClaimable, now: UnixSeconds) -> Step:
    """The subscription is over: return the payment."""
    return _return(state, event.context, f"the subscription is {state.phase}")


def claimed(state: Inbound, event: PaymentClaimed, now: UnixSeconds) -> Step:
    """A payment is ours: book it and advance, or book it as a surplus."""
    context = event.context
    if context.payment_hash == state.last_payment:
        return Step(state)
    counter = context.counter or 0
    known = state.reserved is not None and state.reserved.payment_hash == context.payment_hash
    if counter != state.next_counter or (state.reserved is not None and not known):
        return surplus(state, event, now)
    paid = replace(
        state,
        recurring=context.counter is not None,
        start=context.start,
        basetime=context.basetime,
        next_counter=counter + 1,
        reserved=None,
        open_invoice=None,
        payments=state.payments + 1,
        received_msat=Msat(state.received_msat + event.amount_msat),
        quantity=context.quantity,
        payer_note=context.payer_note or state.payer_note,
        last_payment=context.payment_hash,
        created_at=state.created_at if state.created_at is not None else now,
        last_paid_at=now,
    )
    index = (context.start or 0) + counter
    data: Facts = {"counter": counter, "index": index, "amount_msat": event.amount_msat,
                   "payment_hash": context.payment_hash.hex()}  # fmt: skip
    name = "subscription.renewed" if counter else "subscription.created"
    if context.counter is None:
        name = "payment.received"
    effects = (_book(event, now, surplus=False), Emit(name, data))
    if _is_last(context, event.limit, event.policy):
        done = replace(paid, phase=Phase.COMPLETED, ended_at=now)
        return Step(done, (*effects, Emit("subscription.completed", {"payments": paid.payments})))
    return Step(replace(paid, phase=Phase.ACTIVE), effects)


def surplus(state: Inbound, event: PaymentClaimed, now: UnixSeconds) -> Step:
    """It settled although its period was paid, or nothing was wanted any more: it is owed back."""
    context = event.context
    if context.payment_hash == state.last_payment:
        return Step(state)
    data: Facts = {"counter": context.counter, "amount_msat": event.amount_msat,
                   "payment_hash": context.payment_hash.hex()}  # fmt: skip
    owed_msat = Msat(state.surplus_msat + event.amount_msat)
    owed = replace(state, surplus_msat=owed_msat, last_payment=context.payment_hash)
    return Step(owed, (_book(event, now, surplus=True), Emit("payment.surplus", data)))


def returned(state: Inbound, event: PaymentReturned, now: UnixSeconds) -> Step:
    """A payment went back, or an invoice died: what it held is free again."""
    hash_ = event.payment_hash
    open_invoice = state.open_invoice
    if open_invoice is not None and open_invoice.payment_hash == hash_:
        state = replace(state, open_invoice=None)
    if state.reserved is None or state.reserved.payment_hash != hash_:
        return Step(state)
    before = Phase.ACTIVE if state.phase is Phase.RENEWING else Phase.STRANGER
    data: Facts = {"counter": state.reserved.counter, "payment_hash": hash_.hex()}
    return Step(replace(state, phase=before, reserved=None), (Emit("payment.returned", data),))


def too_late(state: Inbound, event: CancelArrived, now: UnixSeconds) -> Step:
    """The payment for the cancelled period is here already: the period is paid, and the next cancel will count."""
    return Step(state)


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
        period_start=event.period_start,
        surplus=surplus,
    )


def _is_last(context: ReceiveContext, limit: int | None, policy: OfferPolicy) -> bool:
    """Whether no payment may follow this one (Q8, O11)."""
    if context.counter is None:
        return True
    index = (context.start or 0) + context.counter
    if limit is not None and index >= limit:
        return True
    return policy.payments_max is not None and context.counter + 1 >= policy.payments_max
