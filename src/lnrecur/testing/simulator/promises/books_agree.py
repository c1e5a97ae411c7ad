"""P6: the books of both sides agree once everything is quiet; until then, each line tells the truth."""

from __future__ import annotations

from lnrecur.crypto.hashes import sha256
from lnrecur.ports import Role
from lnrecur.recurrence.effects import Book
from lnrecur.testing.simulator.facts import Facts, Settlement, Subscription
from lnrecur.testing.simulator.promises.promise import Commit, Promise
from lnrecur.values import Msat, PaymentHash


class BooksAgree(Promise):
    """Compares books with each other and with the money."""

    id = "P6"
    text = "the books of both sides agree once everything is quiet"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._unbooked: dict[bytes, dict[PaymentHash, tuple[int, set[Role]]]] = {}
        """Of each subscription: what has settled and is not in both books yet, with its counter and who lacks it."""

    def committed(self, commit: Commit) -> None:
        """A line is only written for a payment that has settled, as it settled; and the sums follow."""
        known = self.facts.subscriptions.get(commit.subject)
        for booking in commit.change.bookings:
            self._check_line(commit, booking, known)
            if known is not None:
                self._is_booked(known, commit.role, booking.payment_hash)

    def _is_booked(self, known: Subscription, role: Role, payment_hash: PaymentHash) -> None:
        unbooked = self._unbooked.get(known.recurrence_id, {})
        _, lacking = unbooked.get(payment_hash, (0, set()))
        lacking.discard(role)
        if not lacking:
            unbooked.pop(payment_hash, None)

    def _check_line(self, commit: Commit, booking: Book, known: Subscription | None) -> None:
        settlement = self.facts.settlements.get(booking.payment_hash)
        if settlement is None:
            self.broken(f"{commit.node} has booked {booking.payment_hash.hex()}, which has not settled", known)
        fee = settlement.fee_msat if commit.role is Role.PAYER else 0
        truth = (settlement.counter, settlement.amount_msat, fee)
        if truth != (booking.counter, booking.amount_msat, booking.fee_msat):
            line = f"counter {booking.counter}, {booking.amount_msat} msat and {booking.fee_msat} of fees"
            self.broken(f"{commit.node} has booked {line}; what settled is {truth}", known)
        if sha256(booking.preimage) != booking.payment_hash:
            self.broken(f"{commit.node} has booked counter {booking.counter} with a preimage of nothing", known)

    def settled(self, settlement: Settlement) -> None:
        """The two sides are never further apart than one payment: all before this one are in both books."""
        known = settlement.subscription
        if known is None:
            return
        unbooked = self._unbooked.setdefault(known.recurrence_id, {})
        for payment_hash, (counter, lacking) in unbooked.items():
            if payment_hash != settlement.payment_hash:
                told = f"counter {settlement.counter} is paid, and the {min(lacking)} has not booked {counter} yet"
                self.broken(told, known)
        both = (
            {Role.PAYER, Role.PAYEE} if len(known.holders) == 1 else {Role.PAYEE}
        )  # a twin pays what the other booked
        unbooked.setdefault(settlement.payment_hash, (settlement.counter, both))

    def quiet(self) -> None:
        """Everything that settled is in both books, and nothing else is."""
        for known in self.facts.all():
            truth = {
                (counter, hash_, self.facts.settlements[hash_].amount_msat) for counter, hash_ in known.settled.items()
            }
            for role, nodes, subject in (
                (Role.PAYER, known.holders, known.recurrence_id),
                (Role.PAYEE, [known.merchant], known.payee_subject),
            ):
                books = [self.facts.stores[node].payments(subject) for node in nodes]
                lines = [[_line(payment.booking) for payment in book] for book in books]
                booked = set().union(*lines)
                if booked != truth or any(len(book) != len(set(book)) for book in lines):
                    missing = sorted(line[0] for line in truth - booked)
                    surplus = sorted(line[0] for line in booked - truth)
                    told = f"the {role}'s books lack counters {missing} and have {surplus} too much"
                    self.broken(told, known)
            self._check_sums(known)

    def _check_sums(self, known: Subscription) -> None:
        payee = self.facts.stores[known.merchant].inbound(known.offer.offer_id, known.payer_id)
        received = (0, 0) if payee is None else (payee.state.payments, payee.state.received_msat)
        truth, surplus = (len(known.settled), known.settled_msat), self._surplus(known)
        received = (received[0] + len(surplus), received[1] + sum(surplus))
        for node in known.holders:
            payer = self.facts.stores[node].outbound(known.recurrence_id)
            paid = (0, 0) if payer is None else (payer.state.payments, payer.state.paid_msat)
            if len(known.holders) > 1:  # each has paid what stands in its own books
                lines = [payment.booking for payment in self.facts.stores[node].payments(known.recurrence_id)]
                mine = (len(lines), sum(line.amount_msat for line in lines))
            else:
                mine = truth
            if paid != mine or received != truth:
                told = f"payments and msat are {paid} to {node} and {received} to the payee"
                self.broken(f"{told}, and {mine} of {truth} have settled", known)

    def _surplus(self, known: Subscription) -> list[Msat]:
        """What the payee has booked as owed back: it had settled before anybody could ask whether it was wanted."""
        booked = (payment.booking for payment in self.facts.stores[known.merchant].payments(known.payee_subject))
        return [line.amount_msat for line in booked if line.surplus]


def _line(booking: Book) -> tuple[int, PaymentHash, Msat]:
    return booking.counter, booking.payment_hash, booking.amount_msat
