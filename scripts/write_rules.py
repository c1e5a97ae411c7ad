"""Write the tables of docs/rules.md from the rulebook; with --check only say whether they are current.

python scripts/write_rules.py [--check]
"""

from __future__ import annotations

import re
import sys

from generated_page import DOCS, write_or_check

from lnrecur.recurrence.rulebook import GROUPS, all_rules

PAGE = DOCS / "rules.md"
TABLE = re.compile(r"<!-- rules of ([A-Z ]+) -->\n.*?<!-- end -->", re.DOTALL)


def render() -> str:
    """The page as it is, with its tables written anew."""
    page = PAGE.read_text()
    shown = {group for groups in TABLE.findall(page) for group in groups.split()}
    if shown != set(GROUPS):
        sys.exit(f"docs/rules.md has no table for {', '.join(sorted(set(GROUPS) - shown))}")
    return TABLE.sub(lambda found: table(found[1]), page)


def table(groups: str) -> str:
    rows = [f"| {rule.id} | {rule.text} |" for rule in all_rules() if rule.group in groups.split()]
    return "\n".join([f"<!-- rules of {groups} -->", "", "| id | rule |", "| --- | --- |", *rows, "", "<!-- end -->"])


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, render(), "write_rules.py"))
