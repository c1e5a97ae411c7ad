"""How an outbound subscription pays: one invoice at a time, and nothing around a payment that may be in flight."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lnrecur.bolt12.invoice import VerifiedInvoice
from lnrecur.recurrence import outbound_requests as requests
from lnrecur.recurrence.effects import AskPaymentStatus, Book, Emit, Facts, Pay
from lnrecur.recurrence.errors import ImpossibleTransition
from lnrecur.recurrence.invoice_checks import InvoiceRefused, check_invoice
from lnrecur.recurrence.outbound_approvals import needs_approval, over_mandate
from lnrecur.recurrence.outbound_endings import cancelled_after, lapse
from lnrecur.recurrence.outbound_failures import failure_in_words, failure_of, is_over, retry_of
from lnrecur.recurrence.outbound_model import (
    Due,
    InvoiceArrived,
    NextTry,
    NodeSilent,
    Outbound,
    PaymentFailed,
    PaymentSettled,
    PaymentUnknown,
    PendingPayment,
    Phase,
    Step,
    Wait,
)
from lnrecur.recurrence.outbound_planning import paused, plan_next
from lnrecur.recurrence.outbound_prices import is_approved, is_unjudged, mandate_excess, other_price, rate_for
from lnrecur.recurrence.outbound_times import left_s
from lnrecur.recurrence.rates import Conversion, ExchangeRate, Worth
from lnrecur.recurrence.windows import start_of
from lnrecur.recurrence.words import amount_in_words
from lnrecur.values import Msat, UnixSeconds

_SILENT: Final = "the money node cannot be asked"
STATUS_DELAY_S: Final = 2
"""Seconds between two questions about a payment in flight, at first; they grow to the cap of the payment's retries."""


def invoice_arrived(state: Outbound, event: InvoiceArrived, now: UnixSeconds) -> Step:
    """Check everything that can be checked, then pay or ask a person."""
    if state.request is None:  # it answers a request that was given up
        return Step(state)
    try:
        invoice, basetime = check_invoice(state, event.invoice, now, can_split=event.can_split)
    except InvoiceRefused as refused:
        told = str(refused)
        return Step(replace(state, problem=told), (Emit("subscription.invoice_refused", {"why": told}),))
    amount = invoice.invoice_amount
    if state.habits.expiry_cancels:
        state = replace(state, invoice_until=invoice.expires_at, held_invoice=event.invoice)
    rate = rate_for(state, event.rate)
    if is_unjudged(state, amount, rate):
        return _without_rate(state, event)
    excess = mandate_excess(state, amount, now, rate)
    if excess is not None:
        return over_mandate(state, amount, excess)
    other = None if is_approved(state, amount) else other_price(state, invoice, basetime)
    if other is None:
        return _start(state, event, invoice, basetime, rate, now)
    why = f"{amount_in_words(amount)} asked, where the price is {amount_in_words(other)}"
    data: Facts = {"counter": state.next_counter, "amount_msat": amount, "expected_msat": other, "why": why}
    differs = Emit("subscription.price_differs", data)
    if state.terms.ask_if_price_differs and not state.one_off:
        return needs_approval(state, Wait.PRICE, why, {"amount_msat": amount}, amount).after(differs)
    return _start(state, event, invoice, basetime, rate, now).after(differs)


def _without_rate(state: Outbound, event: InvoiceArrived) -> Step:
    """Nobody knows what the amount is worth: nothing is paid blind; the next resend brings the invoice again."""
    why = event.no_rate or "no exchange rate was there"
    told = f"the mandate is in a currency, and there is no rate: {why}"
    if state.problem == told:
        return Step(state)
    data: Facts = {"why": why, "counter": state.next_counter}
    return Step(replace(state, problem=told), (Emit("subscription.rate_unavailable", data),))


def _start(
    state: Outbound,
    event: InvoiceArrived,
    invoice: VerifiedInvoice,
    basetime: UnixSeconds | None,
    rate: ExchangeRate | None,
    now: UnixSeconds,
) -> Step:
    amount = invoice.invoice_amount
    payment = PendingPayment(
        counter=state.next_counter,
        payment_hash=invoice.payment_hash,
        invoice=event.invoice,
        amount_msat=amount,
        max_fee_msat=state.mandate.max_fee_msat(amount),
        basetime=basetime,
        expires_at=invoice.expires_at,
        rate=rate,
    )
    paying = replace(
        state,
        phase=Phase.PAYING,
        request=None,
        payment=payment,
        held_invoice=None,
        adopting=None,
        refusals=0,
        payee_paused=False,
        problem=None,
        wake_at=UnixSeconds(now + STATUS_DELAY_S),
    )
    data: Facts = {"counter": payment.counter, "amount_msat": amount, "payment_hash": payment.payment_hash.hex(),
            **_rate_facts(rate)}  # fmt: skip
    return Step(paying, (_pay(payment), Emit("payment.started", data)))


def _rate_facts(rate: ExchangeRate | None) -> Facts:
    if rate is None:
        return {}
    return {
        "currency": rate.currency,
        "minor_per_btc": rate.minor_per_btc,
        "rate_at": rate.at,
        "rate_source": rate.source,
    }


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
    limit = state.mandate.max_fee_msat(payment.amount_msat)  # it may have been amended since
    again = replace(payment, next_try=None, tries=payment.tries + 1, asked=0, max_fee_msat=limit)
    waiting = replace(state, payment=again, wake_at=UnixSeconds(now + STATUS_DELAY_S))
    return Step(waiting, (_pay(again), Emit("payment.retried", {"counter": again.counter, "try": again.tries})))


def payment_failed(state: Outbound, event: PaymentFailed, now: UnixSeconds) -> Step:
    """Finally failed: try the same invoice later, or a new one, or give up."""
    payment = _payment(state)
    if event.payment_hash != payment.payment_hash or payment.next_try is not None:
        return Step(state)
    tries = payment.tries + state.attempt - 1  # every invoice before this one was tried once at least
    told = failure_in_words(payment, event.reason)
    data: Facts = {"counter": payment.counter, "why": told, "reason": event.reason,
            "payment_hash": payment.payment_hash.hex(), "try": tries}  # fmt: skip
    emitted = (Emit("subscription.payment_failed", data), *_new_trouble(payment, event.reason))
    left = left_s(state, now)
    if state.cancel_asked:
        return cancelled_after(replace(state, payment=None), now).after(*emitted)
    if state.pause_asked:
        return paused(replace(state, given_up=payment, problem=told)).after(*emitted)
    if is_over(state, event.reason, tries, bounded=left is not None):
        return lapse(state, "subscription.given_up", f"{told} ({tries} tries)").after(*emitted)
    wake_at = UnixSeconds(now + retry_of(state, event.reason).delay_s(tries, event.entropy, left))
    next_try = NextTry.SAME_INVOICE if event.retryable else NextTry.NEW_INVOICE
    failed = replace(payment, next_try=next_try, reason=event.reason)
    return Step(replace(state, payment=failed, problem=told, wake_at=wake_at), emitted)


def _new_trouble(payment: PendingPayment, reason: str) -> tuple[Emit, ...]:
    """An event of its own for what the subscriber must mend, when it is new."""
    name = failure_of(reason).event
    if name is None or payment.reason == reason:
        return ()
    return (Emit(name, {"counter": payment.counter, "amount_msat": payment.amount_msat}),)


def payment_unknown(state: Outbound, event: PaymentUnknown, now: UnixSeconds) -> Step:
    """The node never recorded it: hand it the same payment again, if it is still wanted and may still be paid."""
    payment = _payment(state)
    if event.payment_hash != payment.payment_hash or payment.next_try is not None:
        return Step(state)
    if state.cancel_asked:
        return cancelled_after(replace(state, payment=None), now)
    if state.pause_asked:
        return paused(state)
    if _may_pay(state, payment, now):
        return Step(state, (_pay(payment),))
    return Step(replace(state, payment=replace(payment, next_try=NextTry.NEW_INVOICE), wake_at=now))


def node_silent(state: Outbound, event: NodeSilent, now: UnixSeconds) -> Step:
    """Tell once that the money node is away; nothing else is done until it says what became of the payment."""
    payment = _payment(state)
    if event.payment_hash != payment.payment_hash or payment.next_try is not None:
        return Step(state)
    waiting = replace(state, problem=f"{_SILENT}: {event.why}")
    if state.problem is not None and state.problem.startswith(_SILENT):
        return Step(waiting)
    data: Facts = {"counter": payment.counter, "why": event.why, "payment_hash": payment.payment_hash.hex()}
    return Step(waiting, (Emit("payment.node_silent", data),))


def _may_pay(state: Outbound, payment: PendingPayment, now: UnixSeconds) -> bool:
    """Whether an accepted invoice may be handed over again: not when it, or the mandate, has ended meanwhile.

    Nor when the mandate was amended to a currency without whose rate it was accepted.
    """
    if now > payment.expires_at or is_unjudged(state, payment.amount_msat, payment.rate):
        return False
    return mandate_excess(state, payment.amount_msat, now, payment.rate) is None


def _new_invoice(state: Outbound, now: UnixSeconds) -> Step:
    """Give up on an invoice whose payment has finally failed; the period is asked for anew at once."""
    given_up = state.payment
    return Step(replace(state, phase=state.asking_phase, payment=None, given_up=given_up, request=None, wake_at=now))


def payment_settled(state: Outbound, event: PaymentSettled, now: UnixSeconds) -> Step:
    """Paid: book it, pin the basetime, and look for the next period."""
    payment = _payment(state)
    return _settle(state, payment, event, now) if event.payment_hash == payment.payment_hash else Step(state)


def given_up_settled(state: Outbound, event: PaymentSettled, now: UnixSeconds) -> Step:
    """A payment of this period that the money node had called failed has settled after all: it is booked like any."""
    given_up = state.given_up
    if given_up is None or event.payment_hash != given_up.payment_hash:
        return Step(state)
    return _settle(state, given_up, event, now)


def _settle(state: Outbound, payment: PendingPayment, event: PaymentSettled, now: UnixSeconds) -> Step:
    paid = replace(
        state,
        request=None,
        payment=None,
        given_up=None,
        adopting=None,
        refusals=0,
        basetime=payment.basetime,
        next_counter=state.next_counter + 1,
        attempt=0,
        approved_counter=None,
        approved_msat=None,
        awaiting_msat=None,
        payments=state.payments + 1,
        paid_msat=Msat(state.paid_msat + payment.amount_msat),
        fees_msat=Msat(state.fees_msat + event.fee_msat),
        worth=_worth_after(state, payment),
        next_state=requests.state_to_echo(payment.invoice),
        problem=None,
        first_request=None,
        invoice_until=None,
        held_invoice=None,
    )
    index = state.next_index
    started = None if payment.basetime is None else start_of(state.recurrence, payment.basetime, index)
    booked = Book(
        payment.counter, payment.payment_hash, event.preimage, payment.amount_msat, event.fee_msat, now, started,
        conversion=_conversion(payment),
    )  # fmt: skip
    data: Facts = {"counter": payment.counter, "index": index, "amount_msat": payment.amount_msat,
            "fee_msat": event.fee_msat, "payment_hash": payment.payment_hash.hex(),
            **_rate_facts(payment.rate)}  # fmt: skip
    name = "subscription.renewed" if payment.counter else "subscription.created"
    return plan_next(paid, now, event.entropy).after(booked, Emit(name, data))


def _worth_after(state: Outbound, payment: PendingPayment) -> Worth | None:
    if payment.rate is None:
        return state.worth
    paid = payment.rate.worth(payment.amount_msat)
    return paid if state.worth is None else state.worth.plus(paid)


def _conversion(payment: PendingPayment) -> Conversion | None:
    """What the payment was worth in the currency of the mandate, when it was accepted."""
    return None if payment.rate is None else Conversion(payment.rate.minor(payment.amount_msat), payment.rate)


def _pay(payment: PendingPayment) -> Pay:
    return Pay(payment.payment_hash, payment.invoice, payment.amount_msat, payment.max_fee_msat)


def _payment(state: Outbound) -> PendingPayment:
    if state.payment is None:
        raise ImpossibleTransition(f"{state.phase} without a payment")
    return state.payment
