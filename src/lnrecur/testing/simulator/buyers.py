"""Single payments in a simulated world: people who pay a plain offer once, beside their subscriptions."""

from __future__ import annotations

import random
from collections import Counter
from typing import Final

from lnrecur.errors import UsageError
from lnrecur.ports import Role
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.testing.rig import Rig
from lnrecur.testing.simulator.deeds import Deed, DeedKind
from lnrecur.testing.simulator.facts import Facts, Subscription
from lnrecur.testing.simulator.market import LATER_S, At, Market
from lnrecur.testing.simulator.plan import Plan, person_behind, purchase_mandate, purchases_of
from lnrecur.testing.simulator.power import PowerCut
from lnrecur.testing.simulator.promises import Commit
from lnrecur.testing.simulator.witness import Witness


class Buyers:
    """Everybody who buys something once."""

    kinds: Final = frozenset({DeedKind.BUY})

    def __init__(
        self, plan: Plan, rig: Rig, facts: Facts, witness: Witness, market: Market, at: At, counts: Counter[str]
    ) -> None:
        self._plan = plan
        self._rig = rig
        self._facts = facts
        self._witness = witness
        self._market = market
        self._at = at
        self._counts = counts
        self._bought: Counter[str] = Counter()
        self._allowed: dict[str, Mandate] = {}
        """What somebody who is buying at this moment allows."""
        witness.listeners.append(self._committed)

    def do(self, deed: Deed) -> None:
        """Somebody buys something, or does so later, if the node is down."""
        person, now = deed.node, self._rig.clock.now()
        node = self._rig.nodes[person]
        if node.services is None:
            self._at(now + LATER_S, lambda: self.do(deed))
            return
        place = deed.number % len(self._plan.plain_offers)
        chance = random.Random(f"{self._plan.scale.seed}/buy/{person}/{deed.at}")  # noqa: S311 - no secrets
        self._allowed[person], terms = purchase_mandate(chance, self._plan.plain_offers[place])
        try:
            node.payer.pay_once(self._market.plain[place], self._allowed[person], terms)
        except (UsageError, PowerCut):
            if self._allowed.pop(person, None) is not None:  # nothing was stored
                self._at(now + LATER_S, lambda: self.do(deed))
            raise

    def _committed(self, commit: Commit) -> None:
        state = commit.after
        if commit.role is not Role.PAYER or not isinstance(state, Outbound) or not state.one_off:
            return
        if person_behind(commit.node) != commit.node:
            return  # a twin
        if commit.before is None:
            self._ordered(commit.node, state)
        if state.is_final and (commit.before is None or not commit.before.is_final):
            self._counts[f"single payments {state.phase}"] += 1

    def _ordered(self, person: str, state: Outbound) -> None:
        slot = purchases_of(person)
        known = Subscription(
            slot=slot,
            generation=self._bought[person],
            person=person,
            merchant=next(offer.merchant for offer, published in self._market.shelf() if published == state.offer),
            recurrence_id=state.recurrence_id,
            payer_id=self._rig.nodes[person].keyring.payer(state.recurrence_id).payer_id,
            offer=state.offer,
            recurrence=None,
            terms=state.terms,
            mandate=self._allowed.pop(person),
        )
        self._bought[person] += 1
        self._facts.add(known)
        self._witness.note(person, "deed", f"buys {state.offer.description}", (slot,))
        self._witness.tell("subscribed", known)
        self._counts["single payments"] += 1
