"""A simulated world: real services on virtual time, people and fate doing what the plan says, promises looking on.

The loop is short: let time pass up to the next thing on the agenda, do it, go on. In the end everything is put right
(power, money, network), all get time to finish, and the promises that speak of a quiet world are checked.
"""

from __future__ import annotations

import asyncio
import heapq
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

from lnrecur.errors import UsageError
from lnrecur.messaging.relay import RelayLimits
from lnrecur.ports import Seat
from lnrecur.service.assembly import Parts
from lnrecur.service.courier import MessageSettings
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import START, Rig, RigNode
from lnrecur.testing.simulator.books import BooksOnDisk
from lnrecur.testing.simulator.buyers import Buyers
from lnrecur.testing.simulator.currency import SimulatedRates
from lnrecur.testing.simulator.deeds import Deed, DeedKind
from lnrecur.testing.simulator.facts import Facts, Subscription
from lnrecur.testing.simulator.fate import Fate
from lnrecur.testing.simulator.market import Market
from lnrecur.testing.simulator.people import People
from lnrecur.testing.simulator.plan import Plan, front_of, relays_of, worker_of
from lnrecur.testing.simulator.power import PowerCut
from lnrecur.testing.simulator.promises import PROMISES, Promise, PromiseBroken
from lnrecur.testing.simulator.scale import DAY
from lnrecur.testing.simulator.trace import Line, Trace, Wanted
from lnrecur.testing.simulator.twins import Twins
from lnrecur.testing.simulator.witness import Witness
from lnrecur.testing.simulator.workers import Doorbells, seat_of
from lnrecur.values import Msat

Dress = Callable[[str, Parts], Parts]
"""Changes the parts of a node, given its name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a world is."""

    share: float
    """Of its time, from 0 to 1."""
    subscriptions: int
    payments: int


Progress = Callable[[Standing], None]
"""Told now and then how far a world is."""

CALM_S: Final = 3 * DAY
"""How long everybody has to finish once nothing goes wrong any more."""
_OPENING_MSAT: Final = Msat(10**15)
_TOLD_EVERY: Final = 0.01


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


@dataclass(slots=True)
class Outcome:
    """How a world ended. It can be pickled."""

    breach: PromiseBroken | None = None
    at: int = 0
    """When it ended, in unix seconds."""
    digest: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    lines: list[Line] = field(default_factory=list)
    """Those of the trace that were wanted."""
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
        self._progress = progress or (lambda standing: None)
        self._trace = Trace(wanted)
        self._agenda: list[tuple[int, int, Callable[[], object]]] = []
        self._order = count()

    async def run(self) -> Outcome:
        """Let it happen, up to the first broken promise; an exception that nobody handled is told as one."""
        levels = self.plan.scale.faults
        faults = Faults(levels.loss, levels.doubling, levels.reordering, levels.lateness)
        outcome = Outcome(lines=self._trace.lines)
        asyncio.get_running_loop().set_exception_handler(_unretrieved)
        with ExitStack() as cleanup:
            async with Rig(self.plan.scale.seed, faults=faults) as rig:
                self._found(rig)
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

    def _found(self, rig: Rig) -> None:
        """Who and what there is, before anything happens."""
        self._rig, self._facts = rig, Facts(rig, SimulatedRates(self.plan.scale.seed, rig.clock))
        self._witness = Witness(rig, self._facts, self._trace, self._breakage.promises)
        self._fate = Fate(rig, self._witness, self.at, self.counts)
        self._market = Market(self.plan, rig, self._witness, self.at, self.counts)
        people = (self.plan, rig, self._facts, self._witness, self._market, self.at, self.counts)
        self._people, self._buyers = People(*people), Buyers(*people)
        self._twins = Twins(rig, self._facts, self._witness, self.at, self.counts, self._join_twin)
        self._doorbells = Doorbells()
        self._facts.cannot_hold |= self.plan.cannot_hold

    async def _live(self, cleanup: ExitStack) -> None:
        self._books = BooksOnDisk(cleanup) if self.plan.scale.on_disk else None
        if self.plan.relays:
            self._rig.network.lay_out()
            self.counts["relays"] = len(self.plan.relays)
        for name in self.plan.nodes:
            await self._join(name, can_hold=name not in self.plan.cannot_hold, seat=self._seat(name))
            if name in self.plan.with_workers:
                await self._join(worker_of(name), colleague_of=name, seat=self._seat(worker_of(name)))
                self.counts["workers"] += 1
        self._market.open()
        for deed in self.plan.deeds:
            self.at(START + deed.at, self._doer(deed))
        for slot, at in self.plan.arrivals:
            self.at(START + at, lambda slot=slot: self._people.arrive(slot))  # type: ignore[misc]
        end = START + self.plan.scale.seconds
        await self._pass_until(end)
        await self._fate.end_all()
        await self._rig.run_until(end + CALM_S)
        self._witness.tell("quiet")
        self._witness.raise_breach()
        self._progress(self._standing(1.0))

    async def _join(self, name: str, **more: Any) -> None:
        """A node begins to take part."""
        scale = self.plan.scale
        store = None if self._books is None else self._books.of(front_of(name))
        dress = self._dresser(name)
        node = await self._rig.join(name, open_manager=store, dress=dress, opening_balance_msat=_OPENING_MSAT, **more)
        self._facts.up_since[name] = self._rig.clock.now()
        if name != front_of(name):
            return  # it has no peers, and its money node was there before
        for relay in relays_of(self.plan, name):
            self._connect(node, self._rig.nodes.get(relay))
        self._fate.character(name, scale.seed, scale.faults.repeated_receipts)

    def _seat(self, process: str) -> Seat | None:
        return seat_of(process) if front_of(process) in self.plan.with_workers else None

    def _connect(self, node: RigNode, relay: RigNode | None) -> None:
        """A node and a relay are peers; that relays reach merchants and each other, everybody knows."""
        if relay is None:
            return  # it connects itself when it comes
        self._rig.network.connect(node.node_id, relay.node_id)
        if not node.name.startswith("person"):
            self._rig.graph.connect(node.node_id, relay.node_id)

    async def _join_twin(self, twin: str, person: str, shares_money: bool) -> None:
        if self._books is not None:
            self._books.copy(person, twin)
        await self._join(twin, twin_of=person, shares_money=shares_money)

    def _doer(self, deed: Deed) -> Callable[[], object]:
        does: dict[DeedKind, Callable[[Deed], object]] = {
            **dict.fromkeys(DeedKind, self._market.do),
            **dict.fromkeys(self._fate.kinds, self._fate.strike),
            **dict.fromkeys(self._buyers.kinds, self._buyers.do),
            **dict.fromkeys(self._twins.kinds, self._twins.do),
        }
        return lambda: does[deed.kind](deed)

    def _dresser(self, name: str) -> Callable[[Parts], Parts]:
        power = self._fate.supply(name)

        def dressed(parts: Parts) -> Parts:
            breakage, parts = self._breakage, replace(parts, rates=self._facts.rates)
            if name in self.plan.relays:
                parts = replace(parts, messages=MessageSettings(relay=RelayLimits()))
            behind = parts if breakage.behind is None else breakage.behind(name, parts)
            watched = self._witness.dress(front_of(name), behind)
            used = watched if breakage.before is None else breakage.before(name, watched)
            return power.dress(self._doorbells.dress(name, used) if front_of(name) in self.plan.with_workers else used)

        return dressed

    async def _pass_until(self, end: int) -> None:
        told = 0.0
        while self._rig.clock.now() < end or self._is_due(end):
            moment = self._next(end)
            await self._rig.run_until(moment, stop=lambda before=moment: self._next(end) < before)  # type: ignore[misc]
            if not self._is_due(self._rig.clock.now()):
                continue  # something earlier has come onto the agenda, or this was the end
            _, _, deed = heapq.heappop(self._agenda)
            try:
                done = deed()
                if hasattr(done, "__await__"):
                    await done
            except (UsageError, PowerCut) as error:  # people err, and who dies answers nobody
                self._witness.note("world", "deed", f"in vain: {error}")
            share = (moment - START) / max(1, self.plan.scale.seconds)
            if share >= told + _TOLD_EVERY:
                self._progress(self._standing(told := share))

    def _next(self, end: int) -> int:
        """When the next thing on the agenda is to be done, or the end."""
        return min(self._agenda[0][0], end) if self._agenda else end

    def _is_due(self, moment: int) -> bool:
        return bool(self._agenda) and self._agenda[0][0] <= moment

    def _standing(self, share: float) -> Standing:
        return Standing(share, self.counts["subscriptions"], len(self._facts.settlements))


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
