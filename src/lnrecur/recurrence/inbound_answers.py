"""How a payee answers requests and cancels."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.bolt12.request_fields import InvoiceRequestFields
from lnrecur.crypto.hashes import sha256
from lnrecur.recurrence.effects import Emit, IssueInvoice, Refuse
from lnrecur.recurrence.inbound_model import CancelArrived, Inbound, OpenInvoice, Phase, RequestArrived, Step
from lnrecur.recurrence.inbound_periods import withdrawn
from lnrecur.recurrence.inbound_rules import check_history, check_request, price
from lnrecur.values import PaymentHash, UnixSeconds


def request_arrived(state: Inbound, event: RequestArrived, now: UnixSeconds) -> Step:
    """Answer with an invoice or a refusal. Only a known subscriber's open invoice is remembered (Q19, Q21)."""
    request, offering = event.request, event.offering
    refused = check_request(request, offering, now) or check_history(state, request)
    if refused is not None:
        return Step(state, (refused,))
    quote = price(state, request, offering.policy, event.rate, now)
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
        conversion=quote.conversion,
    )
    if state.phase is not Phase.ACTIVE or request.counter is None:
        return Step(state, (issued,))
    opened = OpenInvoice(request.counter, PaymentHash(sha256(event.preimage)))
    return Step(replace(state, open_invoice=opened), (*withdrawn(state, "a newer invoice takes its place"), issued))


def cancel_arrived(state: Inbound, event: CancelArrived, now: UnixSeconds) -> Step:
    """Record a cancel that is otherwise valid, whatever its window (section 6); never answer one (Q18).

    It may come when its period was told as missed already, or with the counter of a period that we waived since.
    """
    request = event.request
    invalid = check_request(request, event.offering, now) or check_history(_as_the_payer_knows(state, request), request)
    if invalid is not None or state.phase not in (Phase.ACTIVE, Phase.LAPSED):
        return Step(state)
    cancelled = replace(state, phase=Phase.CANCELLED, open_invoice=None, ended_at=now, wake_at=None)
    emitted = Emit("subscription.cancelled", {"counter": request.counter, "payments": state.payments})
    return Step(cancelled, (*withdrawn(state, "the payer cancelled"), emitted))


def _as_the_payer_knows(state: Inbound, request: InvoiceRequestFields) -> Inbound:
    """The state without our pause, the lapse, and the waived periods that the payer has not heard of."""
    phase = Phase.ACTIVE if state.phase is Phase.LAPSED else state.phase
    known = replace(state, phase=phase, paused_at=None)
    counter = request.counter
    if counter is None or not state.next_counter - state.waived_last <= counter < state.next_counter:
        return known
    return replace(known, next_counter=counter)
