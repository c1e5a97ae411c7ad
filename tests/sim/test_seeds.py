"""Two hundred small worlds with everything in them: six promises, whatever goes wrong.

Levels and stores take turns. The worlds share the cores, like the towns of a large one, and the first that breaks a
promise is told with the command that runs it again; `lnrecur simulate` then looks for the smallest that does.
"""

from collections import Counter

from lnrecur.testing.simulator.crew import Errand, cores, run_errands
from lnrecur.testing.simulator.faults import HEAVY, LIGHT, NONE
from lnrecur.testing.simulator.report import command_of
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.towns import Town
from lnrecur.testing.simulator.world import WHOLE

SEEDS = 200
LEVELS = (NONE, LIGHT, HEAVY, LIGHT, LIGHT)
ON_DISK_EVERY = 20
CUSTOMS = {"single payments", "twins", "relays", "workers"}
"""What only some worlds have, and these must have had."""


def scale_of(seed: int) -> Scale:
    """A year with three subscriptions; half a year where everything goes wrong all the time."""
    faults = LEVELS[seed % len(LEVELS)]
    years = 0.5 if faults == HEAVY else 1.0
    return Scale(seed, int(years * YEAR), 3, faults, on_disk=seed % ON_DISK_EVERY == 1)


def test_the_promises_hold_in_two_hundred_worlds() -> None:
    worlds = [Town(seed, scale_of(seed), 0) for seed in range(SEEDS)]
    outcomes = run_errands([Errand(world, None) for world in worlds], cores(), WHOLE, lambda standing: None)
    happened: Counter[str] = Counter()
    for world, outcome in zip(worlds, outcomes, strict=False):  # none comes behind a breach
        breach = outcome.breach
        told = f"seed {world.scale.seed}: {breach}, in {breach and breach.subscription}"
        assert breach is None, f"{told}\nto run it again: {command_of(world.scale)}"
        happened += outcome.counts
    assert len(outcomes) == SEEDS
    assert happened["payments"] > 10 * SEEDS, "worlds in which little happens prove little"
    assert happened.keys() >= CUSTOMS
