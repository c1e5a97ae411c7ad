"""Workers: the processes that share one store, and what each of them takes on (docs/design/workers.md).

A process joins and gets a number, greater than all before it: its fencing number. What it claims is marked with the
number, and whatever it writes is refused once the number is gone. It shows that it lives by counting up its `beats`;
the others watch the counter, each by its own stopwatch, so that no two clocks ever have to agree. One whose counter
stands still for too long is expelled, and what it had claimed is free again at that moment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from lnrecur.errors import Fault
from lnrecur.ports.store_errors import StoreError
from lnrecur.recurrence.effects import SendCancel, SendInvoiceRequest, StoredEffect

MESSAGE_EFFECTS: Final = (SendInvoiceRequest, SendCancel)
"""What is performed by sending a message to a peer; all else is done at the money node."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What a process takes on."""

    place: str
    """Where it runs. Who joins under a place knows that whoever had it before is dead."""
    messages: bool = True
    """Whether it speaks with peers, sends what is to be sent to them, reads the money node's receipts and wakes the
    subscriptions that are paid to us, which follow from them; only one process of a store may."""
    work: bool = True
    """Whether it wakes the subscriptions that we pay and does the deeds at the money node."""

    def handles(self, effect: StoredEffect) -> bool:
        """Whether an effect is one for this seat."""
        return self.messages if isinstance(effect, MESSAGE_EFFECTS) else self.work


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that has joined."""

    number: int
    """Its fencing number; who joined later has a greater one."""
    seat: Seat
    beats: int
    version: str = ""
    """Of lnrecur."""


class Doorbell(Protocol):
    """Tells a process at once that others have stored something for it."""

    def rings(self) -> AsyncIterator[None]:
        """Once for each time, or for several at once, and after any time in which it could not be heard; never ends."""
        ...


class LeaseLost(StoreError):
    """This process stood still for too long and was taken for dead: others have its work. Nothing was changed."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT
    retry: ClassVar[bool] = True


class SeatTaken(StoreError):
    """Another process serves this store's messages."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(f"worker {worker.number} at {worker.seat.place} serves the messages of this database")
        self.worker = worker

    def details(self) -> dict[str, str | int]:
        """Who it is."""
        return {"worker": self.worker.number, "place": self.worker.seat.place}


class NotOurStore(StoreError):
    """The store belongs to another identity: its subscriptions follow from another seed."""

    fault: ClassVar[Fault] = Fault.CALLER
