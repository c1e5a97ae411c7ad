"""Who works on a store, who is taken for dead, and by whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from lnrecur.adapters.store import SqlRecurrenceManager, open_sqlite_manager
from lnrecur.ports import LeaseLost, Seat, SeatTaken, StoreUnavailable
from lnrecur.service.attendance import Attendance, Beats
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import NodeId

OWNER = NodeId(b"\x02" * 33)
BEATS = Beats(every_s=4, lease_s=20)
MESSAGES, DESK, OTHER = Seat("mail"), Seat("desk", messages=False), Seat("other desk", messages=False)


class Office:
    """Processes on one store and one clock."""

    def __init__(self, file: Path, stack: ExitStack) -> None:
        self.clock = VirtualClock(1_750_000_000)
        self._file = file
        self._stack = stack
        self.freed: list[str] = []

    def worker(self, seat: Seat) -> tuple[SqlRecurrenceManager, Attendance]:
        manager = self._stack.enter_context(closing(open_sqlite_manager(self._file)))

        def freed() -> None:
            self.freed.append(seat.place)

        return manager, Attendance(manager, seat, OWNER, self.clock, beats=BEATS, on_change=freed)

    async def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            for _ in range(5):
                await asyncio.sleep(0)


@asynccontextmanager
async def keeping(*attendances: Attendance) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.get_running_loop().create_task(attendance.keep()) for attendance in attendances]
    await asyncio.sleep(0)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with ExitStack() as stack:
        yield Office(tmp_path / "store.sqlite", stack)


async def test_those_who_show_life_stay(office: Office) -> None:
    (manager, one), (_, other) = office.worker(MESSAGES), office.worker(DESK)
    await one.join()
    await other.join()
    async with keeping(one, other):
        await office.pass_time(300)
        assert [worker.seat for worker in manager.workers()] == [MESSAGES, DESK]
        one.check()
    assert office.freed == []


async def test_who_shows_no_life_for_a_lease_is_expelled_and_joins_again_when_it_wakes(office: Office) -> None:
    (manager, one), (sleeping, other) = office.worker(MESSAGES), office.worker(DESK)
    await one.join()
    await other.join()
    async with keeping(one):
        await office.pass_time(20)
        assert len(manager.workers()) == 2
        await office.pass_time(8)
        assert [worker.seat for worker in manager.workers()] == [MESSAGES]
        assert office.freed == ["mail"]
    with pytest.raises(LeaseLost):
        other.check()
    with pytest.raises(LeaseLost):
        sleeping.beat()
    await other.join()
    other.check()
    assert [worker.seat for worker in manager.workers()] == [MESSAGES, DESK]


async def test_a_store_that_was_away_is_no_reason_to_expel_anybody(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    (manager, one), (_, other) = office.worker(MESSAGES), office.worker(DESK)
    await one.join()
    await other.join()
    beat = manager.beat
    away = True

    def beat_or_not() -> object:
        if away:
            raise StoreUnavailable("away")
        return beat()

    monkeypatch.setattr(manager, "beat", beat_or_not)
    async with keeping(one):
        await office.pass_time(100)
        away = False
        await office.pass_time(16)
        assert len(manager.workers()) == 2
        await office.pass_time(20)
        assert len(manager.workers()) == 1


async def test_the_seat_of_one_who_lives_is_not_to_be_had(office: Office) -> None:
    (_, one), (_, second) = office.worker(MESSAGES), office.worker(Seat("elsewhere"))
    await one.join()
    async with keeping(one):
        joining = asyncio.get_running_loop().create_task(second.join())
        await office.pass_time(30)
        with pytest.raises(SeatTaken, match="mail"):
            await joining
    assert not second.has_joined


async def test_the_seat_of_one_who_is_dead_is_taken_after_a_lease(office: Office) -> None:
    (_, one), (manager, second) = office.worker(MESSAGES), office.worker(Seat("elsewhere"))
    await one.join()
    joining = asyncio.get_running_loop().create_task(second.join())
    await asyncio.sleep(0)
    await office.pass_time(19)
    assert not joining.done()
    await office.pass_time(3)
    await joining
    assert [worker.seat.place for worker in manager.workers()] == ["elsewhere"]


async def test_who_left_is_not_waited_for(office: Office) -> None:
    (_, one), (manager, second) = office.worker(MESSAGES), office.worker(Seat("elsewhere"))
    await one.join()
    one.leave()
    await second.join()
    assert [worker.seat.place for worker in manager.workers()] == ["elsewhere"]


async def test_a_store_that_does_not_answer_keeps_nobody_from_leaving(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    manager, one = office.worker(DESK)
    await one.join()

    def away() -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(manager, "leave", away)
    one.leave()
    assert "away" in caplog.text
