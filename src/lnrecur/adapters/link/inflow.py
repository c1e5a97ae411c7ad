"""How fast one peer speaks: what is read at once, what later, what is dropped and when it is enough."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from lnrecur.adapters.link.settings import InflowLimits
from lnrecur.messaging.token_bucket import Rate, TokenBucket

_HANDSHAKE_BYTES: Final = 16 * 1024.0
"""What every connection may send at once: handshake, init and a first message come without delay."""
_DROPPED_LEAST: Final = 20.0
"""Messages that are dropped on every connection before it is; who overlooks a warning may be slow, not hostile."""
_LOG_LINES: Final = Rate(1 / 60, 5)


class Verdict(Enum):
    """What becomes of an onion message."""

    TAKE = auto()
    DROP = auto()
    END = auto()
    """Drop it, and the connection too."""


class Inflow:
    """Counts what one peer sends. Times are in seconds of the event loop's clock."""

    def __init__(self, limits: InflowLimits, now: float, share: float = 1.0) -> None:
        """`share`: the part of the bursts that may come at once, 0 to 1."""
        self._log_lines = TokenBucket(_LOG_LINES, now)
        self.told_to_slow_down = False
        self.use(limits, now, share)

    def use(self, limits: InflowLimits, now: float, share: float = 1.0) -> None:
        """Go on under other limits."""
        self._bytes = TokenBucket(limits.read, now, max(_HANDSHAKE_BYTES, share * limits.read.burst))
        self._onion_messages = TokenBucket(limits.onion_messages, now, max(1.0, share * limits.onion_messages.burst))
        self._dropped = TokenBucket(limits.dropped, now, max(_DROPPED_LEAST, share * limits.dropped.burst))

    def bytes_came(self, count: int, now: float) -> float:
        """How many seconds nothing more shall be read."""
        return self._bytes.overdraw(count, now)

    def onion_message_came(self, now: float) -> Verdict:
        """Whether to take it."""
        if self._onion_messages.take(1, now):
            return Verdict.TAKE
        return Verdict.DROP if self._dropped.take(1, now) else Verdict.END

    def may_log(self, now: float) -> bool:
        """Whether a line about this peer's doings still goes into the log: a few at once, then one a minute."""
        return self._log_lines.take(1, now)
