"""P1: at most one settled payment per subscription and counter."""

from __future__ import annotations

from lnrecur.testing.simulator.facts import Facts, Settlement
from lnrecur.testing.simulator.promises.promise import Commit, Promise
from lnrecur.values import Point


class OnePayment(Promise):
    """Looks at the money itself, and at the books of both sides."""

    id = "P1"
    text = "at most one settled payment per subscription and counter"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._paid: set[tuple[bytes, Point, int | None]] = set()
        self._booked: set[tuple[str, bytes, int]] = set()

    def settled(self, settlement: Settlement) -> None:
        """No second payment may reach anybody for one counter."""
        context = settlement.context
        once = (context.offer_id, context.payer_id, context.counter)
        if once in self._paid:
            told = f"a second payment for counter {context.counter} has settled, {settlement.payment_hash.hex()}"
            self.broken(told, settlement.subscription)
        self._paid.add(once)

    def committed(self, commit: Commit) -> None:
        """No second line may enter the books; and no surplus, unless the money node cannot hold what is not wanted."""
        for booking in commit.change.bookings:
            known = self.facts.subscriptions.get(commit.subject)
            once = (commit.node, commit.subject, booking.counter)
            if booking.surplus and commit.node not in self.facts.cannot_hold:
                told = f"{commit.node} has taken a payment that it owes back, {booking.payment_hash.hex()}"
                self.broken(told, known)
            if once in self._booked:
                told = f"{commit.node} has booked counter {booking.counter} twice, with {booking.payment_hash.hex()}"
                self.broken(told, known)
            self._booked.add(once)

    def copied(self, node: str, twin: str) -> None:
        """What the first has booked, the second has too."""
        self._booked |= {(twin, subject, counter) for booker, subject, counter in self._booked if booker == node}
