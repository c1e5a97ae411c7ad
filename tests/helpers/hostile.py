"""Hostile peers against a node on 127.0.0.1, and honest ones beside them. Each attack runs until it is cancelled.

Attackers come from 127.0.0.2 and above, each kind from an address of its own; honest peers come from 127.0.0.1. What an
attack met is told in its `Met`.
"""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from helpers.engine import a_request
from helpers.links import RawPeer, raw_peer
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import LinkSettings, TcpPeerLink
from lnrecur.bolt12 import fields
from lnrecur.bolt12.invoice_error import read_invoice_error
from lnrecur.bolt12.offer import Offer
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.features import OFFERED
from lnrecur.messaging.messenger import ContentsKind, Delivered, DirectDestination, MessageContents, Messenger
from lnrecur.messaging.peer import PeerSettings
from lnrecur.noise.handshake import InitiatorHandshake
from lnrecur.ports import PeerAddress
from lnrecur.values import REGTEST, ChainHash, NodeId, Point
from lnrecur.wire.messages import Init, OnionMessage, Ping

PIPELINE = 64
"""Onion messages that a flooder hands to its socket before it looks whether they moved."""


def fresh_key() -> PrivateKey:
    return PrivateKey(SystemEntropy().take(32))


@dataclass
class Met:
    """What an attack met."""

    connections: int = 0
    ended: int = 0
    """Connections that the node ended, or did not take."""
    sent: int = 0
    """Messages that left."""


Attack = Callable[[PeerAddress, str, Met], Awaitable[None]]


@asynccontextmanager
async def _connected(address: PeerAddress, host: str, met: Met) -> AsyncIterator[RawPeer]:
    """A connection whose end by the node is counted and no error."""
    try:
        async with raw_peer(address, host) as peer:
            met.connections += 1
            yield peer
    except (OSError, asyncio.IncompleteReadError, TimeoutError, AssertionError):
        met.ended += 1


async def _ready(address: PeerAddress, host: str, met: Met, stack: AsyncExitStack) -> RawPeer:
    peer = await stack.enter_async_context(_connected(address, host, met))
    return await peer.become_ready(address.node_id, fresh_key())


async def garbage(address: PeerAddress, host: str, met: Met) -> None:
    """Bytes that are no handshake."""
    while True:
        async with _connected(address, host, met) as peer:
            peer.writer.write(random.randbytes(4096))
            met.sent += 1
            await peer.ended()
            met.ended += 1
        await asyncio.sleep(0.01)


async def too_long(address: PeerAddress, host: str, met: Met) -> None:
    """An onion message that says it is longer than it is, in the longest message there is."""
    lie = OnionMessage.TYPE.to_bytes(2, "big") + bytes([2]) * 33 + b"\xff\xff" + bytes(65_535 - 37)
    await _say_bytes(address, host, met, lambda peer: _sealed(peer, lie))


async def wrong_mac(address: PeerAddress, host: str, met: Met) -> None:
    """A message whose last byte was changed."""

    def spoil(peer: RawPeer) -> bytes:
        sealed = _sealed(peer, Ping(1).to_bytes())
        return sealed[:-1] + bytes([sealed[-1] ^ 1])

    await _say_bytes(address, host, met, spoil)


def _sealed(peer: RawPeer, message: bytes) -> bytes:
    assert peer.transport is not None
    return peer.transport.encrypt(message)


async def _say_bytes(address: PeerAddress, host: str, met: Met, make: Callable[[RawPeer], bytes]) -> None:
    while True:
        async with _connected(address, host, met) as peer:
            await peer.become_ready(address.node_id, fresh_key())
            peer.writer.write(make(peer))
            met.sent += 1
            await peer.ended()
            met.ended += 1
        await asyncio.sleep(0.01)


async def half_a_handshake(address: PeerAddress, host: str, met: Met) -> None:
    """Act one, and then silence, on more and more connections."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as watchers:
        while True:
            peer = await stack.enter_async_context(raw_peer(address, host))
            met.connections += 1
            peer.writer.write(InitiatorHandshake(fresh_key(), address.node_id, fresh_key()).start())
            watchers.create_task(_watch(peer, met))
            await asyncio.sleep(0.005)


async def _watch(peer: RawPeer, met: Met) -> None:
    """Count the connection as ended when it is."""
    with suppress(OSError):
        while await peer.reader.read(4096):
            pass
    met.ended += 1


async def onion_flood(address: PeerAddress, host: str, met: Met) -> None:
    """10,000 onion messages a second that nobody can open, again and again on new connections."""
    path_key = Point(fresh_key().point)
    while True:
        async with _connected(address, host, met) as peer:
            peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # sent is sent
            await peer.become_ready(address.node_id, fresh_key())
            while not peer.reader.at_eof():
                peer.say(*[OnionMessage(path_key, random.randbytes(1366))] * PIPELINE)
                await peer.writer.drain()
                met.sent += PIPELINE
                await asyncio.sleep(PIPELINE / 10_000)
            met.ended += 1


async def undecryptable(address: PeerAddress, host: str, met: Met) -> None:
    """Onions that do not decrypt, as fast as they are taken, and not faster."""
    async with AsyncExitStack() as stack:
        peers = [await _ready(address, host, met, stack) for _ in range(4)]
        while True:
            for peer in peers:
                peer.say(OnionMessage(Point(fresh_key().point), random.randbytes(1366)))
                met.sent += 1
            await asyncio.sleep(0.11)


async def many_connections(address: PeerAddress, host: str, met: Met) -> None:
    """Ready connections of ever new nodes, all kept open."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as watchers:
        while True:
            try:
                peer = await stack.enter_async_context(raw_peer(address, host))
                met.connections += 1
                async with asyncio.timeout(2):
                    await peer.shake_hands(address.node_id, fresh_key())
                peer.say(Init(OFFERED, (REGTEST,)))
                watchers.create_task(_watch(peer, met))
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                met.ended += 1
            await asyncio.sleep(0.005)


async def never_reads(address: PeerAddress, host: str, met: Met) -> None:
    """Asks for pongs of 64 KiB and reads none of them."""
    while True:
        async with _connected(address, host, met) as peer:
            await peer.become_ready(address.node_id, fresh_key())
            peer.stop_reading()
            for _ in range(2000):
                peer.say(Ping(65_531))
                met.sent += 1
                await asyncio.sleep(0.002)
                if peer.writer.transport.is_closing():
                    break
            met.ended += 1


ATTACKS: dict[str, Attack] = {
    "garbage": garbage,
    "too_long": too_long,
    "wrong_mac": wrong_mac,
    "half_a_handshake": half_a_handshake,
    "onion_flood": onion_flood,
    "undecryptable": undecryptable,
    "many_connections": many_connections,
    "never_reads": never_reads,
}


@asynccontextmanager
async def under_attack(address: PeerAddress, *names: str) -> AsyncIterator[dict[str, Met]]:
    """Run attacks (all of them, unless some are named) while the block runs."""
    met = {name: Met() for name in names or ATTACKS}
    tasks = [
        asyncio.create_task(ATTACKS[name](address, f"127.0.0.{2 + number}", met[name]), name=name)
        for number, name in enumerate(met)
    ]
    try:
        yield met
        for task in tasks:
            assert not task.done() or task.exception() is None, f"the attack {task.get_name()} broke down"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Honest:
    """A payer without services that asks for invoices of one offer."""

    offer: Offer
    link: TcpPeerLink
    key: PrivateKey
    latencies_ms: list[float] = field(default_factory=list)
    unanswered: int = 0
    _waiting: dict[bytes, asyncio.Future[MessageContents]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.messenger = Messenger(self.key)
        self.link.on_message(self._arrived)

    async def ask(self, seconds: float = 5.0) -> None:
        """Ask for an invoice, and note how long it took."""
        began = time.perf_counter()
        try:
            told = await self.question(seconds)
        except TimeoutError:
            self.unanswered += 1
        else:
            assert told.kind is ContentsKind.INVOICE, read_invoice_error(told.data).text
            self.latencies_ms.append((time.perf_counter() - began) * 1000)

    async def question(self, seconds: float = 5.0, chain: ChainHash = REGTEST) -> MessageContents:
        """Send a request as a new payer, and wait for what comes back: for another chain a refusal."""
        entropy = SystemEntropy()
        path_id, payer = entropy.take(32), fresh_key()
        counter = None if self.offer.recurrence is None else 0
        values = {fields.INVREQ_CHAIN: chain}
        request = a_request(counter, self.offer, values=values, key=payer, metadata=entropy.take(16)).to_bytes()
        reply = self.messenger.reply_path(path_id, fresh_key())
        to = DirectDestination(NodeId(self.offer.issuer_id or b""))
        contents = MessageContents(ContentsKind.INVOICE_REQUEST, request)
        out = self.messenger.compose(to, contents, entropy.take(64), reply)
        answer: asyncio.Future[MessageContents] = asyncio.get_running_loop().create_future()
        self._waiting[path_id] = answer
        try:
            await self.link.send(out.first_hop, out.message)
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            del self._waiting[path_id]

    async def _arrived(self, _peer: NodeId, message: OnionMessage) -> None:
        opened = self.messenger.receive(message)
        assert isinstance(opened, Delivered)
        waiting = self._waiting.get(opened.path_id or b"")
        if waiting is not None and opened.contents is not None and not waiting.done():
            waiting.set_result(opened.contents)


@asynccontextmanager
async def honest_peer(address: PeerAddress, offer: Offer) -> AsyncIterator[Honest]:
    """A new node that connects from 127.0.0.1."""
    key = fresh_key()
    link = TcpPeerLink(key, SystemEntropy(), LinkSettings(PeerSettings(REGTEST)))
    try:
        await link.reach(address)
        yield Honest(offer, link, key)
    finally:
        await link.close()


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("this process has no memory")
