"""Simulated worlds with a part that is broken on purpose, under the eyes of one promise."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from lnrecur.ports import Change, Sent, SentState
from lnrecur.recurrence.outbound_model import Amended, Approved, Outbound
from lnrecur.recurrence.outbound_model import Step as OutboundStep
from lnrecur.service.assembly import Parts
from lnrecur.testing.simulator.faults import NONE, FaultLevels
from lnrecur.testing.simulator.promises import PROMISES, PromiseBroken
from lnrecur.testing.simulator.report import simulate
from lnrecur.testing.simulator.scale import YEAR, Scale
from lnrecur.testing.simulator.world import Breakage

ByName = {promise.id: promise for promise in PROMISES}
Step = Callable[[Any, Any, Any], Any]


def breach_of(
    promise: str, *, seed: int = 1, faults: FaultLevels = NONE, behind: Any = None, before: Any = None,
    years: float = 1.0, subscriptions: int = 6,
) -> PromiseBroken:  # fmt: skip
    """Run a broken world under the eyes of one promise; answers the breach it must find."""
    scale = Scale(seed, int(years * YEAR), subscriptions, faults)
    report = simulate(scale, breakage=Breakage(behind, before, (ByName[promise],)), runs_max=0)
    assert report.breach is not None, f"{promise} did not notice"
    assert report.breach.promise == promise, report.breach
    return report.breach


def break_step(monkeypatch: pytest.MonkeyPatch, module: Any, broken: Callable[[Step], Step]) -> None:
    monkeypatch.setattr(module, "step", broken(module.step))


class Broken:
    """A part that does what another does, except for what a subclass says."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def store_of(kind: type[Broken], role: str) -> Callable[[str, Parts], Parts]:
    """Breaks the stores of merchants, or of people."""

    def dress(name: str, parts: Parts) -> Parts:
        return replace(parts, manager=kind(parts.manager)) if name.startswith(role) else parts  # type: ignore[arg-type]

    return dress


def at_once(doing: Coroutine[Any, Any, None]) -> None:
    """Run what never waits, in the middle of what does not wait either."""
    with pytest.raises(StopIteration):
        doing.send(None)


class Liar(Broken):
    """A payer's money node that says every third payment has failed, whatever became of it."""

    def _lie(self, sent: Sent, payment_hash: bytes) -> Sent:
        if payment_hash[0] % 3 == 0 and sent.state is SentState.SUCCEEDED:
            return Sent(SentState.FAILED, retryable=False)
        return sent

    async def sent(self, payment_hash: Any) -> Sent:
        return self._lie(await self.inner.sent(payment_hash), payment_hash)

    async def follow(self, payment_hash: Any) -> Sent:
        return self._lie(await self.inner.follow(payment_hash), payment_hash)


def lying_node(name: str, parts: Parts) -> Parts:
    return replace(parts, node=Liar(parts.node)) if name.startswith("person") else parts  # type: ignore[arg-type]


def with_state(change: Callable[[Outbound], Outbound], back: Callable[[Outbound, Outbound], Outbound]) -> Any:
    """A step that is taken on another state than the stored one, and put back into it; what people say counts."""

    def breaker(step: Step) -> Step:
        def broken(state: Outbound, event: Any, now: Any) -> OutboundStep:
            if isinstance(event, Approved | Amended):
                return step(state, event, now)  # type: ignore[no-any-return]
            taken = step(change(state), event, now)
            return OutboundStep(back(taken.state, state), taken.effects)

        return broken

    return breaker


class Forgetful(Broken):
    """A payer's store whose requests are struck off before they are sent, and stand in no state either."""

    def commit_outbound(self, change: Change[Outbound]) -> Any:
        return self.inner.commit_outbound(replace(change, state=replace(change.state, request=None)))

    def claim_outbox(self, *args: Any) -> Any:
        due = self.inner.claim_outbox(*args)
        for entry in due:
            self.inner.effect_done(entry.id)
        return due
