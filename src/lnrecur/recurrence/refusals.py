"""What a payee's refusal means for the payer: one table, for our own payee's words and for Core Lightning's.

An invoice_error is text for people, with perhaps a field and a better value for it. BOLT 12 names no codes, so texts
are what there is to go by: our payee ends them with the id of the rule, Core Lightning has fixed phrases (v26.06, and
git master of 2026-08). Whatever nobody knows is tried again later: the pay window bounds that. A wrong reading can cost
a period, never money: nothing here pays.

An invoice_error is not signed, but it comes over a reply path that only the payee was shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lnrecur.bolt12 import fields
from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.bolt12.invoice_error import CHANGED_PREFIX, ENDED_PREFIX, TEXT_MAX, InvoiceError, read_invoice_error
from lnrecur.bolt12.offer import Offer
from lnrecur.values import UnixSeconds
from lnrecur.wire.errors import WireError
from lnrecur.wire.integers import decode_tu32


class Verdict(StrEnum):
    """What to do about a refusal."""

    LATER = "later"
    """It may pass: the request is sent again when the next resend is due."""
    WAIT = "wait"
    """Too early: ask again at a moment that the payee names."""
    PAUSED = "paused"
    """The payee serves nobody, or not us, for a while; what passes meanwhile is its loss: tried on, and not missed."""
    MISSED = "missed"
    """Too late: this period cannot be paid any more, and so none behind it."""
    ENDED = "ended"
    """The payee has ended the subscription, or holds it to be over."""
    FINAL = "final"
    """The payee will never answer this request, nor one like it."""
    ADOPT = "adopt"
    """The payee holds this period to be settled: somebody with our seed has paid it, or it is waived."""
    WAIVED = "waived"
    """The payee wants nothing for this period."""
    CHANGED = "changed"
    """The payee has put another offer in the place of this one."""
    ASK = "ask"
    """Only a person can tell what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: texts in which `pattern` is found, and what they mean. A group named `until` is a moment.

    `patience`: this many such refusals in a row are tried again before the verdict holds. `asks_node`: it may mean that
    an earlier payment of ours has arrived, so our money node is asked what became of the one that was given up.
    """

    name: str
    pattern: re.Pattern[str]
    verdict: Verdict
    meaning: str
    patience: int = 0
    asks_node: bool = False


def _row(
    name: str, pattern: str, verdict: Verdict, meaning: str, patience: int = 0, *, asks_node: bool = False
) -> Row:  # fmt: skip
    return Row(name, re.compile(pattern, re.IGNORECASE), verdict, meaning, patience, asks_node)


def _rule(*rules: str) -> str:
    return rf"\[({'|'.join(rules)})\]\s*$"


_V = Verdict
REFUSALS: Final[tuple[Row, ...]] = (
    # V10
    _row("recurrence-changed", rf"^{CHANGED_PREFIX}\s*lno1", _V.CHANGED, "another offer takes its place"),
    _row("recurrence-ended", rf"^({ENDED_PREFIX}|{CHANGED_PREFIX})", _V.ENDED, "the payee ended the subscription"),
    # time
    _row("too early", r"too early.*?(?:can be paid from|\(start)\s+(?P<until>\d{1,20})", _V.WAIT,
         "its pay window is not open yet"),
    _row("too early, some time", r"too early", _V.LATER, "its pay window is not open yet"),
    _row("too late", r"too late", _V.MISSED, "its pay window has closed"),
    _row("period over", _rule("T10"), _V.MISSED, "nothing is left of the period to pay for"),
    _row("paused", r"is paused|" + _rule("Q22"), _V.PAUSED, "the payee has paused"),
    # what the payee remembers of us
    _row("waived", r"\bwaived?\b", _V.WAIVED, "the payee waived the period"),
    _row("paid already", r"(is|has) paid already|already (been )?paid|" + _rule("Q13"), _V.ADOPT,
         "the period is paid already"),
    _row("cancelled", r"has cancelled|invoice (expired \(cancelled\?\)|cancelled)|" + _rule("Q15"), _V.ENDED,
         "the payee holds the subscription to be cancelled; Core Lightning does so too when an invoice of the period "
         "has expired unpaid"),
    _row("cln: previous one expired", r'Previous invoice #\d+ status "expired"', _V.ENDED,
         "the payee holds the subscription to be cancelled: an earlier invoice expired there unpaid"),
    _row("previous one unpaid", r'Previous invoice #\d+ status "unpaid"|is not paid yet|' + _rule("Q14"), _V.LATER,
         "the payee has not seen the payment before this one yet"),
    _row("cln: no previous invoice", r"No previous invoice", _V.ASK, "the payee has forgotten the payment before this",
         patience=3),
    _row("cln: internal error", r"^Internal error", _V.ASK,
         "Core Lightning says only this where a period is paid already, perhaps by another daemon with your seed; if "
         "that is so, approve it as paid elsewhere", patience=3, asks_node=True),
    # the end of the offer
    _row("limit", r"period_index \d+ too great|beyond the last period|every payment of this subscription is made|"
         + _rule("Q8"), _V.ENDED, "the offer has no such period"),
    _row("offer over", r"Offer expired|the offer expired at|closed for new subscribers|" + _rule("O7"), _V.FINAL,
         "the offer takes no new payers"),
    _row("cln: offer disabled", r"Offer no longer available", _V.ENDED, "the payee sells the offer to nobody any more"),
    _row("unknown offer", r"Unknown offer", _V.FINAL, "the payee does not know the offer"),
    # money
    _row("no rate", r"offer_currency.*" + _rule("Q17"), _V.LATER, "the payee has no exchange rate just now"),
    _row("quantity", r"^quantity |invreq_quantity.*" + _rule("Q17", "BR7"), _V.FINAL,
         "the payee does not sell so many"),
    _row("amount", r"Amount (must be at least|vastly exceeds)|" + _rule("Q17"), _V.ASK,
         "the payee asks for another amount"),
    # what was written
    _row("counter missing", r"missing invreq_recurrence_counter|invreq_recurrence_counter: missing", _V.FINAL,
         "the offer is paid by subscription only: `lnrecur subscribe --max-payments 1` pays it once"),
    _row("fields", r"^(missing|unexpected) invreq_|"
         + _rule("Q9", "Q10", "Q11", "Q12", "Q20", "T7"), _V.FINAL, "the payee does not accept what we ask for"),
    _row("unreadable", r"bad signature|wrong chain|unknown feature bit|invalid invreq data|"
         + _rule(r"B[ORIE]\d+", r"D\d+", r"O\d+", "BOLT 12 signature"), _V.FINAL,
         "the payee does not accept what we wrote"),
)  # fmt: skip
"""The first row that fits decides."""
UNKNOWN: Final = _row("unknown", r"", _V.LATER, "the payee gives a reason that we do not know")

_CLN_FRAME: Final = re.compile(r"^Failed invreq lnr1[0-9a-z]*:\s*", re.IGNORECASE)
"""Core Lightning quotes the whole request in front of its reason: alone, it would fill all the text that is kept."""
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal that was read. Nothing in it is believed further than the calendar and the mandate allow."""

    row: Row
    text: str
    field: int | None = None
    until: UnixSeconds | None = None
    next_counter: int | None = None
    """The counter that the payee would rather see."""
    new_offer: bytes | None = None

    def verdict_after(self, times: int) -> Verdict:
        """What to do when this came `times` times in a row before."""
        return Verdict.LATER if times < self.row.patience else self.row.verdict


def read_refusal(data: bytes) -> Refusal:
    """Read an invoice_error and find its row.

    Raises:
        WireError, Bolt12Error: it cannot be read.
    """
    error = read_invoice_error(data)
    text = reason_of(error)
    row, found = next(
        ((row, found) for row in REFUSALS if (found := row.pattern.search(text)) is not None), (UNKNOWN, None)
    )
    until = found["until"] if found is not None and "until" in row.pattern.groupindex else None
    new_offer = _offer_in(error.values[fields.ERROR.name]) if row.verdict is Verdict.CHANGED else None
    if row.verdict is Verdict.CHANGED and new_offer is None:
        row = next(one for one in REFUSALS if one.verdict is Verdict.ENDED)
    return Refusal(
        row=row,
        text=text,
        field=error.erroneous_field,
        until=None if until is None else UnixSeconds(int(until)),
        next_counter=_suggested_counter(error),
        new_offer=new_offer,
    )


def reason_of(error: InvoiceError) -> str:
    """The reason in a refusal, printable and at most 1,000 characters, without the request that it may quote."""
    told: str = error.values[fields.ERROR.name]
    reason = _CLN_FRAME.sub("", told)[:TEXT_MAX]
    return "".join(character if character.isprintable() else _REPLACEMENT for character in reason)


def _suggested_counter(error: InvoiceError) -> int | None:
    counter = fields.INVREQ_RECURRENCE_COUNTER
    if error.suggested_value is None or error.erroneous_field not in (counter.number, counter.cln_number):
        return None
    try:
        return decode_tu32(error.suggested_value)
    except WireError:
        return None


def _offer_in(text: str) -> bytes | None:
    """The offer a payee names, None where there is none that can be read."""
    named = text.removeprefix(CHANGED_PREFIX).split()
    try:
        return Offer.from_text(named[0]).to_bytes() if named else None
    except (WireError, Bolt12Error):
        return None
