"""Links over real TCP on 127.0.0.1."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import CannotListen, LinkSettings, TcpPeerLink
from lnrecur.adapters.peer_connection import FlowLimits
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.messaging.features import OFFERED
from lnrecur.messaging.peer import PeerSettings
from lnrecur.noise.handshake import InitiatorHandshake, ResponderHandshake
from lnrecur.noise.transport import NoiseTransport
from lnrecur.ports import Clock, Entropy, PeerAddress, PeerLink, PeerUnreachable
from lnrecur.values import BITCOIN, REGTEST, NodeId, Point
from lnrecur.wire.messages import Init, Message, OnionMessage, Ping, Pong, WarningMessage, read_message

ALICE, BOB, CAROL, ONCE, NOBODY = (PrivateKey(bytes([number]) * 32) for number in range(1, 6))
SETTINGS = LinkSettings(PeerSettings(REGTEST), redial_first_seconds=0.02, redial_max_seconds=0.1)
HASTY = replace(SETTINGS, session=PeerSettings(REGTEST, 0.2, 0.2, 0.2, 0.2), flow=FlowLimits(write_seconds=0.3))
HOST = "127.0.0.1"

Arrived = list[tuple[NodeId, OnionMessage]]


def _onion(number: int, size: int = 1300) -> OnionMessage:
    return OnionMessage(Point(ONCE.point), number.to_bytes(4, "big") + bytes(size))


@asynccontextmanager
async def _link(key: PrivateKey, settings: LinkSettings = SETTINGS) -> AsyncIterator[tuple[TcpPeerLink, Arrived]]:
    link = TcpPeerLink(key, SystemEntropy(), settings)
    arrived: Arrived = []

    async def note(sender: NodeId, message: OnionMessage) -> None:
        arrived.append((sender, message))

    link.on_message(note)
    try:
        yield link, arrived
    finally:
        await link.close()


async def _address(link: TcpPeerLink) -> PeerAddress:
    return PeerAddress(link.node_id, HOST, await link.listen(HOST, 0))


async def _until(true: Callable[[], bool]) -> None:
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

    def say(self, *messages: Init | OnionMessage | Ping | WarningMessage) -> None:
        assert self.transport is not None
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
async def _raw_peer(address: PeerAddress) -> AsyncIterator[RawPeer]:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def _server(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[PeerAddress]:
    """Something that listens as BOB and is no link."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield PeerAddress(NodeId(BOB.point), HOST, server.sockets[0].getsockname()[1])


def test_the_adapters_are_what_the_ports_ask_for() -> None:
    link: PeerLink = TcpPeerLink(ALICE, SystemEntropy(), SETTINGS)
    clock: Clock = SystemClock()
    entropy: Entropy = SystemEntropy()
    assert link.peers() == frozenset()
    assert clock.now() > 1_700_000_000
    assert len(entropy.take(33)) == 33
    assert entropy.take(32) != entropy.take(32)


async def test_the_clock_wakes_a_sleeper_in_time_and_not_before() -> None:
    clock = SystemClock()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await clock.sleep_until(clock.now() - 100)
    assert loop.time() - began < 0.5
    async with asyncio.timeout(5):
        await clock.sleep_until(clock.now() + 1.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await clock.sleep_until(clock.now() + 100)


# --- honest peers ----------------------------------------------------------------------------------------------------


async def test_two_links_talk_both_ways() -> None:
    async with _link(ALICE) as (alice, to_alice), _link(BOB) as (bob, to_bob):
        await alice.reach(await _address(bob))
        assert alice.peers() == {bob.node_id}
        await alice.send(bob.node_id, _onion(1))
        await _until(lambda: len(to_bob) == 1)
        assert to_bob == [(alice.node_id, _onion(1))]
        assert bob.peers() == {alice.node_id}
        await bob.send(alice.node_id, _onion(2))
        await _until(lambda: len(to_alice) == 1)
        assert to_alice == [(bob.node_id, _onion(2))]


async def test_many_messages_arrive_all_and_in_order() -> None:
    tight = replace(SETTINGS, inbox_max_bytes=100_000)  # a quarter of all the messages, more than are ever under way
    async with _link(ALICE) as (alice, _), _link(BOB, tight) as (bob, arrived):
        await alice.reach(await _address(bob))
        for number in range(300):
            await alice.send(bob.node_id, _onion(number))
            if number % 50 == 49:
                await _until(lambda: len(arrived) > number - 20)  # noqa: B023 - awaited before the next turn
        await _until(lambda: len(arrived) == 300)
        assert [message for _, message in arrived] == [_onion(number) for number in range(300)]


async def test_bursts_in_both_directions_at_once_do_not_block_each_other() -> None:
    roomy = replace(SETTINGS, flow=FlowLimits(output_max_bytes=10**8), inbox_max_bytes=10**8)
    async with _link(ALICE, roomy) as (alice, to_alice), _link(BOB, roomy) as (bob, to_bob):
        await alice.reach(await _address(bob))
        await _until(lambda: bool(bob.peers()))
        for number in range(400):
            await alice.send(bob.node_id, _onion(number, 30_000))
            await bob.send(alice.node_id, _onion(number, 30_000))
        await _until(lambda: len(to_alice) == len(to_bob) == 400)


async def test_reaching_a_connected_peer_again_makes_no_second_connection() -> None:
    async with _link(ALICE) as (alice, _), _link(BOB) as (bob, _):
        address = await _address(bob)
        await asyncio.gather(*(alice.reach(address) for _ in range(5)))
        await alice.reach(address)
        await _until(lambda: bool(bob.peers()))
        assert len(bob._connections) == 1


async def test_a_waiter_who_gives_up_does_not_end_the_attempt_of_the_others() -> None:
    async with _link(ALICE) as (alice, _), _link(BOB) as (bob, _):
        address = await _address(bob)
        first, second = (asyncio.create_task(alice.reach(address)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()
        assert alice.peers() == {bob.node_id}


async def test_two_nodes_that_dial_each_other_at_once_end_with_one_connection() -> None:
    async with _link(ALICE) as (alice, to_alice), _link(BOB) as (bob, to_bob):
        addresses = await _address(alice), await _address(bob)
        await asyncio.gather(alice.reach(addresses[1]), bob.reach(addresses[0]))
        await _until(lambda: len(alice._connections) == len(bob._connections) == 1)
        await alice.send(bob.node_id, _onion(1))
        await bob.send(alice.node_id, _onion(2))
        await _until(lambda: len(to_alice) == len(to_bob) == 1)


@pytest.mark.parametrize(("us", "them"), [(BOB, CAROL), (CAROL, BOB)], ids=["we are smaller", "they are smaller"])
@pytest.mark.parametrize("ours_is_ready_first", [True, False])
async def test_of_two_crossing_connections_the_one_stays_that_the_smaller_node_dialled(
    us: PrivateKey, them: PrivateKey, ours_is_ready_first: bool
) -> None:
    accepted, may_answer = asyncio.Event(), asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await may_answer.wait()
        handshake = ResponderHandshake(them, ONCE)
        writer.write(handshake.feed(await reader.readexactly(50)))
        handshake.feed(await reader.readexactly(66))
        assert handshake.transport is not None
        writer.write(handshake.transport.encrypt(Init(OFFERED, (REGTEST,)).to_bytes()))
        await reader.read()

    theirs = NodeId(them.point)
    async with _link(us) as (link, _), _server(respond) as server, _raw_peer(await _address(link)) as peer:
        dial = asyncio.create_task(link.reach(replace(server, node_id=theirs)))
        await accepted.wait()
        if ours_is_ready_first:
            may_answer.set()
            await dial
        await peer.shake_hands(link.node_id, them)
        peer.say(Init(OFFERED, (REGTEST,)))
        await peer.listen_until(Init)
        await _until(lambda: bool(link.peers()))
        may_answer.set()
        await dial
        await _until(lambda: len(link._connections) == 1)
        assert link.peers() == {theirs}
        assert link._peers[theirs].outbound is (link.node_id < theirs)


async def test_a_newer_connection_of_the_same_node_takes_over() -> None:
    async with _link(BOB) as (bob, arrived):
        address = await _address(bob)
        async with _link(ALICE) as (old, _), _link(ALICE) as (new, _):
            await old.reach(address)
            await new.reach(address)
            await _until(lambda: not old.peers())
            assert bob.peers() == {new.node_id}
            await new.send(bob.node_id, _onion(3))
            await _until(lambda: len(arrived) == 1)


async def test_the_two_ends_keep_an_idle_connection_alive() -> None:
    async with _link(ALICE, HASTY) as (alice, _), _link(BOB, HASTY) as (bob, arrived):
        await alice.reach(await _address(bob))
        await asyncio.sleep(1.0)
        await alice.send(bob.node_id, _onion(1))
        await _until(lambda: len(arrived) == 1)


# --- peers that cannot be reached ------------------------------------------------------------------------------------


async def _unused_port() -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, HOST, 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_a_peer_that_does_not_listen_is_unreachable_with_address_and_reason() -> None:
    async with _link(ALICE) as (alice, _):
        address = PeerAddress(NodeId(BOB.point), HOST, await _unused_port())
        with pytest.raises(PeerUnreachable, match=str(address)) as failure:
            await alice.reach(address)
        assert "refused" in str(failure.value).lower() or "connect" in str(failure.value).lower()
        assert failure.value.retry
        assert alice.peers() == frozenset()


@pytest.mark.parametrize(
    ("node_id", "host", "port", "told"),
    [
        (NodeId(BOB.point), "a..b", 1, "a..b"),
        (NodeId(BOB.point), HOST, 70_000, "65535"),
        (NodeId(b"\x05" * 33), HOST, 1, "not a point"),
        (NodeId(ALICE.point), HOST, 1, "this node itself"),
    ],
    ids=["host", "port", "node id", "ourselves"],
)
async def test_an_impossible_address_is_unreachable(node_id: NodeId, host: str, port: int, told: str) -> None:
    async with _link(ALICE) as (alice, _):
        with pytest.raises(PeerUnreachable, match=told):
            await alice.reach(PeerAddress(node_id, host, port))


async def test_a_node_with_another_id_is_unreachable_and_goes_on_listening() -> None:
    async with _link(ALICE) as (alice, _), _link(BOB) as (bob, _):
        address = await _address(bob)
        with pytest.raises(PeerUnreachable, match=f"is not {NOBODY.point.hex()}"):
            await alice.reach(replace(address, node_id=NodeId(NOBODY.point)))
        await alice.reach(address)
        assert alice.peers() == {bob.node_id}


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with _server(silent) as address, _link(ALICE, HASTY) as (alice, _):
        with pytest.raises(PeerUnreachable, match=r"handshake was not complete within 0\.2 s"):
            await alice.reach(address)


async def test_a_server_that_speaks_another_protocol_is_unreachable() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3 and some more bytes\r\n")
        await asyncio.sleep(0.1)

    async with _server(talk) as address, _link(ALICE) as (alice, _):
        with pytest.raises(PeerUnreachable, match="unknown handshake version 83"):
            await alice.reach(address)


async def test_a_peer_of_another_chain_is_unreachable_and_the_reason_says_so() -> None:
    mainnet = replace(SETTINGS, session=PeerSettings(BITCOIN))
    async with _link(ALICE) as (alice, _), _link(BOB, mainnet) as (bob, _):
        with pytest.raises(PeerUnreachable, match="serves bitcoin, not regtest"):
            await alice.reach(await _address(bob))


async def test_messages_to_strangers_are_refused() -> None:
    async with _link(ALICE) as (alice, _):
        with pytest.raises(PeerUnreachable, match=BOB.point.hex()):
            await alice.send(NodeId(BOB.point), _onion(1))


async def test_a_lost_peer_is_unreachable_at_once() -> None:
    async with _link(ALICE) as (alice, _):
        async with _link(BOB) as (bob, _):
            await alice.reach(await _address(bob))
        await _until(lambda: not alice.peers())
        with pytest.raises(PeerUnreachable):
            await alice.send(NodeId(BOB.point), _onion(1))


async def test_a_closed_link_reaches_nobody_and_leaves_nothing_behind() -> None:
    async with _link(BOB) as (bob, _):
        address = await _address(bob)
        alice = TcpPeerLink(ALICE, SystemEntropy(), SETTINGS)
        alice.keep(address)
        alice.start()
        await _until(lambda: bool(alice.peers()))
        await alice.close()
        await alice.close()
        with pytest.raises(PeerUnreachable, match="closed"):
            await alice.reach(address)
        await _until(lambda: not bob.peers())
        leftover = [task.get_name() for task in asyncio.all_tasks() if "keep" in task.get_name()]
        assert leftover == []


async def test_closing_while_somebody_waits_for_a_dial_tells_them_so() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with _server(silent) as address, _link(ALICE) as (alice, _):
        waiter = asyncio.create_task(alice.reach(address))
        await asyncio.sleep(0.05)
        await alice.close()
        with pytest.raises(PeerUnreachable, match="closed meanwhile"):
            await waiter


async def test_a_port_that_is_taken_cannot_be_listened_at() -> None:
    async with _link(ALICE) as (alice, _), _link(BOB) as (bob, _):
        port = await alice.listen(HOST, 0)
        with pytest.raises(CannotListen, match=str(port)):
            await bob.listen(HOST, port)


# --- bad peers, and that others notice nothing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n".ljust(60), bytes(5000), b"\0"], ids=["http", "zeros", "one"]
)
async def test_garbage_is_disconnected_while_others_talk_on(garbage: bytes) -> None:
    async with _link(ALICE) as (alice, _), _link(BOB, HASTY) as (bob, arrived):
        address = await _address(bob)
        await alice.reach(address)
        async with _raw_peer(address) as peer:
            peer.writer.write(garbage)
            assert await peer.ended() == b""
        await alice.send(bob.node_id, _onion(1))
        await _until(lambda: len(arrived) == 1)


async def test_half_a_handshake_and_then_silence_is_disconnected() -> None:
    async with _link(BOB, HASTY) as (bob, _):
        async with _raw_peer(await _address(bob)) as peer:
            handshake = InitiatorHandshake(CAROL, bob.node_id, ONCE)
            peer.writer.write(handshake.start())
            assert len(await peer.ended()) == 50
        await _until(lambda: not bob._connections)


async def test_bytes_that_trickle_do_not_stretch_the_handshake() -> None:
    async with _link(BOB, HASTY) as (bob, _), _raw_peer(await _address(bob)) as peer:
        act_one = InitiatorHandshake(CAROL, bob.node_id, ONCE).start()
        for place in range(49):
            if not bob._connections and place:
                break
            peer.writer.write(act_one[place : place + 1])
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the peer was never disconnected")


async def test_a_peer_without_an_init_is_disconnected() -> None:
    async with _link(BOB, HASTY) as (bob, _), _raw_peer(await _address(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        await peer.ended()
        await _until(lambda: not bob._connections)


async def test_a_peer_that_answers_no_ping_is_disconnected() -> None:
    async with _link(BOB, HASTY) as (bob, _), _raw_peer(await _address(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        peer.say(Init(OFFERED, (REGTEST,)))
        await peer.listen_until(Ping)
        assert bob.peers() == {NodeId(CAROL.point)}
        await peer.ended()
        await _until(lambda: not bob.peers())


async def test_a_violation_is_told_to_the_peer_before_we_hang_up() -> None:
    async with _link(BOB) as (bob, _), _raw_peer(await _address(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        peer.say(Init(OFFERED, (BITCOIN,)))
        await peer.listen_until(WarningMessage)
        assert peer.heard[1:] == [WarningMessage("the peer serves bitcoin, not regtest")]
        assert await peer.ended() == b""


async def test_a_peer_that_offers_no_onion_messages_is_connected_but_not_listed() -> None:
    async with _link(BOB) as (bob, arrived), _raw_peer(await _address(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        peer.say(Init(b"", (REGTEST,)), _onion(1))
        await _until(lambda: len(arrived) == 1)
        assert bob.peers() == frozenset()
        await bob.send(NodeId(CAROL.point), _onion(2))
        await peer.listen_until(OnionMessage)


async def test_a_peer_that_does_not_read_loses_messages_and_then_the_connection() -> None:
    narrow = replace(SETTINGS, flow=FlowLimits(output_max_bytes=200_000, write_seconds=0.5))
    async with _link(BOB, narrow) as (bob, arrived), _link(ALICE) as (alice, _):
        address = await _address(bob)
        await alice.reach(address)
        async with _raw_peer(address) as peer:
            await peer.shake_hands(bob.node_id)
            peer.say(Init(OFFERED, (REGTEST,)))
            await _until(lambda: NodeId(CAROL.point) in bob.peers())
            peer.stop_reading()

            async def flood() -> None:
                for number in range(2000):
                    await bob.send(NodeId(CAROL.point), _onion(number, 30_000))
                    await asyncio.sleep(0)

            with pytest.raises(PeerUnreachable, match="reads too slowly"):
                await flood()
            await alice.send(bob.node_id, _onion(1))
            await _until(lambda: len(arrived) == 1)
            await _until(lambda: bob.peers() == {alice.node_id})


async def test_connections_from_outside_are_limited_and_free_again() -> None:
    async with _link(BOB, replace(SETTINGS, inbound_max=2)) as (bob, _), _link(ALICE) as (alice, _):
        address = await _address(bob)
        async with _raw_peer(address), _raw_peer(address):
            await _until(lambda: len(bob._connections) == 2)
            with pytest.raises(PeerUnreachable):
                await alice.reach(address)
        await _until(lambda: not bob._connections)
        await alice.reach(address)


async def test_a_slow_handler_keeps_no_ping_from_being_answered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    async with _link(BOB, replace(SETTINGS, inbox_max_bytes=5000)) as (bob, _), _raw_peer(await _address(bob)) as peer:
        release = asyncio.Event()
        handled: Arrived = []

        async def slow(sender: NodeId, message: OnionMessage) -> None:
            await release.wait()
            handled.append((sender, message))

        bob.on_message(slow)
        await peer.shake_hands(bob.node_id)
        peer.say(Init(OFFERED, (REGTEST,)), *map(_onion, range(10)), Ping(5))
        await peer.listen_until(Pong)
        release.set()
        await _until(lambda: len(handled) >= 3)
        await asyncio.sleep(0.05)
        assert [message for _, message in handled] == [_onion(number) for number in range(len(handled))]
        assert len(handled) < 10
        assert "too many wait already" in caplog.text


async def test_errors_of_the_handler_are_logged_and_the_next_message_is_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    async with _link(ALICE) as (alice, _), _link(BOB) as (bob, _):
        handled: list[OnionMessage] = []

        async def fail(_sender: NodeId, message: OnionMessage) -> None:
            handled.append(message)
            if message == _onion(0):
                raise UsageError("not like this")
            if message == _onion(1):
                raise ZeroDivisionError

        bob.on_message(fail)
        await alice.reach(await _address(bob))
        for number in range(3):
            await alice.send(bob.node_id, _onion(number))
        await _until(lambda: len(handled) == 3)
    expected, bug = caplog.records
    assert "not like this" in expected.getMessage()
    assert expected.exc_info is None
    assert bug.exc_info is not None
    assert bug.exc_info[0] is ZeroDivisionError


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "lnrecur.link")
    async with _link(ALICE) as (alice, _), _link(BOB) as (bob, _):
        await alice.reach(await _address(bob))
        with pytest.raises(PeerUnreachable):
            await alice.reach(PeerAddress(NodeId(NOBODY.point), HOST, await bob.listen(HOST, 0)))
    assert ALICE.point.hex() in caplog.text
    assert ALICE.secret.hex() not in caplog.text
    assert BOB.secret.hex() not in caplog.text


async def test_messages_that_nobody_handles_are_dropped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    bob = TcpPeerLink(BOB, SystemEntropy(), SETTINGS)
    try:
        async with _link(ALICE) as (alice, _):
            await alice.reach(await _address(bob))
            await alice.send(bob.node_id, _onion(1))
            await _until(lambda: "nobody handles messages yet" in caplog.text)
    finally:
        await bob.close()


async def test_a_warning_of_a_peer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    async with _link(BOB) as (bob, _), _raw_peer(await _address(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        peer.say(WarningMessage("mind the gap"))
        await _until(lambda: "mind the gap" in caplog.text)


async def test_a_bug_in_a_background_task_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    class BrokenEntropy(SystemEntropy):
        def take(self, size: int) -> bytes:
            raise ZeroDivisionError

    alice = TcpPeerLink(ALICE, BrokenEntropy(), SETTINGS)
    try:
        alice.keep(PeerAddress(NodeId(BOB.point), HOST, await _unused_port()))
        alice.start()
        await _until(lambda: "met a bug" in caplog.text)
        assert "ZeroDivisionError" in caplog.text
    finally:
        await alice.close()


# --- kept peers ------------------------------------------------------------------------------------------------------


async def test_a_kept_peer_is_dialled_again_after_its_server_restarted() -> None:
    async with _link(ALICE) as (alice, _):
        async with _link(BOB) as (bob, _):
            address = await _address(bob)
            alice.keep(address)
            assert alice.peers() == frozenset()
            alice.start()
            alice.start()
            await _until(lambda: alice.peers() == {bob.node_id})
        await _until(lambda: not alice.peers())
        await asyncio.sleep(0.1)
        async with _link(BOB) as (bob, arrived):
            assert await bob.listen(HOST, address.port) == address.port
            await _until(lambda: alice.peers() == {bob.node_id})
            await alice.send(bob.node_id, _onion(1))
            await _until(lambda: len(arrived) == 1)


async def test_a_kept_peer_may_be_named_after_the_start_and_moved_later() -> None:
    async with _link(ALICE) as (alice, _), _link(BOB) as (bob, _):
        alice.start()
        alice.keep(PeerAddress(bob.node_id, HOST, await _unused_port()))
        await asyncio.sleep(0.05)
        assert alice.peers() == frozenset()
        alice.keep(await _address(bob))
        await _until(lambda: alice.peers() == {bob.node_id})


async def test_a_kept_peer_that_always_hangs_up_is_dialled_ever_more_seldom() -> None:
    calls: list[float] = []

    async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        calls.append(asyncio.get_running_loop().time())

    patient = replace(SETTINGS, redial_first_seconds=0.05, redial_max_seconds=10.0)
    async with _server(hang_up) as address, _link(ALICE, patient) as (alice, _):
        alice.keep(address)
        alice.start()
        await _until(lambda: len(calls) == 5)
    pauses = [later - earlier for earlier, later in pairwise(calls)]
    for number, pause in enumerate(pauses):
        longest = 0.05 * 2**number
        assert longest / 2 <= pause + 0.001
        assert pause < longest + 0.5
