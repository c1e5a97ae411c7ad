"""A node's store in a test, which can be put back to what it was, or lost."""

import pickle

from lnrecur.testing.memory_store import MemoryRecurrenceManager


class Shelf:
    """Where it stands."""

    def __init__(self) -> None:
        self._now = MemoryRecurrenceManager()

    def open(self) -> MemoryRecurrenceManager:
        """For `Rig.join`."""
        return self._now

    def backup(self) -> bytes:
        """All that is in it."""
        return pickle.dumps(self._now)

    def restore(self, backup: bytes) -> None:
        """Put it back to what it was."""
        self._now = pickle.loads(backup)

    def lose(self) -> None:
        """Begin with an empty one."""
        self._now = MemoryRecurrenceManager()
