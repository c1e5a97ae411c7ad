"""A node dies at every single step out of itself, and comes back: nothing is paid twice, and nothing is lost."""

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers.rig import PERIOD, Death, IntentWatch, assert_consistent, assert_paid, live_through, publish, subscribe
from helpers.rig import recurring as every_period
from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.ports import RecurrenceManager
from lnrecur.recurrence.outbound_model import Terms
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.testing.rig import Rig

PAYMENTS = 2
EAGER = Terms(request_retry=RetryPolicy(first_delay_s=5, cap_s=30))
"""Asks often enough that no window closes because of deaths alone."""


def on_disk(path: Path, cleanup: ExitStack) -> Callable[[], RecurrenceManager]:
    """Opens a node's store on SQLite, at every start anew; what the life before held open is given back."""

    def open_anew() -> RecurrenceManager:
        cleanup.close()
        manager = open_sqlite_manager(path)
        cleanup.callback(manager.close)
        return manager

    return open_anew


async def _story(file: Path, victim: str, moments: list[int], *, seed: int = 1, blinded: bool = False) -> Death:
    """Two payments, with the victim dying at the given moments; everything must be right in the end."""
    with ExitStack() as cleanup:
        async with Rig(seed) as rig:
            death = Death(rig, victim, moments)
            watch = IntentWatch(rig)
            watched, mortal = watch.dress(victim), death.dress
            store = on_disk(file, cleanup)
            nodes = {
                name: await rig.join(
                    name,
                    open_manager=store if name == victim else None,  # what does not die may forget
                    dress=(lambda parts: mortal(watched(parts))) if name == victim else watch.dress(name),
                )
                for name in ("merchant", "alice")
            }
            offer = publish(nodes["merchant"], every_period(limit=PAYMENTS - 1), blinded=blinded)
            subscription = subscribe(nodes["alice"], offer, EAGER)
            death.armed = True
            await live_through(rig, PERIOD - 300, look_s=50)
            assert_consistent(rig)
            await live_through(rig, (PAYMENTS - 1) * PERIOD + 200, look_s=50)
            assert_paid(rig, nodes["alice"], subscription, PAYMENTS)
        return death


@pytest.mark.parametrize("victim", ["alice", "merchant"])
async def test_a_node_may_die_before_and_after_every_call_of_its_store_its_money_node_and_its_link(
    victim: str, tmp_path: Path
) -> None:
    died: list[str] = []
    moment = 0
    while len(died) == moment:
        moment += 1
        death = await _story(tmp_path / f"{moment}.sqlite", victim, [moment], blinded=bool(moment % 2))
        died += death.died
    assert moment > 25, "the story has at least that many moments"
    calls = {what.removeprefix("before ").removeprefix("after ") for what in died}
    assert {"link.send", "store.effect_done"} <= calls
    payer = {"store.commit_outbound", "money.pay", "money.follow"}
    payee = {"store.commit_inbound", "money.register", "money.claim"}
    assert (payer if victim == "alice" else payee) <= calls


@pytest.mark.parametrize("victim", ["alice", "merchant"])
@pytest.mark.parametrize("seed", range(6))
async def test_a_node_may_die_again_and_again(victim: str, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    death = await _story(tmp_path / "store.sqlite", victim, [chance.randint(1, 9) for _ in range(8)], seed=seed)
    assert len(death.died) >= 3
