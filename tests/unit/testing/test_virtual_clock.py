from __future__ import annotations

import asyncio

import pytest

from lnrecur.errors import UsageError
from lnrecur.testing.virtual_clock import VirtualClock


async def test_a_sleeper_waits_for_the_advance_and_not_for_the_time() -> None:
    clock = VirtualClock(1000)
    sleeper = asyncio.ensure_future(clock.sleep_until(1060))
    await asyncio.sleep(0.01)
    clock.advance(59)
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(1)
    await sleeper
    assert clock.now() == 1060


async def test_what_has_passed_needs_no_sleep() -> None:
    clock = VirtualClock(1000)
    await clock.sleep_until(1000)
    await clock.sleep_until(999.5)


async def test_sleepers_wake_in_the_order_of_their_moments() -> None:
    clock, woken = VirtualClock(0), []

    async def sleep(moment: float) -> None:
        await clock.sleep_until(moment)
        woken.append(moment)

    sleepers = [asyncio.ensure_future(sleep(moment)) for moment in (3, 1, 2.5, 2)]
    await asyncio.sleep(0)
    clock.advance(10)
    await asyncio.gather(*sleepers)
    assert woken == [1, 2, 2.5, 3]


async def test_deadlines_can_be_passed_one_by_one() -> None:
    clock, seen = VirtualClock(0), []

    async def tick() -> None:
        while True:
            await clock.sleep_until(clock.now() + 10)
            seen.append(clock.now())

    ticking = asyncio.ensure_future(tick())
    await asyncio.sleep(0)
    for _ in range(3):
        wake = clock.next_wake()
        assert wake is not None
        clock.advance_to(wake)
        await asyncio.sleep(0)
    assert seen == [10, 20, 30]
    ticking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ticking
    assert clock.next_wake() is None


def test_fractions_add_up_and_are_cut_off() -> None:
    clock = VirtualClock(1000)
    clock.advance(0.75)
    assert clock.now() == 1000
    clock.advance(0.25)
    assert clock.now() == 1001


def test_a_clock_does_not_run_backwards() -> None:
    clock = VirtualClock(1000)
    with pytest.raises(UsageError):
        clock.advance(-1)
    with pytest.raises(UsageError):
        clock.advance_to(999)
