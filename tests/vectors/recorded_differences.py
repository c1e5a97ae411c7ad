"""Every place where we decide otherwise than the recorded Core Lightning v26.06.6, and why. The tests hold it complete
and free of rows that are no longer true.

`point` is a row of RECURRENCE.md section 6, word for word, or what else the difference is a matter of.
"""

from typing import Final, NamedTuple

# Rows of RECURRENCE.md section 6.
UNPAID_CANCEL: Final = "cancel while an unpaid invoice of that counter is out"
OTHER_REQUEST: Final = "same payer_id and counter, other metadata or amount"
START_CHANGED: Final = "start changed between requests"
OPTIONAL_OFFER: Final = "optional offer, request without counter"
TWICE: Final = "the same request twice"
BASETIME_CHECKS: Final = "payer checks of the invoice's basetime"
FIRST_WINDOW: Final = "windows for the first request"
ZERO_CANCEL: Final = "cancel at counter 0"
# What section 6 does not name.
RULE: Final = "a rule of RECURRENCE.md that Core Lightning does not follow, or reads otherwise"
CHOICE: Final = "a choice the text leaves to the payee"
OTHER_FLOOR: Final = "decided on another floor of ours"
RATES: Final = "no exchange rates in this version"
SCRIPT: Final = "the recorder's script is the issuer, not Core Lightning"
RAW: Final = "dev-rawrequest hands its caller any answer unread"
DIALECT: Final = "two dialects: Core Lightning knows its own numbers only"


class Difference(NamedTuple):
    ours: str
    theirs: str
    point: str
    why: str


Key = tuple[str, int]

_NO_CHECK = "fetchinvoice only checks that a recurring invoice has a basetime"
_ONE_MINUTE = "V3 ends the invoice with the window; Core Lightning gives the first one of an offer without a base 60 s"
_NOT_ENFORCED = "T9: we bind counter 0 to no window, Core Lightning does"
_CLOSED = "PayeeService knows which offers are closed (used up, disabled); the decision below it does not"

PAYEE: Final[dict[Key, Difference]] = {
    ("external_issuer_recurring.json", 24): Difference(
        "refusal: Q15", "invoice", SCRIPT, "it answers whatever it is asked, even after a cancel"
    ),
    ("plain_exchanges.json", 73): Difference(
        "invoice", "refusal: Offer no longer available", OTHER_FLOOR, _CLOSED
    ),
    ("plain_exchanges.json", 77): Difference(
        "invoice", "refusal: Offer no longer available", OTHER_FLOOR, _CLOSED
    ),
    ("plain_exchanges.json", 110): Difference(
        "invoice", "refusal: Unknown offer", OTHER_FLOOR,
        "a changed offer is not authentic (offer_authenticity.is_ours) and PayeeService ignores it",
    ),
    ("plain_exchanges.json", 114): Difference(
        "invoice: answers this request", "invoice: answers another request", OTHER_REQUEST,
        "other features; a payer must refuse the old invoice (V6)",
    ),
    ("plain_exchanges.json", 117): Difference(
        "refusal: BR8", "invoice", RULE, "an amount of 0 leaves nothing to pay; Core Lightning writes an invoice over 0"
    ),
    ("plain_exchanges.json", 118): Difference(
        "invoice: answers this request, amount 1000", "invoice: answers another request, amount 0", OTHER_REQUEST,
        "asked for 1000 msat, the payer gets the old invoice over 0",
    ),
    ("recurrence_base.json", 13): Difference("refusal: Q20", "invoice", START_CHANGED, "start 4 after start 5"),
    ("recurrence_base.json", 15): Difference(
        "refusal: Q20", "refusal: period_index 7 too early (start 1795331340)", START_CHANGED,
        "step 13 was paid with start 4, so here start 5 is the changed one; Core Lightning sees the window only",
    ),
    ("recurrence_base.json", 17): Difference(
        "invoice", "refusal: period_index 7 too early (start 1795331340)", FIRST_WINDOW, _NOT_ENFORCED
    ),
    ("recurrence_base.json", 18): Difference(
        "invoice", "refusal: period_index 4 too late (ended 1795331319)", FIRST_WINDOW, _NOT_ENFORCED
    ),
    ("recurrence_base.json", 25): Difference(
        "invoice", "refusal: period_index 0 too early (start 1795331336)", FIRST_WINDOW, _NOT_ENFORCED
    ),
    ("recurrence_basic.json", 7): Difference(
        "invoice: basetime 1795331113, expires 1795331124", "invoice: basetime 1795331112, expires 1795331123", TWICE,
        "the very bytes come again: PayeeService answers from the pending invoice, the decision below it anew",
    ),
    ("recurrence_cancel.json", 16): Difference(
        "refusal: Q15", "invoice", UNPAID_CANCEL, "we recorded the cancel of step 15, Core Lightning lost it"
    ),
    ("recurrence_cancel.json", 24): Difference(
        "silence", 'refusal: Previous invoice #1 status "expired"', RULE, "Q18: a cancel is never answered"
    ),
    ("recurrence_optional.json", 1): Difference(
        "invoice", "refusal: missing invreq_recurrence_counter", OPTIONAL_OFFER, "Q9: we answer with a one-off"
    ),
    ("recurrence_paywindow.json", 1): Difference(
        "invoice: expires 1795331263", "invoice: expires 1795331320", FIRST_WINDOW, _ONE_MINUTE
    ),
    ("recurrence_paywindow.json", 4): Difference(
        "invoice: expires 1795331265", "invoice: expires 1795331322", FIRST_WINDOW, _ONE_MINUTE
    ),
}  # fmt: skip
"""What our payee does with a recorded request, and what the recorded issuer did."""

PAYER: Final[dict[Key, Difference]] = {
    ("external_issuer_recurring.json", 11): Difference("refuses: V4", "accepts", BASETIME_CHECKS, _NO_CHECK),
    ("external_issuer_recurring.json", 12): Difference("refuses: V4", "accepts", BASETIME_CHECKS, _NO_CHECK),
    ("external_issuer_recurring.json", 19): Difference("refuses: V5", "accepts", BASETIME_CHECKS, _NO_CHECK),
    ("external_issuer_recurring.json", 26): Difference("refuses: V4", "accepts", BASETIME_CHECKS, _NO_CHECK),
    ("plain_exchanges.json", 50): Difference("accepts", "asks", RATES, "a one-off has no mandate that could ask"),
    ("plain_exchanges.json", 54): Difference("accepts", "asks", RATES, "a one-off has no mandate that could ask"),
    ("plain_exchanges.json", 57): Difference("accepts", "asks", RATES, "a one-off has no mandate that could ask"),
    ("plain_exchanges.json", 114): Difference("refuses: V6", "accepts", RAW, "the old invoice lacks the new features"),
    ("plain_exchanges.json", 118): Difference("refuses: V6", "accepts", RAW, "the old invoice is over 0 msat"),
}
"""What our payer makes of a recorded invoice, and what Core Lightning's payer made of it."""

_DRAFT = "a compulsory recurrence in the draft's numbers; Core Lightning must refuse an even field it does not know"
_ZERO_CANCEL = "a reader reads it, the payee ignores it (Q12, Q18)"

READER: Final[dict[tuple[str, str], Difference]] = {
    ("external_issuer_recurring.json", "7ce8e0e0e4c6"): Difference(
        "reads", "refuses: warning_missing_invoice_recurrence_basetime", OTHER_FLOOR, "V1 is check_invoice's"
    ),
    ("external_payer_hooks.json", "adbddcc8287e"): Difference(
        "reads", "refuses: warning_invreq_recurrence_cancel_with_zero_counter", ZERO_CANCEL, _ZERO_CANCEL
    ),
    ("external_payer_hooks.json", "213633898e12"): Difference(
        "reads", "refuses: warning_invreq_recurrence_cancel_with_zero_counter", ZERO_CANCEL, _ZERO_CANCEL
    ),
    ("plain_exchanges.json", "d24c51450bd2"): Difference(
        "reads", "refuses: warning_missing_offer_description", OTHER_FLOOR,
        "a changed offer inside a request is not authentic; its fields are held against no offer rule but O1 to O10",
    ),
    ("spec_draft_tlv_numbers.json", "d9ff9960ad51"): Difference(
        "reads", "refuses: invalid offer data", DIALECT, _DRAFT
    ),
    ("spec_draft_tlv_numbers.json", "5e8015aaa834"): Difference(
        "reads", "refuses: invalid offer data", DIALECT, _DRAFT
    ),
    ("spec_draft_tlv_numbers.json", "c77c2f830531"): Difference(
        "refuses: O1", "reads", RULE, "both kinds of recurrence at once"
    ),
    ("spec_draft_tlv_numbers.json", "a9ee3c211b74"): Difference("refuses: O2", "reads", RULE, "optional with a base"),
    ("spec_draft_tlv_numbers.json", "f6ccc817b4bb"): Difference("refuses: O10", "reads", RULE, "proportional_amount 2"),
    ("spec_draft_tlv_numbers.json", "077544e1b0ee"): Difference(
        "refuses: D1", "reads", DIALECT, "a start in the draft's odd number, beside an offer in Core Lightning's"
    ),
    ("spec_draft_tlv_numbers.json", "a684aaed5ca0"): Difference(
        "reads", "refuses: warning_invreq_recurrence_cancel_without_counter", OTHER_FLOOR, "Q9 is the payee's"
    ),
    ("spec_draft_tlv_numbers.json", "b8f92de3f860"): Difference(
        "reads", "refuses: warning_invreq_recurrence_cancel_with_zero_counter", ZERO_CANCEL, _ZERO_CANCEL
    ),
}  # fmt: skip
"""What our reader makes of a recorded string (by the first digits of its SHA-256), and Core Lightning's `decode`."""
