"""What subscribers do in a simulated world: subscribe, agree or not, pause, change their minds, leave.

What they do follows from what happens to their subscriptions, after a delay that is theirs. The promises hear of a yes,
or of other limits, before the node does: from then on that is what may be paid. Who is cut off in the middle looks
afterwards at what the node has stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from lnrecur.errors import UsageError
from lnrecur.ports import Role
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Outbound, Phase, Wait
from lnrecur.service.payer import PayerService
from lnrecur.testing.rig import Rig
from lnrecur.testing.simulator.facts import Approval, Facts, Subscription
from lnrecur.testing.simulator.market import LATER_S, At, Market
from lnrecur.testing.simulator.plan import Plan, SubscriptionPlan, subscription_plan
from lnrecur.testing.simulator.power import PowerCut
from lnrecur.testing.simulator.promises import Commit
from lnrecur.testing.simulator.witness import Witness
from lnrecur.values import Msat, RecurrenceId

Deed = Callable[[PayerService, Subscription, SubscriptionPlan], None]
_PATIENCE: Final = 3
"""How often somebody tries once more what the payee refuses."""


class People:
    """All subscribers."""

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
        self._generations: Counter[int] = Counter()
        self._expected: dict[str, SubscriptionPlan] = {}
        """What somebody is subscribing to at this moment."""
        self._ways: dict[bytes, SubscriptionPlan] = {}
        self._patience: Counter[bytes] = Counter()
        witness.listeners.append(self._committed)

    def arrive(self, slot: int) -> None:
        """The holder of a slot subscribes to something."""
        now = self._rig.clock.now()
        way = subscription_plan(self._plan, self._market.offers, slot, self._generations[slot], now)
        node = self._rig.nodes[way.person]
        if node.services is None:
            self._at(now + LATER_S, lambda: self.arrive(slot))
            return
        self._generations[slot] += 1
        self._expected[way.person] = way
        try:
            node.payer.subscribe(self._market.published[way.offer], way.mandate, way.terms)
        except (UsageError, PowerCut):
            if self._expected.pop(way.person, None) is not None:  # nothing was stored
                self._at(now + way.back_after + LATER_S, lambda: self.arrive(slot))
            raise

    # --- what happens to them ----------------------------------------------------------------------------------------

    def _committed(self, commit: Commit) -> None:
        state, before = commit.after, commit.before
        if commit.role is not Role.PAYER or not isinstance(state, Outbound) or state.one_off:
            return
        if before is None:
            self._subscribed(commit.node, state)
        way, known = self._ways[commit.subject], self._facts.subscriptions[commit.subject]
        if commit.node != known.person:
            return  # a twin: nobody looks at what it says
        now = self._rig.clock.now()
        asked_before = before is not None and before.phase is Phase.NEEDS_APPROVAL
        if state.phase is Phase.NEEDS_APPROVAL and not asked_before and way.approve_after is not None:
            self._later(now + way.approve_after, known, _decline if way.declines else self._approve)
        if state.is_final and not (before is not None and before.is_final):
            self._counts[f"subscriptions {state.phase}"] += 1
            if state.waits_for is not Wait.NEW_OFFER:
                self._at(now + way.back_after, lambda: self.arrive(way.slot))

    def _subscribed(self, person: str, state: Outbound) -> None:
        way = self._expected.pop(person)
        keys = self._rig.nodes[person].keyring.payer(state.recurrence_id)
        known = Subscription(
            slot=way.slot,
            generation=way.generation,
            person=person,
            merchant=self._market.offers[way.offer].merchant,
            recurrence_id=state.recurrence_id,
            payer_id=keys.payer_id,
            offer=state.offer,
            recurrence=state.recurrence,
            terms=state.terms,
            mandate=way.mandate,
        )
        self._ways[state.recurrence_id] = way
        self._facts.add(known)
        self._witness.note(person, "deed", f"subscribes to {state.offer.description}", (way.slot,))
        self._witness.tell("subscribed", known)
        self._counts["subscriptions"] += 1
        now = self._rig.clock.now()
        habits = ((way.cancel_after, _cancel), (way.pause_after, self._pause), (way.amend_after, self._amend))
        for after, deed in habits:
            if after is not None:
                self._later(now + after, known, deed)

    # --- what they do ------------------------------------------------------------------------------------------------

    def _later(self, moment: int, known: Subscription, deed: Deed) -> None:
        """Do something to a subscription at a moment, or as soon after it as the node is up."""

        def do() -> None:
            node = self._rig.nodes[known.person]
            if node.services is None:
                self._later(self._rig.clock.now() + LATER_S, known, deed)
                return
            name = deed.__name__.strip("_")
            self._witness.note(known.person, "deed", f"{name}s", (known.slot,))
            deed(node.payer, known, self._ways[known.recurrence_id])
            self._counts[f"{name}s"] += 1

        self._at(moment, do)

    def _pause(self, payer: PayerService, known: Subscription, way: SubscriptionPlan) -> None:
        self._later(self._rig.clock.now() + way.pause_for, known, _resume)
        payer.pause(known.recurrence_id)

    def _approve(self, payer: PayerService, known: Subscription, way: SubscriptionPlan) -> None:
        """Look at what is asked, and agree to that."""
        state = self._state(known)
        if state.phase is not Phase.NEEDS_APPROVAL:
            return
        if state.waits_for is Wait.REFUSAL:
            self._patience[known.recurrence_id] += 1
            if self._patience[known.recurrence_id] > _PATIENCE:
                payer.decline(known.recurrence_id)
                return
        if state.waits_for is Wait.NEW_OFFER:
            self._expected[known.person] = replace(way, mandate=known.mandate)
            payer.approve(known.recurrence_id, known.mandate)
            return
        known.approvals[state.next_counter] = Approval(state.awaiting_msat)
        if not way.approve_for_good or state.awaiting_msat is None:
            payer.approve(known.recurrence_id)
            return
        most = Msat(max(state.awaiting_msat, known.mandate.max_per_period_msat or 0))
        larger = Mandate(max_per_period_msat=most)
        with self._other_limits(known, larger):
            payer.approve(known.recurrence_id, larger)

    def _amend(self, payer: PayerService, known: Subscription, way: SubscriptionPlan) -> None:
        """Allow more or less from now on."""
        limit = known.mandate.max_per_period_msat
        if limit is None:
            return
        most = Msat(max(1, limit * way.amend_percent // 100))
        changed = replace(known.mandate, max_per_period_msat=most)
        with self._other_limits(known, changed):
            payer.amend(known.recurrence_id, {"max_per_period_msat": most}, {})

    @contextmanager
    def _other_limits(self, known: Subscription, mandate: Mandate) -> Iterator[None]:
        """From now on a person allows this; who is cut off, or refused, looks at what the node has stored."""
        known.mandate = mandate
        try:
            yield
        except (UsageError, PowerCut):
            known.mandate = self._state(known).mandate
            raise

    def _state(self, known: Subscription) -> Outbound:
        stored = self._facts.stores[known.person].outbound(RecurrenceId(known.recurrence_id))
        assert stored is not None  # P3 would have noticed
        return stored.state


def _cancel(payer: PayerService, known: Subscription, way: SubscriptionPlan) -> None:
    payer.cancel(known.recurrence_id)


def _resume(payer: PayerService, known: Subscription, way: SubscriptionPlan) -> None:
    payer.resume(known.recurrence_id)


def _decline(payer: PayerService, known: Subscription, way: SubscriptionPlan) -> None:
    payer.decline(known.recurrence_id)
