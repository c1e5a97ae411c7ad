"""Time and chance."""

from __future__ import annotations

from typing import Protocol

from lnrecur.values import UnixSeconds


class Clock(Protocol):
    """Where the time comes from. Nothing above the adapters reads a clock of its own."""

    def now(self) -> UnixSeconds:
        """The current time."""
        ...

    def elapsed(self) -> float:
        """Seconds since some moment of no meaning: they only grow, whoever sets the clock, suspended or not."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return once the clock shows `moment` (seconds since 1970; fractions allowed), at once if it has passed."""
        ...

    async def pause(self, seconds: float) -> None:
        """Return after so many seconds of `elapsed`, or a little later; the time that the clock shows plays no part."""
        ...


class Entropy(Protocol):
    """Where randomness comes from."""

    def take(self, size: int) -> bytes:
        """`size` unpredictable bytes."""
        ...
