"""A simulated world: real services on virtual time, people and fate doing what the plan says, promises looking on.

The loop is short: let time pass up to the next thing that somebody does, do it, go on. What people do follows from what
happens to them (a question to approve, the end of a subscription), after a delay that is theirs. In the end everything
is put right (power, money, network), all get time to finish, and the promises that speak of a quiet world are checked.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.bolt12 import Offer
from lnrecur.errors import UsageError
from lnrecur.ports import RecurrenceManager, Role
from lnrecur.recurrence.outbound_model import Outbound, Phase
from lnrecur.service.assembly import Parts
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import START, Rig
from lnrecur.testing.simulator.facts import Approval, Facts, Subscription
from lnrecur.testing.simulator.fate import Fate
from lnrecur.testing.simulator.plan import DAY, OfferPlan, Plan, SubscriptionPlan, new_price, subscription_plan
from lnrecur.testing.simulator.power import PowerCut
from lnrecur.testing.simulator.promises import PROMISES, Commit, Promise, PromiseBroken
from lnrecur.testing.simulator.trace import Trace, Wanted
from lnrecur.testing.simulator.witness import Witness
from lnrecur.values import Msat

Dress = Callable[[str, Parts], Parts]
"""Changes the parts of a node, given its name."""


@dataclass(frozen=True, slots=True)
class Breakage:
    """Parts broken on purpose, to see that the promises notice."""

    behind: Dress | None = None
    """Stands behind the witness: stores that forget, money nodes that lie."""
    before: Dress | None = None
    """Stands between the services and the witness: services that do the wrong thing."""
    promises: tuple[type[Promise], ...] = PROMISES
    """Which promises look on."""


WHOLE: Final = Breakage()
Progress = Callable[[float, str], None]
"""Told the share of the time that has passed, from 0 to 1, and what the world is like."""

CALM_S: Final = 3 * DAY
"""How long everybody has to finish once nothing goes wrong any more."""
_LATER_S: Final = 3600
_OPENING_MSAT: Final = Msat(10**15)


@dataclass(slots=True)
class Outcome:
    """How a world ended."""

    breach: PromiseBroken | None = None
    at: int = 0
    """When it ended, in unix seconds."""
    digest: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    trace: Trace = field(default_factory=Trace)
    subscriptions: list[Subscription] = field(default_factory=list)


class World:
    """One run of a plan."""

    def __init__(
        self,
        plan: Plan,
        *,
        wanted: Wanted | None = None,
        breakage: Breakage = WHOLE,
        progress: Progress | None = None,
    ) -> None:
        """`wanted`: which lines of the trace to keep."""
        self.plan = plan
        self.counts: Counter[str] = Counter()
        self._breakage = breakage
        self._progress = progress or (lambda share, told: None)
        self._trace = Trace(wanted)
        self._agenda: list[tuple[int, int, Callable[[], object]]] = []
        self._order = count()
        self._offers: list[OfferPlan] = list(plan.offers)
        self._published: list[Offer] = []
        self._generations: Counter[int] = Counter()
        self._expected: dict[str, SubscriptionPlan] = {}
        self._ways: dict[bytes, SubscriptionPlan] = {}

    async def run(self) -> Outcome:
        """Let it happen, up to the first broken promise; an exception that nobody handled is told as one."""
        levels = self.plan.scale.faults
        faults = Faults(levels.loss, levels.doubling, levels.reordering, levels.lateness)
        outcome = Outcome(trace=self._trace)
        asyncio.get_running_loop().set_exception_handler(_unretrieved)
        with ExitStack() as cleanup:
            async with Rig(self.plan.scale.seed, faults=faults) as rig:
                self._rig, self._facts = rig, Facts(rig)
                self._witness = Witness(rig, self._facts, self._trace, self._breakage.promises)
                self._witness.listeners.append(self._committed)
                self._fate = Fate(rig, self._witness, self.at, self.counts)
                try:
                    await self._live(cleanup)
                except PromiseBroken as breach:
                    outcome.breach = breach
                except Exception as bug:  # noqa: BLE001 - whatever a service did not expect is as bad
                    outcome.breach = _bug(bug)
                outcome.at = rig.clock.now()
        self.counts["payments"] = len(self._facts.settlements)
        self.counts["events"] = self._trace.events
        outcome.digest, outcome.counts = self._trace.digest(), self.counts
        outcome.subscriptions = self._facts.all()
        return outcome

    def at(self, moment: int, deed: Callable[[], object]) -> None:
        """Do something at a moment (unix seconds), or now, if that has passed."""
        heapq.heappush(self._agenda, (max(moment, self._rig.clock.now()), next(self._order), deed))

    # --- the course of the world -------------------------------------------------------------------------------------

    async def _live(self, cleanup: ExitStack) -> None:
        await self._settle_down(cleanup)
        end = START + self.plan.scale.seconds
        for deed in self.plan.deeds:
            if deed.kind in self._fate.kinds:
                self.at(START + deed.at, lambda deed=deed: self._fate.strike(deed))  # type: ignore[misc]
            else:
                self.at(START + deed.at, lambda deed=deed: self._new_price(deed.node, deed.number))  # type: ignore[misc]
        for slot, at in self.plan.arrivals:
            self.at(START + at, self._arrival(slot))
        await self._pass_until(end)
        await self._fate.end_all()
        await self._rig.run_until(end + CALM_S)
        self._witness.tell("quiet")
        self._witness.raise_breach()
        self._progress(1.0, self._told())

    async def _settle_down(self, cleanup: ExitStack) -> None:
        for name in self.plan.nodes:
            store = self._store(name, cleanup) if self.plan.scale.on_disk else None
            await self._rig.join(
                name, open_manager=store, dress=self._dresser(name), opening_balance_msat=_OPENING_MSAT
            )
            self._facts.up_since[name] = self._rig.clock.now()
            self._fate.character(name, self.plan.scale.seed, self.plan.scale.faults.repeated_receipts)
        self._published = [self._publish(offer) for offer in self._offers]

    def _dresser(self, name: str) -> Callable[[Parts], Parts]:
        power = self._fate.supply(name)

        def dressed(parts: Parts) -> Parts:
            breakage = self._breakage
            behind = parts if breakage.behind is None else breakage.behind(name, parts)
            watched = self._witness.dress(name, behind)
            return power.dress(watched if breakage.before is None else breakage.before(name, watched))

        return dressed

    def _store(self, name: str, cleanup: ExitStack) -> Callable[[], RecurrenceManager]:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="lnrecur-simulate-")))
        last = cleanup.enter_context(ExitStack())

        def open_anew() -> RecurrenceManager:
            last.close()
            manager = open_sqlite_manager(folder / "lnrecur.sqlite")
            last.callback(manager.close)
            return manager

        return open_anew

    async def _pass_until(self, end: int) -> None:
        told = 0.0
        while self._agenda and self._agenda[0][0] <= end:
            moment, _, deed = heapq.heappop(self._agenda)
            await self._rig.run_until(moment)
            try:
                done = deed()
                if hasattr(done, "__await__"):
                    await done
            except (UsageError, PowerCut) as error:  # people err, and who dies answers nobody
                self._witness.note("world", "deed", f"in vain: {error}")
            share = (moment - START) / max(1, self.plan.scale.seconds)
            if share >= told + 0.01:
                self._progress(told := share, self._told())
        await self._rig.run_until(end)

    def _told(self) -> str:
        return f"{len(self._facts.all())} subscriptions, {len(self._facts.settlements)} payments"

    # --- merchants ---------------------------------------------------------------------------------------------------

    def _publish(self, offer: OfferPlan) -> Offer:
        merchant = self._rig.nodes[offer.merchant]
        record = merchant.payee.create_offer(offer.terms, offer.policy, blinded=offer.blinded)
        return Offer.from_bytes(record.offer)

    def _new_price(self, merchant: str, number: int) -> None:
        """Take an offer from the page and put one at another price there; who subscribed goes on."""
        if self._rig.nodes[merchant].services is None:
            self.at(self._rig.clock.now() + _LATER_S, lambda: self._new_price(merchant, number))
            return
        at = [at for at, offer in enumerate(self._offers) if offer.merchant == merchant][number]
        chance = random.Random(f"{self.plan.scale.seed}/price/{merchant}/{self._rig.clock.now()}")  # noqa: S311
        changed = new_price(self._offers[at], chance)
        old, self._published[at] = self._published[at], self._publish(changed)
        self._offers[at] = changed
        self._rig.nodes[merchant].manager.set_offer_active(old.offer_id, False)
        self.counts["new prices"] += 1
        self._witness.note(merchant, "deed", f"{changed.terms.description} now costs {changed.terms.amount} msat")

    # --- subscribers -------------------------------------------------------------------------------------------------

    def _arrival(self, slot: int) -> Callable[[], object]:
        return lambda: self._subscribe(slot)

    def _subscribe(self, slot: int) -> None:
        now = self._rig.clock.now()
        way = subscription_plan(self.plan, self._offers, slot, self._generations[slot], now)
        node = self._rig.nodes[way.person]
        if node.services is None:
            self.at(now + _LATER_S, self._arrival(slot))
            return
        self._generations[slot] += 1
        self._expected[way.person] = way
        try:
            node.payer.subscribe(self._published[way.offer], way.mandate, way.terms)
        except UsageError:
            self.at(now + way.back_after + _LATER_S, self._arrival(slot))
            raise
        except PowerCut:
            if self._expected.pop(way.person, None) is not None:  # nothing was stored: try once more
                self.at(now + _LATER_S, self._arrival(slot))
            raise

    def _committed(self, commit: Commit) -> None:
        """What people make of what happens to them."""
        if commit.role is not Role.PAYER:
            return
        state = commit.after
        assert isinstance(state, Outbound)
        if commit.before is None:
            self._subscribed(commit.node, state)
        way, known = self._ways[commit.subject], self._facts.subscriptions[commit.subject]
        before = None if commit.before is None else commit.before.phase
        now = self._rig.clock.now()
        if state.phase is Phase.NEEDS_APPROVAL and before is not Phase.NEEDS_APPROVAL and way.approve_after is not None:
            self.at(now + way.approve_after, lambda: self._approve(known, way))
        if state.is_final and not (commit.before is not None and commit.before.is_final):
            self.counts[f"subscriptions {state.phase}"] += 1
            self.at(now + way.back_after, self._arrival(way.slot))

    def _subscribed(self, person: str, state: Outbound) -> None:
        way = self._expected.pop(person)
        payer_id = self._rig.nodes[person].keyring.payer(state.recurrence_id).payer_id
        known = Subscription(
            slot=way.slot,
            generation=way.generation,
            person=person,
            merchant=self._offers[way.offer].merchant,
            recurrence_id=state.recurrence_id,
            payer_id=payer_id,
            offer=state.offer,
            recurrence=state.recurrence,
            terms=state.terms,
            mandate=way.mandate,
        )
        self._ways[state.recurrence_id] = way
        self._facts.add(known)
        self._witness.note(person, "deed", f"subscribes to {state.offer.description}", (way.slot,))
        self._witness.tell("subscribed", known)
        self.counts["subscriptions"] += 1
        if way.cancel_after is not None:
            self.at(self._rig.clock.now() + way.cancel_after, lambda: self._cancel(known))

    def _cancel(self, known: Subscription) -> None:
        node = self._rig.nodes[known.person]
        if node.services is None:
            self.at(self._rig.clock.now() + _LATER_S, lambda: self._cancel(known))
            return
        self._witness.note(known.person, "deed", "cancels", (known.slot,))
        node.payer.cancel(known.recurrence_id)
        self.counts["cancels"] += 1

    def _approve(self, known: Subscription, way: SubscriptionPlan) -> None:
        """Look at what is asked, and agree to that; the promises hear of it first."""
        node = self._rig.nodes[known.person]
        if node.services is None:
            self.at(self._rig.clock.now() + _LATER_S, lambda: self._approve(known, way))
            return
        stored = self._facts.stores[known.person].outbound(known.recurrence_id)
        if stored is None or stored.state.phase is not Phase.NEEDS_APPROVAL:
            return
        state, larger = stored.state, None
        known.approvals[state.next_counter] = Approval(state.awaiting_msat)
        if way.approve_for_good and state.awaiting_msat is not None:
            most = Msat(max(state.awaiting_msat, known.mandate.max_per_period_msat))
            larger = replace(
                known.mandate, max_per_period_msat=most, max_total_msat=None, max_payments=None, ends_at=None
            )
            known.mandate = larger
        self._witness.note(known.person, "deed", "approves" if larger is None else "allows more", (known.slot,))
        node.payer.approve(known.recurrence_id, larger)
        self.counts["approvals"] += 1


def _bug(bug: Exception) -> PromiseBroken:
    """What nobody expected, as the breach of the promise that nothing breaks."""
    while isinstance(bug, ExceptionGroup):  # of a daemon's tasks; one is enough to look for
        bug = bug.exceptions[0]
    place = traceback.extract_tb(bug.__traceback__)[-1]
    told = f"{type(bug).__name__} in {Path(place.filename).name}:{place.lineno} ({place.name}): {bug}"
    breach = PromiseBroken("bug", told, None)
    breach.__cause__ = bug
    return breach


def _unretrieved(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tasks of a node that died in a power cut have nobody left who would ask how they ended."""
    if not isinstance(context.get("exception"), PowerCut):
        loop.default_exception_handler(context)
