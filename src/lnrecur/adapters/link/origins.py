"""What is remembered of where connections come from, so that hanging up and coming again gains nothing.

A new connection may send a burst, see `InflowLimits`. Bursts come out of a bucket of its origin, which holds a few of
them and fills at the rate of one connection: whoever connects for every hundred messages is soon as slow as whoever
stays. Handshakes cost us computing, so an origin may also begin only so many.

Only so many origins are remembered; the one not seen for longest is forgotten for a new one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from lnrecur.adapters.link.settings import InflowLimits
from lnrecur.messaging.token_bucket import Rate, TokenBucket

ORIGINS_MAX: Final = 4096
_BURSTS_AT_ONCE: Final = 4
"""Connections of an origin that begin with a whole burst."""


class _Origin:
    __slots__ = ("accepts", "bursts")

    def __init__(self, limits: InflowLimits, accepts: Rate, now: float) -> None:
        messages = limits.onion_messages
        self.accepts = TokenBucket(accepts, now)
        self.bursts = TokenBucket(Rate(messages.per_second, _BURSTS_AT_ONCE * messages.burst), now)


class Origins:
    """Remembers origins. Times are in seconds of the event loop's clock."""

    def __init__(self, limits: InflowLimits, accepts: Rate) -> None:
        """`limits` are those of one connection, `accepts` is how many an origin may begin."""
        self._limits = limits
        self._accepts = accepts
        self._known: OrderedDict[str, _Origin] = OrderedDict()

    def knock(self, origin: str, now: float) -> float | None:
        """The part of its bursts (0 to 1) that a new connection begins with; None: do not let it in."""
        known = self._known.get(origin)
        if known is None:
            known = self._known[origin] = _Origin(self._limits, self._accepts, now)
            if len(self._known) > ORIGINS_MAX:
                self._known.popitem(last=False)
        self._known.move_to_end(origin)
        if not known.accepts.take(1, now):
            return None
        burst = self._limits.onion_messages.burst
        return known.bursts.take_up_to(burst, now) / burst
