"""`lnrecur conformance`: the suite of vectors, run against ourselves or any program that speaks its protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from lnrecur.bolt12 import Offer
from lnrecur.cli.message_document import warnings
from lnrecur.cli.output import json_option, make_console, print_json, print_table, printable
from lnrecur.testing.conformance import GROUPS, Case, Outcome, Report, Result, Subject, load_suite, run_suite
from lnrecur.testing.conformance_program import Program
from lnrecur.testing.conformance_self import Ourselves

_FAILURES_SHOWN: Final = 10
_VALUE_MAX: Final = 300
"""Characters of an expected or given answer in the table of failures."""
_RULES_OF_WARNINGS: Final = {"long_paywindow": "O8"}
"""The warnings of `lnrecur decode` that come from a rule."""


@click.group(short_help="The recurrence vectors, run against lnrecur or any other program.")
def conformance() -> None:
    """The recurrence vectors, run against lnrecur or any other program."""


@conformance.command(short_help="Run the suite.")
@click.option("--command", metavar="CMD", help="A program that answers JSON lines (conformance/PROTOCOL.md); else us.")
@click.option("--group", "groups", type=click.Choice(GROUPS), multiple=True, help="Only this group; may be repeated.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.01, 3600),
    default=5,
    show_default=True,
    help="Seconds the program has for one answer.",
)
@json_option
@click.pass_context
def run(context: click.Context, command: str | None, groups: tuple[str, ...], timeout: float, as_json: bool) -> None:
    """Run the suite against lnrecur itself, or against the program CMD.

    The exit code is 0 only if something passed and nothing failed; what a program calls unsupported does not count.
    """
    cases = load_suite(groups or GROUPS)
    with _subject(command, timeout) as subject, _progress(len(cases)) as advance:
        report = run_suite(cases, subject, advance)
    if as_json:
        print_json(_document(report))
    else:
        _show(report)
    context.exit(0 if report.passed else 1)


def offer_warnings(offer: Offer) -> list[str]:
    """The rules that the writer of this offer is warned of."""
    codes = (told["code"] for told in warnings(offer, 0))
    return [_RULES_OF_WARNINGS[code] for code in codes if code in _RULES_OF_WARNINGS]


@contextmanager
def _subject(command: str | None, timeout: float) -> Iterator[Subject]:
    if command is None:
        yield Ourselves(offer_warnings)
        return
    with Program(command, timeout) as program:
        yield program


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Result], None]]:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress

    with Progress(console=make_console(sys.stderr), transient=True) as progress:
        task = progress.add_task("cases", total=total)
        yield lambda _: progress.advance(task)


def _row(name: str, counts: Any) -> tuple[str, ...]:
    return (name, *(f"{counts[outcome]:,}" for outcome in Outcome))


def _show(report: Report) -> None:
    console = make_console()
    console.print(printable(f"{report.subject}: {len(report.results):,} cases"), style="bold", soft_wrap=True)
    console.print()
    rows = [_row(group, counts) for group, counts in report.counts().items()]
    print_table(console, ("group", *Outcome), [*rows, _row("all", report.total)])
    for result in report.failures[:_FAILURES_SHOWN]:
        console.print()
        for line in _failure_lines(result):
            console.print(printable(line), soft_wrap=True)
    left = len(report.failures) - _FAILURES_SHOWN
    if left > 0:
        console.print(f"\n... and {left:,} more failures; --json lists them all", soft_wrap=True)


def _failure_lines(result: Result) -> Sequence[str]:
    case = result.case
    rule = f" [{case.breaks}]" if case.breaks else ""
    got = "no answer" if result.answer is None else _short(_without_id(result.answer))
    return (
        f"{case.id}: {case.comment}{rule}",
        f"  {result.told}",
        f"  expected {_short(case.expect)}",
        f"  got      {got}",
    )


def _short(value: Any) -> str:
    told = json.dumps(value)
    return told if len(told) <= _VALUE_MAX else told[: _VALUE_MAX - 3] + "..."


def _without_id(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "id"}


def _document(report: Report) -> dict[str, Any]:
    return {
        "subject": report.subject,
        "cases": len(report.results),
        "passed": report.passed,
        "groups": {group: _counts(counts) for group, counts in report.counts().items()},
        "total": _counts(report.total),
        "failures": [_failure_document(result.case, result) for result in report.failures],
    }


def _counts(counts: Any) -> dict[str, int]:
    return {str(outcome): counts[outcome] for outcome in Outcome}


def _failure_document(case: Case, result: Result) -> dict[str, Any]:
    return {
        "id": case.id,
        "comment": case.comment,
        "rule": case.breaks,
        "told": result.told,
        "question": case.question,
        "expected": case.expect,
        "got": None if result.answer is None else _without_id(result.answer),
    }
