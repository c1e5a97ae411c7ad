"""When to try again: capped exponential delays with jitter, in whole seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try. The first delay is multiplied by `factor` each time, up to `cap_s`."""

    first_delay_s: int
    factor: int = 2
    cap_s: int = 3600
    jitter_percent: int = 25
    """Up to this share of the delay is added, so that many payers do not knock in the same second."""
    tries_max: int | None = None
    """Give up after this many tries; None: as long as the pay window is open."""

    def gives_up_after(self, tries: int) -> bool:
        """Whether `tries` were enough."""
        return self.tries_max is not None and tries >= self.tries_max

    def delay_s(self, tries: int, entropy: bytes) -> int:
        """Seconds from try number `tries` (1 for the first) to the next; at least 1. `entropy` is 8 random bytes."""
        delay = min(self.first_delay_s, self.cap_s)
        for _ in range(tries - 1):
            delay = min(delay * self.factor, self.cap_s)
            if delay == self.cap_s:
                break
        spread = delay * self.jitter_percent
        jitter = int.from_bytes(entropy, "big") % (spread + 1) // 100 if spread > 0 else 0
        return max(1, delay + jitter)


REQUEST_RETRY = RetryPolicy(first_delay_s=5, cap_s=900, tries_max=None)
"""Resends of a request that nobody answers."""
PAYMENT_RETRY = RetryPolicy(first_delay_s=5, cap_s=600, tries_max=10)
"""New tries of a payment that failed in a way that may pass."""
