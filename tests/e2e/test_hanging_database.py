"""A PostgreSQL server that stands still and still acknowledges TCP: daemons answer, wait, and go on by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.daemons import Daemon, Worker, assert_books_agree, wait_for
from helpers.postgresql import PostgresServer, postgres_server
from helpers.promises import unknown_payments
from lnrecur.cli.client import DaemonFailedForNow

pytestmark = pytest.mark.slow

PAYMENTS = 4
AT_ONCE = {"first_delay_s": 1, "factor": 1, "cap_s": 1, "jitter_percent": 0}
OFFER = (
    *("--amount", "1000sat", "--every", "1s", "--payments", str(PAYMENTS)),
    *("--pay-before", "1s", "--pay-after", "90s"),
)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server
        server.go_on()


def test_a_server_that_stands_still_is_told_and_all_goes_on_when_it_moves(
    server: PostgresServer, tmp_path: Path
) -> None:
    money = tmp_path / "money.sqlite"
    merchant = Daemon(tmp_path / "merchant", money)
    alice = Daemon(tmp_path / "alice", money, database=server.url(server.new_database()), role="messaging")
    worker = Worker(alice, "worker")
    try:
        for process in (merchant, alice, worker):
            process.start()
        offer = merchant.ask("offer", "create", "a thing", *OFFER)["offer"]
        order = {
            "offer": offer,
            "mandate": {"max_per_period_msat": 1_000_000},
            "via": [merchant.address],
            "jitter_s": 0,
            "request_retry": AT_ONCE,
            "payment_retry": AT_ONCE,
        }
        subscription = alice.order("/v1/subscriptions", order)["id"]
        alice.wait_for_phase(subscription, "idle", 20)
        server.stand_still()

        def told() -> str | None:
            try:
                alice.subscription(subscription)
            except DaemonFailedForNow as error:
                return str(error)
            return None

        assert "not answer" in wait_for(told, 30, lambda: alice.log[-3000:])
        for log in (lambda: alice.log, lambda: worker.log):
            wait_for(lambda: True if "the database server stands still" in log() else None, 30, log)  # noqa: B023
        assert alice.look("/v1/info")["node_id"] == alice.node_id, "what needs no database is answered"
        broken = {one["subject"] for one in alice.look("/v1/doctor")["findings"] if one["health"] == "broken"}
        assert "database" in broken
        booked = merchant.sold()[0]["payments"]
        time.sleep(2)
        assert merchant.sold()[0]["payments"] - booked <= 1, "nobody pays without the store"
        server.go_on()
        wait_for(lambda: True if "answers again after" in alice.log else None, 30, lambda: alice.log[-3000:])
        alice.wait_for_phase(subscription, "completed", 60)
        assert_books_agree(merchant, alice, subscription, PAYMENTS)
        assert unknown_payments(alice, money, [subscription]) == []
        for process, log_now in ((alice, alice.log), (worker, worker.log)):
            assert process.process is not None
            assert process.process.poll() is None, "nobody had to start it again"
            assert "answers again after" in log_now
            assert "Traceback" not in log_now
    finally:
        for process in (merchant, alice, worker):
            process.kill()


def test_a_daemon_does_not_start_on_a_server_that_stands_still_and_says_why(
    server: PostgresServer, tmp_path: Path
) -> None:
    alice = Daemon(tmp_path / "alice", tmp_path / "money.sqlite", database=server.url(server.new_database()))
    server.stand_still()
    alice.launch()
    assert alice.process is not None
    assert alice.process.wait(40) == 1
    assert "takes connections, but does not answer" in alice.log
    assert "Traceback" not in alice.log
    server.go_on()
    try:
        alice.start()
    finally:
        alice.kill()
