"""What a memory store holds: states by subject, and books, each with what may exist only once."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Generic, TypeVar

from lnrecur.ports import AlreadyPaid, BookedPayment, Conflict, Role, Stored
from lnrecur.recurrence.effects import Book
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.values import ids_beginning_with

_S = TypeVar("_S", Inbound, Outbound)


class States(Generic[_S]):
    """States by subject, in the order in which they were first stored, and by the moment they wait for."""

    def __init__(self) -> None:
        self._stored: dict[bytes, Stored[_S]] = {}
        self._places: dict[bytes, int] = {}
        self._waiting: list[tuple[int, int, bytes]] = []

    def get(self, subject: bytes) -> Stored[_S] | None:
        """One of them, with its version."""
        return self._stored.get(subject)

    def __len__(self) -> int:
        return len(self._stored)

    def all(self) -> list[_S]:
        """All of them, oldest first."""
        return [stored.state for stored in self._stored.values()]

    def find(self, digits: str) -> list[_S]:
        """Those whose subjects begin with these hexadecimal digits, in the order of these."""
        bounds = ids_beginning_with(digits)
        if bounds is None:
            return []
        low, high = bounds
        return [self._stored[subject].state for subject in sorted(self._stored) if low <= subject <= high]

    def check(self, subject: bytes, version: int | None) -> None:
        """Raise Conflict unless `version` is the one that is stored."""
        stored = self._stored.get(subject)
        if version != (None if stored is None else stored.version):
            raise Conflict(f"{subject.hex()} is not in version {version}")

    def waiting(self) -> Iterator[_S]:
        """Those with a wake_at, the earliest first."""
        return (self._stored[subject].state for _, _, subject in self._waiting)

    def due(self, now: int) -> Iterator[_S]:
        """Those whose wake_at has come, longest due first."""
        return takewhile(lambda state: state.wake_at is not None and state.wake_at <= now, self.waiting())

    def put(self, subject: bytes, state: _S) -> None:
        """Store the next version of a state."""
        stored = self._stored.get(subject)
        place = self._places.setdefault(subject, len(self._places))
        if stored is not None and stored.state.wake_at is not None:
            del self._waiting[bisect_left(self._waiting, (stored.state.wake_at, place))]
        if state.wake_at is not None:
            insort(self._waiting, (state.wake_at, place, subject))
        self._stored[subject] = Stored(state, 1 if stored is None else stored.version + 1)


class Books:
    """The books, and what may be in them only once."""

    def __init__(self) -> None:
        self.booked: list[BookedPayment] = []
        self.of_subject: dict[bytes, list[BookedPayment]] = {}
        self._once: set[tuple[object, ...]] = set()

    def check(self, role: Role, subject: bytes, bookings: Sequence[Book]) -> None:
        """Raise AlreadyPaid unless all of them can be booked."""
        once = [key for booking in bookings for key in _once(role, subject, booking)]
        if len(set(once)) < len(once) or not self._once.isdisjoint(once):
            raise AlreadyPaid(f"a payment of {subject.hex()} is booked already")

    def add(self, role: Role, subject: bytes, bookings: Sequence[Book]) -> None:
        """Book what was checked."""
        for booking in bookings:
            booked = BookedPayment(role, subject, booking)
            self.booked.append(booked)
            self.of_subject.setdefault(subject, []).append(booked)
            self._once.update(_once(role, subject, booking))


def _once(role: Role, subject: bytes, booking: Book) -> list[tuple[object, ...]]:
    """What of a booking may be in the books only once."""
    payment_hash = (role, booking.payment_hash)
    return [payment_hash] if booking.surplus else [payment_hash, (role, subject, booking.counter)]
