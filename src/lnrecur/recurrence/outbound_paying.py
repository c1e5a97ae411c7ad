"""How an outbound subscription pays: one invoice at a time, and nothing around a payment that may be in flight."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lnrecur.recurrence import outbound_requests as requests
from lnrecur.recurrence.effects import AskPaymentStatus, Book, Emit, Facts, Pay
from lnrecur.recurrence.errors import CalendarError, ImpossibleTransition
from lnrecur.recurrence.invoice_checks import InvoiceRefused, check_invoice
from lnrecur.recurrence.outbound_asking import mandate_excess
from lnrecur.recurrence.outbound_endings import cancelled_after, lapse, over_mandate
from lnrecur.recurrence.outbound_model import (
    Due,
    InvoiceArrived,
    NextTry,
    Outbound,
    PaymentFailed,
    PaymentSettled,
    PaymentUnknown,
    PendingPayment,
    Phase,
    Step,
)
from lnrecur.recurrence.outbound_times import pay_at
from lnrecur.recurrence.windows import start_of
from lnrecur.values import Msat, UnixSeconds

STATUS_DELAY_S: Final = 2
"""Seconds between two questions about a payment in flight, at first; they grow to the cap of the payment's retries."""


def invoice_arrived(state: Outbound, event: InvoiceArrived, now: UnixSeconds) -> Step:
    """Check everything that can be checked, then pay or ask a person."""
    if state.request is None:  # it answers a request that was given up
        return Step(state)
    try:
        invoice, basetime = check_invoice(state, event.invoice, now)
    except InvoiceRefused as refused:
        told = str(refused)
        return Step(replace(state, problem=told), (Emit("subscription.invoice_refused", {"why": told}),))
    amount = invoice.invoice_amount
    excess = mandate_excess(state, amount, now)
    if excess is not None:
        return over_mandate(state, amount, excess)
    payment = PendingPayment(
        counter=state.next_counter,
        payment_hash=invoice.payment_hash,
        invoice=event.invoice,
        amount_msat=amount,
        max_fee_msat=state.mandate.max_fee_msat(amount),
        basetime=basetime,
        expires_at=invoice.expires_at,
    )
    paying = replace(state, phase=Phase.PAYING, request=None, payment=payment, problem=None,
                     wake_at=UnixSeconds(now + STATUS_DELAY_S))  # fmt: skip
    data: Facts = {"counter": payment.counter, "amount_msat": amount, "payment_hash": payment.payment_hash.hex()}
    return Step(paying, (_pay(payment), Emit("payment.started", data)))


def payment_due(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """Time to look at the payment: ask how far it is, or try once more what has finally failed."""
    payment = _payment(state)
    policy = state.terms.payment_retry
    if payment.next_try is None:
        asked = replace(payment, asked=payment.asked + 1)
        wake_at = UnixSeconds(now + min(STATUS_DELAY_S * asked.asked, policy.cap_s))
        return Step(replace(state, payment=asked, wake_at=wake_at), (AskPaymentStatus(payment.payment_hash),))
    if payment.next_try is NextTry.NEW_INVOICE or not _may_pay(state, payment, now):
        return _new_invoice(state, now)
    again = replace(payment, next_try=None, tries=payment.tries + 1, asked=0)
    waiting = replace(state, payment=again, wake_at=UnixSeconds(now + STATUS_DELAY_S))
    return Step(waiting, (_pay(again), Emit("payment.retried", {"counter": again.counter, "try": again.tries})))


def payment_failed(state: Outbound, event: PaymentFailed, now: UnixSeconds) -> Step:
    """Finally failed: try the same invoice later, or a new one, or give up."""
    payment = _payment(state)
    if event.payment_hash != payment.payment_hash or payment.next_try is not None:
        return Step(state)
    policy = state.terms.payment_retry
    tries = payment.tries + state.attempt - 1  # every invoice before this one was tried once at least
    told = f"payment failed: {event.reason}"
    data: Facts = {"counter": payment.counter, "why": event.reason, "payment_hash": payment.payment_hash.hex(),
            "try": tries}  # fmt: skip
    emitted = Emit("subscription.payment_failed", data)
    if state.cancel_asked:
        cancelled = cancelled_after(replace(state, payment=None), now)
        return Step(cancelled.state, (emitted, *cancelled.effects))
    if policy.gives_up_after(tries):
        lapsed = lapse(state, "subscription.given_up", f"{told}, after {tries} tries")
        return Step(lapsed.state, (emitted, *lapsed.effects))
    wake_at = UnixSeconds(now + policy.delay_s(tries, event.entropy))
    failed = replace(payment, next_try=NextTry.SAME_INVOICE if event.retryable else NextTry.NEW_INVOICE)
    waiting = replace(state, payment=failed, problem=told, wake_at=wake_at)
    return Step(waiting, (emitted,))


def payment_unknown(state: Outbound, event: PaymentUnknown, now: UnixSeconds) -> Step:
    """The node never recorded it: hand it the same payment again, if it is still wanted and may still be paid."""
    payment = _payment(state)
    if event.payment_hash != payment.payment_hash or payment.next_try is not None:
        return Step(state)
    if state.cancel_asked:
        return cancelled_after(replace(state, payment=None), now)
    if _may_pay(state, payment, now):
        return Step(state, (_pay(payment),))
    return Step(replace(state, payment=replace(payment, next_try=NextTry.NEW_INVOICE), wake_at=now))


def _may_pay(state: Outbound, payment: PendingPayment, now: UnixSeconds) -> bool:
    """Whether an accepted invoice may be handed over again: not when it, or the mandate, has ended meanwhile."""
    return now <= payment.expires_at and mandate_excess(state, payment.amount_msat, now) is None


def _new_invoice(state: Outbound, now: UnixSeconds) -> Step:
    """Give up on an invoice whose payment has finally failed; the period is asked for anew at once."""
    asking = Phase.REQUESTING if state.next_counter else Phase.AWAITING_FIRST_INVOICE
    return Step(replace(state, phase=asking, payment=None, request=None, wake_at=now))


def payment_settled(state: Outbound, event: PaymentSettled, now: UnixSeconds) -> Step:
    """Paid: book it, pin the basetime, and look for the next period."""
    payment = _payment(state)
    if event.payment_hash != payment.payment_hash:
        return Step(state)
    paid = replace(
        state,
        payment=None,
        basetime=payment.basetime,
        next_counter=state.next_counter + 1,
        attempt=0,
        approved_counter=None,
        approved_msat=None,
        payments=state.payments + 1,
        paid_msat=Msat(state.paid_msat + payment.amount_msat),
        fees_msat=Msat(state.fees_msat + event.fee_msat),
        next_state=requests.state_to_echo(payment.invoice),
        problem=None,
    )
    index = state.next_index
    started = start_of(state.recurrence, payment.basetime, index)
    booked = Book(
        payment.counter, payment.payment_hash, event.preimage, payment.amount_msat, event.fee_msat, now, started
    )
    data: Facts = {"counter": payment.counter, "index": index, "amount_msat": payment.amount_msat,
            "fee_msat": event.fee_msat, "payment_hash": payment.payment_hash.hex()}  # fmt: skip
    name = "subscription.renewed" if payment.counter else "subscription.created"
    following = _after_payment(paid, now)
    return Step(following.state, (booked, Emit(name, data), *following.effects))


def _after_payment(state: Outbound, now: UnixSeconds) -> Step:
    limit = state.recurrence.limit
    if limit is not None and state.next_index > limit:
        done = replace(state, phase=Phase.COMPLETED, wake_at=None)
        return Step(done, (Emit("subscription.completed", {"payments": state.payments}),))
    try:
        wake_at = pay_at(state)
    except CalendarError as error:  # T7: what was paid is booked all the same
        return lapse(state, "subscription.given_up", str(error))
    if state.cancel_asked:
        return cancelled_after(state, now)
    return Step(replace(state, phase=Phase.IDLE, wake_at=wake_at))


def _pay(payment: PendingPayment) -> Pay:
    return Pay(payment.payment_hash, payment.invoice, payment.amount_msat, payment.max_fee_msat)


def _payment(state: Outbound) -> PendingPayment:
    if state.payment is None:
        raise ImpossibleTransition(f"{state.phase} without a payment")
    return state.payment
