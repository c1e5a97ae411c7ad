"""LND's stream of new and settled invoices, listened to as a doorbell: somebody should look at the list.

What the stream tells is not read, and nothing is missed without it: the list is looked at anyway, only later
(receipts.py). So it may break as it likes. It is begun again after pauses that grow up to half a minute, with jitter,
and shortly after it has worked once more.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from asyncio import sleep
from dataclasses import dataclass
from typing import Final

from lnrecur.adapters.nodes.lnd.errors import LndRefused
from lnrecur.adapters.nodes.lnd.rest import LndRest
from lnrecur.ports import Entropy, Unavailable
from lnrecur.recurrence.retry import RECONNECT, Backoff

_LOG = logging.getLogger("lnrecur.lnd")
STREAM: Final = "/v1/invoices/subscribe"


@dataclass(frozen=True, slots=True)
class Interruption:
    """The stream is broken."""

    why: str
    failures: int
    """In a row."""
    next_try_in_s: int


class Doorbell:
    """One listener."""

    def __init__(self, rest: LndRest, entropy: Entropy, bell: asyncio.Event) -> None:
        """`bell` is rung."""
        self._rest = rest
        self._entropy = entropy
        self._bell = bell
        self._backoff = Backoff(RECONNECT)
        self._why: str | None = None
        self._next_try = 0.0

    @property
    def interruption(self) -> Interruption | None:
        """What is wrong just now; None while it listens."""
        if self._why is None:
            return None
        return Interruption(self._why, self._backoff.failures, max(math.ceil(self._next_try - time.monotonic()), 0))

    async def listen(self) -> None:
        """Ring at every new and every settled invoice, until cancelled."""
        while True:
            began = time.monotonic()
            try:
                # Its headers come with its first line, so that nobody knows when an idle stream has begun.
                async with self._rest.stream("GET", STREAM) as told:
                    async for _ in told:
                        self._works()
                        self._bell.set()
            except (Unavailable, LndRefused) as error:
                if time.monotonic() - began > RECONNECT.cap_s:
                    self._works()
                self._why = str(error)
            pause_s = self._backoff.failed(self._entropy.take(8))
            self._next_try = time.monotonic() + pause_s
            _LOG.info("LND's stream of invoices is interrupted, begun again in %d s: %s", pause_s, self._why)
            await sleep(pause_s)

    def _works(self) -> None:
        self._backoff.succeeded()
        self._why = None
