"""One TCP connection: moves bytes between a socket and a `PeerSession`, and keeps its times.

Two tasks share a connection. The reader feeds the session and lets it tick; the writer hands its output to the
socket. So a peer that does not read never keeps us from reading, and what we owe it is bounded: too much waiting
output refuses further messages, and output that does not move ends the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from lnrecur.messaging.errors import ConnectionOver, MessagingError, NotReady, PeerHungUp, PeerTooSlow
from lnrecur.messaging.features import takes_onion_messages
from lnrecur.messaging.peer import PeerEvent, PeerReady, PeerSession
from lnrecur.ports import PeerUnreachable
from lnrecur.values import NodeId
from lnrecur.wire.messages import Init, OnionMessage

_READ_SIZE: Final = 16 * 1024
_GOODBYE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """How much one peer may cost us."""

    output_max_bytes: int = 512 * 1024
    """Waiting output beyond which messages to this peer are dropped."""
    write_seconds: float = 30.0
    """How long the peer may take to accept what we wrote."""


class PeerConnection:
    """A socket with a session on it. `run` drives it to its end; the end has a reason."""

    def __init__(
        self,
        session: PeerSession,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        limits: FlowLimits,
        *,
        outbound: bool,
        on_event: Callable[[PeerConnection, PeerEvent], None],
    ) -> None:
        self.outbound = outbound
        self.init: Init | None = None
        self.node_id: NodeId | None = None
        self.ready_at = 0.0
        self.inbox_bytes = 0
        """Bytes of this peer's messages that wait for the handler; counted by the link."""
        self.over_because: MessagingError | None = None
        self.settled = asyncio.Event()
        """Set once the peer is ready or the connection is over, whichever comes first."""
        self.over = asyncio.Event()
        self._session = session
        self._reader, self._writer = streams
        self._limits = limits
        self._on_event = on_event
        self._has_output = asyncio.Event()
        self._outgoing = bytearray()
        self._hang_up_reason: MessagingError | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._writer.transport.set_write_buffer_limits(high=0)  # so that drain waits until everything is gone
        name = self._writer.get_extra_info("peername")
        self.where = f"{name[0]}:{name[1]}" if name else "an unnamed socket"

    @property
    def alive(self) -> bool:
        """Whether the peer is ready and nobody has hung up."""
        return self.init is not None and self._hang_up_reason is None and not self.over.is_set()

    @property
    def takes_onion_messages(self) -> bool:
        """Whether the peer is ready and offers onion messages."""
        return self.init is not None and self.alive and takes_onion_messages(self.init)

    def send(self, message: OnionMessage) -> None:
        """Hand over a message to be written as soon as the socket takes it.

        Raises:
            PeerUnreachable: the connection is not ready, or the peer has left too much unread already.
        """
        waiting = len(self._outgoing) + self._writer.transport.get_write_buffer_size()
        if not self.alive:
            raise PeerUnreachable(f"the connection to {self.where} is not ready")
        if waiting > self._limits.output_max_bytes:
            raise PeerUnreachable(f"the peer at {self.where} reads too slowly: {waiting} bytes wait for it")
        try:
            self._session.send(message)
        except NotReady as error:
            raise PeerUnreachable(f"the connection to {self.where} is over") from error
        self._collect_output()

    def hang_up(self, reason: MessagingError) -> None:
        """End the connection from our side; `run` then comes to its end."""
        self._hang_up_reason = self._hang_up_reason or reason
        for task in self._tasks:
            task.cancel()

    async def run(self) -> None:
        """Drive the connection until it is over; `over_because` then says why.

        Anything but an expected end is a bug and is raised, after the socket was closed.
        """
        self._collect_output()
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
            self._collect_output()

    async def _read_until(self, moment: float) -> bytes | None:
        """What arrived, b"" at the end of the stream, or None when `moment` came first."""
        try:
            async with asyncio.timeout_at(moment) as limit:
                return await self._reader.read(_READ_SIZE)
        except OSError as error:
            if limit.expired():  # a socket of its own accord raises TimeoutError too
                return None
            raise PeerHungUp(f"the connection broke: {error}") from error

    def _note(self, event: PeerEvent, now: float) -> None:
        if isinstance(event, PeerReady):
            self.node_id, self.init, self.ready_at = event.node_id, event.init, now
        self._on_event(self, event)
        if isinstance(event, PeerReady):
            self.settled.set()

    def _collect_output(self) -> None:
        self._outgoing += self._session.take_output()
        if self._outgoing:
            self._has_output.set()

    async def _write(self) -> None:
        while True:
            await self._has_output.wait()
            self._has_output.clear()
            data, self._outgoing = bytes(self._outgoing), bytearray()
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
        last_words = bytes(self._outgoing) + self._session.take_output()
        with suppress(OSError):  # the socket may be gone already, and there is nobody left to tell
            self._writer.write(last_words)
            self._writer.close()
            try:
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await self._writer.wait_closed()
            finally:
                self._writer.transport.abort()


def _reason_among(results: list[BaseException | None]) -> MessagingError:
    for result in results:
        if isinstance(result, MessagingError):
            return result
    return PeerHungUp("the connection was closed")
