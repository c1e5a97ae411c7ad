"""What people and fate do to the nodes of a simulated world, and when: all of it follows from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lnrecur.testing.simulator.scale import DAY, HOUR, MINUTE, YEAR, Scale
from lnrecur.testing.simulator.wares import OFFERS_PER_MERCHANT

TWIN: Final = "'s twin"
"""Ends the name of a person's second daemon."""


WORKER: Final = "'s worker"
"""Ends the name of the process that works for a node that has two."""


class DeedKind(StrEnum):
    """What people and fate do."""

    CRASH = "crash"
    POWER_CUT = "power cut"
    OUTAGE = "money node outage"
    LOST_ANSWER = "money node's answer lost"
    FAILING_PAYMENTS = "payments fail"
    OFFLINE = "offline"
    BROKE = "no money"
    NEW_PRICE = "new price"
    REPLACE = "offer replaced"
    END = "offer ended"
    PAUSE = "offer paused"
    WAIVE = "period waived"
    EXPEL = "subscription ended"
    BUY = "single payment"
    TWIN = "second daemon"


@dataclass(frozen=True, slots=True)
class Deed:
    """What happens to a node at a moment (seconds from the beginning). `number`: how long, how often, or which."""

    at: int
    kind: DeedKind
    node: str
    number: int = 0


def deeds_of(scale: Scale, node: str) -> list[Deed]:
    """What happens to a node, and what a merchant does."""
    levels = scale.faults
    merchant, only_runs = node.startswith("merchant"), node.startswith("relay") or node.endswith(WORKER)
    rates: dict[DeedKind, tuple[float, int, int]] = {
        DeedKind.CRASH: (levels.crashes, 5, 2 * HOUR),
        DeedKind.POWER_CUT: (levels.power_cuts, 1, 40),
        DeedKind.OUTAGE: (levels.outages, 10, 20 * MINUTE),
        DeedKind.LOST_ANSWER: (levels.lost_answers, 1, 3),
        DeedKind.FAILING_PAYMENTS: (0.0 if merchant else levels.failing_payments, 1, 3),
        DeedKind.OFFLINE: (0.0 if merchant else levels.offline, HOUR, 12 * DAY),
        DeedKind.BROKE: (0.0 if merchant else levels.broke, DAY, 20 * DAY),
        DeedKind.NEW_PRICE: (0.7 if merchant else 0.0, 0, OFFERS_PER_MERCHANT - 1),
        DeedKind.REPLACE: (0.3 if merchant else 0.0, 0, OFFERS_PER_MERCHANT - 1),
        DeedKind.END: (0.1 if merchant else 0.0, 0, OFFERS_PER_MERCHANT - 1),
        DeedKind.PAUSE: (0.2 if merchant else 0.0, 0, OFFERS_PER_MERCHANT - 1),
        DeedKind.WAIVE: (2.0 if merchant else 0.0, 0, 10**6),
        DeedKind.EXPEL: (0.2 if merchant else 0.0, 0, 10**6),
        DeedKind.BUY: (0.0 if merchant or node.endswith(TWIN) else 1.0, 0, 10**6),
    }
    found = []
    for kind, (rate, least, most) in rates.items():
        if only_runs and kind not in (DeedKind.CRASH, DeedKind.POWER_CUT):
            continue
        chance = random.Random(f"{scale.seed}/{kind}/{node}")  # noqa: S311 - no secrets
        at = 0.0
        while rate and (at := at + chance.expovariate(rate / YEAR)) < scale.seconds:
            found.append(Deed(int(at), kind, node, chance.randint(least, most)))
    return found
