"""The payee's transition table: complete, obeyed from every kind of state, and promising nothing that never happens."""

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from helpers.engine import PAYER, PERIOD, PayeeSide, a_plain_offer, a_request, an_offer, every, hash_of, preimage_of
from lnrecur.bolt12 import Offer
from lnrecur.recurrence import inbound
from lnrecur.recurrence.errors import ImpossibleTransition
from lnrecur.recurrence.inbound import EVENTS, TRANSITIONS, step
from lnrecur.recurrence.inbound_model import (
    CancelArrived,
    Due,
    EndAsked,
    Event,
    Inbound,
    PauseAsked,
    PaymentClaimable,
    PaymentClaimed,
    PaymentReturned,
    Phase,
    RequestArrived,
    ResumeAsked,
    Step,
    WaiveAsked,
    subscription_id,
)
from lnrecur.recurrence.offering import Late, Offering, OfferPolicy, OfferStatus, Windows
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.values import Msat, UnixSeconds

LIMITED = an_offer(every(limit=2))
OPTIONAL = an_offer(every(optional=True))


def _reserved(payee: PayeeSide, counter: int | None) -> PayeeSide:
    payee.claimable(payee.invoiced(counter))
    return payee


def _asked(payee: PayeeSide, counter: int) -> PayeeSide:
    payee.invoiced(counter)
    return payee


def _cancelled(payee: PayeeSide) -> PayeeSide:
    counter = payee.state.next_counter
    payee.step(CancelArrived(a_request(counter, payee.offer, cancel=True), payee.offering))
    return payee


def _one_off(offer: Offer) -> PayeeSide:
    payee = PayeeSide(offer)
    payee.take(None)
    return payee


def _with(offering: PayeeSide, policy: OfferPolicy) -> PayeeSide:
    offering.policy = policy
    return offering


def _under(payee: PayeeSide, status: OfferStatus) -> PayeeSide:
    payee.status = status
    payee.successor = "lno1another" if status is OfferStatus.REPLACED else None
    return payee


def _ordered(payee: PayeeSide, order: type[PauseAsked | EndAsked]) -> PayeeSide:
    payee.step(order(payee.offering))
    return payee


def _lapsed(payee: PayeeSide) -> PayeeSide:
    payee.wake()
    return payee


TAKE_ALL = OfferPolicy(after_window=Late.TAKE, after_cancel=Late.TAKE, after_end=Late.TAKE)
RETURN_ALL = OfferPolicy(after_window=Late.RETURN, after_cancel=Late.RETURN, after_end=Late.RETURN)

SIDES = [
    PayeeSide(),
    PayeeSide(LIMITED),
    PayeeSide(LIMITED, OfferPolicy(payments_max=1)),
    _under(PayeeSide(), OfferStatus.RETIRED),
    _under(PayeeSide(), OfferStatus.ENDED),
    _reserved(PayeeSide(), 0),
    _reserved(PayeeSide(policy=OfferPolicy(payments_max=1)), 0),
    _reserved(PayeeSide(OPTIONAL), None),
    *(PayeeSide.paid(counter, LIMITED) for counter in (1, 2, 3)),
    PayeeSide.paid(1, LIMITED, OfferPolicy(windows=Windows.LENIENT)),
    PayeeSide.paid(1, LIMITED, OfferPolicy(windows=Windows.LENIENT, arrears_max=1)),
    *(_under(PayeeSide.paid(2, LIMITED), status) for status in OfferStatus),
    _asked(PayeeSide.paid(1), 1),
    _reserved(PayeeSide.paid(1), 1),
    _reserved(PayeeSide.paid(2, LIMITED), 2),
    _under(_reserved(PayeeSide.paid(1), 1), OfferStatus.ENDED),
    _ordered(PayeeSide.paid(1), PauseAsked),
    _ordered(PayeeSide.paid(2, LIMITED), PauseAsked),
    _under(_ordered(PayeeSide.paid(1), PauseAsked), OfferStatus.ENDED),
    _ordered(_reserved(PayeeSide.paid(1), 1), PauseAsked),
    _under(_ordered(_reserved(PayeeSide.paid(1), 1), PauseAsked), OfferStatus.REPLACED),
    _ordered(PayeeSide.paid(1), EndAsked),
    _ordered(_reserved(PayeeSide.paid(1), 1), EndAsked),
    _ordered(_reserved(PayeeSide(), 0), EndAsked),
    _with(_ordered(PayeeSide.paid(1), EndAsked), TAKE_ALL),
    _lapsed(PayeeSide.paid(1)),
    _lapsed(PayeeSide.paid(2, LIMITED)),
    _with(_lapsed(PayeeSide.paid(1)), RETURN_ALL),
    _cancelled(PayeeSide.paid(1)),
    _with(_cancelled(PayeeSide.paid(1)), TAKE_ALL),
    _one_off(a_plain_offer()),
    _one_off(OPTIONAL),
]


def _context(side: PayeeSide, counter: int | None, number: int) -> ReceiveContext:
    return ReceiveContext(
        offer_id=side.offer.offer_id,
        payer_id=PAYER.point,
        counter=counter,
        start=None,
        basetime=side.state.basetime or side.now,
        amount_msat=Msat(10_000),
        created_at=side.now,
        preimage=preimage_of(number),
    )


def _events(side: PayeeSide) -> list[Event]:
    nothing = hash_of(preimage_of(10**6))
    reserved = nothing if side.state.reserved is None else side.state.reserved.payment_hash
    contexts = [_context(side, counter, number) for counter in (None, 0, 1, 2, 3) for number in (side.issued, 10**5)]
    requests = [a_request(counter, side.offer, key=PAYER) for counter in (None, 0, 1, 2, 3)]
    cancels = [a_request(counter, side.offer, cancel=True) for counter in (0, 1, 2, 3)]
    return [
        *(RequestArrived(request, side.offering, preimage_of(10**4)) for request in requests),
        *(CancelArrived(request, side.offering) for request in cancels),
        *(PaymentClaimable(context, Msat(10_000), side.now, side.offering) for context in contexts),
        *(PaymentClaimed(context, Msat(10_000), side.now, side.offering) for context in contexts),
        PaymentReturned(nothing, side.offering),
        PaymentReturned(reserved, side.offering),
        *(order(side.offering) for order in (Due, PauseAsked, ResumeAsked, WaiveAsked, EndAsked)),
    ]


def test_the_table_has_a_row_for_every_phase_and_event() -> None:
    assert set(EVENTS) == set(get_args(Event))
    assert set(TRANSITIONS) == set(product(Phase, EVENTS))
    assert {side.state.phase for side in SIDES} == set(Phase)


def test_no_event_leads_outside_the_table_and_the_table_promises_nothing_that_never_happens() -> None:
    seen = set()
    for side in SIDES:
        for event, delay in product(_events(side), (0, PERIOD, 10**8)):
            taken = step(side.state, event, UnixSeconds(side.now + delay))
            seen.add((side.state.phase, type(event), taken.state.phase))
    promised = {(phase, event, to) for (phase, event), (_, allowed) in TRANSITIONS.items() for to in allowed}
    assert seen <= promised
    stays = {(phase, event, phase) for phase, event in TRANSITIONS}
    assert promised - seen - stays == set()


def test_requests_and_cancels_of_strangers_change_nothing_at_all() -> None:
    for side in SIDES:
        if side.state.phase is not Phase.STRANGER:
            continue
        for event, delay in product(_events(side), (0, PERIOD, 10**8)):
            if isinstance(event, RequestArrived | CancelArrived):
                taken = step(side.state, event, UnixSeconds(side.now + delay))
                assert taken.state == side.state
                assert {type(effect).__name__ for effect in taken.effects} <= {"IssueInvoice", "Refuse"}


def test_a_final_phase_stays_final_but_what_was_on_its_way_still_counts_for_a_lapsed_one() -> None:
    for side in SIDES:
        if side.state.is_final:
            for event in _events(side):
                after = step(side.state, event, side.now).state
                late = isinstance(event, CancelArrived | PaymentClaimable | PaymentClaimed)
                revived = side.state.phase is Phase.LAPSED and late
                assert after.phase is side.state.phase or revived


def test_a_handler_that_leads_outside_the_table_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(state: Inbound, event: Event, now: UnixSeconds) -> Step:
        return Step(replace(state, phase=Phase.CANCELLED))

    monkeypatch.setitem(inbound.TRANSITIONS, (Phase.STRANGER, PaymentReturned), (broken, frozenset({Phase.STRANGER})))
    with pytest.raises(ImpossibleTransition, match="PaymentReturned in stranger led to cancelled"):
        step(PayeeSide().state, PaymentReturned(hash_of(preimage_of(1)), Offering()), UnixSeconds(0))


def test_a_subscription_is_named_by_its_offer_and_payer() -> None:
    state = PayeeSide().state
    assert state.subscription_id == subscription_id(state.offer_id, state.payer_id)
    others = {PayeeSide(LIMITED).state.subscription_id, replace(state, payer_id=b"\2" * 33).subscription_id}
    assert len(others | {state.subscription_id}) == 3
    assert len(state.subscription_id) == 32
