"""Whoever watches a simulated world: stands between every node and its parts, and shows the promises what passes.

A breach is kept and raised when the world comes to rest (`Rig.on_moment`), since what is raised inside a service is
handled there as trouble of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

from lnrecur.crypto.hashes import sha256
from lnrecur.messaging.errors import MessagingError
from lnrecur.messaging.messenger import ContentsKind, Delivered, Forward, Messenger
from lnrecur.ports import (
    Change,
    MoneyNode,
    PayOrder,
    Receivable,
    ReceiveOrder,
    RecurrenceManager,
    Role,
    StoredEvent,
)
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.recurrence.receive_context import open_context
from lnrecur.service.assembly import Parts
from lnrecur.testing.rig import Rig
from lnrecur.testing.simulator.facts import Facts, Settlement
from lnrecur.testing.simulator.plan import front_of
from lnrecur.testing.simulator.promises import PROMISES, Commit, Promise, PromiseBroken
from lnrecur.testing.simulator.trace import Line, Trace
from lnrecur.values import Msat, NodeId, PaymentHash, Preimage
from lnrecur.wire.messages import OnionMessage

_BATCH = 1000


class Witness:
    """Sees everything, and forgets nothing that matters to a promise."""

    def __init__(self, rig: Rig, facts: Facts, trace: Trace, promises: Iterable[type[Promise]] = PROMISES) -> None:
        self.facts = facts
        self.trace = trace
        self.breach: PromiseBroken | None = None
        self.listeners: list[Any] = []
        """Called with every commit, once the promises have seen it."""
        self._rig = rig
        self._promises = [promise(facts) for promise in promises]
        self._minded: dict[str, list[Callable[..., None]]] = {}
        self._messengers: dict[NodeId, tuple[str, Messenger]] = {}
        self._read: dict[str, int] = {}
        rig.network.watch(self._message)
        rig.ledger.on_settled.append(self._settled)
        rig.on_moment = self._moment

    def dress(self, name: str, parts: Parts) -> Parts:
        """For `Rig.join`: stand between a node and its store and money node."""
        self.facts.stores[name] = parts.manager
        self._messengers.clear()
        manager = cast(RecurrenceManager, _WatchedStore(parts.manager, self, name))
        return replace(parts, manager=manager, node=cast(MoneyNode, _WatchedMoney(parts.node, self, name)))

    def copied(self, node: str, twin: str) -> None:
        """A second daemon begins with the books of a first."""
        self._read[twin] = self._read.get(node, 0)
        self.tell("copied", node, twin)

    def tell(self, what: str, *args: Any) -> None:
        """Show something to every promise; the first breach counts."""
        for heard in self._minded.get(what) or self._minding(what):
            try:
                heard(*args)
            except PromiseBroken as broken:
                self.breach = self.breach or broken

    def _minding(self, what: str) -> list[Callable[..., None]]:
        """Those promises' methods for something that do not ignore it."""
        minding = [one for one in self._promises if getattr(type(one), what) is not getattr(Promise, what)]
        return self._minded.setdefault(what, [getattr(promise, what) for promise in minding])

    def raise_breach(self) -> None:
        """Stop here if a promise is broken.

        Raises:
            PromiseBroken: the first breach.
        """
        if self.breach is not None:
            raise self.breach

    def note(self, node: str, kind: str, told: str, slots: tuple[int, ...] = (), **data: str | int | None) -> None:
        """A line of the trace, if it is wanted."""
        if self.trace.wants(node, slots):
            self.trace.add(Line(self.facts.now, node, kind, told, slots, data))

    # --- what the parts show -----------------------------------------------------------------------------------------

    def committed(self, node: str, role: Role, subject: bytes, before: Any, change: Change[Any]) -> None:
        """A store has made a transaction."""
        logged: list[StoredEvent] = []
        while batch := self.facts.stores[node].events(self._read.get(node, 0), _BATCH):
            self._read[node] = batch[-1].id
            logged += batch
        state = None if before is None else before.state
        self.tell("committed", commit := Commit(node, role, subject, state, change, logged))
        for event in logged:
            self.trace.digest_of(node, event)
            if not event.name.startswith("offer."):  # the deed that led to it is told
                known = self.facts.subscriptions.get(event.subject)
                self.note(node, "event", event.name, () if known is None else (known.slot,), **event.data)
        for booking in change.bookings:
            self.trace.digest_booking(node, booking)
        for listener in self.listeners:
            listener(commit)

    def registered(self, node: str, order: ReceiveOrder) -> None:
        """A payee has made a payment receivable."""
        payment_hash = PaymentHash(sha256(order.preimage))
        context = open_context(self._rig.nodes[node].keyring.contexts, payment_hash, order.context)
        self.facts.invoices[payment_hash] = context
        known = self.facts.by_context(context)
        if known is not None:
            told = f"invoice for counter {context.counter}"
            self.note(node, "message", told, (known.slot,), counter=context.counter, amount_msat=order.amount_msat)

    def _settled(self, payment_hash: PaymentHash) -> None:
        context = self.facts.invoices.get(payment_hash)
        if context is None:
            return  # not of this world: nobody's invoice
        amount = self._rig.ledger.incoming[payment_hash].amount_msat
        fee = self._rig.ledger.payments[payment_hash].sent.fee_msat
        known = self.facts.by_context(context)
        settlement = Settlement(payment_hash, context, amount, fee, self.facts.now, known)
        self.facts.settlements.setdefault(payment_hash, settlement)
        if known is not None:
            told = f"counter {context.counter} settles"
            self.note(known.person, "money", told, (known.slot,), counter=context.counter, amount_msat=amount)
        self.tell("settled", settlement)
        if known is not None:
            known.settled.setdefault(settlement.counter, payment_hash)
            known.settled_msat = Msat(known.settled_msat + amount)

    def ordered(self, node: str, order: PayOrder) -> None:
        """A payer tells its money node to pay."""
        context = self.facts.invoices.get(order.payment_hash)
        known = None if context is None else self.facts.by_context(context)
        if known is not None and context is not None:
            self.note(node, "money", f"pay counter {context.counter}", (known.slot,), counter=context.counter)
        self.tell("ordered", node, order)

    def _message(self, sender: NodeId, receiver: NodeId, message: OnionMessage) -> None:
        if not self._messengers:
            self._messengers = {
                node.node_id: (front_of(name), Messenger(node.keyring.identity))
                for name, node in self._rig.nodes.items()
            }
        if sender not in self._messengers or receiver not in self._messengers:
            return
        name = self._messengers[sender][0]
        if not name.startswith("person"):
            return  # answers write nothing; what must stand in a payee's store is looked at when it claims
        opened: Delivered | Forward = Forward(receiver, message)
        while isinstance(opened, Forward):  # a relay that is down passes on nothing, but the request has left
            if not isinstance(opened.next_node, bytes) or opened.next_node not in self._messengers:
                return
            try:
                opened = self._messengers[opened.next_node][1].receive(opened.message)
            except MessagingError:
                return
        if opened.contents is None:
            return
        if opened.contents.kind is ContentsKind.INVOICE_REQUEST:
            self.tell("requested", name, opened.contents.data)

    def _moment(self) -> None:
        self.tell("moment")
        self.raise_breach()


class _WatchedStore:
    """A store that shows each transaction after it was made."""

    def __init__(self, inner: RecurrenceManager, witness: Witness, node: str) -> None:
        self._inner, self._witness, self._node = inner, witness, node

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = getattr(self._inner, name)
        return found

    def commit_inbound(self, change: Change[Inbound]) -> Any:
        state = change.state
        before = self._inner.inbound(state.offer_id, state.payer_id)
        entries = self._inner.commit_inbound(change)
        self._witness.committed(self._node, Role.PAYEE, state.subscription_id, before, change)
        return entries

    def commit_outbound(self, change: Change[Outbound]) -> Any:
        subject = change.state.recurrence_id
        before = self._inner.outbound(subject)
        entries = self._inner.commit_outbound(change)
        self._witness.committed(self._node, Role.PAYER, subject, before, change)
        if change.begins is not None:
            begun = Change(state=change.begins, version=None, at=change.at)
            self._witness.committed(self._node, Role.PAYER, change.begins.recurrence_id, None, begun)
        return entries


class _WatchedMoney:
    """A money node whose orders are seen before it hears them."""

    def __init__(self, inner: MoneyNode, witness: Witness, node: str) -> None:
        self._inner, self._witness, self._node = inner, witness, node

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__[name] = getattr(self._inner, name)
        return found

    async def register(self, order: ReceiveOrder) -> Receivable:
        self._witness.registered(self._node, order)
        return await self._inner.register(order)

    async def pay(self, order: PayOrder) -> None:
        self._witness.ordered(self._node, order)
        await self._inner.pay(order)

    async def claim(self, preimage: Preimage) -> None:
        self._witness.tell("claiming", self._node, PaymentHash(sha256(preimage)))
        await self._inner.claim(preimage)
