"""Every rule of the house in one table: its id, one sentence, and where it is kept.

Rules that one message can break are data with a check of their own in `bolt12/rules.py` and `bolt12/answer_rules.py`;
they are listed from there. Rules about time, history and conduct are kept by the functions named here: the objects
themselves, so that a renamed function cannot leave a stale name behind. `lnrecur rules` and docs/rules.md are made from
this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from lnrecur.bolt12 import answer_rules, invoice_error, message, rules
from lnrecur.bolt12.invoice import Invoice
from lnrecur.recurrence import (
    calendar,
    inbound,
    inbound_answers,
    inbound_orders,
    inbound_payments,
    inbound_periods,
    inbound_rules,
    invoice_checks,
    mandate,
    offer_authenticity,
    outbound,
    outbound_endings,
    outbound_planning,
    outbound_refusals,
    outbound_requests,
    outbound_times,
    payer_keys,
    pricing,
    windows,
)

Keeper = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """One rule as it is listed. `keeper` is dotted, as module.function; empty for a rule that no code of ours keeps."""

    id: str
    text: str
    keeper: str

    @property
    def group(self) -> str:
        """The letters of the id."""
        return self.id.rstrip("0123456789")


_KEPT: Final[tuple[tuple[str, str, Keeper | None], ...]] = (
    ("T1", "period 0 starts at the base, or without one at `invoice_created_at` of the first invoice",
     inbound_payments.claimed),
    ("T2", "period N+1 begins the second period N ends", windows.end_of),
    ("T3", "unit 0: period * N seconds after the start of period 0", calendar.period_start),
    ("T4", "unit 1: period * N days of 86,400 seconds after it", calendar.period_start),
    ("T5", "unit 2: period * N months after it, always counted from period 0; a day that a month lacks becomes its "
     "last day", calendar.period_start),
    ("T6", "leap seconds: unix time has none, so there is nothing to do", None),
    ("T7", "a time beyond 64 bits of seconds is an error, never a wrap-around", calendar.period_start),
    ("T8", "pay window: from `seconds_before` before to, but not including, `seconds_after` after the start; without a "
     "paywindow from the start of the period before to the end of the period", windows.pay_window),
    ("T9", "the first payment of a subscription is not bound by the window, unless the payee's policy says so",
     inbound_rules.price),
    ("T10", "a proportional price is scaled by the time left in the period, rounded up to the msat, never up before it "
     "starts", pricing.price_now),
    ("O7", "`offer_absolute_expiry` binds only the first request of a subscription", inbound_answers.request_arrived),
    ("O8", "`seconds_after` should not exceed the longest period", None),
    ("O9", "an offer that breaks O1 to O6 is not answered", offer_authenticity.write_authentic_offer),
    ("O11", "the limit is read as the highest index; n payments of our own offers are written as n-1, so one payment "
     "cannot be written", inbound_rules.check_request),
    ("Q1", "the first request: a payer_id never used before, counter 0, no cancel", outbound_requests.next_request),
    ("Q2", "later requests: the same payer_id and start, counter one above the highest paid",
     outbound_requests.next_request),
    ("Q3", "start is present exactly when the offer has a base; period index = start + counter",
     outbound_requests.next_request),
    ("Q4", "nothing is requested above the limit", outbound_planning.plan_next),
    ("Q5", "nothing should be requested outside its window", outbound_times.pay_at),
    ("Q6", "a cancel goes out once, in place of the next request, best effort; nothing follows it",
     outbound_endings.send_cancel),
    ("Q7", "metadata is unpredictable to others and differs between different requests; a resend is byte-identical",
     payer_keys.PayerKeys.metadata),
    ("Q13", "refused: a counter that is paid or waived already; the next one is suggested",
     inbound_rules.check_history),
    ("Q14", "refused: a counter whose predecessor is not paid", inbound_rules.check_history),
    ("Q15", "refused: anything after a valid cancel", inbound_rules.check_history),
    ("Q16", "refused: outside the window, for counters above 0; a lenient payee serves late ones, in order; offers in "
     "Core Lightning's dialect are sold for the second too in which the window closes",
     inbound_rules.price),
    ("Q17", "refused: less than the expected amount, which is price times quantity, scaled by T10; or, by our policy, "
     "more than 5 times that",
     inbound_rules.price),
    ("Q18", "a cancel is recorded if it would have been valid as a request, and never answered",
     inbound_answers.cancel_arrived),
    ("Q19", "the same request may get the same invoice again; a different one must not",
     inbound_answers.request_arrived),
    ("Q20", "refused: another start than before", inbound_rules.check_history),
    ("Q21", "what strangers send stores nothing, and the cheapest checks come first",
     inbound_answers.request_arrived),
    ("Q22", "refused for now: while the payee has paused the offer or the subscription; periods that pass are waived",
     inbound_orders.pause),
    ("V2", "basetime is the start of period 0", inbound_rules.price),
    ("V3", "an invoice expires before its pay window closes", inbound_rules.price),
    ("V4", "reader, counter 0: basetime is the offer's base, or `invoice_created_at`", invoice_checks.check_invoice),
    ("V5", "reader, later: basetime is what it was before", invoice_checks.check_invoice),
    ("V6", "the request is mirrored exactly", Invoice.verify_answers),
    ("V8", "nothing is paid without an authorisation of purpose, payee and amount, given beforehand for the whole "
     "series", mandate.exceeds),
    ("V9", "the payee's state of a *paid* invoice is echoed in the next request, byte for byte, at most 1,024 bytes",
     outbound_requests.state_to_echo),
    ("V10", "a refusal that begins with `recurrence-ended:` or `recurrence-changed:` is final",
     outbound_refusals.refused),
    ("V11", "an invoice whose price was converted from a currency expires early, and its receipt names the rate",
     inbound_rules.price),
    ("BI13", "an invoice is paid until it expires, not after", invoice_checks.check_invoice),
    ("BI14", "an invoice that must be paid in several parts is not paid in one", invoice_checks.check_invoice),
    ("BE1", "an invoice_error says what is wrong", invoice_error.read_invoice_error),
    ("BE2", "a suggested value stands only beside the field it is for", invoice_error.read_invoice_error),
    ("D1", "a message speaks one dialect: fields of both are refused", message.read_fields),
    ("P1", "at most one settled payment per subscription and counter", inbound.step),
    ("P2", "never above the mandate", mandate.exceeds),
    ("P3", "no period is lost silently: it is paid, waived, missed or cancelled, each with an event",
     inbound_periods.due),
    ("P4", "the state is stored before the message is sent", outbound.step),
    ("P5", "events come at least once, in order", outbound.step),
    ("P6", "the books of both sides agree once everything is quiet", outbound.step),
)  # fmt: skip

_TABLES: Final = (
    (rules, ("RECURRENCE_RULES", "OFFER_RULES", "INVOICE_REQUEST_RULES", "INVOICE_RULES")),
    (answer_rules, ("ANSWERING_REQUEST_RULES", "UNPROMPTED_WRITER_RULES", "ANSWERING_INVOICE_RULES")),
)
GROUPS: Final = {
    "T": "time",
    "O": "offers",
    "Q": "invoice requests",
    "V": "invoices, mandates and states",
    "BO": "offers in merged BOLT 12",
    "BR": "invoice requests in merged BOLT 12",
    "BI": "invoices in merged BOLT 12",
    "BE": "invoice errors in merged BOLT 12",
    "D": "dialects",
    "P": "our promises",
}
"""The groups of rules, in the order they are listed."""


def all_rules() -> tuple[Listed, ...]:
    """Every rule once, by group and number."""
    found = {listed.id: listed for listed in (*_from_tables(), *_from_keepers())}
    order = list(GROUPS)

    def place(listed: Listed) -> tuple[int, int]:
        return order.index(listed.group), int(listed.id.removeprefix(listed.group))

    return tuple(sorted(found.values(), key=place))


def _from_tables() -> Iterator[Listed]:
    for module, tables in _TABLES:
        for table in tables:
            for rule in getattr(module, table):
                yield Listed(rule.id, rule.text, f"{module.__name__}.{table}")


def _from_keepers() -> Iterator[Listed]:
    for rule_id, text, keeper in _KEPT:
        yield Listed(rule_id, text, "" if keeper is None else f"{keeper.__module__}.{keeper.__qualname__}")
