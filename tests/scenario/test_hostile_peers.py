"""A real daemon under attack: it hangs up or slows down, honest peers notice nothing, memory stays flat."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.daemons import Daemon
from helpers.hostile import ATTACKS, Honest, Met, honest_peer, memory_kib, under_attack
from lnrecur.bolt12.offer import Offer
from lnrecur.ports import PeerAddress
from lnrecur.service.addresses import parse_address

pytestmark = pytest.mark.slow
SECONDS = 3.0
GROWTH_KIB_MAX = 48 * 1024
"""What all the limits together may cost a daemon that is attacked by a few hundred connections; its bound is higher."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    daemon = Daemon(folder / "shop", folder / "money.sqlite", "peers_inbound_max = 24")
    daemon.start()
    yield daemon
    daemon.terminate()


@pytest.fixture(scope="module")
def offer(shop: Daemon) -> Offer:
    return Offer.from_text(shop.ask("offer", "create", "coffee", "--amount", "1000sat", "--every", "1d")["offer"])


async def _ask_for(seconds: float, honest: Honest) -> None:
    """One question after the other, no faster than answers are paced."""
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        await honest.ask()
        await asyncio.sleep(0.3)


def _pid(shop: Daemon) -> int:
    assert shop.process is not None
    return shop.process.pid


async def test_every_attack_at_once_keeps_no_honest_peer_from_its_invoices(shop: Daemon, offer: Offer) -> None:
    address: PeerAddress = parse_address(shop.address)
    async with honest_peer(address, offer) as early:
        await _ask_for(0.5, early)
        before = memory_kib(_pid(shop))
        async with under_attack(address) as met:
            await asyncio.sleep(0.5)
            async with honest_peer(address, offer) as late:  # finds a place although others took all there were
                await asyncio.gather(_ask_for(SECONDS, early), _ask_for(SECONDS, late))
                during = memory_kib(_pid(shop))
        await _ask_for(0.5, early)
        after = memory_kib(_pid(shop))
    assert early.unanswered == late.unanswered == 0
    assert len(early.latencies_ms) > 2
    assert len(late.latencies_ms) > 2
    assert max(during, after) - before < GROWTH_KIB_MAX, (before, during, after)
    assert "Traceback" not in shop.log
    _assert_each_was_stopped(met)
    totals = shop.ask("peers", "list")["totals"]
    handled = totals["messages_received"] - totals["messages_dropped"]
    assert handled < 2_000, "a flood is to be slowed down, however often it comes again"
    assert totals["messages_dropped"] > 100
    assert totals["connections_refused"] > 0


def _assert_each_was_stopped(met: dict[str, Met]) -> None:
    assert met.keys() == ATTACKS.keys()
    for name in ("garbage", "too_long", "wrong_mac", "onion_flood", "half_a_handshake", "many_connections"):
        assert met[name].ended > 0, name
    for name in ("garbage", "too_long", "wrong_mac"):
        assert met[name].ended >= met[name].connections - 1, name
    assert met["half_a_handshake"].connections - met["half_a_handshake"].ended <= 32 + 1


@pytest.mark.parametrize("name", ["onion_flood", "never_reads", "many_connections"])
async def test_when_an_attack_is_over_its_memory_is_free(shop: Daemon, offer: Offer, name: str) -> None:
    address = parse_address(shop.address)
    async with honest_peer(address, offer) as honest:
        sizes = []
        for _ in range(3):
            async with under_attack(address, name) as met:
                await _ask_for(0.5, honest)
            sizes.append(memory_kib(_pid(shop)))
        assert honest.unanswered == 0
        assert met[name].connections > 0
        assert max(sizes) - min(sizes) < 16 * 1024, sizes
