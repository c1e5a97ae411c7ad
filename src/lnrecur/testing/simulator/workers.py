"""Nodes of two processes over one SQLite store in a simulated world: a front speaks with peers, a worker does the rest.

What one of them stores, the other hears of through a doorbell, as over a database's notifications.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final, cast

from lnrecur.ports import RecurrenceManager, Seat
from lnrecur.service.assembly import Parts
from lnrecur.service.attendance import Beats
from lnrecur.testing.simulator.deeds import WORKER
from lnrecur.testing.simulator.plan import front_of, worker_of
from lnrecur.testing.simulator.scale import DAY

BEATS: Final = Beats(every_s=DAY, lease_s=5 * DAY)
"""Seldom: a life that lasts years would consist of little else."""
_TOLD: Final = frozenset({"commit_inbound", "commit_outbound", "effect_done", "postpone_effect", "expel", "leave"})
"""Calls of a store after which there may be something to do for the other process."""


def seat_of(process: str) -> Seat:
    """What a process takes on in a node of two."""
    works = process.endswith(WORKER)
    return Seat(process, messages=not works, work=works)


class Doorbells:
    """Of all processes, each rung by the other one of its node."""

    def __init__(self) -> None:
        self._bells: dict[str, _Doorbell] = {}

    def dress(self, process: str, parts: Parts) -> Parts:
        """A process hears and is heard."""
        front = front_of(process)
        other = front if process != front else worker_of(front)
        bell = self._bells[process] = _Doorbell()
        manager = cast(RecurrenceManager, _Ringing(parts.manager, lambda: self._ring(other)))
        return replace(parts, manager=manager, beats=BEATS, doorbell=bell)

    def _ring(self, process: str) -> None:
        if process in self._bells:
            self._bells[process].rung.set()


class _Doorbell:
    """A `lnrecur.ports.Doorbell`."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()

    async def rings(self) -> AsyncIterator[None]:
        while True:
            await self.rung.wait()
            self.rung.clear()
            yield


class _Ringing:
    """A store that rings after every call that may concern the other process."""

    def __init__(self, inner: RecurrenceManager, ring: Any) -> None:
        self._inner, self._ring = inner, ring

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in _TOLD:
            return found

        def told(*args: Any, **kwargs: Any) -> Any:
            answer = found(*args, **kwargs)
            self._ring()
            return answer

        return told
