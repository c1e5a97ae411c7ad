"""Every recorded answer through our payer: it takes what Core Lightning's payer took, or the difference is listed.

A period's invoice goes through the whole state machine, with a mandate for exactly the offer's price: accepted means
that the payment is started, "asks" that a person must agree first. A one-off has no mandate; its invoice is proved the
answer to its request. The times at which Core Lightning's payer would not ask yet, or no more, are compared as well.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer, decode
from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.bolt12.fields import in_offer_range
from lnrecur.bolt12.recurrence_terms import Recurrence
from lnrecur.crypto.hashes import sha256
from lnrecur.recurrence import outbound
from lnrecur.recurrence.effects import Emit, Pay
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import InvoiceArrived, Outbound, PendingRequest, Phase, RefusalArrived, Terms
from lnrecur.recurrence.pricing import full_price
from lnrecur.recurrence.refusals import Verdict, read_refusal
from lnrecur.recurrence.windows import end_of, pay_window, start_of
from lnrecur.values import RecurrenceId, UnixSeconds
from lnrecur.wire.tlv import TlvStream
from vectors.recorded import FILES, Exchange, Paid, events, steps
from vectors.recorded_differences import PAYER


@dataclass(frozen=True)
class Answered:
    """An exchange, and the start of period 0 its payer knew from the invoices it had paid."""

    exchange: Exchange
    request: InvoiceRequest
    basetime: UnixSeconds | None

    @property
    def step(self) -> dict[str, Any]:
        return steps(self.exchange.file)[self.exchange.step]

    @property
    def now(self) -> UnixSeconds:
        """When the payer had the answer."""
        return UnixSeconds(int(self.step["time_after"]))


def _answered(file: str) -> Iterator[Answered]:
    basetimes: dict[bytes, UnixSeconds] = {}
    invoices: dict[bytes, Invoice] = {}
    for event in events(file):
        if isinstance(event, Paid):
            paid = invoices[sha256(event.preimage)]
            if paid.basetime is not None:
                basetimes.setdefault(paid.payer_id, UnixSeconds(paid.basetime))
            continue
        if event.invoice is not None:
            invoice = Invoice.from_bytes(event.invoice)
            invoices[invoice.payment_hash] = invoice
        if event.invoice is not None or event.error is not None:
            try:
                request = InvoiceRequest.from_bytes(event.request)
            except Bolt12Error:  # written by the recorder to be refused; our payer would never have sent it
                continue
            yield Answered(event, request, basetimes.get(request.payer_id))


ANSWERED = [answered for file in FILES for answered in _answered(file)]
INVOICED = [answered for answered in ANSWERED if answered.exchange.invoice is not None]
JUDGED = [answered for answered in INVOICED if answered.exchange.by != "recorder"]
UNJUDGED = [answered for answered in INVOICED if answered.exchange.by == "recorder"]
REFUSED = [
    answered
    for answered in ANSWERED
    if answered.exchange.error is not None and answered.request.counter is not None and not answered.request.is_cancel
]


def _name(answered: Answered) -> str:
    return f"{answered.exchange.file.removesuffix('.json')}-{answered.exchange.step}"


def _subscription(answered: Answered) -> Outbound:
    """Our payer in the moment before the answer arrives."""
    request = answered.request
    assert request.counter is not None
    price = full_price(request, request.quantity)
    assert price is not None
    return Outbound(
        recurrence_id=RecurrenceId(bytes(32)),
        offer_bytes=TlvStream([record for record in request.stream if in_offer_range(record.type)]).to_bytes(),
        mandate=Mandate(price),
        terms=Terms(start=request.start, quantity=request.quantity),
        created_at=UnixSeconds(int(answered.step["time_before"])),
        phase=Phase.REQUESTING if request.counter else Phase.AWAITING_FIRST_INVOICE,
        next_counter=request.counter,
        basetime=answered.basetime,
        request=PendingRequest(request.counter, answered.exchange.request),
    )


def _ours(answered: Answered) -> str:
    data = answered.exchange.invoice
    assert data is not None
    if answered.request.counter is None:
        return _one_off(answered.request, Invoice.from_bytes(data))
    step = outbound.step(_subscription(answered), InvoiceArrived(data), answered.now)
    if any(isinstance(effect, Pay) for effect in step.effects):
        assert step.state.phase is Phase.PAYING
        return "accepts"
    if step.state.phase is Phase.NEEDS_APPROVAL:
        return "asks"
    (refused,) = (effect for effect in step.effects if isinstance(effect, Emit))
    assert refused.name == "subscription.invoice_refused"
    return f"refuses: {str(refused.data['why']).split('[')[-1].removesuffix(']')}"


def _one_off(request: InvoiceRequest, invoice: Invoice) -> str:
    ends = [path.hops[-1].blinded_node_id for path in request.paths or ()]
    try:
        verified = invoice.verify_answers(request, request.issuer_id or ends[0])
    except Bolt12Error as error:
        return f"refuses: {error.rule}"
    assert verified.to_bytes() == invoice.to_bytes()
    return "accepts"


def _theirs(step: dict[str, Any]) -> str:
    """Core Lightning's fetchinvoice: an error, or the invoice and what is unexpected about it."""
    if "error" in step:
        return f"refuses: {re.sub(r' field in .*', '', step['error']['message']).removeprefix('Incorrect ')}"
    return "asks" if step["result"].get("changes") else "accepts"


MEANINGS = {
    "invoice_recurrence_basetime": "V1",
    "invoice_request match": "V6",
    "invoice_node_id": "V7",
    "signature": "BOLT 12 signature",
}
"""The field Core Lightning finds incorrect, and our rule."""


@pytest.mark.parametrize("answered", JUDGED, ids=_name)
def test_our_payer_takes_what_core_lightnings_took_or_the_difference_is_listed(answered: Answered) -> None:
    ours, theirs = _ours(answered), _theirs(answered.step)
    listed = PAYER.get(answered.exchange.key)
    if listed is not None:
        assert (ours, theirs) == (listed.ours, listed.theirs)
        assert ours != theirs
    elif theirs.startswith("refuses: "):
        assert ours == f"refuses: {MEANINGS[theirs.removeprefix('refuses: ')]}"
    else:
        assert ours == theirs


@pytest.mark.parametrize("answered", UNJUDGED, ids=_name)
def test_our_payer_takes_what_the_recorder_got_from_core_lightning(answered: Answered) -> None:
    assert _ours(answered) == "accepts"


@pytest.mark.parametrize("answered", REFUSED, ids=_name)
def test_a_recorded_refusal_is_understood_and_told_without_the_request_it_quotes(answered: Answered) -> None:
    before = _subscription(answered)
    error = answered.exchange.error
    assert error is not None
    verdict = read_refusal(error).verdict_after(0)
    step = outbound.step(before, RefusalArrived(error, bytes(8)), answered.now)
    if verdict is Verdict.MISSED and not before.next_counter:  # nothing is paid: it begins with a later period
        assert (step.state.terms.start or 0) > (before.terms.start or 0)
        assert step.state.request is None
        return
    if verdict in (Verdict.ENDED, Verdict.FINAL, Verdict.MISSED):
        assert step.state.phase is Phase.LAPSED
    elif verdict is Verdict.ASK:
        assert step.state.phase is Phase.NEEDS_APPROVAL
    else:
        assert step.state.phase is before.phase
        assert step.state.request is not None
        assert before.request is not None
        assert step.state.request.data == before.request.data
    reason = str(answered.exchange.refusal).rsplit("lnr1", 1)[-1].split(": ", 1)[-1]
    assert reason in (step.state.problem or "")
    assert "lnr1" not in (step.state.problem or "")


def test_every_recorded_refusal_is_known() -> None:
    errors = [answered.exchange.error for answered in REFUSED]
    found = Counter(read_refusal(error).row.name for error in errors if error is not None)
    assert found == {
        "cancelled": 2,
        "cln: internal error": 4,
        "cln: previous one expired": 1,
        "fields": 1,
        "limit": 1,
        "too early": 6,
        "too late": 2,
    }


def test_every_answer_was_judged_and_every_listed_difference_is_one_of_them() -> None:
    assert (len(JUDGED), len(UNJUDGED), len(REFUSED)) == (98, 6, 17)
    assert set(PAYER) <= {answered.exchange.key for answered in JUDGED}
    agreed = Counter(_ours(answered) for answered in JUDGED if answered.exchange.key not in PAYER)
    assert agreed == {"accepts": 81, "asks": 1, "refuses: V1": 1, "refuses: V6": 3, "refuses: V7": 2,
                      "refuses: BOLT 12 signature": 1}  # fmt: skip


# --- refunds: an invoice in answer to a request that answers no offer ------------------------------------------------

REFUNDS = [
    (step["params"]["invreq"], message["bolt12"], step["result"]["status"])
    for step in steps("plain_exchanges.json")
    if step.get("method") == "sendinvoice"
    for message in step["messages"]
]


@pytest.mark.parametrize("refund", REFUNDS, ids=["public", "private"])
def test_the_invoice_of_a_refund_that_core_lightning_paid_answers_its_request(refund: tuple[str, str, str]) -> None:
    request, invoice = InvoiceRequest.from_text(refund[0]), Invoice.from_text(refund[1])
    request.verify_signature()
    assert invoice.verify_answers(request, invoice.node_id).invoice_amount == request.invreq_amount
    assert refund[2] == "paid"


# --- when Core Lightning's payer would ask next ----------------------------------------------------------------------

FETCHED = [answered for answered in JUDGED if "next_period" in answered.step.get("result", {})]


@pytest.mark.parametrize("answered", FETCHED, ids=_name)
def test_the_next_period_is_where_core_lightning_says_it_is(answered: Answered) -> None:
    told = answered.step["result"]["next_period"]
    recurrence, basetime, index = answered.request.recurrence, _told_basetime(answered), answered.request.period_index
    assert recurrence is not None
    assert told["counter"] == (answered.request.counter or 0) + 1
    assert told["starttime"] == start_of(recurrence, basetime, index + 1)
    assert told["endtime"] == end_of(recurrence, basetime, index + 1) - 1
    assert _window(recurrence, basetime, index + 1) == (told["paywindow_start"], told["paywindow_end"])


def _told_basetime(answered: Answered) -> int:
    assert answered.exchange.invoice is not None
    basetime = Invoice.from_bytes(answered.exchange.invoice).basetime
    assert basetime is not None
    return basetime


def _window(recurrence: Recurrence, basetime: int, index: int) -> tuple[int, int]:
    """First and last second in Core Lightning's words: a paywindow's end still counts (section 6, end of window)."""
    window = pay_window(recurrence, basetime, index)
    return window.opens, window.closes - (recurrence.paywindow is None)


TOO_SOON = re.compile(r"Too early: can't send until time (\d+)")
TOO_LATE = re.compile(r"Too late: expired time (\d+)")
UNTIMELY = [
    (file, number)
    for file in FILES
    for number, step in enumerate(steps(file))
    if re.match("Too (early|late): ", step.get("error", {}).get("message", ""))
]


@pytest.mark.parametrize(("file", "number"), UNTIMELY)
def test_the_window_is_closed_when_core_lightning_would_not_ask(file: str, number: int) -> None:
    step = steps(file)[number]
    offer = decode(step["params"]["offer"])
    assert isinstance(offer, Offer)
    recurrence = offer.recurrence
    assert recurrence is not None
    index = step["params"].get("recurrence_start", 0) + step["params"]["recurrence_counter"]
    basetime = recurrence.base.basetime if recurrence.base is not None else _first_basetime(file, number)
    opens, last = _window(recurrence, basetime, index)
    soon, late = TOO_SOON.match(step["error"]["message"]), TOO_LATE.match(step["error"]["message"])
    assert (soon and int(soon[1])) in (None, opens)
    assert (late and int(late[1])) in (None, last)
    assert not pay_window(recurrence, basetime, index).contains(int(step["time_before"]))


def _first_basetime(file: str, number: int) -> int:
    """What the first invoice of that subscription said, which Core Lightning knows by its label."""
    params = steps(file)[number]["params"]
    wanted = (params["offer"], params["recurrence_label"], 0)
    for step in steps(file)[:number]:
        asked = step.get("params", {})
        found = (asked.get("offer"), asked.get("recurrence_label"), asked.get("recurrence_counter"))
        if found == wanted and "result" in step:
            invoice = decode(step["result"]["invoice"])
            assert isinstance(invoice, Invoice)
            assert invoice.basetime is not None
            return invoice.basetime
    raise AssertionError(f"no first invoice for {json.dumps(wanted)}")


def test_all_times_were_compared() -> None:
    assert (len(FETCHED), len(UNTIMELY), len(REFUNDS)) == (43, 15, 2)
