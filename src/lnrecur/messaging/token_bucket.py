"""A token bucket: so much at once, so much per second. The time is an argument, in seconds of any forward clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """What a bucket lets through."""

    per_second: float
    """How much, on average."""
    burst: float
    """How much at once after a quiet time."""


class TokenBucket:
    """Counts what passes against a `Rate`."""

    __slots__ = ("_filled_at", "_level", "rate")

    def __init__(self, rate: Rate, now: float, level: float | None = None) -> None:
        """A bucket with `level` in it; full without one."""
        self.rate = rate
        self._level = rate.burst if level is None else level
        self._filled_at = now

    def take(self, amount: float, now: float) -> bool:
        """Let `amount` pass if there is enough; else change nothing and answer False."""
        self._fill(now)
        if self._level < amount:
            return False
        self._level -= amount
        return True

    def take_up_to(self, amount: float, now: float) -> float:
        """Let as much of `amount` pass as there is, and answer how much that was."""
        self._fill(now)
        taken = max(0.0, min(amount, self._level))
        self._level -= taken
        return taken

    def overdraw(self, amount: float, now: float) -> float:
        """Let `amount` pass at any rate, and answer how many seconds nothing more may pass (0: go on)."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self.rate.per_second)

    def wait_for(self, amount: float, now: float) -> float:
        """In how many seconds `amount` could pass; 0 now."""
        self._fill(now)
        return max(0.0, (amount - self._level) / self.rate.per_second)

    def _fill(self, now: float) -> None:
        self._level = min(self.rate.burst, self._level + max(0.0, now - self._filled_at) * self.rate.per_second)
        self._filled_at = now
