"""A real merchant that was down, and comes back with a store of yesterday, books its payments and complains of none."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from helpers.daemons import Daemon, assert_books_agree, wait_for

pytestmark = pytest.mark.slow

PAYMENTS = 3
OFFER = (
    *("--amount", "1000sat", "--every", "1s", "--payments", str(PAYMENTS)),
    *("--pay-before", "1s", "--pay-after", "3s"),
)


def test_payments_that_a_restored_store_does_not_know_are_booked_and_not_told_as_missed(tmp_path: Path) -> None:
    money, yesterday = tmp_path / "money.sqlite", tmp_path / "yesterday.sqlite"
    merchant, alice = Daemon(tmp_path / "merchant", money), Daemon(tmp_path / "alice", money)
    database = merchant.home.database
    try:
        for daemon in (merchant, alice):
            daemon.start()
        offer = merchant.ask("offer", "create", "a thing", *OFFER)["offer"]
        order = {
            "offer": offer,
            "mandate": {"max_per_period_msat": 1_000_000},
            "via": [merchant.address],
            "jitter_s": 0,
        }
        subscription = alice.order("/v1/subscriptions", order)["id"]
        wait_for(lambda: True if [one for one in merchant.sold() if one["payments"]] else None, 20, lambda: alice.log)
        with closing(sqlite3.connect(database)) as now, closing(sqlite3.connect(yesterday)) as copy:
            now.backup(copy)
        alice.wait_for_phase(subscription, "completed", 30)
        merchant.kill()
        for end in ("", "-wal", "-shm"):
            database.with_name(f"{database.name}{end}").unlink(missing_ok=True)
        shutil.copy(yesterday, database)
        time.sleep(4)  # every pay window has closed
        merchant.start()
        assert_books_agree(merchant, alice, subscription, PAYMENTS)
        [sold] = merchant.sold()
        told = [event["name"] for event in merchant.subscription(sold["id"])["events"]]
        assert not {"subscription.missed", "subscription.lapsed"} & set(told), told
        assert told[-1] == "subscription.completed"
    finally:
        for daemon in (merchant, alice):
            daemon.kill()
