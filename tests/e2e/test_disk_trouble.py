"""A disk that is full or read-only under a real daemon: told in words, nothing half done, all goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers.daemons import Daemon, assert_books_agree, lnrecur, wait_for
from helpers.disks import give_to, immutable, no_file_grows_beyond, small_disk
from helpers.postgresql import NOBODY, PostgresServer, postgres_server
from lnrecur.cli.client import DaemonFailedForNow

pytestmark = pytest.mark.slow

PAYMENTS = 3
OFFER = (
    *("--amount", "1000sat", "--every", "1s", "--payments", str(PAYMENTS)),
    *("--pay-before", "1s", "--pay-after", "90s"),
)

AT_ONCE = {"first_delay_s": 1, "factor": 1, "cap_s": 1, "jitter_percent": 0}


class Story:
    """A merchant in health, and a payer whose database gets into trouble."""

    def __init__(self, folder: Path, alice: Path | None = None, *, database: str = "") -> None:
        money = folder / "money.sqlite"
        self.merchant = Daemon(folder / "merchant", money)
        self.alice = Daemon(alice or folder / "alice", money, database=database)

    @contextmanager
    def running(self) -> Iterator[Story]:
        try:
            for daemon in (self.merchant, self.alice):
                daemon.start()
            self.offer: str = self.merchant.ask("offer", "create", "a thing", *OFFER)["offer"]
            self.subscription: str = self.subscribe()["id"]
            self.alice.wait_for_phase(self.subscription, "idle", 20)
            yield self
        finally:
            for daemon in (self.merchant, self.alice):
                daemon.kill()

    def subscribe(self) -> dict[str, Any]:
        order = {
            "offer": self.offer,
            "mandate": {"max_per_period_msat": 1_000_000},
            "via": [self.merchant.address],
            "jitter_s": 0,
            "request_retry": AT_ONCE,
            "payment_retry": AT_ONCE,
        }
        return self.alice.order("/v1/subscriptions", order)

    def refused(self) -> str:
        """Ask until something cannot be stored; answers what is said then."""

        def told() -> str | None:
            try:
                self.subscribe()
            except DaemonFailedForNow as error:
                return str(error) if error.details()["daemon_code"] == "StoreUnavailable" else None
            return None

        message: str = wait_for(told, 30, lambda: self.alice.log[-3000:])
        return message

    def assert_told(self, *words: str) -> None:
        """The trouble is in the log, in the answer to whoever asks, and in what the doctor finds; reading goes on."""
        message = self.refused()
        for word in words:
            assert word in message
        logged = "nothing can be done just now"
        wait_for(lambda: True if logged in self.alice.log else None, 20, lambda: self.alice.log[-3000:])
        found = self.alice.look("/v1/doctor")["findings"]
        broken = {one["subject"] for one in found if one["health"] == "broken"}
        assert {"database", "work"} & broken
        assert self.alice.look("/v1/info")["version"]
        assert self.alice.subscription(self.subscription)["payments"] >= 1

    def assert_all_goes_on(self) -> None:
        """Nobody restarted anything, and every period of everybody is paid once."""
        wait_for(lambda: True if "all goes on" in self.alice.log else None, 20, lambda: self.alice.log[-3000:])
        for one in self.alice.look("/v1/subscriptions?role=payer")["subscriptions"]:
            self.alice.wait_for_phase(one["id"], "completed", 60)
            assert_books_agree(self.merchant, self.alice, one["id"], PAYMENTS)
        assert self.alice.process is not None
        assert self.alice.process.poll() is None
        assert "Traceback" not in self.alice.log + self.merchant.log


def test_a_full_disk_is_told_and_all_goes_on_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 4) as disk, Story(tmp_path, disk.folder / "alice").running() as story:
        disk.fill()
        story.assert_told("full", "make room on the disk")
        again = lnrecur("run", "--home", story.alice.folder, "--http-listen", "127.0.0.1:0")
        assert (again.returncode, "already" in again.stderr) == (1, True)
        disk.make_room()
        story.assert_all_goes_on()


def test_a_daemon_does_not_start_on_a_full_or_read_only_disk_and_says_why(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 2) as disk:
        alice = Daemon(disk.folder / "alice", tmp_path / "money.sqlite")
        start = ("run", "--home", alice.folder, "--http-listen", "127.0.0.1:0")
        disk.fill()
        full = lnrecur(*start)
        assert (full.returncode, "full" in full.stderr or "No space" in full.stderr) == (1, True), full.stderr
        doctor = lnrecur("doctor", "--home", alice.folder)
        assert (doctor.returncode, "BROKEN  disk" in doctor.stdout) == (1, True), doctor.stdout
        disk.make_room()
        disk.set_read_only(True)
        fixed = lnrecur(*start)
        assert (fixed.returncode, "Read-only file system" in fixed.stderr) == (1, True), fixed.stderr
        disk.set_read_only(False)
        for refused in (full, fixed):
            assert refused.stderr.startswith("lnrecur: ")
            assert "Traceback" not in refused.stderr
        try:
            alice.start()
        finally:
            alice.kill()


def test_files_that_may_grow_no_more_are_told_and_all_goes_on_once_they_may(tmp_path: Path) -> None:
    with Story(tmp_path).running() as story:
        assert story.alice.process is not None
        with no_file_grows_beyond(story.alice.process.pid, 40_000):
            story.assert_told("disk")
        story.assert_all_goes_on()


def test_a_database_that_becomes_read_only_is_told_and_all_goes_on_afterwards(tmp_path: Path) -> None:
    with Story(tmp_path).running() as story:
        files = [story.alice.home.database.with_name(f"lnrecur.sqlite{end}") for end in ("", "-wal")]
        with immutable(files):
            story.assert_told("disk")
        story.assert_all_goes_on()


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def test_a_server_whose_disk_is_full_is_told_and_all_goes_on(server: PostgresServer, tmp_path: Path) -> None:
    with small_disk(server.folder / "small", 24) as disk:
        space = disk.folder / "space"
        space.mkdir()
        give_to(space, NOBODY)
        server.sql(f"CREATE TABLESPACE small LOCATION '{space}'", database="postgres")
        server.sql("CREATE DATABASE little TABLESPACE small", database="postgres")
        try:
            with Story(tmp_path, database=server.url("little")).running() as story:
                disk.fill()
                story.assert_told("make room on the server's disk")
                disk.make_room()
                story.assert_all_goes_on()
        finally:
            server.sql("DROP DATABASE little WITH (FORCE)", database="postgres")
            server.sql("DROP TABLESPACE small", database="postgres")


def test_a_server_that_becomes_read_only_is_told_and_all_goes_on(server: PostgresServer, tmp_path: Path) -> None:
    def set_read_only(on: bool) -> None:
        server.sql(f"ALTER SYSTEM SET default_transaction_read_only = {on}", database="postgres")
        server.sql("SELECT pg_reload_conf()", database="postgres")

    with Story(tmp_path, database=server.url(server.new_database())).running() as story:
        set_read_only(True)
        try:
            story.assert_told("read-only", "a standby")
        finally:
            server.sql("ALTER SYSTEM RESET ALL", database="postgres")
            server.sql("SELECT pg_reload_conf()", database="postgres")
        story.assert_all_goes_on()
