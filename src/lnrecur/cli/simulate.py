"""`lnrecur simulate`: years of subscriptions on virtual time, everything going wrong that can, six promises checked."""

from __future__ import annotations

import gc
import logging
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
from lnrecur.testing.simulator.faults import faults_in_words, parse_faults
from lnrecur.testing.simulator.plan import YEAR, Scale, person_of
from lnrecur.testing.simulator.promises import PROMISES
from lnrecur.testing.simulator.report import Report
from lnrecur.testing.simulator.report import simulate as simulate_world
from lnrecur.testing.simulator.trace import Line, Wanted

if TYPE_CHECKING:
    from rich.console import Console

_YEARS_MAX: Final = 100
_SUBSCRIPTIONS_MAX: Final = 10_000
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
    as_json: bool,
) -> None:
    """Run real payees and payers on virtual time, over a network that loses messages, and check the six promises.

    Merchants and subscribers, daemons that crash, money nodes that fall silent, power cuts between a commit and what
    follows from it: all of it follows from the seed. When a promise breaks, a small world that breaks it too is
    looked for, its trace is printed, and the exit code is 1.
    """
    scale = Scale(seed, max(1, round(years * YEAR)), subscriptions, parse_faults(faults), on_disk=store == "sqlite")
    if picture is not None and subscription >= subscriptions:
        raise UsageError(f"--subscription: there are {subscriptions}, numbered from 0", field="subscription")
    wanted = None if picture is None else _about(subscription)
    with _progress() as tell, _trouble_untold(), _seldom_collecting():
        report = simulate_world(scale, progress=tell, wanted=wanted)
    if picture is not None:
        picture.write_text(_picture(report, subscription), encoding="utf-8")
    if as_json:
        print_json(report.shape())
    else:
        _show(report)
    context.exit(0 if report.kept else EXIT_FAILED)


@contextmanager
def _trouble_untold() -> Iterator[None]:
    """Trouble is what is wanted here: nobody has to read of it in the log."""
    log = logging.getLogger("lnrecur")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """A world keeps nearly all it makes; to look through it for garbage again and again took an eighth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _about(slot: int) -> Wanted:
    """Lines of one subscription and of the two nodes it is between."""
    person = person_of(slot)
    return lambda node, slots: slot in slots or (not slots and (node == person or node.startswith("merchant")))


def _picture(report: Report, slot: int) -> str:
    outcome = report.outcome if report.small is None else report.small.outcome
    breach = report.breach
    if breach is not None and breach.subscription is not None:
        slot = breach.subscription.slot
    known = longest_of(outcome.subscriptions, slot)
    terms = recurrence_in_words(known.offer)
    told = f"simulated, {known}, seed {report.scale.seed}, faults: {faults_in_words(report.scale.faults)}"
    lines = [line for line in outcome.trace.lines if line.slots or line.node in (known.person, known.merchant)]
    told = told if breach is None else f"{told}; BROKEN {breach}"
    return draw(known.offer.description or "an offer", (terms, told), rows_of(known, lines))


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
        if share >= last + _STEP:
            last = share
            click.echo(f"{share:4.0%}  {told}", err=True)

    return tell


def _show(report: Report) -> None:
    console = make_console()
    scale, counts = report.scale, report.outcome.counts
    told = f"seed {scale.seed}: {scale.seconds / YEAR:g} years, {scale.subscriptions} subscriptions at a time"
    console.print(f"{told}, faults: {faults_in_words(scale.faults)}", style="bold", soft_wrap=True)
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
    console.print(f"seed {scale.seed}, at {local_moment(report.outcome.at)}", soft_wrap=True)
    console.print(f"to run it again: {report.command}", soft_wrap=True)
    _show_trace(console, report)


def _show_trace(console: Console, report: Report) -> None:
    if report.small is None:
        return
    plan, lines = report.small.plan, report.small.outcome.trace.lines
    people = f"{len(plan.arrivals)} subscriptions, {plan.scale.seconds:,} seconds, {len(plan.deeds)} deeds"
    console.print(f"\nThe smallest world that breaks it ({people}, faults: {faults_in_words(plan.scale.faults)}):")
    for deed in plan.deeds:
        console.print(f"  planned: {deed.kind} of {deed.node} after {deed.at:,} s ({deed.number})", soft_wrap=True)
    console.print()
    print_table(console, ("time", "who", "what"), [_row(line) for line in lines])


def _row(line: Line) -> tuple[str, str, str]:
    data = " ".join(f"{name}={_short(value)}" for name, value in line.data.items() if value is not None)
    return local_moment(line.at), line.node, printable(f"{line.told} {data}".strip())


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 and text.isalnum() else text
