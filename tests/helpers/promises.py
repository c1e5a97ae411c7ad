"""The promises P1 to P6, checked from outside on real daemons when everything is quiet."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.daemons import Daemon, assert_books_agree

_BOOKED = ("subscription.created", "subscription.renewed")


@dataclass(frozen=True)
class Promised:
    """What one subscription was to be."""

    subscription: str
    payments: int
    price_msat: int


def breaches(merchant: Daemon, payer: Daemon, promised: Promised) -> list[str]:
    """What is broken of P1, P2, P3, P5 and P6, in words; empty if nothing is."""
    found = []
    ours = payer.subscription(promised.subscription)
    [theirs] = [merchant.subscription(one["id"]) for one in merchant.sold() if one["payer_id"] == ours["payer_id"]]
    for name, side in (("payer", ours), ("payee", theirs)):
        counters = [paid["counter"] for paid in side["book"]]
        if counters != list(range(promised.payments)):
            found.append(f"P1/P3 the {name}'s book has the counters {counters}")
        found += [f"P1 surplus in the {name}'s book: {paid}" for paid in side["book"] if paid["surplus"]]
        too_much = [paid for paid in side["book"] if paid["amount_msat"] > promised.price_msat]
        found += [f"P2 above the mandate in the {name}'s book: {paid}" for paid in too_much]
        found += [f"P5 {told}" for told in _broken_log(name, side["events"])]
        told = [event["data"]["counter"] for event in side["events"] if event["name"] in _BOOKED]
        if sorted(told) != list(range(promised.payments)):
            found.append(f"P3 the {name}'s log tells of the periods {told}")
    try:
        assert_books_agree(merchant, payer, promised.subscription, promised.payments)
    except AssertionError as error:
        found.append(f"P6 the books do not agree: {error}")
    return found


def _broken_log(name: str, events: list[dict[str, Any]]) -> list[str]:
    numbers = [event["sequence"] for event in events]
    return [] if numbers == list(range(1, len(numbers) + 1)) else [f"the {name}'s log is numbered {numbers}"]


def unknown_payments(payer: Daemon, money: Path, subscriptions: list[str]) -> list[str]:
    """P4 and P1 at the money node: payments that the payer's store never ordered, or that are in no book."""
    shown = [payer.subscription(subscription) for subscription in subscriptions]
    ordered = {
        event["data"]["payment_hash"] for one in shown for event in one["events"] if event["name"] == "payment.started"
    }
    booked = {paid["payment_hash"] for one in shown for paid in one["book"]}
    account = bytes.fromhex(payer.look("/v1/info")["money_node"]["node_id"])
    with closing(sqlite3.connect(money)) as db:
        made = db.execute("SELECT lower(hex(payment_hash)), state FROM payments WHERE payer = ?", (account,)).fetchall()
    found = [f"P4 the node made a payment that was never ordered: {one}" for one, _ in made if one not in ordered]
    succeeded = {one for one, state in made if state == "succeeded"}
    found += [f"P1 the node settled a payment that is in no book: {one}" for one in succeeded - booked]
    found += [f"P6 the node knows nothing of a booked payment: {one}" for one in booked - succeeded]
    return found
