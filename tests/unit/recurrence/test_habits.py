"""What a payer does about a payee of Core Lightning's habits; each test names its line of the table (habits.py)."""

from dataclasses import replace
from typing import Any

import pytest

from helpers.engine import (
    MERCHANT,
    NOW,
    PERIOD,
    PRICE,
    PayeeSide,
    PayerSide,
    a_cln_offer,
    a_mandate,
    an_offer,
    every,
    kinds,
    names,
    only,
)
from lnrecur.bolt12 import InvoiceRequest, Offer, OfferTerms, fields
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.fields import Dialect
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.bolt12.offer import write_offer
from lnrecur.errors import UsageError
from lnrecur.recurrence.effects import AskPaymentStatus, Emit, IssueInvoice, Pay, Refuse, SendCancel, SendInvoiceRequest
from lnrecur.recurrence.habits import BY_THE_RULES, CORE_LIGHTNING, DEVIATIONS, consequences, habits_of
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import (
    Amended,
    Approved,
    CancelAsked,
    Declined,
    Missed,
    PauseAsked,
    PaymentFailed,
    Phase,
    RefusalArrived,
    ResumeAsked,
    Terms,
    Wait,
)
from lnrecur.recurrence.outbound_times import first_due
from lnrecur.service.authorising import one_off_terms, subscription_terms
from lnrecur.values import BITCOIN, Msat, UnixSeconds
from vectors.recorded import steps

CLN = Dialect.CLN
BASE = RecurrenceBase(0, NOW - 300)
PROPORTIONAL = RecurrenceBase(1, NOW - 300)
DRAFTED = OfferTerms(description="x", amount=PRICE, issuer_id=MERCHANT.point, recurrence=every())


def of_core_lightning(**changes: Any) -> Offer:
    """An offer of Core Lightning, with this recurrence."""
    return a_cln_offer(every(**changes))


def refusal(text: str) -> RefusalArrived:
    return RefusalArrived(write_invoice_error(text).to_bytes(), bytes(8))


# --- whose habits ----------------------------------------------------------------------------------------------------


def test_an_offer_of_core_lightning_is_known_by_its_numbers_and_by_what_it_lacks() -> None:
    assert habits_of(of_core_lightning()) is CORE_LIGHTNING
    assert habits_of(an_offer(every(dialect=CLN))) is BY_THE_RULES, "ours carry metadata, in either dialect"
    assert habits_of(write_offer(DRAFTED)) is BY_THE_RULES, "Core Lightning does not speak the draft's dialect"


def test_every_offer_that_core_lightning_wrote_is_known_by_it() -> None:
    told = [
        Offer.from_text(step["result"]["bolt12"])
        for file in ("offers.json", "recurrence_basic.json", "recurrence_base.json", "recurrence_optional.json",
                     "recurrence_months_days.json", "recurrence_limit.json", "recurrence_paywindow.json")
        for step in steps(file)
        if step.get("method") == "offer" and "result" in step
    ]  # fmt: skip
    recurring = [offer for offer in told if offer.recurrence is not None]
    assert len(recurring) > 50
    assert all(habits_of(offer) is CORE_LIGHTNING for offer in recurring)
    assert not any(habits_of(offer) is CORE_LIGHTNING for offer in told if offer.recurrence is None)


def test_the_table_has_each_deviation_once_in_order() -> None:
    assert [row.number for row in DEVIATIONS] == list(range(1, 15))


def test_a_subscriber_is_told_before_what_a_missed_period_means() -> None:
    assert consequences(an_offer()) == ()
    told = consequences(of_core_lightning())
    assert "a missed period ends this subscription for good" in told[0]
    assert len(told) == 2
    assert "1 msat" in consequences(of_core_lightning(base=PROPORTIONAL))[2]


# --- 2: the price ----------------------------------------------------------------------------------------------------


def test_a_proportional_period_for_one_msat_is_paid_and_told() -> None:
    payer = PayerSide(of_core_lightning(base=PROPORTIONAL), terms=Terms(start=0))
    payer.wake()
    effects = payer.receive(amount=1)
    assert names(effects) == ["subscription.price_differs", "payment.started"]
    told = only(effects[:1], Emit).data
    assert (told["amount_msat"], told["expected_msat"], told["counter"]) == (1, PRICE * 7 // 10, 0)
    assert only(effects, Pay).amount_msat == 1


def test_whoever_wants_to_be_asked_about_another_price_is_asked_once() -> None:
    payer = PayerSide(of_core_lightning(base=PROPORTIONAL), terms=Terms(start=0, ask_if_price_differs=True))
    payer.wake()
    effects = payer.receive(amount=1)
    assert names(effects) == ["subscription.price_differs", "subscription.needs_approval"]
    assert (payer.state.waits_for, payer.state.awaiting_msat) == (Wait.PRICE, 1)
    assert only(effects[1:], Emit).data["invoice_expires_at"] == payer.state.invoice_until
    assert names(payer.step(Approved())) == ["subscription.approved", "payment.started"]
    assert payer.state.phase is Phase.PAYING
    assert payer.state.held_invoice is None


def test_whoever_does_not_want_to_be_asked_any_more_is_asked_no_more() -> None:
    payer = PayerSide(of_core_lightning(), terms=Terms(ask_if_price_differs=True))
    payer.wake()
    payer.receive(amount=1)
    payer.step(Amended(terms={"ask_if_price_differs": False}))
    assert payer.state.phase is Phase.AWAITING_FIRST_INVOICE
    payer.wake()
    assert names(payer.receive(amount=1)) == ["subscription.price_differs", "payment.started"]


@pytest.mark.parametrize(
    ("amount", "differs"), [(7000, False), (7001, False), (6400, False), (6399, True), (7601, True)]
)
def test_a_proportional_price_may_be_reckoned_a_minute_earlier_or_later(amount: int, differs: bool) -> None:
    payer = PayerSide(of_core_lightning(base=PROPORTIONAL), terms=Terms(start=0))
    payer.wake()
    assert ("subscription.price_differs" in names(payer.receive(amount=amount))) is differs


def test_an_amount_above_the_price_but_within_the_mandate_is_told_too() -> None:
    payer = PayerSide(mandate=Mandate(Msat(2 * PRICE)))
    payer.wake()
    assert names(payer.receive(amount=PRICE + 1)) == ["subscription.price_differs", "payment.started"]


def test_an_amount_that_the_payer_chose_is_its_price() -> None:
    offer = an_offer(amount=None)
    payer = PayerSide(offer)
    payer.wake()
    assert names(payer.receive()) == ["payment.started"]


# --- 3: cancels that are lost ----------------------------------------------------------------------------------------


def test_a_cancel_behind_an_unpaid_invoice_is_sent_again_when_that_has_expired() -> None:
    payer = PayerSide.paid(1, of_core_lightning(), mandate=a_mandate(max_payments=1))
    payer.step(Amended(mandate={"max_payments": None}))
    payer.wake()
    payer.receive(values={fields.INVOICE_RELATIVE_EXPIRY: 400})
    until = payer.now + 400
    payer.fail(retryable=True)
    payer.step(CancelAsked())
    assert payer.state.phase is Phase.CANCELLING
    first = payer.wake()
    assert names(first) == ["subscription.cancel_unheard"]
    assert only(first, Emit).data["invoice_expires_at"] == until
    assert payer.now <= until < payer.state.wake_at
    assert payer.state.phase is Phase.CANCELLING
    second = payer.wake()
    assert only(second, SendCancel) == only(first, SendCancel), "the very same bytes"
    assert names(second) == ["subscription.cancelled"]
    assert payer.state.phase is Phase.CANCELLED


def test_a_cancel_with_no_invoice_out_is_sent_once() -> None:
    payer = PayerSide.paid(1, of_core_lightning())
    payer.step(CancelAsked())
    assert names(payer.wake()) == ["subscription.cancelled"]


def test_other_payees_get_one_cancel_whatever_is_unpaid() -> None:
    payer = PayerSide.paid(1)
    payer.wake()
    payer.receive()
    payer.fail(retryable=True)
    payer.step(CancelAsked())
    assert names(payer.wake()) == ["subscription.cancelled"]


def test_before_anything_was_paid_nothing_is_sent() -> None:
    """4: a cancel with counter 0 would burn the counter."""
    payer = PayerSide(of_core_lightning(), mandate=Mandate(Msat(1)))
    payer.wake()
    assert payer.state.phase is Phase.NEEDS_APPROVAL
    effects = payer.step(Declined())
    assert kinds(effects) == []
    assert payer.state.phase is Phase.CANCELLED


# --- 5: the invoice of the first request -----------------------------------------------------------------------------


def test_a_counter_is_asked_for_with_the_same_bytes_whatever_came_between() -> None:
    payer = PayerSide(of_core_lightning(), terms=Terms(ask_if_price_differs=True))
    first = only(payer.wake(), SendInvoiceRequest).request
    payer.receive(amount=1)
    payer.step(PauseAsked())
    payer.step(ResumeAsked())
    assert only(payer.wake(), SendInvoiceRequest).request == first
    payer.receive(amount=1)
    payer.step(Approved())
    payer.fail(retryable=False)
    payer.wake()
    assert only(payer.wake(), SendInvoiceRequest).request == first
    payer.receive(amount=1)
    payer.settle()
    assert payer.state.first_request is None
    second = only(payer.wake(), SendInvoiceRequest).request
    assert InvoiceRequest.from_bytes(second).counter == 1
    assert InvoiceRequest.from_bytes(second).payer_id == InvoiceRequest.from_bytes(first).payer_id


def test_an_amount_that_was_amended_does_not_change_what_was_asked_for() -> None:
    payer = PayerSide(a_cln_offer(amount=None))
    first = only(payer.wake(), SendInvoiceRequest).request
    payer.step(PauseAsked())
    payer.step(Amended(mandate={"max_per_period_msat": Msat(PRICE - 1)}))
    payer.step(ResumeAsked())
    assert only(payer.wake(), SendInvoiceRequest).request == first
    assert names(payer.receive()) == ["subscription.needs_approval"], "above the limit by now"


def test_other_payees_get_another_request_for_another_try() -> None:
    payer = PayerSide()
    first = only(payer.wake(), SendInvoiceRequest).request
    payer.receive()
    payer.fail(retryable=False)
    payer.wake()
    assert only(payer.wake(), SendInvoiceRequest).request != first


# --- 7: windows ------------------------------------------------------------------------------------------------------

SHORT = Paywindow(50, 100)


def test_the_first_request_waits_for_the_window_that_binds_it() -> None:
    offer = of_core_lightning(base=BASE, paywindow=SHORT)
    terms = subscription_terms(offer, a_mandate(), Terms(), BITCOIN, NOW)
    assert terms.start == 1, "the window of the running period has closed"
    assert first_due(offer, 1, NOW) == NOW - 300 + PERIOD - 50
    ours = an_offer(every(base=BASE, paywindow=SHORT))
    assert subscription_terms(ours, a_mandate(), Terms(), BITCOIN, NOW).start == 0
    assert first_due(ours, 0, NOW) == NOW


def test_a_first_request_that_was_too_late_waits_for_the_next_window() -> None:
    payer = PayerSide(of_core_lightning(base=BASE, paywindow=SHORT), terms=Terms(start=0))
    first = payer.wake()
    assert kinds(first) == ["SendInvoiceRequest"]
    effects = payer.step(refusal(f"period_index 0 too late (ended {NOW - 200})"))
    assert names(effects) == ["subscription.request_refused", "subscription.start_moved"]
    assert (payer.state.terms.start, payer.state.wake_at) == (1, NOW - 300 + PERIOD - 50)
    request = InvoiceRequest.from_bytes(only(payer.wake(), SendInvoiceRequest).request)
    assert (request.start, request.counter) == (1, 0)


def test_a_missed_period_that_shall_be_caught_up_is_tried_and_its_refusal_ends_it() -> None:
    payer = PayerSide.paid(1, of_core_lightning(), terms=Terms(missed=Missed.CATCH_UP))
    payer.now = UnixSeconds(NOW + 5 * PERIOD)
    assert names(payer.wake())[-1] == "subscription.requested"
    effects = payer.step(refusal(f"period_index 1 too late (ended {NOW + 2 * PERIOD - 1})"))
    assert payer.state.phase is Phase.LAPSED
    assert "subscription.given_up" in names(effects)


# --- 8: the last second, on our side of the counter ------------------------------------------------------------------


@pytest.mark.parametrize(("dialect", "late_s", "sold"), [
    (CLN, 0, True), (CLN, 1, False), (Dialect.DRAFT, -1, True), (Dialect.DRAFT, 0, False),
])  # fmt: skip
def test_core_lightnings_payers_may_ask_in_the_second_in_which_the_window_closes(
    dialect: Dialect, late_s: int, sold: bool
) -> None:
    payee = PayeeSide.paid(1, an_offer(every(paywindow=Paywindow(100, 300), dialect=dialect)))
    payee.now = UnixSeconds(NOW + PERIOD + 300 + late_s)
    [answer] = [effect for effect in payee.asked(1) if isinstance(effect, IssueInvoice | Refuse)]
    assert isinstance(answer, IssueInvoice) is sold
    if isinstance(answer, IssueInvoice) and dialect is CLN:
        assert answer.expires_at == payee.now + 1, "there must be time to pay it"


def test_a_period_of_such_an_offer_is_missed_a_second_later() -> None:
    for dialect, more in ((CLN, 1), (Dialect.DRAFT, 0)):
        payee = PayeeSide.paid(1, an_offer(every(paywindow=Paywindow(100, 300), dialect=dialect)))
        assert payee.state.wake_at == NOW + PERIOD + 300 + more


# --- 10: optional offers ---------------------------------------------------------------------------------------------


def test_an_optional_offer_of_core_lightning_is_not_paid_once_and_the_way_out_is_named() -> None:
    with pytest.raises(UsageError, match="--max-payments 1"):
        one_off_terms(of_core_lightning(optional=True), a_mandate(), Terms(), BITCOIN, NOW)
    one_off_terms(an_offer(every(optional=True, dialect=CLN)), a_mandate(), Terms(), BITCOIN, NOW)


# --- 11: invoices that expire unpaid ---------------------------------------------------------------------------------


def waiting_for_a_person() -> PayerSide:
    payer = PayerSide(of_core_lightning(), terms=Terms(ask_if_price_differs=True))
    payer.wake()
    payer.receive(amount=1, values={fields.INVOICE_RELATIVE_EXPIRY: 400})
    return payer


def test_an_invoice_that_expires_while_a_person_thinks_is_told_and_the_payees_word_decides() -> None:
    payer = waiting_for_a_person()
    assert payer.state.wake_at == NOW + 401
    effects = payer.wake()
    assert names(effects) == ["subscription.invoice_expired"]
    assert only(effects, Emit).data["expired_at"] == NOW + 400
    assert payer.state.phase is Phase.NEEDS_APPROVAL
    payer.step(Approved())
    assert kinds(payer.wake()) == ["SendInvoiceRequest"]
    effects = payer.step(refusal("invoice expired (cancelled?)"))
    assert names(effects) == ["subscription.request_refused", "subscription.ended"]
    assert "expired unpaid" in str(only(effects[1:], Emit).data["meaning"])
    assert payer.state.phase is Phase.LAPSED


def test_the_expiry_is_told_once_in_a_pause_and_in_time_of_asking_too() -> None:
    payer = waiting_for_a_person()
    payer.step(PauseAsked())
    assert payer.state.wake_at == NOW + 401
    assert names(payer.wake()) == ["subscription.invoice_expired"]
    payer.step(ResumeAsked())
    assert names(payer.wake()) == ["subscription.requested"]
    again = waiting_for_a_person()
    again.step(Approved())
    again.fail(retryable=True)
    again.now = UnixSeconds(NOW + 401)
    again.wake()
    assert names(again.wake()) == ["subscription.invoice_expired", "subscription.requested"]


def test_what_is_paid_expires_no_more() -> None:
    payer = waiting_for_a_person()
    payer.step(Approved())
    payer.settle()
    assert payer.state.invoice_until is None


def test_a_yes_pays_the_invoice_at_hand_to_its_last_second_and_no_other_one() -> None:
    for late, phase in ((0, Phase.PAYING), (1, Phase.AWAITING_FIRST_INVOICE)):
        payer = waiting_for_a_person()
        payer.now = UnixSeconds(NOW + 400 + late)
        payer.step(Approved())
        assert payer.state.phase is phase


def test_a_yes_under_a_mandate_that_the_invoice_does_not_fit_asks_anew() -> None:
    payer = waiting_for_a_person()
    assert "payment.started" not in names(payer.step(Approved(Mandate(Msat(0)))))
    assert payer.state.phase is Phase.AWAITING_FIRST_INVOICE


def test_a_yes_to_another_question_pays_nothing_that_lies_about() -> None:
    payer = waiting_for_a_person()
    payer.step(PauseAsked())
    payer.step(ResumeAsked())
    payer.wake()
    for _ in range(4):
        payer.step(refusal("Internal error"))
    assert payer.state.waits_for is Wait.REFUSAL
    assert payer.state.held_invoice is not None
    assert names(payer.step(Approved())) == ["subscription.approved"]


def test_other_payees_invoices_may_expire() -> None:
    payer = PayerSide(terms=Terms(ask_if_price_differs=True))
    payer.wake()
    payer.receive(amount=1)
    assert payer.state.invoice_until is None
    assert payer.state.wake_at is None


# --- what it says ----------------------------------------------------------------------------------------------------


def test_an_internal_error_has_our_own_node_asked_about_the_payment_that_was_given_up() -> None:
    payer = PayerSide(of_core_lightning())
    payer.wake()
    payer.receive()
    payer.fail(retryable=False)
    payer.wake()
    payer.wake()
    effects = payer.step(refusal("Internal error"))
    assert only(effects, AskPaymentStatus).payment_hash == payer.payment_hash
    settled = payer.settle()
    assert "subscription.created" in names(settled)
    assert payer.state.next_counter == 1


def test_an_internal_error_about_what_was_never_tried_is_for_a_person_to_judge() -> None:
    payer = PayerSide(of_core_lightning())
    payer.wake()
    for _ in range(3):
        assert kinds(payer.step(refusal("Internal error"))) == []
    payer.step(refusal("Internal error"))
    assert payer.state.waits_for is Wait.REFUSAL
    payer.step(Approved(paid_elsewhere=True))
    assert (payer.state.next_counter, payer.state.adopted) == (1, 1)


def test_a_payment_that_failed_after_an_internal_error_changes_nothing() -> None:
    payer = PayerSide(of_core_lightning())
    payer.wake()
    payer.receive()
    payer.fail(retryable=False)
    payer.wake()
    payer.wake()
    payer.step(refusal("Internal error"))
    before = replace(payer.state)
    assert payer.step(PaymentFailed(payer.payment_hash, "no_route", False, bytes(8))) == ()
    assert payer.state == before


# --- the edges -------------------------------------------------------------------------------------------------------


def test_a_proportional_period_that_is_over_has_no_price_to_differ_from() -> None:
    payer = PayerSide(of_core_lightning(base=PROPORTIONAL), terms=Terms(start=0))
    payer.wake()
    payer.now = UnixSeconds(NOW + PERIOD)
    assert names(payer.receive(amount=1)) == ["payment.started"]


def test_a_first_period_beyond_all_time_is_asked_for_at_once() -> None:
    """T7: whoever looks at it next refuses it, and says so."""
    offer = of_core_lightning(base=RecurrenceBase(0, 2**64 - 10), paywindow=SHORT)
    assert first_due(offer, 7, NOW) == NOW
