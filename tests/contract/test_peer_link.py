"""The contract of `lnrecur.ports.PeerLink`, kept by every one we ship."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

pytest.register_assert_rewrite("peer_link")

from peer_link import PeerLinkContract, World  # noqa: E402

from helpers.links import HOST, SETTINGS, address_of, until  # noqa: E402
from lnrecur.adapters.entropy import SystemEntropy  # noqa: E402
from lnrecur.adapters.link import TcpPeerLink  # noqa: E402
from lnrecur.crypto.keys import PrivateKey  # noqa: E402
from lnrecur.ports import PeerAddress, PeerLink  # noqa: E402
from lnrecur.testing.network import MemoryNetwork  # noqa: E402
from lnrecur.values import NodeId  # noqa: E402


class MemoryWorld(World):
    """Connections are laid out, and everybody listens."""

    def __init__(self) -> None:
        self._network = MemoryNetwork()
        self._network.lay_out()

    async def node(self, key: PrivateKey) -> tuple[PeerLink, PeerAddress]:
        node_id = NodeId(key.point)
        self._network.listening.add(node_id)
        return self._network.link(node_id), PeerAddress(node_id, "memory", 1)

    async def down(self, key: PrivateKey) -> None:
        self._network.leave(NodeId(key.point))

    async def until(self, true: Callable[[], bool]) -> None:
        for _ in range(1000):
            if true():
                return
            self._network.deliver()
            await asyncio.sleep(0)
        raise AssertionError("it never came to that")

    def nowhere(self, node: NodeId) -> PeerAddress:
        return PeerAddress(node, "memory", 1)


class TcpWorld(World):
    """Sockets on 127.0.0.1."""

    def __init__(self) -> None:
        self._links: dict[NodeId, TcpPeerLink] = {}

    async def node(self, key: PrivateKey) -> tuple[PeerLink, PeerAddress]:
        link = TcpPeerLink(key, SystemEntropy(), SETTINGS)
        self._links[link.node_id] = link
        return link, await address_of(link)

    async def down(self, key: PrivateKey) -> None:
        await self._links.pop(NodeId(key.point)).close()

    async def until(self, true: Callable[[], bool]) -> None:
        await until(true)

    def nowhere(self, node: NodeId) -> PeerAddress:
        return PeerAddress(node, HOST, 1)

    async def close(self) -> None:
        for link in self._links.values():
            await link.close()


class TestMemoryLink(PeerLinkContract):
    @pytest.fixture
    def world(self) -> World:
        return MemoryWorld()


class TestTcpPeerLink(PeerLinkContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        made = TcpWorld()
        yield made
        await made.close()
