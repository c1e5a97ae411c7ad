"""Keeps chosen peers connected: dials them, waits while they are there, and dials again ever more seldom."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from lnrecur.adapters.link.connection import Counters, PeerConnection
from lnrecur.adapters.link.settings import LinkSettings
from lnrecur.errors import UsageError
from lnrecur.ports import Entropy, PeerAddress, PeerUnreachable
from lnrecur.values import NodeId

_log = logging.getLogger("lnrecur.link")


class Kept:
    """One peer to be connected to for good."""

    def __init__(self, address: PeerAddress) -> None:
        self.address = address
        self.counters: Final = Counters()
        self.next_dial_at: float | None = None
        self.last_reason: str | None = None
        self.task: asyncio.Task[None] | None = None
        self.hurry: Final = asyncio.Event()


class Keeper:
    """All kept peers of a link."""

    def __init__(
        self,
        settings: LinkSettings,
        entropy: Entropy,
        reach: Callable[[PeerAddress], Awaitable[None]],
        alive: Callable[[NodeId], PeerConnection | None],
        on_end: Callable[[asyncio.Task[None]], None],
    ) -> None:
        """`reach` and `alive` are the link's; `on_end` sees every task that ended."""
        self._settings = settings
        self._entropy = entropy
        self._reach = reach
        self._alive = alive
        self._on_end = on_end
        self._kept: dict[NodeId, Kept] = {}
        self._started = False

    def __contains__(self, node: object) -> bool:
        return node in self._kept

    def get(self, node: NodeId) -> Kept | None:
        """What is known of a kept peer."""
        return self._kept.get(node)

    def all(self) -> list[Kept]:
        """Every kept peer, in the order in which they were named."""
        return [*self._kept.values()]

    def keep(self, address: PeerAddress) -> None:
        """Have this peer connected for good. One that is known is dialled at once, at its new address.

        Raises:
            UsageError: there are as many as there may be.
        """
        known = self._kept.get(address.node_id)
        if known is not None:
            known.address = address
            known.hurry.set()
            return
        if len(self._kept) >= self._settings.kept_max:
            raise UsageError(f"{len(self._kept)} peers are kept already, and that is the most: remove one first")
        kept = self._kept[address.node_id] = Kept(address)
        if self._started:
            self._run(kept)

    def forget(self, node: NodeId) -> bool:
        """Dial this peer no more; whether it was kept."""
        kept = self._kept.pop(node, None)
        if kept is not None and kept.task is not None:
            kept.task.cancel()
        return kept is not None

    def start(self) -> None:
        """Begin to dial."""
        if not self._started:
            self._started = True
            for kept in self._kept.values():
                self._run(kept)

    async def stop(self) -> None:
        """Dial nobody any more."""
        tasks = [kept.task for kept in self._kept.values() if kept.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, kept: Kept) -> None:
        kept.task = asyncio.create_task(self._keep_connected(kept), name=f"keep {kept.address}")
        kept.task.add_done_callback(self._on_end)

    async def _keep_connected(self, kept: Kept) -> None:
        loop = asyncio.get_running_loop()
        settings = self._settings
        delay = settings.redial_first_seconds
        while True:
            began = loop.time()
            kept.next_dial_at = None
            try:
                await self._reach(kept.address)
            except PeerUnreachable as error:
                kept.last_reason = str(error)
                _log.info("%s; next attempt in %.1f s at most", error, delay)
            while (connection := self._alive(kept.address.node_id)) is not None:
                await connection.over.wait()
                kept.last_reason = str(connection.over_because)
            if loop.time() - began >= settings.settled_seconds:
                delay = settings.redial_first_seconds
            pause = delay * self._jitter()
            kept.next_dial_at = loop.time() + pause
            hurried = await _is_set_within(kept.hurry, pause)
            kept.hurry.clear()
            delay = settings.redial_first_seconds if hurried else min(2 * delay, settings.redial_max_seconds)

    def _jitter(self) -> float:
        """A factor between one half and one, so that many nodes do not come back in the same moment."""
        return 0.5 + int.from_bytes(self._entropy.take(2), "big") / 0x2_0000


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
