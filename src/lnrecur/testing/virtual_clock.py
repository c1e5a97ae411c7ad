"""A clock that stands still until it is told to move, so that a year of billing fits into a test."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import Final

from lnrecur.errors import UsageError
from lnrecur.values import UnixSeconds

_TIDY_AT: Final = 1000


class VirtualClock:
    """`lnrecur.ports.Clock` under the test's control.

    `advance` may be called from ordinary code; whoever sleeps until a moment that has come then runs when the event
    loop gets its turn (`await asyncio.sleep(0)`), the earliest moment first. To pass every deadline one by one, move
    to `next_wake` again and again.
    """

    def __init__(self, start: int) -> None:
        """Show `start` (seconds since 1970) until advanced."""
        self._time: float = start
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tidy_at = _TIDY_AT

    def now(self) -> UnixSeconds:
        """The current time; fractions of a second are cut off."""
        return UnixSeconds(int(self._time))

    def precise(self) -> float:
        """The current time, with fractions of a second."""
        return self._time

    def elapsed(self) -> float:
        """As `precise`: nobody sets this clock."""
        return self._time

    async def sleep_until(self, moment: float) -> None:
        """Return once the clock was advanced to `moment` or beyond, at once if it is there already."""
        if moment <= self._time:
            return
        if len(self._sleepers) > self._tidy_at:  # who was woken otherwise is still in there
            self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[2].done()]
            heapq.heapify(self._sleepers)
            self._tidy_at = max(_TIDY_AT, 2 * len(self._sleepers))
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (moment, next(self._order), woken))
        await woken

    async def pause(self, seconds: float) -> None:
        """As `sleep_until`, from now on."""
        await self.sleep_until(self._time + seconds)

    def advance(self, seconds: float) -> None:
        """Move on by `seconds` and wake whoever slept until then.

        Raises:
            UsageError: `seconds` is negative.
        """
        if seconds < 0:
            raise UsageError(f"a clock does not run backwards: {seconds} seconds", field="seconds")
        self.advance_to(self._time + seconds)

    def advance_to(self, moment: float) -> None:
        """Move on to `moment` (seconds since 1970) and wake whoever slept until then.

        Raises:
            UsageError: `moment` has passed.
        """
        if moment < self._time:
            raise UsageError(f"a clock does not run backwards: {moment} is before {self._time}", field="moment")
        self._time = moment
        while self._sleepers and self._sleepers[0][0] <= moment:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    def next_wake(self) -> float | None:
        """The earliest moment somebody sleeps until, or None while nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # its task was cancelled
        return self._sleepers[0][0] if self._sleepers else None
