"""Whether the money node can be used: told in the event log when it no longer can, why, and when it can again.

The node itself is the judge: it is asked who it is (`MoneyNode.info`), which an adapter answers only if payments could
be made. It is asked at the start, now and then, and at once when a call of somebody's has failed; while it is away,
with growing pauses. Nothing depends on this watch: payments and receipts have back-offs of their own and try on
regardless.

An outage is one event however long it lasts, one more for every further reason, and one at its end. The log says how
things stood when the daemon stopped, so an outage that a restart of ours falls into is told once, and its end is told.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from lnrecur.ports import Clock, Entropy, MoneyNode, MoneyNodeError, RecurrenceManager, StoreError, Unavailable
from lnrecur.recurrence.effects import Emit
from lnrecur.recurrence.event_objects import NODE_SUBJECT, EventObject, ObjectType
from lnrecur.recurrence.retry import RECONNECT, Backoff
from lnrecur.service.event_log import events_of
from lnrecur.values import NodeId, UnixSeconds

_LOG = logging.getLogger("lnrecur.money")
UNAVAILABLE: Final = "node.unavailable"
AVAILABLE: Final = "node.available"
INFO_S_MAX: Final = 25.0
"""Of real time; a node that hangs is away."""
SILENT: Final = "silent"
"""The trouble of a node that hangs."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The money node cannot be used."""

    since: UnixSeconds
    trouble: str
    why: str
    tries: int = 0
    """How often it was asked in vain by this process."""
    next_try_at: UnixSeconds | None = None


class NodeWatch:
    """Watches the money node for one store."""

    def __init__(
        self, manager: RecurrenceManager, node: MoneyNode, clock: Clock, entropy: Entropy, *, every_s: int
    ) -> None:
        """`every_s`: pause between two looks while all is well."""
        self._manager = manager
        self._node = node
        self._clock = clock
        self._entropy = entropy
        self._every_s = every_s
        self._backoff = Backoff(RECONNECT)
        self._poked = asyncio.Event()
        self._node_id: NodeId | None = None
        self._has_read_log = False
        self.outage: Outage | None = None
        """What is wrong just now."""

    def poke(self) -> None:
        """A call has failed: look at once, unless it is known that the node is away."""
        if self.outage is None:
            self._poked.set()

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self._poked.clear()
            try:
                pause_s = await self._look()
            except StoreError as error:
                if not error.retry:
                    raise
                _LOG.warning("what the money node does cannot be told just now: %s", error)
                pause_s = self._backoff.failed(self._entropy.take(8))
            await self._pause(pause_s)

    async def _look(self) -> int:
        """Ask once and tell what is new; answers the seconds until the next look."""
        if not self._has_read_log:
            self.outage = self._told_last()
            self._has_read_log = True
        trouble, why, kind = "", "", ""
        try:
            async with asyncio.timeout(INFO_S_MAX):
                info = await self._node.info()
            self._node_id, kind = info.node_id, info.kind
        except TimeoutError:
            trouble, why = SILENT, f"the money node did not answer within {INFO_S_MAX:g} seconds"
        except MoneyNodeError as error:
            trouble, why = error.trouble if isinstance(error, Unavailable) else "refused", str(error)
        if not trouble:
            self._is_back(kind)
            return self._every_s
        pause_s = self._backoff.failed(self._entropy.take(8))
        self._is_away(trouble, why, pause_s)
        return pause_s

    def _is_away(self, trouble: str, why: str, pause_s: int) -> None:
        now, before = self._clock.now(), self.outage
        if before is None or before.trouble != trouble:
            _LOG.warning("the money node cannot be used: %s", why)
            self._tell(Emit(UNAVAILABLE, {"trouble": trouble, "why": why}), now)
        since = now if before is None else before.since
        self.outage = Outage(since, trouble, why, self._backoff.failures, UnixSeconds(now + pause_s))

    def _is_back(self, kind: str) -> None:
        now, before = self._clock.now(), self.outage
        if before is not None:
            _LOG.info("the money node can be used again: %s", kind)
            away_s = max(now - before.since, 0)
            self._tell(Emit(AVAILABLE, {"was": before.trouble, "kind": kind, "away_s": away_s}), now)
        self.outage = None
        self._backoff.succeeded()

    def _tell(self, event: Emit, at: UnixSeconds) -> None:
        about = EventObject(ObjectType.NODE, "" if self._node_id is None else self._node_id.hex())
        self._manager.tell(event, about, at)

    def _told_last(self) -> Outage | None:
        """The outage that the log tells of and no end of it."""
        outage = None
        for event in events_of(self._manager, NODE_SUBJECT):
            if event.name == AVAILABLE:
                outage = None
            else:
                since = event.at if outage is None else outage.since
                outage = Outage(since, str(event.data["trouble"]), str(event.data["why"]))
        return outage

    async def _pause(self, seconds: int) -> None:
        over = asyncio.ensure_future(self._clock.pause(seconds))
        poked = asyncio.ensure_future(self._poked.wait())
        try:
            await asyncio.wait((over, poked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            poked.cancel()
