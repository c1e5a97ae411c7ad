"""The link: who is connected, and what becomes of what they say.

There is one connection per node id; a newer one takes the place of an older one. What one peer can do to the others is
nothing: each connection has tasks, rates and quotas of its own, handlers run beside each other, and whoever comes from
outside competes for places with its own kind first. Everything is limited, see `settings.py`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from lnrecur.adapters.link.admission import Admission
from lnrecur.adapters.link.connection import Counters, PeerConnection
from lnrecur.adapters.link.dialling import Streams, limit_buffers, open_streams
from lnrecur.adapters.link.endings import Forgotten, LinkClosed, OnionFlood, Replaced
from lnrecur.adapters.link.handling import FairHandling, Lane
from lnrecur.adapters.link.inflow import Inflow, Verdict
from lnrecur.adapters.link.keeping import Keeper
from lnrecur.adapters.link.report import status_of
from lnrecur.adapters.link.settings import READ_SIZE, LinkSettings
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.peer import OnionMessageReceived, PeerEvent, PeerReady, PeerSession, PeerWarned
from lnrecur.ports import (
    Entropy,
    LinkError,
    LinkTotals,
    OnionMessageHandler,
    PeerAddress,
    PeerHandler,
    PeerStatus,
    PeerUnreachable,
)
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage

_log = logging.getLogger("lnrecur.link")

_WARNING_TEXT_MAX: Final = 300


class CannotListen(LinkError):
    """The address cannot be listened at: taken, not ours, or not allowed."""


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
        self._handling = FairHandling(settings.handling)
        self._keeper = Keeper(settings, entropy, self.reach, self._alive, _log_crash)
        self._admission = Admission(settings, self._keeper)
        self._peers: dict[NodeId, PeerConnection] = {}
        self._connections: dict[PeerConnection, asyncio.Task[None]] = {}
        self._dials: dict[NodeId, asyncio.Task[None]] = {}
        self._servers: list[asyncio.Server] = []
        self._totals = Counters()
        self._on_peer: PeerHandler | None = None
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
                raise PeerUnreachable(f"{address}: given up meanwhile, or this link was closed") from None
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
        self._totals.sent += 1

    def peers(self) -> frozenset[NodeId]:
        """The connected peers that onion messages can be sent to."""
        return frozenset(node for node, connection in self._peers.items() if connection.takes_onion_messages)

    def on_message(self, handler: OnionMessageHandler) -> None:
        """Name the one handler of arriving onion messages. Several run at a time, see `handling.py`."""
        self._handling.use(handler)

    def on_peer(self, handler: PeerHandler) -> None:
        """Name who is told of each new connection to a peer that takes onion messages."""
        self._on_peer = handler

    # --- what a daemon does with it ----------------------------------------------------------------------------------

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; answers the port, which the system chooses for port 0.

        Raises:
            CannotListen: the system refuses; the text says why.
        """
        try:
            server = await asyncio.start_server(self._accept, host, port, limit=READ_SIZE)
        except (OSError, ValueError, OverflowError) as error:
            raise CannotListen(f"cannot listen at {host}:{port}: {error}") from error
        self._servers.append(server)
        for listening in server.sockets:
            limit_buffers(listening)
        actual: int = server.sockets[0].getsockname()[1]
        _log.info("listening at %s:%d as %s", host, actual, self.node_id.hex())
        return actual

    def keep(self, address: PeerAddress) -> None:
        """Have this peer connected for good once `start` was called, dialling again whenever it is lost.

        Raises:
            UsageError: as many peers are kept as may be.
        """
        known = self._keeper.get(address.node_id)
        moved = known is not None and known.address != address
        self._keeper.keep(address)
        if moved and (dial := self._dials.pop(address.node_id, None)) is not None:
            dial.cancel()  # it goes where the peer no longer is
        connection = self._alive(address.node_id)
        if connection is not None:
            self._treat_as_chosen(connection, address.node_id)

    def forget(self, node: NodeId) -> None:
        """Keep this peer no longer: stop dialling it, and hang up."""
        if not self._keeper.forget(node):
            return
        if (dial := self._dials.get(node)) is not None:
            dial.cancel()
        if (connection := self._peers.get(node)) is not None:
            connection.hang_up(Forgotten("this peer was removed"))

    def start(self) -> None:
        """Begin to dial the kept peers."""
        if not self._closed:
            self._keeper.start()

    def statuses(self) -> list[PeerStatus]:
        """Every kept peer, then everybody else who is connected."""
        now = asyncio.get_running_loop().time()
        kept = [
            status_of(each.address.node_id, self._alive(each.address.node_id), each, now) for each in self._keeper.all()
        ]
        others = [(node, self._alive(node)) for node in self._peers if node not in self._keeper]
        return kept + [status_of(node, connection, None, now) for node, connection in others if connection is not None]

    def totals(self) -> LinkTotals:
        """What happened on all connections so far."""
        return LinkTotals(self._totals.received, self._totals.sent, self._totals.dropped, self._admission.refused)

    async def close(self) -> None:
        """Stop listening, dialling and handling, hang up on everybody, and return when all is quiet."""
        self._closed = True
        for server in self._servers:
            server.close()
        await self._keeper.stop()
        dials = [*self._dials.values()]
        for dial in dials:
            dial.cancel()
        for connection in self._connections:
            connection.hang_up(LinkClosed("we are going down"))
        await asyncio.gather(*dials, *self._connections.values(), return_exceptions=True)
        await self._handling.close()
        for server in self._servers:
            await server.wait_closed()

    # --- connections -------------------------------------------------------------------------------------------------

    def _alive(self, node: NodeId) -> PeerConnection | None:
        connection = self._peers.get(node)
        return connection if connection is not None and connection.alive else None

    async def _dial(self, address: PeerAddress) -> None:
        if address.node_id == self.node_id:
            raise PeerUnreachable(f"{address}: that is this node itself")
        loop = asyncio.get_running_loop()
        self._admission.make_room_to_dial(address, self._dials, self._peers.values(), loop.time())
        streams = await open_streams(address, self._settings)
        now = loop.time()
        session = PeerSession.initiate(
            self._identity, address.node_id, self._ephemeral_key(), self._settings.session, now
        )
        connection = self._launch(session, streams, Inflow(self._settings.from_chosen, now), dialled=address)
        try:
            await connection.settled.wait()
        except asyncio.CancelledError:
            connection.hang_up(Forgotten("the dial was given up"))
            raise
        if connection.node_id is None:
            raise PeerUnreachable(f"{address}: {connection.over_because}")

    def _dial_is_done(self, node: NodeId, dial: asyncio.Task[None]) -> None:
        if self._dials.get(node) is dial:
            del self._dials[node]
        if not dial.cancelled():
            dial.exception()  # every waiter may have been cancelled; then it counts as seen all the same

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        now = asyncio.get_running_loop().time()
        name = writer.get_extra_info("peername")
        inflow = self._admission.knock(str(name[0]) if name else "", now)
        if inflow is None:
            writer.transport.abort()
            return
        session = PeerSession.accept(self._identity, self._ephemeral_key(), self._settings.session, now)
        newcomer = self._launch(session, (reader, writer), inflow)
        self._admission.begin(newcomer, self._connections)

    def _ephemeral_key(self) -> PrivateKey:
        return PrivateKey(self._entropy.take(32))

    def _launch(
        self, session: PeerSession, streams: Streams, inflow: Inflow, dialled: PeerAddress | None = None
    ) -> PeerConnection:
        flow = self._settings.flow
        connection = PeerConnection(session, streams, flow, inflow, dialled=dialled, on_event=self._on_event)
        task = asyncio.create_task(connection.run(), name=f"peer at {connection.where}")
        self._connections[connection] = task
        task.add_done_callback(lambda done: self._connection_is_over(connection, done))
        return connection

    def _connection_is_over(self, connection: PeerConnection, task: asyncio.Task[None]) -> None:
        del self._connections[connection]
        node = connection.node_id
        if connection.lane is not None:
            self._handling.end(connection.lane)
        if node is not None and self._peers.get(node) is connection:
            del self._peers[node]
        _log_crash(task)
        level = logging.DEBUG if node is None else logging.INFO
        named = "a stranger" if node is None else node.hex()
        _log.log(level, "connection to %s at %s is over: %s", named, connection.where, connection.over_because)

    # --- what happens on them ----------------------------------------------------------------------------------------

    def _on_event(self, connection: PeerConnection, event: PeerEvent) -> None:
        match event:
            case PeerReady(node_id=node):
                self._admit(connection, node)
            case OnionMessageReceived(message=message):
                self._take(connection, message)
            case PeerWarned(text=text, is_error=is_error):
                if connection.inflow.may_log(asyncio.get_running_loop().time()):
                    verb = "sends an error about a channel" if is_error else "warns"
                    _log.warning("%s %s: %s", _name(connection), verb, text[:_WARNING_TEXT_MAX])

    def _admit(self, connection: PeerConnection, node: NodeId) -> None:
        older = self._alive(node)
        if older is not None and self._crossed(older, connection, node):
            connection.hang_up(Replaced("another connection to the same node is kept"))
            return
        if not self._admission.has_room(connection, older, self._peers.values()):
            return
        _log.info("connected %s %s at %s", "to" if connection.outbound else "by", node.hex(), connection.where)
        handling = self._settings.handling
        quota = handling.per_chosen_peer if connection.outbound else handling.per_peer
        connection.lane = Lane(node, self._settings.flow.inbox_max_bytes, quota)
        self._peers[node] = connection
        if node in self._keeper:
            self._treat_as_chosen(connection, node)
        if older is not None:
            older.hang_up(Replaced("the same node has a newer connection"))
        if self._on_peer is not None and connection.takes_onion_messages:
            self._on_peer(node)

    def _crossed(self, older: PeerConnection, newer: PeerConnection, node: NodeId) -> bool:
        """Whether two nodes dialled each other at once and `older` is the connection that both shall keep.

        Each side may see another one of the two as the newer. If both dropped "the older" both would be gone, so the
        one that the smaller node id dialled stays.
        """
        together = newer.ready_at - older.ready_at < self._settings.session.handshake_seconds
        if not together or older.outbound == newer.outbound:
            return False
        return older.outbound == (self.node_id < node)

    def _treat_as_chosen(self, connection: PeerConnection, node: NodeId) -> None:
        kept = self._keeper.get(node)
        if kept is not None and connection.counters is not kept.counters:
            kept.counters.add(connection.counters)
            connection.counters = kept.counters
            connection.inflow.use(self._settings.from_chosen, asyncio.get_running_loop().time())
            if connection.lane is not None:
                connection.lane.handlers_max = self._settings.handling.per_chosen_peer

    def _take(self, connection: PeerConnection, message: OnionMessage) -> None:
        if connection.lane is None or not connection.open:
            return  # it was just refused a place, or is being hung up on
        now = asyncio.get_running_loop().time()
        connection.counters.received += 1
        self._totals.received += 1
        connection.busy_at = now
        verdict = connection.inflow.onion_message_came(now)
        if verdict is Verdict.TAKE and self._handling.put(connection.lane, message):
            return
        connection.counters.dropped += 1
        self._totals.dropped += 1
        if verdict is Verdict.END:
            connection.hang_up(OnionFlood("you went on sending more onion messages than are taken here"))
            return
        if not connection.inflow.told_to_slow_down:
            connection.inflow.told_to_slow_down = True
            told = "they come too fast" if verdict is Verdict.DROP else "too many wait already"
            _log.warning("onion messages from %s are dropped: %s", _name(connection), told)
            connection.warn(f"onion messages of yours are dropped: {told}")


def _name(connection: PeerConnection) -> str:
    return connection.where if connection.node_id is None else connection.node_id.hex()


def _log_crash(task: asyncio.Task[None]) -> None:
    """A task of ours that ended by an error met a bug: say so, and let the other connections go on."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s met a bug", task.get_name(), exc_info=error)
