"""What the scripts that generate pages share: write the page, or with --check only say whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def write_or_check(page: Path, text: str, script: str) -> int:
    """The exit code: 1 where --check was given and the page is not what `script` writes."""
    if "--check" not in sys.argv[1:]:
        page.write_text(text)
        return 0
    if page.exists() and page.read_text() == text:
        return 0
    print(f"{page.name} is not what its script writes: run python scripts/{script}", file=sys.stderr)
    return 1
