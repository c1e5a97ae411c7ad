"""Towns side by side, in as many processes as there are cores to use.

Towns go to the processes in order, and the first town (not the first process) that breaks a promise is the one that is
told: so the answer is the same for any number of processes. Those behind it are dropped where they are.

The processes are started anew (`spawn`), since to fork a process that has threads is not safe. Each holds one end of a
pipe that nobody writes into. When the other end closes, because we are done, were interrupted or killed, they end on
the spot. They do not hear ctrl-C themselves, which reaches every process of a terminal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from typing import ClassVar, Final

from lnrecur.errors import Fault, LnrecurError
from lnrecur.testing.simulator.plan import make_plan
from lnrecur.testing.simulator.towns import Town
from lnrecur.testing.simulator.trace import Wanted
from lnrecur.testing.simulator.undisturbed import undisturbed
from lnrecur.testing.simulator.world import Breakage, Outcome, Standing, World

_LOOK_EVERY_S: Final = 0.2
"""How often the processes' progress is looked at."""

Tell = Callable[[Standing], None]
"""Told how all towns stand together."""


class ProcessLost(LnrecurError):
    """A process that simulated towns was killed; mostly because there was no memory left."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Errand:
    """A town to simulate. `wanted`: which lines of its trace to keep. All of it goes to another process."""

    town: Town
    wanted: Wanted | None


def cores() -> int:
    """How many processes can run at a time, as far as the system lets us have its cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_errands(errands: Sequence[Errand], processes: int, breakage: Breakage, tell: Tell) -> list[Outcome]:
    """Simulate towns in their order, up to the first that breaks a promise, and answer how each went.

    Args:
        errands: the towns.
        processes: how many may work at a time; with one, or one town, it is this one. More than one needs a `breakage`
            and `wanted` that can be pickled.
        breakage: parts broken on purpose.
        tell: told of progress.

    Raises:
        ProcessLost: one of the processes was killed.
    """
    board = _Board(len(errands), tell)
    if min(processes, len(errands)) > 1:
        return _run_in_processes(errands, min(processes, len(errands)), breakage, board)
    outcomes: list[Outcome] = []
    for at, errand in enumerate(errands):
        outcomes.append(_run(errand, breakage, lambda standing, at=at: board.show(at, standing)))  # type: ignore[misc]
        if outcomes[-1].breach is not None:
            break
    return outcomes


def _run(errand: Errand, breakage: Breakage, tell: Tell) -> Outcome:
    with undisturbed():
        world = World(make_plan(errand.town.scale), breakage=breakage, wanted=errand.wanted, progress=tell)
        return asyncio.run(world.run())


class _Board:
    """How each town stands, and all of them together."""

    def __init__(self, count: int, tell: Tell) -> None:
        self._standings = [Standing(0.0, 0, 0)] * count
        self._tell = tell

    def show(self, at: int, standing: Standing) -> None:
        """A town has come this far."""
        self._standings[at] = standing
        all_ = self._standings
        self._tell(
            Standing(
                sum(one.share for one in all_) / len(all_),
                sum(one.subscriptions for one in all_),
                sum(one.payments for one in all_),
            )
        )


# --- in several processes --------------------------------------------------------------------------------------------

News = SimpleQueue[tuple[int, Standing]]
"""What processes tell of: the place of an errand among all, and how its town stands."""


def _run_in_processes(errands: Sequence[Errand], processes: int, breakage: Breakage, board: _Board) -> list[Outcome]:
    context = get_context("spawn")
    end, held_end = context.Pipe(duplex=False)
    news: News = context.SimpleQueue()
    with ExitStack() as cleanup:
        pool = ProcessPoolExecutor(processes, context, _begin, (end, news, breakage))
        cleanup.callback(pool.shutdown, cancel_futures=True)
        cleanup.callback(held_end.close)
        try:
            return _collect([pool.submit(_live, at, errand) for at, errand in enumerate(errands)], news, board)
        except BrokenProcessPool as broken:
            raise ProcessLost("a process of the simulation was killed; is there enough memory?") from broken


def _collect(futures: Sequence[Future[Outcome]], news: News, board: _Board) -> list[Outcome]:
    outcomes: list[Outcome] = []
    while len(outcomes) < len(futures):
        wait([future for future in futures if not future.done()], _LOOK_EVERY_S, FIRST_COMPLETED)
        ended = [future for future in futures if future.done()]
        while not news.empty():
            board.show(*news.get())
        for at in range(len(outcomes), len(futures)):
            if futures[at] not in ended:
                break
            outcomes.append(futures[at].result())
            if outcomes[-1].breach is not None:
                return outcomes
    return outcomes


_news: News
_breakage: Breakage


def _begin(end: Connection, news: News, breakage: Breakage) -> None:
    """In a new process, before its first town."""
    global _news, _breakage
    _news, _breakage = news, breakage
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()


def _end_with(end: Connection) -> None:
    """Wait until nobody holds the other end any more."""
    try:
        end.recv_bytes()
    except EOFError:
        os._exit(1)


def _live(at: int, errand: Errand) -> Outcome:
    return _run(errand, _breakage, lambda standing: _news.put((at, standing)))
