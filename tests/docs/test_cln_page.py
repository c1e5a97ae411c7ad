"""docs/nodes/cln.md says what the adapter for Core Lightning asks of it, and what can be wrong."""

import re
from pathlib import Path

from lnrecur.adapters.nodes.cln import Trouble
from lnrecur.adapters.nodes.cln.diagnosis import WAYS_OUT
from lnrecur.adapters.nodes.cln.errors import MINIMUM_VERSION
from lnrecur.adapters.nodes.cln.methods import METHODS

PAGE = (Path(__file__).parents[2] / "docs" / "nodes" / "cln.md").read_text()


def _rows(heading: str) -> dict[str, str]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", section, re.MULTILINE))


def test_the_page_lists_every_command_that_is_sent_and_why() -> None:
    assert _rows("What lnrecur asks of lightningd") == dict(METHODS)
    assert f"[{len(METHODS)} of its commands]" in PAGE


def test_the_page_lists_every_trouble() -> None:
    assert set(_rows("When something is wrong")) == {trouble.value for trouble in Trouble} == set(WAYS_OUT)


def test_the_page_names_the_least_version() -> None:
    assert f"older than {MINIMUM_VERSION}" in PAGE
