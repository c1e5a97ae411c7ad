"""docs/events.md names every event there is, with every fact it carries, and nothing else."""

import ast
import asyncio
import re
from pathlib import Path

from lnrecur.recurrence import outbound_one_off
from lnrecur.recurrence.effects import Emit
from lnrecur.recurrence.outbound_model import Step
from lnrecur.testing.simulator.faults import HEAVY, NONE
from lnrecur.testing.simulator.plan import make_plan
from lnrecur.testing.simulator.promises import PROMISES, Commit, Promise
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.world import Breakage, World

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text()
NAME = re.compile(r"(?:subscription|payment|offer|node)\.[a-z_]+")
NEVER_OF_SINGLE_PAYMENTS = {
    f"subscription.{verb}"
    for verb in (
        "needs_approval", "approved", "declined", "amended", "renewed", "missed", "waived", "adopted", "pause_asked",
        "paused", "resumed", "completed", "replaced", "lapsed", "start_moved",
        "invoice_expired", "cancel_unheard", "seed_shared",
    )
}  # fmt: skip
"""There is one payment and no period, whoever ordered it is there, and the payee's names are its own."""


def _named(where: str) -> set[str]:
    """All names of events in the source below a folder: literal texts of exactly that form."""
    return {
        node.value
        for path in (ROOT / "src" / "lnrecur" / where).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value)
    }


def _rows() -> dict[str, set[str]]:
    """The facts of each event of the page, by its name."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:3] == "| `"]
    rows = [(re.findall(r"`([^`]+)`", row[0])[0], set(re.findall(r"`([^`]+)`", row[-1]))) for row in cells]
    named = [(name, facts) for name, facts in rows if NAME.fullmatch(name)]
    assert len(named) == len(dict(named)), "an event is listed twice"
    return dict(named)


def _as_single_payment(name: str) -> set[str]:
    told = outbound_one_off.as_one_off(Step(None, (Emit(name),))).effects  # type: ignore[arg-type]
    return {effect.name for effect in told if isinstance(effect, Emit)}


def test_every_event_is_on_the_page_and_the_other_way_round() -> None:
    literal = _named("recurrence") | _named("service")
    of_subscriptions = {name for name in literal if name.startswith("subscription.")} - NEVER_OF_SINGLE_PAYMENTS
    single = {told for name in of_subscriptions for told in _as_single_payment(name)}
    assert len(literal) > 30
    assert set(_rows()) == literal | single


def test_what_the_simulator_takes_for_the_end_of_a_period_is_an_event() -> None:
    assert _named("testing/simulator") <= set(_rows())


class ReadsAlong(Promise):
    id = "page"
    text = "every fact of an event is on the page"
    rows = _rows()
    seen: set[str] = set()

    def committed(self, commit: Commit) -> None:
        for event in commit.logged:
            self.seen.add(event.name)
            told = self.rows[event.name]
            told = told.union(*(self.rows[like] for like in told if like in self.rows))  # of a single payment
            missing = set(event.data) - told
            if missing:
                self.broken(f"{event.name} has {missing}, and its row does not say so")


def test_every_fact_of_an_event_is_in_its_row() -> None:
    for scale in (Scale(1, YEAR, 25, NONE), Scale(3, YEAR // 2, 5, HEAVY)):
        world = World(make_plan(scale), breakage=Breakage(promises=(*PROMISES, ReadsAlong)))
        assert asyncio.run(world.run()).breach is None
    assert len(ReadsAlong.seen) > 20
