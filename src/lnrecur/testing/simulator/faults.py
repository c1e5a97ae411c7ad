"""How much goes wrong in a simulated world: named levels, and single values by name."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

from lnrecur.errors import UsageError


@dataclass(frozen=True, slots=True)
class FaultLevels:
    """Chances are per message or payment, from 0 to 1; rates are per node and year."""

    loss: float = 0.0
    """The chance of a message to be lost."""
    doubling: float = 0.0
    reordering: float = 0.0
    lateness: float = 0.0
    """The chance of a message to be under way for up to ten seconds."""
    crashes: float = 0.0
    """A daemon dies between two things it does, and is back after minutes."""
    power_cuts: float = 0.0
    """A daemon dies in the middle of what it does: next to a call of its store, its money node or its link."""
    outages: float = 0.0
    """A money node does not answer for some minutes."""
    lost_answers: float = 0.0
    """A money node acts, and its answer is lost."""
    failing_payments: float = 0.0
    """A money node finds no route for the next payment, up to three times in a row."""
    repeated_receipts: float = 0.0
    """The chance of a money node to tell every receipt twice."""
    offline: float = 0.0
    """A subscriber is offline for days."""
    broke: float = 0.0
    """A subscriber has no money for days."""


NONE: Final = FaultLevels()
LIGHT: Final = FaultLevels(
    loss=0.01, doubling=0.01, reordering=0.05, lateness=0.05, crashes=1.0, power_cuts=1.0, outages=1.0,
    lost_answers=0.5, failing_payments=1.0, repeated_receipts=0.1, offline=0.3, broke=0.3,
)  # fmt: skip
HEAVY: Final = FaultLevels(
    loss=0.2, doubling=0.2, reordering=0.3, lateness=0.3, crashes=12.0, power_cuts=12.0, outages=8.0,
    lost_answers=8.0, failing_payments=8.0, repeated_receipts=0.5, offline=2.0, broke=2.0,
)  # fmt: skip
LEVELS: Final = {"none": NONE, "light": LIGHT, "heavy": HEAVY}
_CHANCES: Final = frozenset({"loss", "doubling", "reordering", "lateness", "repeated_receipts"})
_RATE_MAX: Final = 1000.0


def parse_faults(text: str) -> FaultLevels:
    """Read a level ("none", "light", "heavy"), single values ("loss=0.1,crashes=3"), or a level changed by values.

    Raises:
        UsageError: says which part is wrong, and what there is.
    """
    levels = NONE
    for at, part in enumerate(text.split(",")):
        name, separator, value = (piece.strip() for piece in part.partition("="))
        if not separator:
            if at or name not in LEVELS:
                told = f"--faults: {name!r} is none of {', '.join(LEVELS)}; single values follow as name=value"
                raise UsageError(told, field="faults")
            levels = LEVELS[name]
            continue
        levels = replace(levels, **{_known(name): _number(name, value)})
    return levels


def faults_in_words(levels: FaultLevels) -> str:
    """The shortest text that `parse_faults` reads as these levels."""
    for name, known in LEVELS.items():
        if levels == known:
            return name
    changed = [field.name for field in fields(levels) if getattr(levels, field.name)]
    return ",".join(f"{name}={getattr(levels, name):g}" for name in changed)


def _known(name: str) -> str:
    names = [field.name for field in fields(FaultLevels)]
    if name not in names:
        raise UsageError(f"--faults: there is no {name!r}; there are {', '.join(names)}", field="faults")
    return name


def _number(name: str, text: str) -> float:
    most = 1.0 if name in _CHANCES else _RATE_MAX
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise UsageError(f"--faults: {name} is a number from 0 to {most:g}, not {text!r}", field="faults")
    return value
