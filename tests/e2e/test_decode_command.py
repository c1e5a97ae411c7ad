"""`lnrecur decode` on everything we have recorded, and the installed command as a real process."""

import json
import os
import re
import signal
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lnrecur.cli import main as command

DATA = Path(__file__).parents[1] / "vectors" / "data"
TEXT = re.compile(r"\bln[ori]1[a-z0-9]{6,}")
RECORDED = [
    (path.name, text)
    for path in [*sorted((DATA / "cln").glob("*.json")), DATA / "ldk" / "messages.json"]
    for text in sorted(set(TEXT.findall(path.read_text())))
]
OFFERS = json.loads((DATA / "bolts" / "bolt12-offers-test.json").read_text())
FORMATS = json.loads((DATA / "bolts" / "bolt12-format-string-test.json").read_text())
SIGNED = [
    vector["bolt12"]
    for vector in json.loads((DATA / "bolts" / "bolt12-signature-test.json").read_text())
    if "bolt12" in vector
]
REFUSED_OF_RECORDED = 40
"""Those that tests/vectors/test_recorded_strings.py lists with their reasons: two of them for their signature alone."""

LNRECUR = Path(sys.executable).with_name("lnrecur")
OFFER = (
    "lno1qgsqvgnwgcg35z6ee2h3yczraddm72xrfua9uve2rlrm9deu7xyfzrckyypl2tzmaavgtl7ltadchf7j6cfd0xllpnnthlysj2y03nc6lfsqh"
    "eg"
)


@cache
def _decoded(text: str) -> tuple[int, dict[str, Any]]:
    """Decode both ways: never a traceback, the same exit code, one line on stderr where it is not 0."""
    shown = CliRunner().invoke(command.main, ["decode", text], prog_name="lnrecur")
    told = CliRunner().invoke(command.main, ["decode", "--json", text], prog_name="lnrecur")
    for result in (shown, told):
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
    assert told.stderr == ""
    assert shown.exit_code == told.exit_code
    assert shown.exit_code in (0, 2)
    assert shown.stderr.count("\n") == (1 if shown.exit_code else 0)
    assert shown.stderr == "" or shown.stderr.startswith("lnrecur: ")
    document: dict[str, Any] = json.loads(told.stdout)
    assert shown.stdout if "error" not in document else not shown.stdout
    return told.exit_code, document


def _name(recorded: tuple[str, str]) -> str:
    return f"{recorded[0]}-{sha256(recorded[1].encode()).hexdigest()[:12]}"


@pytest.mark.parametrize("recorded", RECORDED, ids=_name)
def test_a_recorded_string_is_decoded_or_refused_in_one_line(recorded: tuple[str, str]) -> None:
    code, document = _decoded(recorded[1])
    if code == 2:
        assert "error" in document or document["signature"]["valid"] is False
        return
    assert document["reencoded_identical"] is True
    assert document["signature"]["valid"] is (None if recorded[1].startswith("lno") else True)
    assert document["type"] == {"o": "offer", "r": "invoice_request", "i": "invoice"}[recorded[1][2]]


def test_no_more_recorded_strings_are_refused_than_we_know_of() -> None:
    assert len(RECORDED) == 470
    assert sum(_decoded(text)[0] == 2 for _, text in RECORDED) == REFUSED_OF_RECORDED


@pytest.mark.parametrize("vector", OFFERS, ids=lambda vector: vector["description"])
def test_an_offer_of_the_specification_is_decoded_or_refused_in_one_line(vector: dict[str, Any]) -> None:
    code, document = _decoded(vector["bolt12"])
    assert code == (0 if vector["valid"] else 2)
    if vector["valid"]:
        assert document["reencoded_identical"] is True
        assert [
            {"type": field["number"], "length": len(field["hex"]) // 2, "hex": field["hex"]}
            for field in document["fields"]
        ] == vector["fields"]


@pytest.mark.parametrize("vector", FORMATS, ids=lambda vector: vector["comment"])
def test_a_form_of_the_specification_is_decoded_or_refused_in_one_line(vector: dict[str, Any]) -> None:
    code, document = _decoded(vector["string"])
    assert code == (0 if vector["valid"] else 2)
    if vector["valid"]:
        assert document["reencoded_identical"] is True
        assert document == _decoded(FORMATS[0]["string"])[1]


@pytest.mark.parametrize("text", SIGNED)
def test_a_signed_message_of_the_specification_is_verified(text: str) -> None:
    code, document = _decoded(text)
    assert (code, document["signature"]) == (0, {"valid": True, "reason": None})


# --- the installed command -------------------------------------------------------------------------------------------


def _lnrecur(*arguments: str, given: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [LNRECUR, *arguments], input=given, capture_output=True, timeout=30, env={**os.environ, **environment}
    )


def test_the_installed_command_decodes() -> None:
    done = _lnrecur("decode", "--json", OFFER)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["offer_id"] == "240c522dd18c2c969427ab32f17afdc4900f232ba0938de9b97391b738188239"


def test_the_installed_command_tells_a_recurrence_in_words() -> None:
    text = next(text for file, text in RECORDED if file == "recurrence_basic.json" and text.startswith("lno"))
    done = _lnrecur("decode", text)
    assert b"  10 sat every 12 seconds, from the first payment, paid in order\n" in done.stdout
    assert b"\x1b" not in done.stdout


def test_garbage_is_one_line_and_exit_code_2() -> None:
    done = _lnrecur("decode", "garbage")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"lnrecur: a bolt12 text begins with letters and a 1, such as lno1\n"


def test_a_megabyte_on_standard_input_is_one_line_and_exit_code_2() -> None:
    done = _lnrecur("decode", "-", given=b"lno1" + b"q" * 1_000_000)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"lnrecur: standard input is longer than 800000 bytes, and a bolt12 text never is\n"


def test_an_argument_that_is_not_utf_8_is_one_line_and_exit_code_2() -> None:
    done = subprocess.run([os.fsencode(LNRECUR), b"decode", b"lno1\xff"], capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"lnrecur: '\\udcff' is not a bech32 character at offset 4\n"


def test_a_terminal_that_knows_no_unicode_is_no_error() -> None:
    text = next(vector["bolt12"] for vector in OFFERS if vector["valid"])
    done = _lnrecur("decode", text, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    text = max((text for _, text in RECORDED), key=len)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        for arguments in (["decode", text], ["decode", "--json", text], ["preview", "--count", "1000", "garbage"]):
            done = subprocess.run([LNRECUR, *arguments], stdout=writing, stderr=subprocess.PIPE, timeout=30)
            assert b"Traceback" not in done.stderr
            assert b"Broken" not in done.stderr
    finally:
        os.close(writing)


def test_ctrl_c_while_waiting_for_input_exits_with_130() -> None:
    process = subprocess.Popen([LNRECUR, "decode", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(bytes(200_000))  # more than a pipe holds: when this returns, the command is reading
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (130, b"")


def test_decode_loads_neither_rich_nor_the_daemon_for_programs() -> None:
    """Its start is what a script pays for every string."""
    probe = (
        "import sys; from lnrecur.cli.main import main\n"
        f"main(['decode', '--json', {OFFER!r}], standalone_mode=False)\n"
        "heavy = {'rich', 'sqlalchemy', 'httpx', 'starlette', 'uvicorn', 'asyncio', 'lnrecur.daemon'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")
