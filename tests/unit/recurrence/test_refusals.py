"""The table of refusals: every row is found by a text that really occurs, and means what it should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.engine import an_offer
from lnrecur.bolt12 import fields
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence.refusals import REFUSALS, UNKNOWN, Refusal, Verdict, read_refusal
from lnrecur.wire.integers import encode_tu32

NEW = an_offer(amount=7).to_text()
COUNTER = fields.INVREQ_RECURRENCE_COUNTER

OURS = [
    (f"recurrence-changed: {NEW}", "recurrence-changed", Verdict.CHANGED),
    (f"recurrence-changed: {NEW} (the price went up)", "recurrence-changed", Verdict.CHANGED),
    ("recurrence-changed: lno1nonsense", "recurrence-ended", Verdict.ENDED),
    ("recurrence-changed: see our page", "recurrence-ended", Verdict.ENDED),
    ("recurrence-ended: the shop closes", "recurrence-ended", Verdict.ENDED),
    ("invreq_recurrence_counter: too early: period 1 can be paid from 1700000000, it is 1699999000 [Q16]",
     "too early", Verdict.WAIT),
    ("too early [Q16]", "too early, some time", Verdict.LATER),
    ("invreq_recurrence_counter: too late: period 1 could be paid before 1700, it is 1800 [Q16]", "too late",
     Verdict.MISSED),
    ("offer_amount: period 3 ended at 5, and its price is for the time that is left [T10]", "period over",
     Verdict.MISSED),
    ("this offer is paused: please ask again later [Q22]", "paused", Verdict.PAUSED),
    ("invreq_recurrence_counter: counter 4 is waived already [Q13]", "waived", Verdict.WAIVED),
    ("invreq_recurrence_counter: counter 4 is paid already [Q13]", "paid already", Verdict.ADOPT),
    ("invreq_recurrence_counter: counter 4 is paid already", "paid already", Verdict.ADOPT),
    ("invreq_payer_id: this payer has paid already [Q13]", "paid already", Verdict.ADOPT),
    ("invreq_payer_id: this payer has cancelled [Q15]", "cancelled", Verdict.ENDED),
    ("invreq_recurrence_counter: counter 3 is not paid yet [Q14]", "previous one unpaid", Verdict.LATER),
    ("invreq_recurrence_counter: period 9 is beyond the last period of this offer [Q8]", "limit", Verdict.ENDED),
    ("every payment of this subscription is made [Q8]", "limit", Verdict.ENDED),
    ("the offer expired at 17, it is 18 [O7]", "offer over", Verdict.FINAL),
    ("this offer is closed for new subscribers", "offer over", Verdict.FINAL),
    ("offer_currency: there is no exchange rate for it just now [Q17]", "no rate", Verdict.LATER),
    ("invreq_quantity: so many cost more than an invoice can ask for [Q17]", "quantity", Verdict.FINAL),
    ("invreq_quantity: 7 is not between 1 and 5 [BR7]", "quantity", Verdict.FINAL),
    ("invreq_amount: 5 msat are less than the 7 msat this costs [Q17]", "amount", Verdict.ASK),
    ("invreq_recurrence_counter: missing: this offer is paid by subscription only [Q9]", "counter missing",
     Verdict.FINAL),
    ("invreq_recurrence_start: was 3 so far, and stays the same for a whole subscription [Q20]", "fields",
     Verdict.FINAL),
    ("invreq_chain: this offer is not paid on that chain [BR9]", "unreadable", Verdict.FINAL),
    ("the payee's node cannot receive just now; please ask again later", "unknown", Verdict.LATER),
]  # fmt: skip
CLN = [
    ("period_index 7 too early (start 1700000000)", "too early", Verdict.WAIT),
    ("period_index 4 too late (ended 1700000000)", "too late", Verdict.MISSED),
    ("period_index 6 too great", "limit", Verdict.ENDED),
    ("invoice expired (cancelled?)", "cancelled", Verdict.ENDED),
    ("invoice cancelled", "cancelled", Verdict.ENDED),
    ('Previous invoice #1 status "expired"', "cln: previous one expired", Verdict.ENDED),
    ('Previous invoice #1 status "unpaid"', "previous one unpaid", Verdict.LATER),
    ("No previous invoice #1", "cln: no previous invoice", Verdict.ASK),
    ("Internal error", "cln: internal error", Verdict.ASK),
    ("Unknown offer", "unknown offer", Verdict.FINAL),
    ("Offer expired", "offer over", Verdict.FINAL),
    ("Offer no longer available", "cln: offer disabled", Verdict.ENDED),
    ("wrong chain", "unreadable", Verdict.FINAL),
    ("quantity 18446744073709551615 causes overflow", "quantity", Verdict.FINAL),
    ("missing invreq_recurrence_counter", "counter missing", Verdict.FINAL),
    ("unexpected invreq_recurrence_counter", "fields", Verdict.FINAL),
    ("missing invreq_recurrence_start", "fields", Verdict.FINAL),
    ("missing invreq_amount", "fields", Verdict.FINAL),
    ("bad signature", "unreadable", Verdict.FINAL),
    ("Amount must be at least 10000msat", "amount", Verdict.ASK),
    ("Amount vastly exceeds 10000msat", "amount", Verdict.ASK),
    ("quantity 6 > 5", "quantity", Verdict.FINAL),
    ("quantity zero invalid", "quantity", Verdict.FINAL),
    ("try later", "unknown", Verdict.LATER),
]


def read(text: str, field: int | None = None, suggested: bytes | None = None) -> Refusal:
    return read_refusal(write_invoice_error(text, field=field, suggested=suggested).to_bytes())


@pytest.mark.parametrize(("text", "name", "verdict"), [*OURS, *CLN])
def test_a_text_that_occurs_means_what_it_says(text: str, name: str, verdict: Verdict) -> None:
    refusal = read(text)
    assert (refusal.row.name, refusal.row.verdict) == (name, verdict)
    assert refusal.text == text
    assert refusal.row.meaning


def test_every_row_is_found_by_one_of_these_texts() -> None:
    assert {name for _, name, _ in [*OURS, *CLN]} == {row.name for row in (*REFUSALS, UNKNOWN)}


@pytest.mark.parametrize(("text", "name", "verdict"), CLN[:-1])
def test_core_lightning_quotes_the_request_in_front_and_that_is_left_out(
    text: str, name: str, verdict: Verdict
) -> None:
    refusal = read(f"Failed invreq lnr1{'q' * 3000}: {text}")
    assert refusal.text == text
    if name != "cln: internal error":
        assert (refusal.row.name, refusal.row.verdict) == (name, verdict)


def test_what_only_a_person_can_judge_is_tried_again_a_few_times_first() -> None:
    refusal = read("Internal error")
    assert [refusal.verdict_after(times) for times in (0, 2, 3)] == [Verdict.LATER, Verdict.LATER, Verdict.ASK]
    assert read("Amount must be at least 1msat").verdict_after(0) is Verdict.ASK


def test_the_moment_and_the_counter_a_payee_names_are_read() -> None:
    assert read("period_index 7 too early (start 1700000123)").until == 1_700_000_123
    for number in (COUNTER.number, COUNTER.cln_number):
        assert read("it is paid already", number, encode_tu32(9)).next_counter == 9
    assert read("it is paid already", 88, encode_tu32(9)).next_counter is None
    assert read("it is paid already", COUNTER.number, b"\x00\x01").next_counter is None


def test_a_new_offer_is_read_whole_however_long_the_text_is() -> None:
    long = an_offer(description="x" * 1500).to_text()
    refusal = read(f"recurrence-changed: {long}")
    assert refusal.new_offer == an_offer(description="x" * 1500).to_bytes()
    assert len(refusal.text) == 1000


@given(st.text())
def test_no_text_whatever_is_more_than_a_verdict(text: str) -> None:
    refusal = read(text)
    assert refusal.row in (*REFUSALS, UNKNOWN)
    assert refusal.text.isprintable()
    assert len(refusal.text) <= 1000
