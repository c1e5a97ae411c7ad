"""kill -9 at random moments: daemons that come back go on where they were, and no period is paid twice."""

import random
import time
from pathlib import Path

import pytest

from helpers.daemons import Daemon, assert_books_agree, wait_for

pytestmark = pytest.mark.slow

PAYMENTS = 8
KILLS = 6
WINDOW = ("--pay-before", "1s", "--pay-after", "90s")
OFFER = ("--amount", "1000sat", "--every", "1s", "--payments", str(PAYMENTS), *WINDOW)


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_is_paid_exactly_once_however_often_both_sides_are_killed(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    money = tmp_path / "money.sqlite"
    merchant, alice = Daemon(tmp_path / "merchant", money), Daemon(tmp_path / "alice", money)
    try:
        for daemon in (merchant, alice):
            daemon.start()
        offer = merchant.ask("offer", "create", "a thing", *OFFER, "--blinded")["offer"]
        subscription = alice.ask("subscribe", offer, "--via", merchant.address, "--yes")["id"]
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 1.2))
            victim = chance.choice((merchant, alice))
            victim.kill()
            victim.start()
        alice.wait_for_phase(subscription, "completed", 90)

        def books_closed() -> bool | None:
            [theirs] = merchant.sold()
            return True if theirs["phase"] == "completed" else None

        wait_for(books_closed, 20, lambda: merchant.log[-3000:])
        assert_books_agree(merchant, alice, subscription, PAYMENTS)
        for daemon in (merchant, alice):
            assert "Traceback" not in daemon.log
    finally:
        for daemon in (merchant, alice):
            daemon.kill()
