"""Two daemons as processes, which know each other only through a real LDK node; their money is play money."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from helpers.daemons import Daemon, assert_books_agree
from lnrecur.bolt12 import Offer
from peers.ldk.house import address_of
from peers.ldk.nodes import LdkNodes


@pytest.mark.slow
async def test_two_daemons_that_meet_only_at_an_ldk_node_keep_a_subscription(ldk: LdkNodes, tmp_path: Path) -> None:
    told = await asyncio.to_thread(_three_periods, str(address_of(ldk.payee)), tmp_path)
    assert [path.first_node_id for path in Offer.from_text(told).paths or ()] == [ldk.payee.node_id]


def _three_periods(hub: str, folder: Path) -> str:
    """Answers the offer that was sold."""
    money = folder / "money.sqlite"
    shop, alice = (Daemon(folder / name, money, f'peers = ["{hub}"]') for name in ("shop", "alice"))
    try:
        for daemon in (shop, alice):
            daemon.launch()
        for daemon in (shop, alice):
            daemon.wait_until_up()
            daemon.wait_for_peers(1)
        every = ("--amount", "1000sat", "--every", "1s", "--pay-before", "1s", "--pay-after", "60s", "--payments", "3")
        offer: str = shop.ask("offer", "create", "a thing", *every, "--blinded")["offer"]
        subscription = alice.ask("subscribe", offer, "--yes")["id"]
        alice.wait_for_phase(subscription, "completed", 30)
        assert_books_agree(shop, alice, subscription, 3)
        assert "Traceback" not in alice.log + shop.log
    finally:
        for daemon in (shop, alice):
            daemon.kill()
    return offer
