"""Write the vectors anew. The same program writes the same bytes: seeds and keys are fixed, and nothing reads a clock.

python conformance/generate.py             write conformance/vectors
python conformance/generate.py FOLDER      write them somewhere else
python conformance/generate.py --check     fail if conformance/vectors is not what this program writes
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cases.offers import offer_cases
from cases.payee import payee_cases
from cases.payer import payer_cases
from cases.periods import limit_cases, period_file
from cases.requests import error_cases, request_cases
from cases.windows import price_cases, window_cases

VECTORS = Path(__file__).resolve().parent / "vectors"
LICENSE = "CC0-1.0"
GROUPS = (
    ("period-limits", "period_start", "starts of periods up to the last second that 64 bits hold (T7)", limit_cases),
    ("windows", "pay_window", "when a period may be paid (T8)", window_cases),
    ("prices", "price", "what a period costs when it is partly over (T10)", price_cases),
    ("offers", "offer", "offers to be taken and to be refused (O1 to O10, both dialects)", offer_cases),
    ("payee", "payee", "a payee's answer to an invoice_request or a cancel (Q8 to Q20, V1 to V3)", payee_cases),
    ("payer", "payer", "a payer's verdict on an invoice (V1, V4 to V7)", payer_cases),
    ("requests", "write_request", "the next request, or cancel, of a payer (Q1 to Q6)", request_cases),
    ("errors", "invoice_error", "invoice_errors that end a subscription (V10)", error_cases),
)


def render() -> dict[str, str]:
    """Every file by its name."""
    found = {"offer-period-test.json": _lines(period_file())}
    for group, op, about, make in GROUPS:
        cases = [{"id": f"{group}/{at:03}", **told} for at, told in enumerate(make())]
        head = {"group": group, "op": op, "about": about, "license": LICENSE, "format": 1}
        text = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items())
        found[f"{group}.json"] = f'{{\n{text},\n  "cases": {_lines(cases)}}}\n'
    return found


def _lines(items: list[dict[str, Any]]) -> str:
    """A JSON array with one item per line, so that a change shows as a line."""
    return "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n"


def main(arguments: list[str]) -> int:
    files = render()
    if arguments == ["--check"]:
        there = {path.name: path.read_text() for path in VECTORS.glob("*.json")}
        changed = sorted(name for name in {*files, *there} if files.get(name) != there.get(name))
        if changed:
            print(f"not what generate.py writes: {', '.join(changed)}", file=sys.stderr)
        return 1 if changed else 0
    folder = Path(arguments[0]) if arguments else VECTORS
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
