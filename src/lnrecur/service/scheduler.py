"""The only loop: wakes what is due, performs what stands in the outbox, sleeps until the next moment.

Deeds of one subscription are done one after the other, in the order they were stored; those of different
subscriptions side by side, so that a node that hangs on one payment holds up nobody else. A deed that could not be done
stays in the outbox and is due again later.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from lnrecur.errors import LnrecurError
from lnrecur.ports import Clock, OutboxEntry, RecurrenceManager
from lnrecur.service.payer import PayerService
from lnrecur.service.performer import Performer
from lnrecur.service.subscribers import Subscribers
from lnrecur.values import UnixSeconds

_LOG = logging.getLogger("lnrecur.scheduler")
BATCH: Final = 100
NAP_S_MAX: Final = 60
"""Longest sleep: what another process stored is seen after this time at the latest."""
POSTPONE_S: Final = (1, 2, 5, 15, 30, 60)
"""Seconds until the next try of a deed that could not be done, by number of tries."""
BUSY_NAP_S: Final = 1
TROUBLE_NAP_S: Final = 5
"""Seconds until the next look at a store that does not answer."""


class Scheduler:
    """Runs a daemon's due work."""

    def __init__(
        self,
        manager: RecurrenceManager,
        payer: PayerService,
        subscribers: Subscribers,
        performer: Performer,
        clock: Clock,
        *,
        nap_s_max: int = NAP_S_MAX,
    ) -> None:
        """`nap_s_max`: the longest sleep, in seconds; where nobody else writes to the store it may be any."""
        self._nap_s_max = nap_s_max
        self._manager = manager
        self._payer = payer
        self._subscribers = subscribers
        self._performer = performer
        self._clock = clock
        self._poked = asyncio.Event()
        self._busy: dict[bytes, asyncio.Task[None]] = {}

    def poke(self) -> None:
        """Something was stored that may be due at once."""
        self._poked.set()

    async def run(self) -> None:
        """Work until cancelled; then wait for nothing and lose nothing."""
        try:
            while True:
                self._poked.clear()
                try:
                    self.turn()
                    wake_at = self._manager.next_wake()
                except LnrecurError as error:
                    if not error.retry:
                        raise
                    _LOG.error("nothing can be done just now, trying again in %d s: %s", TROUBLE_NAP_S, error)
                    wake_at = UnixSeconds(self._clock.now() + TROUBLE_NAP_S)
                await self._sleep(wake_at)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Abandon what is being done; it stands in the outbox and will be done again."""
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._performer.close()

    def turn(self) -> None:
        """One look at the clock: wake all subscriptions that are due and start all deeds that are."""
        now = self._clock.now()
        for recurrence_id in self._manager.due_outbounds(now, BATCH):
            try:
                self._payer.wake(recurrence_id)
            except LnrecurError as error:
                _LOG.error("subscription %s could not be woken: %s", recurrence_id.hex(), error)
        for offer_id, payer_id in self._manager.due_inbounds(now, BATCH):
            try:
                self._subscribers.wake(offer_id, payer_id)
            except LnrecurError as error:
                _LOG.error("the subscription of %s could not be woken: %s", payer_id.hex(), error)
        work: dict[bytes, list[OutboxEntry]] = {}
        for entry in self._manager.due_outbox(now, BATCH):
            if entry.subject not in self._busy:
                work.setdefault(entry.subject, []).append(entry)
        for subject, entries in work.items():
            task = asyncio.get_running_loop().create_task(self._work(subject, entries))
            self._busy[subject] = task

    async def idle(self) -> None:
        """Wait until nothing that is due now is left; for tests on a virtual clock."""
        while self._busy:
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _work(self, subject: bytes, entries: list[OutboxEntry]) -> None:
        try:
            for entry in entries:
                if not await self._perform(entry):
                    break
        except LnrecurError as error:  # the store: what was done is done again, harmlessly
            _LOG.error("the outbox of %s is left for later: %s", subject.hex(), error)
        finally:
            del self._busy[subject]
            self.poke()

    async def _perform(self, entry: OutboxEntry) -> bool:
        """Do one deed; False if those behind it must wait for it."""
        try:
            await self._performer.perform(entry)
        except LnrecurError as error:
            kind = type(entry.effect).__name__
            if not error.retry:
                _LOG.error("%s of %s given up: %s", kind, entry.subject.hex(), error)
                self._manager.effect_done(entry.id)
                return True
            delay = POSTPONE_S[min(entry.tries, len(POSTPONE_S) - 1)]
            _LOG.warning("%s of %s tried again in %d s: %s", kind, entry.subject.hex(), delay, error)
            self._manager.postpone_effect(entry.id, UnixSeconds(self._clock.now() + delay))
            return False
        except Exception:  # noqa: BLE001 - a bug must neither stop the others nor be done again and again at once
            _LOG.exception("%s of %s failed", type(entry.effect).__name__, entry.subject.hex())
            self._manager.postpone_effect(entry.id, UnixSeconds(self._clock.now() + POSTPONE_S[-1]))
            return False
        self._manager.effect_done(entry.id)
        return True

    async def _sleep(self, wake_at: UnixSeconds | None) -> None:
        now = self._clock.now()
        latest = now + self._nap_s_max
        until = latest if wake_at is None else min(wake_at, latest)
        if until <= now:  # due, but being worked on
            until = now + BUSY_NAP_S
        waker = asyncio.ensure_future(self._clock.sleep_until(until))
        poked = asyncio.ensure_future(self._poked.wait())
        try:
            await asyncio.wait((waker, poked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waker.cancel()
            poked.cancel()
