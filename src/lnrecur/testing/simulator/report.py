"""`simulate`: run a world, and if a promise breaks, make it small and tell what happened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from lnrecur.recurrence.words import rfc3339
from lnrecur.testing.simulator.faults import faults_in_words
from lnrecur.testing.simulator.minimiser import RUNS_MAX, minimise
from lnrecur.testing.simulator.plan import YEAR, Plan, Scale, make_plan
from lnrecur.testing.simulator.promises import PromiseBroken
from lnrecur.testing.simulator.trace import Line, Wanted
from lnrecur.testing.simulator.world import WHOLE, Breakage, Outcome, Progress, World


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
    def command(self) -> str:
        """What runs this very world again."""
        scale = self.scale
        words = [f"lnrecur simulate --seed {scale.seed} --years {scale.seconds / YEAR:.12g}"]
        words.append(f"--subscriptions {scale.subscriptions} --faults {faults_in_words(scale.faults)}")
        return " ".join(words + (["--store sqlite"] if scale.on_disk else []))

    def shape(self) -> dict[str, Any]:
        """The report for machines. Times are RFC 3339, amounts msat."""
        small = self.small
        breach = self.breach
        return {
            "seed": self.scale.seed,
            "years": self.scale.seconds / YEAR,
            "subscriptions": self.scale.subscriptions,
            "faults": faults_in_words(self.scale.faults),
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
                "subscription": None if breach.subscription is None else str(breach.subscription),
                "command": self.command,
            },
            "trace": [] if small is None else [line_shape(line) for line in small.outcome.trace.lines],
        }  # fmt: skip


def line_shape(line: Line) -> dict[str, Any]:
    """A line of a trace for machines."""
    told = {"at": rfc3339(line.at), "node": line.node, "kind": line.kind, "told": line.told}
    return {**told, "slots": list(line.slots), "data": dict(line.data)}


def simulate(
    scale: Scale,
    *,
    breakage: Breakage = WHOLE,
    progress: Progress | None = None,
    wanted: Wanted | None = None,
    runs_max: int = RUNS_MAX,
) -> Report:
    """Run the world of a seed.

    Args:
        scale: how much, and how bad.
        breakage: parts broken on purpose, to see whether the promises notice.
        progress: told how far it is.
        wanted: lines of the trace to keep of a world in which nothing breaks.
        runs_max: how many smaller worlds to try when a promise breaks.
    """
    plan = make_plan(scale)
    outcome = asyncio.run(World(plan, breakage=breakage, progress=progress, wanted=wanted).run())
    if outcome.breach is None or runs_max <= 0:
        return Report(scale, outcome)
    return Report(scale, outcome, Small(*minimise(plan, outcome, breakage, runs_max)))
