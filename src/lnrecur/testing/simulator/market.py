"""What merchants do in a simulated world: publish, change prices, replace, pause and end offers, waive and expel.

Every offer that goes has another one in its place on the page, so that there is always something to subscribe to.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from lnrecur.bolt12 import Offer
from lnrecur.recurrence.inbound_model import Phase
from lnrecur.recurrence.offering import OfferStatus
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.testing.simulator.deeds import Deed, DeedKind
from lnrecur.testing.simulator.plan import Plan
from lnrecur.testing.simulator.scale import DAY
from lnrecur.testing.simulator.wares import OfferPlan, new_price
from lnrecur.testing.simulator.witness import Witness
from lnrecur.values import OfferId

LATER_S: Final = 3600
"""When people try again whose node was down."""
_PAUSED_S: Final = 40 * DAY
At = Callable[[int, Callable[[], object]], None]
"""Puts something on the agenda of the world: when, in unix seconds, and what."""

COUNTED: Final = {
    DeedKind.NEW_PRICE: "new prices",
    DeedKind.REPLACE: "offers replaced",
    DeedKind.END: "offers ended",
    DeedKind.PAUSE: "offers paused",
    DeedKind.WAIVE: "periods waived",
    DeedKind.EXPEL: "subscriptions ended by the merchant",
}


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
        self.plain: list[Offer] = []
        """Those of `plan.plain_offers`, on the page."""

    def open(self) -> None:
        """Publish everything."""
        self.published = [self._publish(offer) for offer in self.offers]
        self.plain = [self._publish(offer) for offer in self._plan.plain_offers]

    def shelf(self) -> Iterator[tuple[OfferPlan, Offer]]:
        """What can be bought once, as planned and as it stands on the page."""
        return zip(self._plan.plain_offers, self.plain, strict=True)

    def do(self, deed: Deed) -> None:
        """What a merchant does, or does later, if the node is down."""
        merchant = self._rig.nodes[deed.node]
        if merchant.services is None:
            self._at(self._rig.clock.now() + LATER_S, lambda: self.do(deed))
        elif deed.kind in (DeedKind.WAIVE, DeedKind.EXPEL):
            self._one(merchant, deed)
        elif deed.kind is DeedKind.PAUSE:
            self._pause(merchant, self.published[self._place(deed)].offer_id)
        else:
            self._change(merchant, deed)

    def _change(self, merchant: RigNode, deed: Deed) -> None:
        """Another offer in place of one: who subscribed goes on, or is asked to move, or is told that it is over."""
        at = self._place(deed)
        chance = random.Random(f"{self._plan.scale.seed}/price/{deed.node}/{deed.at}")  # noqa: S311 - no secrets
        changed = new_price(self.offers[at], chance)
        new = self._publish(changed)
        old, self.published[at], self.offers[at] = self.published[at], new, changed
        self._told(deed, f"{deed.kind}: {changed.terms.description} now costs {changed.terms.amount} msat")
        offers = merchant.payee.offers
        if deed.kind is DeedKind.REPLACE:
            offers.change(old.offer_id, OfferStatus.REPLACED, successor=new.offer_id)
        elif deed.kind is DeedKind.END:
            offers.change(old.offer_id, OfferStatus.ENDED)
        else:
            offers.change(old.offer_id, OfferStatus.RETIRED)

    def _pause(self, merchant: RigNode, offer_id: OfferId) -> None:
        self._witness.note(merchant.name, "deed", "pauses an offer")
        self._counts[COUNTED[DeedKind.PAUSE]] += 1
        self._at(self._rig.clock.now() + _PAUSED_S, lambda: self._resume(merchant, offer_id))
        merchant.payee.offers.change(offer_id, OfferStatus.PAUSED)

    def _resume(self, merchant: RigNode, offer_id: OfferId) -> None:
        if merchant.services is None:
            self._at(self._rig.clock.now() + LATER_S, lambda: self._resume(merchant, offer_id))
            return
        self._witness.note(merchant.name, "deed", "resumes an offer")
        merchant.payee.offers.change(offer_id, OfferStatus.OPEN)

    def _one(self, merchant: RigNode, deed: Deed) -> None:
        """Something for one of the subscribers."""
        active = [state for state in merchant.manager.inbounds() if state.phase is Phase.ACTIVE]
        if not active:
            return
        state = active[deed.number % len(active)]
        self._told(deed, f"{deed.kind}, of {state.payer_note or 'somebody'}")
        subscribers = merchant.payee.subscribers
        if deed.kind is DeedKind.WAIVE:
            subscribers.waive(state.offer_id, state.payer_id)
        else:
            subscribers.end(state.offer_id, state.payer_id)

    def _told(self, deed: Deed, told: str) -> None:
        self._counts[COUNTED[deed.kind]] += 1
        self._witness.note(deed.node, "deed", told)

    def _place(self, deed: Deed) -> int:
        return [at for at, offer in enumerate(self.offers) if offer.merchant == deed.node][deed.number]

    def _publish(self, offer: OfferPlan) -> Offer:
        merchant = self._rig.nodes[offer.merchant]
        record = merchant.payee.create_offer(offer.terms, offer.policy, blinded=offer.blinded)
        return Offer.from_bytes(record.offer)
