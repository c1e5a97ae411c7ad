"""One lnrecur node as the daemon builds it, with LDK at its border: real services over a real link and real money."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import LinkSettings, TcpPeerLink
from lnrecur.adapters.router import StaticRouter
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents
from lnrecur.messaging.peer import PeerSettings
from lnrecur.ports import PeerAddress
from lnrecur.service.assembly import Parts, Services
from lnrecur.service.courier import MessageSettings
from lnrecur.service.keyring import Keyring
from lnrecur.testing.memory_store import MemoryRecurrenceManager
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, NodeId
from peers.ldk.money import LdkMoneyNode
from peers.ldk.nodes import START
from peers.ldk.sidecar import LdkSidecar

PATIENCE_SECONDS = 15.0
ENTROPY = SystemEntropy()

Found = TypeVar("Found")


def address_of(ldk: LdkSidecar) -> PeerAddress:
    return PeerAddress(ldk.node_id, "127.0.0.1", ldk.port)


async def eventually(ask: Callable[[], Found | Awaitable[Found]], expected: Callable[[Found], Any] = bool) -> Found:
    """Ask until the answer is the expected one; fail with the last answer otherwise."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        asked = ask()
        answer = await asked if isinstance(asked, Awaitable) else asked
        if expected(answer):
            return answer
        assert asyncio.get_running_loop().time() < deadline, f"still {answer}"
        await asyncio.sleep(0.005)


def new_link(keyring: Keyring, settings: PeerSettings | None = None) -> TcpPeerLink:
    return TcpPeerLink(keyring.identity, ENTROPY, LinkSettings(session=settings or PeerSettings(REGTEST)))


@dataclass
class House:
    """Its time is virtual: nothing is due before a test says so. Messages and payments take their real time."""

    services: Services
    money: LdkMoneyNode
    link: TcpPeerLink
    clock: VirtualClock
    manager: MemoryRecurrenceManager
    said: list[MessageContents]
    """The contents of the messages it got, in order."""
    _running: asyncio.Task[None]

    @classmethod
    async def open(
        cls,
        ldk: LdkSidecar,
        clock: VirtualClock | None = None,
        *,
        peer: LdkSidecar | None = None,
        routes: Sequence[Sequence[NodeId]] = (),
    ) -> House:
        """A node whose money this LDK moves, and whose one peer it is too, unless `peer` is another.

        `routes`: what it knows of the network.
        """
        clock = clock or VirtualClock(START)
        keyring = Keyring.derive(ENTROPY.take(32))
        link, money, manager = new_link(keyring), LdkMoneyNode(ldk, clock), MemoryRecurrenceManager()
        parts = Parts(
            manager=manager,
            node=money,
            link=link,
            router=StaticRouter(routes=routes),
            clock=clock,
            entropy=ENTROPY,
            chain=REGTEST,
            messages=MessageSettings(pace=None),
        )
        services = Services(keyring, parts)
        said = _listen(services)
        await link.reach(address_of(peer or ldk))
        running = asyncio.create_task(services.run())
        return cls(services, money, link, clock, manager, said, running)

    @property
    def node_id(self) -> NodeId:
        return self.services.keyring.node_id

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.services.performer.close()
        await self.link.close()
        await self.money.close()

    def heard(self, kind: ContentsKind) -> list[bytes]:
        """The messages of a kind that it got."""
        return [contents.data for contents in self.said if contents.kind is kind]


def _listen(services: Services) -> list[MessageContents]:
    """Note what is handed to the services."""
    said: list[MessageContents] = []
    recipients = services.courier._recipients
    for kind, recipient in list(recipients.items()):

        async def noted(
            delivered: Delivered, contents: MessageContents, peer: NodeId, recipient: Any = recipient
        ) -> None:
            said.append(contents)
            await recipient(delivered, contents, peer)

        services.courier.deliver_to(kind, noted)
    return said
