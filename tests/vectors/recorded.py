"""The recorded conversations of Core Lightning v26.06.6, as events in the order they happened, and our payee in them.

A file becomes `Exchange`s (a request that reached an issuer, and what the issuer did about it) and `Paid`s (an invoice
that was paid). `replay` takes our payee through them: before each request it knows what the recorded issuer knew, that
is what was paid and what was cancelled, and its clock shows what the issuer's clock showed.

The offers are not ours, so their metadata holds no MAC of ours: the decision is called below the authenticity check,
and below the service that knows which offers are open, which chain it is on and what it answered a moment ago.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from lnrecur.bolt12 import Invoice, InvoiceRequest
from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.crypto.hashes import sha256
from lnrecur.recurrence import inbound
from lnrecur.recurrence.effects import IssueInvoice, Refuse
from lnrecur.recurrence.inbound_model import CancelArrived, Inbound, PaymentClaimed, RequestArrived
from lnrecur.recurrence.offering import Offering, OfferPolicy
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.values import OfferId, Point, Preimage, UnixSeconds
from lnrecur.wire.errors import WireError
from lnrecur.wire.text import decode_text

DATA: Final = Path(__file__).parent / "data" / "cln"
FILES: Final = (
    "external_issuer_recurring.json",
    "external_payer_hooks.json",
    "plain_exchanges.json",
    "recurrence_base.json",
    "recurrence_basic.json",
    "recurrence_cancel.json",
    "recurrence_limit.json",
    "recurrence_months_days.json",
    "recurrence_optional.json",
    "recurrence_paywindow.json",
    "spec_draft_tlv_numbers.json",
)
"""Where requests were sent; offers, derivations and period_calculation hold none."""

TEN_YEARS_S: Final = 315_360_000
ONE_OFFS: Final = OfferPolicy(invoice_expiry_s=7200, fiat_expiry_s=7200)
RATES: Final = {
    currency: ExchangeRate(currency, minor_per_btc, UnixSeconds(0), "the recorded issuer's plugin")
    for currency, minor_per_btc in (("USD", 6_666_667), ("JPY", 10_000_000))
}
"""What its invoices tell of its rates: 15,000 msat for a cent, 10,000 for a yen."""
SUBSCRIPTIONS: Final = OfferPolicy(invoice_expiry_s=TEN_YEARS_S)
"""An issuer that chooses as Core Lightning does where the choice is the issuer's: strict windows, two hours to pay a
one-off, and the whole rest of the window to pay a period."""

Key = tuple[str, int]
"""A file and the number of a step in it."""


@dataclass(frozen=True)
class Exchange:
    """A request that reached an issuer. Neither `invoice` nor `refusal`: the issuer was silent."""

    file: str
    step: int
    at: UnixSeconds
    """What the issuer's clock showed."""
    request: bytes
    invoice: bytes | None = None
    refusal: str | None = None
    error: bytes | None = None
    """The invoice_error that carried the refusal, where it was recorded."""
    by: str = "node"
    """Who was there: "node" (Core Lightning on both sides), "script" (the recorder was the issuer), "recorder" (the
    recorder was the payer) or "reader" (Core Lightning would not even send what the recorder wrote)."""
    tamper: str | None = None
    """What the script did wrong on purpose."""

    @property
    def key(self) -> Key:
        return self.file, self.step


@dataclass(frozen=True)
class Paid:
    """An invoice was paid."""

    at: UnixSeconds
    preimage: Preimage


@cache
def parsed(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / file).read_text())
    return found


def steps(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parsed(file)["steps"]
    return found


def events(file: str) -> Iterator[Exchange | Paid]:
    """What happened, in order."""
    for number, step in enumerate(steps(file)):
        if step.get("method") in ("pay", "xpay") and "result" in step:
            preimage = Preimage(bytes.fromhex(step["result"]["payment_preimage"]))
            yield Paid(UnixSeconds(int(step["time_after"])), preimage)
        for reached in (_nodes(step), _recorder(step), _script(step), _reader(step)):
            if reached is not None:
                yield Exchange(file, number, **reached)


def exchanges(file: str) -> list[Exchange]:
    return [event for event in events(file) if isinstance(event, Exchange)]


def _nodes(step: dict[str, Any]) -> dict[str, Any] | None:
    """Both nodes are Core Lightning; their hooks recorded what they received."""
    received = {message["kind"]: message for message in step.get("messages", ())}
    if "invoice_request" not in received:
        return None
    return {
        "at": UnixSeconds(int(received["invoice_request"]["time"])),
        "request": bytes.fromhex(received["invoice_request"]["tlv_hex"]),
        "invoice": _bytes(received.get("invoice")),
        "error": _bytes(received.get("invoice_error")),
        "refusal": received.get("invoice_error", {}).get("error"),
    }


def _recorder(step: dict[str, Any]) -> dict[str, Any] | None:
    """The payer is the recorder, which listens with a hook."""
    if "hook_payload" not in step:
        return None
    return {
        "at": UnixSeconds(int(step["time_before"])),
        "request": bytes.fromhex(step["invoice_request"]["tlv_hex"]),
        "invoice": _bytes(step.get("invoice")),
        "error": _bytes(step.get("invoice_error")),
        "refusal": step.get("invoice_error", {}).get("error"),
        "by": "recorder",
    }


def _script(step: dict[str, Any]) -> dict[str, Any] | None:
    """The issuer is a script of the recorder."""
    if not step.get("issuer_log"):
        return None
    (entry,) = step["issuer_log"]
    return {
        "at": UnixSeconds(int(step["time_before"])),
        "request": bytes.fromhex(entry["invoice_request"]["tlv_hex"]),
        "invoice": _bytes(entry.get("invoice")),
        "refusal": step["error"]["data"]["error"] if entry["tamper"] == "error" else None,
        "by": "script",
        "tamper": entry["tamper"],
    }


def _reader(step: dict[str, Any]) -> dict[str, Any] | None:
    """The reader of the sending node refused what the recorder wrote."""
    message = step.get("error", {}).get("message", "")
    if step.get("method") != "dev-rawrequest" or not message.startswith("invreq: Unparsable invreq: "):
        return None
    return {
        "at": UnixSeconds(int(step["time_before"])),
        "request": decode_text(step["params"]["invreq"])[1],
        "refusal": message.removeprefix("invreq: Unparsable invreq: ").split(": invalid token")[0],
        "by": "reader",
    }


def _bytes(entry: dict[str, Any] | None) -> bytes | None:
    return None if entry is None else bytes.fromhex(entry["tlv_hex"])


# --- verdicts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What a payee did about a request: `kind` is invoice, refusal or silence."""

    kind: str
    reason: str = ""
    """Of a refusal: our rule, or their text."""
    answers: str = ""
    """Of an invoice: which request it mirrors."""
    amount: int | None = None
    basetime: int | None = None
    expires: int | None = None

    def told(self, other: "Verdict") -> str:
        """In words, as far as it differs from the other."""
        if self.kind != "invoice":
            return f"{self.kind}: {self.reason}" if self.reason else self.kind
        names = ("answers", "amount", "basetime", "expires") if other.kind == "invoice" else ()
        differing = [f"{name} {getattr(self, name)}" for name in names if getattr(self, name) != getattr(other, name)]
        return f"invoice: {', '.join(differing)}" if differing else "invoice"


def recorded_verdict(exchange: Exchange) -> Verdict:
    """What the recorded issuer did."""
    if exchange.invoice is not None:
        invoice = Invoice.from_bytes(exchange.invoice)
        asked = InvoiceRequest.from_bytes(exchange.request).request_records()
        mirrored = "this request" if invoice.request_records() == asked else "another request"
        return Verdict("invoice", "", mirrored, invoice.invoice_amount, invoice.basetime, invoice.expires_at)
    if exchange.refusal is not None:
        return Verdict("refusal", re.sub(r"^Failed invreq \S+: ", "", exchange.refusal))
    return Verdict("silence")


# --- our payee -------------------------------------------------------------------------------------------------------


def replay(file: str) -> Iterator[tuple[Exchange, Verdict]]:
    """Every request of a file, with our verdict."""
    issuer = _Issuer()
    for event in events(file):
        if isinstance(event, Paid):
            issuer.paid(event)
        else:
            yield event, issuer.asked(event)


class _Issuer:
    """Our decision in the place of the recorded issuer."""

    def __init__(self) -> None:
        self._states: dict[tuple[OfferId, Point], Inbound] = {}
        self._invoices: dict[bytes, tuple[InvoiceRequest, Invoice]] = {}

    def asked(self, exchange: Exchange) -> Verdict:
        try:
            request = InvoiceRequest.from_bytes(exchange.request).verify_signature()
        except (WireError, Bolt12Error) as error:
            return Verdict("refusal", str(error.details()["rule"]))
        if exchange.invoice is not None:
            invoice = Invoice.from_bytes(exchange.invoice)
            self._invoices[invoice.payment_hash] = (request, invoice)
        offering = Offering(ONE_OFFS if request.counter is None else SUBSCRIPTIONS, request.recurrence)
        state = self._state(request)
        if request.is_cancel:
            step = inbound.step(state, CancelArrived(request, offering), exchange.at)
        else:
            preimage = Preimage(sha256(exchange.file.encode(), bytes([exchange.step])))
            rate = RATES.get(request.currency or "")
            step = inbound.step(state, RequestArrived(request, offering, preimage, rate), exchange.at)
        self._states[request.offer_id, request.payer_id] = step.state
        for effect in step.effects:
            if isinstance(effect, Refuse):
                return Verdict("refusal", effect.rule)
            if isinstance(effect, IssueInvoice):
                return Verdict("invoice", "", "this request", effect.amount_msat, effect.basetime, effect.expires_at)
        return Verdict("silence")

    def paid(self, paid: Paid) -> None:
        """The issuer's node has claimed the payment of an invoice it gave."""
        request, invoice = self._invoices[sha256(paid.preimage)]
        context = ReceiveContext(
            offer_id=request.offer_id,
            payer_id=request.payer_id,
            counter=request.counter,
            start=request.start,
            basetime=None if invoice.basetime is None else UnixSeconds(invoice.basetime),
            amount_msat=invoice.invoice_amount,
            created_at=invoice.created_at,
            preimage=paid.preimage,
            quantity=request.quantity,
        )
        offering = Offering(SUBSCRIPTIONS, request.recurrence)
        claimed = PaymentClaimed(context, invoice.invoice_amount, paid.at, offering)
        step = inbound.step(self._state(request), claimed, paid.at)
        self._states[request.offer_id, request.payer_id] = step.state

    def _state(self, request: InvoiceRequest) -> Inbound:
        known = self._states.get((request.offer_id, request.payer_id))
        return known or Inbound(request.offer_id, request.payer_id)
