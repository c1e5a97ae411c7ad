"""The rules of messages as answers: a request that answers an offer (or none), an invoice that answers a request.

A mirrored message contains what it answers, so one message is enough to check these. `rules.py` has what every reader
checks of any message; the rules here are checked by whoever is to act on it: the payee before it prices a request, the
payer before it pays, and both before they sign. What needs history or a clock is in `recurrence/`.
"""

from __future__ import annotations

from typing import Any

from lnrecur.bolt12 import fields
from lnrecur.bolt12.errors import Breach
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.message import Bolt12Message
from lnrecur.bolt12.request_fields import InvoiceRequestFields
from lnrecur.bolt12.rules import Check, Rule
from lnrecur.wire.integers import encode_tu64

_RECURRENCE_FIELDS = (
    fields.INVREQ_RECURRENCE_COUNTER,
    fields.INVREQ_RECURRENCE_START,
    fields.INVREQ_RECURRENCE_CANCEL,
    fields.INVREQ_RECURRENCE_PREV_STATE,
)


def _breach(message: Bolt12Message, field: Field[Any], told: str, suggested: bytes | None = None) -> Breach:
    return Breach(told, field.name, message.number(field), suggested)


def _no_recurrence(request: InvoiceRequestFields) -> Breach | None:
    if request.recurrence is not None:
        return None
    for field in _RECURRENCE_FIELDS:
        if request.has(field):
            return _breach(request, field, "the offer has no recurrence")
    return None


def _counter(request: InvoiceRequestFields) -> Breach | None:
    recurrence = request.recurrence
    if recurrence is None or request.counter is not None or (recurrence.optional and not request.is_cancel):
        return None
    return _breach(request, fields.INVREQ_RECURRENCE_COUNTER, "missing: this offer is paid by subscription only")


def _start(request: InvoiceRequestFields) -> Breach | None:
    recurrence = request.recurrence
    if recurrence is None or request.counter is None:
        return None
    if recurrence.base is not None and request.start is None:
        told = "missing: the offer has a base, so the request says which period it begins with"
        return _breach(request, fields.INVREQ_RECURRENCE_START, told)
    if recurrence.base is None and request.start is not None:
        return _breach(request, fields.INVREQ_RECURRENCE_START, "present, but the offer has no base")
    return None


def _first(request: InvoiceRequestFields) -> Breach | None:
    if request.counter != 0:
        return None
    if request.is_cancel:
        return _breach(request, fields.INVREQ_RECURRENCE_CANCEL, "nothing was paid, so nothing can be cancelled")
    if request.prev_state is not None:
        return _breach(request, fields.INVREQ_RECURRENCE_PREV_STATE, "the first request has no state before it")
    return None


def _limit(request: InvoiceRequestFields) -> Breach | None:
    recurrence = request.recurrence
    if recurrence is None or recurrence.limit is None or request.period_index <= recurrence.limit:
        return None
    told = f"period {request.period_index} is beyond the last period of this offer"
    return _breach(request, fields.INVREQ_RECURRENCE_COUNTER, told)


def _quantity(request: InvoiceRequestFields) -> Breach | None:
    field = fields.INVREQ_QUANTITY
    quantity, most = request.quantity, request.quantity_max
    if most is None:
        return None if quantity is None else _breach(request, field, "the offer is for single items")
    if request.is_cancel:
        return None  # Q6: a cancel may leave the quantity out
    if quantity is None:
        return _breach(request, field, "missing: the offer sells several", encode_tu64(1))
    if quantity == 0 or (most and quantity > most):
        told = f"{quantity} is not between 1 and {most or 'any number'}"
        return _breach(request, field, told, encode_tu64(1 if not quantity else most))
    return None


def _amount(request: InvoiceRequestFields) -> Breach | None:
    if request.is_cancel:
        return None  # Q6: a cancel may leave the amount out
    if request.invreq_amount is None and request.amount is None:
        return _breach(request, fields.INVREQ_AMOUNT, "missing: the offer leaves the amount to the payer")
    if request.invreq_amount == 0:
        return _breach(request, fields.INVREQ_AMOUNT, "an invoice over nothing cannot be paid")
    return None


def _chain(request: InvoiceRequestFields) -> Breach | None:
    if request.chain in request.accepted_chains:
        return None
    told = "missing: the offer is not paid in bitcoin" if request.invreq_chain is None else "no chain of the offer"
    return _breach(request, fields.INVREQ_CHAIN, told, request.accepted_chains[0])


def _absent(*forbidden: Field[Any]) -> Check[InvoiceRequestFields]:
    def check(request: InvoiceRequestFields) -> Breach | None:
        for field in forbidden:
            if request.has(field):
                return _breach(request, field, "stands in a request that answers no offer")
        return None

    return check


def _needed(*needed: Field[Any]) -> Check[InvoiceRequestFields]:
    def check(request: InvoiceRequestFields) -> Breach | None:
        for field in needed:
            if not request.has(field):
                return _breach(request, field, "missing from a request that answers no offer")
        return None

    return check


def _basetime(invoice: InvoiceRequestFields) -> Breach | None:
    field = fields.INVOICE_RECURRENCE_BASETIME
    if invoice.counter is not None and not invoice.has(field):
        return _breach(invoice, field, "missing from a recurring invoice")
    if invoice.counter is None and invoice.has(field):
        return _breach(invoice, field, "present, but nothing recurs")
    return None


def _signer(invoice: InvoiceRequestFields) -> Breach | None:
    asked = invoice.issuer_id
    node_id = invoice.values[fields.INVOICE_NODE_ID.name]
    if asked is None or node_id == asked:
        return None
    return _breach(invoice, fields.INVOICE_NODE_ID, f"{node_id.hex()}, but {asked.hex()} was asked")


def _invoiced(invoice: InvoiceRequestFields) -> Breach | None:
    amount = invoice.values[fields.INVOICE_AMOUNT.name]
    if invoice.invreq_amount is None or invoice.invreq_amount == amount:
        return None
    told = f"{amount} msat, but invreq_amount said {invoice.invreq_amount}"
    return _breach(invoice, fields.INVOICE_AMOUNT, told, encode_tu64(invoice.invreq_amount))


ANSWERING_REQUEST_RULES: tuple[Rule[Any], ...] = (
    Rule("Q10", "refused: recurrence fields in a request for an offer without recurrence", _no_recurrence),
    Rule("Q9", "refused: no counter, unless the recurrence is optional; then it is a one-off", _counter),
    Rule("Q11", "refused: start missing with a base, or present without one", _start),
    Rule("Q12", "refused: cancel or prev_state at counter 0", _first),
    Rule("Q8", "refused: a period index above the limit", _limit),
    Rule("BR7", "the quantity is one that the offer sells", _quantity),
    Rule("BR8", "the amount is said by the offer or by the request, and is not 0", _amount),
    Rule("BR9", "the request is for a chain that the payee is paid on", _chain),
)
"""For the writer and the payee of a request that answers an offer."""

UNPROMPTED_REQUEST_RULES: tuple[Rule[Any], ...] = (
    Rule("BR10", "without an offer: no chains, features or quantity_max of one",
         _absent(fields.OFFER_CHAINS, fields.OFFER_FEATURES, fields.OFFER_QUANTITY_MAX)),
    Rule("BR11", "without an offer: invreq_amount is present", _needed(fields.INVREQ_AMOUNT)),
)  # fmt: skip
"""For the reader of a request that answers no offer."""

UNPROMPTED_WRITER_RULES: tuple[Rule[Any], ...] = (
    *UNPROMPTED_REQUEST_RULES,
    Rule("BR12", "without an offer: no issuer, path, metadata, price or recurrence of one, and no signature",
         _absent(fields.OFFER_METADATA, fields.OFFER_AMOUNT, fields.OFFER_CURRENCY, fields.OFFER_PATHS,
                 fields.OFFER_ISSUER_ID, fields.SIGNATURE, *_RECURRENCE_FIELDS)),
    Rule("BR13", "without an offer: offer_description says what the payment is for", _needed(fields.OFFER_DESCRIPTION)),
)  # fmt: skip
"""For the writer of a request that answers no offer."""

ANSWERING_INVOICE_RULES: tuple[Rule[Any], ...] = (
    Rule("V1", "basetime is present on every recurring invoice and absent on all others", _basetime),
    Rule("V7", "invoice_node_id is the key the request was addressed to", _signer),
    Rule("BI11", "the amount is the one that was asked for, where the request named one", _invoiced),
)
"""For the writer and the payer of an invoice that answers a request."""
