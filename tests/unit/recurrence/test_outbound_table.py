"""The payer's transition table: complete, obeyed from every kind of state, and promising nothing that never happens."""

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from helpers.engine import (
    ENTROPY,
    KEYS,
    NOW,
    PERIOD,
    PayerSide,
    a_cln_offer,
    a_mandate,
    a_plain_offer,
    an_offer,
    every,
    hash_of,
    preimage_of,
)
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence import outbound
from lnrecur.recurrence.errors import ImpossibleTransition
from lnrecur.recurrence.outbound import EVENTS, TRANSITIONS, step
from lnrecur.recurrence.outbound_model import (
    FINAL_PHASES,
    Amended,
    Approved,
    CancelAsked,
    Declined,
    Due,
    Event,
    InvoiceArrived,
    Missed,
    NodeSilent,
    Outbound,
    PauseAsked,
    PaymentFailed,
    PaymentSettled,
    PaymentUnknown,
    Phase,
    RefusalArrived,
    ResumeAsked,
    Step,
    Terms,
    Trigger,
    Unreachable,
)
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import Msat, UnixSeconds
from lnrecur.wire.integers import U64_MAX

CATCH_UP = Terms(missed=Missed.CATCH_UP)
ONE_TRY = Terms(payment_retry=RetryPolicy(5, tries_max=1), request_retry=RetryPolicy(5, tries_max=1))


def _asking(counter: int, terms: Terms | None = None, **offer: object) -> PayerSide:
    payer = PayerSide.paid(counter, an_offer(**offer), terms=terms)
    payer.wake()
    return payer


def _paying(counter: int, terms: Terms | None = None, **offer: object) -> PayerSide:
    payer = _asking(counter, terms, **offer)
    payer.receive()
    return payer


def _failed(counter: int, *, retryable: bool) -> PayerSide:
    payer = _paying(counter)
    payer.fail(retryable=retryable)
    return payer


def _cancelled(payer: PayerSide) -> PayerSide:
    payer.step(CancelAsked())
    return payer


def _unpayable(counter: int, terms: Terms | None = None) -> PayerSide:
    payer = _asking(counter, terms)
    payer.receive(amount=10_001)
    return payer


def _held() -> PayerSide:
    """A person is asked about an invoice whose payee makes no other one."""
    payer = PayerSide(a_cln_offer(), terms=Terms(ask_if_price_differs=True))
    payer.wake()
    payer.receive(amount=9_999)
    return payer


def _woken(payer: PayerSide) -> PayerSide:
    payer.wake()
    return payer


def _given_up(counter: int) -> PayerSide:
    """The invoice's payment finally failed; the next wake asks for a new one."""
    return _woken(_failed(counter, retryable=False))


def _given_up_as_the_mandate_ends() -> PayerSide:
    payer = PayerSide.paid(1, mandate=a_mandate(ends_at=UnixSeconds(NOW + 1100)))
    payer.wake()
    payer.receive()
    payer.fail(retryable=False)
    return _woken(payer)


def _at_the_end_of_time(counter: int = 0) -> PayerSide:
    """The period of this counter is the last that can be counted (T7); there is time left to pay it."""
    recurrence = every(base=RecurrenceBase(0, U64_MAX - (counter + 1) * PERIOD + 1))
    return _paying(counter, Terms(start=0), recurrence=recurrence)


def _refused(payer: PayerSide, text: str, times: int = 1) -> PayerSide:
    for _ in range(times):
        payer.step(RefusalArrived(write_invoice_error(text).to_bytes(), ENTROPY))
    return payer


def _asked_again_after_giving_up(payer: PayerSide) -> PayerSide:
    """A payment finally failed, a new invoice is asked for, and the payee says that the period is settled."""
    payer.fail(retryable=False)
    payer.wake()
    payer.wake()
    return _refused(payer, "invreq_recurrence_counter: it is paid already [Q13]")


def _paused(payer: PayerSide) -> PayerSide:
    payer.step(PauseAsked())
    return payer


def _far_behind() -> PayerSide:
    payer = PayerSide.paid(1, an_offer(every()), a_mandate(catch_up_max=2), CATCH_UP)
    payer.now = UnixSeconds(NOW + 10 * PERIOD)
    return _woken(payer)


LAST = {"recurrence": every(base=RecurrenceBase(0, NOW - 3 * PERIOD), limit=3)}
FROM_LAST = Terms(start=3)

SIDES = [
    PayerSide(),
    _held(),
    _asking(0, FROM_LAST, **LAST),
    _asking(1, recurrence=every(limit=1)),
    *(_asked_again_after_giving_up(_paying(counter)) for counter in (0, 1)),
    _asked_again_after_giving_up(_paying(0, FROM_LAST, **LAST)),
    _asked_again_after_giving_up(_paying(1, recurrence=every(limit=1))),
    *(_asked_again_after_giving_up(_at_the_end_of_time(counter)) for counter in (0, 1)),
    *(_paused(PayerSide.paid(counter, terms=terms)) for counter in (0, 1) for terms in (None, CATCH_UP)),
    _paused(_asking(1)),
    *(_paused(_paying(counter)) for counter in (0, 1)),
    _far_behind(),
    _refused(_asking(1), "Internal error", 4),
    _refused(_asking(1, recurrence=every(limit=1)), "Internal error", 4),
    *(_refused(_asking(counter), f"recurrence-changed: {an_offer(amount=1).to_text()}") for counter in (0, 1)),
    PayerSide(a_plain_offer(), one_off=True),
    _woken(PayerSide(a_plain_offer(), one_off=True)),
    PayerSide(terms=Terms(trigger=Trigger.ON_APPROVAL)),
    PayerSide(mandate=a_mandate(max_per_period_msat=Msat(1))),
    *(_asking(counter, terms) for counter in (0, 1) for terms in (None, CATCH_UP, ONE_TRY)),
    _asking(0, absolute_expiry=NOW + 1),
    PayerSide.paid(1),
    PayerSide.paid(1, terms=CATCH_UP),
    PayerSide.paid(1, mandate=a_mandate(max_payments=1)),
    PayerSide.paid(3, an_offer(every(limit=5, paywindow=Paywindow(10, 10)))),
    *(_paying(counter) for counter in (0, 1)),
    _paying(0, ONE_TRY),
    _paying(1, recurrence=every(limit=1)),
    *(_cancelled(_paying(counter)) for counter in (0, 1)),
    *(_failed(counter, retryable=retryable) for counter in (0, 1) for retryable in (True, False)),
    *(_given_up(counter) for counter in (0, 1)),
    _given_up_as_the_mandate_ends(),
    _at_the_end_of_time(),
    *(_unpayable(counter, terms) for counter in (0, 1) for terms in (None, CATCH_UP)),
    _cancelled(PayerSide.paid(1)),
    _cancelled(PayerSide()),
    _woken(_cancelled(PayerSide.paid(1))),
    PayerSide.paid(2, an_offer(every(limit=1))),
]
STATES = [side.state for side in SIDES]
SIDES_BY_STATE = list(zip(SIDES, STATES, strict=True))
DELAYS = (0, 5, 100, 601, 999, 1000, 2001, 10**9)


def _events(side: PayerSide) -> list[Event]:
    own = hash_of(side.preimage)
    invoices = [side.invoice(), side.invoice(amount=10_001)] if side.state.request is not None else [b"\xff", b""]
    texts = (
        "recurrence-ended: sorry", "not now", "Unknown offer", "too late [Q16]", "Internal error",
        f"too early: period 1 can be paid from {side.now + 50}, it is {side.now} [Q16]",
        f"recurrence-changed: {an_offer(amount=1).to_text()}", "this period is paid already [Q13]",
    )  # fmt: skip
    refusals = [write_invoice_error(text).to_bytes() for text in texts]
    refusals.append(write_invoice_error("it is paid already", field=92, suggested=b"\x03").to_bytes())
    return [
        Due(KEYS, ENTROPY),
        *map(InvoiceArrived, invoices),
        *(RefusalArrived(error, ENTROPY) for error in (*refusals, b"\xff")),
        Unreachable("no peer"),
        *(PaymentSettled(hash_, side.preimage, Msat(1)) for hash_ in (own, hash_of(preimage_of(10**6)))),
        *(PaymentFailed(own, "no_route", retryable, ENTROPY) for retryable in (True, False)),
        PaymentFailed(hash_of(preimage_of(10**6)), "no_route", False, ENTROPY),
        *(PaymentUnknown(hash_) for hash_ in (own, hash_of(preimage_of(10**6)))),
        *(NodeSilent(hash_, "locked") for hash_ in (own, hash_of(preimage_of(10**6)))),
        CancelAsked(),
        Approved(),
        Approved(a_mandate(max_per_period_msat=Msat(10**6))),
        Approved(paid_elsewhere=True),
        Approved(successor=side.state),
        Declined(),
        PauseAsked(),
        ResumeAsked(),
        Amended(mandate={"max_payments": 7, "max_per_period_msat": Msat(10**6)}),
        Amended(terms={"jitter_s": 5, "trigger": Trigger.AUTOMATIC}),
    ]


def _walk() -> set[tuple[Phase, type[Event], Phase]]:
    """Every kind of state, every kind of event, now and later: where it led."""
    seen = set()
    for side, state in SIDES_BY_STATE:
        for event, delay in product(_events(side), DELAYS):
            taken = step(state, event, UnixSeconds(side.now + delay))
            assert isinstance(taken, Step)
            seen.add((state.phase, type(event), taken.state.phase))
    return seen


def test_the_table_has_a_row_for_every_phase_and_event() -> None:
    assert set(EVENTS) == set(get_args(Event))
    assert set(TRANSITIONS) == set(product(Phase, EVENTS))


def test_the_states_of_this_test_stand_in_every_phase() -> None:
    assert {state.phase for state in STATES} >= set(Phase) - {Phase.LAPSED}


def test_no_event_leads_outside_the_table_and_the_table_promises_nothing_that_never_happens() -> None:
    seen = _walk()
    promised = {(phase, event, to) for (phase, event), (_, allowed) in TRANSITIONS.items() for to in allowed}
    assert seen <= promised
    stays = {(phase, event, phase) for phase, event in TRANSITIONS}
    assert promised - seen - stays == set()


@pytest.mark.parametrize("phase", sorted(FINAL_PHASES))
def test_nothing_ever_happens_in_a_final_phase(phase: Phase) -> None:
    for side, state in SIDES_BY_STATE:
        ended = replace(state, phase=phase)
        for event in _events(side):
            assert step(ended, event, UnixSeconds(side.now + 10**6)) == Step(ended)


def test_a_handler_that_leads_outside_the_table_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(state: Outbound, event: Event, now: UnixSeconds) -> Step:
        return Step(replace(state, phase=Phase.COMPLETED))

    monkeypatch.setitem(outbound.TRANSITIONS, (Phase.IDLE, Approved), (broken, frozenset({Phase.IDLE})))
    with pytest.raises(ImpossibleTransition, match="Approved in idle led to completed"):
        step(PayerSide.paid(1).state, Approved(), NOW)


def test_a_state_that_pays_nothing_in_paying_is_a_bug_and_stopped() -> None:
    with pytest.raises(ImpossibleTransition, match="paying without a payment"):
        step(replace(PayerSide().state, phase=Phase.PAYING), PaymentUnknown(hash_of(preimage_of(1))), NOW)
