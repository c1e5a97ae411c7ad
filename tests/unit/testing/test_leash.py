"""What the tests start ends with them, even if they are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.leash import leashed

TESTS = Path(__file__).parents[2]
PARENT = """
import subprocess, sys, time
from helpers.leash import leashed
child = subprocess.Popen(leashed(["sleep", "600"]))
print(child.pid, flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="no other kernel can be asked for it")
def test_a_program_on_a_leash_is_killed_when_who_started_it_is() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=TESTS, env={**os.environ, "PYTHONPATH": str(TESTS)}
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert is_running(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    until = time.monotonic() + 10
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_running(child)


@pytest.mark.skipif(sys.platform != "linux", reason="no other kernel can be asked for it")
def test_a_program_whose_starter_is_gone_before_it_could_ask_does_not_begin() -> None:
    command = leashed(["echo", "begun"])
    command[command.index(str(os.getpid()))] = "1"
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (1, "", "the tests are over already")


def test_a_program_on_a_leash_is_the_program_itself() -> None:
    done = subprocess.run(leashed(["sh", "-c", "echo $$ $0 $1; exit 7", "a b", "$c"]), capture_output=True, timeout=10)
    assert done.returncode == 7
    assert done.stdout.decode().split(" ", 1)[1] == "a b $c\n"
