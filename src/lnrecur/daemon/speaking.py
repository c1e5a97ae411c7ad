"""How the daemon speaks with other nodes: as a peer of its own (BOLT 8), or as a plugin, under the id of its node.

The setting `messages` chooses; everything else sees a link, a router and an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import TcpPeerLink
from lnrecur.adapters.nodes.cln import ClnRpc
from lnrecur.adapters.nodes.cln.host_link import HostLink
from lnrecur.daemon.config import Settings, listen_list, split_listen
from lnrecur.daemon.message_settings import message_router
from lnrecur.daemon.peer_book import PeerBook
from lnrecur.daemon.peer_settings import link_settings
from lnrecur.ports import Host, MessageRouter, MoneyNodeError, PeerAddress, PeerLink
from lnrecur.service.addresses import parse_host_and_port
from lnrecur.service.keyring import Keyring
from lnrecur.values import NodeId


class Speech(Protocol):
    """One way of speaking."""

    link: PeerLink
    router: MessageRouter
    host: Host | None
    book: PeerBook | None
    """The peers that are kept; None: others see to the peers."""

    async def begin(self) -> str | None:
        """Start, once the services are there; our address as peers write it, or None if nobody reaches us."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


class PeerSpeech:
    """Connections of our own, under our own id."""

    host: Host | None = None

    def __init__(self, keyring: Keyring, settings: Settings, book: Path) -> None:
        self._settings = settings
        self._tcp = TcpPeerLink(keyring.identity, SystemEntropy(), link_settings(settings))
        self.link: PeerLink = self._tcp
        router = message_router(settings)
        self.router: MessageRouter = router
        self.book: PeerBook | None = PeerBook(self._tcp, router, settings.peer_addresses, book)

    async def begin(self) -> str | None:
        """Listen, and dial the kept peers."""
        address = await listen_for_peers(self._tcp, self._settings)
        self._tcp.start()
        return address

    async def close(self) -> None:
        """See `Speech.close`."""
        await self._tcp.close()


class HostSpeech:
    """The connections of the Core Lightning node that we are a plugin of."""

    book: PeerBook | None = None

    def __init__(self, rpc: ClnRpc, node_id: NodeId, router: MessageRouter, kept: Sequence[PeerAddress] = ()) -> None:
        """`kept`: nodes that the host shall stay connected to."""
        self._rpc = rpc
        self._hosted = HostLink(rpc, node_id, kept)
        self._keeping: asyncio.Task[None] | None = None
        self.link: PeerLink = self._hosted
        self.router: MessageRouter = router
        self.host: Host | None = Host(node_id, self._hosted.introductions)

    def look_again(self, came: NodeId | None = None) -> None:
        """A peer of the node has come or gone."""
        self._hosted.look_again(came)

    async def begin(self) -> str | None:
        """Look at the node's peers, now and from now on."""
        await self._hosted.look()
        self._keeping = asyncio.get_running_loop().create_task(self._hosted.keep_up(), name="peers of the host")
        try:
            told = await self._rpc.call("getinfo")
        except MoneyNodeError:
            return None  # nobody is told an address then; offers name nodes
        for where in (*told.get("address", ()), *told.get("binding", ())):
            if where.get("address") and where.get("port") and where["address"] not in ("0.0.0.0", "::"):  # noqa: S104
                return str(PeerAddress(NodeId(bytes.fromhex(told["id"])), where["address"], where["port"]))
        return None

    async def close(self) -> None:
        """See `Speech.close`."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)


async def listen_for_peers(link: TcpPeerLink, settings: Settings) -> str | None:
    """Our address as peers write it, or None if we listen nowhere."""
    bound = []
    for text in listen_list(settings.peer_listen):
        host, port = split_listen(text, "peer_listen")
        bound.append((host, await link.listen(host, port)))
    if settings.peer_address:
        bound.insert(0, parse_host_and_port(settings.peer_address))
    return str(PeerAddress(link.node_id, *bound[0])) if bound else None
