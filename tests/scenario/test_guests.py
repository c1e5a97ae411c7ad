"""Payees and payers that speak under the id of a host, as a plugin of Core Lightning does: nobody can tell."""

from __future__ import annotations

import pytest

from helpers.hosts import house, join_as_guest
from helpers.rig import PERIOD, assert_consistent, assert_paid, counters, events, outbound, publish, subscribe
from lnrecur.messaging.messenger import ContentsKind, DirectDestination, MessageContents
from lnrecur.messaging.relay import RelayLimits
from lnrecur.recurrence.outbound_model import Phase, Terms
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.service.courier import MessageSettings
from lnrecur.testing.network import Faults, RateLimit
from lnrecur.testing.rig import Rig

EAGER = Terms(request_retry=RetryPolicy(first_delay_s=5, cap_s=20), jitter_s=0)


async def test_two_guests_sell_and_pay_a_subscription_under_their_hosts_ids() -> None:
    async with Rig(seed=1) as rig:
        merchant, shop = await join_as_guest(rig, "merchant")
        alice, home = await join_as_guest(rig, "alice")
        offer = publish(merchant)
        assert [path.first_node_id for path in offer.paths or ()] == [shop.messenger.node_id]
        assert offer.issuer_id is not None
        assert offer.issuer_id not in (shop.messenger.node_id, merchant.keyring.node_id)
        subscription = subscribe(alice, offer)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert outbound(alice, subscription).phase is Phase.COMPLETED
        assert not shop.passed_by
        assert not home.passed_by, "answers are ours, and no plugin of the host sees them"


@pytest.mark.parametrize("guest", ["merchant", "alice"])
async def test_a_guest_deals_with_a_node_of_its_own_name(guest: str) -> None:
    async with Rig(seed=2) as rig:
        merchant = (await join_as_guest(rig, "merchant"))[0] if guest == "merchant" else await rig.join("merchant")
        alice = (await join_as_guest(rig, "alice"))[0] if guest == "alice" else await rig.join("alice")
        offer = publish(merchant)
        subscription = subscribe(alice, offer)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


@pytest.mark.parametrize("seed", range(5))
async def test_over_relays_that_lose_and_limit_messages_every_period_is_paid_once(seed: int) -> None:
    bad = Faults(loss=0.08, doubling=0.2, reordering=0.3, lateness=0.3, late_s_max=5)
    async with Rig(seed, faults=bad, messages=MessageSettings(relay=RelayLimits())) as rig:
        alice, home = await join_as_guest(rig, "alice")
        middle, bob = await rig.join("middle"), await rig.join("bob")
        merchant, shop = await join_as_guest(rig, "merchant")
        rig.network.limit = RateLimit()
        rig.network.lay_out([home.messenger.node_id, middle.node_id, bob.node_id, shop.messenger.node_id])
        rig.graph.connect(middle.node_id, bob.node_id)
        rig.graph.connect(bob.node_id, shop.messenger.node_id)
        rig.graph.connect(middle.node_id, home.messenger.node_id)
        offer = publish(merchant)
        subscription = subscribe(alice, offer, EAGER)
        await rig.run_for(5 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_private_host_is_hidden_behind_its_peer_and_answers_leave_by_that_peer_only() -> None:
    async with Rig(seed=3, messages=MessageSettings(relay=RelayLimits())) as rig:
        merchant, shop = await join_as_guest(rig, "merchant")
        peer, alice = await rig.join("peer"), await rig.join("alice")
        rig.network.lay_out(
            [alice.node_id, peer.node_id, shop.messenger.node_id], [alice.node_id, shop.messenger.node_id]
        )
        shop.begin_at = (peer.node_id,)
        told: list[tuple[bytes, bytes]] = []
        rig.network.watch(lambda sender, receiver, message: told.append((sender, receiver)))
        offer = publish(merchant)
        assert [path.first_node_id for path in offer.paths or ()] == [peer.node_id]
        subscription = subscribe(alice, offer)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert (shop.messenger.node_id, alice.node_id) not in told, "alice is a peer, and must not see who answers"


async def test_a_message_that_is_not_ours_reaches_the_hosts_own_plugins() -> None:
    async with Rig(seed=4) as rig:
        merchant, shop = await join_as_guest(rig, "merchant")
        stranger = await rig.join("stranger")
        offer = publish(merchant)
        assert stranger.services is not None
        speak, link = stranger.services.courier.messenger, rig.network.links[stranger.node_id]
        theirs = shop.messenger.reply_path(bytes(32), stranger.keyring.identity)
        invoice = MessageContents(ContentsKind.INVOICE, b"")
        request = MessageContents(ContentsKind.INVOICE_REQUEST, b"no request at all")
        destinations = [theirs, DirectDestination(shop.messenger.node_id), (offer.paths or ())[0]]
        for destination, contents in zip(destinations, (invoice, request, request), strict=True):
            sent = speak.compose(destination, contents, bytes(range(64)))
            await link.send(sent.first_hop, sent.message)
        await rig.settle()
        assert [found.contents for found in shop.passed_by] == [invoice, request, request]
        assert not events(merchant, "subscription.started")


async def test_an_answer_after_a_crash_is_known_for_ours_before_the_daemon_runs_again() -> None:
    async with Rig(seed=5) as rig:
        merchant, _ = await join_as_guest(rig, "merchant")
        alice, home = await join_as_guest(rig, "alice")
        offer = publish(merchant)
        subscription = subscribe(alice, offer)
        rig.network.watch(lambda sender, receiver, message: rig.crash("alice") if alice.services else None)
        await rig.run_for(3)
        assert alice.services is None
        assert not home.passed_by
        assert counters(alice, subscription) == []
        await rig.restart("alice")
        house(alice, home)
        rig.network._watchers.clear()
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_guest_can_buy_from_itself_over_its_host() -> None:
    async with Rig(seed=6) as rig:
        merchant, shop = await join_as_guest(rig, "merchant")
        offer = publish(merchant)
        subscription = subscribe(merchant, offer)
        await rig.run_for(4 * PERIOD)
        assert counters(merchant, subscription) == [0, 1, 2, 3]
        assert_consistent(rig)
        assert not shop.passed_by
