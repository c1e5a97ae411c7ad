"""Two hundred small worlds with everything in them: six promises, whatever goes wrong.

Levels and stores take turns, so that every chunk has them all. A failure names its seed and the command that runs it
again; `lnrecur simulate` then looks for the smallest world that breaks the promise.
"""

import asyncio

import pytest

from lnrecur.testing.simulator.faults import HEAVY, LIGHT, NONE
from lnrecur.testing.simulator.plan import make_plan
from lnrecur.testing.simulator.report import Report
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.world import World

SEEDS = 200
CHUNK = 10
LEVELS = (NONE, LIGHT, HEAVY, LIGHT, LIGHT)
ON_DISK_EVERY = 20


def scale_of(seed: int) -> Scale:
    """A year with three subscriptions; half a year where everything goes wrong all the time."""
    faults = LEVELS[seed % len(LEVELS)]
    years = 0.5 if faults == HEAVY else 1.0
    return Scale(seed, int(years * YEAR), 3, faults, on_disk=seed % ON_DISK_EVERY == 1)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_the_promises_hold_in_the_worlds_from_this_seed_on(first: int) -> None:
    payments = 0
    for seed in range(first, first + CHUNK):
        outcome = asyncio.run(World(make_plan(scale_of(seed))).run())
        breach = outcome.breach
        command = Report(scale_of(seed), outcome).command
        assert breach is None, f"seed {seed}: {breach}, in {breach.subscription}\nto run it again: {command}"
        payments += outcome.counts["payments"]
    assert payments > CHUNK, "worlds in which nothing happens prove nothing"
