"""Where a daemon listens for peers, and what it says of it."""

import pytest

from helpers.links import ALICE, BOB, HOST, open_link
from lnrecur.adapters.link import CannotListen
from lnrecur.daemon.config import Settings
from lnrecur.daemon.speaking import listen_for_peers
from lnrecur.ports import PeerAddress
from lnrecur.service.addresses import parse_address


async def test_several_addresses_are_listened_at_and_the_first_is_told() -> None:
    async with open_link(BOB) as (bob, _), open_link(ALICE) as (alice, _):
        told = await listen_for_peers(bob, Settings(peer_listen=f"[::1]:0, {HOST}:0"))
        assert told is not None
        address = parse_address(told)
        assert (address.node_id, address.host) == (bob.node_id, "::1")
        ports = {server.sockets[0].getsockname()[:2] for server in bob._servers}
        assert len(ports) == 2
        for host, port in ports:
            await alice.reach(PeerAddress(bob.node_id, host, port))


@pytest.mark.parametrize("listen", ["127.0.0.1:0", ""])
async def test_an_address_outside_is_told_instead(listen: str) -> None:
    async with open_link(BOB) as (bob, _):
        settings = Settings(peer_listen=listen, peer_address="shop.example")
        assert await listen_for_peers(bob, settings) == f"{bob.node_id.hex()}@shop.example:9737"


async def test_a_node_that_listens_nowhere_tells_nothing() -> None:
    async with open_link(BOB) as (bob, _):
        assert await listen_for_peers(bob, Settings(peer_listen="")) is None


async def test_an_address_that_is_not_ours_is_told_as_such() -> None:
    async with open_link(BOB) as (bob, _):
        with pytest.raises(CannotListen, match=r"192\.0\.2\.1:9737"):
            await listen_for_peers(bob, Settings(peer_listen="192.0.2.1:9737"))
