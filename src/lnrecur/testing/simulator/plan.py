"""What happens in a simulated world, decided before it begins: offers, people, their habits and their bad days.

Everything follows from the seed, and each part from its own stream of chance. So a world with fewer subscriptions or
fewer deeds is the same world with those left out, which is what lets `minimiser` shrink it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.outbound_terms import Missed, PayAt, Terms, Trigger
from lnrecur.recurrence.retry import (
    ONE_OFF_PAYMENT_RETRY,
    ONE_OFF_REQUEST_RETRY,
    PAYMENT_RETRY,
    REQUEST_RETRY,
)
from lnrecur.testing.simulator.deeds import TWIN, WORKER, Deed, DeedKind, deeds_of
from lnrecur.testing.simulator.scale import DAY, MINUTE, YEAR, Scale
from lnrecur.testing.simulator.wares import (
    OFFER_WEIGHTS,
    OFFERS_PER_MERCHANT,
    PERIODS,
    OfferPlan,
    plain_offer,
    recurring_offer,
)
from lnrecur.values import Msat, UnixSeconds

_HAS_TWIN: Final = 0.08
"""The chance of a person to have a second daemon some day."""
_RELAYS: Final = ("relay 1", "relay 2")
_HAS_RELAYS: Final = 0.2
"""The chance of a world to have relays."""
_HAS_WORKER: Final = 0.5
"""The chance of a world on disk to have such nodes, and then of each node to have a process of its own for the work."""
_CANNOT_HOLD: Final = 0.2
"""The chance of a merchant to have a money node that cannot hold payments."""
_SUBSCRIPTIONS_PER_MERCHANT: Final = 40
_ARRIVALS_S: Final = 120 * DAY
"""All have come by then, or by a fifth of the time."""


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
class Plan:
    """A world, as far as it can be told before."""

    scale: Scale
    arrivals: tuple[tuple[int, int], ...]
    """The slots that take part, each with the second in which its first subscription begins."""
    offers: tuple[OfferPlan, ...]
    plain_offers: tuple[OfferPlan, ...]
    """What can be bought once, of each merchant one."""
    cannot_hold: frozenset[str]
    """Merchants whose money nodes settle every payment at once."""
    relays: tuple[str, ...]
    """Nodes that every message between a person and a merchant goes through; none: everybody is everybody's peer."""
    with_workers: frozenset[str]
    """Nodes of two processes, who share a store on disk."""
    with_twins: frozenset[str]
    """People who come to have a second daemon of the same seed."""
    deeds: tuple[Deed, ...]

    @property
    def nodes(self) -> list[str]:
        """All nodes that take part from the beginning: relays, merchants and people."""
        merchants = sorted({offer.merchant for offer in self.offers})
        people = sorted({person_of(slot) for slot, _ in self.arrivals}, key=lambda name: (len(name), name))
        return [*self.relays, *merchants, *people]


def make_plan(scale: Scale) -> Plan:
    """The world of a seed."""
    merchants = [
        f"merchant {number}" for number in range(1, 2 + (scale.subscriptions - 1) // _SUBSCRIPTIONS_PER_MERCHANT)
    ]
    offers = tuple(
        recurring_offer(random.Random(f"{scale.seed}/offer/{merchant}/{number}"), merchant, number)  # noqa: S311 - no secrets
        for merchant in merchants
        for number in range(OFFERS_PER_MERCHANT)
    )
    horizon = max(1, min(scale.seconds // 5, _ARRIVALS_S))
    plan = Plan(
        scale,
        tuple(
            (slot, random.Random(f"{scale.seed}/arrival/{slot}").randrange(horizon))  # noqa: S311 - no secrets
            for slot in range(scale.subscriptions)
        ),
        offers,
        tuple(
            plain_offer(random.Random(f"{scale.seed}/thing/{merchant}"), merchant)  # noqa: S311 - no secrets
            for merchant in merchants
        ),
        frozenset(
            merchant
            for merchant in merchants
            if random.Random(f"{scale.seed}/hold/{merchant}").random() < _CANNOT_HOLD  # noqa: S311 - no secrets
        ),
        _RELAYS if random.Random(f"{scale.seed}/relays").random() < _HAS_RELAYS else (),  # noqa: S311 - no secrets
        frozenset(),
        frozenset(),
        (),
    )
    twins = {name: twin for name in plan.nodes if (twin := _twin(scale, name)) is not None}
    workers = [name for name in plan.nodes if name not in twins and _has_worker(scale, name)]
    plan = replace(plan, with_twins=frozenset(twins), with_workers=frozenset(workers))
    nodes = [*plan.nodes, *map(twin_of, twins), *map(worker_of, workers)]
    deeds = [*twins.values(), *(deed for name in nodes for deed in deeds_of(scale, name))]
    return replace(plan, deeds=tuple(sorted(deeds, key=lambda deed: deed.at)))


def person_of(slot: int) -> str:
    """Who holds a subscription, or makes single payments: every third person holds two subscriptions."""
    return f"person {slot * 3 // 4 + 1}" if slot >= 0 else f"person {-slot}"


def twin_of(person: str) -> str:
    """What the second daemon of a person is called."""
    return f"{person}{TWIN}"


def worker_of(node: str) -> str:
    """What the worker of a node is called."""
    return f"{node}{WORKER}"


def front_of(process: str) -> str:
    """The node whose process this is."""
    return process.removesuffix(WORKER)


def _has_worker(scale: Scale, name: str) -> bool:
    world = random.Random(f"{scale.seed}/workers").random()  # noqa: S311 - no secrets
    chance = random.Random(f"{scale.seed}/worker/{name}").random()  # noqa: S311 - no secrets
    return scale.on_disk and not name.startswith("relay") and max(world, chance) < _HAS_WORKER


def relays_of(plan: Plan, node: str) -> tuple[str, ...]:
    """Which relays a node is connected to: a person to one of them, everybody else to all others."""
    if not node.startswith("person"):
        return tuple(relay for relay in plan.relays if relay != node)
    chance = random.Random(f"{plan.scale.seed}/relay/{person_behind(node)}")  # noqa: S311 - no secrets
    return (chance.choice(plan.relays),) if plan.relays else ()


def person_behind(node: str) -> str:
    """Whose daemon this is, be it the first or the second."""
    return node.removesuffix(TWIN)


def _twin(scale: Scale, name: str) -> Deed | None:
    """When a person gets a second daemon, if ever; `number`: whether both use one money node."""
    chance = random.Random(f"{scale.seed}/twin/{name}")  # noqa: S311 - no secrets
    if not name.startswith("person") or chance.random() >= _HAS_TWIN:
        return None
    return Deed(int(scale.seconds * chance.uniform(0.05, 0.6)), DeedKind.TWIN, name, int(chance.random() < 0.5))


def purchases_of(person: str) -> int:
    """The slot of all single payments of a person; it is below 0."""
    return -int(person.removeprefix("person "))


def purchase_mandate(chance: random.Random, offer: OfferPlan) -> tuple[Mandate, Terms]:
    """What somebody allows who buys something once."""
    assert offer.terms.amount is not None  # all of ours have a price
    most = max(1, offer.terms.amount * chance.choices((100, 150, 60), (85, 10, 5))[0] // 100)
    terms = Terms(request_retry=ONE_OFF_REQUEST_RETRY, payment_retry=ONE_OFF_PAYMENT_RETRY)
    return replace(_allowing(most, offer.terms.currency), max_payments=1), terms


# --- people ----------------------------------------------------------------------------------------------------------


def subscription_plan(plan: Plan, offers: list[OfferPlan], slot: int, generation: int, now: int) -> SubscriptionPlan:
    """What the holder of a slot subscribes to next. `offers`: those that can be had now; `now` is unix time."""
    scale = plan.scale
    chance = random.Random(f"{scale.seed}/subscription/{slot}/{generation}")  # noqa: S311 - no secrets
    merchants = len(offers) // OFFERS_PER_MERCHANT
    at = chance.randrange(merchants) * OFFERS_PER_MERCHANT + chance.choices(range(8), OFFER_WEIGHTS)[0]
    offer = offers[at]
    quantity = None if offer.terms.quantity_max is None else chance.randint(1, offer.terms.quantity_max or 9)
    assert offer.terms.amount is not None  # all of ours have a price
    length = PERIODS[at % OFFERS_PER_MERCHANT][1]
    asked = chance.random() < 0.15
    made = SubscriptionPlan(
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
    return _for_two(made) if made.person in plan.with_twins else made


def _for_two(made: SubscriptionPlan) -> SubscriptionPlan:
    """What two daemons can do who do not know of each other: no limits over all payments, and nothing said to one only.

    A cancel may be said to one: the payee tells the other.
    """
    mandate = replace(made.mandate, max_total_msat=None, max_payments=None)
    terms = replace(made.terms, trigger=Trigger.AUTOMATIC)
    return replace(made, mandate=mandate, terms=terms, approve_after=None, pause_after=None, amend_after=None)


def _mandate(chance: random.Random, price: int, currency: str | None, length: int, now: int) -> Mandate:
    """What somebody allows who read the price: mostly that, sometimes more, sometimes too little."""
    most = max(1, price * chance.choices((100, 150, 60), (70, 25, 5))[0] // 100)
    limits = _allowing(most, currency)
    if chance.random() < 0.15:
        limits = replace(limits, max_payments=chance.randint(1, 30))
    if currency is None and chance.random() < 0.15:
        limits = replace(limits, max_total_msat=Msat(price * chance.randint(1, 40)))
    if chance.random() < 0.15:
        limits = replace(limits, ends_at=UnixSeconds(now + length * chance.randint(1, 60) + chance.randint(0, length)))
    return limits


def _allowing(most: int, currency: str | None) -> Mandate:
    return Mandate(Msat(most)) if currency is None else Mandate(None, fiat=FiatLimit(currency, most))
