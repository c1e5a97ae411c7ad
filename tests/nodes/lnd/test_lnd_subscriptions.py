"""Subscriptions of real (regtest) sats: payee and payer are lnrecur daemons, the money is moved by real lnd nodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lnd_daemons import LndDaemon
from lnd_network import Network, wait_until

from helpers.daemons import assert_books_agree

pytestmark = pytest.mark.slow

PRICE_MSAT = 10_000_123
PRICE = ("--amount", f"{PRICE_MSAT}msat", "--every", "3s", "--pay-before", "2s", "--pay-after", "300s")


@pytest.mark.parametrize("payer", ["A", "B"])
def test_three_periods_are_paid_then_cancelled_and_the_channels_agree_with_the_books(
    payer: str, network: Network, tmp_path: Path, report: Callable[[str], None]
) -> None:
    """A pays through B, and what arrives is held. B, where the payee's payment paths begin, pays and lnd claims itself.

    The offer is asked over a blinded path, and the onion messages of both sides are carried by B, a plain lnd with
    onion-msg-relay-all, to which both daemons are connected without any channel.
    """
    began = time.monotonic()
    relay = network["B"].address
    held = 'lnd_hold = "on"' if payer == "A" else 'lnd_hold = "off"'
    merchant = LndDaemon(tmp_path / "merchant", network["C"], held, peers=(relay,))
    alice = LndDaemon(tmp_path / "alice", network[payer], peers=(relay,))
    before = network.balances()
    try:
        for daemon in (merchant, alice):
            daemon.launch()
        for daemon in (merchant, alice):
            daemon.wait_until_up()
        offer = merchant.ask("offer", "create", "ten thousand sat", *PRICE, "--blinded")["offer"]
        subscription = alice.ask("subscribe", offer, "--yes", "--jitter", "0s")["id"]
        wait_until(lambda: alice.subscription(subscription)["payments"] >= 3, f"three payments by {payer}")
        alice.ask("subscriptions", "cancel", subscription)
        ended = alice.wait_for_phase(subscription, "cancelled", 90)
        paid, fees = ended["payments"], ended["fees_msat"]
        assert_books_agree(merchant, alice, subscription, paid)
        moved = {name: after - before[name] for name, after in network.balances().items()}
        assert moved.pop("C") == paid * PRICE_MSAT
        assert moved.pop(payer) == -(paid * PRICE_MSAT + fees)
        assert fees == sum(line["fee_msat"] for line in ended["book"])
        assert moved == ({"B": fees} if payer == "A" else {"A": 0}) | {"D": 0}
        assert (fees > 0) == (payer == "A"), "who forwards to a neighbour pays nobody for it"
        for daemon in (merchant, alice):
            assert "Traceback" not in daemon.log
        took = f"{time.monotonic() - began:.1f} s"
        report(f"{payer} paid C {paid} x {PRICE_MSAT:,} msat in {took}; fees {fees:,} msat; channels and books agree")
    finally:
        for daemon in (merchant, alice):
            daemon.kill()
