"""The one worker of a store in memory: it joins, claims and may be expelled as it would on a database."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from lnrecur.ports import LeaseLost, NotOurStore, Seat, SeatTaken, Worker

_H = TypeVar("_H", bound=Hashable)


class MemoryWorkers:
    """What a `MemoryRecurrenceManager` says of workers. There is one at a time, since nobody else sees the memory."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._joined_before = 0
        self._out = False
        self._owner: bytes | None = None
        self._claimed: set[Hashable] = set()

    def join(self, seat: Seat, owner: bytes, version: str = "") -> int:
        """Begin to work; answers the fencing number.

        Raises:
            SeatTaken: somebody works here, at another place.
            NotOurStore: it belongs to another owner.
        """
        if self._owner not in (None, owner):
            raise NotOurStore("this store belongs to another node")
        if self._worker is not None and self._worker.seat.place != seat.place:
            raise SeatTaken(self._worker)
        self._owner = owner
        self._joined_before += 1
        self._worker, self._out = Worker(self._joined_before, seat, 0, version), False
        self._claimed.clear()
        return self._worker.number

    def forget_owner(self) -> None:
        """Belong to nobody, and know of no worker: a copy that another node shall open."""
        self._worker, self._owner, self._out = None, None, False
        self._claimed.clear()

    def beat(self) -> Sequence[Worker]:
        """Show that we live.

        Raises:
            LeaseLost: we were expelled.
        """
        worker = self._joined()
        self._worker = replace(worker, beats=worker.beats + 1)
        return [self._worker]

    def workers(self) -> Sequence[Worker]:
        """All who have joined."""
        return [] if self._worker is None else [self._worker]

    def expel(self, worker: Worker) -> bool:
        """Take a worker for dead, unless it has shown life since; True if it is out."""
        if worker != self._worker:
            return False
        self._worker, self._out = None, True
        self._claimed.clear()
        return True

    def leave(self) -> None:
        """Stop working. Harmless when we have not joined."""
        self._worker, self._out = None, False
        self._claimed.clear()

    def release(self) -> None:
        """Give back the subscriptions we claimed and did not commit; claimed effects are known by their number."""
        self._joined()
        self._claimed = {key for key in self._claimed if isinstance(key, int)}

    def _joined(self) -> Worker:
        if self._worker is None:
            raise LeaseLost("this manager has not joined, or was expelled")
        return self._worker

    def _check(self) -> None:
        """Before every write."""
        if self._out:
            raise LeaseLost("this manager was expelled")

    def _claim(self, due: Iterable[_H], limit: int) -> list[_H]:
        self._joined()
        mine = [key for key in due if key not in self._claimed][:limit]
        self._claimed.update(mine)
        return mine
