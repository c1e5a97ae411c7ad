"""The books of both sides of the demo, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from lnrecur.cli.demo_cast import Subscriber
from lnrecur.cli.output import print_table
from lnrecur.recurrence.words import amount_in_words
from lnrecur.values import Msat

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Book:
    """One subscription's payments as the payer and as the payee have them."""

    subscriber: Subscriber
    phase: str
    payer: list[dict[str, Any]]
    payee: list[dict[str, Any]]

    @property
    def agrees(self) -> bool:
        """The same counters, amounts and hashes on both sides, true preimages, and the end that was to come."""
        ending = self.subscriber.ending
        lines = [(paid["counter"], paid["amount_msat"], paid["payment_hash"]) for paid in self.payer]
        same = lines == [(paid["counter"], paid["amount_msat"], paid["payment_hash"]) for paid in self.payee]
        once = [counter for counter, _, _ in lines] == list(range(ending.payments))
        return same and once and self.phase == ending.phase and all(map(_proven, self.payer + self.payee))

    def shape(self) -> dict[str, Any]:
        """For --json."""
        return {"subscriber": self.subscriber.name, "offer": self.subscriber.offer, "phase": self.phase,
                "agrees": self.agrees, "payer": self.payer, "payee": self.payee}  # fmt: skip


def print_books(console: Console, books: list[Book]) -> None:
    """A line per payment, the payer's books on the left, the payee's on the right."""
    rows = []
    for book in books:
        for number in range(max(len(book.payer), len(book.payee), 1)):
            left, right = _line(book.payer, number), _line(book.payee, number)
            first = number == 0
            verdict = ("agrees" if book.agrees else "DIFFERS") if first else ""
            who, what = book.subscriber.name, book.subscriber.offer
            heads = (who, what, book.phase) if first else ("", "", "")
            rows.append((*heads, left, right, verdict))
    console.print()
    columns = ("", "buys", "ended as", "the payer's books", "the payee's books", "")
    print_table(console, columns, rows)


def _line(payments: list[dict[str, Any]], number: int) -> str:
    if number >= len(payments):
        return "nothing paid" if number == 0 else ""
    paid = payments[number]
    proof = "preimage ok" if _proven(paid) else "PREIMAGE WRONG"
    return f"#{paid['counter'] + 1}  {amount_in_words(Msat(paid['amount_msat']))}  {paid['payment_hash'][:12]}  {proof}"


def _proven(paid: dict[str, Any]) -> bool:
    digest = sha256(bytes.fromhex(paid["preimage"])).hexdigest()
    return digest == str(paid["payment_hash"])
