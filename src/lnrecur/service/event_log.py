"""The events of one subject, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lnrecur.ports import RecurrenceManager, StoredEvent

_AT_ONCE: Final = 1000


def events_of(manager: RecurrenceManager, subject: bytes) -> Iterator[StoredEvent]:
    """All events of one subscription, payment or offer, or of the money node, in order; read in batches.

    Raises:
        StoreError: the store cannot be read just now.
    """
    after = 0
    while batch := manager.events(after, _AT_ONCE, subject):
        yield from batch
        after = batch[-1].id
