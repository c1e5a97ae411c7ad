"""The Lightning node that moves the money."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from lnrecur.errors import Fault, LnrecurError
from lnrecur.values import ZERO_MSAT, ChainHash, Msat, NodeId, PaymentHash, Point, Preimage, UnixSeconds
from lnrecur.wire.blinded_path import BlindedPath


class MoneyNodeError(LnrecurError):
    """The money node said no, or said nothing."""

    fault: ClassVar[Fault] = Fault.NODE


class Rejected(MoneyNodeError):
    """The node refuses: nothing was started and nothing ever will be by this call.

    Attributes:
        reason: why a payment was not begun, where the node says it as it would say why one failed.
        retryable: whether the same payment may be ordered again later.
    """

    def __init__(self, message: str, *, reason: FailureReason | None = None, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.retryable = retryable


class Unavailable(MoneyNodeError):
    """The node did not answer: it may or may not have acted. Ask it by payment_hash."""

    retry: ClassVar[bool] = True
    trouble: str = "unreachable"
    """Why, in one word of the adapter's, such as "locked" or "wrong_macaroon"; its page in docs/nodes lists them."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Who moves the money."""

    node_id: NodeId
    chain: ChainHash
    block_height: int
    can_hold: bool
    """Whether a payment can be held as claimable and still be failed back."""
    kind: str
    """What it is, in words a person reads: "play money", "lnd 0.21.2" ..."""
    is_play_money: bool = False
    can_split: bool = False
    """Whether it can pay in several parts (MPP). Invoices that must be paid so are refused where it cannot (BI14)."""


@dataclass(frozen=True, slots=True)
class ReceiveOrder:
    """What the node shall accept one payment for."""

    preimage: Preimage
    amount_msat: Msat
    expires_at: UnixSeconds
    description: str
    context: bytes
    """Sealed bytes of ours that come back with every receipt of this payment (see recurrence/receive_context.py)."""


@dataclass(frozen=True, slots=True)
class PaymentPath:
    """A blinded path of an invoice with the aggregated terms of using it (BOLT 12 blinded_payinfo)."""

    path: BlindedPath
    fee_base_msat: Msat
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: Msat
    htlc_maximum_msat: Msat


@dataclass(frozen=True, slots=True)
class Receivable:
    """What the node made of a receive order: enough to build a blinded payment path to it, or finished ones."""

    payment_hash: PaymentHash
    path_id: bytes
    final_cltv_delta: int
    paths: tuple[PaymentPath, ...] = ()
    """The paths to put into the invoice, by a node that accepts only paths of its own making; empty: build them."""
    takes_parts: bool = False
    """Whether the node joins a payment that comes in several parts; the invoice then allows it (MPP)."""


@dataclass(frozen=True, slots=True)
class InboundEdge:
    """A peer of the money node at which a blinded payment path may begin, with its forwarding terms."""

    peer: NodeId
    short_channel_id: int
    fee_base_msat: Msat
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: Msat
    htlc_maximum_msat: Msat


class ReceivedState(StrEnum):
    """How far an incoming payment is."""

    UNKNOWN = "unknown"
    """The node knows no such receivable."""
    OPEN = "open"
    """Nothing has arrived."""
    CLAIMABLE = "claimable"
    """The whole amount has arrived and waits for claim or cancel."""
    CLAIMED = "claimed"
    """Ours."""
    CANCELED = "canceled"
    """Failed back, withdrawn or expired; it will not be accepted any more."""


@dataclass(frozen=True, slots=True)
class Received:
    """The node's word on an incoming payment."""

    state: ReceivedState
    amount_msat: Msat = ZERO_MSAT
    context: bytes = b""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One step of an incoming payment, as the node tells it: at least once, in order, replayed from a cursor."""

    cursor: str
    payment_hash: PaymentHash
    state: ReceivedState
    amount_msat: Msat
    context: bytes
    at: UnixSeconds


@dataclass(frozen=True, slots=True)
class PayOrder:
    """A payment to be made once. Identified by payment_hash alone."""

    payment_hash: PaymentHash
    amount_msat: Msat
    max_fee_msat: Msat
    paths: tuple[PaymentPath, ...]
    payee: Point
    expires_at: UnixSeconds
    invoice: bytes
    """The whole bolt12 invoice, for nodes that want it."""
    description: str = ""
    may_split: bool = False
    """Whether the invoice allows it to be paid in several parts (MPP in invoice_features)."""
    must_split: bool = False
    """Whether it demands that (MPP, compulsory); given only to a node that `can_split`."""


class SentState(StrEnum):
    """How far an outgoing payment is."""

    UNKNOWN = "unknown"
    """The node never recorded it, so no money can leave for it."""
    PENDING = "pending"
    """In flight: it may still succeed."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Finally failed: no money left and none will, unless it is paid anew."""


class FailureReason(StrEnum):
    """Why an outgoing payment failed, as far as the payer can know."""

    NO_ROUTE = "no_route"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    REFUSED_BY_PAYEE = "refused_by_payee"
    EXPIRED = "expired"
    FEE_LIMIT = "fee_limit"
    PAYEE_UNREACHABLE = "payee_unreachable"
    """Nobody on the way, or at its end, took it."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Sent:
    """The node's word on an outgoing payment."""

    state: SentState
    preimage: Preimage | None = None
    fee_msat: Msat = ZERO_MSAT
    reason: FailureReason | None = None
    retryable: bool = False


class MoneyNode(Protocol):
    """The Lightning node that moves the money. Every event can be re-checked by asking, so an adapter may poll."""

    async def info(self) -> NodeInfo:
        """Who it is and what it can do."""
        ...

    async def register(self, order: ReceiveOrder) -> Receivable:
        """Make a payment receivable. The same order again (by preimage) answers the same receivable.

        Raises:
            Rejected: the preimage was registered with other terms, or the terms are impossible.
            Unavailable: no answer; ask again.
        """
        ...

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        """Where a blinded payment path may start; empty for the node itself."""
        ...

    async def received(self, payment_hash: PaymentHash) -> Received:
        """How far an incoming payment is."""
        ...

    async def claim(self, preimage: Preimage) -> None:
        """Take a claimable payment; harmless when it is claimed already.

        Raises:
            Rejected: there is nothing to claim any more.
            Unavailable: no answer; ask `received`.
        """
        ...

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        """Fail a payment back or withdraw a receivable. False when it is too late: it was claimed."""
        ...

    def receipts(self, cursor: str | None, on_caught_up: Callable[[], None] | None = None) -> AsyncIterator[Receipt]:
        """Every claimable, claimed and canceled after `cursor` (None: from the beginning), then live; never ends.

        `on_caught_up` is called when all that has happened by now was told and taken, at least once for the backlog;
        a node that is looked at again and again calls it after every look.
        """
        ...

    async def pay(self, order: PayOrder) -> None:
        """Have the payment recorded by the node, or find it known already. A failed one is tried anew.

        Raises:
            Rejected: nothing was started.
            Unavailable: unknown whether it was started; ask `sent`.
        """
        ...

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        """How far an outgoing payment is."""
        ...

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        """Wait until an outgoing payment is no longer PENDING, however long that takes, and tell how it ended.

        Raises:
            Unavailable: the node stopped answering; ask `sent`.
        """
        ...
