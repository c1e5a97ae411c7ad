"""Links over real TCP on 127.0.0.1, and the far end of a socket that says what no link would say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import FlowLimits, InflowLimits, LinkSettings, TcpPeerLink
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.features import OFFERED
from lnrecur.messaging.peer import PeerSettings
from lnrecur.messaging.token_bucket import Rate
from lnrecur.noise.handshake import InitiatorHandshake
from lnrecur.noise.transport import NoiseTransport
from lnrecur.ports import PeerAddress
from lnrecur.values import REGTEST, NodeId, Point
from lnrecur.wire.messages import Init, Message, OnionMessage, UnknownMessage, read_message

ALICE, BOB, CAROL, ONCE, NOBODY = (PrivateKey(bytes([number]) * 32) for number in range(1, 6))
UNLIMITED = InflowLimits(*[Rate(1e9, 1e9)] * 3)
SETTINGS = LinkSettings(
    PeerSettings(REGTEST), from_strangers=UNLIMITED, redial_first_seconds=0.02, redial_max_seconds=0.1
)
HASTY = replace(SETTINGS, session=PeerSettings(REGTEST, 0.2, 0.2, 0.2, 0.2), flow=FlowLimits(write_seconds=0.3))
HOST = "127.0.0.1"

Arrived = list[tuple[NodeId, OnionMessage]]


def onion_message(number: int, size: int = 1300) -> OnionMessage:
    return OnionMessage(Point(ONCE.point), number.to_bytes(4, "big") + bytes(size))


@asynccontextmanager
async def open_link(key: PrivateKey, settings: LinkSettings = SETTINGS) -> AsyncIterator[tuple[TcpPeerLink, Arrived]]:
    link = TcpPeerLink(key, SystemEntropy(), settings)
    arrived: Arrived = []

    async def note(sender: NodeId, message: OnionMessage) -> None:
        arrived.append((sender, message))

    link.on_message(note)
    try:
        yield link, arrived
    finally:
        await link.close()


async def address_of(link: TcpPeerLink) -> PeerAddress:
    return PeerAddress(link.node_id, HOST, await link.listen(HOST, 0))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


class RawPeer:
    """The initiator's end of a socket, for saying what no link would say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.transport: NoiseTransport | None = None
        self.heard: list[Message] = []

    async def shake_hands(self, remote: NodeId, identity: PrivateKey = CAROL) -> None:
        handshake = InitiatorHandshake(identity, remote, ONCE)
        self.writer.write(handshake.start())
        self.writer.write(handshake.feed(await self.reader.readexactly(50)))
        self.transport = handshake.transport

    async def become_ready(self, remote: NodeId, identity: PrivateKey = CAROL) -> "RawPeer":
        await self.shake_hands(remote, identity)
        self.say(Init(OFFERED, (REGTEST,)))
        await self.listen_until(Init)
        return self

    def say(self, *messages: Message) -> None:
        assert self.transport is not None
        assert not any(isinstance(message, UnknownMessage) for message in messages)
        self.writer.write(b"".join(self.transport.encrypt(message.to_bytes()) for message in messages))

    async def listen_until(self, kind: type[Message]) -> None:
        assert self.transport is not None
        async with asyncio.timeout(5):
            while not any(isinstance(message, kind) for message in self.heard):
                data = await self.reader.read(4096)
                assert data, f"the connection ended before {kind.__name__} came"
                self.heard += map(read_message, self.transport.feed(data))

    def stop_reading(self) -> None:
        assert isinstance(self.writer.transport, asyncio.Transport)
        self.writer.transport.pause_reading()

    async def ended(self) -> bytes:
        """What still came until the other side hung up."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


@asynccontextmanager
async def raw_peer(address: PeerAddress, host: str = HOST) -> AsyncIterator[RawPeer]:
    """A socket from `host`; every address of 127.0.0.0/8 is this machine."""
    local = (host, 0) if ":" not in address.host else None
    reader, writer = await asyncio.open_connection(address.host, address.port, local_addr=local)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def bob_as(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[PeerAddress]:
    """Something that listens as BOB and is no link."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield PeerAddress(NodeId(BOB.point), HOST, server.sockets[0].getsockname()[1])
        for writer in writers:  # from Python 3.12 on a server waits for its connections when it closes
            writer.transport.abort()
