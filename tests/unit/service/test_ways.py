"""The ways to a destination, and the order in which they are tried."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from lnrecur.adapters.router import GraphRouter, StaticRouter
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.hosted import HostedMessenger
from lnrecur.messaging.messenger import DirectDestination, Entry, Messenger
from lnrecur.onion.blinding import blind_path
from lnrecur.onion.payloads import EncryptedData
from lnrecur.ports import MessageRouter, PeerAddress, PeerUnreachable
from lnrecur.service.ways import Promise, Way, WayFinder, in_turn
from lnrecur.testing.network import MemoryNetwork
from lnrecur.values import NodeId, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection

US, PEER, FAR, DEST, OTHER = (Messenger(PrivateKey(bytes([number]) * 32)) for number in range(1, 6))
SESSION = PrivateKey(b"\x07" * 32)
CHANNEL = ShortChannelId(103 << 40 | 2 << 16 | 1)


def finder(router: MessageRouter | None = None, *, connected: tuple[Messenger, ...] = (PEER,)) -> WayFinder:
    network = MemoryNetwork()
    for node in (PEER, FAR, DEST):
        network.link(node.node_id)
    network.lay_out(*([US.node_id, peer.node_id] for peer in connected))
    return WayFinder(US, network.link(US.node_id), StaticRouter() if router is None else router)


def address(node: Messenger) -> PeerAddress:
    return PeerAddress(node.node_id, "node.example", 9737)


def a_path(*via: Messenger) -> BlindedPath:
    return DEST.reply_path(bytes(32), SESSION, [node.node_id for node in via])


def test_a_connected_peer_is_the_only_way_there_needs_to_be() -> None:
    [way] = finder(StaticRouter([address(PEER)])).ways(a_path(PEER), [address(FAR)])
    assert (way.promise, way.via, way.address) == (Promise.CONNECTED, (), None)
    assert way.entry == Entry(PEER.node_id, is_last=False)


def test_ways_come_in_the_order_of_their_promise() -> None:
    router = StaticRouter([address(DEST)], [[PEER.node_id, FAR.node_id, DEST.node_id]])
    ways = finder(router).ways(DirectDestination(DEST.node_id), [address(FAR)])
    assert [(way.promise, way.via, way.address) for way in ways] == [
        (Promise.DIALLED, (), address(DEST)),
        (Promise.THROUGH, (FAR.node_id,), address(FAR)),
        (Promise.ROUTED, (PEER.node_id, FAR.node_id), None),
    ]


def test_a_guest_finds_no_way_back_over_its_own_host() -> None:
    host, network = Messenger(PrivateKey(b"\x09" * 32)), MemoryNetwork()
    link = network.link(host.node_id)
    network.link(PEER.node_id)

    class Hosted:
        """A link whose peers are those of the host, and the host."""

        def peers(self) -> frozenset[NodeId]:
            return link.peers() | {host.node_id}

    guest = WayFinder(HostedMessenger(PrivateKey(b"\x08" * 32), host.node_id), Hosted(), StaticRouter())  # type: ignore[arg-type]
    assert guest.ways(a_path(host))[0].promise is Promise.CONNECTED
    assert guest.ways(a_path(PEER), asked_by=host.node_id)[0].promise is Promise.CONNECTED
    with pytest.raises(PeerUnreachable, match="no peer of ours"):
        guest.ways(a_path(FAR), asked_by=host.node_id)
    [way] = guest.ways(a_path(FAR), asked_by=PEER.node_id)
    assert (way.promise, way.via) == (Promise.RETURNED, (PEER.node_id,))


def test_an_address_that_is_known_twice_is_one_way_and_our_own_is_none() -> None:
    ways = finder(StaticRouter([address(DEST)])).ways(
        DirectDestination(DEST.node_id), [address(DEST), address(US), address(DEST)]
    )
    assert [way.address for way in ways] == [address(DEST)]


def test_who_cannot_be_reached_is_named() -> None:
    with pytest.raises(PeerUnreachable, match=f"no way to {DEST.node_id.hex()}: it is no peer of ours"):
        finder().ways(DirectDestination(DEST.node_id))
    with pytest.raises(PeerUnreachable, match="ends at this node"):
        finder().ways(US.reply_path(bytes(32), SESSION))


def test_routes_begin_at_different_peers_the_shortest_first() -> None:
    router = StaticRouter(routes=[[PEER.node_id, DEST.node_id], [FAR.node_id, OTHER.node_id, DEST.node_id]])
    ways = finder(router, connected=(FAR, PEER)).ways(DirectDestination(DEST.node_id))
    assert [way.via for way in ways] == [(PEER.node_id,), (FAR.node_id, OTHER.node_id)]


def test_a_route_that_comes_back_through_us_is_none() -> None:
    router = StaticRouter(routes=[[PEER.node_id, US.node_id, DEST.node_id]])
    with pytest.raises(PeerUnreachable, match="a route to it is known"):
        finder(router).ways(DirectDestination(DEST.node_id))


async def test_who_was_dialled_and_takes_no_onion_messages_is_no_way() -> None:
    way_finder = finder()

    async def connect(address: PeerAddress) -> None:
        """Reached, but not to be found among those that messages can be sent to."""

    way_finder._link.reach = connect  # type: ignore[method-assign]
    [way] = way_finder.ways(a_path(FAR), [address(FAR)])
    with pytest.raises(PeerUnreachable, match=f"{FAR.node_id.hex()} is connected, but takes no onion messages"):
        await way_finder.open(way)


def test_an_answer_may_go_back_to_whoever_brought_the_question_if_nothing_better_is_known() -> None:
    to_dest = DirectDestination(DEST.node_id)
    [way] = finder().ways(to_dest, asked_by=PEER.node_id)
    assert (way.promise, way.via, way.first_hop) == (Promise.RETURNED, (PEER.node_id,), PEER.node_id)
    [way] = finder(StaticRouter(routes=[[PEER.node_id, DEST.node_id]])).ways(to_dest, asked_by=PEER.node_id)
    assert way.promise is Promise.ROUTED, "the same way, and known to be one"
    with pytest.raises(PeerUnreachable):
        finder().ways(to_dest, asked_by=FAR.node_id)
    [way] = finder(connected=(DEST, PEER)).ways(to_dest, asked_by=PEER.node_id)
    assert way.promise is Promise.CONNECTED


def test_ways_over_one_peer_begin_there_however_close_the_others_are() -> None:
    router = StaticRouter([address(DEST)], [[PEER.node_id, OTHER.node_id, DEST.node_id], [FAR.node_id, DEST.node_id]])
    near = finder(router, connected=(DEST, FAR, PEER))
    to_dest = DirectDestination(DEST.node_id)
    [way] = near.ways(to_dest, over=PEER.node_id)
    assert (way.promise, way.first_hop) == (Promise.ROUTED, PEER.node_id)
    [way] = near.ways(to_dest, over=DEST.node_id)
    assert way.promise is Promise.CONNECTED
    [way] = near.ways(to_dest, [address(PEER), address(FAR)], over=FAR.node_id)[:1]
    assert (way.promise, way.address) == (Promise.THROUGH, address(FAR))
    with pytest.raises(PeerUnreachable):
        near.ways(to_dest, over=OTHER.node_id)


# --- nodes named by channels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [0, 1])
def test_an_introduction_named_by_a_channel_is_the_end_that_its_direction_says(direction: int) -> None:
    ends = sorted((PEER.node_id, FAR.node_id))
    router = StaticRouter([address(FAR)], channels=[(CHANNEL, FAR.node_id, PEER.node_id)])
    path = replace(a_path(FAR), first_node_id=ChannelDirection(CHANNEL, direction))
    way, *_ = finder(router).ways(path)
    assert way.entry.node_id == ends[direction]
    assert way.channels == {ChannelDirection(CHANNEL, direction): ends[direction]}


def test_a_channel_behind_us_leads_to_its_other_end() -> None:
    data = EncryptedData(short_channel_id=CHANNEL).to_bytes()
    path = blind_path(SESSION, [(US.node_id, data), (PEER.node_id, b"")])
    router = StaticRouter(channels=[(CHANNEL, US.node_id, PEER.node_id)])
    [way] = finder(router).ways(path)
    assert (way.entry, way.channels) == (Entry(PEER.node_id, is_last=True), {CHANNEL: PEER.node_id})
    assert finder(router).next_node(CHANNEL) == PEER.node_id


@pytest.mark.parametrize(
    "router", [StaticRouter(), StaticRouter(channels=[(CHANNEL, FAR.node_id, PEER.node_id)])],
    ids=["unknown", "somebody else's"],
)  # fmt: skip
def test_a_channel_that_is_unknown_or_not_ours_leads_nowhere(router: GraphRouter) -> None:
    data = EncryptedData(short_channel_id=CHANNEL).to_bytes()
    path = blind_path(SESSION, [(US.node_id, data), (PEER.node_id, b"")])
    with pytest.raises(PeerUnreachable, match="103x2x1, and whose that is"):
        finder(router).ways(path)
    assert finder(router).next_node(CHANNEL) is None
    assert finder(router).next_node(FAR.node_id) == FAR.node_id


def test_an_introduction_named_by_an_unknown_channel_leads_nowhere() -> None:
    path = replace(a_path(FAR), first_node_id=ChannelDirection(CHANNEL, 0))
    with pytest.raises(PeerUnreachable, match="103x2x1"):
        finder().ways(path)


# --- the way back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("via", "is_last", "back"),
    [
        ((), True, ()),
        ((), False, (DEST.node_id,)),
        ((PEER.node_id, FAR.node_id), True, (FAR.node_id, PEER.node_id)),
        ((PEER.node_id, FAR.node_id), False, (DEST.node_id, FAR.node_id, PEER.node_id)),
    ],
)
def test_an_answer_comes_back_over_the_nodes_that_the_question_passed(
    via: tuple[NodeId, ...], is_last: bool, back: tuple[NodeId, ...]
) -> None:
    way = Way(DirectDestination(DEST.node_id), {}, Entry(DEST.node_id, is_last), Promise.ROUTED, via)
    assert way.back() == back


# --- turns -----------------------------------------------------------------------------------------------------------


def some_ways(*promises: Promise) -> list[Way]:
    destination = DirectDestination(DEST.node_id)
    return [
        Way(destination, {}, Entry(NodeId(bytes([number])), True), promise) for number, promise in enumerate(promises)
    ]


def test_each_attempt_begins_one_way_further_and_comes_round_again() -> None:
    ways = some_ways(Promise.ROUTED, Promise.CONNECTED, Promise.DIALLED)
    orders = [in_turn(ways, b"subscription", attempt) for attempt in range(1, 5)]
    assert [order[0].promise for order in orders] == [
        Promise.CONNECTED, Promise.DIALLED, Promise.ROUTED, Promise.CONNECTED,
    ]  # fmt: skip
    assert all(sorted(order, key=ways.index) == ways for order in orders), "every attempt may use every way"


def test_conversations_spread_over_ways_of_equal_promise_and_each_keeps_its_own() -> None:
    ways = some_ways(Promise.CONNECTED, Promise.CONNECTED, Promise.CONNECTED, Promise.ROUTED)
    firsts = Counter(in_turn(ways, bytes([number]), 1)[0].entry.node_id for number in range(90))
    assert len(firsts) == 3
    assert min(firsts.values()) > 15
    assert in_turn(ways, b"one", 1) == in_turn(ways, b"one", 1)
    assert in_turn(ways, b"one", 2)[0] != in_turn(ways, b"one", 1)[0]


def test_no_ways_are_no_order() -> None:
    assert in_turn([], b"", 5) == []
