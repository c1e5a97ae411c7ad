"""P5: events come at least once, in order: by id over all, by sequence within a subscription, and none is missing.

A consumer reads every node's log as a webhook sender would. It stores its cursor now and then only; when its node dies,
it begins again behind the stored cursor and must be told the same events once more.
"""

from __future__ import annotations

from typing import Final

from lnrecur.ports import RecurrenceManager, StoredEvent
from lnrecur.testing.simulator.facts import Facts
from lnrecur.testing.simulator.promises.promise import Commit, Promise

_SAVES_EVERY: Final = 7
_BATCH: Final = 50
_OF_OFFERS: Final = "offer."
"""Events of offers are written when an offer is, and not by a step of a subscription."""


class EventsComplete(Promise):
    """Reads along."""

    id = "P5"
    text = "events come at least once, in order"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._consumers: dict[str, _Consumer] = {}

    def committed(self, commit: Commit) -> None:
        """What a step told stands in the log, in order, and nothing else does."""
        consumer = self._consumers.setdefault(commit.node, _Consumer(self, commit.node))
        for event in commit.logged:
            consumer.take(event)
        emitted = [(event.name, dict(event.data)) for event in commit.change.events]
        written = [
            (event.name, dict(event.data))
            for event in commit.logged
            if event.subject == commit.subject and not event.name.startswith(_OF_OFFERS)
        ]
        if emitted != written:
            known = self.facts.subscriptions.get(commit.subject)
            told = ", ".join(name for name, _ in written) or "nothing"
            self.broken(f"{commit.node} told {[name for name, _ in emitted]}, its log says {told}", known)

    def copied(self, node: str, twin: str) -> None:
        """The second daemon's log begins as the first one's."""
        if node in self._consumers:
            self._consumers[twin] = self._consumers[node].of(twin)

    def restarted(self, node: str) -> None:
        """The consumer begins again where it last stored its cursor."""
        consumer = self._consumers.get(node)
        if consumer is not None:
            consumer.resume(self.facts.stores[node])

    def quiet(self) -> None:
        """A consumer that begins anew is told everything."""
        for node, consumer in self._consumers.items():
            consumer.saved = 0
            consumer.resume(self.facts.stores[node])


class _Consumer:
    def __init__(self, promise: EventsComplete, node: str) -> None:
        self._promise = promise
        self._node = node
        self._seen: list[int] = []
        """What each event was, by its id, as a hash."""
        self._sequences: dict[bytes, int] = {}
        self.saved = 0

    def of(self, twin: str) -> _Consumer:
        """A consumer of a copy of the log, who has read as far."""
        other = _Consumer(self._promise, twin)
        other._seen, other._sequences, other.saved = [*self._seen], {**self._sequences}, self.saved
        return other

    def take(self, event: StoredEvent) -> None:
        """The next event."""
        if event.id != len(self._seen) + 1:
            self._promise.broken(f"{self._node}'s log goes on with event {event.id} after {len(self._seen)}")
        last = self._sequences.get(event.subject, 0)
        if event.sequence != last + 1:
            known = self._promise.facts.subscriptions.get(event.subject)
            told = f"{self._node}'s log has {event.name} as number {event.sequence} of its subscription after {last}"
            self._promise.broken(told, known)
        self._sequences[event.subject] = event.sequence
        self._seen.append(_mark(event))
        if event.id % _SAVES_EVERY == 0:
            self.saved = event.id

    def resume(self, store: RecurrenceManager) -> None:
        """Read from the stored cursor up to the last event that was seen."""
        at = self.saved
        while at < len(self._seen):
            batch = store.events(at, _BATCH)
            for event in batch:
                if event.id != at + 1 or (at < len(self._seen) and self._seen[at] != _mark(event)):
                    self._promise.broken(f"{self._node}'s log tells event {at + 1} differently the second time")
                at = event.id
            if not batch:
                self._promise.broken(f"{self._node}'s log has lost its events behind {at}")


def _mark(event: StoredEvent) -> int:
    return hash((event.at, event.sequence, event.name, event.subject, tuple(event.data.items())))
