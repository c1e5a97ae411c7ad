"""Keeps this process among the workers of its store, and sees who has died.

Each worker counts up its beats in the store; everybody watches everybody else's counter. A counter that stood still for
`lease_s` of the watcher's own time, looked at again and again, belongs to somebody who is dead, stopped or cut off: who
sees that expels them. No two clocks are compared, and the wall clock plays no part, so that it may jump as it likes. A
watcher that could not look for a while begins anew: when the store was away, nobody could beat.

Whoever was expelled notices with its next write, which is refused, and joins again under a new number.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lnrecur import __version__
from lnrecur.ports import Clock, LeaseLost, RecurrenceManager, Seat, SeatTaken, StoreUnavailable, Worker
from lnrecur.values import NodeId

_LOG = logging.getLogger("lnrecur.workers")


@dataclass(frozen=True, slots=True)
class Beats:
    """How life is shown, in seconds."""

    every_s: float = 4.0
    lease_s: float = 20.0
    """How long a worker may show no life; several times `every_s`, since a beat can be late."""


class Attendance:
    """One process's presence."""

    def __init__(
        self,
        manager: RecurrenceManager,
        seat: Seat,
        owner: NodeId,
        clock: Clock,
        *,
        beats: Beats | None,
        on_change: Callable[[], None],
    ) -> None:
        """Without `beats` nobody else is expected in this store. `on_change` is called when somebody's work is free."""
        self._manager = manager
        self._seat = seat
        self._owner = owner
        self._clock = clock
        self._beats = beats
        self._on_change = on_change
        self._number = 0
        self._seen: dict[int, tuple[int, float]] = {}
        self._proved_at = 0.0
        self._is_unheard = False

    @property
    def has_joined(self) -> bool:
        """Whether `join` has succeeded before."""
        return self._number > 0

    async def join(self) -> None:
        """Take our seat, once whoever had it before is certainly gone.

        Raises:
            SeatTaken: they are alive.
            NotOurStore: the store is another seed's.
        """
        while True:
            proved_at = self._clock.elapsed()
            try:
                self._number = self._manager.join(self._seat, self._owner, __version__)
            except SeatTaken as taken:
                if self._beats is None or await self._is_alive(taken.worker, self._beats):
                    raise
                continue
            self._proved_at = proved_at
            self._seen.clear()
            _LOG.info("joined as worker %d at %s", self._number, self._seat.place)
            return

    async def keep(self) -> None:
        """Show life and watch the others, until cancelled."""
        beats = self._beats
        while beats is not None:
            await self._clock.pause(beats.every_s)
            proved_at = self._clock.elapsed()
            try:
                everybody = self._manager.beat()
            except LeaseLost:
                self._seen.clear()
                self._on_change()  # the scheduler finds out and joins again
            except StoreUnavailable as error:
                self._seen.clear()
                _LOG.log(logging.DEBUG if self._is_unheard else logging.WARNING, "no beat: %s", error)
                self._is_unheard = True
            else:
                self._is_unheard = False
                self._proved_at = proved_at
                self._watch(everybody, beats)

    def leave(self) -> None:
        """Give our seat and our claims back; if that cannot be, somebody will notice that we are gone."""
        try:
            self._manager.leave()
        except StoreUnavailable as error:
            _LOG.warning("left without a word: %s", error)

    def check(self) -> None:
        """Make sure that our lease will last for a while: before what cannot be taken back.

        Raises:
            LeaseLost: it is too long ago that we showed life.
        """
        beats = self._beats
        if beats is not None and self._clock.elapsed() - self._proved_at > beats.lease_s / 2:
            raise LeaseLost("this process stood still: somebody else may have its work by now")

    def _watch(self, everybody: Sequence[Worker], beats: Beats) -> None:
        now = self._clock.elapsed()
        others = [worker for worker in everybody if worker.number != self._number]
        self._seen = {
            worker.number: self._seen[worker.number]
            if worker.number in self._seen and self._seen[worker.number][0] == worker.beats
            else (worker.beats, now)
            for worker in others
        }
        for worker in others:
            if now - self._seen[worker.number][1] >= beats.lease_s and self._manager.expel(worker):
                _LOG.warning("worker %d at %s shows no life: its work is free", worker.number, worker.seat.place)
                self._on_change()

    async def _is_alive(self, worker: Worker, beats: Beats) -> bool:
        """Watch the one who has our seat for as long as a lease lasts, and expel it if it does not move."""
        began = self._clock.elapsed()
        _LOG.warning("worker %d at %s has this seat: watching whether it lives", worker.number, worker.seat.place)
        while self._clock.elapsed() - began < beats.lease_s:
            await self._clock.pause(min(beats.every_s, beats.lease_s / 4))
            now_there = [other for other in self._manager.workers() if other.number == worker.number]
            if not now_there:
                return False
            if now_there[0].beats != worker.beats:
                return True
        self._manager.expel(worker)
        return False
