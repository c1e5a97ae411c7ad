"""The only loop: wakes what is due, performs what stands in the outbox, sleeps until the next moment.

Deeds of one subscription are done one after the other, in the order they were stored; those of different
subscriptions side by side, so that a node that hangs on one payment holds up nobody else. A deed that could not be done
stays in the outbox and is due again later.

What is due is claimed before it is touched, so that any number of workers may run this loop over one store. After any
trouble with the store it is not certain what was claimed or recorded: all that is going on is then abandoned, as in a
crash, and the worker joins again under a new number. Every deed is safe to do twice.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from lnrecur.errors import LnrecurError
from lnrecur.ports import Clock, LeaseLost, OutboxEntry, RecurrenceManager
from lnrecur.service.attendance import Attendance
from lnrecur.service.payer import PayerService
from lnrecur.service.performer import Performer
from lnrecur.service.subscribers import Subscribers
from lnrecur.values import UnixSeconds

_LOG = logging.getLogger("lnrecur.scheduler")
BATCH: Final = 100
IN_FLIGHT_MAX: Final = 500
"""Deeds that may be going on at once."""
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
        attendance: Attendance,
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
        self._attendance = attendance
        self._payer = payer
        self._subscribers = subscribers
        self._performer = performer
        self._clock = clock
        self._poked = False
        self._nap: asyncio.Future[None] | None = None
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._troubled = False
        self.trouble: str | None = None
        """Why nothing can be done just now."""

    def poke(self) -> None:
        """Something was stored that may be due at once."""
        self._poked = True
        if self._nap is not None:
            self._nap.cancel()

    async def run(self) -> None:
        """Work until cancelled; then wait for nothing and lose nothing. We have joined the workers before."""
        try:
            while True:
                self._poked = False
                try:
                    if self._troubled:
                        await self._begin_anew()
                    more = self.turn()
                    wake_at = self._clock.now() if more else self._manager.next_wake()
                    self._all_is_well()
                except LeaseLost as error:
                    _LOG.warning("joining again: %s", error)
                    self._troubled = True
                    continue
                except LnrecurError as error:
                    if not error.retry:
                        raise
                    self._troubled = True
                    self._tell_trouble(str(error))
                    wake_at, more = UnixSeconds(self._clock.now() + TROUBLE_NAP_S), False
                await (asyncio.sleep(0) if more else self._sleep(wake_at))
        finally:
            await self.stop()

    def _tell_trouble(self, told: str) -> None:
        level = logging.DEBUG if told == self.trouble else logging.ERROR
        _LOG.log(level, "nothing can be done just now, tried again every %d s: %s", TROUBLE_NAP_S, told)
        self.trouble = told

    def _all_is_well(self) -> None:
        if self.trouble is not None:
            _LOG.warning("all goes on, after: %s", self.trouble)
            self.trouble = None

    async def _begin_anew(self) -> None:
        await self._abandon()
        await self._attendance.join()
        self._troubled = False

    async def stop(self) -> None:
        """Abandon what is being done; it stands in the outbox and will be done again."""
        await self._abandon()
        await self._performer.close()

    async def _abandon(self) -> None:
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def turn(self) -> bool:
        """One look at the clock: wake subscriptions that are due and start deeds that are. True if there may be more.

        Raises:
            StoreUnavailable: the store does not answer.
            LeaseLost: we were expelled.
        """
        now = self._clock.now()
        outbounds = self._manager.claim_outbounds(now, BATCH)
        for recurrence_id in outbounds:
            try:
                self._payer.wake(recurrence_id)
            except LnrecurError as error:
                _LOG.error("subscription %s could not be woken: %s", recurrence_id.hex(), error)
        # Later ones could be told as missed although their payment has arrived.
        inbounds = self._manager.claim_inbounds(min(now, self._subscribers.known.until), BATCH)
        for offer_id, payer_id in inbounds:
            try:
                self._subscribers.wake(offer_id, payer_id)
            except LnrecurError as error:
                _LOG.error("the subscription of %s could not be woken: %s", payer_id.hex(), error)
        if outbounds or inbounds:
            self._manager.release()
        room = min(BATCH, IN_FLIGHT_MAX - len(self._busy))
        entries = self._manager.claim_outbox(now, room) if room else ()
        for entry in entries:
            self._busy[entry.id] = asyncio.get_running_loop().create_task(self._work(entry))
        return BATCH in (len(outbounds), len(inbounds), len(entries))

    async def idle(self) -> None:
        """Wait until nothing that is due now is left; for tests on a virtual clock."""
        while self._busy:
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _work(self, entry: OutboxEntry) -> None:
        try:
            await self._perform(entry)
        except LnrecurError as error:  # the store: what was done is done again, harmlessly
            _LOG.error("the outbox of %s is left for later: %s", entry.subject.hex(), error)
            self._troubled = True
        finally:
            del self._busy[entry.id]
            self.poke()

    async def _perform(self, entry: OutboxEntry) -> None:
        """Do one deed, and record that it is done or when it is to be done."""
        try:
            await self._performer.perform(entry)
        except LnrecurError as error:
            kind = type(entry.effect).__name__
            if not error.retry:
                _LOG.error("%s of %s given up: %s", kind, entry.subject.hex(), error)
                self._manager.effect_done(entry.id)
                return
            delay = POSTPONE_S[min(entry.tries, len(POSTPONE_S) - 1)]
            _LOG.warning("%s of %s tried again in %d s: %s", kind, entry.subject.hex(), delay, error)
            self._manager.postpone_effect(entry.id, UnixSeconds(self._clock.now() + delay))
        except Exception:  # noqa: BLE001 - a bug must neither stop the others nor be done again and again at once
            _LOG.exception("%s of %s failed", type(entry.effect).__name__, entry.subject.hex())
            self._manager.postpone_effect(entry.id, UnixSeconds(self._clock.now() + POSTPONE_S[-1]))
        else:
            self._manager.effect_done(entry.id)

    async def _sleep(self, wake_at: UnixSeconds | None) -> None:
        if self._poked:  # by the turn just made, as a rule: others get theirs, and we look again
            await asyncio.sleep(0)
            return
        now = self._clock.now()
        latest = now + self._nap_s_max
        until = latest if wake_at is None else min(wake_at, latest)
        if until <= now:  # due, but it could not be done; what waits for receipts is poked when they are there
            until = now + (BUSY_NAP_S if self._subscribers.known.until >= now else TROUBLE_NAP_S)
        self._nap = asyncio.ensure_future(self._clock.sleep_until(until))
        try:
            # The nap ends in time even if somebody sets the clock back.
            await asyncio.wait((self._nap,), timeout=self._nap_s_max)
        finally:
            self._nap.cancel()
            self._nap = None
