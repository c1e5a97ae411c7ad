"""Every promise is broken on purpose, and its checker notices: a test that cannot fail proves nothing.

Steps are broken where the services call them (`outbound.step`, `inbound.step`); stores, money nodes and what services
do with them are broken through the parts of a node. Only the checker in question looks on, so that none can hide behind
another. In a world that is whole all of them keep silent: see test_worlds.py.
"""

from dataclasses import replace
from typing import Any

import pytest

from helpers.broken_worlds import (
    Broken,
    Forgetful,
    Step,
    at_once,
    breach_of,
    break_step,
    lying_node,
    store_of,
    with_state,
)
from lnrecur.ports import Change, StoredEvent
from lnrecur.recurrence import inbound, outbound
from lnrecur.recurrence.effects import Claim, IssueInvoice, Pay
from lnrecur.recurrence.inbound_model import PaymentClaimable, RequestArrived
from lnrecur.recurrence.inbound_model import Phase as InboundPhase
from lnrecur.recurrence.inbound_model import Step as InboundStep
from lnrecur.recurrence.mandate import FiatLimit
from lnrecur.recurrence.outbound_model import Outbound, PaymentSettled, Phase, Trigger
from lnrecur.recurrence.outbound_model import Step as OutboundStep
from lnrecur.service.assembly import Parts
from lnrecur.service.performer import pay_order
from lnrecur.testing.simulator.faults import HEAVY, NONE
from lnrecur.testing.simulator.report import simulate
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.world import Breakage
from lnrecur.values import Msat

# --- P1 --------------------------------------------------------------------------------------------------------------


def serves_paid_periods_again(step: Step) -> Step:
    def broken(state: Any, event: Any, now: Any) -> Any:
        if isinstance(event, RequestArrived) and event.request.counter == state.next_counter - 1:
            before = replace(state, next_counter=event.request.counter, phase=InboundPhase.ACTIVE, open_invoice=None)
            return InboundStep(state, tuple(e for e in step(before, event, now).effects if isinstance(e, IssueInvoice)))
        if isinstance(event, PaymentClaimable) and (event.context.counter or 0) < state.next_counter:
            return InboundStep(state, (Claim(event.context.payment_hash, event.context.preimage),))
        return step(state, event, now)

    return broken


def test_p1_a_payee_that_sells_a_period_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    break_step(monkeypatch, inbound, serves_paid_periods_again)
    breach = breach_of("P1", behind=lying_node)
    assert "second payment" in breach.told
    assert breach.subscription is not None


# --- P2 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        {"max_per_period_msat": Msat(2**50)},
        {"max_total_msat": None},
        {"max_payments": None},
        {"ends_at": None},
    ],
    ids=lambda limits: next(iter(limits)),
)
def test_p2_a_payer_that_forgets_a_limit_is_noticed(monkeypatch: pytest.MonkeyPatch, limits: dict[str, Any]) -> None:
    generous = with_state(
        lambda state: replace(state, mandate=replace(state.mandate, **limits)),
        lambda after, before: replace(after, mandate=before.mandate),
    )
    break_step(monkeypatch, outbound, generous)
    breach_of("P2", seed=4, years=2.0, subscriptions=30)


def test_p2_a_payer_that_forgets_its_limit_in_euro_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    generous = with_state(
        lambda state: (
            replace(state, mandate=replace(state.mandate, fiat=FiatLimit("EUR", 10**9)))
            if state.mandate.fiat
            else state
        ),
        lambda after, before: replace(after, mandate=before.mandate),
    )
    break_step(monkeypatch, outbound, generous)
    assert "EUR" in breach_of("P2", seed=17, years=0.25, subscriptions=30).told


def test_p2_a_payer_that_offers_more_fees_than_allowed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    generous = with_state(
        lambda state: replace(state, mandate=replace(state.mandate, fee_ppm=state.mandate.fee_ppm * 10)),
        lambda after, before: replace(after, mandate=before.mandate),
    )
    break_step(monkeypatch, outbound, generous)
    assert "fees" in breach_of("P2").told


def test_p2_a_payer_that_does_not_wait_for_approval_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = with_state(
        lambda state: replace(state, terms=replace(state.terms, trigger=Trigger.AUTOMATIC)),
        lambda after, before: replace(after, terms=before.terms),
    )
    break_step(monkeypatch, outbound, hasty)
    assert "approval" in breach_of("P2", seed=2, years=2.0).told


# --- P3 --------------------------------------------------------------------------------------------------------------


def skips_a_period(step: Step) -> Step:
    def broken(state: Outbound, event: Any, now: Any) -> OutboundStep:
        taken = step(state, event, now)
        if isinstance(event, PaymentSettled) and taken.state.phase is Phase.IDLE and taken.state.next_counter == 3:
            return OutboundStep(replace(taken.state, next_counter=4), taken.effects)
        return taken  # type: ignore[no-any-return]

    return broken


def never_wakes_again(step: Step) -> Step:
    def broken(state: Outbound, event: Any, now: Any) -> OutboundStep:
        taken = step(state, event, now)
        if isinstance(event, PaymentSettled) and taken.state.phase is Phase.IDLE and taken.state.next_counter == 2:
            return OutboundStep(replace(taken.state, wake_at=None), taken.effects)
        return taken  # type: ignore[no-any-return]

    return broken


def ends_without_a_word(step: Step) -> Step:
    def broken(state: Outbound, event: Any, now: Any) -> OutboundStep:
        taken = step(state, event, now)
        return OutboundStep(taken.state) if taken.state.is_final and not state.is_final else taken

    return broken


@pytest.mark.parametrize(
    ("breaker", "told"),
    [
        (skips_a_period, "no event says how"),
        (never_wakes_again, "says nothing"),
        (ends_without_a_word, "no event says"),
    ],
)
def test_p3_a_payer_that_loses_a_period_in_silence_is_noticed(
    monkeypatch: pytest.MonkeyPatch, breaker: Any, told: str
) -> None:
    break_step(monkeypatch, outbound, breaker)
    assert told in breach_of("P3", years=2.0).told


# --- P4 --------------------------------------------------------------------------------------------------------------


def pays_before_it_stores(name: str, parts: Parts) -> Parts:
    class Hasty(Broken):
        def commit_outbound(self, change: Change[Outbound]) -> Any:
            for effect in change.outbox:
                if isinstance(effect, Pay):
                    at_once(parts.node.pay(pay_order(effect)))
            return self.inner.commit_outbound(change)

    return replace(parts, manager=Hasty(parts.manager))  # type: ignore[arg-type]


def claims_before_it_stores(name: str, parts: Parts) -> Parts:
    class Hasty(Broken):
        def commit_inbound(self, change: Change[Any]) -> Any:
            for effect in change.outbox:
                if isinstance(effect, Claim):
                    at_once(parts.node.claim(effect.preimage))
            return self.inner.commit_inbound(change)

    return replace(parts, manager=Hasty(parts.manager))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (pays_before_it_stores, "orders a payment that its store does not know"),
        (claims_before_it_stores, "claims a payment that nothing"),
        (store_of(Forgetful, "person"), "a request has left"),
    ],
    ids=["pay", "claim", "request"],
)
def test_p4_what_leaves_before_it_is_stored_is_noticed(before: Any, told: str) -> None:
    assert told in breach_of("P4", before=before).told


# --- P5 --------------------------------------------------------------------------------------------------------------


class LosesAnEvent(Broken):
    """A store that leaves out every event of one name."""

    def commit_outbound(self, change: Change[Outbound]) -> Any:
        kept = tuple(event for event in change.events if event.name != "payment.started")
        return self.inner.commit_outbound(replace(change, events=kept))


class Log(Broken):
    """A store whose log is told as `tell` likes it."""

    def tell(self, events: list[StoredEvent]) -> list[StoredEvent]:
        return events

    def events(self, *args: Any) -> list[StoredEvent]:
        return self.tell(list(self.inner.events(*args)))


class HoleInTheSequence(Log):
    def tell(self, events: list[StoredEvent]) -> list[StoredEvent]:
        return [replace(event, sequence=event.sequence + (event.sequence > 4)) for event in events]


class HoleInTheIds(Log):
    def tell(self, events: list[StoredEvent]) -> list[StoredEvent]:
        return [replace(event, id=event.id + (event.id > 6)) for event in events]


class OutOfOrder(Log):
    def tell(self, events: list[StoredEvent]) -> list[StoredEvent]:
        return events[::-1]


class TellsAnotherStory(Log):
    """Events look different to whoever reads them a second time, in a batch."""

    def tell(self, events: list[StoredEvent]) -> list[StoredEvent]:
        return [replace(event, at=event.at) if len(events) < 4 else replace(event, name="x.y") for event in events]


@pytest.mark.parametrize("kind", [LosesAnEvent, HoleInTheSequence, HoleInTheIds, OutOfOrder, TellsAnotherStory])
def test_p5_a_store_that_loses_or_reorders_events_is_noticed(kind: type[Broken]) -> None:
    breach_of("P5", behind=store_of(kind, "person"))


class LosesItsTail(Broken):
    """A store that has lost its newest events after each restart."""

    lives: dict[int, int] = {}

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._lost_behind = max((event.id for event in inner.events(0, 10**6)), default=0) - 3
        self._limit = max(0, self._lost_behind) if self._lost_behind > 7 else 10**9

    def events(self, after: int = 0, limit: int = 1000, *args: Any) -> Any:
        found = self.inner.events(after, limit, *args)
        return [event for event in found if event.id <= self._limit or event.id > self._lost_behind + 3]


def test_p5_a_consumer_that_comes_back_and_misses_events_notices() -> None:
    assert "lost" in breach_of("P5", faults=replace(NONE, crashes=20.0), behind=store_of(LosesItsTail, "person")).told


# --- P6 --------------------------------------------------------------------------------------------------------------


class WrongAmount(Broken):
    def commit_inbound(self, change: Change[Any]) -> Any:
        wrong = tuple(replace(book, amount_msat=Msat(book.amount_msat + 1)) for book in change.bookings)
        return self.inner.commit_inbound(replace(change, bookings=wrong))


class WrongSum(Broken):
    def commit_inbound(self, change: Change[Any]) -> Any:
        state = change.state
        if change.bookings and state.payments == 3:
            state = replace(state, received_msat=Msat(state.received_msat - 1))
        return self.inner.commit_inbound(replace(change, state=state))


class DoesNotBook(Broken):
    def commit_outbound(self, change: Change[Outbound]) -> Any:
        return self.inner.commit_outbound(replace(change, bookings=()))


@pytest.mark.parametrize(
    ("kind", "role", "told"),
    [
        (WrongAmount, "merchant", "what settled is"),
        (WrongSum, "merchant", "have settled"),
        (DoesNotBook, "person", "has not booked"),
    ],
)
def test_p6_books_that_do_not_tell_the_truth_are_noticed(kind: type[Broken], role: str, told: str) -> None:
    assert told in breach_of("P6", before=store_of(kind, role)).told


def test_p6_a_payment_that_is_never_booked_is_noticed_in_the_end() -> None:
    class MissesTheLast(Broken):
        def commit_outbound(self, change: Change[Outbound]) -> Any:
            done = change.state.phase is Phase.COMPLETED
            return self.inner.commit_outbound(replace(change, bookings=() if done else change.bookings))

    assert "lack" in breach_of("P6", before=store_of(MissesTheLast, "person"), years=2.0).told


# --- what is told of a breach ----------------------------------------------------------------------------------------


def test_a_breach_is_made_small_and_its_trace_tells_the_story(monkeypatch: pytest.MonkeyPatch) -> None:
    break_step(monkeypatch, outbound, skips_a_period)
    scale = Scale(1, 2 * YEAR, 10, HEAVY)
    report = simulate(scale, runs_max=80)
    assert report.small is not None
    plan, outcome = report.small.plan, report.small.outcome
    assert len(plan.arrivals) == 1
    assert len(plan.deeds) < 10
    assert plan.scale.seconds < scale.seconds
    assert outcome.breach is not None
    assert outcome.breach.promise == "P3"
    assert "subscription.created" in [line.told for line in report.lines]
    assert {slot for line in report.lines for slot in line.slots} == {plan.arrivals[0][0]}
    assert "--seed 1 --years 2 --subscriptions 10 --faults heavy" in report.command


def test_a_world_that_never_comes_to_rest_is_told_like_a_breach() -> None:
    class AlwaysDue(Broken):
        """A store that forgets its requests, so that each is made anew at once, for ever."""

        def commit_outbound(self, change: Change[Outbound]) -> Any:
            return self.inner.commit_outbound(
                replace(change, state=replace(change.state, request=None, wake_at=change.at))
            )

    report = simulate(Scale(1, YEAR, 1, NONE), breakage=Breakage(before=store_of(AlwaysDue, "person")), runs_max=0)
    assert report.breach is not None
    assert report.breach.promise == "bug"
    assert "rest" in report.breach.told


def test_an_exception_that_nobody_handled_is_told_like_a_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(step: Step) -> Step:
        def broken(state: Outbound, event: Any, now: Any) -> Any:
            if state.next_counter == 2:
                raise ZeroDivisionError("of this test")
            return step(state, event, now)

        return broken

    break_step(monkeypatch, outbound, bug)
    report = simulate(Scale(1, YEAR, 6, NONE), runs_max=0)
    assert report.breach is not None
    assert report.breach.promise == "bug"
    assert "ZeroDivisionError" in report.breach.told
