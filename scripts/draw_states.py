"""Draw the state machines of both sides from their transition tables.

    python scripts/draw_states.py           write docs/states.md
    python scripts/draw_states.py --check   fail if that page is not what the tables say

The page cannot go stale: everything in it comes from TRANSITIONS, from the docstrings of the handlers and from the
descriptions of the phases.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from generated_page import DOCS, write_or_check

from lnrecur.recurrence import inbound, inbound_model, outbound, outbound_model

PAGE = DOCS / "states.md"
Table = Mapping[tuple[Any, type[Any]], tuple[Any, frozenset[Any]]]

HEAD = """# The states of a subscription

Drawn by `scripts/draw_states.py` from the transition tables in `recurrence/outbound.py` and `recurrence/inbound.py`;
do not edit. An arrow says that an event *may* lead there; what decides is in the table below each diagram.
Events that change nothing in a state are left out of the tables. Not drawn: events that leave the state as it is.
"""


def render() -> str:
    """The whole page."""
    return "\n".join((
        HEAD,
        *machine("The payer: an outbound subscription", outbound.TRANSITIONS, outbound_model.Phase,
                 outbound_model.FINAL_PHASES, outbound_model.Phase.AWAITING_FIRST_INVOICE),
        *machine("The payee: an inbound subscription", inbound.TRANSITIONS, inbound_model.Phase,
                 inbound_model.FINAL_PHASES, inbound_model.Phase.STRANGER),
    ))  # fmt: skip


def machine(title: str, table: Table, phases: type[StrEnum], final: frozenset[Any], first: StrEnum) -> list[str]:
    """One side: its states, its diagram, its table."""
    told = descriptions(phases)
    lines = [f"## {title}", "", "| state | meaning |", "| --- | --- |"]
    lines += [f"| `{phase.value}` | {told[phase.name]} |" for phase in phases]
    return [*lines, "", *diagram(table, phases, final, first), "", *rows(table, phases), ""]


def diagram(table: Table, phases: type[StrEnum], final: frozenset[Any], first: StrEnum) -> list[str]:
    """A mermaid state diagram: one arrow for each pair of states, with the events that may lead along it."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.value}"]
    for start in phases:
        for end in phases:
            events = [event.__name__ for (phase, event), (_, to) in table.items() if phase is start and end in to]
            if events and start is not end:
                lines.append(f"    {start.value} --> {end.value}: {', '.join(events)}")
    lines += [f"    {phase.value} --> [*]" for phase in phases if phase in final]
    return [*lines, "```"]


def rows(table: Table, phases: type[StrEnum]) -> list[str]:
    """What each event does in each state, in the words of its handler."""
    lines = ["| state | event | what happens | may lead to |", "| --- | --- | --- | --- |"]
    for start in phases:
        for (phase, event), (handler, to) in table.items():
            if phase is not start or handler.__name__ == "_nothing":
                continue
            ends = ", ".join(f"`{end.value}`" for end in phases if end in to and end is not start) or "(stays)"
            lines.append(f"| `{start.value}` | {event.__name__} | {first_line(handler)} | {ends} |")
    return lines


def first_line(handler: Any) -> str:
    """The first line of a handler's docstring."""
    return (inspect.getdoc(handler) or handler.__name__).splitlines()[0]


def descriptions(phases: type[StrEnum]) -> dict[str, str]:
    """The string under each member of an enumeration, by the member's name."""
    body = ast.parse(inspect.getsource(phases)).body[0]
    if not isinstance(body, ast.ClassDef):
        raise TypeError(f"{phases} is no class")
    told: dict[str, str] = {}
    for member, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name):
            words = text.value.value if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) else ""
            told[member.targets[0].id] = " ".join(str(words).split())
    return told


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, render(), "draw_states.py"))
