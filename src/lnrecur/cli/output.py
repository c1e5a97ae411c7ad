"""Printing, for every command: consoles, tables, JSON, and what makes a stranger's text safe to show.

Text from strangers (descriptions, issuers, notes) goes through `printable` before it meets a terminal. The consoles
made here read no markup in anything, so square brackets stay square brackets; styles are given as values.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import click

from lnrecur.recurrence.words import moment_in_words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

_JSON_ASKED: Final = "lnrecur.cli.json"
_PIPE_COLUMNS: Final = 160
"""How wide we print where there is no terminal whose width would matter."""
_LINE_BREAKS: Final = "\x85\u2028\u2029"
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def json_option(command: AnyFunction) -> AnyFunction:
    """Give a command `--json`, as its argument `as_json`; its errors then are JSON on stdout too."""
    option = click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=_remember_json,
        help="Print one JSON document, errors included.",
    )
    return option(command)


def json_asked(context: click.Context) -> bool:
    """Whether the command that runs, or failed, was given --json."""
    return bool(context.meta.get(_JSON_ASKED, False))


def _remember_json(context: click.Context, _: click.Parameter, value: bool) -> bool:
    context.meta[_JSON_ASKED] = value
    return value


def print_json(document: Any) -> None:
    """Print one JSON document in ASCII, so that nothing in it can reach a terminal as a control character."""
    told = json.dumps(document, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")
    click.echo(told)


def printable(text: str) -> str:
    """A stranger's text for a terminal: control characters, bidi marks and the like are shown as replacements.

    Spaces of any width become plain ones; line breaks are control characters.
    """
    return "".join(_printable_character(character) for character in text)


def _printable_character(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() and character not in _LINE_BREAKS and ord(character) > 0x7F else _REPLACEMENT


def make_console(stream: IO[str] | None = None) -> Console:
    """A console on `stream` (stdout): colours only on a terminal and where NO_COLOR is not set, no markup, no emoji."""
    from rich.console import Console

    out = stream if stream is not None else sys.stdout
    if isinstance(out, TextIOWrapper) and out.errors == "strict":  # a terminal that is not UTF-8 must not stop us
        out.reconfigure(errors="replace")
    terminal = out.isatty()
    return Console(
        file=out,
        force_terminal=terminal,
        no_color=True if os.environ.get("NO_COLOR") or not terminal else None,
        width=None if terminal or "COLUMNS" in os.environ else _PIPE_COLUMNS,
        markup=False,
        emoji=False,
        highlight=False,
    )


def make_table(*columns: str, title: str | None = None) -> Table:
    """A table with these headings; cells are folded, never cut."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, show_edge=False)
    for heading in columns:
        table.add_column(heading, overflow="fold")
    return table


def print_table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings."""
    table = make_table(*columns)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_facts(console: Console, heading: str, facts: Iterable[tuple[str, str]]) -> None:
    """Print a heading and its facts below it, as name and value; nothing at all where there are no facts.

    A long value runs over the edge instead of being folded, so that it can be copied in one piece.
    """
    from rich.text import Text

    rows = list(facts)
    if not rows:
        return
    width = max(len(name) for name, _ in rows)
    console.print()
    console.print(heading, style="bold", soft_wrap=True)
    for name, value in rows:
        console.print(Text.assemble((f"  {name:<{width}}  ", "dim"), value), soft_wrap=True)


def local_moment(unix: int) -> str:
    """A moment in the reader's own time zone; in UTC where the C library cannot reckon so far."""
    try:
        return f"{datetime.fromtimestamp(unix, UTC).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    except (OverflowError, ValueError, OSError):
        return moment_in_words(unix)
