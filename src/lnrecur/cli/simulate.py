"""`lnrecur simulate`: years of subscriptions on virtual time, everything going wrong that can, six promises checked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lnrecur.cli.errors import EXIT_FAILED
from lnrecur.cli.output import json_option, local_moment, make_console, print_json, print_table, printable
from lnrecur.cli.timeline import draw
from lnrecur.cli.timeline_story import longest_of, rows_of
from lnrecur.errors import UsageError
from lnrecur.recurrence.words import recurrence_in_words
from lnrecur.testing.simulator.crew import cores
from lnrecur.testing.simulator.faults import faults_in_words, parse_faults
from lnrecur.testing.simulator.promises import PROMISES
from lnrecur.testing.simulator.report import Report
from lnrecur.testing.simulator.report import simulate as simulate_world
from lnrecur.testing.simulator.scale import DAY, YEAR, Scale
from lnrecur.testing.simulator.trace import Line

if TYPE_CHECKING:
    from rich.console import Console

_YEARS_MAX: Final = 100
_SUBSCRIPTIONS_MAX: Final = 10_000
_PROCESSES_MAX: Final = 256
_VALUE_MAX: Final = 40
"""Longest key, hash or offer that is shown whole."""
_STEP: Final = 0.1
"""How often progress is told where standard error is no terminal, as a share of the time."""


@click.command("simulate", short_help="Years of subscriptions in a minute: do the promises hold?")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="All chance follows from it.")
@click.option(
    "--years",
    type=click.FloatRange(0, _YEARS_MAX, min_open=True),
    default=1,
    show_default=True,
    help="How much time passes.",
)
@click.option(
    "--subscriptions",
    type=click.IntRange(1, _SUBSCRIPTIONS_MAX),
    default=10,
    show_default=True,
    help="How many there are at a time; who leaves is followed by somebody new.",
)
@click.option(
    "--faults",
    default="light",
    show_default=True,
    metavar="LEVEL[,NAME=VALUE...]",
    help="none, light or heavy, or single values such as loss=0.1,crashes=3.",
)
@click.option(
    "--store",
    type=click.Choice(["memory", "sqlite"]),
    default="memory",
    show_default=True,
    help="Where books are kept.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE.svg",
    help="Draw what happened to one subscription.",
)
@click.option(
    "--subscription",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Which one to draw, from 0; where a promise breaks, the one concerned.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, _PROCESSES_MAX),
    metavar="N",
    help="How many may share the work; what they find does not depend on it.  [default: one per core]",
)
@json_option
@click.pass_context
def simulate(
    context: click.Context,
    seed: int,
    years: float,
    subscriptions: int,
    faults: str,
    store: str,
    picture: Path | None,
    subscription: int,
    processes: int | None,
    as_json: bool,
) -> None:
    """Run real payees and payers on virtual time, over a network that loses messages, and check the six promises.

    Merchants and subscribers, daemons that crash, money nodes that fall silent, power cuts between a commit and what
    follows from it: all of it follows from the seed. When a promise breaks, a small world that breaks it too is
    looked for, its trace is printed, and the exit code is 1. See docs/simulator.md.
    """
    scale = Scale(seed, max(1, round(years * YEAR)), subscriptions, parse_faults(faults), on_disk=store == "sqlite")
    if picture is not None and subscription >= subscriptions:
        raise UsageError(f"--subscription: there are {subscriptions}, numbered from 0", field="subscription")
    about = None if picture is None else subscription
    with _progress() as tell:
        report = simulate_world(scale, processes=processes or cores(), tell=tell, about=about)
    if picture is not None:
        picture.write_text(_picture(report, subscription), encoding="utf-8")
    if as_json:
        print_json(report.shape())
    else:
        _show(report)
    context.exit(0 if report.kept else EXIT_FAILED)


def _picture(report: Report, subscription: int) -> str:
    """Of the subscription that was asked for or, where a promise broke, of the one concerned."""
    breach = report.breach
    if breach is None:
        known = longest_of(report.subscriptions, subscription - report.town.first_slot)
    elif breach.subscription is None:
        known = longest_of(report.subscriptions)
    else:
        known = longest_of(report.subscriptions, breach.subscription.slot)
    terms = recurrence_in_words(known.offer)
    faults = faults_in_words(report.scale.faults)
    told = f"simulated, {known}{_in_town(report)}, seed {report.scale.seed}, faults: {faults}"
    lines = [line for line in report.lines if line.slots or line.node in (known.person, known.merchant)]
    told = told if breach is None else f"{told}; BROKEN {breach}"
    return draw(known.offer.description or "an offer", (terms, told), rows_of(known, lines))


def _in_town(report: Report) -> str:
    return f", town {report.town.number} of {report.towns}" if report.towns > 1 else ""


@contextmanager
def _progress() -> Iterator[Callable[[float, str], None]]:
    """A bar on standard error, or now and then a line where that is no terminal."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.progress import Progress

    with Progress(console=make_console(sys.stderr), transient=True) as progress:
        task = progress.add_task("simulating", total=1.0)
        yield lambda share, told: progress.update(task, completed=share, description=told)


def _lines() -> Callable[[float, str], None]:
    last = 0.0

    def tell(share: float, told: str) -> None:
        nonlocal last
        if share >= last + _STEP or share < last:  # less than before: something else has begun
            last = share
            click.echo(f"{share:4.0%}  {told}", err=True)

    return tell


def _show(report: Report) -> None:
    console = make_console()
    scale, counts = report.scale, report.outcome.counts
    told = f"seed {scale.seed}: {scale.seconds / YEAR:g} years, {scale.subscriptions} subscriptions at a time"
    towns = f" in {report.towns} towns" if report.towns > 1 else ""
    console.print(f"{told}{towns}, faults: {faults_in_words(scale.faults)}", style="bold", soft_wrap=True)
    console.print()
    print_table(console, ("what happened", "how often"), [(name, f"{counts[name]:,}") for name in sorted(counts)])
    console.print()
    breach = report.breach
    if breach is None:
        for promise in PROMISES:
            console.print(f"{promise.id} holds: {promise.text}", soft_wrap=True)
        console.print(f"\ndigest of all events and books: {report.outcome.digest}", soft_wrap=True)
        return
    console.print(printable(f"BROKEN {breach}"), style="bold red", soft_wrap=True)
    if breach.subscription is not None:
        console.print(str(breach.subscription), soft_wrap=True)
    console.print(f"seed {scale.seed}{_in_town(report)}, at {local_moment(report.outcome.at)}", soft_wrap=True)
    console.print(f"to run it again: {report.command}", soft_wrap=True)
    _show_trace(console, report)


def _show_trace(console: Console, report: Report) -> None:
    if report.small is None:
        return
    plan = report.small.plan
    size = f"subscriptions: {len(plan.arrivals)}, days: {plan.scale.seconds / DAY:.1f}, deeds: {len(plan.deeds)}"
    told = f"\nThe smallest world that breaks it ({size}, faults: {faults_in_words(plan.scale.faults)}):"
    console.print(told, soft_wrap=True)
    for deed in plan.deeds:
        console.print(f"  planned: {deed.kind} of {deed.node} after {deed.at:,} s ({deed.number})", soft_wrap=True)
    console.print()
    print_table(console, ("time", "who", "what"), [_row(line) for line in report.lines])


def _row(line: Line) -> tuple[str, str, str]:
    data = " ".join(
        f"{name}={_short(value)}"
        for name, value in line.data.items()
        if value is not None and f"{name} {value}" not in line.told
    )
    return local_moment(line.at), line.node, printable(f"{line.told} {data}".strip())


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) > _VALUE_MAX and " " not in text else text
