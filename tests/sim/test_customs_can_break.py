"""What only some worlds have, broken on purpose: single payments, nodes that cannot hold, twins, relays, workers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from helpers.broken_worlds import Broken, Forgetful, breach_of, break_step, lying_node, store_of
from lnrecur.ports import Change
from lnrecur.recurrence import inbound, outbound
from lnrecur.recurrence.effects import Claim
from lnrecur.recurrence.inbound_model import Inbound, PaymentClaimable, PaymentClaimed, RequestArrived
from lnrecur.recurrence.inbound_model import Step as InboundStep
from lnrecur.recurrence.outbound_model import Due, Outbound
from lnrecur.recurrence.outbound_model import Step as OutboundStep
from lnrecur.service.assembly import Parts
from lnrecur.service.courier import MessageSettings
from lnrecur.testing.simulator.deeds import TWIN, WORKER
from lnrecur.testing.simulator.faults import NONE
from lnrecur.testing.simulator.plan import Plan, make_plan, person_of
from lnrecur.testing.simulator.promises import PromiseBroken
from lnrecur.testing.simulator.promises.books_agree import BooksAgree
from lnrecur.testing.simulator.report import simulate
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.world import Breakage
from lnrecur.values import Msat

# --- single payments -------------------------------------------------------------------------------------------------


def sells_a_thing_again(step: Any) -> Any:
    def broken(state: Inbound, event: Any, now: Any) -> InboundStep:
        fresh = Inbound(state.offer_id, state.payer_id)
        if isinstance(event, RequestArrived) and event.request.counter is None:
            return InboundStep(state, step(fresh, event, now).effects)
        if isinstance(event, PaymentClaimable) and event.context.counter is None and state.next_counter:
            return InboundStep(state, (Claim(event.context.payment_hash, event.context.preimage),))
        return step(state, event, now)  # type: ignore[no-any-return]

    return broken


def test_p1_a_payee_that_sells_a_thing_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    break_step(monkeypatch, inbound, sells_a_thing_again)
    breach = breach_of("P1", behind=lying_node)
    assert breach.subscription is not None
    assert breach.subscription.one_off


def test_p2_a_buyer_who_forgets_the_limit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(step: Any) -> Any:
        def broken(state: Outbound, event: Any, now: Any) -> OutboundStep:
            mandate = replace(state.mandate, max_per_period_msat=Msat(2**50), fiat=None)
            taken = step(replace(state, mandate=mandate) if state.one_off else state, event, now)
            return OutboundStep(replace(taken.state, mandate=state.mandate), taken.effects)

        return broken

    break_step(monkeypatch, outbound, generous)
    breach = breach_of("P2", years=3.0, subscriptions=10)
    assert breach.subscription is not None
    assert breach.subscription.one_off


def never_asks(step: Any) -> Any:
    def broken(state: Outbound, event: Any, now: Any) -> OutboundStep:
        taken = step(state, event, now)
        if state.one_off and isinstance(event, Due):
            return OutboundStep(replace(taken.state, wake_at=None))
        return taken  # type: ignore[no-any-return]

    return broken


def ends_without_a_word(step: Any) -> Any:
    def broken(state: Outbound, event: Any, now: Any) -> OutboundStep:
        taken = step(state, event, now)
        return OutboundStep(taken.state) if state.one_off and taken.state.is_final else taken

    return broken


@pytest.mark.parametrize(("breaker", "told"), [(never_asks, "no end"), (ends_without_a_word, "no event says")])
def test_p3_a_single_payment_that_is_lost_in_silence_is_noticed(
    monkeypatch: pytest.MonkeyPatch, breaker: Any, told: str
) -> None:
    break_step(monkeypatch, outbound, breaker)
    assert told in breach_of("P3").told


class BooksNoThing(Broken):
    def commit_outbound(self, change: Change[Outbound]) -> Any:
        return self.inner.commit_outbound(replace(change, bookings=() if change.state.one_off else change.bookings))


def test_p6_a_single_payment_that_is_not_booked_is_noticed() -> None:
    breach = breach_of("P6", before=store_of(BooksNoThing, "person"))
    assert breach.subscription is not None
    assert str(breach.subscription).startswith("payment ")


# --- money nodes that cannot hold ------------------------------------------------------------------------------------


def seed_where(has: Callable[[Plan], object], subscriptions: int) -> int:
    """The first world that has something."""
    return next(seed for seed in range(1, 100) if has(make_plan(Scale(seed, YEAR, subscriptions, NONE))))


def seed_without_hold() -> int:
    """The first world whose merchant has such a node."""
    return seed_where(lambda plan: plan.cannot_hold, 1)


def test_p6_a_payee_that_books_only_what_it_has_reserved_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def reserving(step: Any) -> Any:
        def broken(state: Inbound, event: Any, now: Any) -> InboundStep:
            lost = isinstance(event, PaymentClaimed) and state.reserved is None
            return InboundStep(state) if lost else step(state, event, now)

        return broken

    break_step(monkeypatch, inbound, reserving)
    assert "payee" in breach_of("P6", seed=seed_without_hold(), years=0.05, subscriptions=2).told


class OwesAll(Broken):
    """A payee's store in which every payment is a surplus."""

    def commit_inbound(self, change: Change[Any]) -> Any:
        owed = tuple(replace(booking, surplus=True) for booking in change.bookings)
        return self.inner.commit_inbound(replace(change, bookings=owed))


def test_p1_and_p6_look_at_what_is_owed_back() -> None:
    holds, cannot = 1, seed_without_hold()
    assert "owes back" in breach_of("P1", seed=holds, before=store_of(OwesAll, "merchant")).told
    assert "have settled" in breach_of("P6", seed=cannot, before=store_of(OwesAll, "merchant")).told


# --- twins -----------------------------------------------------------------------------------------------------------

SUBSCRIPTIONS = 6


def breach_among_twins(promise: str, **more: Any) -> PromiseBroken:
    """The breach in the first world of six in which somebody has a second daemon."""
    seed = seed_where(lambda plan: plan.with_twins, SUBSCRIPTIONS)
    breach = breach_of(promise, seed=seed, subscriptions=SUBSCRIPTIONS, years=2.0, **more)
    assert breach.subscription is not None
    return breach


def sells_to_the_second_too(step: Any) -> Any:
    def broken(state: Inbound, event: Any, now: Any) -> InboundStep:
        if isinstance(event, RequestArrived) and event.request.counter == state.next_counter - 1:
            before = replace(state, next_counter=state.next_counter - 1, open_invoice=None)
            return InboundStep(state, step(before, event, now).effects)
        if isinstance(event, PaymentClaimable) and (event.context.counter or 0) < state.next_counter:
            return InboundStep(state, (Claim(event.context.payment_hash, event.context.preimage),))
        return step(state, event, now)  # type: ignore[no-any-return]

    return broken


def test_p1_a_payee_that_takes_a_period_from_both_twins_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    break_step(monkeypatch, inbound, sells_to_the_second_too)
    breach = breach_among_twins("P1")
    assert "second payment" in breach.told
    assert breach.subscription is not None
    assert len(breach.subscription.holders) == 2


def test_p3_a_twin_that_adopts_in_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(step: Any) -> Any:
        def broken(state: Outbound, event: Any, now: Any) -> OutboundStep:
            taken = step(state, event, now)
            told = [one for one in taken.effects if getattr(one, "name", None) != "subscription.adopted"]
            return OutboundStep(taken.state, tuple(told))

        return broken

    break_step(monkeypatch, outbound, silent)
    assert "no event says how" in breach_among_twins("P3").told


class KeepsNoBooks(Broken):
    def commit_outbound(self, change: Change[Outbound]) -> Any:
        return self.inner.commit_outbound(replace(change, bookings=()))


def of_twins(kind: type[Broken]) -> Callable[[str, Parts], Parts]:
    """Breaks the stores of second daemons."""

    def dress(name: str, parts: Parts) -> Parts:
        return replace(parts, manager=kind(parts.manager)) if name.endswith(TWIN) else parts  # type: ignore[arg-type]

    return dress


class ForgetsTheLog(Broken):
    def events(self, *args: Any) -> Any:
        return [replace(event, sequence=1) for event in self.inner.events(*args)]


def test_p5_a_twin_whose_log_begins_anew_is_noticed() -> None:
    assert "log" in breach_among_twins("P5", behind=of_twins(ForgetsTheLog)).told


def test_p6_a_twin_that_does_not_book_what_it_pays_is_noticed() -> None:
    breach_among_twins("P6", before=of_twins(KeepsNoBooks))


# --- relays ----------------------------------------------------------------------------------------------------------


def seed_with_relays() -> int:
    return seed_where(lambda plan: plan.relays, SUBSCRIPTIONS)


def test_p4_a_request_that_leaves_through_relays_before_it_is_stored_is_noticed() -> None:
    breach = breach_of("P4", seed=seed_with_relays(), before=store_of(Forgetful, "person"))
    assert "a request has left" in breach.told


def idle(name: str, parts: Parts) -> Parts:
    """Relays that pass on nothing."""
    return replace(parts, messages=MessageSettings(relay=None)) if name.startswith("relay") else parts


def test_where_relays_are_idle_nothing_is_paid_and_nothing_is_lost_in_silence() -> None:
    scale = Scale(seed_with_relays(), YEAR // 2, SUBSCRIPTIONS, NONE)
    whole, stuck = simulate(scale), simulate(scale, breakage=Breakage(behind=idle))
    assert whole.kept
    assert stuck.kept
    assert whole.outcome.counts["payments"] > 5
    assert stuck.outcome.counts["payments"] == 0
    assert stuck.outcome.counts["subscriptions"] > 5


# --- workers ---------------------------------------------------------------------------------------------------------


def on_disk(seed: int) -> Scale:
    """A few weeks of somebody who is always wanted, on disk: only there several processes can share a store."""
    return Scale(seed, YEAR // 4, 2, NONE, on_disk=True)


def seed_with_workers() -> int:
    """The first world on disk in which each person has one."""
    wanted = {person_of(slot) for slot in range(2)}
    return next(seed for seed in range(1, 500) if wanted <= make_plan(on_disk(seed)).with_workers)


def of_workers(name: str, parts: Parts) -> Parts:
    """Breaks the stores of workers."""
    return replace(parts, manager=KeepsNoBooks(parts.manager)) if name.endswith(WORKER) else parts  # type: ignore[arg-type]


def test_p6_a_worker_that_does_not_book_what_it_pays_is_noticed() -> None:
    scale = on_disk(seed_with_workers())
    whole = simulate(scale)
    assert whole.kept, whole.breach
    assert whole.outcome.counts["payments"]
    broken = simulate(scale, breakage=Breakage(before=of_workers, promises=(BooksAgree,)), runs_max=0)
    assert broken.breach is not None
    assert "has not booked" in broken.breach.told or "lack" in broken.breach.told
