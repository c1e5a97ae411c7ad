"""The requests a payer writes: rules Q1 to Q7 from the writer's side."""

from __future__ import annotations

from typing import Any

from lnrecur.bolt12 import fields
from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.bolt12.invoice_request import write_invoice_request
from lnrecur.recurrence.invoice_checks import read_invoice
from lnrecur.recurrence.outbound_model import Outbound, PendingRequest
from lnrecur.recurrence.payer_keys import PayerKeys

CANCEL_ATTEMPT = 0xFFFF_FFFF
"""The attempt number of cancels, so that their metadata never equals a request's (Q7)."""
STATE_MAX = 1024
"""Longest opaque state of a payee that is kept, in bytes (V9)."""


def next_request(state: Outbound, keys: PayerKeys) -> PendingRequest:
    """The request for the next counter; `state.attempt` different ones were made before (Q2, Q3, Q7).

    A payee that answers every one of them with the invoice of the first gets the first once more (habits.py, 5).
    """
    if state.first_request is not None:
        return PendingRequest(state.next_counter, state.first_request)
    return PendingRequest(state.next_counter, _write(state, keys, state.attempt, cancel=False))


def cancel_request(state: Outbound, keys: PayerKeys) -> bytes:
    """The courtesy message in place of the next request (Q6)."""
    return _write(state, keys, CANCEL_ATTEMPT, cancel=True)


def _write(state: Outbound, keys: PayerKeys, attempt: int, *, cancel: bool) -> bytes:
    terms = state.terms
    offer = state.offer
    values: dict[fields.Field[Any], Any] = {
        fields.INVREQ_METADATA: keys.metadata(state.next_counter, attempt),
        fields.INVREQ_CHAIN: terms.chain,
        fields.INVREQ_QUANTITY: terms.quantity,
        fields.INVREQ_PAYER_ID: keys.payer_id,
        fields.INVREQ_PAYER_NOTE: terms.payer_note,
        fields.INVREQ_RECURRENCE_COUNTER: None if state.one_off else state.next_counter,
        fields.INVREQ_RECURRENCE_START: terms.start,
        fields.INVREQ_RECURRENCE_CANCEL: True if cancel else None,
        fields.INVREQ_RECURRENCE_PREV_STATE: state.next_state if state.next_counter else None,
    }
    if offer.amount is None:  # the payer chooses the amount: what the mandate allows per period
        values[fields.INVREQ_AMOUNT] = state.mandate.max_per_period_msat
    return write_invoice_request(offer, values, offer.dialect).sign(keys.payer).to_bytes()


def state_to_echo(invoice: bytes) -> bytes | None:
    """V9: the opaque state of a paid invoice, if it has one of a size we keep."""
    try:
        state = read_invoice(invoice).next_state
    except Bolt12Error:  # pragma: no cover - the invoice was read before it was paid
        return None
    return state if state is not None and len(state) <= STATE_MAX else None
