"""What goes wrong in a simulated world: crashes, power cuts, silent money nodes, lost answers, empty pockets."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

from lnrecur.ports import FailureReason
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import Rig
from lnrecur.testing.simulator.deeds import Deed, DeedKind
from lnrecur.testing.simulator.power import Supply
from lnrecur.testing.simulator.witness import Witness
from lnrecur.values import Msat

_BACK_AFTER_S: Final = 60
"""How long a node is down after a power cut."""
_CALLS: Final = ("pay", "sent", "claim", "register")
"""Calls of a money node whose answer can be lost after it has acted."""
_COUNTED: Final = {
    DeedKind.CRASH: "crashes",
    DeedKind.POWER_CUT: "power cuts",
    DeedKind.OUTAGE: "money node outages",
    DeedKind.LOST_ANSWER: "lost answers",
    DeedKind.FAILING_PAYMENTS: "payments made to fail",
    DeedKind.OFFLINE: "times offline",
    DeedKind.BROKE: "times without money",
}

At = Callable[[int, Callable[[], object]], None]


class Fate:
    """Does what the plan says to nodes, and puts it right again."""

    kinds: Final = frozenset(_COUNTED)
    """The deeds that are fate's; the others are people's."""

    def __init__(self, rig: Rig, witness: Witness, at: At, counts: Counter[str]) -> None:
        self._rig = rig
        self._witness = witness
        self._at = at
        self._counts = counts
        self._supplies: dict[str, Supply] = {}
        self._kept: dict[str, Msat] = {}
        """What people without money had before."""
        self._strikes = 0

    def supply(self, name: str) -> Supply:
        """The power of a node."""
        return self._supplies.setdefault(name, Supply(lambda what: self._cut(name, what)))

    def character(self, name: str, seed: int, repeats: float) -> None:
        """What a money node is like for good: some tell every receipt twice."""
        if random.Random(f"{seed}/character/{name}").random() < repeats:  # noqa: S311 - no secrets
            self._rig.nodes[name].money.repeat_receipts(2)

    def strike(self, deed: Deed) -> None:
        """Let it happen, and see to its end; to a twin that is not there yet nothing happens."""
        if deed.node not in self._rig.nodes:
            return
        node, now = self._rig.nodes[deed.node], self._rig.clock.now()
        self._strikes += 1
        self._counts[_COUNTED[deed.kind]] += 1
        if deed.kind in (DeedKind.CRASH, DeedKind.OFFLINE):
            self._down(deed.node, f"{deed.kind} for {deed.number} s")
            self._rig.crash(deed.node)
            self._at(now + deed.number, lambda: self.restart(deed.node))
        elif deed.kind is DeedKind.POWER_CUT:
            self._supplies[deed.node].cut_after = deed.number
        elif deed.kind is DeedKind.OUTAGE:
            self._down(deed.node, f"its money node is silent for {deed.number} s")
            node.money.go_down()
            self._at(now + deed.number, lambda: self._money_back(deed.node))
        elif deed.kind is DeedKind.LOST_ANSWER:
            call = _CALLS[(self._strikes + deed.number) % len(_CALLS)]
            node.money.be_unavailable(call, after_acting=True)  # type: ignore[arg-type]
            self._note(deed.node, f"the next answer to {call} will be lost")
        elif deed.kind is DeedKind.FAILING_PAYMENTS:
            retryable = bool(self._strikes % 2)
            node.money.fail_next_payments(deed.number, reason=FailureReason.NO_ROUTE, retryable=retryable)
            self._note(deed.node, f"the next {deed.number} payments will fail")
        elif deed.kind is DeedKind.BROKE:
            self._broke(deed.node, now + deed.number)

    def _broke(self, name: str, until: int) -> None:
        account = self._rig.nodes[name].account
        self._kept[name] = Msat(self._kept.get(name, Msat(0)) + account.balance_msat)
        account.balance_msat = Msat(0)
        self._note(name, "has no money")
        self._at(until, lambda: self._rich(name))

    def _rich(self, name: str) -> None:
        account = self._rig.nodes[name].account
        account.balance_msat = Msat(account.balance_msat + self._kept.pop(name, Msat(0)))
        self._note(name, "has money again")

    async def restart(self, name: str) -> None:
        """Start a node that is down; one that was started meanwhile is left alone."""
        if self._rig.nodes[name].services is None:
            await self._rig.restart(name)
            self._note(name, "is up again")
            self._witness.facts.up_since[name] = self._rig.clock.now()
            self._witness.tell("restarted", name)

    async def end_all(self) -> None:
        """Put everything right, for good."""
        self._rig.network.faults = Faults()
        for name, node in self._rig.nodes.items():
            self._supplies[name].cut_after = None
            node.money.forget_troubles()
            self._rich(name)
            await self.restart(name)
            self._witness.facts.up_since[name] = self._rig.clock.now()

    def _cut(self, name: str, what: str) -> None:
        self._down(name, f"POWER CUT {what}")
        self._rig.crash(name)
        self._at(self._rig.clock.now() + _BACK_AFTER_S, lambda: self.restart(name))

    def _money_back(self, name: str) -> None:
        self._rig.nodes[name].money.come_back()
        self._note(name, "its money node answers again")
        if self._rig.nodes[name].services is not None:
            self._witness.facts.up_since[name] = self._rig.clock.now()

    def _down(self, name: str, told: str) -> None:
        self._witness.facts.up_since[name] = None
        self._note(name, told)

    def _note(self, name: str, told: str) -> None:
        self._witness.note(name, "power", told)
