"""What the scenarios share: offers and mandates on a rig, what must hold after every story, and sudden death."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer, OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.bolt12.invoice_error import read_invoice_error
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.messenger import (
    ContentsKind,
    Delivered,
    Destination,
    DirectDestination,
    MessageContents,
    Messenger,
)
from lnrecur.ports import OfferRecord, SentState
from lnrecur.recurrence.effects import Pay, SendCancel, SendInvoiceRequest
from lnrecur.recurrence.inbound_model import Inbound, subscription_id
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.outbound_model import Outbound, Terms
from lnrecur.service.assembly import Parts
from lnrecur.service.performer import pay_order
from lnrecur.testing.memory_node import MemoryMoneyNode
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.values import Msat, NodeId, RecurrenceId, UnixSeconds
from lnrecur.wire.messages import OnionMessage

PRICE = Msat(10_000)
PERIOD = 1000
WINDOW = Paywindow(100, 900)
DAY = 86_400
END = UnixSeconds(2**62)
"""Later than anything is due."""


def recurring(**changes: Any) -> Recurrence:
    """Every thousand seconds, to be paid from 100 seconds before to 900 after, four times."""
    return replace(Recurrence(TimeUnit.SECONDS, PERIOD, paywindow=WINDOW, limit=3), **changes)


def publish(
    merchant: RigNode, recurrence: Recurrence | None = None, *, policy: OfferPolicy | None = None,
    blinded: bool = False, via: Sequence[RigNode] = (), **changes: Any
) -> Offer:  # fmt: skip
    """Have the merchant publish an offer at ten sat."""
    terms = OfferTerms(description="a thing", amount=PRICE, recurrence=recurrence or recurring())
    record: OfferRecord = merchant.payee.create_offer(
        replace(terms, **changes), policy or OfferPolicy(), blinded=blinded, via=[peer.node_id for peer in via]
    )
    return Offer.from_bytes(record.offer)


def subscribe(payer: RigNode, offer: Offer, terms: Terms | None = None, **mandate: Any) -> RecurrenceId:
    """Have the payer subscribe under a mandate of ten sat a period, or what is said otherwise.

    Without jitter, unless the terms say how much, so that a test can tell when what happens.
    """
    limits = replace(Mandate(max_per_period_msat=PRICE), **mandate)
    terms = terms or Terms()
    terms = replace(terms, jitter_s=0) if terms.jitter_s is None else terms
    return payer.payer.subscribe(offer, limits, terms).recurrence_id


def outbound(payer: RigNode, recurrence_id: RecurrenceId) -> Outbound:
    """A subscription as the payer has it."""
    stored = payer.manager.outbound(recurrence_id)
    assert stored is not None
    return stored.state


def inbound(merchant: RigNode, offer: Offer, payer: RigNode, recurrence_id: RecurrenceId) -> Inbound | None:
    """The same subscription as the payee has it."""
    stored = merchant.manager.inbound(offer.offer_id, payer.keyring.payer(recurrence_id).payer_id)
    return None if stored is None else stored.state


def events(node: RigNode, name: str | None = None) -> list[str]:
    """The names in a node's event log, in order, or those of one name."""
    return [event.name for event in node.manager.events() if name in (None, event.name)]


def counters(node: RigNode, subject: bytes) -> list[int]:
    """The counters in a node's books, in order of settlement."""
    return [paid.booking.counter for paid in node.manager.payments(subject)]


def assert_paid(rig: Rig, payer: RigNode, recurrence_id: RecurrenceId, payments: int) -> None:
    """So many periods are paid, each once, and everything agrees."""
    assert_consistent(rig)
    assert counters(payer, recurrence_id) == list(range(payments))
    offer = outbound(payer, recurrence_id).offer
    payee = payee_of(rig, offer)
    subject = subscription_id(offer.offer_id, payer.keyring.payer(recurrence_id).payer_id)
    assert counters(payee, subject) == list(range(payments))


def payee_of(rig: Rig, offer: Offer) -> RigNode:
    """Whose offer it is."""
    [found] = [node for node in rig.nodes.values() if node.manager.offer(offer.offer_id) is not None]
    return found


def assert_consistent(rig: Rig) -> None:
    """What must be true of every world at every quiet moment in which no payment is in flight."""
    settled = {
        payment_hash: payment
        for payment_hash, payment in rig.ledger.payments.items()
        if payment.sent.state is SentState.SUCCEEDED
    }
    booked: dict[str, set[tuple[bytes, int, bytes]]] = {"payer": set(), "payee": set()}
    for node in rig.nodes.values():
        for paid in node.manager.payments():
            assert sha256(paid.booking.preimage) == paid.booking.payment_hash
            assert not paid.booking.surplus
        for state in node.manager.outbounds():
            if state.one_off:
                continue
            lines = node.manager.payments(state.recurrence_id)
            payer_id = node.keyring.payer(state.recurrence_id).payer_id
            once = [paid.booking.counter for paid in lines]
            assert once == sorted(set(once)), "P1: each counter once, in order"
            assert len(once) == state.payments == state.next_counter - state.waived - state.adopted, "none left out"
            assert sum(paid.booking.amount_msat for paid in lines) == state.paid_msat
            booked["payer"] |= _lines(subscription_id(state.offer.offer_id, payer_id), lines)
        for known in node.manager.inbounds():
            if known.recurring:
                booked["payee"] |= _lines(known.subscription_id, node.manager.payments(known.subscription_id))
    assert booked["payer"] == booked["payee"], "P6: both sides have booked the same payments"
    hashes = [line[2] for line in booked["payer"]]
    assert len(hashes) == len(set(hashes))
    assert set(hashes) <= set(settled)
    one_off = {
        paid.booking.payment_hash
        for node in rig.nodes.values()
        for known in node.manager.inbounds()
        if not known.recurring
        for paid in node.manager.payments(known.subscription_id)
    }
    assert set(settled) == set(hashes) | one_off, "every payment that settled is in the books"


def _lines(subject: bytes, payments: Any) -> set[tuple[bytes, int, bytes]]:
    return {(subject, paid.booking.counter, bytes(paid.booking.payment_hash)) for paid in payments}


# --- what leaves a node must stand in its store (P4) -----------------------------------------------------------------


@dataclass
class IntentWatch:
    """Looks at every message and every payment order that leaves, and asserts that its intent was stored before."""

    rig: Rig
    requests: list[bytes] = field(default_factory=list)
    """The invoice_requests that were sent, in order."""
    orders: list[bytes] = field(default_factory=list)
    """The payment hashes that money nodes were told to pay, in order."""
    strangers: dict[NodeId, PrivateKey] = field(default_factory=dict)
    """Nodes on the network that are none of the rig's, and the keys that open what they get."""

    def __post_init__(self) -> None:
        self.rig.network.watch(self._message)

    def _message(self, sender: NodeId, receiver: NodeId, message: OnionMessage) -> None:
        nodes = {node.node_id: node for node in self.rig.nodes.values()}
        key = self.strangers.get(receiver) or nodes[receiver].keyring.identity
        opened = Messenger(key).receive(message)
        if not isinstance(opened, Delivered) or opened.contents is None or sender not in nodes:
            return
        if opened.contents.kind is not ContentsKind.INVOICE_REQUEST:
            return
        request = opened.contents.data
        self.requests.append(request)
        assert request in _stored_requests(nodes[sender]), "P4: a request left that the store does not know"

    def dress(self, name: str) -> Callable[[Parts], Parts]:
        """For `Rig.join`: watch the payment orders of a node."""

        def watched(parts: Parts) -> Parts:
            return replace(parts, node=_WatchedNode(parts.node, self, name))  # type: ignore[arg-type]

        return watched


class _WatchedNode:
    def __init__(self, inner: Any, watch: IntentWatch, name: str) -> None:
        self._inner, self._watch, self._name = inner, watch, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def pay(self, order: Any) -> None:
        manager = self._watch.rig.nodes[self._name].manager
        pending = [state.payment.payment_hash for state in manager.outbounds() if state.payment is not None]
        assert order.payment_hash in pending, "P4: a payment was ordered that the store does not know"
        self._watch.orders.append(order.payment_hash)
        await self._inner.pay(order)


def _stored_requests(node: RigNode) -> list[bytes]:
    pending = [state.request.data for state in node.manager.outbounds() if state.request is not None]
    deeds = [entry.effect for entry in node.manager.due_outbox(END, 1000)]
    return pending + [deed.request for deed in deeds if isinstance(deed, SendInvoiceRequest | SendCancel)]


# --- sudden death ----------------------------------------------------------------------------------------------------


class Crashed(BaseException):
    """The process is no more. No `except Exception` may catch it."""


@dataclass
class Death:
    """Kills a node at its n-th step out of itself, just before or just after: store, money node and network alike.

    Each call of the store that writes, of the money node and of the network is two such moments.
    """

    rig: Rig
    name: str
    moments: list[int]
    """The moments of death, counted over all lives; each next one from the one before."""
    armed: bool = False
    """Whether it may happen yet: people's own calls (publish, subscribe) fail in their faces, and come before."""
    passed: int = 0
    died: list[str] = field(default_factory=list)
    """What was being done, at each death."""

    def dress(self, parts: Parts) -> Parts:
        """For `Rig.join`."""
        life = _Life(self)
        return replace(
            parts,
            manager=_Mortal("store", parts.manager, life, READS),  # type: ignore[arg-type]
            node=_Mortal("money", parts.node, life, frozenset({"receipts", "info", "inbound_edges"})),  # type: ignore[arg-type]
            link=_Mortal("link", parts.link, life, frozenset({"peers", "on_message", "on_peer", "reach"})),  # type: ignore[arg-type]
        )


READS = frozenset(
    {
        "offer", "offers", "inbound", "inbounds", "outbound", "outbounds", "due_outbounds", "due_outbox", "next_wake",
        "receipt_cursor", "events", "payments", "add_offer", "close",
    }
)  # fmt: skip


class _Life:
    def __init__(self, death: Death) -> None:
        self._death = death
        self._over = False

    def check(self) -> None:
        """The dead do nothing."""
        if self._over:
            raise Crashed

    def moment(self, what: str) -> None:
        """One of the moments that may be the last."""
        self.check()
        death = self._death
        if not death.armed:
            return
        death.passed += 1
        if death.moments and death.passed == death.moments[0]:
            death.moments.pop(0)
            death.passed = 0
            death.died.append(what)
            self._over = True
            death.rig.crash(death.name)
            raise Crashed(what)


class _Mortal:
    """A part of a node that dies with it."""

    def __init__(self, label: str, inner: Any, life: _Life, harmless: frozenset[str]) -> None:
        self._label, self._inner, self._life, self._harmless = label, inner, life, harmless

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        life, harmless = self._life, name in self._harmless
        told = f"{self._label}.{name}"
        if inspect.iscoroutinefunction(found):

            async def later(*args: Any, **kwargs: Any) -> Any:
                life.check() if harmless else life.moment(f"before {told}")
                answer = await found(*args, **kwargs)
                life.check() if harmless else life.moment(f"after {told}")
                return answer

            return later

        def at_once(*args: Any, **kwargs: Any) -> Any:
            life.check() if harmless else life.moment(f"before {told}")
            answer = found(*args, **kwargs)
            life.check() if harmless else life.moment(f"after {told}")
            return answer

        return at_once


async def live_through(rig: Rig, seconds: int, *, down_s: int = 3, look_s: int = 5) -> None:
    """Let time pass, and bring back whoever died, `down_s` seconds after it was found dead."""
    until = rig.clock.now() + seconds
    while rig.clock.now() < until:
        await rig.run_until(min(until, rig.clock.now() + look_s))
        for name, node in rig.nodes.items():
            if node.services is None:
                await rig.run_for(down_s)
                await rig.restart(name)


# --- somebody who writes messages by hand ----------------------------------------------------------------------------


class Hand:
    """A peer without any services: it sends what it is told, and keeps what it gets."""

    def __init__(self, rig: Rig, number: int = 1) -> None:
        self._rig = rig
        key = PrivateKey(sha256(b"hand", bytes([number])))
        self.key = PrivateKey(sha256(b"payer key of a hand", bytes([number])))
        self.messenger = Messenger(key)
        self.account = MemoryMoneyNode(rig.ledger, key, rig.clock)
        self.got: list[Delivered] = []
        self._link = rig.network.link(self.messenger.node_id)
        self._link.on_message(self._arrived)
        self._entropy = SeededEntropy(number)

    @property
    def answers(self) -> list[MessageContents]:
        """The contents of what it got."""
        return [delivered.contents for delivered in self.got if delivered.contents is not None]

    async def say(
        self, to: Destination, kind: ContentsKind, data: bytes, *, path_id: bytes = bytes(32),
        reply_via: Sequence[RigNode] = ()
    ) -> None:  # fmt: skip
        """Send contents with a reply path, and wait until everything that follows has happened."""
        via = [node.node_id for node in reply_via]
        reply = self.messenger.reply_path(path_id, PrivateKey(self._entropy.take(32)), via)
        out = self.messenger.compose(to, MessageContents(kind, data), self._entropy.take(64), reply)
        await self._link.send(out.first_hop, out.message)
        await self._rig.settle()

    async def ask(self, offer: Offer, request: InvoiceRequest | bytes) -> list[MessageContents]:
        """Send an invoice_request to the issuer of an offer; answers what comes back.

        It takes a breath before it asks, for answers to one peer are paced.
        """
        await self._rig.run_for(1)
        before = len(self.answers)
        data = request if isinstance(request, bytes) else request.to_bytes()
        to = offer.paths[0] if offer.paths else DirectDestination(NodeId(offer.issuer_id or b""))
        await self.say(to, ContentsKind.INVOICE_REQUEST, data)
        return self.answers[before:]

    async def invoice(self, offer: Offer, request: InvoiceRequest) -> Invoice:
        """The one invoice that answers a request."""
        [answer] = await self.ask(offer, request)
        assert answer.kind is ContentsKind.INVOICE
        return Invoice.from_bytes(answer.data)

    async def refusal(self, offer: Offer, request: InvoiceRequest | bytes) -> str:
        """The text of the one invoice_error that answers a request."""
        [answer] = await self.ask(offer, request)
        assert answer.kind is ContentsKind.INVOICE_ERROR
        return read_invoice_error(answer.data).text

    async def pay(self, invoice: Invoice) -> SentState:
        """Pay an invoice; answers how far the payment is when everything is quiet."""
        effect = Pay(invoice.payment_hash, invoice.to_bytes(), invoice.invoice_amount, Msat(1000))
        await self.account.pay(pay_order(effect))
        await self._rig.settle()
        return (await self.account.sent(invoice.payment_hash)).state

    async def _arrived(self, peer: NodeId, message: OnionMessage) -> None:
        opened = self.messenger.receive(message)
        assert isinstance(opened, Delivered)
        self.got.append(opened)
