"""When to try again: capped exponential delays with jitter, in whole seconds, never so long that a window closes on it.

The delay grows by a factor up to a cap. Where a pay window bounds the trying, no delay is longer than an eighth of what
is left of the window: so a window of any length sees a dozen tries and more, and they come closer together as it ends,
down to the first delay. A month is not asked about every five seconds, and fifteen minutes are not over after five
tries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SHARES_OF_WINDOW: Final = 8


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
    tries_max_unbounded: int | None = None
    """The same where no window bounds the trying: before the first payment, and when catching up."""

    def gives_up_after(self, tries: int, *, bounded: bool = True) -> bool:
        """Whether `tries` were enough; `bounded`: an open pay window will end the trying anyway."""
        limits = (self.tries_max, None if bounded else self.tries_max_unbounded)
        return any(limit is not None and tries >= limit for limit in limits)

    def delay_s(self, tries: int, entropy: bytes, left_s: int | None = None) -> int:
        """Seconds from try number `tries` (1 for the first) to the next; at least 1.

        `entropy` is 8 random bytes; `left_s` what is left of the pay window, None where there is none.
        """
        delay = min(self.first_delay_s, self.cap_s)
        for _ in range(tries - 1):
            if delay >= self.cap_s or self.factor <= 1:
                break
            delay = min(delay * self.factor, self.cap_s)
        if left_s is not None:
            delay = min(delay, max(self.first_delay_s, left_s // _SHARES_OF_WINDOW))
        spread = delay * self.jitter_percent
        jitter = int.from_bytes(entropy, "big") % (spread + 1) // 100 if spread > 0 else 0
        return max(1, delay + jitter)

    def in_words(self) -> str:
        """Such as "after 5 s, then 2 times as long, up to 900 s (+25 %), at most 10 tries"."""
        told = f"after {self.first_delay_s} s, then {self.factor} times as long, up to {self.cap_s} s"
        told += f" (+{self.jitter_percent} %)" if self.jitter_percent else ""
        if self.tries_max is not None:
            told += f", at most {self.tries_max} tries"
        elif self.tries_max_unbounded is not None:
            told += f", at most {self.tries_max_unbounded} tries where no pay window bounds them"
        return told


@dataclass(slots=True)
class Backoff:
    """Failures in a row of something that is begun again and again, and how long to wait after each of them."""

    policy: RetryPolicy
    failures: int = 0

    def failed(self, entropy: bytes) -> int:
        """Count one more failure; answers the seconds to wait. `entropy` is 8 random bytes."""
        self.failures += 1
        return self.policy.delay_s(self.failures, entropy)

    def succeeded(self) -> None:
        """The next failure is the first again."""
        self.failures = 0


RECONNECT: Final = RetryPolicy(first_delay_s=1, cap_s=30)
"""New tries to reach a money node that went away; whoever begins again at once finds it still starting."""
REQUEST_RETRY: Final = RetryPolicy(first_delay_s=5, cap_s=900)
"""Resends of a request that nobody answers."""
PAYMENT_RETRY: Final = RetryPolicy(first_delay_s=5, cap_s=600, tries_max_unbounded=10)
"""New tries of a payment that failed in a way that may pass."""
ONE_OFF_REQUEST_RETRY: Final = RetryPolicy(first_delay_s=2, cap_s=60, tries_max=10)
"""A person waits for it: about five minutes."""
ONE_OFF_PAYMENT_RETRY: Final = RetryPolicy(first_delay_s=2, cap_s=30, tries_max=5)
