"""Payer and payee who are no peers of each other: offers through introduction peers, reply paths, routes, channels."""

from dataclasses import replace

import pytest

from helpers.engine import a_request
from helpers.rig import PERIOD, Hand, assert_paid, outbound, publish, subscribe
from lnrecur.bolt12 import Invoice, fields
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents
from lnrecur.messaging.relay import RelayLimits, RelayVerdict
from lnrecur.onion.blinding import blind_path
from lnrecur.onion.payloads import EncryptedData
from lnrecur.ports import PeerAddress, PeerUnreachable, SentState
from lnrecur.recurrence.outbound_model import Terms
from lnrecur.service.assembly import Parts
from lnrecur.service.courier import MessageSettings
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import REGTEST, NodeId, Point, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.messages import OnionMessage

RELAYING = MessageSettings(relay=RelayLimits(burst=100))
MUTE = MessageSettings()
"""A peer that takes onion messages and passes none on."""


async def a_star(rig: Rig, *leaves: str) -> list[RigNode]:
    """A hub that relays, and leaves that know nobody else."""
    hub, *rest = [await rig.join(name) for name in ("hub", *leaves)]
    rig.network.lay_out(*([hub.node_id, leaf.node_id] for leaf in rest))
    return [hub, *rest]


async def test_an_offer_through_a_peer_is_asked_and_answered_through_it() -> None:
    async with Rig(seed=1, messages=RELAYING) as rig:
        hub, merchant, alice = await a_star(rig, "merchant", "alice")
        offer = publish(merchant, via=[hub])
        assert offer.issuer_id is None
        assert [path.first_node_id for path in offer.paths or ()] == [hub.node_id]
        assert merchant.node_id not in offer.to_bytes(), "nothing in the offer names the merchant's node"
        subscription = subscribe(alice, offer)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert hub.services is not None
        assert hub.services.courier.relay.counts[RelayVerdict.PASSED_ON] == 8, "four requests and four invoices"


async def test_a_hub_that_does_not_relay_leaves_both_sides_alone_and_counts() -> None:
    async with Rig(seed=2) as rig:
        hub, merchant, alice = await a_star(rig, "merchant", "alice")
        subscription = subscribe(alice, publish(merchant, via=[hub]))
        await rig.run_for(PERIOD)
        assert outbound(alice, subscription).payments == 0
        assert hub.services is not None
        counts = hub.services.courier.relay.counts
        assert counts[RelayVerdict.NOT_RELAYING] > 1
        assert counts[RelayVerdict.PASSED_ON] == 0


async def test_when_the_first_introduction_is_dead_the_next_resend_goes_along_the_next_path() -> None:
    for seed in range(4):  # whichever of the two is asked first
        async with Rig(seed, messages=RELAYING) as rig:
            one, two = await rig.join("one"), await rig.join("two", dress=_mute)
            merchant, alice = await rig.join("merchant"), await rig.join("alice")
            ids = [node.node_id for node in (one, two, merchant, alice)]
            rig.network.lay_out([ids[2], ids[0], ids[3]], [ids[2], ids[1], ids[3]])
            offer = publish(merchant, via=[two, one])
            assert len(offer.paths or ()) == 2
            assert offer.issuer_id not in (None, *ids), "a key for this offer alone signs, whichever path was taken"
            subscription = subscribe(alice, offer)
            await rig.run_for(10)
            assert outbound(alice, subscription).payments == 1, "at the first or at the second try"
            await rig.run_for(4 * PERIOD)
            assert_paid(rig, alice, subscription, 4)


async def test_an_introduction_that_is_no_peer_is_reached_over_a_route_of_nodes() -> None:
    async with Rig(seed=3, messages=RELAYING) as rig:
        alice, near, far, merchant = [await rig.join(name) for name in ("alice", "near", "far", "merchant")]
        line = [node.node_id for node in (alice, near, far, merchant)]
        rig.network.lay_out(line)
        subscription = subscribe(alice, publish(merchant, via=[far]))
        await rig.run_for(10)
        told = "neither an address of it nor a route"
        assert told in (outbound(alice, subscription).problem or ""), "nobody knows the way yet"
        rig.graph.connect(near.node_id, far.node_id)
        await rig.run_for(100)
        assert outbound(alice, subscription).payments == 1
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_route_with_a_mute_node_is_left_for_another_one_by_both_sides() -> None:
    """Payer and payee each have two neighbours; one of each passes nothing on, and nobody says so."""
    for seed in range(4):
        async with Rig(seed, messages=RELAYING) as rig:
            mute = [await rig.join(name, dress=_mute) for name in ("mute one", "mute two")]
            good = [await rig.join(name) for name in ("good one", "good two")]
            alice, merchant = await rig.join("alice"), await rig.join("merchant")
            for one, two in (mute, good):
                rig.graph.connect(one.node_id, two.node_id)
                rig.graph.connect(two.node_id, merchant.node_id)
            a, m = alice.node_id, merchant.node_id
            rig.network.lay_out(*([a, one.node_id, two.node_id, m] for one, two in (mute, good)))
            subscription = subscribe(alice, publish(merchant))
            await rig.run_for(12)
            assert outbound(alice, subscription).payments == 1, "at the second try at the latest"


def _mute(parts: Parts) -> Parts:
    return replace(parts, messages=MUTE)


async def test_a_request_that_comes_again_over_another_path_of_the_offer_gets_the_very_same_invoice() -> None:
    """The payer may have got none, and must not end with two invoices for one period."""
    async with Rig(seed=10, messages=RELAYING) as rig:
        one, two, merchant = [await rig.join(name) for name in ("one", "two", "merchant")]
        hand = Hand(rig)
        offer = publish(merchant, via=[one, two])
        assert offer.paths is not None
        assert [path.first_node_id for path in offer.paths] == [one.node_id, two.node_id]
        values = {fields.INVREQ_CHAIN: REGTEST}
        request = a_request(0, offer, key=hand.key, values=values)
        for path in offer.paths:
            await hand.say(path, ContentsKind.INVOICE_REQUEST, request.to_bytes())
            await rig.run_for(5)
        first, second = hand.answers
        assert first == second
        invoice = Invoice.from_bytes(first.data).verify_answers(request, offer.issuer_id or Point(b""))
        assert invoice.node_id == offer.issuer_id
        assert await hand.pay(invoice) is SentState.SUCCEEDED


async def test_a_plain_offer_of_somebody_far_away_is_paid_over_a_route_and_answered_backwards() -> None:
    async with Rig(seed=4, messages=RELAYING) as rig:
        alice, near, far, merchant = [await rig.join(name) for name in ("alice", "near", "far", "merchant")]
        rig.network.lay_out([node.node_id for node in (alice, near, far, merchant)])
        for one, other in ((near, far), (far, merchant)):
            rig.graph.connect(one.node_id, other.node_id)
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_an_introduction_that_listens_is_dialled_at_the_address_that_the_subscriber_names() -> None:
    async with Rig(seed=5, messages=RELAYING) as rig:
        hub, merchant, alice = await a_star(rig, "merchant", "alice")
        rig.network.disconnect(hub.node_id, alice.node_id)
        rig.network.listening.add(hub.node_id)
        address = str(PeerAddress(hub.node_id, "hub.example", 9737))
        subscription = subscribe(alice, publish(merchant, via=[hub]), Terms(via=(address,)))
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_the_introduction_peer_itself_subscribes_and_takes_its_own_hop_off() -> None:
    async with Rig(seed=9) as rig:
        hub, merchant, _ = await a_star(rig, "merchant", "alice")
        subscription = subscribe(hub, publish(merchant, via=[hub]))
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, hub, subscription, 4)


async def test_an_introduction_peer_that_is_not_connected_or_named_twice_is_refused() -> None:
    async with Rig(seed=7) as rig:
        hub, merchant, alice = await a_star(rig, "merchant", "alice")
        with pytest.raises(UsageError, match="no connected peer"):
            publish(merchant, via=[alice])
        with pytest.raises(UsageError, match="twice"):
            publish(merchant, via=[hub, hub])
        assert list(merchant.manager.offers()) == []


@pytest.mark.parametrize("way_back", [True, False])
async def test_who_connects_to_a_hidden_payee_and_asks_it_is_not_answered_directly(way_back: bool) -> None:
    """Somebody asks through the hub, waits at the merchant's door too, and has the reply path begin at themselves."""
    async with Rig(seed=11, messages=RELAYING) as rig:
        hub, merchant = await a_star(rig, "merchant")
        spy = Hand(rig)
        rig.network.connect(spy.messenger.node_id, merchant.node_id)
        rig.network.connect(spy.messenger.node_id, hub.node_id)
        offer = publish(merchant, via=[hub])
        passed: list[tuple[NodeId, NodeId]] = []

        def note(sender: NodeId, receiver: NodeId, message: OnionMessage) -> None:
            passed.append((sender, receiver))
            if not way_back and receiver == hub.node_id:
                rig.network.disconnect(spy.messenger.node_id, hub.node_id)

        rig.network.watch(note)
        values = {fields.INVREQ_CHAIN: REGTEST}
        wanted, unwanted = (a_request(0, offer, key=spy.key, values={**values, **more}) for more in ({}, TOO_LITTLE))
        for request in (wanted, unwanted):
            await spy.ask(offer, request)
            rig.network.connect(spy.messenger.node_id, hub.node_id)
        assert len(spy.answers) == (2 if way_back else 0)
        assert (merchant.node_id, spy.messenger.node_id) not in passed
        assert passed.count((merchant.node_id, hub.node_id)) == 2


TOO_LITTLE = {fields.INVREQ_AMOUNT: 1}


@pytest.mark.parametrize("known", [True, False])
async def test_a_relay_and_a_sender_find_nodes_that_a_path_names_by_channels(known: bool) -> None:
    """A path as LDK and Core Lightning make them where they save bytes: hub by a channel end, merchant by a channel."""
    async with Rig(seed=8, messages=RELAYING) as rig:
        hub, merchant, alice = await a_star(rig, "merchant", "alice")
        channel = ShortChannelId(103 << 40 | 2 << 16 | 1)
        if known:
            rig.graph.add_channel(channel, hub.node_id, merchant.node_id)
        direction = sorted((hub.node_id, merchant.node_id)).index(hub.node_id)
        own = own_path(merchant)
        told = EncryptedData(short_channel_id=channel, next_path_key_override=own.first_path_key)
        front = blind_path(SESSION, [(hub.node_id, told.to_bytes())])
        path = BlindedPath(ChannelDirection(channel, direction), front.first_path_key, front.hops + own.hops)
        assert alice.services is not None
        assert hub.services is not None
        assert merchant.services is not None
        got: list[bytes] = []

        async def note(delivered: Delivered, contents: MessageContents, peer: NodeId) -> None:
            got.append(contents.data)

        merchant.services.courier.deliver_to(ContentsKind.INVOICE_ERROR, note)
        hello = MessageContents(ContentsKind.INVOICE_ERROR, b"hello")
        sending = alice.services.courier.answer(path, hello, hub.node_id, in_hiding=False)
        if known:
            await sending
            await rig.settle()
            assert got == [b"hello"]
            return
        with pytest.raises(PeerUnreachable, match="103x2x1"):
            await sending
        # And the relay, for somebody who knows the hub by its name, drops what it cannot place.
        named = replace(path, first_node_id=Point(hub.node_id))
        await alice.services.courier.answer(named, hello, hub.node_id, in_hiding=False)
        await rig.settle()
        assert got == []
        assert hub.services.courier.relay.counts[RelayVerdict.NO_PEER] == 1


SESSION = PrivateKey(b"\x07" * 32)


def own_path(node: RigNode) -> BlindedPath:
    """One hop to a node."""
    assert node.services is not None
    return node.services.courier.messenger.reply_path(bytes(32), PrivateKey(b"\x08" * 32))
