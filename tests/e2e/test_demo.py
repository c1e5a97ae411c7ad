"""lnrecur demo, as the README promises it: agreeing books, exit code 0, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

import pytest

from helpers.daemons import CLEAN, LNRECUR, processes_that_mention

pytestmark = pytest.mark.slow


def _demo(folder: Path, *flags: str) -> subprocess.Popen[str]:
    folder.mkdir()
    environment = {**CLEAN, "TMPDIR": str(folder)}
    command = [*LNRECUR, "demo", *flags]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def _assert_nothing_is_left(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    assert processes_that_mention(str(folder)) == []


def test_the_demo_ends_with_agreeing_books_for_people_and_for_programs(tmp_path: Path) -> None:
    began = time.monotonic()
    for_people, for_programs = _demo(tmp_path / "people"), _demo(tmp_path / "programs", "--json")
    told, complaints = for_people.communicate(timeout=90)
    document, more_complaints = for_programs.communicate(timeout=90)
    assert time.monotonic() - began < 75
    assert (for_people.returncode, for_programs.returncode) == (0, 0), complaints + more_complaints
    assert (complaints, more_complaints) == ("", "")

    assert told.rstrip().endswith("The books agree.")
    assert "play money" in told
    assert told.count("preimage ok") == 2 * (4 + 2 + 4 + 4 + 1 + 2)
    assert "WRONG" not in told
    assert re.search(r" C +NEEDS APPROVAL, nothing is paid: 1,000 sat asked, at most 500 sat", told)
    assert re.search(r" B +CANCELS", told)
    assert re.search(r" D +has MISSED payment 2, and catches up", told)
    assert re.search(r" merchant +payment 2 of D is overdue", told)
    assert re.search(r" E +NEEDS APPROVAL, nothing is paid: the payee has a new offer .*: 1,200 sat", told)

    books = json.loads(document)
    assert books["agree"] is True
    assert [(book["subscriber"], book["offer"], book["phase"], len(book["payer"])) for book in books["books"]] == [
        ("A", "coffee", "completed", 4), ("B", "coffee", "cancelled", 2), ("C", "coffee", "completed", 4),
        ("D", "bread", "completed", 4), ("E", "tea", "lapsed", 1), ("E", "dearer tea", "completed", 2),
    ]  # fmt: skip
    assert {paid["amount_msat"] for paid in books["books"][5]["payer"]} == {1_200_000}
    assert all(len(book["payer"]) == len(book["payee"]) for book in books["books"])
    for folder in (tmp_path / "people", tmp_path / "programs"):
        _assert_nothing_is_left(folder)


@pytest.mark.parametrize(
    ("sign", "number"),
    [
        ("starting 6 daemons", signal.SIGINT),
        ("publishes lno", signal.SIGINT),
        ("books payment 1", signal.SIGINT),
        ("books payment 1", signal.SIGTERM),
    ],
)
def test_a_demo_that_is_interrupted_cleans_up_too(tmp_path: Path, sign: str, number: signal.Signals) -> None:
    demo = _demo(tmp_path / "cut short")
    try:
        assert demo.stdout is not None
        _read_until(demo.stdout, sign)
        os.killpg(demo.pid, number)  # as a terminal does it
        assert demo.wait(15) == 130
        assert demo.stderr is not None
        assert "Traceback" not in demo.stderr.read()
        _assert_nothing_is_left(tmp_path / "cut short")
    finally:
        demo.kill()
        demo.communicate()


def _read_until(stream: IO[str], sign: str) -> None:
    for line in stream:
        if sign in line:
            return
    raise AssertionError(f"the demo never said {sign!r}")
