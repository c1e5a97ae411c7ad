"""Write the tables of docs/rules.md from the rulebook; with --check only say whether they are current.

python scripts/write_rules.py [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from lnrecur.recurrence.rulebook import GROUPS, all_rules

PAGE = Path(__file__).resolve().parent.parent / "docs" / "rules.md"
TABLE = re.compile(r"<!-- rules of ([A-Z ]+) -->\n.*?<!-- end -->", re.DOTALL)


def main() -> None:
    page = PAGE.read_text()
    shown = {group for groups in TABLE.findall(page) for group in groups.split()}
    if shown != set(GROUPS):
        sys.exit(f"docs/rules.md has no table for {', '.join(sorted(set(GROUPS) - shown))}")
    written = TABLE.sub(lambda found: table(found[1]), page)
    if "--check" not in sys.argv:
        PAGE.write_text(written)
    elif written != page:
        sys.exit("docs/rules.md is stale: run `make docs`")


def table(groups: str) -> str:
    rows = [f"| {rule.id} | {rule.text} |" for rule in all_rules() if rule.group in groups.split()]
    return "\n".join([f"<!-- rules of {groups} -->", "", "| id | rule |", "| --- | --- |", *rows, "", "<!-- end -->"])


if __name__ == "__main__":
    main()
