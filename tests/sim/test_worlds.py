"""Whole worlds: the same seed gives the same story to the byte, whatever it is run on; the command tells it."""

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from lnrecur.cli.main import main
from lnrecur.errors import UsageError
from lnrecur.recurrence import outbound
from lnrecur.recurrence.outbound_model import PaymentSettled, Phase, Step
from lnrecur.testing.simulator.faults import HEAVY, LIGHT, NONE, faults_in_words, parse_faults
from lnrecur.testing.simulator.plan import make_plan
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.world import World

SCALE = Scale(seed=7, seconds=YEAR // 2, subscriptions=4, faults=HEAVY)
DIGEST = """
import asyncio
from lnrecur.testing.simulator.faults import HEAVY
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.plan import make_plan
from lnrecur.testing.simulator.world import World
print(asyncio.run(World(make_plan(Scale(7, YEAR // 2, 4, HEAVY))).run()).digest)
"""


def digest(scale: Scale) -> str:
    outcome = asyncio.run(World(make_plan(scale)).run())
    assert outcome.breach is None
    assert outcome.counts["payments"] > 5
    return outcome.digest


def test_the_same_seed_gives_the_same_story_and_another_seed_another() -> None:
    assert digest(SCALE) == digest(SCALE)
    assert digest(replace(SCALE, seed=8)) != digest(SCALE)


def test_the_story_does_not_depend_on_the_store() -> None:
    scales = (replace(SCALE, seed=seed, on_disk=True) for seed in range(7, 30))
    on_disk = next(scale for scale in scales if not make_plan(scale).with_workers)  # which need a disk
    assert digest(on_disk) == digest(replace(on_disk, on_disk=False))


@pytest.mark.parametrize("hash_seed", ["0", "1234"])
def test_the_story_does_not_depend_on_the_order_of_hashes(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ran = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, timeout=60, env=environment)
    assert ran.stdout.strip() == digest(SCALE), ran.stderr


def test_worlds_have_everything_in_them() -> None:
    """What never happens proves nothing."""
    happened = set()
    for scale in (SCALE, replace(SCALE, seconds=2 * YEAR, subscriptions=25, faults=NONE)):
        outcome = asyncio.run(World(make_plan(scale)).run())
        assert outcome.breach is None
        happened |= {name for name, times in outcome.counts.items() if times}
    assert happened >= {
        "crashes", "power cuts", "money node outages", "lost answers", "payments made to fail", "times offline",
        "times without money", "new prices", "payments", "events", "subscriptions", "approves", "declines", "pauses",
        "resumes", "amends", "cancels", "subscriptions lapsed", "subscriptions cancelled", "subscriptions completed",
        "single payments", "single payments completed",
    }  # fmt: skip


@pytest.mark.parametrize("levels", [NONE, LIGHT, HEAVY, replace(NONE, loss=0.25, crashes=3.0)])
def test_faults_are_read_as_they_are_written(levels: object) -> None:
    assert parse_faults(faults_in_words(levels)) == levels  # type: ignore[arg-type]


def test_faults_may_begin_with_a_level() -> None:
    assert parse_faults("light, loss=0.5") == replace(LIGHT, loss=0.5)


@pytest.mark.parametrize(
    ("text", "told"),
    [("much", "none of none, light, heavy"), ("rain=1", "there is no 'rain'"), ("loss=2", "from 0 to 1"),
     ("loss=nan", "from 0 to 1"), ("loss=0.1,heavy", "single values follow"), ("crashes=x", "not 'x'")],
)  # fmt: skip
def test_faults_that_make_no_sense_are_refused_with_a_way_out(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        parse_faults(text)
    assert refused.value.field == "faults"


def test_the_command_tells_what_happened_and_that_the_promises_hold() -> None:
    ran = CliRunner().invoke(main, "simulate --seed 3 --years 0.2 --subscriptions 3 --faults light", "lnrecur")
    assert ran.exit_code == 0, ran.output
    assert "P6 holds: the books of both sides agree" in ran.stdout
    assert "%" in ran.stderr


def test_the_command_answers_a_machine_with_one_document() -> None:
    ran = CliRunner().invoke(main, "simulate --seed 3 --years 0.2 --subscriptions 3 --json")
    told = json.loads(ran.stdout)
    assert (told["kept"], told["breach"], told["trace"], told["seed"]) == (True, None, [], 3)
    assert told["payments"] == told["happened"]["payments"] > 0


def test_the_command_leaves_log_and_garbage_collector_as_they_were() -> None:
    before = logging.getLogger("lnrecur").level, gc.get_threshold()
    CliRunner().invoke(main, "simulate --seed 3 --years 0.05 --subscriptions 1")
    assert (logging.getLogger("lnrecur").level, gc.get_threshold()) == before


def test_the_command_refuses_what_it_cannot_read_with_exit_code_2() -> None:
    assert CliRunner().invoke(main, "simulate --faults lots").exit_code == 2
    assert CliRunner().invoke(main, "simulate --years 0").exit_code == 2


def test_a_breach_ends_the_command_with_its_trace_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    step = outbound.step

    def broken(state, event, now):  # type: ignore[no-untyped-def]
        taken = step(state, event, now)
        if isinstance(event, PaymentSettled) and taken.state.phase is Phase.IDLE and taken.state.next_counter == 2:
            return Step(replace(taken.state, next_counter=3), taken.effects)
        return taken

    monkeypatch.setattr(outbound, "step", broken)
    words = "simulate --seed 3 --years 1 --subscriptions 6 --faults light"
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 1
    for told in ("BROKEN P3", "seed 3", f"to run it again: lnrecur {words}", "smallest world", "subscription.created"):
        assert told in ran.stdout
    ran = CliRunner().invoke(main, f"{words} --json")
    assert ran.exit_code == 1
    told = json.loads(ran.stdout)
    assert told["kept"] is False
    assert told["breach"]["promise"] == "P3"
    assert told["breach"]["command"] == f"lnrecur {words}"
    assert told["trace"]
