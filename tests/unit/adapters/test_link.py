"""Links over real TCP on 127.0.0.1."""

import asyncio
import logging
from dataclasses import replace
from itertools import pairwise

import pytest

from helpers.links import (
    ALICE,
    BOB,
    CAROL,
    HASTY,
    HOST,
    NOBODY,
    ONCE,
    SETTINGS,
    UNLIMITED,
    Arrived,
    address_of,
    bob_as,
    onion_message,
    open_link,
    raw_peer,
    until,
)
from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import CannotListen, FlowLimits, TcpPeerLink
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.messaging.features import OFFERED
from lnrecur.messaging.peer import PeerSettings
from lnrecur.noise.handshake import InitiatorHandshake, ResponderHandshake
from lnrecur.ports import Clock, Entropy, PeerAddress, PeerLink, PeerUnreachable
from lnrecur.values import BITCOIN, REGTEST, NodeId
from lnrecur.wire.messages import Init, OnionMessage, Ping, Pong, WarningMessage


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
    async with open_link(ALICE) as (alice, to_alice), open_link(BOB) as (bob, to_bob):
        await alice.reach(await address_of(bob))
        assert alice.peers() == {bob.node_id}
        await alice.send(bob.node_id, onion_message(1))
        await until(lambda: len(to_bob) == 1)
        assert to_bob == [(alice.node_id, onion_message(1))]
        assert bob.peers() == {alice.node_id}
        await bob.send(alice.node_id, onion_message(2))
        await until(lambda: len(to_alice) == 1)
        assert to_alice == [(bob.node_id, onion_message(2))]


async def test_many_messages_arrive_all_and_in_order() -> None:
    tight = replace(
        SETTINGS, flow=FlowLimits(inbox_max_bytes=100_000)
    )  # a quarter of all the messages, more than are ever under way
    async with open_link(ALICE) as (alice, _), open_link(BOB, tight) as (bob, arrived):
        await alice.reach(await address_of(bob))
        for number in range(300):
            await alice.send(bob.node_id, onion_message(number))
            if number % 50 == 49:
                await until(lambda: len(arrived) > number - 20)  # noqa: B023 - awaited before the next turn
        await until(lambda: len(arrived) == 300)
        assert [message for _, message in arrived] == [onion_message(number) for number in range(300)]


async def test_bursts_in_both_directions_at_once_do_not_block_each_other() -> None:
    roomy = replace(SETTINGS, from_chosen=UNLIMITED, flow=FlowLimits(output_max_bytes=10**8, inbox_max_bytes=10**8))
    async with open_link(ALICE, roomy) as (alice, to_alice), open_link(BOB, roomy) as (bob, to_bob):
        await alice.reach(await address_of(bob))
        await until(lambda: bool(bob.peers()))
        for number in range(400):
            await alice.send(bob.node_id, onion_message(number, 30_000))
            await bob.send(alice.node_id, onion_message(number, 30_000))
        await until(lambda: len(to_alice) == len(to_bob) == 400)


async def test_reaching_a_connected_peer_again_makes_no_second_connection() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        address = await address_of(bob)
        await asyncio.gather(*(alice.reach(address) for _ in range(5)))
        await alice.reach(address)
        await until(lambda: bool(bob.peers()))
        assert len(bob._connections) == 1


async def test_a_waiter_who_gives_up_does_not_end_the_attempt_of_the_others() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        address = await address_of(bob)
        first, second = (asyncio.create_task(alice.reach(address)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled()
        assert alice.peers() == {bob.node_id}


async def test_two_nodes_that_dial_each_other_at_once_end_with_one_connection() -> None:
    async with open_link(ALICE) as (alice, to_alice), open_link(BOB) as (bob, to_bob):
        addresses = await address_of(alice), await address_of(bob)
        await asyncio.gather(alice.reach(addresses[1]), bob.reach(addresses[0]))
        await until(lambda: len(alice._connections) == len(bob._connections) == 1)
        await alice.send(bob.node_id, onion_message(1))
        await bob.send(alice.node_id, onion_message(2))
        await until(lambda: len(to_alice) == len(to_bob) == 1)


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
    async with open_link(us) as (link, _), bob_as(respond) as server, raw_peer(await address_of(link)) as peer:
        dial = asyncio.create_task(link.reach(replace(server, node_id=theirs)))
        await accepted.wait()
        if ours_is_ready_first:
            may_answer.set()
            await dial
        await peer.shake_hands(link.node_id, them)
        peer.say(Init(OFFERED, (REGTEST,)))
        await peer.listen_until(Init)
        await until(lambda: bool(link.peers()))
        may_answer.set()
        await dial
        await until(lambda: len(link._connections) == 1)
        assert link.peers() == {theirs}
        assert link._peers[theirs].outbound is (link.node_id < theirs)


async def test_a_newer_connection_of_the_same_node_takes_over() -> None:
    async with open_link(BOB) as (bob, arrived):
        address = await address_of(bob)
        async with open_link(ALICE) as (old, _), open_link(ALICE) as (new, _):
            await old.reach(address)
            await new.reach(address)
            await until(lambda: not old.peers())
            assert bob.peers() == {new.node_id}
            await new.send(bob.node_id, onion_message(3))
            await until(lambda: len(arrived) == 1)


async def test_the_two_ends_keep_an_idle_connection_alive() -> None:
    async with open_link(ALICE, HASTY) as (alice, _), open_link(BOB, HASTY) as (bob, arrived):
        await alice.reach(await address_of(bob))
        await asyncio.sleep(1.0)
        await alice.send(bob.node_id, onion_message(1))
        await until(lambda: len(arrived) == 1)


# --- peers that cannot be reached ------------------------------------------------------------------------------------


async def _unused_port() -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, HOST, 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_a_peer_that_does_not_listen_is_unreachable_with_address_and_reason() -> None:
    async with open_link(ALICE) as (alice, _):
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
    async with open_link(ALICE) as (alice, _):
        with pytest.raises(PeerUnreachable, match=told):
            await alice.reach(PeerAddress(node_id, host, port))


async def test_a_node_with_another_id_is_unreachable_and_goes_on_listening() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        address = await address_of(bob)
        with pytest.raises(PeerUnreachable, match=f"is not {NOBODY.point.hex()}"):
            await alice.reach(replace(address, node_id=NodeId(NOBODY.point)))
        await alice.reach(address)
        assert alice.peers() == {bob.node_id}


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with bob_as(silent) as address, open_link(ALICE, HASTY) as (alice, _):
        with pytest.raises(PeerUnreachable, match=r"handshake was not complete within 0\.2 s"):
            await alice.reach(address)


async def test_a_server_that_speaks_another_protocol_is_unreachable() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3 and some more bytes\r\n")
        await asyncio.sleep(0.1)

    async with bob_as(talk) as address, open_link(ALICE) as (alice, _):
        with pytest.raises(PeerUnreachable, match="unknown handshake version 83"):
            await alice.reach(address)


async def test_a_peer_of_another_chain_is_unreachable_and_the_reason_says_so() -> None:
    mainnet = replace(SETTINGS, session=PeerSettings(BITCOIN))
    async with open_link(ALICE) as (alice, _), open_link(BOB, mainnet) as (bob, _):
        with pytest.raises(PeerUnreachable, match="serves bitcoin, not regtest"):
            await alice.reach(await address_of(bob))


async def test_messages_to_strangers_are_refused() -> None:
    async with open_link(ALICE) as (alice, _):
        with pytest.raises(PeerUnreachable, match=BOB.point.hex()):
            await alice.send(NodeId(BOB.point), onion_message(1))


async def test_a_lost_peer_is_unreachable_at_once() -> None:
    async with open_link(ALICE) as (alice, _):
        async with open_link(BOB) as (bob, _):
            await alice.reach(await address_of(bob))
        await until(lambda: not alice.peers())
        with pytest.raises(PeerUnreachable):
            await alice.send(NodeId(BOB.point), onion_message(1))


async def test_a_closed_link_reaches_nobody_and_leaves_nothing_behind() -> None:
    async with open_link(BOB) as (bob, _):
        address = await address_of(bob)
        alice = TcpPeerLink(ALICE, SystemEntropy(), SETTINGS)
        alice.keep(address)
        alice.start()
        await until(lambda: bool(alice.peers()))
        await alice.close()
        await alice.close()
        with pytest.raises(PeerUnreachable, match="closed"):
            await alice.reach(address)
        await until(lambda: not bob.peers())
        leftover = [task.get_name() for task in asyncio.all_tasks() if "keep" in task.get_name()]
        assert leftover == []


async def test_closing_while_somebody_waits_for_a_dial_tells_them_so() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with bob_as(silent) as address, open_link(ALICE) as (alice, _):
        waiter = asyncio.create_task(alice.reach(address))
        await asyncio.sleep(0.05)
        await alice.close()
        with pytest.raises(PeerUnreachable, match="link was closed"):
            await waiter


async def test_a_port_that_is_taken_cannot_be_listened_at() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        port = await alice.listen(HOST, 0)
        with pytest.raises(CannotListen, match=str(port)):
            await bob.listen(HOST, port)


# --- bad peers, and that others notice nothing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n".ljust(60), bytes(5000), b"\0"], ids=["http", "zeros", "one"]
)
async def test_garbage_is_disconnected_while_others_talk_on(garbage: bytes) -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB, HASTY) as (bob, arrived):
        address = await address_of(bob)
        await alice.reach(address)
        async with raw_peer(address) as peer:
            peer.writer.write(garbage)
            assert await peer.ended() == b""
        await alice.send(bob.node_id, onion_message(1))
        await until(lambda: len(arrived) == 1)


async def test_half_a_handshake_and_then_silence_is_disconnected() -> None:
    async with open_link(BOB, HASTY) as (bob, _):
        async with raw_peer(await address_of(bob)) as peer:
            handshake = InitiatorHandshake(CAROL, bob.node_id, ONCE)
            peer.writer.write(handshake.start())
            assert len(await peer.ended()) == 50
        await until(lambda: not bob._connections)


async def test_bytes_that_trickle_do_not_stretch_the_handshake() -> None:
    async with open_link(BOB, HASTY) as (bob, _), raw_peer(await address_of(bob)) as peer:
        act_one = InitiatorHandshake(CAROL, bob.node_id, ONCE).start()
        for place in range(49):
            if not bob._connections and place:
                break
            peer.writer.write(act_one[place : place + 1])
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the peer was never disconnected")


async def test_a_peer_without_an_init_is_disconnected() -> None:
    async with open_link(BOB, HASTY) as (bob, _), raw_peer(await address_of(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        await peer.ended()
        await until(lambda: not bob._connections)


async def test_a_peer_that_answers_no_ping_is_disconnected() -> None:
    async with open_link(BOB, HASTY) as (bob, _), raw_peer(await address_of(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        peer.say(Init(OFFERED, (REGTEST,)))
        await peer.listen_until(Ping)
        assert bob.peers() == {NodeId(CAROL.point)}
        await peer.ended()
        await until(lambda: not bob.peers())


async def test_a_violation_is_told_to_the_peer_before_we_hang_up() -> None:
    async with open_link(BOB) as (bob, _), raw_peer(await address_of(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        peer.say(Init(OFFERED, (BITCOIN,)))
        await peer.listen_until(WarningMessage)
        assert peer.heard[1:] == [WarningMessage("the peer serves bitcoin, not regtest")]
        assert await peer.ended() == b""


async def test_a_peer_that_offers_no_onion_messages_is_connected_but_not_listed() -> None:
    async with open_link(BOB) as (bob, arrived), raw_peer(await address_of(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        peer.say(Init(b"", (REGTEST,)), onion_message(1))
        await until(lambda: len(arrived) == 1)
        assert bob.peers() == frozenset()
        await bob.send(NodeId(CAROL.point), onion_message(2))
        await peer.listen_until(OnionMessage)


async def test_a_peer_that_does_not_read_loses_messages_and_then_the_connection() -> None:
    narrow = replace(SETTINGS, flow=FlowLimits(output_max_bytes=200_000, write_seconds=0.5))
    async with open_link(BOB, narrow) as (bob, arrived), open_link(ALICE) as (alice, _):
        address = await address_of(bob)
        await alice.reach(address)
        async with raw_peer(address) as peer:
            await peer.shake_hands(bob.node_id)
            peer.say(Init(OFFERED, (REGTEST,)))
            await until(lambda: NodeId(CAROL.point) in bob.peers())
            peer.stop_reading()

            async def flood() -> None:
                for number in range(2000):
                    await bob.send(NodeId(CAROL.point), onion_message(number, 30_000))
                    await asyncio.sleep(0)

            with pytest.raises(PeerUnreachable, match="reads too slowly"):
                await flood()
            await alice.send(bob.node_id, onion_message(1))
            await until(lambda: len(arrived) == 1)
            await until(lambda: bob.peers() == {alice.node_id})


async def test_connections_from_outside_are_limited_and_free_again() -> None:
    async with open_link(BOB, replace(SETTINGS, inbound_max=2)) as (bob, _), open_link(ALICE) as (alice, _):
        address = await address_of(bob)
        async with raw_peer(address) as first, raw_peer(address) as second:
            await first.become_ready(bob.node_id, CAROL)
            await second.become_ready(bob.node_id, NOBODY)
            await until(lambda: len(bob.peers()) == 2)
            await alice.reach(address)
            await until(lambda: not alice.peers())
            assert bob.peers() == {NodeId(CAROL.point), NodeId(NOBODY.point)}
        await until(lambda: not bob._connections)
        await alice.reach(address)
        await until(lambda: bob.peers() == {alice.node_id})


async def test_a_slow_handler_keeps_no_ping_from_being_answered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    async with (
        open_link(BOB, replace(SETTINGS, flow=FlowLimits(inbox_max_bytes=7000))) as (bob, _),
        raw_peer(await address_of(bob)) as peer,
    ):
        release = asyncio.Event()
        handled: Arrived = []

        async def slow(sender: NodeId, message: OnionMessage) -> None:
            await release.wait()
            handled.append((sender, message))

        bob.on_message(slow)
        await peer.shake_hands(bob.node_id)
        peer.say(Init(OFFERED, (REGTEST,)), *map(onion_message, range(10)), Ping(5))
        await peer.listen_until(Pong)
        release.set()
        await until(lambda: len(handled) >= 3)
        await asyncio.sleep(0.05)
        assert [message for _, message in handled] == [onion_message(number) for number in range(len(handled))]
        assert len(handled) < 10
        assert "too many wait already" in caplog.text


async def test_errors_of_the_handler_are_logged_and_the_next_message_is_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        handled: list[OnionMessage] = []

        async def fail(_sender: NodeId, message: OnionMessage) -> None:
            handled.append(message)
            if message == onion_message(0):
                raise UsageError("not like this")
            if message == onion_message(1):
                raise ZeroDivisionError

        bob.on_message(fail)
        await alice.reach(await address_of(bob))
        for number in range(3):
            await alice.send(bob.node_id, onion_message(number))
        await until(lambda: len(handled) == 3)
    expected, bug = caplog.records
    assert "not like this" in expected.getMessage()
    assert expected.exc_info is None
    assert bug.exc_info is not None
    assert bug.exc_info[0] is ZeroDivisionError


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "lnrecur.link")
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        await alice.reach(await address_of(bob))
        with pytest.raises(PeerUnreachable):
            await alice.reach(PeerAddress(NodeId(NOBODY.point), HOST, await bob.listen(HOST, 0)))
    assert ALICE.point.hex() in caplog.text
    assert ALICE.secret.hex() not in caplog.text
    assert BOB.secret.hex() not in caplog.text


async def test_messages_that_nobody_handles_are_dropped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    bob = TcpPeerLink(BOB, SystemEntropy(), SETTINGS)
    try:
        async with open_link(ALICE) as (alice, _):
            await alice.reach(await address_of(bob))
            await alice.send(bob.node_id, onion_message(1))
            await until(lambda: "nobody handles messages yet" in caplog.text)
    finally:
        await bob.close()


async def test_a_warning_of_a_peer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    async with open_link(BOB) as (bob, _), raw_peer(await address_of(bob)) as peer:
        await peer.shake_hands(bob.node_id)
        peer.say(WarningMessage("mind the gap"))
        await until(lambda: "mind the gap" in caplog.text)


async def test_a_bug_in_a_background_task_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    class BrokenEntropy(SystemEntropy):
        def take(self, size: int) -> bytes:
            raise ZeroDivisionError

    alice = TcpPeerLink(ALICE, BrokenEntropy(), SETTINGS)
    try:
        alice.keep(PeerAddress(NodeId(BOB.point), HOST, await _unused_port()))
        alice.start()
        await until(lambda: "met a bug" in caplog.text)
        assert "ZeroDivisionError" in caplog.text
    finally:
        await alice.close()


# --- kept peers ------------------------------------------------------------------------------------------------------


async def test_a_kept_peer_is_dialled_again_after_its_server_restarted() -> None:
    async with open_link(ALICE) as (alice, _):
        async with open_link(BOB) as (bob, _):
            address = await address_of(bob)
            alice.keep(address)
            assert alice.peers() == frozenset()
            alice.start()
            alice.start()
            await until(lambda: alice.peers() == {bob.node_id})
        await until(lambda: not alice.peers())
        await asyncio.sleep(0.1)
        async with open_link(BOB) as (bob, arrived):
            assert await bob.listen(HOST, address.port) == address.port
            await until(lambda: alice.peers() == {bob.node_id})
            await alice.send(bob.node_id, onion_message(1))
            await until(lambda: len(arrived) == 1)


async def test_a_kept_peer_may_be_named_after_the_start_and_moved_later() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        alice.start()
        alice.keep(PeerAddress(bob.node_id, HOST, await _unused_port()))
        await asyncio.sleep(0.05)
        assert alice.peers() == frozenset()
        alice.keep(await address_of(bob))
        await until(lambda: alice.peers() == {bob.node_id})


async def test_a_kept_peer_that_always_hangs_up_is_dialled_ever_more_seldom() -> None:
    calls: list[float] = []

    async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        calls.append(asyncio.get_running_loop().time())

    patient = replace(SETTINGS, redial_first_seconds=0.05, redial_max_seconds=10.0)
    async with bob_as(hang_up) as address, open_link(ALICE, patient) as (alice, _):
        alice.keep(address)
        alice.start()
        await until(lambda: len(calls) == 5)
    pauses = [later - earlier for earlier, later in pairwise(calls)]
    for number, pause in enumerate(pauses):
        longest = 0.05 * 2**number
        assert longest / 2 <= pause + 0.001
        assert pause < longest + 0.5
