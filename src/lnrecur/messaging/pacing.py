"""How fast messages go to one peer, and whose turn it is: pure, with the time as an argument (float seconds).

Nodes let through a few onion messages a second from each peer and drop the rest without a word (Core Lightning: a burst
of 4, then one per 250 ms). A message that waits here for a moment would be lost there, and come again as a resend
seconds later.

    put ──> conversation a: ▢▢▢▢▢▢▢ ─┐
            conversation b: ▢       ─┼─ round robin ──> spacer ──> pop
            conversation c: ▢▢      ─┘

What this guarantees: never more than `burst` messages at once and one more per interval; each conversation that waits
gets every n-th turn, however much another one says; and a bound on what waits, for all together and for each.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, TypeVar

from lnrecur.errors import Fault, UsageError
from lnrecur.messaging.errors import MessagingError

T = TypeVar("T")
_KIB: Final = 1024


class QueueFull(MessagingError):
    """More waits for a peer than may wait: ask again later, or go another way."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT
    retry: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast messages go to a peer, and how many may wait. The defaults are what Core Lightning lets through."""

    burst: int = 4
    every_s: float = 0.25
    margin_s: float = 0.01
    """Added to every interval: receivers count whole milliseconds, at the far end of a connection that does not delay
    all messages alike, and drop what comes a millisecond early."""
    waiting_max: int = 256
    """Messages that may wait for one peer."""
    waiting_bytes_max: int = 512 * _KIB
    conversation_max: int = 32
    """Messages of one conversation that may wait for one peer."""

    def __post_init__(self) -> None:
        """Refuse a pace at which nothing would ever be sent.

        Raises:
            UsageError: a number that cannot be; names the field.
        """
        for name in ("burst", "waiting_max", "waiting_bytes_max", "conversation_max"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, not {getattr(self, name)}", field=name)
        if not 0 < self.every_s < float("inf"):
            raise UsageError(f"every_s is a number of seconds above 0, not {self.every_s}", field="every_s")
        if not 0 <= self.margin_s < float("inf"):
            raise UsageError(f"margin_s is a number of seconds, not {self.margin_s}", field="margin_s")


class Spacer:
    """A burst, then one per interval. It remembers one number: when it will be as good as new.

    It is a token bucket for single messages that can also say exactly when the next one may go: that moment is computed
    once and compared once, so that who slept until then is not turned away by a rounding.
    """

    __slots__ = ("_burst", "_every_s", "_full_at")

    def __init__(self, burst: int, every_s: float) -> None:
        self._burst = burst
        self._every_s = every_s
        self._full_at = float("-inf")

    def ready_at(self, now: float) -> float:
        """When the next one may go; `now` or earlier if it may go at once."""
        # A clock that was set back must not make us wait for longer than a spent burst does.
        self._full_at = min(self._full_at, now + self._burst * self._every_s)
        return self._full_at - (self._burst - 1) * self._every_s

    def take(self, now: float) -> bool:
        """Let one go, if it may."""
        if self.ready_at(now) > now:
            return False
        self._full_at = max(self._full_at, now) + self._every_s
        return True

    def is_fresh(self, now: float) -> bool:
        """Whether it is as good as new, so that it need not be remembered."""
        return self._full_at <= now


class PacedQueue(Generic[T]):
    """What waits for one peer."""

    __slots__ = ("_conversations", "_pace", "_spacer", "_waiting", "_waiting_bytes")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._spacer = Spacer(pace.burst, pace.every_s + pace.margin_s)
        self._conversations: OrderedDict[bytes, deque[tuple[int, T]]] = OrderedDict()
        self._waiting = 0
        self._waiting_bytes = 0

    def __len__(self) -> int:
        """How many messages wait."""
        return self._waiting

    def goes_at_once(self, now: float) -> bool:
        """Whether nothing waits and one more may go; if so, it counts as gone."""
        return not self._waiting and self._spacer.take(now)

    def put(self, conversation: bytes, item: T, size: int) -> None:
        """Let something wait for its turn; `size` is in bytes.

        Raises:
            QueueFull: too much waits already, in all or of this conversation.
        """
        queue = self._conversations.get(conversation)
        if queue is not None and len(queue) >= self._pace.conversation_max:
            raise QueueFull(f"{len(queue)} messages of this conversation wait already")
        if self._waiting >= self._pace.waiting_max or self._waiting_bytes + size > self._pace.waiting_bytes_max:
            raise QueueFull(f"{self._waiting} messages, {self._waiting_bytes} bytes, wait already")
        if queue is None:
            queue = self._conversations[conversation] = deque()
        queue.append((size, item))
        self._waiting += 1
        self._waiting_bytes += size

    def pop(self, now: float) -> T | None:
        """What goes now, or None while nothing waits or nothing more may go."""
        if not self._waiting or not self._spacer.take(now):
            return None
        conversation, queue = next(iter(self._conversations.items()))
        size, item = queue.popleft()
        self._waiting -= 1
        self._waiting_bytes -= size
        if queue:
            self._conversations.move_to_end(conversation)
        else:
            del self._conversations[conversation]
        return item

    def ready_at(self, now: float) -> float | None:
        """When `pop` has something; None while nothing waits."""
        return self._spacer.ready_at(now) if self._waiting else None

    def clear(self) -> int:
        """Forget what waits; answers how many messages that were."""
        dropped, self._waiting, self._waiting_bytes = self._waiting, 0, 0
        self._conversations.clear()
        return dropped

    def is_idle(self, now: float) -> bool:
        """Whether forgetting this queue changes nothing."""
        return not self._waiting and self._spacer.is_fresh(now)
