"""One messaging process and any number of workers over one PostgreSQL: killed, stopped, restarted in turn."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.daemons import CLEAN, Daemon, Worker, assert_books_agree, lnrecur, wait_for
from helpers.postgresql import PostgresServer, postgres_server

pytestmark = pytest.mark.slow

PAYMENTS = 5
WINDOW = ("--pay-before", "1s", "--pay-after", "90s")
OFFER = ("--amount", "1000sat", "--every", "1s", "--payments", str(PAYMENTS), *WINDOW)


class Firm:
    """A messaging process and its workers."""

    def __init__(self, folder: Path, money: Path, database: str, workers: int) -> None:
        self.daemon = Daemon(folder, money, database=database, role="messaging")
        self.workers = [Worker(self.daemon, f"worker-{number}") for number in range(workers)]
        self.everybody: list[Daemon | Worker] = [self.daemon, *self.workers]

    @property
    def logs(self) -> str:
        return self.daemon.log + "".join(worker.log for worker in self.workers)


@contextmanager
def running(*firms: Firm) -> Iterator[None]:
    try:
        for firm in firms:
            for process in firm.everybody:
                process.start()
        yield
    finally:
        for firm in firms:
            for process in firm.everybody:
                process.kill()


def firm(postgres: PostgresServer, folder: Path, name: str, workers: int = 2) -> Firm:
    return Firm(folder / name, folder / "money.sqlite", postgres.url(postgres.new_database()), workers)


def assert_all_paid(merchant: Firm, alice: Firm, subscription: str) -> None:
    alice.daemon.wait_for_phase(subscription, "completed", 90)

    def books_closed() -> bool | None:
        [theirs] = merchant.daemon.sold()
        return True if theirs["phase"] == "completed" else None

    wait_for(books_closed, 30, lambda: merchant.logs[-5000:])
    assert_books_agree(merchant.daemon, alice.daemon, subscription, PAYMENTS)
    for side in (merchant, alice):
        assert "Traceback" not in side.logs


def test_everything_is_paid_exactly_once_whichever_process_is_killed(postgres: PostgresServer, tmp_path: Path) -> None:
    chance = random.Random(3)
    merchant, alice = firm(postgres, tmp_path, "merchant", 1), firm(postgres, tmp_path, "alice")
    with running(merchant, alice):
        offer = merchant.daemon.ask("offer", "create", "a thing", *OFFER)["offer"]
        subscription = alice.daemon.ask("subscribe", offer, "--via", merchant.daemon.address, "--yes")["id"]
        for _ in range(4):
            time.sleep(chance.uniform(0.0, 0.6))
            victim = chance.choice([*merchant.everybody, *alice.everybody])
            victim.kill()
            victim.start()
        assert_all_paid(merchant, alice, subscription)


def test_a_rolling_restart_loses_nothing_and_waits_for_no_lease(postgres: PostgresServer, tmp_path: Path) -> None:
    merchant, alice = firm(postgres, tmp_path, "merchant", 1), firm(postgres, tmp_path, "alice", 2)
    with running(merchant, alice):
        offer = merchant.daemon.ask("offer", "create", "a thing", *OFFER)["offer"]
        subscription = alice.daemon.ask("subscribe", offer, "--via", merchant.daemon.address, "--yes")["id"]
        for process in [*alice.everybody, *merchant.everybody]:
            process.terminate()
            process.start()
        assert_all_paid(merchant, alice, subscription)
        assert "shows no life" not in merchant.logs + alice.logs


def test_a_worker_that_stands_still_is_replaced_and_comes_back_without_harm(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    merchant, alice = firm(postgres, tmp_path, "merchant", 1), firm(postgres, tmp_path, "alice", 2)
    with running(merchant, alice):
        offer = merchant.daemon.ask("offer", "create", "a thing", *OFFER)["offer"]
        subscription = alice.daemon.ask("subscribe", offer, "--via", merchant.daemon.address, "--yes")["id"]
        sleeper = alice.workers[0]
        assert sleeper.process is not None
        sleeper.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: True if "shows no life" in alice.logs else None, 20, lambda: alice.logs[-3000:])
        sleeper.process.send_signal(signal.SIGCONT)
        wait_for(lambda: True if sleeper.log.count("joined as worker") == 2 else None, 20, lambda: sleeper.log[-3000:])
        assert_all_paid(merchant, alice, subscription)


def test_a_second_daemon_on_one_database_or_one_seed_is_refused(postgres: PostgresServer, tmp_path: Path) -> None:
    database = postgres.url(postgres.new_database())
    money = tmp_path / "money.sqlite"
    first = Daemon(tmp_path / "first", money, database=database)
    first.start()
    try:
        stranger = Daemon(tmp_path / "stranger", money, database=database)
        refused = lnrecur("run", "--home", stranger.folder, "--http-listen", "127.0.0.1:0", env=stranger.environment)
        assert refused.returncode != 0
        assert "belongs to node" in refused.stderr
        copy = tmp_path / "copy"
        shutil.copytree(first.folder, copy)
        for environment in (first.environment, CLEAN):
            refused = lnrecur("run", "--home", copy, "--http-listen", "127.0.0.1:0", env=environment)
            assert refused.returncode != 0
            assert "with this seed runs already" in refused.stderr
        elsewhere = {**first.environment, "XDG_DATA_HOME": str(tmp_path / "other-machine")}
        refused = lnrecur("run", "--home", copy, "--http-listen", "127.0.0.1:0", env=elsewhere)
        assert refused.returncode != 0
        assert "serves the messages of this database" in refused.stderr
        assert first.process is not None
        assert first.process.poll() is None
    finally:
        first.kill()


@pytest.mark.parametrize("role", ["worker", "messaging"])
def test_a_role_needs_a_database_that_can_be_shared(role: str, tmp_path: Path) -> None:
    home = Daemon(tmp_path / "home", tmp_path / "money.sqlite").folder
    refused = lnrecur("run", "--home", home, "--role", role, "--http-listen", "127.0.0.1:0", env=CLEAN)
    assert refused.returncode == 2
    assert "set database to a PostgreSQL one" in refused.stderr


def test_daemons_outlive_their_database_and_say_what_is_wrong_meanwhile(tmp_path: Path) -> None:
    with postgres_server() as server:
        merchant, alice = firm(server, tmp_path, "merchant", 1), firm(server, tmp_path, "alice", 1)
        with running(merchant, alice):
            offer = merchant.daemon.ask("offer", "create", "a thing", *OFFER)["offer"]
            subscription = alice.daemon.ask("subscribe", offer, "--via", merchant.daemon.address, "--yes")["id"]
            server.crash()
            told = lnrecur("subscriptions", "list", "--home", alice.daemon.folder, "--json")
            assert told.returncode == 1
            assert json.loads(told.stdout)["error"]["retry"] is True
            assert "the database cannot be used now" in json.loads(told.stdout)["error"]["message"]
            refused = lnrecur("run", "--home", alice.daemon.folder, "--role", "worker", env=alice.daemon.environment)
            assert refused.returncode == 1
            assert refused.stderr.startswith("lnrecur: the database cannot be used now")
            assert "Traceback" not in refused.stderr
            server.start()
            assert_all_paid(merchant, alice, subscription)
            for process in [*merchant.everybody, *alice.everybody]:
                assert process.process is not None
                assert process.process.poll() is None, "nobody had to start it again"
