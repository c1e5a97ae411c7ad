"""What merchants do in a simulated world: publish offers, and take one from the page for another at a new price."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

from lnrecur.bolt12 import Offer
from lnrecur.testing.rig import Rig
from lnrecur.testing.simulator.plan import Deed, OfferPlan, Plan, new_price
from lnrecur.testing.simulator.witness import Witness

LATER_S: Final = 3600
"""When people try again whose node was down."""
At = Callable[[int, Callable[[], object]], None]
"""Puts something on the agenda of the world: when, in unix seconds, and what."""


class Market:
    """The offers that can be had."""

    def __init__(self, plan: Plan, rig: Rig, witness: Witness, at: At, counts: Counter[str]) -> None:
        self._plan = plan
        self._rig = rig
        self._witness = witness
        self._at = at
        self._counts = counts
        self.offers: list[OfferPlan] = list(plan.offers)
        self.published: list[Offer] = []
        """The same as they stand on the page."""

    def open(self) -> None:
        """Publish everything."""
        self.published = [self._publish(offer) for offer in self.offers]

    def change_price(self, deed: Deed) -> None:
        """Take an offer from the page and put one at another price there; who subscribed goes on."""
        if self._rig.nodes[deed.node].services is None:
            self._at(self._rig.clock.now() + LATER_S, lambda: self.change_price(deed))
            return
        at = [at for at, offer in enumerate(self.offers) if offer.merchant == deed.node][deed.number]
        chance = random.Random(f"{self._plan.scale.seed}/price/{deed.node}/{deed.at}")  # noqa: S311 - no secrets
        changed = new_price(self.offers[at], chance)
        new = self._publish(changed)
        old, self.published[at], self.offers[at] = self.published[at], new, changed
        self._counts["new prices"] += 1
        self._witness.note(deed.node, "deed", f"{changed.terms.description} now costs {changed.terms.amount} msat")
        self._rig.nodes[deed.node].manager.set_offer_active(old.offer_id, False)

    def _publish(self, offer: OfferPlan) -> Offer:
        merchant = self._rig.nodes[offer.merchant]
        record = merchant.payee.create_offer(offer.terms, offer.policy, blinded=offer.blinded)
        return Offer.from_bytes(record.offer)
