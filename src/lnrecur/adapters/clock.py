"""The computer's clock."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from lnrecur.values import UnixSeconds

_NAP_SECONDS_MAX: Final = 30.0
_STOPWATCH: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """Implements `ports.Clock` with the wall clock of this machine."""

    def now(self) -> UnixSeconds:
        """The current time, whole seconds."""
        return UnixSeconds(int(time.time()))

    def elapsed(self) -> float:
        """Seconds since the machine was started, those in which it was suspended included where it tells them."""
        return time.clock_gettime(_STOPWATCH)

    async def sleep_until(self, moment: float) -> None:
        """Return once the wall clock shows `moment`.

        Sleeps in short naps and looks again, because event loops count time that stands still while a machine is
        suspended, and do not notice when somebody sets the clock.
        """
        while (left := moment - time.time()) > 0:
            await asyncio.sleep(min(left, _NAP_SECONDS_MAX))

    async def pause(self, seconds: float) -> None:
        """Return after so many seconds of the event loop's own time."""
        await asyncio.sleep(seconds)
