"""What happens in a simulated world, decided before it begins: offers, people, their habits and their bad days.

Everything follows from the seed, and each part from its own stream of chance. So a world with fewer subscriptions or
fewer deeds is the same world with those left out, which is what lets `minimiser` shrink it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from lnrecur.bolt12 import OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.offering import OfferPolicy, Windows
from lnrecur.recurrence.outbound_terms import Missed, PayAt, Terms, Trigger
from lnrecur.recurrence.retry import PAYMENT_RETRY, REQUEST_RETRY
from lnrecur.testing.simulator.currency import CURRENCY
from lnrecur.testing.simulator.faults import FaultLevels
from lnrecur.values import MSAT_PER_SAT, Msat, UnixSeconds

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
YEAR: Final = 365 * DAY
_SUBSCRIPTIONS_PER_MERCHANT: Final = 40
_OFFERS_PER_MERCHANT: Final = 8
_ARRIVALS_S: Final = 120 * DAY
"""All have come by then, or by a fifth of the time."""


class DeedKind(StrEnum):
    """What people and fate do."""

    CRASH = "crash"
    POWER_CUT = "power cut"
    OUTAGE = "money node outage"
    LOST_ANSWER = "money node's answer lost"
    FAILING_PAYMENTS = "payments fail"
    OFFLINE = "offline"
    BROKE = "no money"
    NEW_PRICE = "new price"
    REPLACE = "offer replaced"
    END = "offer ended"
    PAUSE = "offer paused"
    WAIVE = "period waived"
    EXPEL = "subscription ended"


@dataclass(frozen=True, slots=True)
class Deed:
    """What happens to a node at a moment (seconds from the beginning). `number`: how long, how often, or which."""

    at: int
    kind: DeedKind
    node: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class OfferPlan:
    """An offer of a merchant."""

    merchant: str
    terms: OfferTerms
    policy: OfferPolicy
    blinded: bool


@dataclass(frozen=True, slots=True)
class SubscriptionPlan:
    """What somebody subscribes to, and how that somebody is. Delays are in seconds."""

    slot: int
    generation: int
    person: str
    offer: int
    quantity: int | None
    mandate: Mandate
    terms: Terms
    cancel_after: int | None
    approve_after: int | None
    """None: does not look at questions."""
    approve_for_good: bool
    """Whether the answer to a question is a larger mandate, and not a yes to one payment."""
    pause_after: int | None
    pause_for: int
    amend_after: int | None
    amend_percent: int
    """What a changed mandate allows per period, of what it allowed before."""
    declines: bool
    """Whether the answer to a question is no."""
    back_after: int
    """How long after the end of this subscription the slot's next one begins."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is simulated."""

    seed: int
    seconds: int
    subscriptions: int
    faults: FaultLevels
    on_disk: bool = False
    """Whether every node keeps its books in SQLite, instead of in memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A world, as far as it can be told before."""

    scale: Scale
    arrivals: tuple[tuple[int, int], ...]
    """The slots that take part, each with the second in which its first subscription begins."""
    offers: tuple[OfferPlan, ...]
    deeds: tuple[Deed, ...]

    @property
    def nodes(self) -> list[str]:
        """All nodes that take part: merchants and people."""
        merchants = sorted({offer.merchant for offer in self.offers})
        return merchants + sorted({person_of(slot) for slot, _ in self.arrivals}, key=lambda name: (len(name), name))


def make_plan(scale: Scale) -> Plan:
    """The world of a seed."""
    merchants = [
        f"merchant {number}" for number in range(1, 2 + (scale.subscriptions - 1) // _SUBSCRIPTIONS_PER_MERCHANT)
    ]
    offers = tuple(
        _offer(random.Random(f"{scale.seed}/offer/{merchant}/{number}"), merchant, number)  # noqa: S311 - no secrets
        for merchant in merchants
        for number in range(_OFFERS_PER_MERCHANT)
    )
    horizon = max(1, min(scale.seconds // 5, _ARRIVALS_S))
    plan = Plan(
        scale,
        tuple(
            (slot, random.Random(f"{scale.seed}/arrival/{slot}").randrange(horizon))  # noqa: S311 - no secrets
            for slot in range(scale.subscriptions)
        ),
        offers,
        (),
    )
    deeds = [deed for name in plan.nodes for deed in _deeds(scale, name)]
    return replace(plan, deeds=tuple(sorted(deeds, key=lambda deed: deed.at)))


def person_of(slot: int) -> str:
    """Who holds a subscription: every third person holds two."""
    return f"person {slot * 3 // 4 + 1}"


# --- offers ----------------------------------------------------------------------------------------------------------

_PERIODS: Final = (
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
_OFFER_WEIGHTS: Final = (24, 22, 18, 8, 8, 7, 1, 12)
"""How many of a hundred subscriptions are to a merchant's offers, in their order."""


def _offer(chance: random.Random, merchant: str, number: int) -> OfferPlan:
    recurrence, length = _PERIODS[number]
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


# --- people ----------------------------------------------------------------------------------------------------------


def subscription_plan(plan: Plan, offers: list[OfferPlan], slot: int, generation: int, now: int) -> SubscriptionPlan:
    """What the holder of a slot subscribes to next. `offers`: those that can be had now; `now` is unix time."""
    scale = plan.scale
    chance = random.Random(f"{scale.seed}/subscription/{slot}/{generation}")  # noqa: S311 - no secrets
    merchants = len(offers) // _OFFERS_PER_MERCHANT
    at = chance.randrange(merchants) * _OFFERS_PER_MERCHANT + chance.choices(range(8), _OFFER_WEIGHTS)[0]
    offer = offers[at]
    quantity = None if offer.terms.quantity_max is None else chance.randint(1, offer.terms.quantity_max or 9)
    assert offer.terms.amount is not None  # all of ours have a price
    length = _PERIODS[at % _OFFERS_PER_MERCHANT][1]
    asked = chance.random() < 0.15
    return SubscriptionPlan(
        slot=slot,
        generation=generation,
        person=person_of(slot),
        offer=at,
        quantity=quantity,
        mandate=_mandate(chance, offer.terms.amount * (quantity or 1), offer.terms.currency, length, now),
        terms=Terms(
            trigger=Trigger.ON_APPROVAL if asked else Trigger.AUTOMATIC,
            missed=Missed.CATCH_UP if chance.random() < 0.4 else Missed.STOP,
            request_retry=replace(REQUEST_RETRY, cap_s=max(REQUEST_RETRY.cap_s, length // 60)),
            payment_retry=replace(PAYMENT_RETRY, cap_s=max(PAYMENT_RETRY.cap_s, length // 60)),
            quantity=quantity,
            pay_at=chance.choices(tuple(PayAt), (70, 15, 15))[0],
            margin_s=length // 20,
            payer_note=chance.choice((None, None, f"from slot {slot}")),
        ),
        cancel_after=int(chance.expovariate(1 / (4 * YEAR))) if chance.random() < 0.5 else None,
        approve_after=None if chance.random() < 0.2 else MINUTE + int(chance.random() ** 3 * length),
        approve_for_good=chance.random() < 0.5,
        pause_after=int(chance.expovariate(1 / (2 * YEAR))) if chance.random() < 0.2 else None,
        pause_for=int(chance.expovariate(1 / length)),
        amend_after=int(chance.expovariate(1 / (2 * YEAR))) if chance.random() < 0.2 else None,
        amend_percent=chance.choice((50, 100, 120, 200)),
        declines=chance.random() < 0.25,
        back_after=int(chance.expovariate(1 / (10 * DAY))),
    )


def _mandate(chance: random.Random, price: int, currency: str | None, length: int, now: int) -> Mandate:
    """What somebody allows who read the price: mostly that, sometimes more, sometimes too little."""
    most = max(1, price * chance.choices((100, 150, 60), (70, 25, 5))[0] // 100)
    limits = Mandate(Msat(most)) if currency is None else Mandate(None, fiat=FiatLimit(currency, most))
    if chance.random() < 0.15:
        limits = replace(limits, max_payments=chance.randint(1, 30))
    if currency is None and chance.random() < 0.15:
        limits = replace(limits, max_total_msat=Msat(price * chance.randint(1, 40)))
    if chance.random() < 0.15:
        limits = replace(limits, ends_at=UnixSeconds(now + length * chance.randint(1, 60) + chance.randint(0, length)))
    return limits


# --- bad days --------------------------------------------------------------------------------------------------------


def _deeds(scale: Scale, node: str) -> list[Deed]:
    """What happens to a node, and what a merchant does."""
    levels = scale.faults
    merchant = node.startswith("merchant")
    rates: dict[DeedKind, tuple[float, int, int]] = {
        DeedKind.CRASH: (levels.crashes, 5, 2 * HOUR),
        DeedKind.POWER_CUT: (levels.power_cuts, 1, 40),
        DeedKind.OUTAGE: (levels.outages, 10, 20 * MINUTE),
        DeedKind.LOST_ANSWER: (levels.lost_answers, 1, 3),
        DeedKind.FAILING_PAYMENTS: (0.0 if merchant else levels.failing_payments, 1, 3),
        DeedKind.OFFLINE: (0.0 if merchant else levels.offline, HOUR, 12 * DAY),
        DeedKind.BROKE: (0.0 if merchant else levels.broke, DAY, 20 * DAY),
        DeedKind.NEW_PRICE: (0.7 if merchant else 0.0, 0, _OFFERS_PER_MERCHANT - 1),
        DeedKind.REPLACE: (0.3 if merchant else 0.0, 0, _OFFERS_PER_MERCHANT - 1),
        DeedKind.END: (0.1 if merchant else 0.0, 0, _OFFERS_PER_MERCHANT - 1),
        DeedKind.PAUSE: (0.2 if merchant else 0.0, 0, _OFFERS_PER_MERCHANT - 1),
        DeedKind.WAIVE: (2.0 if merchant else 0.0, 0, 10**6),
        DeedKind.EXPEL: (0.2 if merchant else 0.0, 0, 10**6),
    }
    found = []
    for kind, (rate, least, most) in rates.items():
        chance = random.Random(f"{scale.seed}/{kind}/{node}")  # noqa: S311 - no secrets
        at = 0.0
        while rate and (at := at + chance.expovariate(rate / YEAR)) < scale.seconds:
            found.append(Deed(int(at), kind, node, chance.randint(least, most)))
    return found
