"""Play money without a file: `MemoryMoneyNode`s around one `MemoryLedger`, for fast tests that repeat exactly.

The decisions are those of the play-money node (`adapters/nodes/playmoney/htlc.py`), decryption included. What differs
is the waiting: there is none. A payment reaches its payee before `pay` returns, `receipts` wakes up at once, and
no thread, file or real time is involved. To have things late, lost or broken, wrap the node in a `ScriptedNode`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from lnrecur.adapters.nodes.playmoney.htlc import (
    OPENING_BALANCE,
    Awaited,
    Htlc,
    HtlcRefused,
    PaymentImpossible,
    block_height,
    check_htlc,
    check_not_expired,
    check_pay_order,
    is_expired,
    plan_htlc,
    receivable_for,
)
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.ports import (
    Clock,
    FailureReason,
    InboundEdge,
    NodeInfo,
    PayOrder,
    Receipt,
    Receivable,
    Received,
    ReceivedState,
    ReceiveOrder,
    Rejected,
    Sent,
    SentState,
)
from lnrecur.values import REGTEST, ZERO_MSAT, ChainHash, Msat, NodeId, PaymentHash, Preimage


@dataclass(slots=True)
class _Payment:
    payer: MemoryMoneyNode
    sent: Sent
    htlc: Htlc | None = None
    """The money in flight, if there is some."""


@dataclass(slots=True)
class _Incoming:
    owner: NodeId
    order: ReceiveOrder
    receivable: Receivable
    state: ReceivedState = ReceivedState.OPEN
    amount_msat: Msat = ZERO_MSAT


@dataclass(slots=True)
class MemoryLedger:
    """What the nodes of one network of play money share."""

    nodes: dict[NodeId, MemoryMoneyNode] = field(default_factory=dict)
    payments: dict[PaymentHash, _Payment] = field(default_factory=dict)
    incoming: dict[PaymentHash, _Incoming] = field(default_factory=dict)
    on_settled: list[Callable[[PaymentHash], None]] = field(default_factory=list)
    """Called for every payment that reaches its payee for good, at that moment."""
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def total_msat(self) -> Msat:
        """All money there is, in balances and in flight; it never changes after the last node joined."""
        flying = (payment.htlc.amount_msat for payment in self.payments.values() if payment.htlc is not None)
        return Msat(sum(node.balance_msat for node in self.nodes.values()) + sum(flying))

    def tell_move(self) -> None:
        """Some payment has ended: whoever follows one looks again."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def next_move(self) -> None:
        """Wait for the next `tell_move`."""
        await self._moved.wait()


class MemoryMoneyNode:
    """A `lnrecur.ports.MoneyNode` of play money that lives in memory and forgets everything with its ledger."""

    def __init__(
        self,
        ledger: MemoryLedger,
        key: PrivateKey,
        clock: Clock,
        *,
        opening_balance_msat: Msat = OPENING_BALANCE,
        chain: ChainHash = REGTEST,
        can_hold: bool = True,
    ) -> None:
        """Join the network of `ledger` under the point of `key`.

        `can_hold`: whether a payment waits to be claimed; otherwise it is the payee's at once, wanted or not.

        Raises:
            UsageError: a node with this key has joined already.
        """
        self._ledger = ledger
        self._key = key
        self._clock = clock
        self._chain = chain
        self._can_hold = can_hold
        self._receipts: list[Receipt] = []
        self._news = asyncio.Event()
        self.node_id = NodeId(key.point)
        self.balance_msat = opening_balance_msat
        if self.node_id in ledger.nodes:
            raise UsageError(f"{self.node_id.hex()} has joined this ledger already", field="key")
        ledger.nodes[self.node_id] = self

    async def info(self) -> NodeInfo:
        """Who it is: "play money in memory"."""
        return NodeInfo(
            node_id=self.node_id,
            chain=self._chain,
            block_height=block_height(self._clock.now()),
            can_hold=self._can_hold,
            kind="play money in memory",
            is_play_money=True,
        )

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        """None: a payment path begins at the node itself."""
        return []

    async def balance(self) -> Msat:
        """What this node can spend."""
        return self.balance_msat

    # --- the payee's side

    async def register(self, order: ReceiveOrder) -> Receivable:
        """See `lnrecur.ports.MoneyNode.register`."""
        receivable = receivable_for(self._key, order)
        known = self._ledger.incoming.get(receivable.payment_hash)
        if known is None:
            check_not_expired(order, self._clock.now())
            self._ledger.incoming[receivable.payment_hash] = _Incoming(self.node_id, order, receivable)
        elif (known.owner, known.order) != (self.node_id, order):
            raise Rejected(f"the preimage of {receivable.payment_hash.hex()} is registered with other terms")
        return receivable

    async def received(self, payment_hash: PaymentHash) -> Received:
        """See `lnrecur.ports.MoneyNode.received`."""
        incoming = self._touch(payment_hash)
        if incoming is None:
            return Received(ReceivedState.UNKNOWN)
        return Received(incoming.state, incoming.amount_msat, incoming.order.context)

    async def claim(self, preimage: Preimage) -> None:
        """See `lnrecur.ports.MoneyNode.claim`."""
        payment_hash = PaymentHash(sha256(preimage))
        incoming = self._touch(payment_hash)
        if incoming is None:
            raise Rejected("no receivable was registered with this preimage")
        if incoming.state is ReceivedState.CLAIMED:
            return
        if incoming.state is not ReceivedState.CLAIMABLE:
            raise Rejected(f"nothing to claim for {payment_hash.hex()}: it is {incoming.state}")
        self._settle(incoming, incoming.amount_msat)

    def _settle(self, incoming: _Incoming, amount: Msat) -> None:
        payment_hash = incoming.receivable.payment_hash
        payment = self._ledger.payments[payment_hash]
        payment.htlc = None
        payment.sent = replace(payment.sent, state=SentState.SUCCEEDED, preimage=incoming.order.preimage)
        self.balance_msat = Msat(self.balance_msat + amount)
        self._turn(incoming, ReceivedState.CLAIMED, amount)
        for told in self._ledger.on_settled:
            told(payment_hash)
        self._ledger.tell_move()

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        """See `lnrecur.ports.MoneyNode.cancel`; a payment_hash nobody registered counts as withdrawn."""
        incoming = self._touch(payment_hash)
        if incoming is None or incoming.state is ReceivedState.CANCELED:
            return True
        if incoming.state is ReceivedState.CLAIMED:
            return False
        if incoming.state is ReceivedState.CLAIMABLE:
            self._fail_back(self._ledger.payments[payment_hash])
        self._turn(incoming, ReceivedState.CANCELED, ZERO_MSAT)
        return True

    async def receipts(
        self, cursor: str | None, on_caught_up: Callable[[], None] | None = None
    ) -> AsyncIterator[Receipt]:
        """See `lnrecur.ports.MoneyNode.receipts`.

        Raises:
            UsageError: the cursor is none of ours.
        """
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal()):
            raise UsageError(f"no cursor of play money: {cursor!r}", field="cursor")
        told = int(cursor or "0")
        while True:
            while told < len(self._receipts):
                receipt = self._receipts[told]
                told += 1
                yield receipt
            if on_caught_up is not None:
                on_caught_up()
            self._news.clear()
            await self._news.wait()

    def _touch(self, payment_hash: PaymentHash) -> _Incoming | None:
        incoming = self._ledger.incoming.get(payment_hash)
        if incoming is None or incoming.owner != self.node_id:
            return None
        if incoming.state is ReceivedState.OPEN and is_expired(incoming.order.expires_at, self._clock.now()):
            self._turn(incoming, ReceivedState.CANCELED, ZERO_MSAT)
        return incoming

    def _turn(self, incoming: _Incoming, state: ReceivedState, amount: Msat) -> None:
        incoming.state, incoming.amount_msat = state, amount
        self._receipts.append(
            Receipt(
                cursor=str(len(self._receipts) + 1),
                payment_hash=incoming.receivable.payment_hash,
                state=state,
                amount_msat=amount,
                context=incoming.order.context,
                at=self._clock.now(),
            )
        )
        self._news.set()

    def _admit(self, payment: _Payment, htlc: Htlc) -> None:
        incoming = self._touch(htlc.payment_hash)
        awaited = None
        if incoming is not None:
            order = incoming.order
            awaited = Awaited(incoming.state, incoming.receivable.path_id, order.amount_msat, order.expires_at)
        try:
            check_htlc(htlc, awaited, self._key, self._clock.now())
        except HtlcRefused:
            self._fail_back(payment)
        else:
            assert incoming is not None  # check_htlc refuses what is not awaited
            if self._can_hold:
                self._turn(incoming, ReceivedState.CLAIMABLE, htlc.amount_msat)
            else:
                self._settle(incoming, htlc.amount_msat)

    def _fail_back(self, payment: _Payment) -> None:
        assert payment.htlc is not None  # only what is in flight can be failed back
        payment.payer.balance_msat = Msat(payment.payer.balance_msat + payment.htlc.amount_msat)
        payment.htlc = None
        payment.sent = Sent(SentState.FAILED, reason=FailureReason.REFUSED_BY_PAYEE)
        self._ledger.tell_move()

    # --- the payer's side

    async def pay(self, order: PayOrder) -> None:
        """See `lnrecur.ports.MoneyNode.pay`."""
        check_pay_order(order)
        known = self._ledger.payments.get(order.payment_hash)
        if known is not None and known.payer is not self:
            raise Rejected(f"{order.payment_hash.hex()} is being paid by another account")
        if known is not None and known.sent.state is not SentState.FAILED:
            return
        try:
            htlc, fee = plan_htlc(
                order,
                balance_msat=self.balance_msat,
                now=self._clock.now(),
                has_account=self._ledger.nodes.__contains__,
            )
        except PaymentImpossible as impossible:
            failed = Sent(SentState.FAILED, reason=impossible.reason, retryable=impossible.retryable)
            self._ledger.payments[order.payment_hash] = _Payment(self, failed)
            return
        self.balance_msat = Msat(self.balance_msat - htlc.amount_msat)
        payment = _Payment(self, Sent(SentState.PENDING, fee_msat=fee), htlc)
        self._ledger.payments[order.payment_hash] = payment
        self._ledger.nodes[htlc.payee]._admit(payment, htlc)

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        """See `lnrecur.ports.MoneyNode.sent`."""
        payment = self._ledger.payments.get(payment_hash)
        return Sent(SentState.UNKNOWN) if payment is None or payment.payer is not self else payment.sent

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        """See `lnrecur.ports.MoneyNode.follow`."""
        while (sent := await self.sent(payment_hash)).state is SentState.PENDING:
            await self._ledger.next_move()
        return sent
