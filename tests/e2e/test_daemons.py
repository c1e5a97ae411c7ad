"""Two daemons as processes, over TCP and SQLite, driven by the command: the straight road and its neighbourhood."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.daemons import Daemon, assert_books_agree, lnrecur, wait_for

pytestmark = pytest.mark.slow

EVERY = ("--amount", "1000sat", "--every", "1s", "--pay-before", "1s", "--pay-after", "60s")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Daemon, Daemon]]:
    """A merchant and a subscriber, both up."""
    money = tmp_path / "money.sqlite"
    daemons = Daemon(tmp_path / "merchant", money), Daemon(tmp_path / "alice", money)
    try:
        for daemon in daemons:
            daemon.launch()
        for daemon in daemons:
            daemon.wait_until_up()
        yield daemons
    finally:
        for daemon in daemons:
            daemon.kill()


def test_subscriptions_run_from_offer_to_last_payment_over_the_issuers_id_and_over_a_blinded_path(
    pair: tuple[Daemon, Daemon],
) -> None:
    merchant, alice = pair
    running = {}
    for name, flags in {"direct": ("--dialect", "cln"), "blinded": ("--blinded",)}.items():
        offer = merchant.ask("offer", "create", f"a {name} thing", *EVERY, "--payments", "3", *flags)
        assert offer["peer_address"] == merchant.address
        running[name] = alice.ask("subscribe", offer["offer"], "--via", merchant.address, "--yes")["id"]
    for subscription in running.values():
        alice.wait_for_phase(subscription, "completed", 30)
        assert_books_agree(merchant, alice, subscription, 3)
        shown = alice.ask("subscriptions", "show", subscription[:16])
        [listed] = [one for one in alice.ask("subscriptions", "list")["subscriptions"] if one["id"] == subscription]
        assert len(shown["book"]) == listed["payments"] == 3
    assert len(merchant.ask("offer", "list")["offers"]) == 2
    assert "Traceback" not in alice.log + merchant.log


def test_a_blinded_offer_begins_at_the_kept_peer_that_relays_and_payer_and_payee_never_meet(tmp_path: Path) -> None:
    money = tmp_path / "money.sqlite"
    hub = Daemon(tmp_path / "hub", money, 'relay = "on"')
    daemons = [hub]
    try:
        hub.start()
        merchant, alice = (Daemon(tmp_path / name, money, f'peers = ["{hub.address}"]') for name in ("shop", "alice"))
        daemons += [merchant, alice]
        for daemon in (merchant, alice):
            daemon.launch()
        for daemon in (merchant, alice):
            daemon.wait_until_up()
            daemon.wait_for_peers(1)
        offer = merchant.ask("offer", "create", "a thing", *EVERY, "--payments", "3", "--blinded")
        assert (offer["introductions"], offer["hides_node"], offer["via"]) == ([hub.node_id], True, [hub.address])
        chosen = merchant.ask("offer", "create", "another thing", *EVERY, "--via-peer", hub.node_id)
        assert (chosen["introductions"], chosen["hides_node"]) == ([hub.node_id], True)
        shown = lnrecur("offer", "show", offer["offer_id"], "--home", merchant.folder).stdout
        assert f"a blinded path that begins at the peer {hub.node_id}" in shown
        assert merchant.node_id not in shown
        subscription = alice.ask("subscribe", offer["offer"], "--yes")["id"]
        alice.wait_for_phase(subscription, "completed", 30)
        assert_books_agree(merchant, alice, subscription, 3)
        assert alice.info()["peers"] == merchant.info()["peers"] == [hub.node_id]
        assert hub.info()["relay"]["passed_on"] >= 6
    finally:
        for daemon in daemons:
            daemon.kill()


def test_a_cancel_is_told_and_a_small_mandate_asks_first(pair: tuple[Daemon, Daemon]) -> None:
    merchant, alice = pair
    offer = merchant.ask("offer", "create", "a thing", *EVERY, "--payments", "50")["offer"]
    small = alice.ask("subscribe", offer, "--via", merchant.address, "--max-per-period", "999sat", "--yes")["id"]
    enough = alice.ask("subscribe", offer, "--via", merchant.address, "--yes")["id"]
    wait_for(lambda: alice.subscription(enough)["payments"] or None, 20, lambda: alice.log)
    assert alice.ask("subscriptions", "cancel", enough)["phase"] in ("cancelling", "paying")
    ended = alice.wait_for_phase(enough, "cancelled", 20)
    assert alice.wait_for_phase(small, "needs_approval", 5)["awaiting_msat"] == 1_000_000

    def told() -> dict[str, object] | None:
        [theirs] = merchant.sold()
        return theirs if theirs["phase"] == "cancelled" else None

    wait_for(told, 10, lambda: merchant.log)
    assert_books_agree(merchant, alice, enough, ended["payments"])
    alice.ask("subscriptions", "approve", small, "--yes")
    wait_for(lambda: alice.subscription(small)["payments"] or None, 20, lambda: alice.log)


def test_a_daemon_whose_peer_comes_up_later_pays_then(pair: tuple[Daemon, Daemon]) -> None:
    merchant, alice = pair
    offer = merchant.ask("offer", "create", "a thing", *EVERY, "--payments", "2")["offer"]
    assert merchant.terminate()[0] == 0
    subscription = alice.ask("subscribe", offer, "--via", merchant.address, "--yes")["id"]
    problem = wait_for(lambda: alice.subscription(subscription)["problem"], 10, lambda: alice.log)
    assert "no way to" in problem
    assert f"{merchant.address}: connection refused" in problem, "it says what was tried, and what came of it"
    merchant.start()
    alice.wait_for_phase(subscription, "completed", 30)
    assert_books_agree(merchant, alice, subscription, 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_asked_to_stop_does_so_at_once_in_the_middle_of_its_work(
    pair: tuple[Daemon, Daemon], number: signal.Signals
) -> None:
    merchant, alice = pair
    offer = merchant.ask("offer", "create", "a thing", *EVERY)["offer"]
    alice.ask("subscribe", offer, "--via", merchant.address, "--yes")
    time.sleep(1)
    for daemon in (merchant, alice):
        code, seconds = daemon.terminate(number)
        assert code == 0, daemon.log
        assert seconds < 5
        assert "Traceback" not in daemon.log
        assert "was never" not in daemon.log


def test_a_second_daemon_in_the_same_home_is_refused_with_one_line(pair: tuple[Daemon, Daemon]) -> None:
    merchant, _ = pair
    second = lnrecur("run", "--home", merchant.folder)
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr == f"lnrecur: a daemon runs in {merchant.folder} already\n"
    assert merchant.ask("offer", "list") == {"offers": []}, "the first one goes on"
