"""How the command ends: one line on stderr and an exit code for every error of ours, a traceback for bugs only."""

import json
import sys
import types
from collections.abc import Callable
from importlib import import_module

import click
import pytest
from click.testing import CliRunner, Result

from lnrecur import __version__
from lnrecur.cli import main as command
from lnrecur.cli.errors import error_document, exit_code, one_line
from lnrecur.cli.output import json_option
from lnrecur.errors import Fault, LnrecurError, UsageError
from lnrecur.wire.errors import WireError


class NodeDown(LnrecurError):
    fault = Fault.NODE
    retry = True


class DiskFull(LnrecurError):
    fault = Fault.ENVIRONMENT


class OurBug(LnrecurError):
    pass


def _run(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object], *arguments: str) -> Result:
    """Run `lnrecur try ARGUMENTS`, a command that does `action`, through the real group."""

    @click.command()
    @json_option
    def attempt(as_json: bool) -> None:
        action()

    module = types.ModuleType("lnrecur_test_commands")
    module.attempt = attempt  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(command.COMMANDS, "try", f"{module.__name__}:attempt")
    return CliRunner().invoke(command.main, ["try", *arguments], prog_name="lnrecur")


def _raising(error: BaseException) -> Callable[[], object]:
    def action() -> None:
        raise error

    return action


ERRORS = [
    (UsageError("no such offer"), 2, "lnrecur: no such offer\n"),
    (WireError("too short", offset=3), 2, "lnrecur: too short at offset 3\n"),
    (NodeDown("the node does not answer"), 1, "lnrecur: the node does not answer\n"),
    (DiskFull("no space is left"), 1, "lnrecur: no space is left\n"),
    (OurBug("impossible"), 1, "lnrecur: impossible\n"),
]


@pytest.mark.parametrize(("error", "code", "line"), ERRORS)
def test_an_error_is_one_line_on_stderr_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: LnrecurError, code: int, line: str
) -> None:
    result = _run(monkeypatch, _raising(error))
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", line)
    assert exit_code(error) == code


def test_with_json_an_error_is_a_document_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _run(monkeypatch, _raising(WireError("too short", offset=3, tlv_type=8)), "--json")
    assert (result.exit_code, result.stderr) == (2, "")
    assert json.loads(result.stdout) == {
        "error": {
            "code": "WireError",
            "message": "TLV type 8: too short at offset 3",
            "fault": "peer",
            "retry": False,
            "offset": 3,
            "tlv_type": 8,
        }
    }


def test_a_node_that_is_away_may_be_asked_again() -> None:
    assert error_document(NodeDown("away")) == {
        "error": {"code": "NodeDown", "message": "away", "fault": "node", "retry": True}
    }


def test_an_error_text_with_line_breaks_and_escapes_is_still_one_printable_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = _run(monkeypatch, _raising(UsageError("first\nsecond \x1b[2J\u202e end")))
    assert result.stderr == "lnrecur: first second \ufffd[2J\ufffd end\n"


def test_an_endless_error_text_is_cut() -> None:
    assert one_line("x" * 1000) == "x" * 1000
    assert one_line("x" * 1001) == "x" * 997 + "..."


def test_ctrl_c_exits_with_130_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _run(monkeypatch, _raising(KeyboardInterrupt()))
    assert (result.exit_code, result.stdout, result.stderr.strip()) == (130, "", "")


def test_an_end_of_input_at_a_question_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _run(monkeypatch, lambda: click.confirm("really?"))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "lnrecur: the input ended before the question was answered"


def test_a_bug_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    bug = RuntimeError("a bug")
    assert _run(monkeypatch, _raising(bug)).exception is bug


def test_a_broken_pipe_is_no_error_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as restored:  # click makes the broken streams quiet
        restored.setattr(sys, "stdout", sys.stdout)
        restored.setattr(sys, "stderr", sys.stderr)
        result = _run(monkeypatch, _raising(BrokenPipeError(32, "Broken pipe")))
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nonsense"], "lnrecur: No such command 'nonsense'. (see lnrecur --help)\n"),
        (["--nonsense"], "lnrecur: No such option '--nonsense'. (see lnrecur --help)\n"),
        (["decode"], "lnrecur: Missing argument 'STRING'. (see lnrecur decode --help)\n"),
        (["decode", "--nonsense", "x"], "lnrecur: No such option '--nonsense'. (see lnrecur decode --help)\n"),
    ],
)
def test_bad_usage_is_one_line_that_names_the_help(arguments: list[str], line: str) -> None:
    result = CliRunner().invoke(command.main, arguments, prog_name="lnrecur")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", line)


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(command.main, ["--version"], prog_name="lnrecur")
    assert (result.exit_code, result.output) == (0, f"lnrecur {__version__}\n")


@pytest.mark.parametrize("name", command.COMMANDS)
def test_every_command_in_the_table_exists_and_says_what_it_does(name: str) -> None:
    module, attribute = command.COMMANDS[name].split(":")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, click.Command)
    assert found.name == name
    assert found.help or found.short_help
    assert CliRunner().invoke(command.main, [name, "--help"]).exit_code == 0
