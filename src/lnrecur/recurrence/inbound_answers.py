"""How a payee answers requests and cancels."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.bolt12.invoice_request import InvoiceRequest
from lnrecur.crypto.hashes import sha256
from lnrecur.recurrence.effects import Effect, Emit, FailBack, IssueInvoice, Refuse
from lnrecur.recurrence.inbound_model import CancelArrived, Inbound, OpenInvoice, Phase, RequestArrived, Step
from lnrecur.recurrence.inbound_rules import check_history, check_request, price
from lnrecur.values import PaymentHash, UnixSeconds


def request_arrived(state: Inbound, event: RequestArrived, now: UnixSeconds) -> Step:
    """Answer with an invoice or a refusal. Only a known subscriber's open invoice is remembered (Q19, Q21)."""
    request = event.request
    refused = check_request(request, event.policy) or _expired(request, now) or check_history(state, request)
    if refused is not None:
        return Step(state, (refused,))
    quote = price(state, request, event.policy, now)
    if isinstance(quote, Refuse):
        return Step(state, (quote,))
    issued = IssueInvoice(
        counter=request.counter,
        start=request.start,
        basetime=quote.basetime,
        amount_msat=quote.amount_msat,
        created_at=now,
        expires_at=quote.expires_at,
        preimage=event.preimage,
    )
    if state.phase is not Phase.ACTIVE or request.counter is None:
        return Step(state, (issued,))
    opened = OpenInvoice(request.counter, PaymentHash(sha256(event.preimage)))
    return Step(replace(state, open_invoice=opened), (*_withdraw(state, "a newer invoice takes its place"), issued))


def cancel_arrived(state: Inbound, event: CancelArrived, now: UnixSeconds) -> Step:
    """Record a cancel that is otherwise valid, whatever its window (section 6); never answer one (Q18)."""
    request = event.request
    invalid = check_request(request, event.policy) or check_history(state, request)
    if invalid is not None or state.phase is not Phase.ACTIVE:
        return Step(state)
    cancelled = replace(state, phase=Phase.CANCELLED, open_invoice=None, ended_at=now)
    emitted = Emit("subscription.cancelled", {"counter": request.counter, "payments": state.payments})
    return Step(cancelled, (*_withdraw(state, "the payer cancelled"), emitted))


def _expired(request: InvoiceRequest, now: UnixSeconds) -> Refuse | None:
    """O7: the offer's expiry bounds only the first request of a subscription."""
    if request.counter or request.absolute_expiry is None or now <= request.absolute_expiry:
        return None
    return Refuse("O7", f"the offer expired at {request.absolute_expiry}, it is {now}")


def _withdraw(state: Inbound, why: str) -> tuple[Effect, ...]:
    if state.open_invoice is None:
        return ()
    return (FailBack(state.open_invoice.payment_hash, why),)
