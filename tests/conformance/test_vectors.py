"""The vectors: reproducible, of the form the schema says, agreed on by the naive reader, and complete."""

import ast
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import generate
import pytest
from jsonschema import Draft202012Validator
from naive import verify

from lnrecur.testing.conformance import GROUPS, PERIODS, load_suite

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "conformance"
VECTORS: Final = FOLDER / "vectors"
FILES: Final = {path.stem: json.loads(path.read_text()) for path in sorted(VECTORS.glob("*.json"))}
CASES: Final = load_suite()

RULES: Final = [
    *(f"T{number}" for number in range(1, 11)),
    *(f"O{number}" for number in range(1, 12)),
    *(f"Q{number}" for number in range(1, 22)),
    *(f"V{number}" for number in range(1, 11)),
]
"""Every rule of RECURRENCE.md."""
NOT_SHOWN: Final = {"Q7", "Q21", "V8"}
"""The rules that no vector can show; conformance/README.md says why of each."""
CLN_TOKENS_MAX: Final = 5000


def _schema(name: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / "schema" / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_generating_again_gives_the_same_bytes() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Pacific/Apia"}
    subprocess.run([sys.executable, FOLDER / "generate.py", "--check"], check=True, env=environment)
    assert {path.name: path.read_text() for path in VECTORS.glob("*.json")} == generate.render()


def test_a_changed_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert generate.main([str(tmp_path)]) == 0
    monkeypatch.setattr(generate, "VECTORS", tmp_path)
    assert generate.main(["--check"]) == 0
    (tmp_path / "payee.json").write_text((tmp_path / "payee.json").read_text().replace("10000", "10001", 1))
    assert generate.main(["--check"]) == 1


def test_every_file_is_of_the_form_its_schema_says() -> None:
    assert set(FILES) == set(GROUPS)
    _schema(PERIODS).validate(FILES[PERIODS])
    validator = _schema("vectors")
    for name, document in FILES.items():
        if name != PERIODS:
            validator.validate(document)


@pytest.mark.parametrize(
    "change",
    [
        {"expect": {"refused": "nonsense"}},
        {"expect": {"refused": "Q8", "silent": {"recorded": False}}},
        {"given": {}},
        {"id": "payer/000"},
        {"note": "unheard of"},
    ],
)
def test_the_schema_can_fail(change: dict[str, Any]) -> None:
    document = deepcopy(FILES["payee"])
    document["cases"][0] |= change
    assert not _schema("vectors").is_valid(document)


def test_there_are_hundreds_of_cases_each_with_its_own_id() -> None:
    assert len(CASES) >= 400
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(document["license"] == "CC0-1.0" for name, document in FILES.items() if name != PERIODS)


def test_the_readme_counts_them_right() -> None:
    told = (FOLDER / "README.md").read_text()
    counts = Counter(case.group for case in CASES)
    assert re.findall(r"^\| `([a-z-]+)\.json` \| (\d+) \|", told, re.MULTILINE) == [
        (group, str(counts[group])) for group in GROUPS
    ]
    assert f"\n{len(CASES)} questions" in told


def test_every_rule_is_shown_at_least_twice_or_named_as_one_that_cannot_be() -> None:
    shown = Counter(rule for case in CASES for rule in case.shows)
    assert {rule for rule in RULES if shown[rule] < 2} == NOT_SHOWN
    table = (FOLDER / "README.md").read_text().split("## What no vector shows")[1]
    assert set(re.findall(r"^\| ([A-Z]\d+) ", table, re.MULTILINE)) == NOT_SHOWN


def test_what_a_case_breaks_it_shows_and_refuses() -> None:
    for case in CASES:
        refused = case.expect.get("refused")
        unanswered = case.expect.get("silent") == {"recorded": False}
        assert (case.breaks is not None) == (refused is not None or unanswered), case
        assert refused in (None, case.breaks), case
        assert case.breaks is None or case.breaks in case.shows, case


def test_the_naive_reader_agrees_with_every_case() -> None:
    count, problems = verify.check_folder(VECTORS)
    assert problems == []
    assert count == len(CASES)


def _case(group: str, comment: str) -> tuple[str, dict[str, Any]]:
    [found] = [case for case in FILES[group]["cases"] if case["comment"].startswith(comment)]
    return FILES[group]["op"], deepcopy(found)


def test_the_naive_reader_finds_a_second_broken_rule() -> None:
    op, case = _case("payee", "a millisatoshi too little")
    case["given"]["paid"] |= {"payments": 1, "basetime": 1_750_000_000}
    assert "breaks ['Q13', 'Q17'], it says ['Q17']" in str(verify.check_case(op, case))


def test_the_naive_reader_finds_a_wrong_answer() -> None:
    op, case = _case("payee", "a share is rounded up")
    case["expect"]["invoice"]["amount_msat"] -= 1
    assert "the answer is" in str(verify.check_case(op, case))


def test_the_naive_reader_finds_a_rule_that_is_not_broken() -> None:
    op, case = _case("payee", "a second before the window")
    case["given"]["now"] += 1
    assert "breaks nothing, it says ['Q16']" in str(verify.check_case(op, case))


def test_the_naive_reader_finds_a_changed_byte_of_a_signed_request() -> None:
    op, case = _case("payer", "signed by the end of the offer's path")
    answer = bytearray.fromhex(case["given"]["invoice"])
    answer[-1] ^= 1
    case["given"]["invoice"] = answer.hex()
    assert "BOLT 12 signature" in str(verify.check_case(op, case))


def test_the_naive_reader_shares_nothing_with_us_but_cryptography() -> None:
    imported: set[str] = set()
    for path in (FOLDER / "naive").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported |= {f"{node.module}.{name.name}" for name in node.names}
            elif isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
    ours = {name for name in imported if name.startswith(("lnrecur", "cases", "generate"))}
    assert ours
    assert all(name.startswith("lnrecur.crypto.") for name in ours), ours


def _tokens(value: Any) -> int:
    """What Core Lightning's JSON parser counts: every object, list, key and value."""
    if isinstance(value, dict):
        return 1 + sum(1 + _tokens(item) for item in value.values())
    if isinstance(value, list):
        return 1 + sum(map(_tokens, value))
    return 1


def test_core_lightnings_test_program_can_read_the_period_file() -> None:
    """What common/test/run-bolt12_period.c wants: at most 5,000 tokens, and asctime()'s words in the timestring."""
    assert _tokens(FILES[PERIODS]) < CLN_TOKENS_MAX
    for told in FILES[PERIODS]:
        parts = time.asctime(time.gmtime(told["expect"]["seconds_since_epoch"])).split(" ")
        assert all(part in told["expect"]["timestring"] for part in ("UTC", *parts[1:])), told


def test_the_vectors_are_shipped_with_the_package() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["force-include"] == {"conformance/vectors": "lnrecur/testing/vectors"}
    assert "conformance" in build["sdist"]["include"]
