"""Check every vector by the naive reading of the rules.

python conformance/naive/verify.py             check conformance/vectors
python conformance/naive/verify.py FOLDER      check another folder
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from naive import rules

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
OPERATIONS = {
    "period_start": rules.period_start,
    "pay_window": rules.pay_window,
    "price": rules.price,
    "offer": rules.offer,
    "payee": rules.payee,
    "payer": rules.payer,
    "write_request": rules.write_request,
    "invoice_error": rules.invoice_error,
}


def check_folder(folder: Path) -> tuple[int, list[str]]:
    """How many cases there are, and what is wrong with them."""
    count, problems = 0, []
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text())
        cases = document["cases"] if isinstance(document, dict) else [_period(entry) for entry in document]
        op = document["op"] if isinstance(document, dict) else "period_start"
        for case in cases:
            count += 1
            told = check_case(op, case)
            if told is not None:
                problems.append(f"{path.stem}: {case.get('id')} {case['comment']}: {told}")
    return count, problems


def _period(entry: dict[str, Any]) -> dict[str, Any]:
    expect = {"seconds_since_epoch": entry["expect"]["seconds_since_epoch"]}
    return {"id": str(entry), "comment": entry.get("comment", ""), "given": entry, "expect": expect, "breaks": None}


def check_case(op: str, case: dict[str, Any]) -> str | None:
    """None if the case is right: it breaks what it says and nothing else, and its answer is ours."""
    broken, answer = OPERATIONS[op](case["given"])
    said = set() if case["breaks"] is None else {case["breaks"]}
    if broken != said:
        return f"breaks {sorted(broken) or 'nothing'}, it says {sorted(said) or 'nothing'}"
    if not broken:
        return None if answer == case["expect"] else f"the answer is {answer}, it says {case['expect']}"
    silent = {"silent": {"recorded": False}}
    unanswered = op == "payee" and "BOLT 1" not in broken and ("silent" in answer or broken == {"offer"})
    wanted = silent if unanswered else {"refused": case["breaks"]}
    return None if case["expect"] == wanted else f"should be {wanted}, it says {case['expect']}"


def main(arguments: list[str]) -> int:
    count, problems = check_folder(Path(arguments[0]) if arguments else VECTORS)
    for told in problems:
        print(told, file=sys.stderr)
    print(f"{count} cases, {len(problems)} of them wrong")
    return 1 if problems or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
