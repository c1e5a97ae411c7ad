"""Who plays in the demo, what they buy, and how their stories must end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from lnrecur.values import MSAT_PER_SAT, Msat

PRICE: Final = Msat(1000 * MSAT_PER_SAT)
NEW_PRICE: Final = Msat(1200 * MSAT_PER_SAT)
SMALL_MANDATE: Final = Msat(500 * MSAT_PER_SAT)


def _offer(description: str, period_s: int, payments: int, after_s: int, price: Msat = PRICE) -> dict[str, Any]:
    return {
        "description": description,
        "amount_msat": price,
        "blinded": True,
        "recurrence": {
            "unit": "seconds", "period": period_s, "payments": payments,
            "seconds_before": period_s, "seconds_after": after_s,
        },
    }  # fmt: skip


OFFERS: Final[dict[str, dict[str, Any]]] = {
    "coffee": _offer("Coffee, a cup every three seconds", 3, 4, 30),
    "bread": {**_offer("Bread, paid every two seconds, late if need be", 2, 4, 2), "windows": "lenient"},
    "tea": _offer("Tea, a pot every four seconds", 4, 4, 30),
    "dearer tea": _offer("Tea, at its new price", 4, 2, 30, NEW_PRICE),
}
"""Generous windows, so that a slow machine tells the same story; those of the bread are short and shall be missed."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a subscription ends: the phase on the payer's side and on the payee's, and how many payments are made."""

    phase: str
    payee_phase: str
    payments: int


COMPLETED: Final = Ending("completed", "completed", 4)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One of the people. `mandate_msat` is what each period may cost."""

    name: str
    offer: str
    ending: Ending
    mandate_msat: Msat = PRICE
    extra: dict[str, Any] = field(default_factory=dict)


CAST: Final = (
    Subscriber("A", "coffee", COMPLETED),
    Subscriber("B", "coffee", Ending("cancelled", "cancelled", 2)),
    Subscriber("C", "coffee", COMPLETED, SMALL_MANDATE),
    Subscriber("D", "bread", COMPLETED, extra={"missed": "catch_up"}),
    Subscriber("E", "tea", Ending("lapsed", "ended", 1)),
)
MOVED: Final = Subscriber("E", "dearer tea", Ending("completed", "completed", 2), NEW_PRICE)
"""What becomes of E, whose tea gets another price."""
CANCELS_AFTER: Final = 2
"""Payments after which B has enough."""
OFFLINE_S: Final = 5.0
"""How long D is off the net, after the first payment: longer than its next pay window."""
