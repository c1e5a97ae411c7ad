"""Five nodes in a line and in a star, over a lossy, reordering, doubling, delaying network, and nodes that come and go.

What must hold, whatever the seed: each period is paid once, or it is left behind with an event that says why; nobody is
asked for a second payment of one request; both books agree.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from helpers.engine import a_request
from helpers.rig import (
    PERIOD,
    Hand,
    assert_consistent,
    assert_paid,
    counters,
    outbound,
    publish,
    recurring,
    subscribe,
)
from lnrecur.bolt12 import Invoice, fields
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.bolt12.invoice_error import read_invoice_error
from lnrecur.messaging.messenger import ContentsKind, Delivered, DirectDestination, Messenger
from lnrecur.messaging.relay import RelayLimits, RelayVerdict
from lnrecur.ports import PeerAddress
from lnrecur.recurrence.outbound_model import Phase, Terms
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.service.courier import MessageSettings
from lnrecur.testing.network import Faults, RateLimit
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import REGTEST, NodeId, RecurrenceId
from lnrecur.wire.messages import OnionMessage

EAGER = Terms(request_retry=RetryPolicy(first_delay_s=5, cap_s=20), jitter_s=0)
"""Asks often enough that no window closes on bad luck alone."""
RELAYING = MessageSettings(relay=RelayLimits())
BAD = Faults(loss=0.08, doubling=0.2, reordering=0.3, lateness=0.3, late_s_max=5)
"""Of a message that passes four connections, and its answer, about half get lost."""
SEEDS = range(20)


async def a_line(rig: Rig) -> list[RigNode]:
    """Five nodes; each knows its neighbours, and everybody knows who is whose neighbour."""
    line = [await rig.join(name) for name in ("alice", "one", "two", "three", "merchant")]
    rig.network.lay_out([node.node_id for node in line])
    for left, right in pairwise(line[1:]):
        rig.graph.connect(left.node_id, right.node_id)
    return line


async def a_star(rig: Rig) -> list[RigNode]:
    """A hub and four leaves, who know nobody but the hub."""
    hub, *leaves = [await rig.join(name) for name in ("hub", "merchant", "alice", "bob", "carol")]
    rig.network.lay_out(*([hub.node_id, leaf.node_id] for leaf in leaves))
    return [hub, *leaves]


def passed_on(node: RigNode) -> int:
    assert node.services is not None
    return node.services.courier.relay.counts[RelayVerdict.PASSED_ON]


# --- bad networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
async def test_in_a_line_every_period_is_paid_once_over_three_relays(seed: int) -> None:
    async with Rig(seed, faults=BAD, messages=RELAYING) as rig:
        alice, one, two, three, merchant = await a_line(rig)
        watch = InvoiceWatch(rig)
        offer = publish(merchant, via=[three]) if seed % 2 else publish(merchant)
        subscription = subscribe(alice, offer, EAGER)
        await rig.run_for(5 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert outbound(alice, subscription).phase is Phase.COMPLETED
        assert min(map(passed_on, (one, two, three))) >= 8
        watch.assert_one_invoice_per_request()


@pytest.mark.parametrize("seed", SEEDS)
async def test_in_a_star_everybody_pays_everybody_once_through_the_hub(seed: int) -> None:
    async with Rig(seed, faults=replace(BAD, loss=0.15), messages=RELAYING) as rig:
        hub, merchant, alice, bob, carol = await a_star(rig)
        watch = InvoiceWatch(rig)
        offers = [publish(merchant, via=[hub]), publish(carol, via=[hub])]
        running = [(payer, subscribe(payer, offer, EAGER)) for payer in (alice, bob) for offer in offers]
        await rig.run_for(5 * PERIOD)
        assert_consistent(rig)
        for payer, subscription in running:
            assert_paid(rig, payer, subscription, 4)
        watch.assert_one_invoice_per_request()


@pytest.mark.parametrize("seed", SEEDS)
async def test_where_too_much_is_lost_each_period_is_paid_once_or_missed_with_a_reason(seed: int) -> None:
    """Of eight questions one gets its answer: two connections each way, and each loses four messages of ten."""
    async with Rig(seed, faults=replace(BAD, loss=0.4), messages=RELAYING) as rig:
        hub, merchant, alice, bob, _ = await a_star(rig)
        offer = publish(merchant, recurring(paywindow=Paywindow(0, 100)), via=[hub])
        impatient = Terms(request_retry=RetryPolicy(first_delay_s=20, cap_s=20, tries_max=5), jitter_s=0)
        running = {payer.name: (payer, subscribe(payer, offer, impatient)) for payer in (alice, bob)}
        await rig.run_for(5 * PERIOD)
        assert_consistent(rig)
        for payer, subscription in running.values():
            assert_told_why_it_ended(payer, subscription)


def assert_told_why_it_ended(payer: RigNode, subscription: RecurrenceId) -> None:
    """All is paid, or the first period that is not has an event with the reason."""
    state = outbound(payer, subscription)
    paid = counters(payer, subscription)
    assert paid == list(range(len(paid)))
    if state.phase is Phase.COMPLETED:
        assert paid == [0, 1, 2, 3]
        return
    assert state.phase is Phase.LAPSED
    [told] = [event for event in payer.manager.events() if event.name in ENDINGS]
    assert (told.subject, told.data["counter"]) == (subscription, len(paid))
    if told.name == "subscription.missed":
        assert (told.data["why"], told.at) == ("the pay window closed", told.data["closed_at"]), "at its deadline"
    else:
        assert told.data["why"] == "no invoice after 5 requests"


ENDINGS = ("subscription.given_up", "subscription.missed")


# --- nodes that come and go ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["one", "three", "merchant", "alice"])
async def test_a_node_of_the_line_that_is_away_for_a_while_loses_no_period(seed: int, name: str) -> None:
    async with Rig(seed, faults=replace(BAD, loss=0.03), messages=RELAYING) as rig:
        alice, _, _, three, merchant = await a_line(rig)
        subscription = subscribe(alice, publish(merchant, via=[three]), EAGER)
        await rig.run_for(PERIOD + PERIOD // 2)
        assert counters(alice, subscription) == [0, 1]
        rig.crash(name)
        await rig.run_for(PERIOD)  # the third period begins meanwhile
        assert counters(rig.nodes["alice"], subscription) == [0, 1]
        await rig.restart(name)
        await rig.run_for(3 * PERIOD)
        assert_paid(rig, rig.nodes["alice"], subscription, 4)


async def test_a_request_survives_the_restart_of_everybody_on_its_way() -> None:
    """Its answer is known by the path_id, which follows from the request and the seed."""
    patient = Terms(request_retry=RetryPolicy(first_delay_s=900), jitter_s=0)
    async with Rig(seed=3, messages=RELAYING) as rig:
        hub, merchant, alice, _, _ = await a_star(rig)
        watch = RequestWatch(rig, "alice")
        offer = publish(merchant, via=[hub])
        rig.network.faults = Faults(lateness=1.0, late_s_max=30)
        subscription = subscribe(alice, offer, patient)
        await rig.settle()
        assert watch.count == 1
        for name in ("alice", "hub", "merchant"):
            rig.crash(name)
            await rig.restart(name)
        await rig.run_for(130)
        assert counters(alice, subscription) == [0], "the first request was answered, no second one was sent"
        assert watch.count == 1


async def test_a_connection_that_breaks_between_request_and_answer_is_used_again_when_it_is_back() -> None:
    async with Rig(seed=4, messages=RELAYING) as rig:
        hub, merchant, alice, _, _ = await a_star(rig)
        offer = publish(merchant, via=[hub])
        rig.network.faults = Faults(lateness=1.0, late_s_max=4)
        subscription = subscribe(alice, offer, EAGER)
        await rig.settle()
        rig.network.disconnect(hub.node_id, alice.node_id)
        await rig.run_for(40)
        assert counters(alice, subscription) == []
        assert "no way to" in (outbound(alice, subscription).problem or "")
        rig.network.connect(hub.node_id, alice.node_id)
        await rig.run_for(60)
        assert counters(alice, subscription) == [0]


PATIENT = Terms(request_retry=RetryPolicy(first_delay_s=900), jitter_s=0)
"""By plan it asks again after a quarter of an hour: whatever comes earlier was not planned."""


async def test_a_request_that_nobody_took_goes_out_as_soon_as_a_peer_on_its_way_is_there() -> None:
    async with Rig(seed=10, messages=RELAYING) as rig:
        hub, merchant, alice, bob, _ = await a_star(rig)
        offer = publish(merchant, via=[hub])
        rig.network.disconnect(hub.node_id, alice.node_id)
        subscription = subscribe(alice, offer, PATIENT)
        await rig.run_for(60)
        request = outbound(alice, subscription).request
        assert "no way to" in (outbound(alice, subscription).problem or "")
        rig.network.connect(alice.node_id, bob.node_id)
        await rig.run_for(60)
        assert counters(alice, subscription) == [], "bob does not know the way"
        assert outbound(alice, subscription).request == request, "nothing was counted"
        rig.network.connect(alice.node_id, hub.node_id)
        await rig.run_for(1)
        assert counters(alice, subscription) == [0]


async def test_what_was_lost_with_a_connection_is_said_again_when_it_is_back_and_what_was_answered_is_not() -> None:
    async with Rig(seed=11, messages=RELAYING) as rig:
        hub, merchant, alice, _, _ = await a_star(rig)
        paid, lost = publish(merchant, via=[hub]), publish(merchant, via=[hub], description="another thing")
        done = subscribe(alice, paid, PATIENT)
        await rig.run_for(1)
        rig.network.faults.loss = 1.0
        subscription = subscribe(alice, lost, PATIENT)
        await rig.run_for(60)
        rig.network.faults.loss = 0.0
        assert (counters(alice, done), counters(alice, subscription)) == ([0], [])
        watch = RequestWatch(rig, "alice")
        rig.network.disconnect(hub.node_id, alice.node_id)
        rig.network.connect(hub.node_id, alice.node_id)
        await rig.run_for(1)
        assert counters(alice, subscription) == [0]
        assert watch.count == 1
        for _ in range(3):
            rig.network.disconnect(hub.node_id, alice.node_id)
            rig.network.connect(hub.node_id, alice.node_id)
            await rig.run_for(1)
        assert watch.count == 1, "nobody waits any more"


async def test_a_request_whose_peer_has_to_be_dialled_goes_out_once() -> None:
    async with Rig(seed=12) as rig:
        merchant, alice, _ = [await rig.join(name) for name in ("merchant", "alice", "bob")]
        rig.network.lay_out()
        rig.network.listening.add(merchant.node_id)
        watch = RequestWatch(rig, "alice")
        via = str(PeerAddress(merchant.node_id, "merchant.example", 9737))
        rig.network.faults.loss = 1.0
        subscription = subscribe(alice, publish(merchant), replace(EAGER, via=(via,)))
        await rig.settle()
        assert watch.count == 1
        rig.network.disconnect(merchant.node_id, alice.node_id)
        rig.network.faults.loss = 0.0
        await rig.run_for(10)
        assert counters(alice, subscription) == [0]
        assert watch.count == 2, "the planned resend dialled anew, and that was all"


async def test_a_peer_that_comes_is_no_reason_to_dial_another_one() -> None:
    async with Rig(seed=13) as rig:
        merchant, alice, bob = [await rig.join(name) for name in ("merchant", "alice", "bob")]
        rig.network.lay_out()
        via = str(PeerAddress(merchant.node_id, "merchant.example", 9737))
        subscription = subscribe(alice, publish(merchant), replace(PATIENT, via=(via,)))
        await rig.run_for(10)
        assert "does not listen" in (outbound(alice, subscription).problem or "")
        rig.network.listening.add(merchant.node_id)
        rig.network.connect(bob.node_id, alice.node_id)
        await rig.run_for(10)
        assert rig.network.peers_of(alice.node_id) == {bob.node_id}
        rig.network.connect(merchant.node_id, alice.node_id)
        await rig.run_for(1)
        assert counters(alice, subscription) == [0]


# --- Core Lightning's limit ------------------------------------------------------------------------------------------

MANY = 12


@pytest.mark.parametrize("paced", [True, False], ids=["paced", "not paced"])
async def test_paced_senders_lose_nothing_to_a_limit_that_drops_most_of_what_others_send(paced: bool) -> None:
    """Subscriptions of one payer that are all due in one second. Without pacing: the control of this experiment."""
    relay = RelayLimits(burst=1000, every_s=0.001)  # the hub is Core Lightning's: the network's limit stands for it
    settings = MessageSettings(relay=relay) if paced else MessageSettings(relay=relay, pace=None)
    patient = Terms(request_retry=RetryPolicy(first_delay_s=60), jitter_s=0)
    async with Rig(seed=5, messages=settings) as rig:
        rig.network.limit = RateLimit()
        hub, merchant, alice, _, _ = await a_star(rig)
        offers = [publish(merchant, via=[hub], description=f"thing {number}") for number in range(MANY)]
        running = [subscribe(alice, offer, patient) for offer in offers]
        await rig.run_for(30)
        paid = [counters(alice, subscription) for subscription in running].count([0])
        if paced:
            assert (paid, rig.network.throttled) == (MANY, 0)
        else:
            assert paid == 4, "a burst gets through, and the rest is dropped without a word"
            assert rig.network.throttled == MANY - 4
        await rig.run_for(200)
        assert [counters(alice, subscription) for subscription in running] == [[0]] * MANY, "resends mend it"


async def test_a_noisy_stranger_keeps_nobody_from_being_answered() -> None:
    """Answers to one peer, the hub, are paced; those of one payer wait behind their own, not behind another's."""
    relay = RelayLimits(burst=1000, every_s=0.001)
    async with Rig(seed=6, messages=MessageSettings(relay=relay)) as rig:
        hub, merchant, alice, _, _ = await a_star(rig)
        noisy = Hand(rig)
        rig.network.connect(noisy.messenger.node_id, hub.node_id)
        offer = publish(merchant, via=[hub])
        [path] = offer.paths or ()
        for number in range(40):
            values = {fields.INVREQ_CHAIN: REGTEST}
            request = a_request(0, offer, key=noisy.key, metadata=bytes([number]) * 16, values=values)
            await noisy.say(path, ContentsKind.INVOICE_REQUEST, request.to_bytes(), reply_via=[hub])
        began = rig.clock.precise()
        subscription = subscribe(alice, offer, EAGER)
        await rig.run_for(2)
        assert counters(alice, subscription) == [0], f"{rig.clock.precise() - began} seconds were not enough"
        assert len(noisy.got) < 20, "while most of the noise still waits"


async def test_several_introduction_peers_share_the_load() -> None:
    async with Rig(seed=7, messages=RELAYING) as rig:
        names = ("merchant", "alice", "one", "two", "three")
        merchant, alice, *hubs = [await rig.join(name) for name in names]
        rig.network.lay_out(*([merchant.node_id, hub.node_id, alice.node_id] for hub in hubs))
        offer = publish(merchant, via=hubs)
        running = [subscribe(alice, offer, EAGER) for _ in range(30)]
        await rig.run_for(5)
        assert [counters(alice, subscription) for subscription in running] == [[0]] * 30
        assert min(map(passed_on, hubs)) >= 8, "of sixty messages each has its share"


# --- path secrets ----------------------------------------------------------------------------------------------------


async def test_an_invoice_for_our_request_that_comes_another_way_than_ours_is_ignored() -> None:
    """A genuine invoice, asked for with the very bytes of our request by somebody who saw them."""
    patient = Terms(request_retry=RetryPolicy(first_delay_s=900), jitter_s=0)
    async with Rig(seed=8) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        hand = Hand(rig)
        offer = publish(merchant)
        rig.network.faults.loss = 1.0
        subscription = subscribe(alice, offer, patient)
        await rig.settle()
        rig.network.faults.loss = 0.0
        request = outbound(alice, subscription).request
        assert request is not None
        [invoice] = await hand.ask(offer, request.data)
        assert invoice.kind is ContentsKind.INVOICE
        assert alice.services is not None
        messenger, keys = alice.services.courier.messenger, alice.keyring.payer(subscription)
        ways = {
            "directly": DirectDestination(alice.node_id),
            "over a path with another secret": messenger.reply_path(bytes(32), hand.key),
        }
        for told, destination in ways.items():
            for kind in (ContentsKind.INVOICE, ContentsKind.INVOICE_ERROR):
                await hand.say(destination, kind, invoice.data)
                assert outbound(alice, subscription).request == request, f"{kind.name} {told}"
                assert counters(alice, subscription) == []
        path_id = keys.reply_path_id(request.data)
        await hand.say(messenger.reply_path(path_id, hand.key), ContentsKind.INVOICE, invoice.data)
        assert counters(alice, subscription) == [0], "with our secret it is taken, whoever brings it"


async def test_dummy_hops_at_the_end_of_our_paths_are_followed_and_hide_how_long_they_are() -> None:
    async with Rig(seed=9, messages=replace(RELAYING, dummy_hops=3)) as rig:
        hub, merchant, alice, _, _ = await a_star(rig)
        offer = publish(merchant, via=[hub])
        [path] = offer.paths or ()
        assert len(path.hops) == 5
        assert len({len(hop.encrypted_recipient_data) for hop in path.hops}) == 1
        subscription = subscribe(alice, offer, EAGER)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


# --- watching --------------------------------------------------------------------------------------------------------


class InvoiceWatch:
    """Sees which invoices reach their payers, and which requests their payees."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._invoices: dict[bytes, set[bytes]] = {}
        """For each request, by its metadata, the payment hashes it was answered with."""
        rig.network.watch(self._passing)

    def _passing(self, sender: NodeId, receiver: NodeId, message: OnionMessage) -> None:
        [node] = [node for node in self._rig.nodes.values() if node.node_id == receiver]
        opened = Messenger(node.keyring.identity).receive(message)
        if isinstance(opened, Delivered) and opened.contents is not None:
            if opened.contents.kind is ContentsKind.INVOICE:
                invoice = Invoice.from_bytes(opened.contents.data)
                self._invoices.setdefault(invoice.invreq_metadata or b"", set()).add(invoice.payment_hash)
            elif opened.contents.kind is ContentsKind.INVOICE_ERROR:
                told = read_invoice_error(opened.contents.data).text
                assert "is paid already" in told, "a copy that was under way for so long, and nothing else, is refused"

    def assert_one_invoice_per_request(self) -> None:
        """However often a request was resent or doubled, its answer was always the same invoice."""
        assert self._invoices
        assert {len(hashes) for hashes in self._invoices.values()} == {1}


class RequestWatch:
    """Counts what one node sends."""

    def __init__(self, rig: Rig, sender: str) -> None:
        self.count = 0
        self._rig, self._sender = rig, sender
        rig.network.watch(self._passing)

    def _passing(self, sender: NodeId, receiver: NodeId, message: OnionMessage) -> None:
        node = self._rig.nodes.get(self._sender)
        self.count += node is not None and node.node_id == sender
