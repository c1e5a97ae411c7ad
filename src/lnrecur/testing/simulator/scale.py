"""How much is simulated, and of which chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lnrecur.testing.simulator.faults import FaultLevels

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
YEAR: Final = 365 * DAY


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is simulated."""

    seed: int
    seconds: int
    subscriptions: int
    faults: FaultLevels
    on_disk: bool = False
    """Whether every node keeps its books in SQLite, instead of in memory."""
