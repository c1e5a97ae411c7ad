"""Generated pages are what their scripts write, and the command reference leaves nothing out."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lnrecur.cli.main import main
from lnrecur.recurrence.rulebook import all_rules

ROOT = Path(__file__).parents[2]
RULE = re.compile(r"\b(?:BO|BR|BI|BE|[OQVTDP])[1-9][0-9]?\b")


@pytest.mark.parametrize("script", ["draw_states.py", "write_cli_reference.py", "write_rules.py"])
def test_a_generated_page_is_what_its_script_writes(script: str) -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts" / script, "--check"], capture_output=True, text=True, timeout=60
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def _paths(command: click.Command, context: click.Context, path: str) -> Iterator[str]:
    yield path
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, f"{path} {name} is listed but cannot be loaded"
            yield from _paths(below, click.Context(below, context, info_name=name), f"{path} {name}")


def test_the_command_reference_has_every_command() -> None:
    headings = re.findall(r"^## (lnrecur.*)$", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    assert headings == list(_paths(main, click.Context(main, info_name="lnrecur"), "lnrecur"))


def _listed_rules() -> dict[str, str]:
    rows = re.findall(r"^\| ([A-Z]{1,2}[0-9]+) \| (.*) \|$", (ROOT / "docs" / "rules.md").read_text(), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a rule is listed twice"
    return dict(rows)


def test_every_rule_the_code_names_is_listed() -> None:
    named = {
        (rule, path.relative_to(ROOT).as_posix())
        for path in (ROOT / "src").rglob("*.py")
        for rule in RULE.findall(path.read_text())
    }
    assert len({rule for rule, _ in named}) > 60
    assert {(rule, path) for rule, path in named if rule not in _listed_rules()} == set()


def test_the_rules_of_the_page_are_those_of_the_rulebook() -> None:
    assert _listed_rules() == {rule.id: rule.text for rule in all_rules()}
