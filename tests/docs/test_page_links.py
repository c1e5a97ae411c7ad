"""Pages point at things that exist."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
LINE_MAX = 150
"""Prose is wrapped at about 120 columns; tables, links and terminal output may be longer."""
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def _prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


@cache
def _anchors(page: Path) -> frozenset[str]:
    headings = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def _broken(page: Path) -> list[str]:
    broken = []
    for target in _LINK.findall(_prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        to = (page.parent / name).resolve() if name else page
        if not to.exists() or (anchor and anchor not in _anchors(to)):
            broken.append(target)
    return broken


def test_there_are_pages_to_look_at() -> None:
    assert len(PAGES) > 15
    assert sum(len(_LINK.findall(_prose(page))) for page in PAGES) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_resolve(page: Path) -> None:
    assert _broken(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_prose_is_wrapped(page: Path) -> None:
    long = [line for line in _prose(page).splitlines() if len(line) > LINE_MAX and not line.startswith("|")]
    assert long == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        ahead += [(page.parent / target.partition("#")[0]).resolve() for target in _LINK.findall(_prose(page))]
    assert set(PAGES) - reached == set()


def test_the_changelog_has_a_part_for_what_is_unreleased() -> None:
    headings = re.findall(r"^## \[(.*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:1] == ["Unreleased"]


def test_the_readme_tells_the_test_command_where_the_gate_looks_for_it() -> None:
    part = (ROOT / "README.md").read_text().split("\n## Test\n", 1)[1]
    assert part.startswith("\n```sh\nmake test\n```\n")
