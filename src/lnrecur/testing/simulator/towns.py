"""A large world is many towns that know nothing of each other, so that they can be simulated side by side.

What the towns are follows from the scale alone, and never from how many processes share the work: so do the digest and
the first breach. A town is the world of its own seed, whose command brings it back without the others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from lnrecur.testing.simulator.scale import Scale
from lnrecur.testing.simulator.world import Outcome

SUBSCRIPTIONS_MAX: Final = 10
"""How many there are in a town at most: few, so that there is work for many cores, and that a breach is found soon."""
_SEED_SIZE: Final = 4


@dataclass(frozen=True, slots=True)
class Town:
    """A part of a world. Its subscriptions are numbered from 0 again; the first of them is the world's `first_slot`."""

    number: int
    """From 1."""
    scale: Scale
    first_slot: int


def towns_of(scale: Scale) -> tuple[Town, ...]:
    """All towns of a world, as even as can be; a small world is its own only town."""
    count = -(-scale.subscriptions // SUBSCRIPTIONS_MAX)
    if count == 1:
        return (Town(1, scale, 0),)
    bounds = [at * scale.subscriptions // count for at in range(count + 1)]
    return tuple(
        Town(number, replace(scale, seed=_seed(scale.seed, number), subscriptions=end - first), first)
        for number, (first, end) in enumerate(pairwise(bounds), start=1)
    )


def town_with(scale: Scale, slot: int) -> tuple[Town, int]:
    """The town where a world's subscription is, and its number there."""
    town = [town for town in towns_of(scale) if town.first_slot <= slot][-1]
    return town, slot - town.first_slot


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """How a world went whose first towns went like this, in their order; only the last can have a breach."""
    if len(outcomes) == 1:
        return outcomes[0]
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts.update(outcome.counts)
    digest = hashlib.sha256("".join(outcome.digest for outcome in outcomes).encode()).hexdigest()
    breach = outcomes[-1].breach
    at = outcomes[-1].at if breach is not None else max(outcome.at for outcome in outcomes)
    return Outcome(breach, at, digest, counts)


def _seed(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/town/{number}".encode()).digest()[:_SEED_SIZE], "big")
