"""kill -9 of real daemons at every fault point, on SQLite and on PostgreSQL: nothing is doubled, nothing is lost.

The points are not listed here. Two daemons first run a subscription to its end and record what they pass; then both are
started again and again over one longer subscription, each time told to die at its next point.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import pytest

from helpers.daemons import Daemon, Worker, wait_for
from helpers.postgresql import PostgresServer
from helpers.promises import Promised, breaches, unknown_payments
from lnrecur.errors import LnrecurError
from lnrecur.testing.fault_points import all_calls

pytestmark = pytest.mark.slow

PRICE_SAT = 1000
WINDOW = ("--pay-before", "1s", "--pay-after", "900s")
AT_ONCE = {"first_delay_s": 1, "factor": 1, "cap_s": 1, "jitter_percent": 0}
"""Nobody waits longer because the other side has died so often."""
REACHED_S_MAX = 90.0
BY_PEOPLE = {"store.add_offer", "store.change_offer", "store.leave"}
"""What people do; killed below, one by one."""
BY_WORKERS = {"store.beat", "store.expel"}
"""Where several share a database; killed below."""
IN_TROUBLE = {
    "store.postpone_effect",
    "store.save_receipt_cursor",
    "store.tell",
    "money.cancel",
    "money.received",
    "money.sent",
    "link.reach",
}
"""What a healthy story does not do, or only when a crash came at the right moment. The power cuts of the simulator
(tests/sim) fall before and after these calls, too."""


def recorded(file: Path) -> set[str]:
    points = set(file.read_text().split())
    return {point for point in points if point.rpartition(".")[0] not in BY_PEOPLE | BY_WORKERS}


class Story:
    """A merchant and a payer, and one subscription between them."""

    def __init__(self, folder: Path, databases: list[str]) -> None:
        self.money = folder / "money.sqlite"
        merchant, payer = databases
        self.merchant = Daemon(folder / "merchant", self.money, database=merchant)
        self.payer = Daemon(folder / "payer", self.money, database=payer)
        self.sides = (self.merchant, self.payer)

    def begin(self, payments: int) -> Promised:
        offer = ("--amount", f"{PRICE_SAT}sat", "--every", "1s", "--payments", str(payments), *WINDOW)
        offered = self.merchant.ask("offer", "create", "a thing", *offer)["offer"]
        order = {
            "offer": offered,
            "mandate": {"max_per_period_msat": PRICE_SAT * 1000},
            "via": [self.merchant.address],
            "jitter_s": 0,
            "request_retry": AT_ONCE,
            "payment_retry": AT_ONCE,
        }
        subscription = self.payer.order("/v1/subscriptions", order)["id"]
        return Promised(subscription, payments, PRICE_SAT * 1000)

    def check(self, promised: Promised) -> None:
        self.payer.wait_for_phase(promised.subscription, "completed", 120)

        def books_closed() -> bool | None:
            [theirs] = self.merchant.sold()
            return True if theirs["phase"] == "completed" else None

        wait_for(books_closed, 30, lambda: self.merchant.log[-3000:])
        assert breaches(self.merchant, self.payer, promised) == []
        assert unknown_payments(self.payer, self.money, [promised.subscription]) == []
        for daemon in self.sides:
            assert "Traceback" not in daemon.log

    def kill(self) -> None:
        for daemon in self.sides:
            daemon.kill()


def points_passed(folder: Path, databases: list[str]) -> list[set[str]]:
    """What each side passes while a subscription is paid, with a crash of both in the middle."""
    story = Story(folder, databases)
    files = [folder / "merchant.points", folder / "payer.points"]
    try:
        for daemon, file in zip(story.sides, files, strict=True):
            daemon.environment = {**daemon.environment, "LNRECUR_FAULTS": f"record:{file}"}
            daemon.start()
        promised = story.begin(3)
        for daemon in story.sides:
            daemon.kill()
            daemon.start()
        story.check(promised)
        return [recorded(file) for file in files]
    finally:
        story.kill()


class Victim:
    """A daemon that dies at one point after the other."""

    def __init__(self, daemon: Daemon, points: set[str]) -> None:
        self.daemon = daemon
        self.left = deque(sorted(points))
        self.died: list[str] = []
        self._environment = dict(daemon.environment)
        self._since = 0.0
        self._up = False

    def look(self) -> bool:
        """Start it again if it is dead; False once it has died at every point and is up for good."""
        daemon = self.daemon
        if daemon.process is None or daemon.process.poll() is not None:
            if daemon.process is not None:
                assert daemon.process.poll() == -9, daemon.log[-3000:]
                self.died.append(self.left.popleft())
            faults = {"LNRECUR_FAULTS": f"kill:{self.left[0]}:1"} if self.left else {}
            daemon.environment = {**self._environment, **faults}
            daemon.launch()
            self._since, self._up = time.monotonic(), False
        elif not self.left:
            if not self._up:
                daemon.wait_until_up()
            return False
        assert time.monotonic() - self._since < REACHED_S_MAX, f"{self.left[0]} is never passed: {daemon.log[-3000:]}"
        return True


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_daemons_may_die_at_every_fault_point(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    def databases() -> list[str]:
        if kind == "sqlite":
            return ["", ""]
        server: PostgresServer = request.getfixturevalue("postgres")
        return [server.url(server.new_database()) for _ in range(2)]

    passed = points_passed(tmp_path / "recorded", databases())
    merchant, payer = ({point.rpartition(".")[0] for point in points} for points in passed)
    assert {"store.commit_inbound", "store.effect_done", "money.register", "money.claim", "link.send"} <= merchant
    assert {"store.commit_outbound", "store.claim_outbox", "money.pay", "money.follow", "link.send"} <= payer
    unknown = all_calls() - merchant - payer - BY_PEOPLE - BY_WORKERS - IN_TROUBLE
    assert unknown == set(), "a call with fault points that no test passes: extend the story or a list"

    story = Story(tmp_path / "killed", databases())
    try:
        for daemon in story.sides:
            daemon.start()
        promised = story.begin(max(map(len, passed)) + 3)
        for daemon in story.sides:
            daemon.kill()
        victims = [Victim(daemon, points) for daemon, points in zip(story.sides, passed, strict=True)]
        while sum(victim.look() for victim in victims):  # both are looked at, whatever the first says
            time.sleep(0.02)
        assert [set(victim.died) for victim in victims] == passed
        story.check(promised)
    finally:
        story.kill()


WHERE = ("before", "commit", "after")


def start_to_die(daemon: Daemon, point: str) -> None:
    clean = dict(daemon.environment)
    daemon.environment = {**clean, "LNRECUR_FAULTS": f"kill:{point}:1"}
    daemon.start()
    daemon.environment = clean


def assert_dies(daemon: Daemon | Worker) -> None:
    assert daemon.process is not None
    assert daemon.process.wait(20) == -9
    daemon.process = None


def test_what_people_do_is_done_or_not_done_wherever_the_daemon_dies(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "merchant", tmp_path / "money.sqlite")
    order = {"amount_msat": 1_000_000, "description": "a thing", "recurrence": {"unit": "days", "period": 30}}
    made = 0
    try:
        for where in WHERE:
            start_to_die(daemon, f"store.add_offer.{where}")
            with suppress(LnrecurError):
                daemon.order("/v1/offers", order)
            assert_dies(daemon)
            made += where == "after"
            daemon.start()
            assert len(daemon.look("/v1/offers")["offers"]) == made
            daemon.kill()
        for where in WHERE:
            start_to_die(daemon, f"store.change_offer.{where}")
            [offer] = daemon.look("/v1/offers")["offers"]
            with suppress(LnrecurError):
                daemon.order(f"/v1/offers/{offer['offer_id']}/pause", {})
            assert_dies(daemon)
            daemon.start()
            [offer] = daemon.look("/v1/offers")["offers"]
            events = [event["name"] for event in daemon.look("/v1/events")["events"]]
            assert offer["status"] == ("paused" if where == "after" else "open")
            assert events.count("offer.paused") == (where == "after"), "the event is stored with the state, or neither"
            daemon.kill()
        for where in WHERE:
            start_to_die(daemon, f"store.leave.{where}")
            assert daemon.process is not None
            daemon.process.terminate()
            assert_dies(daemon)
        daemon.start()
        assert len(daemon.look("/v1/offers")["offers"]) == 1
    finally:
        daemon.kill()


def test_workers_die_while_they_show_life_or_expel_and_the_others_go_on(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    database = postgres.url(postgres.new_database())
    daemon = Daemon(tmp_path / "merchant", tmp_path / "money.sqlite", database=database, role="messaging")
    worker = Worker(daemon, "worker")
    try:
        daemon.start()
        healthy = dict(daemon.environment)
        for point in [f"store.{call}.{where}" for call in ("beat", "expel") for where in WHERE]:
            daemon.environment = {**healthy, "LNRECUR_FAULTS": f"kill:{point}:1"}
            worker.start()
            if "expel" in point:
                daemon.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
            assert_dies(worker)
            daemon.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
        daemon.environment = healthy
        worker.start()
        logged = daemon.log.count
        wait_for(lambda: True if logged("joined as worker") > 1 else None, 20, lambda: daemon.log[-3000:])
        workers = postgres.sql("SELECT messages FROM workers", database=database.split("/")[3].split("?")[0])
        assert len(workers) >= 2
        for process in (daemon, worker):
            assert "Traceback" not in process.log
    finally:
        daemon.kill()
        worker.kill()
