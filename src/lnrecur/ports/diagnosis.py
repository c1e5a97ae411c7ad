"""What `lnrecur doctor` tells: findings, by whoever can look at itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Health(StrEnum):
    """How bad it is."""

    GOOD = "good"
    WARNING = "warning"
    """It works, but not all of it, or not as well as it could."""
    BROKEN = "broken"
    """It does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    """What was looked at, in a word or two."""
    health: Health
    told: str
    """What was seen."""
    way_out: str = ""
    """What to do about it; empty where there is nothing to do."""


@runtime_checkable
class Diagnosable(Protocol):
    """A part that can look at itself. A money node may be one."""

    async def diagnose(self) -> Sequence[Finding]:
        """Look at everything, whatever is broken; raises nothing that the outside world does."""
        ...
