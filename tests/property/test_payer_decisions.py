"""The payer's machine alone, against a payee that says anything, a node that fails, and people who change their minds.

Whatever comes, in whatever order:

- a payment starts only when none may be in flight, only within the mandate of that moment or a yes to that amount, and
  never while paused or after a cancel (P1, P2);
- each counter is settled once: paid, adopted or waived, each with its event; each missed one is told once (P3);
- nobody is believed about periods whose windows have not opened;
- a subscription that is not over, and waits for nobody, has a moment at which it is looked at again.
"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helpers.engine import (
    ENTROPY,
    KEYS,
    NOW,
    PERIOD,
    PRICE,
    PayerSide,
    a_cln_offer,
    a_mandate,
    an_offer,
    every,
    hash_of,
)
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence.effects import Book, Effect, Emit, Pay, SendCancel, SendInvoiceRequest
from lnrecur.recurrence.mandate import FiatLimit, exceeds
from lnrecur.recurrence.outbound_model import (
    Amended,
    Approved,
    CancelAsked,
    Declined,
    Due,
    Event,
    InvoiceArrived,
    Missed,
    PauseAsked,
    PaymentFailed,
    PaymentSettled,
    PaymentUnknown,
    Phase,
    RefusalArrived,
    ResumeAsked,
    Terms,
    Trigger,
    Wait,
)
from lnrecur.recurrence.outbound_terms import PayAt
from lnrecur.recurrence.outbound_times import window_of
from lnrecur.recurrence.rates import MSAT_PER_BTC, ExchangeRate, Worth
from lnrecur.values import Msat, PaymentHash, UnixSeconds
from lnrecur.wire.integers import encode_tu32

RATE = ExchangeRate("EUR", 10_000_000, NOW, "a test")
RATES = {"EUR": RATE, "JPY": ExchangeRate("JPY", 20_000_000, NOW, "a test")}
LIMITS = [FiatLimit("EUR", 1, 0), FiatLimit("EUR", 0, 0), FiatLimit("JPY", 1, 0), FiatLimit("JPY", 2, 0),
          FiatLimit("EUR", 1, 0, 2), FiatLimit("JPY", 2, 0, 4)]  # fmt: skip
AMOUNTS = st.sampled_from([Msat(1), PRICE, PRICE, PRICE, Msat(PRICE + 1), Msat(2 * PRICE)])
TEXTS = st.sampled_from(
    ["not now", "Internal error", "Internal error", "is paused [Q22]", "not paid yet [Q14]", "too early",
     f"too early: period 1 can be paid from {NOW + 3 * PERIOD}, it is 5 [Q16]"]
)  # fmt: skip
ENDS = st.sampled_from(
    ["recurrence-ended: sorry", "too late [Q16]", "Unknown offer", "Amount must be at least 7msat",
     f"recurrence-changed: {an_offer(amount=3).to_text()}", "invoice expired (cancelled?)",
     'Previous invoice #1 status "expired"', "Offer no longer available"]
)  # fmt: skip
REASONS = st.sampled_from(["no_route", "insufficient_funds", "refused_by_payee", "fee_limit", "expired"])
WAITING = {Phase.NEEDS_APPROVAL, Phase.PAUSED}
ENDINGS = {
    "subscription.given_up", "subscription.missed", "subscription.ended", "subscription.cancelled",
    "subscription.completed", "subscription.replaced",
}  # fmt: skip


class Decisions(RuleBasedStateMachine):
    """One payer."""

    @initialize(
        paywindow=st.sampled_from([None, Paywindow(200, 400)]),
        base=st.sampled_from([None, RecurrenceBase(0, NOW - PERIOD // 2)]),
        limit=st.sampled_from([None, 3]),
        missed=st.sampled_from(Missed),
        trigger=st.sampled_from([Trigger.AUTOMATIC, Trigger.AUTOMATIC, Trigger.ON_APPROVAL]),
        where=st.sampled_from(PayAt),
        fiat=st.sampled_from([None, FiatLimit("EUR", 1, 0), FiatLimit("EUR", 2, 0, 3)]),
        asks=st.booleans(),
        offer_of=st.sampled_from([an_offer, a_cln_offer]),
    )
    def start(
        self, paywindow: Any, base: Any, limit: Any, missed: Missed, trigger: Trigger, where: PayAt, fiat: Any,
        asks: bool = False, offer_of: Any = an_offer,
    ) -> None:  # fmt: skip
        start = None if base is None else 0
        terms = Terms(
            missed=missed, trigger=trigger, pay_at=where, margin_s=50, start=start, ask_if_price_differs=asks
        )  # fmt: skip
        mandate = a_mandate(max_total_msat=Msat(6 * PRICE), max_payments=5, fiat=fiat, catch_up_max=2)
        self.side = PayerSide(offer_of(every(paywindow=paywindow, base=base, limit=limit)), mandate, terms)
        self.sent: dict[tuple[int, int | None], set[bytes]] = {}
        self.told: list[Emit] = []
        self.books: list[Book] = []
        self.in_flight: dict[PaymentHash, bool] = {}
        self.preimages: dict[PaymentHash, Any] = {}
        self.asked: int | None = None
        self.agreed: dict[int, int] = {}

    # --- one step, and what must be true of it ----------------------------------------------------------------------

    def step(self, event: Event) -> None:
        before = self.side.state
        effects = self.side.step(event)
        self.what_people_see(before.next_counter, event, effects)
        self.told += [effect for effect in effects if isinstance(effect, Emit)]
        self.books += [effect for effect in effects if isinstance(effect, Book)]
        for effect in effects:
            if isinstance(effect, Pay):
                self.may_start(effect, before, event)
                self.in_flight[effect.payment_hash] = True
            if isinstance(effect, SendInvoiceRequest):
                self.sent.setdefault((before.next_counter, before.terms.start), set()).add(effect.request)
        self.is_believable(effects)
        cancels = [effect for effect in effects if isinstance(effect, SendCancel)]
        assert len(cancels) <= 1
        assert not cancels or before.phase is Phase.CANCELLING

    def what_people_see(self, counter: int, event: Event, effects: tuple[Effect, ...]) -> None:
        """A yes is to the amount of the last question, for one period, whatever the machine remembers of it."""
        for effect in effects:
            if isinstance(effect, Emit) and effect.name == "subscription.needs_approval":
                amount = effect.data.get("amount_msat")
                self.asked = amount if isinstance(amount, int) else None
            elif isinstance(effect, Emit) and effect.name == "subscription.approved":
                plain = isinstance(event, Approved) and event.mandate is None
                self.agreed[counter] = (self.asked or 0) if plain else 0

    def may_start(self, pay: Pay, before: Any, event: Event) -> None:
        others = [one for one, flying in self.in_flight.items() if flying and one != pay.payment_hash]
        assert not others, "another payment may be in flight"
        state = self.side.state
        assert state.phase is Phase.PAYING
        assert not before.pause_asked
        assert not before.cancel_asked
        approved = pay.amount_msat <= self.agreed.get(before.next_counter, 0)
        mandate = (event.mandate if isinstance(event, Approved) else None) or before.mandate
        fiat = mandate.fiat
        rate = None if fiat is None else RATES[fiat.currency]
        excess = exceeds(mandate, pay.amount_msat, spent=before.spent, now=self.side.now, rate=rate)
        assert approved or excess is None
        assert approved or fiat is None or self.is_within_total(fiat, pay.amount_msat)
        assert pay.max_fee_msat == mandate.max_fee_msat(pay.amount_msat) or before.phase is Phase.PAYING

    def is_within_total(self, fiat: FiatLimit, amount: Msat) -> bool:
        """By the books alone: what was paid since the mandate is in this currency, and this."""
        sum_ = Worth(fiat.currency, RATES[fiat.currency].worth(amount).parts)
        for booked in reversed(self.books):
            if booked.conversion is not None and booked.conversion.rate.currency != fiat.currency:
                break
            if booked.conversion is not None:
                sum_ = sum_.plus(booked.conversion.rate.worth(booked.amount_msat))
        return fiat.total_minor is None or sum_.parts < fiat.total_minor * MSAT_PER_BTC

    def is_believable(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Emit) and effect.name in ("subscription.adopted", "subscription.waived"):
                counter = effect.data["counter"]
                assert isinstance(counter, int)
                window = window_of(self.side.state, counter)
                assert window is None or window.opens <= self.side.now

    # --- what happens ------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 60, 300, PERIOD, 3 * PERIOD]))
    def time_passes(self, seconds: int) -> None:
        self.side.now = UnixSeconds(self.side.now + seconds)

    @precondition(lambda self: self.side.state.wake_at is not None)
    @rule()
    def it_is_woken(self) -> None:
        assert self.side.state.wake_at is not None
        self.side.now = UnixSeconds(max(self.side.now, self.side.state.wake_at))
        self.step(Due(KEYS, ENTROPY))

    @precondition(lambda self: self.side.state.request is not None)
    @rule(amount=AMOUNTS, skew=st.sampled_from([0, 0, 0, 5, -PERIOD]), rated=st.booleans())
    def an_invoice_comes(self, amount: Msat, skew: int, rated: bool) -> None:
        base, basetime = self.side.state.recurrence.base, self.side.state.basetime
        anchor = base.basetime if base is not None else self.side.now if basetime is None else basetime
        data = self.side.invoice(amount=amount, basetime=anchor + skew)
        self.preimages[self.side.payment_hash] = self.side.preimage
        fiat = self.side.state.mandate.fiat
        rate = RATES["EUR" if fiat is None else fiat.currency] if rated else None
        self.step(InvoiceArrived(data, rate, None if rated else "none there"))

    @precondition(lambda self: self.side.state.request is not None)
    @rule(text=TEXTS)
    def a_refusal_comes(self, text: str) -> None:
        self.step(RefusalArrived(write_invoice_error(text).to_bytes(), ENTROPY))

    @precondition(lambda self: self.side.state.wake_at is not None and self.side.state.phase is not Phase.PAYING)
    @rule(ahead=st.none() | st.integers(-1, 4), waived=st.booleans())
    def the_payee_says_that_periods_are_settled(self, ahead: int | None, waived: bool) -> None:
        """In answer to the next request; the node knows nothing of what was given up."""
        if self.side.state.request is None:
            self.it_is_woken()
        value = None if ahead is None else encode_tu32(max(0, self.side.state.next_counter + ahead))
        text = f"counter is {'waived' if waived else 'paid'} already [Q13]"
        self.step(RefusalArrived(write_invoice_error(text, field=92, suggested=value).to_bytes(), ENTROPY))
        if self.side.state.adopting is not None and self.side.state.given_up is not None:
            self.step(PaymentUnknown(self.side.state.given_up.payment_hash))

    @precondition(lambda self: self.side.state.request is not None and self.side.state.next_counter > 2)
    @rule(text=ENDS)
    def a_final_refusal_comes(self, text: str) -> None:
        self.step(RefusalArrived(write_invoice_error(text).to_bytes(), ENTROPY))

    @precondition(lambda self: any(self.in_flight.values()))
    @rule(reason=REASONS, retryable=st.booleans())
    def the_payment_fails(self, reason: str, retryable: bool) -> None:
        flying = next(one for one, still in self.in_flight.items() if still)
        self.in_flight[flying] = False
        self.step(PaymentFailed(flying, reason, retryable, ENTROPY))

    @precondition(lambda self: any(self.in_flight.values()))
    @rule(stop=st.sampled_from([PauseAsked(), CancelAsked()]), reason=REASONS)
    def it_is_stopped_while_the_payment_is_in_flight_and_fails(self, stop: Event, reason: str) -> None:
        self.step(stop)
        self.the_payment_fails(reason, True)

    @precondition(lambda self: any(self.in_flight.values()))
    @rule()
    def the_payment_settles(self) -> None:
        flying = next(one for one, still in self.in_flight.items() if still)
        self.in_flight[flying] = False
        self.step(PaymentSettled(flying, self.preimages[flying], Msat(1)))

    @precondition(lambda self: self.side.state.given_up is not None and not any(self.in_flight.values()))
    @rule(known=st.booleans())
    def the_node_is_asked_about_what_was_given_up(self, known: bool) -> None:
        assert self.side.state.given_up is not None
        gone = self.side.state.given_up.payment_hash
        self.step(PaymentFailed(gone, "no_route", False, ENTROPY) if known else PaymentUnknown(gone))

    # --- what people want --------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["once", "once", "mandate", "elsewhere", "replaced"]))
    def a_person_says_yes(self, kind: str) -> None:
        events = {
            "once": Approved(),
            "mandate": Approved(a_mandate(max_payments=9)),
            "elsewhere": Approved(paid_elsewhere=True),
            "replaced": Approved(successor=self.side.state),
        }
        self.step(events[kind])

    @precondition(lambda self: self.side.state.payments > 1)
    @rule()
    def a_person_says_no(self) -> None:
        self.step(Declined())

    @precondition(lambda self: self.side.state.payments > 0)
    @rule()
    def it_is_paused(self) -> None:
        self.step(PauseAsked())

    @rule()
    def it_is_resumed(self) -> None:
        self.step(ResumeAsked())

    @rule(
        amount=st.none() | AMOUNTS, payments=st.none() | st.integers(0, 6), missed=st.sampled_from(Missed),
        where=st.sampled_from(PayAt), fiat=st.none() | st.sampled_from(LIMITS),
    )  # fmt: skip
    def it_is_amended(
        self, amount: Msat | None, payments: int | None, missed: Missed, where: PayAt, fiat: FiatLimit | None
    ) -> None:
        if fiat is None and self.side.state.mandate.max_per_period_msat is None:
            amount = amount or PRICE  # a mandate without any limit per period is none
        mandate: dict[str, Any] = {"max_payments": payments, "fiat": fiat}
        if amount is not None:
            mandate["max_per_period_msat"] = amount
        self.step(Amended(mandate, {"missed": missed, "pay_at": where}))

    @rule(trigger=st.sampled_from(Trigger))
    def who_starts_payments_is_amended(self, trigger: Trigger) -> None:
        self.step(Amended(terms={"trigger": trigger}))

    @precondition(lambda self: any(self.in_flight.values()))
    @rule(fiat=st.sampled_from(LIMITS))
    def it_is_amended_while_a_failed_payment_waits_for_its_next_try(self, fiat: FiatLimit) -> None:
        self.the_payment_fails("no_route", True)
        if self.side.state.wake_at is None:
            return
        self.step(Amended({"fiat": fiat, "max_per_period_msat": None}))
        self.it_is_woken()

    @precondition(lambda self: self.side.state.waits_for is Wait.MANDATE)
    @rule()
    def it_is_paused_over_a_question_and_asks_each_time_from_then_on(self) -> None:
        for event in (PauseAsked(), Amended(terms={"trigger": Trigger.ON_APPROVAL}), ResumeAsked()):
            self.step(event)
        self.it_is_woken()

    @precondition(lambda self: self.side.state.payments > 2)
    @rule()
    def it_is_cancelled(self) -> None:
        self.step(CancelAsked())

    @rule()
    def a_good_period(self) -> None:
        """Woken, answered and paid, as far as it lets itself be."""
        if self.side.state.phase is Phase.PAUSED:
            self.it_is_resumed()
        if self.side.state.phase is Phase.NEEDS_APPROVAL:
            self.a_person_says_yes("once")
        if self.side.state.request is None and self.side.state.wake_at is not None:
            self.it_is_woken()
        if self.side.state.request is not None:
            self.an_invoice_comes(PRICE, 0, True)
        if any(self.in_flight.values()):
            self.the_payment_settles()

    # --- what always holds -------------------------------------------------------------------------------------------

    def counters(self, name: str) -> list[Any]:
        return [emit.data["counter"] for emit in self.told if emit.name == name]

    @invariant()
    def every_counter_is_settled_once_and_told(self) -> None:
        if not hasattr(self, "side"):
            return
        state = self.side.state
        paid = [book.counter for book in self.books]
        settled = paid + self.counters("subscription.adopted") + self.counters("subscription.waived")
        assert sorted(settled) == list(range(state.next_counter))
        assert (len(paid), len(settled) - len(paid)) == (state.payments, state.adopted + state.waived)
        assert sum(book.amount_msat for book in self.books) == state.paid_msat
        assert all(hash_of(book.preimage) == book.payment_hash for book in self.books)
        assert max(Counter(self.counters("subscription.missed")).values(), default=1) == 1

    @invariant()
    def whoever_repeats_the_first_invoice_gets_the_first_request_again(self) -> None:
        if hasattr(self, "side") and self.side.state.habits.repeats_invoices:
            assert all(len(requests) == 1 for requests in self.sent.values())

    @invariant()
    def it_is_looked_at_again_or_waits_for_somebody_or_is_over(self) -> None:
        if not hasattr(self, "side"):
            return
        state = self.side.state
        assert (state.wake_at is not None) or state.is_final or state.phase in WAITING
        assert (state.waits_for is not None) == (state.phase is Phase.NEEDS_APPROVAL)
        assert (state.payment is not None) == (state.phase is Phase.PAYING)
        assert state.request is None or state.phase in (Phase.AWAITING_FIRST_INVOICE, Phase.REQUESTING)
        if state.is_final:
            assert ENDINGS & {emit.name for emit in self.told}


Decisions.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestOnePayerAndEverythingThatCanHappen = Decisions.TestCase


def test_good_periods_are_paid_one_after_the_other() -> None:
    machine = Decisions()
    machine.start(None, None, None, Missed.STOP, Trigger.AUTOMATIC, PayAt.START, None)
    for paid in range(1, 6):
        machine.a_good_period()
        assert machine.side.state.payments == paid
        machine.every_counter_is_settled_once_and_told()
    machine.a_good_period()
    assert machine.side.state.phase is Phase.NEEDS_APPROVAL


@pytest.mark.parametrize("before", [None, *LIMITS])
@pytest.mark.parametrize("after", LIMITS)
def test_whatever_limit_holds_when_a_failed_payment_is_tried_again_it_is_kept(before: Any, after: FiatLimit) -> None:
    machine = Decisions()
    machine.start(None, None, None, Missed.STOP, Trigger.AUTOMATIC, PayAt.START, before)
    machine.it_is_woken()
    machine.an_invoice_comes(PRICE, 0, True)
    if any(machine.in_flight.values()):
        machine.it_is_amended_while_a_failed_payment_waits_for_its_next_try(after)
        machine.a_good_period()
