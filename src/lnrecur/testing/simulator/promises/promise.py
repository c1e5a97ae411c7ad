"""What a promise is: it sees everything that happens in a world, and raises when it finds itself broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from lnrecur.errors import Fault, LnrecurError
from lnrecur.ports import Change, PayOrder, Role, StoredEvent
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.testing.simulator.facts import Facts, Settlement, Subscription
from lnrecur.values import PaymentHash


class PromiseBroken(LnrecurError):
    """A promise did not hold: a bug of ours."""

    fault: ClassVar[Fault] = Fault.OURS

    def __init__(self, promise: str, told: str, subscription: Subscription | None) -> None:
        """`promise` is its id; `subscription` is the one it was broken in, where there is one."""
        super().__init__(f"{promise}: {told}")
        self.promise = promise
        self.told = told
        self.subscription = subscription

    def __reduce__(self) -> tuple[type[PromiseBroken], tuple[str, str, Subscription | None]]:
        """For `pickle`, which would make it anew of its text alone."""
        return PromiseBroken, (self.promise, self.told, self.subscription)


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction that a store has just made. `before` is the state it replaced, None for a new one."""

    node: str
    role: Role
    subject: bytes
    before: Inbound | Outbound | None
    change: Change[Any]
    logged: Sequence[StoredEvent]
    """What stands in the event log since the commit before."""

    @property
    def after(self) -> Inbound | Outbound:
        """The state it stored."""
        state: Inbound | Outbound = self.change.state
        return state


class Promise:
    """One promise. Every method is called at once when its thing has happened; by default none minds.

    Raises:
        PromiseBroken: from any method.
    """

    id: ClassVar[str]
    text: ClassVar[str]

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def subscribed(self, known: Subscription) -> None:
        """Somebody has subscribed."""

    def committed(self, commit: Commit) -> None:
        """A node's store has made a transaction."""

    def requested(self, node: str, request: bytes) -> None:
        """An invoice_request has left a node."""

    def ordered(self, node: str, order: PayOrder) -> None:
        """A money node is told to pay, and has not heard it yet."""

    def claiming(self, node: str, payment_hash: PaymentHash) -> None:
        """A money node is told to claim, and has not heard it yet."""

    def settled(self, settlement: Settlement) -> None:
        """A payment has reached its payee for good."""

    def copied(self, node: str, twin: str) -> None:
        """A second daemon begins, with the books of a first as they are."""

    def restarted(self, node: str) -> None:
        """A node is back."""

    def moment(self) -> None:
        """Nothing moves any more before time goes on."""

    def quiet(self) -> None:
        """The end: everybody is up, nothing goes wrong any more, and all had time to finish."""

    def broken(self, told: str, known: Subscription | None = None) -> NoReturn:
        """It does not hold."""
        raise PromiseBroken(self.id, told, known)
