"""One TCP connection: moves bytes between a socket and a `PeerSession`, and keeps its times.

Two tasks share a connection. The reader feeds the session and lets it tick; it reads no faster than the peer's inflow
allows. The writer takes the session's output in slices, each one when the socket has sent the one before. So a peer
that does not read never keeps us from reading, and what we owe it is bounded: too much waiting output refuses further
messages, unread pongs end the connection, and so does a slice that does not move.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from lnrecur.adapters.link.handling import Lane
from lnrecur.adapters.link.inflow import Inflow
from lnrecur.adapters.link.places import origin_of
from lnrecur.adapters.link.settings import READ_SIZE, WRITE_SIZE, FlowLimits
from lnrecur.messaging.errors import ConnectionOver, MessagingError, NotReady, PeerHungUp, PeerTooSlow
from lnrecur.messaging.features import takes_onion_messages
from lnrecur.messaging.peer import PeerEvent, PeerReady, PeerSession
from lnrecur.messaging.reactions import PeerState
from lnrecur.ports import PeerAddress, PeerUnreachable
from lnrecur.values import NodeId
from lnrecur.wire.messages import Init, OnionMessage, WarningMessage

_GOODBYE_SECONDS: Final = 1.0


@dataclass(slots=True)
class Counters:
    """Onion messages of one peer."""

    received: int = 0
    """Those that came, the dropped ones included."""
    sent: int = 0
    dropped: int = 0
    """Those that came and were not handled: too fast, or too many at once."""

    def add(self, others: Counters) -> None:
        """Count in what was counted elsewhere."""
        self.received += others.received
        self.sent += others.sent
        self.dropped += others.dropped


class PeerConnection:
    """A socket with a session on it. `run` drives it to its end; the end has a reason."""

    def __init__(
        self,
        session: PeerSession,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        limits: FlowLimits,
        inflow: Inflow,
        *,
        dialled: PeerAddress | None,
        on_event: Callable[[PeerConnection, PeerEvent], None],
    ) -> None:
        """`dialled`: where we found the peer; None if it found us."""
        self.outbound = dialled is not None
        self.inflow = inflow
        self.counters = Counters()
        self.init: Init | None = None
        self.node_id: NodeId | None = None
        self.lane: Lane | None = None
        """Where this peer's messages are handled, once it is ready; kept by the link."""
        self.opened_at = self.ready_at = self.busy_at = asyncio.get_running_loop().time()
        self.over_because: MessagingError | None = None
        self.settled = asyncio.Event()
        """Set once the peer is ready or the connection is over, whichever comes first."""
        self.over = asyncio.Event()
        self._session = session
        self._reader, self._writer = streams
        self._limits = limits
        self._on_event = on_event
        self._has_output = asyncio.Event()
        self._hang_up_reason: MessagingError | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._writer.transport.set_write_buffer_limits(high=0)  # so that drain waits until everything is gone
        if dialled is not None:  # behind a proxy the socket's own name is that of the proxy
            host, port = dialled.host, dialled.port
        else:
            name = self._writer.get_extra_info("peername")
            host, port = (str(name[0]), name[1]) if name else ("", 0)
        self.origin = origin_of(host)
        self.where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def open(self) -> bool:
        """Whether nobody has hung up."""
        return self._hang_up_reason is None and not self.over.is_set()

    @property
    def alive(self) -> bool:
        """Whether the peer is ready and nobody has hung up."""
        return self.init is not None and self.open

    @property
    def takes_onion_messages(self) -> bool:
        """Whether the peer is ready and offers onion messages."""
        return self.init is not None and self.alive and takes_onion_messages(self.init)

    def send(self, message: OnionMessage) -> None:
        """Hand over a message to be written as soon as the socket takes it.

        Raises:
            PeerUnreachable: the connection is not ready, or the peer has left too much unread already.
        """
        waiting = self._session.waiting_output + self._writer.transport.get_write_buffer_size()
        if not self.alive:
            raise PeerUnreachable(f"the connection to {self.where} is not ready")
        if waiting > self._limits.output_max_bytes:
            raise PeerUnreachable(f"the peer at {self.where} reads too slowly: {waiting} bytes wait for it")
        try:
            self._session.send(message)
        except NotReady as error:
            raise PeerUnreachable(f"the connection to {self.where} is over") from error
        self.counters.sent += 1
        self.busy_at = asyncio.get_running_loop().time()
        self._has_output.set()

    def warn(self, text: str) -> None:
        """Tell a ready peer what we dislike."""
        if self.alive and self._session.state is PeerState.READY:
            self._session.send(WarningMessage(text))
            self._has_output.set()

    def hang_up(self, reason: ConnectionOver) -> None:
        """End the connection from our side; `run` then comes to its end."""
        if reason.tell_peer:
            self.warn(str(reason))
        self._hang_up_reason = self._hang_up_reason or reason
        for task in self._tasks:
            task.cancel()

    async def run(self) -> None:
        """Drive the connection until it is over; `over_because` then says why.

        Anything but an expected end is a bug and is raised, after the socket was closed.
        """
        self._has_output.set()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            if self._hang_up_reason is None:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self._tasks:
                task.cancel()
            results = await asyncio.gather(*self._tasks, return_exceptions=True)
            self.over_because = self._hang_up_reason or _reason_among(results)
            self.over.set()
            self.settled.set()
            await self._close_socket()
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, ConnectionOver):
                raise result

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await self._read_until(self._session.wake_at)
            if data == b"":
                self._session.end_of_stream()
            if data:
                for event in self._session.receive(data, loop.time()):
                    self._note(event, loop.time())
            self._session.tick(loop.time())
            self._has_output.set()
            # A pause of 0 is one too: it lets other connections have their turn before we go on with this one.
            await asyncio.sleep(self.inflow.bytes_came(len(data or b""), loop.time()))

    async def _read_until(self, moment: float) -> bytes | None:
        """What arrived, b"" at the end of the stream, or None when `moment` came first."""
        try:
            async with asyncio.timeout_at(moment) as limit:
                return await self._reader.read(READ_SIZE)
        except OSError as error:
            if limit.expired():  # a socket of its own accord raises TimeoutError too
                return None
            raise PeerHungUp(f"the connection broke: {error}") from error

    def _note(self, event: PeerEvent, now: float) -> None:
        if isinstance(event, PeerReady):
            self.node_id, self.init, self.ready_at, self.busy_at = event.node_id, event.init, now, now
        self._on_event(self, event)
        if isinstance(event, PeerReady):
            self.settled.set()

    async def _write(self) -> None:
        while True:
            await self._has_output.wait()
            data = self._session.take_output(WRITE_SIZE)
            if not data:
                self._has_output.clear()
                continue
            try:
                async with asyncio.timeout(self._limits.write_seconds) as limit:
                    self._writer.write(data)
                    await self._writer.drain()
            except OSError as error:
                if limit.expired():
                    told = f"the peer did not read what we wrote within {self._limits.write_seconds:g} s"
                    raise PeerTooSlow(told) from error
                raise PeerHungUp(f"the connection broke: {error}") from error

    async def _close_socket(self) -> None:
        with suppress(OSError):  # the socket may be gone already, and there is nobody left to tell
            try:
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    self._writer.write(self._session.take_output())
                    await self._writer.drain()  # before the end: a transport that closes with output cannot be aborted
            finally:
                self._writer.transport.abort()
            await self._writer.wait_closed()


def _reason_among(results: list[BaseException | None]) -> MessagingError:
    for result in results:
        if isinstance(result, MessagingError):
            return result
    return PeerHungUp("the connection was closed")
