"""Twins in a simulated world: a second daemon of a person, from the same seed and a copy of the books.

It is what a restored backup is while the first daemon still runs. Both pay what both know; neither knows of the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from lnrecur.testing.rig import Rig
from lnrecur.testing.simulator.deeds import Deed, DeedKind
from lnrecur.testing.simulator.facts import Facts
from lnrecur.testing.simulator.market import LATER_S, At
from lnrecur.testing.simulator.plan import twin_of
from lnrecur.testing.simulator.witness import Witness

Join = Callable[[str, str, bool], Awaitable[None]]
"""Lets a twin join: its name, whose it is, and whether both have one money node."""


class Twins:
    """All who come to have a second daemon."""

    kinds: Final = frozenset({DeedKind.TWIN})

    def __init__(self, rig: Rig, facts: Facts, witness: Witness, at: At, counts: Counter[str], join: Join) -> None:
        self._rig = rig
        self._facts = facts
        self._witness = witness
        self._at = at
        self._counts = counts
        self._join = join

    async def do(self, deed: Deed) -> None:
        """Start a person's second daemon, or do it later, if the first one is down."""
        person, twin = deed.node, twin_of(deed.node)
        if self._rig.nodes[person].services is None:
            self._at(self._rig.clock.now() + LATER_S, lambda: self.do(deed))
            return
        self._witness.note(person, "deed", "is restored a second time")
        self._counts["twins"] += 1
        self._witness.copied(person, twin)
        for known in self._facts.all():
            if known.person == person:
                known.holders.append(twin)
        await self._join(twin, person, bool(deed.number))
