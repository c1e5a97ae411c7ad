"""Whether a message for somebody else is passed on: pure, with the time as an argument.

We relay only where the operator asked for it. Nobody is told why a message was dropped, or that it was (BOLT 4): the
counts are for our own operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lnrecur.errors import UsageError
from lnrecur.messaging.token_bucket import Rate, TokenBucket
from lnrecur.values import NodeId

_KNOWN_MAX: Final = 1024
"""Peers whose rate is remembered; there are fewer connections than that."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """How much we pass on for each peer that hands us messages. The defaults are Core Lightning's."""

    burst: int = 4
    every_s: float = 0.25

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            UsageError: names the field.
        """
        if self.burst < 1:
            raise UsageError(f"burst is at least 1, not {self.burst}", field="burst")
        if not 0 < self.every_s < float("inf"):
            raise UsageError(f"every_s is a number of seconds above 0, not {self.every_s}", field="every_s")


class RelayVerdict(StrEnum):
    """What became of a message for somebody else."""

    PASSED_ON = "passed_on"
    NOT_RELAYING = "not_relaying"
    """We do not relay."""
    NO_PEER = "no_peer"
    """The next node is unknown, not connected, or takes no onion messages."""
    GOES_BACK = "goes_back"
    """The next node is the one it came from."""
    TOO_MANY = "too_many"
    """The peer it came from has used up its share."""
    QUEUE_FULL = "queue_full"
    """Too much waits for the next node."""


class RelayGate:
    """Decides about each message, and counts."""

    def __init__(self, limits: RelayLimits | None) -> None:
        """`limits`: None, and nothing is relayed."""
        self._limits = limits
        self._buckets: dict[NodeId, TokenBucket] = {}
        self.counts: dict[RelayVerdict, int] = dict.fromkeys(RelayVerdict, 0)
        """How many messages met each verdict."""

    def judge(self, sender: NodeId, next_node: NodeId | None, peers: frozenset[NodeId], now: float) -> RelayVerdict:
        """Whether a message from `sender` goes on to `next_node`; who wants to pass it on tells `count` what it did."""
        if self._limits is None:
            return RelayVerdict.NOT_RELAYING
        if next_node == sender:
            return RelayVerdict.GOES_BACK
        if next_node is None or next_node not in peers:
            return RelayVerdict.NO_PEER
        bucket = self._buckets.pop(sender, None) or TokenBucket(Rate(1 / self._limits.every_s, self._limits.burst), now)
        if len(self._buckets) >= _KNOWN_MAX:
            del self._buckets[next(iter(self._buckets))]  # who has been quiet for longest
        self._buckets[sender] = bucket
        return RelayVerdict.PASSED_ON if bucket.take(1, now) else RelayVerdict.TOO_MANY

    def count(self, verdict: RelayVerdict) -> None:
        """Remember what became of a message."""
        self.counts[verdict] += 1
