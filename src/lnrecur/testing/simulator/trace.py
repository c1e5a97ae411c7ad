"""What happened, line by line, for people; and a digest of all of it, for comparing two runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lnrecur.ports import StoredEvent
from lnrecur.recurrence.effects import Book, Fact
from lnrecur.testing.simulator.plan import person_behind, person_of


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. `slots`: the subscriptions it concerns; none of them: it concerns the whole node."""

    at: int
    node: str
    kind: str
    """event, message, money, deed, power."""
    told: str
    slots: tuple[int, ...] = ()
    data: dict[str, Fact] = field(default_factory=dict)


Wanted = Callable[[str, tuple[int, ...]], bool]
"""Whether a line of this node about these slots is kept."""


@dataclass(frozen=True, slots=True)
class About:
    """A `Wanted`: lines of one subscription, and of the nodes it can be between."""

    slot: int

    def __call__(self, node: str, slots: tuple[int, ...]) -> bool:
        """See `Wanted`."""
        if slots:
            return self.slot in slots
        return person_behind(node) == person_of(self.slot) or node.startswith(("merchant", "relay"))


class Trace:
    """Lines that are wanted, and the digest of every event and booking, wanted or not."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        """Without `wanted` no lines are kept, which is faster."""
        self.lines: list[Line] = []
        self.wanted = wanted
        self.events = 0
        """How many events the digest has eaten."""
        self._digest = hashlib.sha256()

    def wants(self, node: str, slots: tuple[int, ...]) -> bool:
        """Whether lines of this node about these slots are kept."""
        return self.wanted is not None and self.wanted(node, slots)

    def add(self, line: Line) -> None:
        """Keep a line."""
        self.lines.append(line)

    def digest_of(self, node: str, event: StoredEvent) -> None:
        """An event enters the digest."""
        self.events += 1
        data = sorted(event.data.items())
        self._eat(node, event.id, event.sequence, event.at, event.name, event.subject.hex(), data)

    def digest_booking(self, node: str, booking: Book) -> None:
        """A booking enters the digest."""
        hash_, preimage = booking.payment_hash.hex(), booking.preimage.hex()
        self._eat(node, booking.counter, hash_, preimage, booking.amount_msat, booking.fee_msat, booking.settled_at)

    def digest(self) -> str:
        """The digest so far, in hexadecimal."""
        return self._digest.hexdigest()

    def _eat(self, *parts: Any) -> None:
        self._digest.update(repr(parts).encode())
