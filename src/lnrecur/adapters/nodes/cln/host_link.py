"""Sending onion messages through Core Lightning's own connections, as a plugin in it does.

Our peers are those of the node, and the node itself. A message comes wrapped once more for the node (see
messaging/hosted.py); `injectonionmessage` has it peel that layer and hand the rest to the peer, or keep it. The node
neither connects nor finds ways by itself: a next hop that is no peer is an error, which is told. What it injects to its
own peers it does not limit, but they do: a Core Lightning takes four messages a second from each of its peers. So the
pace of `service/dispatcher.py` holds here too, towards each peer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lnrecur.adapters.nodes.cln.errors import ClnRefused
from lnrecur.adapters.nodes.cln.rpc import ClnRpc
from lnrecur.messaging.features import ONION_MESSAGES
from lnrecur.ports import MoneyNodeError, OnionMessageHandler, PeerAddress, PeerHandler, PeerUnreachable
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage

_LOG = logging.getLogger("lnrecur.cln")
LOOK_S: Final = 60.0
"""Pause between two looks at the node's peers, where no notification comes in between."""
DIAL_S_MAX: Final = 30.0
INTRODUCTIONS_MAX: Final = 3
"""Peers at which the paths to a private node begin; each makes an offer's text longer."""
_ASKED_MAX: Final = 16
"""Peers of a private node that we ask the graph about."""


class HostLink:
    """A `lnrecur.ports.PeerLink` over the peers of a Core Lightning node."""

    def __init__(self, rpc: ClnRpc, host: NodeId, kept: Sequence[PeerAddress] = ()) -> None:
        """`kept`: nodes that the host shall stay connected to, beside the peers it has channels with."""
        self._rpc = rpc
        self._host = host
        self._kept = kept
        self._peers: frozenset[NodeId] = frozenset()
        self._introductions: tuple[NodeId, ...] = ()
        self._came: set[NodeId] = set()
        self._told: list[PeerHandler] = []
        self._bell = asyncio.Event()

    # --- `PeerLink` --------------------------------------------------------------------------------------------------

    async def reach(self, address: PeerAddress) -> None:
        """See `PeerLink.reach`: the node connects."""
        if address.node_id in self._peers or address.node_id == self._host:
            return
        where = {"id": address.node_id.hex(), "host": address.host, "port": address.port}
        try:
            answer = await self._rpc.call("connect", where, timeout_s=DIAL_S_MAX)
        except MoneyNodeError as error:
            raise PeerUnreachable(f"Core Lightning cannot connect to {address}: {_words(error)}") from error
        if _takes_onion_messages(answer):
            self._have(self._peers | {address.node_id})

    async def send(self, peer: NodeId, message: OnionMessage) -> None:
        """See `PeerLink.send`."""
        told = {"path_key": message.path_key.hex(), "message": message.onion.hex()}
        try:
            await self._rpc.call("injectonionmessage", told)
        except MoneyNodeError as error:
            self._bell.set()  # it may be gone
            said = f"Core Lightning does not pass a message on to {peer.hex()}: {_words(error)}"
            raise PeerUnreachable(said) from error

    def peers(self) -> frozenset[NodeId]:
        """The node's peers that take onion messages, and the node."""
        return self._peers | {self._host}

    def on_message(self, handler: OnionMessageHandler) -> None:
        """No raw message ever arrives: the node opens them all."""

    def on_peer(self, handler: PeerHandler) -> None:
        """See `PeerLink.on_peer`."""
        self._told.append(handler)

    # --- keeping up --------------------------------------------------------------------------------------------------

    def introductions(self) -> Sequence[NodeId]:
        """Where paths to the node begin: at public peers of a node that is not public itself; else at the node."""
        return self._introductions

    def look_again(self, came: NodeId | None = None) -> None:
        """A peer has come or gone."""
        if came is not None:
            self._came.add(came)
        self._bell.set()

    async def refresh(self) -> None:
        """Ask the node for its peers now.

        Raises:
            MoneyNodeError: it does not say.
        """
        came = frozenset(self._came)
        listed = [peer for peer in (await self._rpc.call("listpeers"))["peers"] if _takes_onion_messages(peer)]
        peers = frozenset(NodeId(bytes.fromhex(peer["id"])) for peer in listed)
        self._introductions = await self._begin_at(listed)
        self._came -= came
        self._peers -= came  # whoever came anew is news, also where we did not see it go
        self._have(peers)

    async def keep_up(self) -> None:
        """Look at the node's peers when something is said to have changed, and now and then. Never ends."""
        while True:
            self._bell.clear()
            await self.look()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._bell.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Refresh what is known of the node's peers, and dial those that are kept and not there."""
        try:
            await self.refresh()
        except (MoneyNodeError, KeyError, TypeError, ValueError) as error:
            _LOG.info("the peers of Core Lightning are not known just now: %s", error)
            return
        for address in self._kept:
            try:
                await self.reach(address)
            except PeerUnreachable as error:
                _LOG.info("%s", error)

    def _have(self, peers: frozenset[NodeId]) -> None:
        new, self._peers = peers - self._peers, peers
        for peer in sorted(new):
            for handler in self._told:
                handler(peer)

    async def _begin_at(self, peers: Sequence[Mapping[str, Any]]) -> tuple[NodeId, ...]:
        if await self._is_public(self._host.hex()):
            return ()
        found: list[NodeId] = []
        for peer in [peer for peer in peers if peer.get("num_channels")][:_ASKED_MAX]:
            if await self._is_public(peer["id"]):
                found.append(NodeId(bytes.fromhex(peer["id"])))
        return tuple(found[:INTRODUCTIONS_MAX])

    async def _is_public(self, node: str) -> bool:
        """Whether the graph knows a node by its own announcement, so that strangers find a way to it."""
        nodes = (await self._rpc.call("listnodes", {"id": node}))["nodes"]
        return any("last_timestamp" in known for known in nodes)


def _takes_onion_messages(peer: Mapping[str, Any]) -> bool:
    """Whether an entry of `listpeers`, or the answer of `connect`, is a connected peer with feature 38 or 39."""
    if not peer.get("connected", True):
        return False
    try:
        features = int(str(peer.get("features") or "0"), 16)
    except ValueError:
        return False
    return bool(features >> ONION_MESSAGES & 0b11)


def _words(error: MoneyNodeError) -> str:
    return error.message if isinstance(error, ClnRefused) else str(error)
