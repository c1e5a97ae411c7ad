"""What the events of the demo are in words: as a subscriber tells them, and as the merchant does (empty: not told)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from lnrecur.recurrence.words import amount_in_words
from lnrecur.values import Msat

_LONG_OFFER: Final = re.compile(r"(lno1[a-z0-9]{12})[a-z0-9]+")
_PAID: Final = ("has the preimage: payment {number} is made", "books payment {number} of {name}")
TOLD: Final[dict[str, tuple[str, str]]] = {
    "subscription.requested": ("asks for the invoice of payment {number}", ""),
    "payment.started": ("checks the invoice and pays {amount}", ""),
    "payment.claimable": ("", "payment {number} of {name} has arrived and is claimed"),
    "subscription.created": _PAID,
    "subscription.renewed": _PAID,
    "subscription.completed": ("is done: {payments} payments", "{name} is complete: {payments} payments"),
    "subscription.cancel_asked": ("CANCELS; the payee will be told when the next payment would be due", ""),
    "subscription.cancelled": ("tells the payee, and it is over", "hears that {name} has cancelled"),
    "subscription.needs_approval": ("NEEDS APPROVAL, nothing is paid: {why}", ""),
    "subscription.approved": ("SAYS YES", ""),
    "subscription.replaced": ("goes on with the new offer", ""),
    "subscription.missed": ("has MISSED payment {number}, and catches up", "payment {number} of {name} is overdue"),
    "subscription.request_refused": ("is refused: {why}", ""),
    "subscription.payment_failed": ("payment {number} failed: {why}", ""),
    "subscription.unreachable": ("cannot reach the payee: {why}", ""),
    "subscription.ended": ("it is over: {why}", "has ended the subscription of {name}"),
    "subscription.given_up": ("gives up: {why}", ""),
}


def in_words(event: Mapping[str, Any], *, by_merchant: bool, subscriber: str) -> str:
    """An event as a line, or nothing where it is not told."""
    told = TOLD.get(event["name"], ("", ""))[by_merchant]
    data = {"name": subscriber, **event["data"]}
    if isinstance(amount := data.get("amount_msat"), int):
        data["amount"] = amount_in_words(Msat(amount))
    if isinstance(counter := data.get("counter"), int):
        data["number"] = counter + 1
    return _LONG_OFFER.sub(r"\1...", told.format(**data))
