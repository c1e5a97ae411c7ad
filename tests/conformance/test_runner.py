"""`lnrecur conformance run`: against ourselves, and against real programs, most of them bad ones."""

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lnrecur.cli import main as command
from lnrecur.testing.conformance import (
    GROUPS,
    Outcome,
    SubjectFailed,
    VectorsMissing,
    load_suite,
    run_suite,
    vectors_folder,
)
from lnrecur.testing.conformance_judge import complaint
from lnrecur.testing.conformance_program import STARTS_MAX, Program

ROOT = Path(__file__).parents[2]
EXAMPLE = shlex.join([sys.executable, str(ROOT / "conformance" / "example_adapter.py")])
QUESTION = {"id": "errors/000", "op": "invoice_error", "invoice_error": "0500"}
ECHO = "import json, sys\nfor line in sys.stdin:\n    asked = json.loads(line)\n    print(json.dumps({}), flush=True)\n"

Write = Callable[[str], str]


@pytest.fixture
def program(tmp_path: Path) -> Write:
    def write(source: str) -> str:
        (tmp_path / "adapter.py").write_text(source)
        return shlex.join([sys.executable, str(tmp_path / "adapter.py")])

    return write


def answering(document: str) -> str:
    """A program whose every answer is this expression of `asked`."""
    return ECHO.replace("{}", f'{{"id": asked["id"], **{document}}}')


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.main, ["conformance", "run", *arguments])


def document(result: Result) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_we_pass_our_own_suite() -> None:
    told = document(result := run("--json"))
    assert result.exit_code == 0
    assert told["passed"] is True
    assert told["failures"] == []
    assert list(told["groups"]) == list(GROUPS)
    assert told["total"] == {"passed": len(load_suite()), "failed": 0, "unsupported": 0}


def test_the_table_has_a_row_for_every_group_and_no_bar_where_there_is_no_terminal() -> None:
    result = run()
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines() if line.startswith(GROUPS)] == list(GROUPS)
    assert result.stderr == ""


def test_one_group_alone() -> None:
    assert list(document(run("--json", "--group", "prices"))["groups"]) == ["prices"]


def test_the_example_answers_two_operations_and_calls_the_rest_unsupported() -> None:
    told = document(result := run("--json", "--command", EXAMPLE))
    assert result.exit_code == 0
    assert told["subject"] == EXAMPLE
    assert told["groups"]["errors"] == {"passed": 10, "failed": 0, "unsupported": 0}
    assert told["groups"]["offer-period-test"]["passed"] > 100
    assert told["groups"]["payee"]["passed"] == 0
    assert told["total"]["failed"] == 0


def test_a_wrong_answer_is_shown_with_what_was_expected(program: Write) -> None:
    source = answering('{"refused": "Q99"}')
    result = run("--group", "errors", "--command", program(source))
    assert result.exit_code == 1
    assert "errors/000: the payee ended the subscription" in result.stdout
    assert (
        'expected {"invoice_error": {"text": "recurrence-ended: closed", "ends_subscription": true}}' in result.stdout
    )
    assert 'got      {"refused": "Q99"}' in result.stdout


def test_a_program_that_supports_nothing_has_not_passed(program: Write) -> None:
    told = document(result := run("--json", "--command", program(answering('{"unsupported": True}'))))
    assert result.exit_code == 1
    assert told["total"]["unsupported"] == len(load_suite())
    assert told["passed"] is False


def test_a_refusal_without_a_rule_is_a_refusal(program: Write) -> None:
    told = document(run("--json", "--group", "offers", "--command", program(answering('{"refused": True}'))))
    invalid = sum(case.breaks is not None for case in load_suite(("offers",)))
    assert told["total"] == {"passed": invalid, "failed": 130 - invalid, "unsupported": 0}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("print('hello', flush=True)\ninput()\ninput()", "not a JSON line: hello"),
        ("print('[1]', flush=True)\ninput()\ninput()", "not a JSON object"),
        ("print('[' * 5000, flush=True)\ninput()\ninput()", "not a JSON line"),
        (answering('{"id": "another"}'), "an answer to 'another'"),
        (answering('{"error": "no calendar today"}'), "the program says: no calendar today"),
        ("raise SystemExit(3)", "the program ended, exit code 3"),
        ("import os\nos.kill(os.getpid(), 9)", "the program died of signal 9"),
        ("print('x' * 2_000_000, flush=True)\ninput()\ninput()", "a line of more than"),
        ("import time\ntime.sleep(60)", "no answer within 0.3 seconds"),
        ("import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)", "no answer within 0.3 seconds"),
        ("import os, time\nos.close(1)\ntime.sleep(60)", "closed its standard input or output"),
    ],
)
def test_what_a_bad_program_does_is_told(program: Write, source: str, told: str) -> None:
    begun = time.monotonic()
    slow_start = 0.3 if "0.3" in told else 20
    with Program(program(source), slow_start) as subject, pytest.raises(SubjectFailed, match="(?s)" + told):
        subject.answer(QUESTION)
    assert time.monotonic() - begun < 10


def test_a_program_that_floods_us_is_ended(program: Write) -> None:
    with Program(program("while True:\n    print('{}')"), 20) as subject, pytest.raises(SubjectFailed, match="None"):
        subject.answer(QUESTION)


def test_a_program_that_dies_is_started_again_a_few_times(program: Write, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    source = f"open({str(starts)!r}, 'a').write('x')\ninput()"
    with Program(program(source), 20) as subject:
        report = run_suite(load_suite(("errors",)), subject)
    assert starts.read_text() == "x" * STARTS_MAX
    assert report.total[Outcome.FAILED] == 10
    assert [result.told for result in report.failures[:STARTS_MAX]] == ["the program ended, exit code 0"] * STARTS_MAX
    assert all(result.told.startswith("not asked") for result in report.failures[STARTS_MAX:])


def test_one_hang_costs_one_case(program: Write, tmp_path: Path) -> None:
    once = tmp_path / "once"
    hang = f"    import pathlib, time\n    if not pathlib.Path({str(once)!r}).exists():\n"
    hang += f"        pathlib.Path({str(once)!r}).touch()\n        time.sleep(60)\n"
    source = answering('{"unsupported": True}').replace("    print", hang + "    print")
    with Program(program(source), 2) as subject:
        report = run_suite(load_suite(("errors",)), subject)
    assert (report.total[Outcome.FAILED], report.total[Outcome.UNSUPPORTED]) == (1, 9)


@pytest.mark.parametrize(
    ("words", "told"),
    [("", "which program?"), ("'open", "cannot be split"), ("/nowhere/at/all", "cannot be started")],
)
def test_a_command_that_is_none_is_bad_usage(words: str, told: str) -> None:
    result = run("--command", words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_missing_or_broken_vectors_are_told(tmp_path: Path) -> None:
    with pytest.raises(VectorsMissing, match=r"prices\.json cannot be read"):
        load_suite(("prices",), tmp_path)
    (tmp_path / "prices.json").write_text("{}")
    with pytest.raises(VectorsMissing, match="cannot be read"):
        load_suite(("prices",), tmp_path)
    assert (vectors_folder() / "payee.json").is_file()


PAYEE = {"now": 100}
INVOICE = {"invoice": {"amount_msat": 5, "basetime": 100, "expires_at_most": 200}}


@pytest.mark.parametrize(
    ("expect", "answer"),
    [
        ({"refused": "Q8"}, {"refused": "Q8"}),
        ({"refused": "Q8"}, {"refused": True}),
        ({"silent": {"recorded": False}}, {"silent": {}}),
        ({"silent": {"recorded": False}}, {"refused": True}),
        (INVOICE, {"invoice": {"amount_msat": 5, "basetime": 100, "expires_at": 100}}),
        (INVOICE, {"invoice": {"amount_msat": 5, "basetime": 100, "expires_at": 200}}),
        ({"wait": {"from": 5, "before": 9}}, {"wait_until": 8}),
        ({"accepted": {"dialect": "cln", "warnings": []}}, {"accepted": True}),
        ({"pay": {"amount_msat": 5, "basetime": 7}}, {"pay": {"amount_msat": 5}}),
    ],
)
def test_an_answer_may_leave_out_what_is_its_own_business(expect: dict[str, Any], answer: dict[str, Any]) -> None:
    assert complaint(PAYEE, expect, answer) is None


@pytest.mark.parametrize(
    ("expect", "answer"),
    [
        ({"refused": "Q8"}, {"refused": "Q9"}),
        ({"refused": "Q8"}, {"refused": False}),
        ({"refused": "Q8"}, {"silent": {}}),
        ({"refused": "Q8"}, {"refused": "Q8", "invoice": {}}),
        ({"refused": "Q8"}, {}),
        ({"silent": {"recorded": True}}, {"silent": {"recorded": False}}),
        ({"silent": {"recorded": True}}, {"refused": True}),
        ({"silent": {"recorded": True}}, {"silent": True}),
        (INVOICE, {"refused": True}),
        (INVOICE, {"invoice": {"amount_msat": 5, "basetime": 100, "expires_at": 201}}),
        (INVOICE, {"invoice": {"amount_msat": 5, "basetime": 100, "expires_at": 99}}),
        (INVOICE, {"invoice": {"amount_msat": 5, "basetime": 100}}),
        (INVOICE, {"invoice": {"amount_msat": 6, "basetime": 100, "expires_at": 100}}),
        (INVOICE, {"invoice": {"amount_msat": 5, "expires_at": 100}}),
        ({"amount_msat": 1}, {"amount_msat": True}),
        ({"amount_msat": 1}, {"amount_msat": 2}),
        ({"amount_msat": 1}, {"nothing": True}),
        ({"nothing": True}, {"nothing": False}),
        ({"wait": {"from": 5, "before": 9}}, {"wait_until": 9}),
        ({"accepted": {"dialect": "cln", "warnings": []}}, {"accepted": {"dialect": "draft"}}),
        ({"accepted": {"dialect": "cln", "warnings": []}}, {"accepted": False}),
        ({"request": {"counter": 1}}, {"request": "zz"}),
        ({"request": {"counter": 1}}, {"request": 5}),
        ({"request": {"counter": 1}}, {"request": "0000"}),
        ({"request": {"counter": 1}}, {"nothing": True}),
    ],
)
def test_a_wrong_answer_is_told(expect: dict[str, Any], answer: dict[str, Any]) -> None:
    assert complaint(PAYEE, expect, answer)


def test_a_request_that_answers_another_question_is_told() -> None:
    cases = load_suite(("requests",))
    first = next(case for case in cases if case.comment == "the first request (draft)")
    base = next(case for case in cases if case.comment == "the first request with a base (draft)")
    signed = next(case for case in load_suite(("payee",)) if case.comment.startswith("the first invoice of an offer"))
    request = {"request": signed.given["request"]}
    assert complaint(first.given, first.expect, request) is None
    assert "mirror" in str(complaint(base.given, base.expect, request))
    second = next(case for case in cases if case.comment == "the second request (draft)")
    assert "counter should be 1" in str(complaint(second.given, second.expect, request))
