"""The payer's transition table: complete, obeyed from every kind of state, and promising nothing that never happens."""

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from helpers.engine import ENTROPY, KEYS, NOW, PayerSide, a_mandate, an_offer, every, hash_of, preimage_of
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.recurrence import outbound
from lnrecur.recurrence.errors import ImpossibleTransition
from lnrecur.recurrence.outbound import EVENTS, TRANSITIONS, step
from lnrecur.recurrence.outbound_model import (
    FINAL_PHASES,
    Approved,
    CancelAsked,
    Due,
    Event,
    InvoiceArrived,
    Missed,
    Outbound,
    PaymentFailed,
    PaymentSettled,
    PaymentUnknown,
    Phase,
    RefusalArrived,
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


def _at_the_end_of_time() -> PayerSide:
    recurrence = every(base=RecurrenceBase(0, U64_MAX))
    return _paying(0, Terms(start=0), recurrence=recurrence)


SIDES = [
    PayerSide(),
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
    ended, plain = (write_invoice_error(text).to_bytes() for text in ("recurrence-ended: sorry", "not now"))
    return [
        Due(KEYS, ENTROPY),
        *map(InvoiceArrived, invoices),
        *(RefusalArrived(error, ENTROPY) for error in (ended, plain, b"\xff")),
        Unreachable("no peer"),
        *(PaymentSettled(hash_, side.preimage, Msat(1)) for hash_ in (own, hash_of(preimage_of(10**6)))),
        *(PaymentFailed(own, "no_route", retryable, ENTROPY) for retryable in (True, False)),
        PaymentFailed(hash_of(preimage_of(10**6)), "no_route", False, ENTROPY),
        *(PaymentUnknown(hash_) for hash_ in (own, hash_of(preimage_of(10**6)))),
        CancelAsked(),
        Approved(),
        Approved(a_mandate(max_per_period_msat=Msat(10**6))),
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
