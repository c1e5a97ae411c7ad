"""lnrecur as a subject of its own suite: every question goes to the code that runs in the daemon, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lnrecur import __version__
from lnrecur.bolt12 import InvoiceRequest, Offer, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.bolt12.invoice_error import read_invoice_error
from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest
from lnrecur.crypto.hashes import sha256
from lnrecur.recurrence import inbound
from lnrecur.recurrence.calendar import period_start
from lnrecur.recurrence.effects import IssueInvoice, Refuse
from lnrecur.recurrence.errors import CalendarError, PriceError
from lnrecur.recurrence.inbound_model import (
    CancelArrived,
    Inbound,
    OpenInvoice,
    PaymentClaimable,
    PaymentClaimed,
    Phase,
    RequestArrived,
)
from lnrecur.recurrence.invoice_checks import InvoiceRefused, check_invoice
from lnrecur.recurrence.offering import Offering, OfferPolicy, Windows
from lnrecur.recurrence.outbound_model import Outbound, PendingRequest, Terms
from lnrecur.recurrence.pricing import price_now
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.recurrence.windows import END_OF_TIME, pay_window
from lnrecur.testing.conformance_payer import MANDATE, RECURRENCE_ID, next_message
from lnrecur.values import Msat, Preimage, UnixSeconds
from lnrecur.wire.errors import WireError
from lnrecur.wire.integers import U64_MAX

Document = dict[str, Any]
Given = Mapping[str, Any]
OfferWarnings = Callable[[Offer], Sequence[str]]
"""The ids of the rules that a writer of this offer is warned of (O8)."""

_PREIMAGE: Final = Preimage(sha256(b"the invoice of a conformance case"))
_BEFORE: Final = Preimage(sha256(b"the invoice before it"))


class Ourselves:
    """This very lnrecur, in process. Questions and answers pass through JSON as they would for any program."""

    def __init__(self, offer_warnings: OfferWarnings) -> None:
        """`offer_warnings` belongs to the command, where offers are shown to people."""
        self._operations: Mapping[str, Callable[[Given], Document]] = {
            "period_start": _period_start,
            "pay_window": _pay_window,
            "price": _price,
            "offer": lambda given: _offer(given, offer_warnings),
            "payee": _payee,
            "payer": _payer,
            "write_request": lambda given: next_message(given),
            "invoice_error": _invoice_error,
        }

    @property
    def name(self) -> str:
        """With the version."""
        return f"lnrecur {__version__}"

    def answer(self, question: Document) -> Document:
        """Answer by the engine; what it raises on purpose is a refusal with the id of its rule."""
        asked = json.loads(json.dumps(question))
        operation = self._operations.get(asked["op"])
        told = {"unsupported": True} if operation is None else _refusing(operation, asked)
        answer: Document = json.loads(json.dumps({"id": asked["id"], **told}))
        return answer


def _refusing(operation: Callable[[Given], Document], given: Given) -> Document:
    try:
        return operation(given)
    except (Bolt12Error, InvoiceRefused) as error:
        return {"refused": error.rule or True}
    except WireError:
        return {"refused": "BOLT 1"}
    except CalendarError:
        return {"refused": "T7"}
    except PriceError:
        return {"refused": "T10"}


def _period_start(given: Given) -> Document:
    start = period_start(given["basetime"], given["time_unit"], given["period"], given["n"])
    return {"seconds_since_epoch": start}


def _pay_window(given: Given) -> Document:
    told = given["paywindow"]
    window = None if told is None else Paywindow(told["seconds_before"], told["seconds_after"])
    recurrence = Recurrence(TimeUnit(given["time_unit"]), given["period"], paywindow=window)
    found = pay_window(recurrence, given["basetime"], given["n"])
    closes = None if found.closes >= END_OF_TIME else found.closes
    return {"window": {"opens": found.opens, "closes": closes}}


def _price(given: Given) -> Document:
    base = RecurrenceBase(given["proportional_amount"], given["basetime"])
    recurrence = Recurrence(TimeUnit(given["time_unit"]), given["period"], base=base)
    amount = price_now(Msat(given["amount_msat"]), recurrence, given["basetime"], given["n"], given["now"])
    return {"amount_msat": amount}


def _offer(given: Given, offer_warnings: OfferWarnings) -> Document:
    offer = Offer.from_bytes(bytes.fromhex(given["offer"]))
    recurrence = offer.recurrence
    told: Document | None = None
    if recurrence is not None:
        base, window = recurrence.base, recurrence.paywindow
        told = {
            "optional": recurrence.optional,
            "time_unit": int(recurrence.unit),
            "period": recurrence.period,
            "basetime": None if base is None else base.basetime,
            "proportional_amount": None if base is None else base.proportional_amount,
            "paywindow": None
            if window is None
            else {"seconds_before": window.seconds_before, "seconds_after": window.seconds_after},
            "limit": recurrence.limit,
        }
    return {"accepted": {"dialect": offer.dialect, "recurrence": told, "warnings": list(offer_warnings(offer))}}


def _payee(given: Given) -> Document:
    offer = Offer.from_bytes(bytes.fromhex(given["offer"]))
    request = InvoiceRequest.from_bytes(bytes.fromhex(given["request"]))
    if request.offer_records() != offer.stream.records:
        return {"silent": {"recorded": False}}  # no offer of ours
    told = given["policy"]
    policy = OfferPolicy(
        windows=Windows(told["windows"]),
        invoice_expiry_s=told["invoice_expiry_s"],
        payments_max=told["payments_max"],
        overask_max=U64_MAX,  # an upper bound is a MAY of Q17: no case knows one
    )
    verified = request.verify_signature()
    offering = Offering(policy, offer.recurrence)
    state = _history(offer, verified, given["paid"], offering)
    now = UnixSeconds(given["now"])
    if request.is_cancel:
        cancelled = inbound.step(state, CancelArrived(verified, offering), now).state
        return {"silent": {"recorded": cancelled.phase is not state.phase}}
    effects = inbound.step(state, RequestArrived(verified, offering, _PREIMAGE), now).effects
    for effect in effects:
        if isinstance(effect, Refuse):
            return {"refused": effect.rule}
        if isinstance(effect, IssueInvoice):
            told = {"amount_msat": effect.amount_msat, "basetime": effect.basetime, "expires_at": effect.expires_at}
            return {"invoice": told}
    return {"silent": {"recorded": False}}


def _history(offer: Offer, request: VerifiedInvoiceRequest, paid: Given, offering: Offering) -> Inbound:
    """What the payee knows of this payer: its last payment is claimed by the engine itself."""
    stranger = Inbound(offer.offer_id, request.payer_id)
    payments = paid["payments"]
    if not payments:
        return stranger
    before = replace(stranger, next_counter=payments - 1, payments=payments - 1)
    if payments > 1:
        before = replace(before, phase=Phase.ACTIVE, start=paid["start"], basetime=paid["basetime"])
    counter = None if paid["one_off"] else payments - 1
    context = ReceiveContext(
        offer_id=offer.offer_id,
        payer_id=request.payer_id,
        counter=counter,
        start=paid["start"],
        basetime=paid["basetime"],
        amount_msat=Msat(1),
        created_at=UnixSeconds(0),
        preimage=_BEFORE,
    )
    at = UnixSeconds(0)
    reserved = inbound.step(before, PaymentClaimable(context, Msat(1), at, offering), at).state
    state = inbound.step(reserved, PaymentClaimed(context, Msat(1), at, offering), at).state
    if paid["cancelled"]:
        return replace(state, phase=Phase.CANCELLED)
    if paid["open"] is not None:
        return replace(state, open_invoice=OpenInvoice(payments, context.payment_hash))
    return state


def _payer(given: Given) -> Document:
    data = bytes.fromhex(given["request"])
    request = InvoiceRequest.from_bytes(data)
    counter = request.counter or 0
    state = Outbound(
        recurrence_id=RECURRENCE_ID,
        offer_bytes=b"".join(record.raw for record in request.offer_records()),
        mandate=MANDATE,
        terms=Terms(start=request.start, quantity=request.quantity),
        created_at=UnixSeconds(given["asked_at"]),
        next_counter=counter,
        basetime=given["paid"]["basetime"],
        request=PendingRequest(counter, data),
        payments=given["paid"]["payments"],
    )
    invoice, basetime = check_invoice(state, bytes.fromhex(given["invoice"]), UnixSeconds(given["now"]))
    return {"pay": {"amount_msat": invoice.invoice_amount, "basetime": basetime}}


def _invoice_error(given: Given) -> Document:
    error = read_invoice_error(bytes.fromhex(given["invoice_error"]))
    return {"invoice_error": {"text": error.text, "ends_subscription": error.ends_subscription}}
