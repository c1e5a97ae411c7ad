"""Joins ports to the services of one node. Which real part stands behind each port is decided elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from lnrecur.errors import LnrecurError
from lnrecur.messaging.hosted import HostedMessenger
from lnrecur.messaging.messenger import Messenger
from lnrecur.ports import (
    Clock,
    Doorbell,
    Entropy,
    Host,
    MessageRouter,
    MoneyNode,
    MoneyNodeError,
    PeerLink,
    RateSource,
    RecurrenceManager,
    Seat,
)
from lnrecur.service.attendance import Attendance, Beats
from lnrecur.service.courier import Courier, MessageSettings
from lnrecur.service.invoicing import INFO_S_MAX, Invoicer
from lnrecur.service.keyring import Keyring
from lnrecur.service.node_watch import NodeWatch
from lnrecur.service.payee import PayeeService
from lnrecur.service.payer import PayerService
from lnrecur.service.performer import Performer
from lnrecur.service.scheduler import NAP_S_MAX, Scheduler
from lnrecur.service.seed_watch import SeedWatch
from lnrecur.values import ChainHash


@dataclass(frozen=True, slots=True)
class Parts:
    """One real thing behind every port."""

    manager: RecurrenceManager
    node: MoneyNode
    link: PeerLink
    router: MessageRouter
    clock: Clock
    entropy: Entropy
    chain: ChainHash
    rates: RateSource | None = None
    """None: nothing in a currency can be sold or paid."""
    messages: MessageSettings = field(default_factory=MessageSettings)
    """How onion messages are sent and passed on."""
    seat: Seat = field(default_factory=lambda: Seat("this process"))
    """What this process takes on, where several share the store."""
    beats: Beats | None = None
    """How it shows life to the others; None: there are none."""
    doorbell: Doorbell | None = None
    """How it hears of what others stored for it; None: it looks now and then."""
    host: Host | None = None
    """Under whose id we speak, and whose peers `link` reaches; None: under our own."""
    watch_node_s: int | None = None
    """How often the money node is looked at, for the event log; None: never."""


class Services:
    """Payee and payer of one node, over the same parts."""

    def __init__(self, keyring: Keyring, parts: Parts, *, nap_s_max: int = NAP_S_MAX) -> None:
        """`nap_s_max`: see `Scheduler`."""
        self.keyring = keyring
        self.parts = parts
        present = (parts.manager, parts.seat, keyring.node_id, parts.clock)
        self.attendance = Attendance(*present, beats=parts.beats, on_change=self._changed)
        host = parts.host
        messenger = Messenger(keyring.identity) if host is None else HostedMessenger(keyring.identity, host.node_id)
        self.courier = Courier(messenger, parts.link, parts.router, parts.entropy, parts.clock, parts.messages)
        self.seed_watch = SeedWatch(parts.clock)
        self.payee = PayeeService(
            manager=parts.manager,
            courier=self.courier,
            invoicer=Invoicer(parts.node, keyring),
            keyring=keyring,
            clock=parts.clock,
            entropy=parts.entropy,
            chain=parts.chain,
            on_change=self._changed,
            rates=parts.rates,
            host=host,
            seed_watch=self.seed_watch,
        )
        self.payer = PayerService(
            manager=parts.manager,
            courier=self.courier,
            keyring=keyring,
            clock=parts.clock,
            entropy=parts.entropy,
            chain=parts.chain,
            on_change=self._changed,
            rates=parts.rates,
            can_split=self._node_can_split,
            seed_watch=self.seed_watch,
        )
        self.node_watch = _node_watch(parts)
        self.performer = Performer(
            manager=parts.manager,
            node=parts.node,
            courier=self.courier,
            payer=self.payer,
            keyring=keyring,
            clock=parts.clock,
            entropy=parts.entropy,
            may_pay=self.attendance.check,
            on_silence=self._node_failed,
        )
        parts.link.on_peer(self.performer.peer_came)
        self.scheduler = Scheduler(
            parts.manager,
            self.attendance,
            self.payer,
            self.payee.subscribers,
            self.performer,
            parts.clock,
            nap_s_max=nap_s_max,
        )

    async def run(self) -> None:
        """Work until cancelled, after joining the workers of the store if that was not done before.

        Raises:
            LnrecurError: something failed that no waiting mends.
        """
        if not self.attendance.has_joined:
            await self.attendance.join()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.scheduler.run(), name="scheduler")
                tasks.create_task(self.attendance.keep(), name="attendance")
                if self.parts.seat.messages:
                    self.payer.expect_answers_again()
                    parts = self.parts
                    receipts = self.payee.receiver.follow(parts.node, parts.clock, parts.entropy, self._node_failed)
                    tasks.create_task(receipts, name="receipts")
                    if self.node_watch is not None:  # one process of a store tells what all would see
                        tasks.create_task(self.node_watch.watch(), name="money node")
                if self.parts.doorbell is not None:
                    tasks.create_task(self._listen(self.parts.doorbell), name="doorbell")
        except BaseExceptionGroup as group:
            for error in group.exceptions:
                if isinstance(error, LnrecurError):
                    raise error from group
            raise
        finally:
            await self.courier.close()

    async def _listen(self, doorbell: Doorbell) -> None:
        async for _ in doorbell.rings():
            self.scheduler.poke()

    async def _node_can_split(self) -> bool | None:
        """Whether the money node can pay in several parts; None while it does not answer."""
        try:
            async with asyncio.timeout(INFO_S_MAX):
                return (await self.parts.node.info()).can_split
        except (MoneyNodeError, TimeoutError):
            return None

    def _node_failed(self) -> None:
        if self.node_watch is not None:
            self.node_watch.poke()

    def _changed(self) -> None:
        self.scheduler.poke()


def _node_watch(parts: Parts) -> NodeWatch | None:
    if parts.watch_node_s is None:
        return None
    return NodeWatch(parts.manager, parts.node, parts.clock, parts.entropy, every_s=parts.watch_node_s)
