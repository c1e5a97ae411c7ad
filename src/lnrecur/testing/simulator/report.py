"""`simulate`: run a world, town by town, and if a promise breaks, make its town small and tell what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lnrecur.recurrence.words import rfc3339
from lnrecur.testing.simulator.crew import Errand, run_errands
from lnrecur.testing.simulator.facts import Subscription
from lnrecur.testing.simulator.faults import faults_in_words
from lnrecur.testing.simulator.minimiser import RUNS_MAX, minimise
from lnrecur.testing.simulator.plan import Plan, make_plan
from lnrecur.testing.simulator.promises import PromiseBroken
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.towns import Town, merged, town_with, towns_of
from lnrecur.testing.simulator.trace import About, Line
from lnrecur.testing.simulator.undisturbed import undisturbed
from lnrecur.testing.simulator.world import WHOLE, Breakage, Outcome, Standing

Tell = Callable[[float, str], None]
"""Told of progress: the share of the work that is done, from 0 to 1, and what there is to tell."""


@dataclass(frozen=True, slots=True)
class Small:
    """The smallest world found in which the promise breaks, and how it went."""

    plan: Plan
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Report:
    """What a simulation showed."""

    scale: Scale
    outcome: Outcome
    """Of all towns; after a breach, of those up to the one where it is."""
    town: Town
    """Where a promise broke; otherwise where the subscription is that was asked for."""
    town_outcome: Outcome
    small: Small | None = None

    @property
    def kept(self) -> bool:
        """Whether all promises held."""
        return self.outcome.breach is None

    @property
    def breach(self) -> PromiseBroken | None:
        """The first broken promise, as the smallest world tells it."""
        return self.outcome.breach if self.small is None else self.small.outcome.breach or self.outcome.breach

    @property
    def towns(self) -> int:
        """How many there are."""
        return len(towns_of(self.scale))

    @property
    def lines(self) -> list[Line]:
        """The trace that was kept."""
        return (self.town_outcome if self.small is None else self.small.outcome).lines

    @property
    def subscriptions(self) -> list[Subscription]:
        """All of the town, as far as they are in the smallest world."""
        return (self.town_outcome if self.small is None else self.small.outcome).subscriptions

    @property
    def command(self) -> str:
        """What runs this very world again or, where a promise broke, the town where it did."""
        return command_of(self.scale if self.kept else self.town.scale)

    def shape(self) -> dict[str, Any]:
        """The report for machines. Times are RFC 3339, amounts msat."""
        breach = self.breach
        return {
            "seed": self.scale.seed,
            "years": self.scale.seconds / YEAR,
            "subscriptions": self.scale.subscriptions,
            "faults": faults_in_words(self.scale.faults),
            "towns": self.towns,
            "kept": self.kept,
            "ended_at": rfc3339(self.outcome.at),
            "payments": self.outcome.counts["payments"],
            "events": self.outcome.counts["events"],
            "happened": dict(sorted(self.outcome.counts.items())),
            "digest": self.outcome.digest,
            "breach": None if breach is None else {
                "promise": breach.promise,
                "told": breach.told,
                "at": rfc3339(self.outcome.at),
                "town": self.town.number,
                "subscription": None if breach.subscription is None else str(breach.subscription),
                "command": self.command,
            },
            "trace": [] if self.small is None else [line_shape(line) for line in self.lines],
        }  # fmt: skip


def command_of(scale: Scale) -> str:
    """What runs a world again."""
    words = [f"lnrecur simulate --seed {scale.seed} --years {scale.seconds / YEAR:.12g}"]
    words.append(f"--subscriptions {scale.subscriptions} --faults {faults_in_words(scale.faults)}")
    return " ".join(words + (["--store sqlite"] if scale.on_disk else []))


def line_shape(line: Line) -> dict[str, Any]:
    """A line of a trace for machines."""
    told = {"at": rfc3339(line.at), "node": line.node, "kind": line.kind, "told": line.told}
    return {**told, "slots": list(line.slots), "data": dict(line.data)}


def simulate(
    scale: Scale,
    *,
    processes: int = 1,
    breakage: Breakage = WHOLE,
    tell: Tell = lambda share, told: None,
    about: int | None = None,
    runs_max: int = RUNS_MAX,
) -> Report:
    """Run the world of a seed. The report is the same for any number of processes.

    Args:
        scale: how much, and how bad.
        processes: how many may share the work, this one left out; with 1 it is this one. See `crew.run_errands`.
        breakage: parts broken on purpose, to see whether the promises notice.
        tell: told of progress.
        about: a subscription whose trace is to be kept, also if nothing breaks.
        runs_max: how many smaller worlds to try when a promise breaks.

    Raises:
        ProcessLost: one of the processes was killed.
    """
    towns = towns_of(scale)
    asked, slot = town_with(scale, about or 0)
    wanted = None if about is None else About(slot)
    errands = [Errand(town, wanted if town == asked else None) for town in towns]
    outcomes = run_errands(errands, processes, breakage, lambda standing: tell(standing.share, _told(standing)))
    outcome, last = merged(outcomes), len(outcomes) - 1
    if outcome.breach is None:
        return Report(scale, outcome, asked, outcomes[asked.number - 1])
    report = Report(scale, outcome, towns[last], outcomes[last])
    return report if runs_max <= 0 else _made_small(report, breakage, tell, runs_max)


def _made_small(report: Report, breakage: Breakage, tell: Tell, runs_max: int) -> Report:
    """The report with the smallest world that can be found."""
    assert report.breach is not None  # there is nothing to make small where nothing broke
    told = f"{report.breach.promise} is BROKEN: looking for a smaller world that breaks it"
    with undisturbed():
        plan, outcome = minimise(
            make_plan(report.town.scale), report.town_outcome, breakage, runs_max,
            on_run=lambda number: tell((number - 1) / runs_max, told),
        )  # fmt: skip
    return replace(report, small=Small(plan, outcome))


def _told(standing: Standing) -> str:
    return f"{standing.subscriptions:,} subscriptions, {standing.payments:,} payments"
