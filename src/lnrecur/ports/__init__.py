"""The narrow openings through which the house meets the world. Protocols and the values they carry; no code.

Every adapter of a port passes one contract suite (`tests/contract/`), and `lnrecur.testing` ships a public stand-in
for each, so that applications can test against the same behaviour.
"""

from __future__ import annotations

from lnrecur.ports.chance import (
    Clock,
    Entropy,
)
from lnrecur.ports.diagnosis import (
    Diagnosable,
    Finding,
    Health,
)
from lnrecur.ports.manager import (
    BookedPayment,
    Change,
    OfferRecord,
    Ordered,
    OrderKey,
    OutboxEntry,
    RecurrenceManager,
    Role,
    Stored,
    StoredEvent,
)
from lnrecur.ports.money import (
    FailureReason,
    InboundEdge,
    MoneyNode,
    MoneyNodeError,
    NodeInfo,
    PaymentPath,
    PayOrder,
    Receipt,
    Receivable,
    Received,
    ReceivedState,
    ReceiveOrder,
    Rejected,
    Sent,
    SentState,
    Unavailable,
)
from lnrecur.ports.peers import (
    Host,
    LinkError,
    LinkTotals,
    MessageRouter,
    OnionMessageHandler,
    PeerAddress,
    PeerHandler,
    PeerLink,
    PeerStatus,
    PeerUnreachable,
)
from lnrecur.ports.rates import RateSource, RateUnavailable
from lnrecur.ports.store_errors import AlreadyPaid, Conflict, StoreError, StoreUnavailable
from lnrecur.ports.workers import Doorbell, LeaseLost, NotOurStore, Seat, SeatTaken, Worker

__all__ = [
    "Clock",
    "Entropy",
    "Diagnosable",
    "Finding",
    "Health",
    "AlreadyPaid",
    "BookedPayment",
    "Change",
    "Conflict",
    "OfferRecord",
    "OrderKey",
    "Ordered",
    "OutboxEntry",
    "RateSource",
    "RateUnavailable",
    "RecurrenceManager",
    "Role",
    "StoreError",
    "StoreUnavailable",
    "Doorbell",
    "LeaseLost",
    "NotOurStore",
    "Seat",
    "SeatTaken",
    "Worker",
    "Stored",
    "StoredEvent",
    "FailureReason",
    "InboundEdge",
    "MoneyNode",
    "MoneyNodeError",
    "NodeInfo",
    "PayOrder",
    "PaymentPath",
    "Receipt",
    "Receivable",
    "ReceiveOrder",
    "Received",
    "ReceivedState",
    "Rejected",
    "Sent",
    "SentState",
    "Unavailable",
    "Host",
    "LinkError",
    "LinkTotals",
    "MessageRouter",
    "OnionMessageHandler",
    "PeerAddress",
    "PeerHandler",
    "PeerLink",
    "PeerStatus",
    "PeerUnreachable",
]
