"""Fault points are there only for those who ask for them, and each is passed where its name says."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.rig import PERIOD, publish, subscribe
from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.errors import UsageError
from lnrecur.service.assembly import Parts
from lnrecur.testing.fault_points import with_fault_points
from lnrecur.testing.rig import Rig


async def test_every_call_has_a_point_before_inside_and_after(tmp_path: Path) -> None:
    file = tmp_path / "points"
    manager = open_sqlite_manager(tmp_path / "store.sqlite")
    async with Rig(seed=1) as rig:
        merchant = await rig.join("merchant")
        alice = await rig.join(
            "alice", open_manager=lambda: manager, dress=lambda parts: with_fault_points(parts, f"record:{file}")
        )
        subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 4)
    manager.close()
    passed = file.read_text().split()
    for call in ("join", "claim_outbounds", "commit_outbound", "claim_outbox", "effect_done"):
        first = passed.index(f"store.{call}.before")
        assert passed[first : first + 3] == [f"store.{call}.{where}" for where in ("before", "commit", "after")]
    for call in ("money.pay", "money.follow", "link.send"):
        assert passed.index(f"{call}.before") < passed.index(f"{call}.after")


async def test_without_the_variable_nothing_is_wrapped() -> None:
    seen: list[bool] = []

    def dress(parts: Parts) -> Parts:
        seen.extend(with_fault_points(parts, wanted) is parts for wanted in (None, ""))
        return parts

    async with Rig(seed=1) as rig:
        await rig.join("alice", dress=dress)
    assert seen == [True, True]


@pytest.mark.parametrize("wanted", ["kill", "kill:", "kill:name", "kill:name:x", "record:", "maim:name:1"])
async def test_a_wish_that_cannot_be_read_is_refused(wanted: str) -> None:
    refused: list[str] = []

    def dress(parts: Parts) -> Parts:
        with pytest.raises(UsageError, match="record:FILE or kill:NAME:N"):
            with_fault_points(parts, wanted)
        refused.append(wanted)
        return parts

    async with Rig(seed=1) as rig:
        await rig.join("alice", dress=dress)
    assert refused == [wanted]


def test_a_process_dies_at_its_point_the_nth_time_it_passes() -> None:
    program = "from lnrecur.testing.fault_points import _reader\npass_by = _reader('kill:a.before:2')\n"
    program += "for name in ('a.before', 'b.before', 'a.after'):\n    pass_by(name)\nprint('lives', flush=True)\n"
    program += "pass_by('a.before')\nprint('lives on', flush=True)\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "lives\n")
