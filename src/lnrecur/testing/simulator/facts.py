"""What is true in a simulated world, as whoever watches it from outside knows it: not from anybody's books.

Invoices are known from what payees had their money nodes register, payments from the ledger of all play money, and
what people allowed from the people themselves. The promises are checked against this.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lnrecur.bolt12 import Offer, Recurrence
from lnrecur.ports import RecurrenceManager
from lnrecur.recurrence.inbound_model import subscription_id
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Terms
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.testing.rig import Rig
from lnrecur.testing.simulator.currency import SimulatedRates
from lnrecur.testing.simulator.plan import front_of
from lnrecur.values import Msat, OfferId, PaymentHash, Point, RecurrenceId


@dataclass(slots=True)
class Approval:
    """A yes of a person to one payment: up to this amount, even outside the mandate (None: only within it)."""

    amount_msat: Msat | None


@dataclass(slots=True)
class Subscription:
    """One subscription, or a single payment of an offer, as whoever made it knows it."""

    slot: int
    """Which of all; of a single payment `plan.purchases_of` the person."""
    generation: int
    person: str
    merchant: str
    recurrence_id: RecurrenceId
    payer_id: Point
    offer: Offer
    recurrence: Recurrence | None
    """None: a single payment."""
    terms: Terms
    mandate: Mandate
    """What the person allows today."""
    approvals: dict[int, Approval] = field(default_factory=dict)
    """By counter."""
    settled: dict[int, PaymentHash] = field(default_factory=dict)
    """What the money nodes say was paid, by counter."""
    settled_msat: Msat = Msat(0)  # noqa: RUF009 - a NewType of an int
    holders: list[str] = field(init=False)
    """The daemons that pay it: the person's, and its twin, if that knows of it."""

    def __post_init__(self) -> None:
        self.holders = [self.person]

    @property
    def payee_subject(self) -> bytes:
        """Its id in the merchant's books."""
        return subscription_id(OfferId(self.offer.offer_id), self.payer_id)

    @property
    def one_off(self) -> bool:
        """Whether it is a single payment."""
        return self.recurrence is None

    def __str__(self) -> str:
        if self.one_off:
            return f"payment {self.generation + 1} of {self.person} to {self.merchant}"
        again = f", number {self.generation + 1}" if self.generation else ""
        return f"subscription {self.slot}{again} ({self.person} to {self.merchant})"


@dataclass(frozen=True, slots=True)
class Settlement:
    """A payment that has reached its payee for good."""

    payment_hash: PaymentHash
    context: ReceiveContext
    amount_msat: Msat
    fee_msat: Msat
    at: int
    subscription: Subscription | None

    @property
    def counter(self) -> int:
        """Which payment of its subscription; a single payment is number 0."""
        return self.context.counter or 0


class Facts:
    """The truth so far."""

    def __init__(self, rig: Rig, rates: SimulatedRates) -> None:
        self.rig = rig
        self.rates = rates
        self.stores: dict[str, RecurrenceManager] = {}
        """The store of each node, without anybody in between."""
        self.subscriptions: dict[bytes, Subscription] = {}
        """By the id either side has for it."""
        self.invoices: dict[PaymentHash, ReceiveContext] = {}
        self.settlements: dict[PaymentHash, Settlement] = {}
        self.up_since: dict[str, int | None] = {}
        """Since when a process runs and its money node answers; None while one of them does not."""
        self.cannot_hold: set[str] = set()
        """The merchants whose money nodes settle every payment at once, wanted or not."""

    @property
    def now(self) -> int:
        """Seconds since 1970."""
        return self.rig.clock.now()

    def running_since(self, node: str) -> int | None:
        """Since when all processes of a node run, and its money node answers; None while something is down."""
        moments = [since for process, since in self.up_since.items() if front_of(process) == node]
        return None if None in moments else max(since for since in moments if since is not None)

    def all(self) -> list[Subscription]:
        """Every subscription once, in the order they were made."""
        return [known for subject, known in self.subscriptions.items() if subject == known.recurrence_id]

    def add(self, known: Subscription) -> None:
        """Somebody has subscribed."""
        self.subscriptions[known.recurrence_id] = self.subscriptions[known.payee_subject] = known

    def by_context(self, context: ReceiveContext) -> Subscription | None:
        """Whose invoice this was."""
        return self.subscriptions.get(subscription_id(context.offer_id, context.payer_id))
