"""Somebody sets a clock forwards and backwards while its node sells or pays: nothing is paid twice, nothing is lost."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from helpers.rig import PERIOD, assert_paid, publish, subscribe
from lnrecur.ports import Clock
from lnrecur.service.assembly import Parts
from lnrecur.testing.rig import Rig
from lnrecur.values import UnixSeconds

PAYMENTS = 4
NAP_S = 30.0


class SetClock:
    """A node's own clock, which shows another time than the rig's; it naps as `SystemClock` does."""

    def __init__(self, true: Clock) -> None:
        self._true = true
        self.off_by = 0

    def now(self) -> UnixSeconds:
        return UnixSeconds(self._true.now() + self.off_by)

    def precise(self) -> float:
        return self._true.precise() + self.off_by

    def elapsed(self) -> float:
        return self._true.elapsed()

    async def sleep_until(self, moment: float) -> None:
        while (left := moment - self.precise()) > 0:
            await self._true.pause(min(left, NAP_S))

    async def pause(self, seconds: float) -> None:
        await self._true.pause(seconds)


@pytest.mark.parametrize("victim", ["merchant", "alice"])
@pytest.mark.parametrize("seed", range(4))
async def test_a_clock_that_jumps_costs_no_payment_and_makes_none_twice(victim: str, seed: int) -> None:
    """As long as it is right again before a pay window closes, which the time of a window is told by."""
    chance = random.Random(seed)
    async with Rig(seed) as rig:
        clock = SetClock(rig.clock)

        def dress(parts: Parts) -> Parts:
            return replace(parts, clock=clock)

        nodes = {name: await rig.join(name, dress=dress if name == victim else None) for name in ("merchant", "alice")}
        subscription = subscribe(nodes["alice"], publish(nodes["merchant"]))
        for _ in range(PAYMENTS - 1):
            await rig.run_for(PERIOD // 4)
            clock.off_by = chance.choice((-3600, -150, 150))
            await rig.run_for(PERIOD // 4)
            clock.off_by = chance.choice((-200, 0, 100))
            await rig.run_for(PERIOD // 4)
            clock.off_by = 0
            await rig.run_for(PERIOD // 4)
        await rig.run_for(PERIOD // 2)
        assert_paid(rig, nodes["alice"], subscription, PAYMENTS)
