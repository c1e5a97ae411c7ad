"""What merchants sell in a simulated world."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from lnrecur.bolt12 import OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.offering import OfferPolicy, Windows
from lnrecur.testing.simulator.currency import CURRENCY
from lnrecur.testing.simulator.scale import DAY, HOUR, YEAR
from lnrecur.values import MSAT_PER_SAT

OFFERS_PER_MERCHANT: Final = 8
"""Recurring ones; one more can be bought once."""


@dataclass(frozen=True, slots=True)
class OfferPlan:
    """An offer of a merchant."""

    merchant: str
    terms: OfferTerms
    policy: OfferPolicy
    blinded: bool


PERIODS: Final = (
    (Recurrence(TimeUnit.MONTHS, 1), 30 * DAY),
    (Recurrence(TimeUnit.MONTHS, 1), 30 * DAY),
    (Recurrence(TimeUnit.MONTHS, 1), 30 * DAY),
    (Recurrence(TimeUnit.MONTHS, 3), 90 * DAY),
    (Recurrence(TimeUnit.MONTHS, 12), 365 * DAY),
    (Recurrence(TimeUnit.DAYS, 7), 7 * DAY),
    (Recurrence(TimeUnit.DAYS, 1), DAY),
    (Recurrence(TimeUnit.MONTHS, 1), 30 * DAY),
)
"""What merchants sell, by number: mostly by the month."""
_SAT: Final = (1, 10, 150, 1000, 5000, 21_000)
OFFER_WEIGHTS: Final = (24, 22, 18, 8, 8, 7, 1, 12)
"""How many of a hundred subscriptions are to a merchant's offers, in their order."""


def recurring_offer(chance: random.Random, merchant: str, number: int) -> OfferPlan:
    """The offer that a merchant makes under a number: what its period is follows from that."""
    recurrence, length = PERIODS[number]
    before, after = (length * chance.randint(1, 10) // 100, length * chance.randint(10, 90) // 100)
    if chance.random() < 0.6:
        recurrence = replace(recurrence, paywindow=Paywindow(before, after))
    if chance.random() < 0.3:
        started = 1_767_225_600 - chance.randint(0, 2 * YEAR)
        recurrence = replace(recurrence, base=RecurrenceBase(int(chance.random() < 0.5), started))
    elif chance.random() < 0.2:
        recurrence = replace(recurrence, optional=True)
    if recurrence.base is None and chance.random() < 0.25:
        recurrence = replace(recurrence, limit=chance.choice((1, 2, 5, 11, 23)))
    in_euro = chance.random() < 0.2
    terms = OfferTerms(
        description=f"offer {number} of {merchant}",
        amount=chance.choice((99, 499, 1999)) if in_euro else chance.choice(_SAT) * MSAT_PER_SAT,
        currency=CURRENCY if in_euro else None,
        quantity_max=chance.choice((None, None, None, 0, 5)),
        recurrence=recurrence,
    )
    windows = Windows.LENIENT if chance.random() < 0.4 else Windows.STRICT
    policy = OfferPolicy(
        windows=windows,
        invoice_expiry_s=chance.choice((600, HOUR, DAY)),
        early_s=chance.choice((0, 0, HOUR)),
        grace_s=chance.choice((0, 0, HOUR)),
        arrears_max=chance.choice((None, 1, 3)) if windows is Windows.LENIENT else None,
    )
    return OfferPlan(merchant, terms, policy, blinded=chance.random() < 0.3)


def new_price(plan: OfferPlan, chance: random.Random) -> OfferPlan:
    """The same offer at another price."""
    assert plan.terms.amount is not None  # all of ours have a price
    least = MSAT_PER_SAT if plan.terms.currency is None else 1
    amount = max(least, plan.terms.amount * chance.choice((80, 105, 110, 150)) // 100)
    return replace(plan, terms=replace(plan.terms, amount=amount))


def plain_offer(chance: random.Random, merchant: str) -> OfferPlan:
    """Something that is bought once."""
    in_euro = chance.random() < 0.2
    terms = OfferTerms(
        description=f"a thing of {merchant}",
        amount=chance.choice((99, 499, 1999)) if in_euro else chance.choice(_SAT) * MSAT_PER_SAT,
        currency=CURRENCY if in_euro else None,
    )
    return OfferPlan(merchant, terms, OfferPolicy(), blinded=chance.random() < 0.3)
