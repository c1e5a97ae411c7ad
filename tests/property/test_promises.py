"""The six promises as invariants of both machines: an adversary forges and lies, and power fails before commits.

It goes beyond `test_engine.Subscription`, whose network loses, doubles, reorders and replays: here messages are forged
by strangers, the payee lies about basetime, amount and counter under its own signature, others pay with requests of
their own, each step may be lost before it is committed (and then nothing of it may leave), and a consumer reads the log
of events, crashes, and goes on behind its stored cursor. What P1, P2 and P6 say is inherited from there.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from test_engine import Subscription

from helpers.engine import ENTROPY, KEYS, PRICE, a_request, an_invoice, preimage_of
from lnrecur.bolt12 import Invoice, InvoiceRequest
from lnrecur.bolt12.invoice import VerifiedInvoice
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.crypto.keys import PrivateKey
from lnrecur.recurrence import inbound, outbound, outbound_paying
from lnrecur.recurrence.effects import Book, Claim, Effect, Emit, FailBack, IssueInvoice, Refuse
from lnrecur.recurrence.inbound_model import Event as InboundEvent
from lnrecur.recurrence.inbound_model import Inbound, RequestArrived
from lnrecur.recurrence.offering import Windows
from lnrecur.recurrence.outbound_model import (
    Due,
    InvoiceArrived,
    Missed,
    Outbound,
    PaymentFailed,
    Phase,
    RefusalArrived,
)
from lnrecur.recurrence.outbound_model import Event as OutboundEvent
from lnrecur.testing.simulator.promises.no_silence import ENDINGS, LOST, PAID
from lnrecur.values import UnixSeconds

STRANGER = PrivateKey(bytes([0x77]) * 32)
LIES = 1_000_000
"""Preimages of lies are those behind this number: no honest invoice has one of them."""


@dataclass
class Log:
    """The committed events of one side, and whoever reads them."""

    told: list[Emit] = field(default_factory=list)
    read: list[Emit] = field(default_factory=list)
    cursor: int = 0
    """Where the consumer begins again after a crash."""

    def consume(self, many: int) -> None:
        self.read += self.told[len(self.read) : len(self.read) + many]

    def crash(self) -> None:
        again = self.told[self.cursor : len(self.read)]
        assert again == self.read[self.cursor :], "P5: it is told something else the second time"
        del self.read[self.cursor :]


class SixPromises(Subscription):
    """One payer, one payee, one adversary without scruples, and power that fails."""

    @initialize()
    def begin(self) -> None:
        self.logs = {"payer": Log(), "payee": Log()}
        self.committed: list[Effect] = []
        self.done: list[Effect] = []
        self.power_fails = False
        self.lies = 0

    # --- a step, and the transaction that stores it -----------------------------------------------------------------

    def step_payer(self, event: OutboundEvent) -> None:
        taken = outbound.step(self.payer, event, UnixSeconds(self.now))
        if self.power_fails:
            self.power_fails = False
            return
        self.tells("payer", self.payer, taken.state, taken.effects)
        self.payer = taken.state
        self.payer_books += [effect for effect in taken.effects if isinstance(effect, Book)]
        self.payer_outbox += [effect for effect in taken.effects if not isinstance(effect, Book | Emit)]
        self.committed += self.payer_outbox

    def step_payee(self, event: InboundEvent) -> None:
        taken = inbound.step(self.payee, event, UnixSeconds(self.now))
        if self.power_fails and isinstance(event, RequestArrived):
            self.power_fails = False  # the payer asks again; receipts are told again, and are not lost like this
            return
        self.tells("payee", self.payee, taken.state, taken.effects)
        self.payee = taken.state
        self.payee_books += [effect for effect in taken.effects if isinstance(effect, Book)]
        self.payee_outbox += [effect for effect in taken.effects if isinstance(effect, Claim | FailBack)]
        self.committed += self.payee_outbox
        for effect in taken.effects:
            if isinstance(event, RequestArrived) and isinstance(effect, IssueInvoice):
                self.issue(event, effect)
            elif isinstance(effect, Refuse):
                error = write_invoice_error(effect.told, field=effect.field_number, suggested=effect.suggested)
                self.to_payer.append(RefusalArrived(error.to_bytes(), ENTROPY))

    def tells(self, side: str, before: Any, after: Any, effects: tuple[Effect, ...]) -> None:
        """P3: whatever a step leaves behind, it says so."""
        told = [effect for effect in effects if isinstance(effect, Emit)]
        settled = {event.data.get("counter") for event in told if event.name in PAID | LOST}
        assert set(range(before.next_counter, after.next_counter)) <= settled, "P3: a period went by in silence"
        if after.is_final and not before.is_final:
            assert {event.name for event in told} & ENDINGS, "P3: it ended in silence"
        booked = [effect for effect in effects if isinstance(effect, Book) and not effect.surplus]
        assert {book.counter for book in booked} <= settled, "P5: a payment without its event"
        self.logs[side].told += told

    def perform_payer(self, effect: Effect) -> None:
        assert effect in self.committed, "P4: it left before it was stored"
        super().perform_payer(effect)

    def perform_payee(self, effect: Effect) -> None:
        assert effect in self.committed, "P4: it left before it was stored"
        super().perform_payee(effect)

    # --- the adversary -----------------------------------------------------------------------------------------------

    def lie(self, key: PrivateKey | None = None, request: bytes | None = None, **changes: Any) -> InvoiceArrived:
        """An invoice for the pending request in which something is not as it should be."""
        assert self.payer.request is not None
        self.lies += 1
        basetime = self.payer.basetime
        told = {"created_at": self.now, "basetime": basetime, "preimage": preimage_of(LIES + self.lies), **changes}
        if key is not None:
            told["key"] = key
        return InvoiceArrived(an_invoice(self.payer.request.data if request is None else request, **told))

    def swallows(self, lie: InvoiceArrived) -> None:
        """Deliver a lie: it is not paid, and the honest answer still is."""
        self.step_payer(lie)
        assert self.payer.payment is None or self.payer.payment.invoice != lie.invoice, "a lie is being paid"

    @precondition(lambda self: self.payer.request is not None)
    @rule()
    def a_stranger_forges_an_invoice(self) -> None:
        before = self.payer
        self.swallows(self.lie(key=STRANGER))
        assert self.payer.request == before.request

    @precondition(lambda self: self.payer.request is not None)
    @rule(at=st.integers(0, 10**6))
    def somebody_changes_a_bit_of_an_invoice(self, at: int) -> None:
        data = bytearray(self.lie().invoice)
        data[at % len(data)] ^= 1 << at % 8
        self.swallows(InvoiceArrived(bytes(data)))

    @precondition(lambda self: self.payer.request is not None and self.payer.basetime is not None)
    @rule(shift=st.sampled_from([-1, 1, 1000, -100_000]))
    def the_payee_lies_about_the_basetime(self, shift: int) -> None:
        assert self.payer.basetime is not None
        self.swallows(self.lie(basetime=self.payer.basetime + shift))

    @precondition(lambda self: self.payer.request is not None and self.approvals > 0)
    @rule(factor=st.sampled_from([2, 1000]))
    def the_payee_lies_about_the_amount(self, factor: int) -> None:
        """A person is asked at most; the machine has its one approval behind it, and none is given for this."""
        self.swallows(self.lie(amount=PRICE * factor))

    @precondition(lambda self: self.payer.request is not None)
    @rule(ahead=st.sampled_from([-1, 1, 7]))
    def the_payee_answers_another_request(self, ahead: int) -> None:
        counter = max(0, self.payer.next_counter + ahead)
        other = a_request(counter, self.payer.offer, metadata=b"\x09" * 16, key=KEYS.payer)
        if counter != self.payer.next_counter:
            self.swallows(self.lie(request=other.to_bytes()))

    @precondition(lambda self: self.payer.payment is not None)
    @rule()
    def a_node_tells_of_a_payment_that_nobody_made(self) -> None:
        before = self.payer
        self.step_payer(PaymentFailed(PRICE.to_bytes(32, "big"), "other", False, ENTROPY))  # type: ignore[arg-type]
        assert self.payer == before

    @rule(ahead=st.integers(0, 3))
    def a_stranger_asks_for_our_period(self, ahead: int) -> None:
        """Under a key of its own: another payer, of whom nothing was ever claimed."""
        request = a_request(self.payee.next_counter + ahead, self.payer.offer, key=STRANGER)
        state = Inbound(self.payee.offer_id, STRANGER.point)
        taken = inbound.step(state, RequestArrived(request, self.offering, preimage_of(LIES)), UnixSeconds(self.now))
        assert taken.state == state
        assert request.counter == 0 or any(isinstance(effect, Refuse) for effect in taken.effects)

    # --- power and consumers -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.payer.wake_at is not None and not self.power_fails)
    @rule()
    def power_fails_before_the_payer_commits(self) -> None:
        """The step was taken and is lost: nothing of it has left, and the next one is as good."""
        assert self.payer.wake_at is not None
        self.now = max(self.now, self.payer.wake_at)
        before, waiting = self.payer, len(self.payer_outbox)
        self.power_fails = True
        self.step_payer(Due(KEYS, ENTROPY))
        assert (self.payer, len(self.payer_outbox)) == (before, waiting)

    @precondition(lambda self: self.seen_by_payee and not self.power_fails)
    @rule()
    def power_fails_while_the_payee_answers(self) -> None:
        before = self.payee
        request = InvoiceRequest.from_bytes(self.seen_by_payee[-1]).verify_signature()
        if request.is_cancel:
            return
        self.power_fails = True
        self.step_payee(RequestArrived(request, self.offering, preimage_of(LIES + 500_000)))
        assert self.payee == before

    @rule(side=st.sampled_from(["payer", "payee"]), many=st.integers(1, 5), saves=st.booleans())
    def a_consumer_reads(self, side: str, many: int, saves: bool) -> None:
        log = self.logs[side]
        log.consume(many)
        if saves:
            log.cursor = len(log.read)

    @rule(side=st.sampled_from(["payer", "payee"]))
    def a_consumer_crashes(self, side: str) -> None:
        self.logs[side].crash()

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def what_was_read_is_what_was_told_in_order(self) -> None:
        for log in getattr(self, "logs", {}).values():
            assert log.read == log.told[: len(log.read)]

    @invariant()
    def no_lie_is_in_any_books(self) -> None:
        lies = {preimage_of(LIES + number) for number in range(1, getattr(self, "lies", 0) + 1)}
        assert not lies & {book.preimage for book in (*self.payer_books, *self.payee_books)}

    def teardown(self) -> None:
        super().teardown()
        for log in getattr(self, "logs", {}).values():
            log.crash()
            log.consume(len(log.told))
            assert log.read == log.told


SixPromises.TestCase.settings = settings(max_examples=250, stateful_step_count=60)
TestSixPromises = SixPromises.TestCase


def test_the_machine_pays_where_nobody_lies_and_notices_a_step_that_says_nothing() -> None:
    """The invariants can fail, and what they watch does happen."""
    machine = SixPromises()
    machine.begin()
    machine.start(None, None, Windows.LENIENT, Missed.CATCH_UP, None, True)
    machine.a_good_day()
    assert [book.counter for book in machine.payer_books] == [0]
    machine.power_fails_before_the_payer_commits()
    machine.a_good_day()
    assert [book.counter for book in machine.payer_books] == [0, 1]
    skipped = replace(machine.payer, next_counter=machine.payer.next_counter + 1)
    for after in (skipped, replace(machine.payer, phase=Phase.LAPSED)):
        with pytest.raises(AssertionError, match="P3"):
            machine.tells("payer", machine.payer, after, ())


def test_an_engine_that_believes_any_invoice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def believes(state: Outbound, data: bytes, now: UnixSeconds, *, can_split: bool = False) -> Any:
        invoice = Invoice.from_bytes(data)
        return VerifiedInvoice.proven(invoice), invoice.basetime

    monkeypatch.setattr(outbound_paying, "check_invoice", believes)
    machine = SixPromises()
    machine.begin()
    machine.start(None, None, Windows.LENIENT, Missed.CATCH_UP, None, True)
    machine.payer_wakes()
    with pytest.raises(AssertionError, match="a lie is being paid"):
        machine.a_stranger_forges_an_invoice()
