"""Makes a world in which a promise breaks small: a shorter time, fewer subscriptions, fewer bad days.

Each part of a plan has its own stream of chance, so leaving one out does not change the others; what remains is run
again, and kept if the same promise still breaks. It is greedy and stops after so many runs: small, not smallest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

from lnrecur.testing.rig import START
from lnrecur.testing.simulator.deeds import Deed
from lnrecur.testing.simulator.facts import Subscription
from lnrecur.testing.simulator.faults import FaultLevels
from lnrecur.testing.simulator.plan import Plan, person_behind, person_of
from lnrecur.testing.simulator.world import CALM_S, WHOLE, Breakage, Outcome, World

T = TypeVar("T")
RUNS_MAX: Final = 120
_NETWORK: Final = ("loss", "doubling", "reordering", "lateness", "repeated_receipts")
_TRACE_LINES_MAX: Final = 200


class _Spent(Exception):
    """As many runs as there may be were made."""


def minimise(
    plan: Plan,
    broken: Outcome,
    breakage: Breakage = WHOLE,
    runs_max: int = RUNS_MAX,
    on_run: Callable[[int], None] = lambda number: None,
) -> tuple[Plan, Outcome]:
    """A smaller plan that breaks the same promise, and how it went, with the trace of the subscription concerned.

    `broken` is how `plan` went; it has a breach. `on_run` is called before each run, with its number from 1.
    """
    search = _Search(plan, broken, breakage, runs_max, on_run)
    with suppress(_Spent):
        search.shrink()
    return _told(search.plan), _traced(search.plan, search.outcome, breakage)


class _Search:
    def __init__(
        self, plan: Plan, broken: Outcome, breakage: Breakage, runs_max: int, on_run: Callable[[int], None]
    ) -> None:
        self.plan = plan
        self.outcome = broken
        self._breakage = breakage
        self._runs_max = runs_max
        self._runs = 0
        self._on_run = on_run

    def shrink(self) -> None:
        """Leave out what can be left out, the greatest parts first."""
        self._shorten()
        self._depopulate()
        self._try(replace(self.plan, deeds=()))
        self._sublists(self.plan.deeds, self._with_deeds)
        for name in _NETWORK:
            if getattr(self.plan.scale.faults, name):
                self._try(_with_faults(self.plan, replace(self.plan.scale.faults, **{name: 0.0})))
        self._depopulate()
        self._shorten()

    def _depopulate(self) -> None:
        """Leave out people; once more in the end, since what happened to those may have depended on them."""
        breach = self.outcome.breach
        if breach is not None and breach.subscription is not None:
            self._try(_only(self.plan, _slots_of(self.plan, breach.subscription)))
        self._sublists([slot for slot, _ in self.plan.arrivals], lambda slots: _only(self.plan, slots))

    def _with_deeds(self, deeds: Sequence[Deed]) -> Plan:
        return replace(self.plan, deeds=tuple(deeds))

    def _shorten(self) -> None:
        """End the world where the promise broke, or, if it breaks only in the end, try half of the time."""
        lasted = self.outcome.at - START
        if lasted < self.plan.scale.seconds:
            self._try(_until(self.plan, lasted + 1))
            return
        while self._try(_until(self.plan, max(1, (self.outcome.at - START - CALM_S) // 2))):
            pass

    def _sublists(self, parts: Sequence[T], plan_of: Callable[[Sequence[T]], Plan]) -> None:
        """Delta debugging: leave out ever smaller pieces."""
        size = len(parts) // 2
        while size:
            for without in _without_pieces(parts, size):
                if self._try(plan_of(without)):
                    parts = without
                    break
            else:
                size //= 2
            size = min(size, len(parts) // 2)

    def _try(self, plan: Plan) -> bool:
        if plan == self.plan or not plan.arrivals:
            return False
        if self._runs == self._runs_max:
            raise _Spent
        self._runs += 1
        self._on_run(self._runs)
        outcome = asyncio.run(World(plan, breakage=self._breakage).run())
        if outcome.breach is None or self.outcome.breach is None:
            return False
        if outcome.breach.promise != self.outcome.breach.promise:
            return False
        self.plan, self.outcome = plan, outcome
        return True


def _without_pieces(parts: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(parts), size):
        yield [*parts[:at], *parts[at + size :]]


def _slots_of(plan: Plan, known: Subscription) -> list[int]:
    """Its own, or those of the person who made a single payment."""
    slots = [slot for slot, _ in plan.arrivals]
    return [slot for slot in slots if (person_of(slot) == known.person if known.one_off else slot == known.slot)]


def _only(plan: Plan, slots: Sequence[int]) -> Plan:
    """The plan with these slots, and what happens to those who are left."""
    arrivals = tuple(arrival for arrival in plan.arrivals if arrival[0] in slots)
    people = {person_of(slot) for slot, _ in arrivals}
    deeds = tuple(
        deed for deed in plan.deeds if person_behind(deed.node) in people or deed.node.startswith(("merchant", "relay"))
    )
    return replace(plan, arrivals=arrivals, deeds=deeds)


def _until(plan: Plan, seconds: int) -> Plan:
    deeds = tuple(deed for deed in plan.deeds if deed.at <= seconds)
    return replace(plan, scale=replace(plan.scale, seconds=seconds), deeds=deeds)


def _told(plan: Plan) -> Plan:
    """The same without the rates that its deeds were once made by: what is left of those stands in the plan."""
    faults = plan.scale.faults
    return _with_faults(plan, FaultLevels(**{name: getattr(faults, name) for name in _NETWORK}))


def _with_faults(plan: Plan, faults: FaultLevels) -> Plan:
    return replace(plan, scale=replace(plan.scale, faults=faults))


def _traced(plan: Plan, outcome: Outcome, breakage: Breakage) -> Outcome:
    """The same once more, with the lines that tell of the subscription concerned, or all of them."""
    known = None if outcome.breach is None else outcome.breach.subscription

    def wanted(node: str, slots: tuple[int, ...]) -> bool:
        if known is None or known.slot in slots:
            return True
        return not slots and (
            person_behind(node) in ("world", known.person, known.merchant) or node.startswith("relay")
        )

    traced = asyncio.run(World(plan, wanted=wanted, breakage=breakage).run())
    del traced.lines[:-_TRACE_LINES_MAX]
    return traced
