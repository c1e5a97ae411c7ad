"""A large world is several towns, which any number of processes may share without changing what they find."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lnrecur.cli.main import main
from lnrecur.ports import Change
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.service.assembly import Parts
from lnrecur.testing.rig import keyring_of
from lnrecur.testing.simulator.faults import LIGHT
from lnrecur.testing.simulator.report import simulate
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.towns import SUBSCRIPTIONS_MAX, town_with, towns_of
from lnrecur.testing.simulator.world import Breakage

SCALE = Scale(5, YEAR // 4, 21, LIGHT)
COMMAND = [sys.executable, "-c", "from lnrecur.cli.main import run; run()"]


@pytest.mark.parametrize("subscriptions", [1, 10, 11, 21, 100, 10_000])
def test_the_towns_follow_from_the_scale_and_have_everybody_in_them_once(subscriptions: int) -> None:
    scale = replace(SCALE, subscriptions=subscriptions)
    towns = towns_of(scale)
    assert towns == towns_of(scale)
    sizes = [town.scale.subscriptions for town in towns]
    assert sum(sizes) == subscriptions
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= SUBSCRIPTIONS_MAX
    assert len({town.scale.seed for town in towns}) == len(towns)
    assert [town.first_slot for town in towns] == [sum(sizes[:at]) for at in range(len(sizes))]


def test_a_town_is_the_only_town_of_its_own_world() -> None:
    for town in towns_of(SCALE):
        assert [alone.scale for alone in towns_of(town.scale)] == [town.scale]


def test_subscriptions_are_numbered_through_all_towns() -> None:
    places = [town_with(SCALE, slot) for slot in range(SCALE.subscriptions)]
    assert [(town.number, slot) for town, slot in places] == [(1 + at // 7, at % 7) for at in range(21)]


def test_what_is_found_does_not_depend_on_the_number_of_processes() -> None:
    alone, shared = simulate(SCALE, processes=1, about=9), simulate(SCALE, processes=2, about=9)
    assert alone.kept
    assert alone.shape() == shared.shape()
    assert alone.town.number == shared.town.number == 2
    assert alone.lines == shared.lines
    assert [str(known) for known in alone.subscriptions] == [str(known) for known in shared.subscriptions]
    assert simulate(replace(SCALE, seed=6)).outcome.digest != alone.outcome.digest


def test_progress_is_told_of_all_towns_together() -> None:
    told: list[tuple[float, str]] = []
    report = simulate(SCALE, processes=2, tell=lambda share, words: told.append((share, words)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    payments, subscriptions = report.outcome.counts["payments"], report.outcome.counts["subscriptions"]
    assert told[-1] == (1.0, f"{subscriptions} subscriptions, {payments} payments")


class BooksNothing:
    """A payer's store that keeps no books."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit_outbound(self, change: Change[Outbound]) -> Any:
        return self.inner.commit_outbound(replace(change, bookings=()))


@dataclass(frozen=True)
class BrokenIn:
    """Breaks everybody's store in the town that has this seed. It can be sent to another process."""

    seed: int

    def __call__(self, name: str, parts: Parts) -> Parts:
        if not name.startswith("person") or parts.link.node_id != keyring_of(self.seed, name).node_id:  # type: ignore[attr-defined]
            return parts
        return replace(parts, manager=BooksNothing(parts.manager))  # type: ignore[arg-type]


def test_a_breach_in_one_town_is_told_with_the_command_that_repeats_it() -> None:
    second = towns_of(SCALE)[1]
    breakage = Breakage(before=BrokenIn(second.scale.seed))
    reports = [simulate(SCALE, processes=processes, breakage=breakage, runs_max=8) for processes in (1, 2)]
    for report in reports:
        assert (report.kept, report.town) == (False, second)
        assert report.small is not None
        assert "subscription.created" in [line.told for line in report.lines]
        assert report.shape()["breach"]["town"] == 2
        assert (
            report.command
            == f"lnrecur simulate --seed {second.scale.seed} --years 0.25 --subscriptions 7 --faults light"
        )
    assert reports[0].shape() == reports[1].shape()
    again = simulate(second.scale, breakage=breakage, runs_max=0)
    assert str(again.breach) == str(reports[0].town_outcome.breach)


def test_of_two_towns_with_a_breach_the_first_is_told_whichever_ends_first() -> None:
    towns = towns_of(SCALE)

    def told(processes: int) -> object:
        return simulate(SCALE, processes=processes, breakage=Breakage(before=books_nothing), runs_max=0).shape()

    assert told(1) == told(3)
    assert told(1)["breach"]["town"] == towns[0].number  # type: ignore[index]


def books_nothing(name: str, parts: Parts) -> Parts:
    """Breaks everybody's store, in every town."""
    return replace(parts, manager=BooksNothing(parts.manager))  # type: ignore[arg-type]


def test_the_command_draws_a_subscription_of_any_town(tmp_path: Path) -> None:
    picture = tmp_path / "sixteenth.svg"
    words = (
        f"simulate --seed 5 --years 0.25 --subscriptions 21 --subscription 15 --picture {picture} --processes 2 --json"
    )
    ran = CliRunner().invoke(main, shlex.split(words))
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["towns"] == 3
    assert "subscription 1 " in picture.read_text()
    assert "town 3 of 3, seed 5" in picture.read_text()


# --- processes -------------------------------------------------------------------------------------------------------


def long_simulation() -> subprocess.Popen[str]:
    """A command in a process group of its own that simulates for a while, and has begun to."""
    words = [*COMMAND, *shlex.split("simulate --years 20 --subscriptions 20 --processes 2")]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert running.stderr is not None
    assert "%" in running.stderr.readline()
    return running


def assert_nobody_is_left(group: int) -> None:
    """Soon, no process of this group lives."""
    until = time.monotonic() + 20
    while alive(group):
        assert time.monotonic() < until, f"of group {group} there are left {alive(group)}"
        time.sleep(0.05)


def alive(group: int) -> list[str]:
    """The commands of all processes of a group that have not ended."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            state, _, its_group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def interrupt(running: subprocess.Popen[str]) -> int:
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all of them
    return 130


def kill(running: subprocess.Popen[str]) -> int:
    running.kill()
    return -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("ends", [interrupt, kill])
def test_no_process_outlives_the_command(ends: Callable[[subprocess.Popen[str]], int]) -> None:
    running = long_simulation()
    try:
        assert len(alive(running.pid)) >= 3
        code = ends(running)
        _, errors = running.communicate(timeout=30)
        assert running.returncode == code
        assert "Traceback" not in errors
        assert_nobody_is_left(running.pid)
    finally:
        for row in alive(running.pid):
            print("left over:", row)
        if alive(running.pid):
            os.killpg(running.pid, signal.SIGKILL)
