"""A payer that cannot pay: the right event, no payment, and the period is paid once the trouble is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lnd_daemons import LndDaemon
from lnd_network import CHANNEL_SAT, Lnd, Network, wait_until

from helpers.daemons import assert_books_agree

pytestmark = pytest.mark.slow

PRICE_MSAT = 7_000_000
OFFER = ("--amount", f"{PRICE_MSAT}msat", "--every", "1min", "--payments", "2", "--pay-after", "900s")
SOON = "first=1s,factor=1,cap=1s,jitter=0"


@contextmanager
def subscribed(network: Network, lnd: Lnd, folder: Path, *limits: str) -> Iterator[tuple[LndDaemon, LndDaemon, str]]:
    """A subscription whose payer sits on this lnd; the two daemons reach each other directly."""
    merchant, alice = LndDaemon(folder / "merchant", network["C"]), LndDaemon(folder / "alice", lnd)
    try:
        for daemon in (merchant, alice):
            daemon.launch()
        for daemon in (merchant, alice):
            daemon.wait_until_up()
        offer = merchant.ask("offer", "create", "trouble", *OFFER)["offer"]
        flags = ("--via", merchant.address, "--payment-retry", SOON, "--yes", "--jitter", "0s", *limits)
        yield merchant, alice, alice.ask("subscribe", offer, *flags)["id"]
    except BaseException:
        print("ALICE", alice.log[-4000:], "MERCHANT", merchant.log[-4000:])
        raise
    finally:
        for daemon in (merchant, alice):
            daemon.kill()


def failed_for(alice: LndDaemon, subscription: str) -> str:
    """The reason of the first failed payment."""

    def reason() -> str | None:
        told = [event for event in alice.events("subscription.payment_failed") if event["subscription"] == subscription]
        return str(told[0]["data"]["why"]) if told else None

    return wait_until(reason, "a failed payment").partition("(")[2].partition(")")[0]


def paid_once(alice: LndDaemon, merchant: LndDaemon, subscription: str, network: Network, before: int) -> None:
    wait_until(lambda: alice.subscription(subscription)["payments"] == 1, "the payment")
    assert_books_agree(merchant, alice, subscription, 1)
    assert network.balances()["C"] == before + PRICE_MSAT
    assert alice.subscription(subscription)["problem"] is None


def test_a_fee_limit_that_is_too_low_is_told_and_a_higher_one_pays(
    network: Network, tmp_path: Path, report: Callable[[str], None]
) -> None:
    before = network.balances()["C"]
    with subscribed(network, network["A"], tmp_path, "--max-fee", "500msat") as (merchant, alice, subscription):
        assert failed_for(alice, subscription) == "fee_limit"
        assert network.balances()["C"] == before
        assert alice.subscription(subscription)["payments"] == 0
        alice.ask("subscriptions", "amend", subscription, "--max-fee", "5sat")
        paid_once(alice, merchant, subscription, network, before)
    report("too low a fee limit: fee_limit, nothing paid; paid after it was raised")


def test_a_payer_without_coins_is_told_and_pays_once_it_has_some(
    network: Network, tmp_path: Path, report: Callable[[str], None]
) -> None:
    """D has no channel at first, then one that is not announced (what comes in over it: test_lnd_money.py)."""
    before = network.balances()["C"]
    assert not network["D"].channels()
    with subscribed(network, network["D"], tmp_path) as (merchant, alice, subscription):
        assert failed_for(alice, subscription) == "insufficient_funds"
        [told] = alice.events("subscription.insufficient_funds")
        assert told["data"]["amount_msat"] == PRICE_MSAT
        assert network.balances()["C"] == before
        network["B"].open_channel(network["D"], push_sat=CHANNEL_SAT // 2, private=True)
        network.btcd.generate(3)
        paid_once(alice, merchant, subscription, network, before)
    report("no coins: insufficient_funds, nothing paid; paid after a channel was opened")


def test_a_payer_without_a_route_is_told_and_pays_once_there_is_one(
    network: Network, tmp_path: Path, report: Callable[[str], None]
) -> None:
    """B, over which the only way leads, is down."""
    before = network.balances()["C"]
    network["B"].stop()
    try:
        with subscribed(network, network["A"], tmp_path) as (merchant, alice, subscription):
            assert failed_for(alice, subscription) == "no_route"
            assert alice.subscription(subscription)["payments"] == 0
            network["B"].restart()
            paid_once(alice, merchant, subscription, network, before)
    finally:
        if network["B"].process is None:
            network["B"].restart()
    report("no route: no_route, nothing paid; paid after there was one")
