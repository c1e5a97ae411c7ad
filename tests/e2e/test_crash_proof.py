"""kill -9 of real daemons at every fault point, on SQLite and on PostgreSQL: nothing is doubled, nothing is lost.

The points are not listed here. Two daemons first run a subscription to its end and record what they pass; then both are
started again and again over one longer subscription, each time told to die at its next point.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import pytest

from helpers.daemons import Daemon, wait_for
from helpers.postgresql import PostgresServer
from helpers.promises import Promised, breaches, unknown_payments

pytestmark = pytest.mark.slow

PRICE_SAT = 1000
WINDOW = ("--pay-before", "1s", "--pay-after", "900s")
AT_ONCE = {"first_delay_s": 1, "factor": 1, "cap_s": 1, "jitter_percent": 0}
"""Nobody waits longer because the other side has died so often."""
REACHED_S_MAX = 90.0
BY_PEOPLE = {"store.add_offer", "store.leave", "store.beat", "store.expel"}
"""Calls that people's commands make (they fail in their faces), or that need another worker or an orderly end."""


def recorded(file: Path) -> set[str]:
    points = set(file.read_text().split())
    return {point for point in points if point.rpartition(".")[0] not in BY_PEOPLE}


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
