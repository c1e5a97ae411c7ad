"""What a payer proves of an invoice before its mandate is even asked: V4 to V7 and the reader's MUSTs of BOLT 12."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.bolt12.invoice import Invoice, VerifiedInvoice
from lnrecur.bolt12.invoice_request import InvoiceRequest
from lnrecur.bolt12.offer import Offer
from lnrecur.errors import Fault
from lnrecur.recurrence.errors import CalendarError, RecurrenceError
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.recurrence.windows import pay_window, start_of
from lnrecur.values import Point, UnixSeconds
from lnrecur.wire.errors import WireError

CLOCK_SKEW_S: Final = 3600
"""How far the payee's clock may be from ours. Where invoice_created_at becomes the start of period 0, an older one
would make periods due at once that nobody agreed to."""
_MPP_COMPULSORY: Final = 1 << 16


class InvoiceRefused(RecurrenceError):
    """The invoice must not be paid; the text names the rule.

    Attributes:
        rule: the id of the broken rule; None where nothing was asked.
    """

    fault = Fault.PEER

    def __init__(self, told: str, rule: str | None = None) -> None:
        super().__init__(told if rule is None or f"[{rule}]" in told else f"{told} [{rule}]")
        self.rule = rule


@lru_cache(maxsize=128)
def read_invoice(data: bytes) -> Invoice:
    """An invoice from its bytes: it is checked, paid and booked within moments, and read once for all of that.

    Raises:
        WireError, Bolt12Error: as `Invoice.from_bytes`.
    """
    return Invoice.from_bytes(data)


def must_be_split(data: bytes) -> bool:
    """Whether these bytes are an invoice that must be paid in several parts (MPP, compulsory)."""
    try:
        invoice = read_invoice(data)
    except (WireError, Bolt12Error):
        return False
    return bool(int.from_bytes(invoice.invoice_features or b"", "big") & _MPP_COMPULSORY)


def check_invoice(
    state: Outbound, data: bytes, now: UnixSeconds, *, can_split: bool | None = False
) -> tuple[VerifiedInvoice, UnixSeconds | None]:
    """Prove an invoice the answer to the pending request; answers it with the start of period 0 it stands for.

    A one-off has no periods, and answers None. `can_split`: whether the money node can pay in several parts; None if
    that is unknown.

    Raises:
        InvoiceRefused: nothing was asked, it cannot be read, it is not the answer, its basetime is wrong (V1, V4,
            V5), its period cannot be counted (T7) or is not due yet (T8), it asks for nothing, it has expired, or it
            must be paid in parts by a node that cannot do that.
    """
    if state.request is None:
        raise InvoiceRefused("no request waits for an invoice")
    try:
        invoice = read_invoice(data)
        verified = invoice.verify_answers(
            InvoiceRequest.from_bytes(state.request.data), _asked(state.offer, invoice.node_id)
        )
    except (WireError, Bolt12Error) as error:
        rule = error.rule if isinstance(error, Bolt12Error) else "BOLT 1"
        raise InvoiceRefused(f"the payee's invoice is refused: {error}", rule) from error
    if not can_split and must_be_split(data):
        why = "the money node pays in one" if can_split is False else "the money node does not say whether it can"
        raise InvoiceRefused(f"invoice_features: it must be paid in several parts, and {why}", "BI14")
    if now > verified.expires_at:
        raise InvoiceRefused(f"the invoice expired at {verified.expires_at}, it is {now}", "BI13")
    if state.one_off:
        return _some_amount(verified), None
    basetime = _basetime(state, verified, now)
    try:
        start_of(state.recurrence, basetime, state.next_index)
        window = pay_window(state.recurrence, basetime, state.next_index)
    except CalendarError as error:
        raise InvoiceRefused(str(error), "T7") from error
    if state.basetime is None and state.next_counter and now < window.opens:  # others made the payments before it
        told = f"period {state.next_index} can be paid from {window.opens}, it is {now}"
        raise InvoiceRefused(f"invoice_recurrence_basetime is {basetime}, so {told}", "T8")
    return _some_amount(verified), basetime


def _some_amount(invoice: VerifiedInvoice) -> VerifiedInvoice:
    """No rule forbids an invoice for nothing; it comes last, so that a rule that is broken too is named."""
    if invoice.invoice_amount == 0:
        raise InvoiceRefused("invoice_amount: nothing can be paid with 0 msat")
    return invoice


def _asked(offer: Offer, signer: Point) -> Point:
    """Whom the request was sent to (V7): the issuer, or the end of one of the offer's paths."""
    if offer.issuer_id is not None:
        return offer.issuer_id
    ends = [path.hops[-1].blinded_node_id for path in offer.paths or ()]
    return signer if signer in ends else ends[0]


def _basetime(state: Outbound, invoice: VerifiedInvoice, now: UnixSeconds) -> UnixSeconds:
    told = invoice.basetime
    assert told is not None, "verify_answers refuses a recurring invoice without one (V1)"
    base = state.recurrence.base
    if state.basetime is not None:
        expected, rule, source = state.basetime, "V5", "the paid invoices before it said"
    elif base is not None:
        expected, rule, source = UnixSeconds(base.basetime), "V4", "the offer's base says"
    elif state.next_counter:  # the first payment was made by another holder of our seed, and this tells its moment
        expected, rule, source = UnixSeconds(told), "V5", "it says"
    else:
        expected, rule, source = invoice.created_at, "V4", "its own invoice_created_at says"
    if told != expected:
        raise InvoiceRefused(f"invoice_recurrence_basetime is {told}, {source} {expected}", rule)
    anchored = state.basetime is not None or base is not None
    if not anchored and not state.created_at - CLOCK_SKEW_S <= told <= now + CLOCK_SKEW_S:
        asked = f"but it was asked for after {state.created_at}, and it is {now}"
        raise InvoiceRefused(f"invoice_recurrence_basetime is {told}, {asked}", "T1")
    return UnixSeconds(told)
