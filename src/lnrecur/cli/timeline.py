"""A timeline as an SVG picture: one row per period, its pay window, and what is planned or has happened in it.

All rows share one axis, the time before and after the start of a period, so that windows stand below each other and a
late payment is seen as such; four periods are as legible as a hundred. Colours follow the reader's light or dark mode,
and each mark has a shape of its own, since not everybody sees the colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from lnrecur.cli.output import local_moment, printable

_ROW: Final = 22
_LEFT: Final = 240
_TRACK: Final = 620
_RIGHT: Final = 230
_MARGIN: Final = 24
_HEAD: Final = 126
_TEXT_MAX: Final = 110
_SUBTITLE_MAX: Final = 160
_OUTCOME_MAX: Final = 34
_SCALE_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_STEPS: Final = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000, 864_000,
                 2_592_000, 7_776_000, 15_552_000, 31_536_000, 157_680_000)  # fmt: skip
_TICKS_MAX: Final = 8
_RULES: Final = (
    ".paper {{ fill: {paper}; }} text {{ fill: {ink}; }} .soft {{ fill: {soft}; }} "
    ".line {{ stroke: {line}; }} .zero, .period {{ stroke: {soft}; }} .window {{ fill: {window}; stroke: {edge}; }} "
    ".paid, .paidtext {{ fill: {paid}; }} .bad {{ stroke: {bad}; }} .badtext {{ fill: {bad}; }} "
    ".asked {{ stroke: {asked}; }} .started {{ fill: {asked}; }} .plan {{ stroke: {plan}; }} "
    ".plantext {{ fill: {plan}; }} .down {{ fill: {soft}; }}"
)
_LIGHT: Final = {
    "paper": "#ffffff", "ink": "#1d2733", "soft": "#5f6b78", "line": "#dde3e9", "window": "#d3e5f7", "edge": "#7fb0dd",
    "paid": "#1a7f4b", "bad": "#c2352b", "asked": "#8a6d00", "plan": "#2a6fb0",
}  # fmt: skip
_DARK: Final = {
    "paper": "#14191f", "ink": "#e6ebf0", "soft": "#98a4b0", "line": "#2c353f", "window": "#1f3d59", "edge": "#4d86b8",
    "paid": "#4cc38a", "bad": "#ff7b6e", "asked": "#e0b84a", "plan": "#7db9ee",
}  # fmt: skip
_STYLE: Final = (
    "svg { font-family: system-ui, 'DejaVu Sans', sans-serif; font-size: 12px; } "
    ".title { font-size: 16px; font-weight: 600; } .period { stroke-width: 1.5; } .plan, .bad { fill: none; } "
    ".asked, .bad, .plan { stroke-width: 2; } "
    f"{_RULES.format(**_LIGHT)} @media (prefers-color-scheme: dark) {{ {_RULES.format(**_DARK)} }}"
)
"""Written out twice, without variables, for viewers that know no more of CSS than that."""


class MarkKind(StrEnum):
    """What a mark says, in the words of the legend."""

    PLANNED = "we would pay"
    ASKED = "invoice asked for"
    STARTED = "payment started"
    PAID = "paid"
    FAILED = "refused or failed"
    DOWN = "node or money node down"


_ORDER: Final = (
    MarkKind.DOWN, MarkKind.ASKED, MarkKind.STARTED, MarkKind.FAILED, MarkKind.PLANNED, MarkKind.PAID,
)  # fmt: skip
"""What matters most is drawn last, over the others."""


class OutcomeKind(StrEnum):
    """How a period ended, which is a colour."""

    PLAIN = "soft"
    PAID = "paidtext"
    BAD = "badtext"
    PLANNED = "plantext"


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a moment (unix seconds)."""

    at: int
    kind: MarkKind


@dataclass(slots=True)
class Row:
    """One period; moments are unix seconds. A window without an end on one side has None there."""

    index: int
    start: int
    end: int
    opens: int | None
    closes: int | None
    outcome: str = ""
    outcome_kind: OutcomeKind = OutcomeKind.PLAIN
    marks: list[Mark] = field(default_factory=list)


def draw(title: str, subtitles: Sequence[str], rows: Sequence[Row], *, outcomes: str = "what became of it") -> str:
    """The picture, as the text of an SVG file. At most two `subtitles`; `outcomes` heads the last column."""
    width, height = 2 * _MARGIN + _LEFT + _TRACK + _RIGHT, _HEAD + _ROW * max(1, len(rows)) + _MARGIN + 12
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", width=str(width))
    root.set("height", str(height))
    SubElement(root, "title").text = _text(title, _TEXT_MAX)
    SubElement(root, "style").text = _STYLE
    SubElement(root, "rect", {"class": "paper", "width": "100%", "height": "100%"})
    _write(root, _MARGIN, 30, _text(title, _TEXT_MAX), "title")
    for line, subtitle in enumerate(subtitles):
        _write(root, _MARGIN, 50 + 18 * line, _text(subtitle, _SUBTITLE_MAX), "soft")
    kinds = [kind for kind in MarkKind if any(mark.kind is kind for row in rows for mark in row.marks)]
    _legend(root, kinds)
    axis = _Axis.over(rows)
    _draw_axis(root, axis, height, outcomes)
    for at, row in enumerate(rows):
        _draw_row(root, axis, row, _HEAD + _ROW * at + _ROW // 2)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


@dataclass(frozen=True, slots=True)
class _Axis:
    """Seconds before (negative) and after the start of a period, as places across the picture."""

    first: int
    last: int

    @classmethod
    def over(cls, rows: Sequence[Row]) -> _Axis:
        offsets = [
            moment - row.start for row in rows for moment in (row.opens, row.closes, row.end) if moment is not None
        ]
        offsets += [mark.at - row.start for row in rows for mark in row.marks]
        first, last = min([0, *offsets]), max([1, *offsets])
        room = max(1, (last - first) // 50)
        return cls(first - room, last + room)

    def x(self, offset: int) -> float:
        """Where an offset is; what lies beyond is at the edge."""
        share = (min(max(offset, self.first), self.last) - self.first) / (self.last - self.first)
        return round(_MARGIN + _LEFT + share * _TRACK, 1)

    def ticks(self) -> list[int]:
        """Offsets to be labelled: multiples of a step that people count in."""
        span = self.last - self.first
        step = next((step for step in _STEPS if span // step <= _TICKS_MAX), _STEPS[-1] * (span // _STEPS[-1] // 8 + 1))
        return list(range(-(-self.first // step) * step, self.last + 1, step))


def _draw_axis(root: Element, axis: _Axis, height: int, outcomes: str) -> None:
    _write(root, _MARGIN, _HEAD - 8, "period and its start", "soft")
    _write(root, _MARGIN + _LEFT + _TRACK + 14, _HEAD - 8, outcomes, "soft")
    for offset in axis.ticks():
        x = axis.x(offset)
        SubElement(root, "line", {"class": "line" if offset else "zero", "x1": str(x), "x2": str(x),
                                  "y1": str(_HEAD - 2), "y2": str(height - _MARGIN - 8)})  # fmt: skip
        _write(root, x, _HEAD - 8, _offset(offset), "soft", anchor="middle")


def _draw_row(root: Element, axis: _Axis, row: Row, y: int) -> None:
    group = SubElement(root, "g")
    _write(group, _MARGIN, y + 4, f"{row.index:,}")
    _write(group, _MARGIN + 46, y + 4, local_moment(row.start), "soft")
    opens = axis.first if row.opens is None else row.opens - row.start
    closes = axis.last if row.closes is None else row.closes - row.start
    left, right = axis.x(opens), axis.x(closes)
    SubElement(group, "rect", {"class": "window", "x": str(left), "y": str(y - 7), "rx": "3", "height": "14",
                               "width": str(round(max(2, right - left), 1))})  # fmt: skip
    SubElement(group, "line", {"class": "period", "x1": str(axis.x(0)), "x2": str(axis.x(row.end - row.start)),
                               "y1": str(y + 9), "y2": str(y + 9)})  # fmt: skip
    for mark in sorted(row.marks, key=lambda mark: _ORDER.index(mark.kind)):
        _draw_mark(group, mark.kind, axis.x(mark.at - row.start), y)
    _write(group, _MARGIN + _LEFT + _TRACK + 14, y + 4, _text(row.outcome, _OUTCOME_MAX), row.outcome_kind.value)


def _draw_mark(parent: Element, kind: MarkKind, x: float, y: int) -> None:
    if kind is MarkKind.PAID:
        SubElement(parent, "circle", {"class": "paid", "cx": str(x), "cy": str(y), "r": "5"})
    elif kind is MarkKind.PLANNED:
        SubElement(parent, "circle", {"class": "plan", "cx": str(x), "cy": str(y), "r": "4.5"})
    elif kind is MarkKind.ASKED:
        SubElement(parent, "line", {"class": "asked", "x1": str(x), "x2": str(x), "y1": str(y - 7), "y2": str(y + 7)})
    elif kind is MarkKind.STARTED:
        SubElement(parent, "path", {"class": "started", "d": f"M {x - 4} {y - 5} L {x + 5} {y} L {x - 4} {y + 5} Z"})
    elif kind is MarkKind.FAILED:
        cross = f"M {x - 4} {y - 4} L {x + 4} {y + 4} M {x - 4} {y + 4} L {x + 4} {y - 4}"
        SubElement(parent, "path", {"class": "bad", "d": cross})
    else:
        SubElement(parent, "path", {"class": "down", "d": f"M {x - 4} {y - 9} L {x + 4} {y - 9} L {x} {y - 3} Z"})


def _legend(root: Element, kinds: Sequence[MarkKind]) -> None:
    x, y = _MARGIN + 8.0, 90
    SubElement(
        root, "rect", {"class": "window", "x": str(x - 8), "y": str(y - 7), "width": "18", "height": "14", "rx": "3"}
    )
    _write(root, x + 16, y + 4, "pay window")
    SubElement(root, "line", {"class": "period", "x1": str(x + 96), "x2": str(x + 114), "y1": str(y), "y2": str(y)})
    _write(root, x + 120, y + 4, "the period itself")
    x += 236
    for kind in kinds:
        _draw_mark(root, kind, x, y)
        _write(root, x + 12, y + 4, kind.value)
        x += 32 + 7 * len(kind.value)


def _write(parent: Element, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
    about = {"x": str(x), "y": str(y), "text-anchor": anchor}
    SubElement(parent, "text", about | ({"class": style} if style else {})).text = text


def _text(text: str, most: int) -> str:
    """A stranger's words, cut so that they cover nothing."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def _offset(seconds: int) -> str:
    if not seconds:
        return "start"
    size, unit = next((size, unit) for size, unit in _SCALE_UNITS if seconds % size == 0)
    return f"{'+' if seconds > 0 else '−'}{abs(seconds) // size:,} {unit}"  # noqa: RUF001 - a minus sign, for people
