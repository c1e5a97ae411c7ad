"""The timeline picture: an SVG that any viewer reads, with everything in its place."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from lnrecur.bolt12 import OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.offer import write_offer
from lnrecur.cli.main import main
from lnrecur.cli.timeline import Mark, MarkKind, OutcomeKind, Row, draw
from lnrecur.crypto.keys import PrivateKey

SVG = "{http://www.w3.org/2000/svg}"
DAY = 86_400


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def shapes(svg: str, style: str) -> list[ElementTree.Element]:
    return [element for element in ElementTree.fromstring(svg).iter() if element.get("class") == style]


def a_row(index: int = 0, **changes: object) -> Row:
    start = index * 30 * DAY
    row = Row(index, start, start + 30 * DAY, start - 3 * DAY, start + 10 * DAY)
    for name, value in changes.items():
        setattr(row, name, value)
    return row


def test_what_strangers_wrote_is_text_and_nothing_else() -> None:
    svg = draw('<script>&"\x1b[31m', ("a\x00b",), [a_row(outcome="x" * 500)])
    assert "<script>" not in svg
    assert '<script>&"\N{REPLACEMENT CHARACTER}[31m' in texts(svg)
    assert max(map(len, texts(svg))) <= 160


@pytest.mark.parametrize("count", [0, 1, 4, 120])
def test_every_row_and_every_mark_is_inside_the_picture(count: int) -> None:
    marks = [Mark(0, kind) for kind in MarkKind]
    rows = [a_row(at, marks=[Mark(at * 30 * DAY + mark.at, mark.kind) for mark in marks]) for at in range(count)]
    svg = draw("title", ("terms", "notes"), rows)
    root = ElementTree.fromstring(svg)
    width, height = int(root.get("width") or 0), int(root.get("height") or 0)
    assert len(shapes(svg, "paid")) == count + (count > 0)  # one in the legend
    assert len(shapes(svg, "window")) == count + 1
    for element in root.iter():
        for name, most in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("cy", height)):
            place = element.get(name)
            assert place is None or 0 <= float(place) <= most
    starts = [text for text in texts(svg) if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .*", text)]
    assert len(starts) == count


def test_windows_stand_where_they_are_on_the_common_axis() -> None:
    late = a_row(1, closes=30 * DAY + 20 * DAY, outcome="missed", outcome_kind=OutcomeKind.BAD)
    svg = draw("title", (), [a_row(0), late])
    first, second = (shapes(svg, "window")[at] for at in (1, 2))
    assert first.get("x") == second.get("x")
    assert float(second.get("width") or 0) == pytest.approx(float(first.get("width") or 0) * 23 / 13, rel=0.01)
    assert shapes(svg, "badtext")[0].text == "missed"
    assert {"start", "+5 d", "+10 d"} <= set(texts(svg))


def test_preview_draws_what_is_planned(tmp_path: Path) -> None:
    terms = OfferTerms(
        description="coffee", amount=1000, issuer_id=PrivateKey(bytes([9]) * 32).point,
        recurrence=Recurrence(TimeUnit.DAYS, 7, base=RecurrenceBase(0, 1_767_225_600), paywindow=Paywindow(DAY, DAY)),
    )  # fmt: skip
    file = tmp_path / "plan.svg"
    words = ["preview", write_offer(terms).to_text(), "--count", "3", "--from", "2026-02-01T12:00:00Z"]
    ran = CliRunner().invoke(main, [*words, "--picture", str(file)])
    assert ran.exit_code == 0, ran.output
    svg = file.read_text(encoding="utf-8")
    assert len(shapes(svg, "plan")) == 4
    assert "coffee" in texts(svg)
    assert "we would pay" in texts(svg)


def test_simulate_draws_what_happened(tmp_path: Path) -> None:
    file = tmp_path / "story.svg"
    words = ["simulate", "--seed", "3", "--years", "1", "--subscriptions", "4", "--faults", "heavy"]
    ran = CliRunner().invoke(main, [*words, "--picture", str(file), "--subscription", "1"])
    assert ran.exit_code == 0, ran.output
    svg = file.read_text(encoding="utf-8")
    paid = [text for text in texts(svg) if text.startswith("paid ") and text.endswith("sat")]
    assert len(paid) > 2
    assert len(shapes(svg, "paid")) == len(paid) + 1
    assert shapes(svg, "down")
    ran = CliRunner().invoke(main, [*words, "--picture", str(file), "--subscription", "4"])
    assert ran.exit_code == 2
    assert "numbered from 0" in ran.stderr
