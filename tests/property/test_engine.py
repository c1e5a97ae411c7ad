"""Both machines against each other, with an adversary in between.

The network drops, duplicates, delays, reorders and replays messages. The node tells receipts late and again, fails
payments on the way and lets them hang. Effects are performed late, and twice. Whatever happens:

- P1: for one counter at most one payment ever settles, and none is ever owed back;
- P2: what settles stays within the mandate;
- once it is quiet, both sides agree about what was paid.

The payer's performer hands a payment to the node only while the subscription still wants that very payment.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helpers.engine import (
    ENTROPY,
    KEYS,
    NOW,
    PERIOD,
    PRICE,
    RECURRENCE_ID,
    PayeeSide,
    a_mandate,
    a_request,
    an_invoice,
    an_offer,
    every,
    hash_of,
    preimage_of,
)
from lnrecur.bolt12 import InvoiceRequest
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence import inbound, outbound
from lnrecur.recurrence.effects import (
    AskPaymentStatus,
    Book,
    Claim,
    Effect,
    Emit,
    FailBack,
    IssueInvoice,
    Pay,
    Refuse,
    SendCancel,
    SendInvoiceRequest,
)
from lnrecur.recurrence.inbound_model import (
    CancelArrived,
    EndAsked,
    Inbound,
    PauseAsked,
    PaymentClaimable,
    PaymentClaimed,
    PaymentReturned,
    RequestArrived,
    ResumeAsked,
    WaiveAsked,
)
from lnrecur.recurrence.inbound_model import Due as PayeeDue
from lnrecur.recurrence.inbound_model import Event as InboundEvent
from lnrecur.recurrence.offering import Late, Offering, OfferPolicy, OfferStatus, Windows
from lnrecur.recurrence.outbound_model import (
    Approved,
    CancelAsked,
    Due,
    InvoiceArrived,
    Missed,
    Outbound,
    PaymentFailed,
    PaymentSettled,
    PaymentUnknown,
    Phase,
    RefusalArrived,
    Terms,
)
from lnrecur.recurrence.outbound_model import Event as OutboundEvent
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import Msat, PaymentHash, UnixSeconds

MAX_TOTAL = Msat(4 * PRICE)


class Incoming(Enum):
    """The payee's node on a payment."""

    OPEN = auto()
    CLAIMABLE = auto()
    CLAIMED = auto()
    CANCELED = auto()


class Outgoing(Enum):
    """The payer's node on a payment."""

    UNKNOWN = auto()
    PENDING = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    FAILED_FOR_GOOD = auto()


@dataclass
class Money:
    """One payment on its way."""

    context: ReceiveContext
    expires_at: int
    incoming: Incoming = Incoming.OPEN
    outgoing: Outgoing = Outgoing.UNKNOWN


class Subscription(RuleBasedStateMachine):
    """One payer, one payee, one ledger, one adversary."""

    @initialize(
        limit=st.sampled_from([None, 2, 5]),
        paywindow=st.sampled_from([None, Paywindow(200, 400)]),
        windows=st.sampled_from(Windows),
        missed=st.sampled_from(Missed),
        max_payments=st.sampled_from([None, 3]),
        can_hold=st.booleans(),
    )
    def start(
        self,
        limit: int | None,
        paywindow: Paywindow | None,
        windows: Windows,
        missed: Missed,
        max_payments: int | None,
        can_hold: bool,
    ) -> None:
        offer = an_offer(every(limit=limit, paywindow=paywindow))
        terms = Terms(missed=missed, payment_retry=RetryPolicy(5, tries_max=5))
        mandate = a_mandate(max_total_msat=MAX_TOTAL, max_payments=max_payments)
        self.now = int(NOW)
        self.limit = limit
        self.offering = Offering(OfferPolicy(windows=windows, invoice_expiry_s=300), offer.recurrence)
        self.can_hold = can_hold
        self.payer = Outbound(
            RECURRENCE_ID, offer.to_bytes(), mandate, terms, UnixSeconds(NOW), wake_at=UnixSeconds(NOW)
        )
        self.payee = Inbound(offer.offer_id, KEYS.payer_id)
        self.to_payee: list[bytes] = []
        self.to_payer: list[OutboundEvent] = []
        self.seen_by_payee: list[bytes] = []
        self.seen_by_payer: list[OutboundEvent] = []
        self.payer_outbox: list[Effect] = []
        self.payee_outbox: list[Effect] = []
        self.payer_books: list[Book] = []
        self.payee_books: list[Book] = []
        self.ledger: dict[PaymentHash, Money] = {}
        self.receipts: list[tuple[Incoming, PaymentHash]] = []
        self.cursor = self.handled = 0
        self.approvals = 0

    # --- the two machines ------------------------------------------------------------------------------------------

    def step_payer(self, event: OutboundEvent) -> None:
        taken = outbound.step(self.payer, event, UnixSeconds(self.now))
        self.payer = taken.state
        self.payer_books += [effect for effect in taken.effects if isinstance(effect, Book)]
        self.payer_outbox += [effect for effect in taken.effects if not isinstance(effect, Book | Emit)]

    def step_payee(self, event: InboundEvent) -> None:
        before = self.payee
        taken = inbound.step(before, event, UnixSeconds(self.now))
        self.payee = taken.state
        if before == Inbound(before.offer_id, before.payer_id) and isinstance(event, RequestArrived | CancelArrived):
            assert self.payee == before, "a stranger's message changed something"
        self.payee_books += [effect for effect in taken.effects if isinstance(effect, Book)]
        self.payee_outbox += [effect for effect in taken.effects if isinstance(effect, Claim | FailBack)]
        for effect in taken.effects:
            if isinstance(event, RequestArrived) and isinstance(effect, IssueInvoice):
                self.issue(event, effect)
            elif isinstance(effect, Refuse):
                error = write_invoice_error(effect.told, field=effect.field_number, suggested=effect.suggested)
                self.to_payer.append(RefusalArrived(error.to_bytes(), ENTROPY))

    def issue(self, event: RequestArrived, issued: IssueInvoice) -> None:
        request = event.request
        context = ReceiveContext(
            request.offer_id, request.payer_id, issued.counter, issued.start, issued.basetime, issued.amount_msat,
            issued.created_at, issued.preimage,
        )  # fmt: skip
        self.ledger[context.payment_hash] = Money(context, issued.expires_at)
        data = an_invoice(
            request, created_at=issued.created_at, amount=issued.amount_msat, basetime=issued.basetime,
            expiry=issued.expires_at - issued.created_at, preimage=issued.preimage,
        )  # fmt: skip
        self.to_payer.append(InvoiceArrived(data))

    def perform_payer(self, effect: Effect) -> None:
        if isinstance(effect, SendInvoiceRequest | SendCancel):
            self.to_payee.append(effect.request)
        elif isinstance(effect, AskPaymentStatus):
            self.tell_payer(effect.payment_hash)
        elif isinstance(effect, Pay):
            payment = self.payer.payment
            wanted = payment is not None and payment.payment_hash == effect.payment_hash and payment.next_try is None
            money = self.ledger[effect.payment_hash]
            if wanted and money.outgoing not in (Outgoing.PENDING, Outgoing.SUCCEEDED):
                money.outgoing = Outgoing.PENDING

    def tell_payer(self, payment_hash: PaymentHash) -> None:
        money = self.ledger[payment_hash]
        if money.outgoing is Outgoing.SUCCEEDED:
            self.step_payer(PaymentSettled(payment_hash, money.context.preimage, Msat(1)))
        elif money.outgoing in (Outgoing.FAILED, Outgoing.FAILED_FOR_GOOD):
            retryable = money.outgoing is Outgoing.FAILED
            self.step_payer(PaymentFailed(payment_hash, "no_route", retryable, ENTROPY))
        elif money.outgoing is Outgoing.UNKNOWN:
            self.step_payer(PaymentUnknown(payment_hash))

    def perform_payee(self, effect: Effect) -> None:
        if isinstance(effect, Claim):
            self.settle(effect.payment_hash)
        elif isinstance(effect, FailBack):
            self.cancel_incoming(effect.payment_hash)

    # --- the money -------------------------------------------------------------------------------------------------

    def pending(self) -> list[Money]:
        return [money for money in self.ledger.values() if money.outgoing is Outgoing.PENDING]

    def arrive(self, money: Money) -> None:
        if money.incoming is Incoming.OPEN and self.now <= money.expires_at:
            money.incoming = Incoming.CLAIMABLE
            if self.can_hold:
                self.receipts.append((Incoming.CLAIMABLE, money.context.payment_hash))
            else:
                self.settle(money.context.payment_hash)
        elif money.incoming is not Incoming.CLAIMABLE:
            money.outgoing = Outgoing.FAILED_FOR_GOOD

    def settle(self, payment_hash: PaymentHash) -> None:
        money = self.ledger[payment_hash]
        if money.incoming is Incoming.CLAIMABLE:
            money.incoming, money.outgoing = Incoming.CLAIMED, Outgoing.SUCCEEDED
            self.receipts.append((Incoming.CLAIMED, payment_hash))

    def cancel_incoming(self, payment_hash: PaymentHash) -> None:
        money = self.ledger[payment_hash]
        if money.incoming is Incoming.CLAIMABLE:
            money.outgoing = Outgoing.FAILED_FOR_GOOD
        if money.incoming in (Incoming.OPEN, Incoming.CLAIMABLE):
            money.incoming = Incoming.CANCELED
            self.receipts.append((Incoming.CANCELED, payment_hash))

    def handle_receipt(self) -> None:
        kind, payment_hash = self.receipts[self.cursor]
        self.cursor += 1
        self.handled = max(self.handled, self.cursor)
        context = self.ledger[payment_hash].context
        if kind is Incoming.CLAIMABLE:
            self.step_payee(PaymentClaimable(context, context.amount_msat, self.now, self.offering))
        elif kind is Incoming.CLAIMED:
            self.step_payee(PaymentClaimed(context, context.amount_msat, self.now, self.offering))
        else:
            self.step_payee(PaymentReturned(payment_hash, self.offering))

    # --- what happens ----------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 10, 150, 300, 400, PERIOD, 3 * PERIOD]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.payer.wake_at is not None)
    @rule()
    def payer_wakes(self) -> None:
        assert self.payer.wake_at is not None
        self.now = max(self.now, self.payer.wake_at)
        self.step_payer(Due(KEYS, ENTROPY))

    @rule()
    def payer_wakes_for_no_reason(self) -> None:
        self.step_payer(Due(KEYS, ENTROPY))

    @precondition(lambda self: self.payee.wake_at is not None)
    @rule()
    def payee_wakes(self) -> None:
        assert self.payee.wake_at is not None
        self.now = max(self.now, self.payee.wake_at)
        self.step_payee(PayeeDue(self.offering))

    @precondition(lambda self: self.to_payee)
    @rule(at=st.integers(0, 10**6), twice=st.booleans())
    def request_arrives(self, at: int, twice: bool) -> None:
        data = self.to_payee[at % len(self.to_payee)]
        if not twice:
            self.to_payee.remove(data)
        self.deliver_to_payee(data)

    def deliver_to_payee(self, data: bytes) -> None:
        self.seen_by_payee.append(data)
        request = InvoiceRequest.from_bytes(data).verify_signature()
        if request.is_cancel:
            self.step_payee(CancelArrived(request, self.offering))
        else:
            self.step_payee(RequestArrived(request, self.offering, preimage_of(len(self.ledger))))

    @precondition(lambda self: self.to_payer)
    @rule(at=st.integers(0, 10**6), twice=st.booleans())
    def answer_arrives(self, at: int, twice: bool) -> None:
        event = self.to_payer[at % len(self.to_payer)]
        if not twice:
            self.to_payer.remove(event)
        self.seen_by_payer.append(event)
        self.step_payer(event)

    @precondition(lambda self: self.to_payee or self.to_payer)
    @rule()
    def messages_are_lost(self) -> None:
        self.to_payee.clear()
        self.to_payer.clear()

    @precondition(lambda self: self.seen_by_payee or self.seen_by_payer)
    @rule(at=st.integers(0, 10**6))
    def old_messages_are_replayed(self, at: int) -> None:
        if self.seen_by_payee:
            self.deliver_to_payee(self.seen_by_payee[at % len(self.seen_by_payee)])
        if self.seen_by_payer:
            self.step_payer(self.seen_by_payer[at % len(self.seen_by_payer)])

    @precondition(lambda self: self.payer_outbox)
    @rule(crash=st.booleans())
    def payer_performs(self, crash: bool) -> None:
        effect = self.payer_outbox[0]
        if not crash:
            del self.payer_outbox[0]
        self.perform_payer(effect)

    @precondition(lambda self: self.payee_outbox)
    @rule(crash=st.booleans())
    def payee_performs(self, crash: bool) -> None:
        effect = self.payee_outbox[0]
        if not crash:
            del self.payee_outbox[0]
        self.perform_payee(effect)

    @precondition(lambda self: self.pending())
    @rule()
    def payment_arrives(self) -> None:
        for money in self.pending():
            self.arrive(money)

    @precondition(lambda self: self.pending())
    @rule(retryable=st.booleans())
    def payment_fails(self, retryable: bool) -> None:
        for money in self.pending():
            if money.incoming is Incoming.CLAIMABLE:
                self.cancel_incoming(money.context.payment_hash)
            money.outgoing = Outgoing.FAILED if retryable else Outgoing.FAILED_FOR_GOOD

    @precondition(lambda self: self.payer.payment is not None)
    @rule()
    def node_tells_the_payer(self) -> None:
        assert self.payer.payment is not None
        money = self.ledger[self.payer.payment.payment_hash]
        if money.outgoing is not Outgoing.UNKNOWN:
            self.tell_payer(self.payer.payment.payment_hash)

    @precondition(lambda self: self.cursor < len(self.receipts))
    @rule()
    def receipt_arrives(self) -> None:
        self.handle_receipt()

    @precondition(lambda self: self.cursor > 0)
    @rule()
    def receipts_come_again(self) -> None:
        """In order, from a cursor a little further back: at least the last payment's own."""
        self.cursor = max(0, self.handled - (2 if self.can_hold else 1))

    @precondition(lambda self: self.payer.payments > 1)
    @rule()
    def subscriber_cancels(self) -> None:
        self.step_payer(CancelAsked())

    @precondition(lambda self: self.payer.phase is Phase.NEEDS_APPROVAL and self.approvals == 0)
    @rule()
    def subscriber_approves_once(self) -> None:
        self.approvals += 1
        self.step_payer(Approved())

    @rule()
    def a_good_day(self) -> None:
        """Everything that is on its way arrives, and the next period is asked for and paid."""
        self.quiet()
        if self.payer.wake_at is not None and self.payer.phase is not Phase.PAYING:
            self.payer_wakes()
            self.quiet()

    def quiet(self) -> None:
        """Deliver and perform all there is, until nothing moves any more."""
        for _ in range(10_000):
            if self.payer_outbox:
                self.perform_payer(self.payer_outbox.pop(0))
            elif self.to_payee:
                self.deliver_to_payee(self.to_payee.pop(0))
            elif self.to_payer:
                self.step_payer(self.to_payer.pop(0))
            elif self.cursor < len(self.receipts):
                self.handle_receipt()
            elif self.payee_outbox:
                self.perform_payee(self.payee_outbox.pop(0))
            elif any(money.incoming is not Incoming.CLAIMABLE for money in self.pending()):
                self.payment_arrives()
            elif self.payer.payment is not None and self.payer.payment.next_try is None:
                self.tell_payer(self.payer.payment.payment_hash)
            else:
                return
        raise AssertionError("it never becomes quiet")

    # --- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def one_payment_per_counter_settles(self) -> None:
        settled = [money.context.counter for money in self.ledger.values() if money.outgoing is Outgoing.SUCCEEDED]
        assert len(settled) == len(set(settled))
        for books in (self.payer_books, self.payee_books):
            counters = [book.counter for book in books]
            assert counters == list(range(len(counters)))
            assert not any(book.surplus for book in books)
            assert all(hash_of(book.preimage) == book.payment_hash for book in books)
        assert all(book.settled_at >= (book.period_start or 0) for book in self.payer_books), "paid before its time"

    @invariant()
    def one_payment_at_a_time_is_in_flight(self) -> None:
        assert len(self.pending()) <= 1

    @invariant()
    def the_mandate_holds(self) -> None:
        settled = [money for money in self.ledger.values() if money.outgoing is Outgoing.SUCCEEDED]
        mandate = self.payer.mandate
        assert all(money.context.amount_msat <= mandate.max_per_period_msat for money in settled)
        assert sum(money.context.amount_msat for money in settled) <= MAX_TOTAL + self.approvals * PRICE
        assert mandate.max_payments is None or len(settled) <= mandate.max_payments + self.approvals
        assert self.limit is None or len(settled) <= self.limit + 1

    @invariant()
    def the_books_are_never_further_apart_than_one_payment(self) -> None:
        assert abs(self.payer.next_counter - self.payee.next_counter) <= 1
        assert self.payee.surplus_msat == 0

    def teardown(self) -> None:
        """When it is quiet, both sides agree."""
        if not hasattr(self, "payer"):
            return
        self.messages_are_lost()
        self.quiet()
        assert self.payer.next_counter == self.payee.next_counter
        assert self.payer.paid_msat == self.payee.received_msat
        assert self.payer.basetime == self.payee.basetime
        paid = [(book.counter, book.payment_hash, book.amount_msat) for book in self.payer_books]
        assert paid == [(book.counter, book.payment_hash, book.amount_msat) for book in self.payee_books]


class EverybodyPays(RuleBasedStateMachine):
    """One payee against payers who ask for anything, and pay any invoice, in any order and more than once.

    Its merchant gives orders, and time passes: no period may be lost silently (P3).
    """

    @initialize(
        can_hold=st.booleans(),
        limit=st.sampled_from([None, 3]),
        paywindow=st.sampled_from([None, Paywindow(200, 400)]),
        policy=st.builds(
            OfferPolicy,
            windows=st.sampled_from(Windows),
            grace_s=st.sampled_from([0, 100]),
            early_s=st.sampled_from([0, 2 * PERIOD]),
            arrears_max=st.sampled_from([None, 1]),
            after_window=st.sampled_from(Late),
            after_cancel=st.sampled_from(Late),
            after_end=st.sampled_from(Late),
        ),
    )
    def start(self, can_hold: bool, limit: int | None, paywindow: Paywindow | None, policy: OfferPolicy) -> None:
        self.can_hold = can_hold
        self.payee = PayeeSide(an_offer(every(limit=limit, paywindow=paywindow)), policy)
        self.told: list[tuple[str, object]] = []
        self.invoices: list[ReceiveContext] = []
        self.held: list[ReceiveContext] = []
        self.settled: list[ReceiveContext] = []
        self.returned: set[PaymentHash] = set()
        self.books: list[Book] = []

    def after(self, effects: tuple[Effect, ...]) -> None:
        """Note what is booked, and do what is to be done, at once."""
        self.books += [effect for effect in effects if isinstance(effect, Book)]
        self.told += [(effect.name, effect.data.get("counter")) for effect in effects if isinstance(effect, Emit)]
        for effect in effects:
            if isinstance(effect, FailBack):
                self.give_back(effect.payment_hash)
            elif isinstance(effect, Claim):
                for context in [held for held in self.held if held.payment_hash == effect.payment_hash]:
                    self.held.remove(context)
                    self.settled.append(context)
                    self.after(self.payee.claimed(context))

    def give_back(self, payment_hash: PaymentHash) -> None:
        if payment_hash in {context.payment_hash for context in self.settled}:
            return
        self.returned.add(payment_hash)
        for context in [held for held in self.held if held.payment_hash == payment_hash]:
            self.held.remove(context)
            self.after(self.payee.returned(context))

    @rule(ahead=st.integers(-1, 1))
    def somebody_asks(self, ahead: int) -> None:
        """For the period before, the next one, or the one behind it."""
        effects = self.payee.asked(max(0, self.payee.state.next_counter + ahead))
        self.after(effects)
        self.invoices += [self.payee.context(effect) for effect in effects if isinstance(effect, IssueInvoice)]

    @rule(seconds=st.sampled_from([1, PERIOD]))
    def time_passes(self, seconds: int) -> None:
        self.payee.now = UnixSeconds(self.payee.now + seconds)

    @precondition(lambda self: self.invoices)
    @rule(at=st.integers(0, 10**6))
    def somebody_pays(self, at: int) -> None:
        """Any invoice, however old."""
        context = self.invoices[at % len(self.invoices)]
        if context in (*self.settled, *self.held) or context.payment_hash in self.returned:
            return
        if self.can_hold:
            self.held.append(context)
            return
        self.settled.append(context)
        self.after(self.payee.claimed(context))

    @rule()
    def a_good_day(self) -> None:
        """The next period is asked for, twice, and the second invoice is paid."""
        self.payee.now = UnixSeconds(self.payee.now + PERIOD)
        self.somebody_asks(0)
        self.somebody_asks(0)
        if self.invoices:
            self.somebody_pays(len(self.invoices) - 1)
        while self.held:
            self.a_payment_is_claimable(0, False)

    @precondition(lambda self: self.held)
    @rule(at=st.integers(0, 10**6), told_twice=st.booleans())
    def a_payment_is_claimable(self, at: int, told_twice: bool) -> None:
        context = self.held[at % len(self.held)]
        for _ in range(1 + told_twice):
            self.after(self.payee.claimable(context))

    @precondition(lambda self: self.held)
    @rule(at=st.integers(0, 10**6))
    def a_held_payment_times_out(self, at: int) -> None:
        self.give_back(self.held[at % len(self.held)].payment_hash)

    @precondition(lambda self: self.settled)
    @rule()
    def the_last_receipt_comes_again(self) -> None:
        before = self.payee.state
        assert self.payee.claimed(self.settled[-1]) == ()
        assert self.payee.state == before

    @precondition(lambda self: self.payee.state.wake_at is not None)
    @rule()
    def it_wakes(self) -> None:
        self.after(self.payee.wake())

    @rule()
    def it_wakes_for_no_reason(self) -> None:
        self.after(self.payee.step(PayeeDue(self.payee.offering)))

    @precondition(lambda self: self.payee.state.next_counter)
    @rule(order=st.sampled_from([PauseAsked, ResumeAsked, ResumeAsked, WaiveAsked]))
    def the_merchant_orders(self, order: type[PauseAsked | ResumeAsked | WaiveAsked]) -> None:
        self.after(self.payee.step(order(self.payee.offering)))

    @precondition(lambda self: self.payee.state.next_counter > 3)
    @rule(whole_offer=st.booleans())
    def the_merchant_ends_it(self, whole_offer: bool) -> None:
        if whole_offer:
            self.payee.status = OfferStatus.ENDED
        else:
            self.after(self.payee.step(EndAsked(self.payee.offering)))

    @precondition(lambda self: self.payee.state.next_counter > 2)
    @rule()
    def the_subscriber_cancels(self) -> None:
        request = a_request(self.payee.state.next_counter, self.payee.offer, cancel=True)
        self.after(self.payee.step(CancelArrived(request, self.payee.offering)))

    @invariant()
    def every_payment_is_in_the_books_once_and_every_period_too(self) -> None:
        state = self.payee.state
        periods = [book for book in self.books if not book.surplus]
        waived = [counter for name, counter in self.told if name == "subscription.waived"]
        settled = sorted([*(book.counter for book in periods), *waived])  # type: ignore[list-item]
        assert settled == list(range(state.next_counter)), "P3: every period behind us is paid or waived, once"
        missed = [counter for name, counter in self.told if name == "subscription.missed"]
        assert len(missed) == len(set(missed)) == state.missed
        assert (len(waived), state.wake_at is None or not state.is_final) == (state.waived, True)
        assert sorted(book.payment_hash for book in self.books) == sorted(one.payment_hash for one in self.settled)
        assert state.payments == len(periods)
        assert state.received_msat == sum(book.amount_msat for book in periods)
        assert state.surplus_msat == sum(book.amount_msat for book in self.books if book.surplus)
        assert not (self.can_hold and state.surplus_msat), "held, and yet taken twice"
        basetimes = {one.basetime for one in self.settled if one.payment_hash in {b.payment_hash for b in periods}}
        assert basetimes <= {state.basetime}


EverybodyPays.TestCase.settings = settings(max_examples=100, stateful_step_count=50)
TestOnePayeeAndEverybody = EverybodyPays.TestCase
Subscription.TestCase.settings = settings(max_examples=120, stateful_step_count=60)
TestTwoMachinesAndAnAdversary = Subscription.TestCase


def test_without_an_adversary_every_good_day_pays_a_period() -> None:
    machine = Subscription()
    machine.start(None, None, Windows.STRICT, Missed.STOP, None, True)
    for day in range(1, 5):
        machine.a_good_day()
        assert (machine.payer.payments, machine.payee.payments) == (day, day)
    machine.a_good_day()
    assert machine.payer.phase is Phase.NEEDS_APPROVAL
    machine.teardown()
    assert replace(machine.payer, wake_at=None).payments == 4
