"""The doorbell breaks and is begun again ever more seldom; nothing hangs on it, and the doctor sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.lnd_stand_in import INFO, NOT_PERMITTED, StandIn
from lnrecur.adapters.nodes.lnd import LndNode, doorbell
from lnrecur.adapters.nodes.lnd.permissions import PERMISSIONS
from lnrecur.ports import Health
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST

STREAM = f"GET {doorbell.STREAM}"


@pytest.fixture
def lnd(tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path / "lnd")
    for permission in PERMISSIONS:
        refused = (500, {"code": 2, "message": "that cannot be"})
        stand_in.answers[f"{permission.method} {permission.path.partition('?')[0]}"] = refused
    stand_in.answers |= {
        "GET /v1/getinfo": (200, INFO),
        "GET /v1/channels": (200, {"channels": []}),
        "GET /v1/invoices": (200, {"invoices": [], "last_index_offset": "0"}),
    }
    yield stand_in
    stand_in.close()


async def pauses_of(lnd: StandIn, monkeypatch: pytest.MonkeyPatch, count: int) -> tuple[list[float], doorbell.Doorbell]:
    """Listen until it has paused so often, but do not wait as long as it would."""
    waited: list[float] = []
    enough = asyncio.Event()

    async def no_sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == count:
            enough.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(doorbell, "sleep", no_sleep)
    async with LndNode(lnd.access, VirtualClock(0), chain=REGTEST) as node:
        listener = doorbell.Doorbell(node._rest, SeededEntropy(1), asyncio.Event())
        task = asyncio.ensure_future(listener.listen())
        async with asyncio.timeout(20):
            await enough.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return waited, listener


@pytest.mark.parametrize("answer", [NOT_PERMITTED, (200, []), (200, "<html>"), (502, "no")], ids=str)
async def test_its_pauses_grow_up_to_a_cap(
    lnd: StandIn, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, object]
) -> None:
    lnd.answers[STREAM] = answer
    pauses, listener = await pauses_of(lnd, monkeypatch, 9)
    assert pauses[:3] == [1, 2, pauses[2]]
    assert pauses[2] in (4, 5)
    assert all(30 <= pause <= 37 for pause in pauses[5:])
    assert len(set(pauses[5:])) > 1, "jitter"
    assert listener.interruption is not None
    assert listener.interruption.failures == 9


async def test_a_line_of_the_stream_makes_the_next_pause_a_short_one(
    lnd: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    lnd.answers[STREAM] = (200, [{"result": {"memo": "x"}}])
    pauses, _ = await pauses_of(lnd, monkeypatch, 6)
    assert set(pauses) == {1}


async def test_the_doctor_tells_of_it_while_it_is_broken(lnd: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "RECONNECT", RetryPolicy(first_delay_s=20))
    lnd.answers[STREAM] = (200, "<html>")
    async with LndNode(lnd.access, VirtualClock(0), chain=REGTEST) as node:
        reading = asyncio.ensure_future(anext(node.receipts(None)))
        async with asyncio.timeout(10):
            while not [reader for reader in node._readers if reader.doorbell.interruption is not None]:
                await asyncio.wait((reading,), timeout=0.02)
        [finding] = [one for one in await node.diagnose() if one.subject == "news of invoices"]
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert finding.health is Health.WARNING
        assert "broke 1 times in a row" in finding.told
        assert "begun again in" in finding.way_out
