"""P3: no period is lost silently: each is paid, waived, missed or cancelled, and an event says so.

Two ways to lose one are looked for. A step may leave something out: count a period that nobody paid, or end a
subscription, without a word. Or nothing happens at all: the pay window of a period closes, hours pass, a side's node
is up, and yet it has neither paid (or been paid) nor is it about to, nor does it tell the period as lost.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from typing import Final

from lnrecur.ports import Role
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.outbound_model import Outbound, Phase, Wait
from lnrecur.recurrence.windows import END_OF_TIME, pay_window
from lnrecur.testing.simulator.facts import Facts, Subscription
from lnrecur.testing.simulator.promises.promise import Commit, Promise

GRACE_S: Final = 6 * 3600
"""How long after the closing of a window, and after the last start of the node, a period may go without a word."""
ENDINGS: Final = frozenset({
    "subscription.completed", "subscription.cancelled", "subscription.missed", "subscription.ended",
    "subscription.given_up", "subscription.payment_failed", "subscription.replaced", "subscription.lapsed",
    "payment.settled", "payment.received", "payment.given_up", "payment.failed", "payment.cancelled",
})  # fmt: skip
"""Events of which one tells every end."""
PAID: Final = frozenset({
    "subscription.created", "subscription.renewed", "payment.received", "payment.settled", "payment.late",
})  # fmt: skip
LOST: Final = frozenset({"subscription.missed", "subscription.waived", "subscription.adopted"})
"""Events that tell of a period that we do not pay in its time, by its counter."""


@dataclass(frozen=True, slots=True)
class _Period:
    """A period that one of the two sides has to account for."""

    role: Role
    node: str
    known: Subscription
    counter: int

    @property
    def subject(self) -> bytes:
        return self.known.recurrence_id if self.role is Role.PAYER else self.known.payee_subject


class NoSilence(Promise):
    """Looks at what steps leave out, and at the clock."""

    id = "P3"
    text = "no period is lost silently"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._deadlines: list[tuple[int, int, _Period]] = []
        self._order = count()
        self._told: set[tuple[str, bytes, int]] = set()

    def committed(self, commit: Commit) -> None:
        """Every counter that is left behind, and every end, has its event in the same transaction."""
        known = self.facts.subscriptions.get(commit.subject)
        names = {event.name for event in commit.change.events}
        told = {event.data.get("counter") for event in commit.change.events if event.name in PAID | LOST}
        before = 0 if commit.before is None else commit.before.next_counter
        for counter in range(before, commit.after.next_counter):
            if counter not in told and not (counter == 0 and None in told):
                self.broken(f"{commit.node} counts period {counter} as done, and no event says how", known)
        was_final = commit.before is not None and commit.before.is_final
        if commit.after.is_final and not was_final and not names & ENDINGS:
            self.broken(f"{commit.node} has ended it ({commit.after.phase}), and no event says so", known)
        for event in commit.change.events:
            if event.name in LOST and isinstance(lost := event.data.get("counter"), int):
                self._told.add((commit.node, commit.subject, lost))
        if known is not None and commit.after.next_counter > before:
            self._expect(commit.role, commit.node, known, commit.after)

    def _expect(self, role: Role, node: str, known: Subscription, state: Inbound | Outbound) -> None:
        """The period to be paid next: look at it when its window has closed, on this side."""
        if state.basetime is None or state.is_final or known.recurrence is None:
            return
        start = state.start if isinstance(state, Inbound) else state.terms.start
        index = (start or 0) + state.next_counter
        limit = known.recurrence.limit
        if limit is not None and index > limit:
            return
        closes = pay_window(known.recurrence, state.basetime, index).closes
        if closes < END_OF_TIME:
            self._look_again(_Period(role, node, known, state.next_counter), closes + GRACE_S)

    def _look_again(self, period: _Period, at: int) -> None:
        heapq.heappush(self._deadlines, (at, next(self._order), period))

    def moment(self) -> None:
        """Periods whose time is over."""
        while self._deadlines and self._deadlines[0][0] <= self.facts.now:
            _, _, period = heapq.heappop(self._deadlines)
            self._check(period)

    def quiet(self) -> None:
        """Nobody waits for the end of a single payment any more."""
        for known in self.facts.all():
            for node in known.holders if known.one_off else ():
                state = self._state(_Period(Role.PAYER, node, known, 0))
                if not state.is_final:
                    self.broken(f"a single payment has come to no end at {node} ({state.phase})", known)

    def _check(self, period: _Period) -> None:
        facts, node, known, counter = self.facts, period.node, period.known, period.counter
        up_since = facts.running_since(node)
        if up_since is None or facts.now < up_since + GRACE_S:
            self._look_again(period, (facts.now if up_since is None else up_since) + GRACE_S)
            return
        state = self._state(period)
        if state.is_final or state.next_counter > counter or (node, period.subject, counter) in self._told:
            return  # an end, and a counter that is left behind, have their events: see `committed`
        if _is_excused(state):
            self._look_again(period, facts.now + 24 * 3600)
            return
        self.broken(f"the window of period {counter} has closed; {node} says nothing ({state.phase})", known)

    def _state(self, period: _Period) -> Inbound | Outbound:
        store, known = self.facts.stores[period.node], period.known
        found = (
            store.outbound(known.recurrence_id)
            if period.role is Role.PAYER
            else store.inbound(known.offer.offer_id, known.payer_id)
        )
        if found is None:
            self.broken(f"{period.node} has forgotten it", known)
        return found.state


def _is_excused(state: Inbound | Outbound) -> bool:
    """Whether it is too early to say: a payment is in flight, a cancel is told, or a person is asked what to do."""
    if isinstance(state, Inbound):
        return state.reserved is not None
    in_flight = state.payment is not None and state.payment.next_try is None
    return in_flight or state.phase is Phase.CANCELLING or state.waits_for is Wait.NEW_OFFER
