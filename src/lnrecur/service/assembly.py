"""Joins ports to the services of one node. Which real part stands behind each port is decided elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from lnrecur.errors import LnrecurError
from lnrecur.messaging.messenger import Messenger
from lnrecur.ports import Clock, Entropy, MessageRouter, MoneyNode, PeerLink, RateSource, RecurrenceManager
from lnrecur.service.courier import Courier, MessageSettings
from lnrecur.service.invoicing import Invoicer
from lnrecur.service.keyring import Keyring
from lnrecur.service.payee import PayeeService
from lnrecur.service.payer import PayerService
from lnrecur.service.performer import Performer
from lnrecur.service.scheduler import NAP_S_MAX, Scheduler
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


class Services:
    """Payee and payer of one node, over the same parts."""

    def __init__(self, keyring: Keyring, parts: Parts, *, nap_s_max: int = NAP_S_MAX) -> None:
        """`nap_s_max`: see `Scheduler`."""
        self.keyring = keyring
        self.parts = parts
        messenger = Messenger(keyring.identity)
        self.courier = Courier(messenger, parts.link, parts.router, parts.entropy, parts.clock, parts.messages)
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
        )
        self.performer = Performer(
            manager=parts.manager,
            node=parts.node,
            courier=self.courier,
            payer=self.payer,
            keyring=keyring,
            clock=parts.clock,
            entropy=parts.entropy,
        )
        self.scheduler = Scheduler(
            parts.manager, self.payer, self.payee.subscribers, self.performer, parts.clock, nap_s_max=nap_s_max
        )

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            LnrecurError: something failed that no waiting mends.
        """
        self.payer.expect_answers_again()
        receipts = self.payee.receiver.follow(self.parts.node, self.parts.clock)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.scheduler.run(), name="scheduler")
                tasks.create_task(receipts, name="receipts")
        except BaseExceptionGroup as group:
            for error in group.exceptions:
                if isinstance(error, LnrecurError):
                    raise error from group
            raise
        finally:
            await self.courier.close()

    def _changed(self) -> None:
        self.scheduler.poke()
