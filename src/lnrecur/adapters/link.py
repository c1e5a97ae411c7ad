"""Connections to other nodes: BOLT 8 over TCP, the production implementation of `ports.PeerLink`.

A link dials (`reach`), listens (`listen`) and keeps chosen peers connected (`keep`, `start`). There is one connection
per node id; a newer one takes the place of an older one.

What one peer can do to the others is nothing: each connection has tasks and limits of its own, arriving messages wait
for the handler within a quota per connection, and a handler that is slow or fails keeps nobody from being read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from lnrecur.adapters.peer_connection import FlowLimits, PeerConnection
from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import PrivateKey, parse_point
from lnrecur.errors import LnrecurError
from lnrecur.messaging.errors import ConnectionOver
from lnrecur.messaging.peer import OnionMessageReceived, PeerEvent, PeerReady, PeerSession, PeerSettings, PeerWarned
from lnrecur.ports import Entropy, LinkError, OnionMessageHandler, PeerAddress, PeerUnreachable
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage

_log = logging.getLogger("lnrecur.link")

_WARNING_TEXT_MAX: Final = 300


class Replaced(ConnectionOver):
    """The same node has a newer connection."""


class LinkClosed(ConnectionOver):
    """We are going down."""


class CannotListen(LinkError):
    """The address cannot be listened at: taken, not ours, or not allowed."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What a link insists on. Times are in seconds."""

    session: PeerSettings
    flow: FlowLimits = field(default_factory=FlowLimits)
    connect_seconds: float = 10.0
    inbound_max: int = 128
    """Connections from outside at a time, those in the handshake included."""
    inbox_max_bytes: int = 1024 * 1024
    """Messages of one connection that may wait for the handler; what comes on top is dropped."""
    redial_first_seconds: float = 1.0
    redial_max_seconds: float = 300.0
    settled_seconds: float = 60.0
    """A kept connection that lasted this long is dialled again without the delay that had grown before."""


@dataclass(frozen=True, slots=True)
class _Arrived:
    connection: PeerConnection
    message: OnionMessage


class TcpPeerLink:
    """Implements `ports.PeerLink` on asyncio streams."""

    def __init__(self, identity: PrivateKey, entropy: Entropy, settings: LinkSettings) -> None:
        """Prepare a link that neither listens nor dials yet.

        Args:
            identity: the key whose point is our node id.
            entropy: where ephemeral keys and jitter come from.
            settings: limits and times.
        """
        self._identity = identity
        self._entropy = entropy
        self._settings = settings
        self._handler: OnionMessageHandler | None = None
        self._peers: dict[NodeId, PeerConnection] = {}
        self._connections: dict[PeerConnection, asyncio.Task[None]] = {}
        self._dials: dict[NodeId, asyncio.Task[None]] = {}
        self._kept: dict[NodeId, PeerAddress] = {}
        self._servers: list[asyncio.Server] = []
        self._background: set[asyncio.Task[None]] = set()
        self._inbox: asyncio.Queue[_Arrived] = asyncio.Queue()  # bounded per connection, see _queue
        self._handling = False
        self._started = False
        self._closed = False

    @property
    def node_id(self) -> NodeId:
        """Who we are to our peers."""
        return NodeId(self._identity.point)

    # --- ports.PeerLink -----------------------------------------------------------------------------------------------

    async def reach(self, address: PeerAddress) -> None:
        """Have a connection to this node; several callers at a time share one attempt.

        Raises:
            PeerUnreachable: it could not be made; the text names the address and the reason.
        """
        if self._alive(address.node_id) is not None:
            return
        if self._closed:
            raise PeerUnreachable(f"{address}: this link is closed")
        dial = self._dials.get(address.node_id)
        if dial is None:
            dial = asyncio.create_task(self._dial(address), name=f"dial {address}")
            self._dials[address.node_id] = dial
            dial.add_done_callback(lambda done: self._dial_is_done(address.node_id, done))
        try:
            await asyncio.shield(dial)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if dial.cancelled() and not (caller is not None and caller.cancelling()):
                raise PeerUnreachable(f"{address}: this link was closed meanwhile") from None
            raise

    async def send(self, peer: NodeId, message: OnionMessage) -> None:
        """Hand a message to a connected peer.

        Raises:
            PeerUnreachable: there is no connection, or the peer leaves too much unread already.
        """
        connection = self._alive(peer)
        if connection is None:
            raise PeerUnreachable(f"there is no connection to {peer.hex()}")
        connection.send(message)

    def peers(self) -> frozenset[NodeId]:
        """The connected peers that offer onion messages."""
        return frozenset(node for node, connection in self._peers.items() if connection.takes_onion_messages)

    def on_message(self, handler: OnionMessageHandler) -> None:
        """Name the one handler of arriving onion messages. It is awaited for one message at a time, in order."""
        self._handler = handler

    # --- what a daemon does with it ----------------------------------------------------------------------------------

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; answers the port, which the system chooses for port 0.

        Raises:
            CannotListen: the system refuses; the text says why.
        """
        try:
            server = await asyncio.start_server(self._accept, host, port)
        except (OSError, ValueError, OverflowError) as error:
            raise CannotListen(f"cannot listen at {host}:{port}: {error}") from error
        self._servers.append(server)
        actual: int = server.sockets[0].getsockname()[1]
        _log.info("listening at %s:%d as %s", host, actual, self.node_id.hex())
        return actual

    def keep(self, address: PeerAddress) -> None:
        """Have this peer connected for good once `start` was called, dialling again whenever it is lost."""
        known = address.node_id in self._kept
        self._kept[address.node_id] = address  # a new address is used from the next attempt on
        if self._started and not known:
            self._spawn(self._keep_connected(address.node_id), f"keep {address}")

    def start(self) -> None:
        """Begin to dial the kept peers."""
        if self._started or self._closed:
            return
        self._started = True
        for address in self._kept.values():
            self._spawn(self._keep_connected(address.node_id), f"keep {address}")

    async def close(self) -> None:
        """Stop listening, dialling and handling, hang up on everybody, and return when all is quiet."""
        self._closed = True
        for server in self._servers:
            server.close()
        stopping = [*self._background, *self._dials.values()]
        for task in stopping:
            task.cancel()
        for connection in self._connections:
            connection.hang_up(LinkClosed("we are going down"))
        await asyncio.gather(*stopping, *self._connections.values(), return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()

    # --- connections -------------------------------------------------------------------------------------------------

    def _alive(self, node: NodeId) -> PeerConnection | None:
        connection = self._peers.get(node)
        return connection if connection is not None and connection.alive else None

    async def _dial(self, address: PeerAddress) -> None:
        if address.node_id == self.node_id:
            raise PeerUnreachable(f"{address}: that is this node itself")
        try:
            parse_point(address.node_id)
            async with asyncio.timeout(self._settings.connect_seconds) as limit:
                streams = await asyncio.open_connection(address.host, address.port)
        except CryptoError as error:
            raise PeerUnreachable(f"{address}: {error}") from error
        except (OSError, ValueError, OverflowError) as error:
            reason = f"no connection within {self._settings.connect_seconds:g} s" if limit.expired() else str(error)
            raise PeerUnreachable(f"{address}: {reason}") from error
        now = asyncio.get_running_loop().time()
        session = PeerSession.initiate(
            self._identity, address.node_id, self._ephemeral_key(), self._settings.session, now
        )
        connection = self._launch(session, streams, outbound=True)
        await connection.settled.wait()
        if connection.node_id is None:
            raise PeerUnreachable(f"{address}: {connection.over_because}")

    def _dial_is_done(self, node: NodeId, dial: asyncio.Task[None]) -> None:
        del self._dials[node]
        if not dial.cancelled():
            dial.exception()  # every waiter may have been cancelled; then it counts as seen all the same

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inbound = sum(not connection.outbound for connection in self._connections)
        if self._closed or inbound >= self._settings.inbound_max:
            _log.warning("a connection was refused: %d from outside are open already", inbound)
            writer.transport.abort()
            return
        now = asyncio.get_running_loop().time()
        session = PeerSession.accept(self._identity, self._ephemeral_key(), self._settings.session, now)
        self._launch(session, (reader, writer), outbound=False)

    def _ephemeral_key(self) -> PrivateKey:
        return PrivateKey(self._entropy.take(32))

    def _launch(
        self, session: PeerSession, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], *, outbound: bool
    ) -> PeerConnection:
        connection = PeerConnection(session, streams, self._settings.flow, outbound=outbound, on_event=self._on_event)
        task = asyncio.create_task(connection.run(), name=f"peer at {connection.where}")
        self._connections[connection] = task
        task.add_done_callback(lambda done: self._connection_is_over(connection, done))
        if not self._handling:
            self._handling = True
            self._spawn(self._handle_arrived(), "onion messages")
        return connection

    def _connection_is_over(self, connection: PeerConnection, task: asyncio.Task[None]) -> None:
        del self._connections[connection]
        node = connection.node_id
        if node is not None and self._peers.get(node) is connection:
            del self._peers[node]
        _log_crash(task)
        level = logging.DEBUG if node is None else logging.INFO
        named = "a stranger" if node is None else node.hex()
        _log.log(level, "connection to %s at %s is over: %s", named, connection.where, connection.over_because)

    def _on_event(self, connection: PeerConnection, event: PeerEvent) -> None:
        match event:
            case PeerReady(node_id=node):
                self._admit(connection, node)
            case OnionMessageReceived(message=message):
                self._queue(connection, message)
            case PeerWarned(text=text):
                _log.warning("%s warns: %s", _name(connection), text[:_WARNING_TEXT_MAX])

    def _admit(self, connection: PeerConnection, node: NodeId) -> None:
        _log.info("connected %s %s at %s", "to" if connection.outbound else "by", node.hex(), connection.where)
        older = self._alive(node)
        if older is not None and self._crossed(older, connection, node):
            connection.hang_up(Replaced("another connection to the same node is kept"))
            return
        self._peers[node] = connection
        if older is not None:
            older.hang_up(Replaced("the same node has a newer connection"))

    def _crossed(self, older: PeerConnection, newer: PeerConnection, node: NodeId) -> bool:
        """Whether two nodes dialled each other at once and `older` is the connection that both shall keep.

        Each side may see another one of the two as the newer. If both dropped "the older" both would be gone, so the
        one that the smaller node id dialled stays.
        """
        together = newer.ready_at - older.ready_at < self._settings.session.handshake_seconds
        if not together or older.outbound == newer.outbound:
            return False
        return older.outbound == (self.node_id < node)

    # --- arriving messages -------------------------------------------------------------------------------------------

    def _queue(self, connection: PeerConnection, message: OnionMessage) -> None:
        if connection.inbox_bytes + len(message.onion) > self._settings.inbox_max_bytes:
            _log.warning("a message from %s was dropped: too many wait already", _name(connection))
            return
        connection.inbox_bytes += len(message.onion)
        self._inbox.put_nowait(_Arrived(connection, message))

    async def _handle_arrived(self) -> None:
        while True:
            arrived = await self._inbox.get()
            arrived.connection.inbox_bytes -= len(arrived.message.onion)
            sender = arrived.connection.node_id
            assert sender is not None, "messages arrive only after the init"
            if self._handler is None:
                _log.warning("a message from %s was dropped: nobody handles messages yet", sender.hex())
                continue
            try:
                await self._handler(sender, arrived.message)
            except LnrecurError as error:
                _log.warning("a message from %s: %s", sender.hex(), error)
            except Exception:  # noqa: BLE001 - a border: one bug in a handler must not end the handling
                _log.exception("a message from %s met a bug", sender.hex())

    # --- kept peers --------------------------------------------------------------------------------------------------

    async def _keep_connected(self, node: NodeId) -> None:
        loop = asyncio.get_running_loop()
        settings = self._settings
        delay = settings.redial_first_seconds
        while True:
            began = loop.time()
            try:
                await self.reach(self._kept[node])
            except PeerUnreachable as error:
                _log.info("%s; next attempt in %.1f s at most", error, delay)
            while (connection := self._alive(node)) is not None:
                await connection.over.wait()
            if loop.time() - began >= settings.settled_seconds:
                delay = settings.redial_first_seconds
            await asyncio.sleep(delay * self._jitter())
            delay = min(2 * delay, settings.redial_max_seconds)

    def _jitter(self) -> float:
        """A factor between one half and one, so that many nodes do not come back in the same moment."""
        return 0.5 + int.from_bytes(self._entropy.take(2), "big") / 0x2_0000

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        task.add_done_callback(_log_crash)


def _name(connection: PeerConnection) -> str:
    return connection.where if connection.node_id is None else connection.node_id.hex()


def _log_crash(task: asyncio.Task[None]) -> None:
    """A task of ours that ended by an error met a bug: say so, and let the other connections go on."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s met a bug", task.get_name(), exc_info=error)
