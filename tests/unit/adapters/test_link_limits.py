"""What one peer cannot do to a link, over real TCP: rates, places and memory."""

import asyncio
import logging
import socket
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from helpers.links import (
    ALICE,
    BOB,
    CAROL,
    HASTY,
    HOST,
    NOBODY,
    SETTINGS,
    address_of,
    onion_message,
    open_link,
    raw_peer,
    until,
)
from lnrecur.adapters.link import InflowLimits, LinkSettings
from lnrecur.adapters.link.inflow import Inflow, Verdict
from lnrecur.adapters.link.origins import ORIGINS_MAX, Origins
from lnrecur.adapters.link.settings import RECEIVE_BUFFER, SEND_BUFFER, FlowLimits
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.peer import PeerSettings
from lnrecur.messaging.token_bucket import Rate
from lnrecur.ports import PeerUnreachable
from lnrecur.values import REGTEST, NodeId
from lnrecur.wire.messages import OnionMessage, Ping, WarningMessage

ELSEWHERE = "127.0.0.2"
ENDLESS = Rate(1e9, 1e9)
NARROW = InflowLimits(read=ENDLESS, onion_messages=Rate(0.001, 5), dropped=Rate(0.001, 10))


def _key(number: int) -> PrivateKey:
    return PrivateKey(number.to_bytes(32, "big"))


# --- how fast --------------------------------------------------------------------------------------------------------


def test_messages_are_taken_then_dropped_then_the_peer_is_too_much() -> None:
    inflow = Inflow(InflowLimits(ENDLESS, Rate(1, 2), Rate(1, 3)), 0.0)
    verdicts = [inflow.onion_message_came(0.0) for _ in range(6)]
    assert verdicts == [Verdict.TAKE] * 2 + [Verdict.DROP] * 3 + [Verdict.END]
    assert inflow.onion_message_came(1.0) is Verdict.TAKE


def test_bytes_beyond_their_rate_are_to_be_read_later() -> None:
    inflow = Inflow(InflowLimits(Rate(1000, 5000), ENDLESS, ENDLESS), 0.0)
    assert inflow.bytes_came(5000, 0.0) == 0.0
    assert inflow.bytes_came(500, 0.0) == 0.5
    assert inflow.bytes_came(0, 0.5) == 0.0


async def test_too_many_onion_messages_are_dropped_counted_told_once_and_then_the_connection_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    settings = replace(SETTINGS, from_strangers=NARROW)
    async with open_link(BOB, settings) as (bob, arrived), raw_peer(await address_of(bob)) as peer:
        await peer.become_ready(bob.node_id)
        peer.say(*map(onion_message, range(15)))
        await until(lambda: bool(bob.statuses()) and bob.statuses()[0].received == 15)
        (status,) = bob.statuses()
        assert (status.received, status.dropped) == (15, 10)
        await peer.listen_until(WarningMessage)
        assert [text.text for text in peer.heard if isinstance(text, WarningMessage)] == [
            "onion messages of yours are dropped: they come too fast"
        ]
        peer.say(onion_message(16))
        assert peer.transport is not None
        goodbye = peer.transport.feed(await peer.ended())
        assert b"you went on sending more onion messages" in goodbye[-1]
        await until(lambda: not bob._connections)
        assert [message for _, message in arrived] == [onion_message(number) for number in range(5)]
    assert len([record for record in caplog.records if "dropped" in record.getMessage()]) == 1


async def test_an_honest_peer_is_served_while_another_one_floods() -> None:
    settings = replace(SETTINGS, from_strangers=InflowLimits(ENDLESS, Rate(10, 30), ENDLESS))
    async with (
        open_link(BOB, settings) as (bob, arrived),
        open_link(ALICE) as (alice, _),
        raw_peer(await address_of(bob)) as flooder,
    ):
        await alice.reach(await address_of(bob))
        await flooder.become_ready(bob.node_id)
        flooder.say(*map(onion_message, range(2000)))
        for number in range(20):
            await alice.send(bob.node_id, onion_message(number))
        await until(lambda: sum(sender == alice.node_id for sender, _ in arrived) == 20)
        await until(lambda: next(each for each in bob.statuses() if each.node_id == CAROL.point).received == 2000)
        assert sum(sender == CAROL.point for sender, _ in arrived) < 100


async def test_a_peer_that_sends_more_bytes_than_it_may_is_slowed_down_by_tcp() -> None:
    slow = InflowLimits(Rate(1.0, 50_000), ENDLESS, ENDLESS)
    async with (
        open_link(BOB, replace(SETTINGS, from_strangers=slow)) as (bob, arrived),
        open_link(ALICE) as (alice, _),
        raw_peer(await address_of(bob)) as flooder,
    ):
        await flooder.become_ready(bob.node_id)
        big = OnionMessage(onion_message(0).path_key, bytes(60_000))
        flooder.say(*[big] * 200)
        await alice.reach(await address_of(bob))
        await alice.send(bob.node_id, onion_message(1))
        await until(lambda: (alice.node_id, onion_message(1)) in arrived)
        assert len(arrived) <= 2
        assert flooder.writer.transport.get_write_buffer_size() > 6_000_000


async def test_a_flood_of_warnings_leaves_a_few_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lnrecur.link")
    async with open_link(BOB) as (bob, arrived), raw_peer(await address_of(bob)) as peer:
        await peer.become_ready(bob.node_id)
        peer.say(*[WarningMessage("la la la")] * 500, onion_message(1))
        await until(lambda: len(arrived) == 1)
    assert caplog.text.count("la la la") == 5


# --- how much --------------------------------------------------------------------------------------------------------


async def test_pongs_that_nobody_reads_end_the_connection_before_they_take_memory() -> None:
    async with open_link(BOB) as (bob, _), raw_peer(await address_of(bob)) as peer:
        await peer.become_ready(bob.node_id)
        peer.stop_reading()
        (connection,) = bob._connections
        most = 0
        async with asyncio.timeout(10):
            while connection.open:
                peer.say(Ping(65531))  # one by one, so that each is answered into an empty read
                await asyncio.sleep(0)
                most = max(most, connection._session.waiting_output)
        assert 65_531 < most < 3 * 65_600
        assert "pings faster" in str(connection.over_because)


async def test_the_system_keeps_no_more_of_a_connections_bytes_than_we_reckon_with() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, _):
        await alice.reach(await address_of(bob))
        await until(lambda: bool(bob.peers()))
        for link in (alice, bob):
            (connection,) = link._connections
            sock = connection._writer.get_extra_info("socket")
            for option, asked in ((socket.SO_RCVBUF, RECEIVE_BUFFER), (socket.SO_SNDBUF, SEND_BUFFER)):
                assert sock.getsockopt(socket.SOL_SOCKET, option) <= 2 * asked


def test_the_bound_on_memory_is_what_the_pages_say() -> None:
    settings = LinkSettings(PeerSettings(REGTEST))
    assert settings.connections_max == 288
    assert settings.flow.memory_max_bytes < 1.25 * 2**20
    assert settings.memory_max_bytes < 325 * 2**20
    assert settings.kernel_max_bytes == 288 * 256 * 2**10
    smaller = replace(settings, inbound_max=16, outbound_max=16, kept_max=8)
    assert smaller.memory_max_bytes < 75 * 2**20
    assert replace(settings, flow=FlowLimits(0, 1.0, 0)).memory_max_bytes < settings.memory_max_bytes


# --- how many --------------------------------------------------------------------------------------------------------


async def test_unfinished_handshakes_of_one_origin_keep_nobody_else_out() -> None:
    settings = replace(SETTINGS, handshakes_max=4)
    async with AsyncExitStack() as stack:
        bob, _ = await stack.enter_async_context(open_link(BOB, settings))
        alice, _ = await stack.enter_async_context(open_link(ALICE))
        address = await address_of(bob)
        hostile = [await stack.enter_async_context(raw_peer(address, ELSEWHERE)) for _ in range(10)]
        assert await hostile[0].ended() == b""
        await until(lambda: len(bob._connections) == 4)
        slow = await stack.enter_async_context(raw_peer(address))
        await until(lambda: sum(each.origin == HOST for each in bob._connections) == 1)
        for _ in range(10):
            await stack.enter_async_context(raw_peer(address, ELSEWHERE))
        await alice.reach(address)
        await slow.become_ready(bob.node_id)
        await until(lambda: bob.peers() == {alice.node_id, NodeId(CAROL.point)})


async def test_an_origin_that_took_all_places_gives_them_to_others_and_gets_no_more() -> None:
    settings = replace(SETTINGS, inbound_max=3)
    async with AsyncExitStack() as stack:
        bob, _ = await stack.enter_async_context(open_link(BOB, settings))
        alice, _ = await stack.enter_async_context(open_link(ALICE))
        address = await address_of(bob)
        for number in range(100, 103):
            hostile = await stack.enter_async_context(raw_peer(address, ELSEWHERE))
            await hostile.become_ready(bob.node_id, _key(number))
        await until(lambda: len(bob.peers()) == 3)
        late = await stack.enter_async_context(raw_peer(address, ELSEWHERE))
        await late.become_ready(bob.node_id, _key(103))
        await late.listen_until(WarningMessage)
        assert late.heard[-1] == WarningMessage("all places are taken: try again later")
        await late.ended()
        await alice.reach(address)
        await until(lambda: alice.node_id in bob.peers() and len(bob.peers()) == 3)
        await alice.send(bob.node_id, onion_message(1))
        assert NodeId(_key(103).point) not in bob.peers()


async def test_a_kept_peer_that_dials_us_takes_nobodys_place_and_gives_none() -> None:
    async with AsyncExitStack() as stack:
        bob, _ = await stack.enter_async_context(open_link(BOB, replace(SETTINGS, inbound_max=1, idle_seconds=0.0)))
        alice, _ = await stack.enter_async_context(open_link(ALICE))
        address = await address_of(bob)
        first = await stack.enter_async_context(raw_peer(address))
        await first.become_ready(bob.node_id, CAROL)
        bob.keep(await address_of(alice))  # not started: only known as a friend
        await alice.reach(address)
        await until(lambda: bob.peers() == {alice.node_id, NodeId(CAROL.point)})
        second = await stack.enter_async_context(raw_peer(address))
        await second.become_ready(bob.node_id, NOBODY)
        await until(lambda: bob.peers() == {alice.node_id, NodeId(NOBODY.point)})


async def test_our_own_dials_are_limited_and_the_quietest_makes_room() -> None:
    async with AsyncExitStack() as stack:
        others = [(await stack.enter_async_context(open_link(_key(number))))[0] for number in (50, 51, 52)]
        addresses = [await address_of(other) for other in others]
        busy, _ = await stack.enter_async_context(open_link(ALICE, replace(SETTINGS, outbound_max=2)))
        for address in addresses[:2]:
            await busy.reach(address)
        with pytest.raises(PeerUnreachable, match="2 connections were dialled, all are at work"):
            await busy.reach(addresses[2])
        busy.keep(addresses[2])
        await busy.reach(addresses[2])
        assert len(busy.peers()) == 3
        idle, _ = await stack.enter_async_context(open_link(NOBODY, replace(SETTINGS, outbound_max=2, idle_seconds=0)))
        for address in addresses:
            await idle.reach(address)
        await until(lambda: idle.peers() == {others[1].node_id, others[2].node_id})


async def test_many_connections_that_say_nothing_are_gone_after_the_deadline() -> None:
    async with AsyncExitStack() as stack:
        bob, _ = await stack.enter_async_context(open_link(BOB, replace(HASTY, handshakes_max=8)))
        address = await address_of(bob)
        for _ in range(30):
            await stack.enter_async_context(raw_peer(address, ELSEWHERE))
        await until(lambda: 0 < len(bob._connections) <= 8)
        await until(lambda: not bob._connections)


# --- who comes again -------------------------------------------------------------------------------------------------


def test_an_origin_begins_a_few_connections_with_a_whole_burst_and_then_with_what_has_filled_up() -> None:
    origins = Origins(InflowLimits(onion_messages=Rate(10, 100)), ENDLESS)
    assert [origins.knock("bad", 0.0) for _ in range(6)] == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    assert origins.knock("good", 0.0) == 1.0
    assert origins.knock("bad", 5.0) == 0.5


def test_an_origin_that_begins_too_many_connections_is_not_let_in() -> None:
    origins = Origins(InflowLimits(), Rate(1, 3))
    assert [origins.knock("bad", 0.0) is None for _ in range(5)] == [False, False, False, True, True]
    assert origins.knock("good", 0.0) is not None
    assert origins.knock("bad", 1.0) is not None


def test_only_so_many_origins_are_remembered() -> None:
    origins = Origins(InflowLimits(), ENDLESS)
    for number in range(3 * ORIGINS_MAX):
        origins.knock(str(number), 0.0)
    assert len(origins._known) == ORIGINS_MAX


async def test_coming_again_and_again_gets_no_more_messages_through_than_staying() -> None:
    settings = replace(SETTINGS, from_strangers=InflowLimits(ENDLESS, Rate(0.001, 5), Rate(0.001, 100)))
    async with open_link(BOB, settings) as (bob, arrived):
        address = await address_of(bob)
        for number in range(8):
            async with raw_peer(address) as peer:
                await peer.become_ready(bob.node_id, _key(100 + number))
                peer.say(*map(onion_message, range(10)))
                await until(lambda: bob.totals().received == 10 * (number + 1))  # noqa: B023 - awaited at once
        assert len(arrived) == 4 * 5 + 4 * 1
        assert bob.totals().dropped == 80 - len(arrived)


async def test_connections_beyond_the_rate_of_their_origin_are_refused_at_once() -> None:
    async with open_link(BOB, replace(SETTINGS, accepts=Rate(0.001, 2))) as (bob, _), open_link(ALICE) as (alice, _):
        address = await address_of(bob)
        async with raw_peer(address, ELSEWHERE), raw_peer(address, ELSEWHERE), raw_peer(address, ELSEWHERE) as third:
            assert await third.ended() == b""
            await alice.reach(address)
        assert bob.totals().refused == 1
