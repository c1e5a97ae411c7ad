"""The event log tells when the money node went away, why, and when it was back; each once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from helpers.rig import PERIOD, assert_paid, events, publish, subscribe
from lnrecur.ports import MoneyNode, NodeInfo, StoreUnavailable, Unavailable
from lnrecur.recurrence.effects import Emit
from lnrecur.recurrence.event_objects import NODE_SUBJECT, EventObject, ObjectType
from lnrecur.recurrence.retry import RECONNECT
from lnrecur.service import node_watch
from lnrecur.service.assembly import Parts
from lnrecur.testing.memory_store import MemoryRecurrenceManager
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import UnixSeconds

EVERY_S = 30


def watched(parts: Parts) -> Parts:
    return replace(parts, watch_node_s=EVERY_S)


@asynccontextmanager
async def watching(seed: int) -> AsyncIterator[tuple[Rig, RigNode]]:
    async with Rig(seed=seed) as rig:
        yield rig, await rig.join("alice", dress=watched)


def told(node: RigNode) -> list[tuple[str, str, int]]:
    """Name, trouble and moment of each event of the money node."""
    return [
        (event.name.partition(".")[2], str(event.data.get("trouble", event.data.get("was"))), event.at)
        for event in node.manager.events(subject=NODE_SUBJECT)
    ]


class Moody:
    """Its `info` has the trouble of the day; the rest is as it was."""

    def __init__(self, inner: MoneyNode) -> None:
        self._inner, self.trouble = inner, ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def info(self) -> NodeInfo:
        if self.trouble == "silent":
            await asyncio.Event().wait()
        if self.trouble:
            error = Unavailable(f"it is {self.trouble}")
            error.trouble = self.trouble
            raise error
        return await self._inner.info()


@asynccontextmanager
async def moody(seed: int) -> AsyncIterator[tuple[Rig, RigNode, Moody]]:
    moods: list[Moody] = []

    def dress(parts: Parts) -> Parts:
        moods[:] = [*moods[:1], Moody(parts.node)][:1]
        return replace(parts, node=cast("MoneyNode", moods[0]), watch_node_s=EVERY_S)

    async with Rig(seed=seed) as rig:
        yield rig, await rig.join("alice", dress=dress), moods[0]


async def test_nothing_is_told_of_a_node_that_is_well_and_it_is_asked_at_its_pace() -> None:
    async with watching(1) as (rig, alice):
        before = alice.money.calls["info"]
        await rig.run_for(100 * EVERY_S)
        assert told(alice) == []
        assert alice.money.calls["info"] - before == 100


async def test_an_outage_is_told_once_with_its_reason_and_its_end_however_long_it_lasts() -> None:
    async with watching(2) as (rig, alice):
        alice.money.go_down()
        began = rig.clock.now()
        await rig.run_for(86_400)
        [(name, trouble, at)] = told(alice)
        assert (name, trouble) == ("unavailable", "unreachable")
        assert at - began <= EVERY_S
        alice.money.come_back()
        ended = rig.clock.now()
        await rig.run_for(2 * RECONNECT.cap_s)
        [_, (name, was, at)] = told(alice)
        assert (name, was) == ("available", "unreachable")
        assert at - ended <= RECONNECT.cap_s * (100 + RECONNECT.jitter_percent) // 100 + 1
        [_, event] = alice.manager.events(subject=NODE_SUBJECT)
        assert (event.role, event.object.type, event.object.id) == (
            None, ObjectType.NODE, alice.keyring.money.point.hex(),
        )  # fmt: skip
        assert event.data["away_s"] == at - told(alice)[0][2]


async def test_a_node_that_is_away_is_asked_ever_more_seldom_and_often_again_after_the_next_failure() -> None:
    async with watching(3) as (rig, alice):
        watch = alice.services and alice.services.node_watch
        assert watch is not None
        for _ in range(2):
            alice.money.go_down()
            await rig.run_for(EVERY_S)
            asked = alice.money.calls["info"]
            await rig.run_for(3600)
            asked = alice.money.calls["info"] - asked
            assert 3600 // (RECONNECT.cap_s * 5 // 4) - 2 <= asked <= 3600 // RECONNECT.cap_s + 5
            assert watch.outage is not None
            assert watch.outage.tries > 50
            alice.money.come_back()
            await rig.run_for(2 * RECONNECT.cap_s)
            assert watch.outage is None
        assert [name for name, _, _ in told(alice)] == ["unavailable", "available"] * 2


async def test_every_new_reason_is_told_and_no_old_one_twice() -> None:
    async with moody(4) as (rig, alice, node):
        for node.trouble in ("unreachable", "locked", "starting", "not_synced", ""):
            await rig.run_for(10 * EVERY_S)
        assert [(name, trouble) for name, trouble, _ in told(alice)] == [
            ("unavailable", "unreachable"),
            ("unavailable", "locked"),
            ("unavailable", "starting"),
            ("unavailable", "not_synced"),
            ("available", "not_synced"),
        ]


async def test_an_outage_over_a_restart_of_ours_is_told_once_and_so_is_its_end() -> None:
    async with moody(5) as (rig, alice, node):
        node.trouble = "locked"
        began = rig.clock.now()
        await rig.run_for(10 * EVERY_S)
        rig.crash("alice")
        await rig.run_for(3600)
        await rig.restart("alice")
        await rig.run_for(10 * EVERY_S)
        assert [name for name, _, _ in told(alice)] == ["unavailable"]
        rig.crash("alice")
        node.trouble = ""
        await rig.restart("alice")
        [_, (name, was, at)] = told(alice)
        assert (name, was) == ("available", "locked")
        [_, event] = alice.manager.events(subject=NODE_SUBJECT)
        assert abs(int(event.data["away_s"] or 0) - (at - began)) <= EVERY_S
        assert "locked" in str(alice.manager.events(subject=NODE_SUBJECT)[0].data["why"])


async def test_a_node_that_never_answers_is_away_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_watch, "INFO_S_MAX", 0.05)
    async with moody(6) as (rig, alice, node):
        node.trouble = "silent"
        await rig.run_for(EVERY_S)
        await asyncio.sleep(0.2)  # the limit is one of real time: a node that hangs does not move the virtual clock
        await rig.settle()
        assert [(name, trouble) for name, trouble, _ in told(alice)] == [("unavailable", "silent")]


async def test_a_failed_payment_has_the_node_looked_at_at_once_and_everything_is_paid_all_the_same() -> None:
    async with Rig(seed=7) as rig:
        merchant = await rig.join("merchant", dress=watched)
        alice = await rig.join("alice", dress=lambda parts: replace(parts, watch_node_s=10**6))
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 2)
        alice.money.go_down()
        await rig.run_for(PERIOD)
        assert [name for name, _, _ in told(alice)] == ["unavailable"], "not because it was its time to look"
        merchant.money.go_down()
        await rig.run_for(PERIOD // 4)
        assert [name for name, _, _ in told(merchant)] == ["unavailable"]
        for node in (merchant, alice):
            node.money.come_back()
        await rig.run_for(4 * PERIOD)
        assert [name for name, _, _ in told(alice)] == ["unavailable", "available"]
        assert_paid(rig, alice, subscription, 4)
        assert len(events(alice, "payment.node_silent")) <= 1


async def test_a_store_that_does_not_take_the_event_gets_it_later() -> None:
    class Sour(MemoryRecurrenceManager):
        refusals = 3

        def tell(self, event: Emit, about: EventObject, at: UnixSeconds) -> None:
            if self.refusals:
                self.refusals -= 1
                raise StoreUnavailable("not now")
            super().tell(event, about, at)

    store = Sour()
    async with Rig(seed=8) as rig:
        alice = await rig.join("alice", dress=watched, open_manager=lambda: store)
        alice.money.go_down()
        await rig.run_for(10 * EVERY_S)
        assert [name for name, _, _ in told(alice)] == ["unavailable"]
        assert store.refusals == 0
