"""kill -9 in the middle of a real payment: of the payee's lnd, the payer's lnd, and either daemon. All is paid once.

The moment is not left to chance: the payee's daemon is stopped (SIGSTOP) while its lnd holds a payment that it has not
claimed, so that there is all the time in the world to kill somebody.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lnd_daemons import LndDaemon
from lnd_network import Lnd, Network, wait_until

from helpers.daemons import assert_books_agree

pytestmark = pytest.mark.slow

PRICE_MSAT = 5_000_000
WINDOW = ("--pay-before", "2s", "--pay-after", "900s")
OFFER = ("--amount", f"{PRICE_MSAT}msat", "--every", "2s", "--payments", "6", *WINDOW)


def stop(daemon: LndDaemon) -> None:
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGSTOP)


def go_on(daemon: LndDaemon) -> None:
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGCONT)


def held_by(lnd: Lnd) -> list[str]:
    pending = lnd.get("/v1/invoices", pending_only="true", num_max_invoices="1000")["invoices"]
    return [one["r_hash"] for one in pending if one["state"] == "ACCEPTED" and "kill" in one["memo"]]


@contextmanager
def a_payment_held(merchant: LndDaemon) -> Iterator[str]:
    """The payee's daemon stands still, and its lnd holds a payment; afterwards the daemon goes on."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        if held_by(merchant.lnd):
            stop(merchant)
            found = held_by(merchant.lnd)  # it may have been claimed in the very moment
            if found:
                yield found[0]
                go_on(merchant)
                return
            go_on(merchant)
        time.sleep(0.01)
    raise AssertionError("no payment was caught while it was held")


def test_everything_is_paid_exactly_once_whoever_is_killed(
    network: Network, tmp_path: Path, report: Callable[[str], None]
) -> None:
    began = time.monotonic()
    relay = network["B"].address
    merchant = LndDaemon(tmp_path / "merchant", network["C"], peers=(relay,))
    alice = LndDaemon(tmp_path / "alice", network["A"], peers=(relay,))
    before = network.balances()
    try:
        for daemon in (merchant, alice):
            daemon.launch()
        for daemon in (merchant, alice):
            daemon.wait_until_up()
        offer = merchant.ask("offer", "create", "kill", *OFFER, "--blinded")["offer"]
        subscription = alice.ask("subscribe", offer, "--yes", "--jitter", "0s")["id"]

        with a_payment_held(merchant):  # the payee's lnd dies between claimable and claim
            network["C"].kill()
        time.sleep(2)  # the daemon meets a node that is not there
        network["C"].restart()

        with a_payment_held(merchant):  # the payer's lnd dies while it pays
            network["A"].kill()
            network["A"].restart()

        with a_payment_held(merchant):  # the payer's daemon dies while its lnd pays
            alice.kill()
            alice.start()

        with a_payment_held(merchant):  # the payee's daemon dies before it has claimed
            merchant.kill()
            merchant.start()

        ended = alice.wait_for_phase(subscription, "completed", 300)
        assert_books_agree(merchant, alice, subscription, 6)
        moved = {name: after - before[name] for name, after in network.balances().items()}
        assert moved["C"] == 6 * PRICE_MSAT
        assert moved["A"] == -(6 * PRICE_MSAT + ended["fees_msat"])
        assert moved["B"] == ended["fees_msat"]
        for daemon in (merchant, alice):
            assert "Traceback" not in daemon.log
            names = [event["name"] for event in daemon.events("node.unavailable") + daemon.events("node.available")]
            assert {"node.unavailable", "node.available"} == set(names), "its lnd was killed, and came back"
        report(f"four kills, six payments, each once, in {time.monotonic() - began:.0f} s; channels and books agree")
    except BaseException:
        print("ALICE", alice.log[-6000:], "MERCHANT", merchant.log[-6000:])
        raise
    finally:
        for daemon in (merchant, alice):
            daemon.kill()
        for name in "AC":
            if network[name].process is None:
                network[name].restart()


def test_what_lnd_claims_while_the_daemon_is_dead_is_booked_when_it_is_back(
    network: Network, tmp_path: Path, report: Callable[[str], None]
) -> None:
    """B, over which the payment goes, stands still until the payee's daemon is dead; then C's lnd claims it alone."""
    merchant = LndDaemon(tmp_path / "merchant", network["C"], 'lnd_hold = "off"')
    alice = LndDaemon(tmp_path / "alice", network["A"])
    before = network.balances()
    forwarder = network["B"].process
    assert forwarder is not None
    try:
        for daemon in (merchant, alice):
            daemon.launch()
        for daemon in (merchant, alice):
            daemon.wait_until_up()
        terms = ("--amount", f"{PRICE_MSAT}msat", "--every", "1day", "--payments", "2")
        offer = merchant.ask("offer", "create", "claimed alone", *terms)["offer"]
        forwarder.process.send_signal(signal.SIGSTOP)
        subscription = alice.ask("subscribe", offer, "--via", merchant.address, "--yes")["id"]
        wait_until(lambda: alice.events("payment.started"), "the payment to begin", 60)
        merchant.kill()
        forwarder.process.send_signal(signal.SIGCONT)
        wait_until(lambda: alice.subscription(subscription)["payments"] == 1, "the payment", 60)
        merchant.start()
        assert_books_agree(merchant, alice, subscription, 1)
        assert network.balances()["C"] == before["C"] + PRICE_MSAT
        assert [event["data"]["counter"] for event in merchant.events("subscription.created")] == [0]
        report("paid while the payee's daemon was dead, and claimed by lnd: booked once it was back")
    except BaseException:
        print("ALICE", alice.log[-6000:], "MERCHANT", merchant.log[-6000:])
        raise
    finally:
        forwarder.process.send_signal(signal.SIGCONT)
        for daemon in (merchant, alice):
            daemon.kill()
