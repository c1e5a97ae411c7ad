"""Dialling over IPv4 and IPv6, and through a SOCKS5 proxy as Tor is one."""

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest

from helpers.links import ALICE, BOB, HOST, SETTINGS, address_of, onion_message, open_link, until
from helpers.socks_server import SocksServer, socks_server
from lnrecur.adapters.link import LinkSettings, ProxySettings
from lnrecur.ports import PeerAddress, PeerUnreachable
from lnrecur.values import NodeId

HIDDEN = "exampleexampleexampleexampleexampleexampleexampleexample.onion"
TOR = {HIDDEN: HOST, "payee.example": HOST}


def _through(proxy: SocksServer, *, everything: bool = False, seconds: float = 30.0) -> LinkSettings:
    return replace(SETTINGS, proxy=ProxySettings(HOST, proxy.port, everything, seconds))


@pytest.fixture
def no_dns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that this process asks to have resolved, instead of an answer."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: Any, port: Any, family: int = 0, kind: int = 0, proto: int = 0, flags: int = 0) -> Any:
        try:
            return real(host, port, family, kind, proto, flags | socket.AI_NUMERICHOST)
        except socket.gaierror:
            asked.append(host.decode() if isinstance(host, bytes) else str(host))
            raise

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


async def test_an_ipv6_address_is_listened_at_and_dialled() -> None:
    async with open_link(ALICE) as (alice, _), open_link(BOB) as (bob, arrived):
        address = PeerAddress(bob.node_id, "::1", await bob.listen("::1", 0))
        assert str(address).endswith(f"@[::1]:{address.port}")
        await alice.reach(address)
        await alice.send(bob.node_id, onion_message(1))
        await until(lambda: len(arrived) == 1)
        assert bob.statuses()[0].where is not None
        assert bob.statuses()[0].where.startswith("[::1]:")


async def test_one_link_listens_at_several_addresses() -> None:
    async with open_link(BOB) as (bob, _):
        ports = [("::1", await bob.listen("::1", 0)), (HOST, await bob.listen(HOST, 0))]
        for host, port in ports:
            async with open_link(ALICE) as (alice, _):
                await alice.reach(PeerAddress(bob.node_id, host, port))


async def test_an_onion_service_is_dialled_through_the_proxy_which_alone_learns_its_name(no_dns: list[str]) -> None:
    async with open_link(BOB) as (bob, arrived), socks_server(TOR) as proxy:
        address = replace(await address_of(bob), host=HIDDEN)
        async with open_link(ALICE, _through(proxy)) as (alice, back):
            await alice.reach(address)
            await alice.send(bob.node_id, onion_message(1))
            await until(lambda: len(arrived) == 1)
            await bob.send(alice.node_id, onion_message(2))
            await until(lambda: len(back) == 1)
            assert alice.statuses()[0].where == f"{HIDDEN}:{address.port}"
        assert proxy.asked == [("name", HIDDEN, address.port)]
        assert no_dns == []


async def test_other_addresses_go_directly_unless_everything_is_to_go_through_the_proxy(no_dns: list[str]) -> None:
    async with open_link(BOB) as (bob, _), socks_server(TOR) as proxy:
        address = await address_of(bob)
        async with open_link(ALICE, _through(proxy)) as (alice, _):
            await alice.reach(address)
            assert proxy.asked == []
        async with open_link(ALICE, _through(proxy, everything=True)) as (alice, _):
            await alice.reach(replace(address, host="payee.example"))
        async with open_link(ALICE, _through(proxy, everything=True)) as (alice, _):
            await alice.reach(address)
        assert proxy.asked == [("name", "payee.example", address.port), ("ipv4", HOST, address.port)]
        assert no_dns == []


async def test_a_name_that_goes_directly_is_resolved_here(no_dns: list[str]) -> None:
    async with open_link(ALICE) as (alice, _):
        with pytest.raises(PeerUnreachable, match=r"payee\.example"):
            await alice.reach(PeerAddress(NodeId(BOB.point), "payee.example", 1))
    assert no_dns == ["payee.example"]


async def test_an_ipv6_address_is_told_to_the_proxy_as_one() -> None:
    async with open_link(BOB) as (bob, _), socks_server({(bytes(15) + b"\1").hex(): "::1"}) as proxy:
        address = PeerAddress(bob.node_id, "::1", await bob.listen("::1", 0))
        async with open_link(ALICE, _through(proxy, everything=True)) as (alice, _):
            await alice.reach(address)
        assert proxy.asked == [("ipv6", (bytes(15) + b"\1").hex(), address.port)]


@pytest.mark.parametrize("host", [HIDDEN, HIDDEN.upper(), HIDDEN + "."])
async def test_an_onion_service_without_a_proxy_is_unreachable_with_the_way_out(host: str, no_dns: list[str]) -> None:
    async with open_link(ALICE) as (alice, _):
        with pytest.raises(PeerUnreachable, match=r"through Tor only: set socks5_proxy") as failure:
            await alice.reach(PeerAddress(NodeId(BOB.point), host, 9735))
    assert host in str(failure.value)
    assert no_dns == []


async def test_a_proxy_that_refuses_says_why() -> None:
    async with socks_server() as proxy, open_link(ALICE, _through(proxy)) as (alice, _):
        proxy.refuse_with = 4
        with pytest.raises(PeerUnreachable, match=rf"Host unreachable through the proxy 127\.0\.0\.1:{proxy.port}"):
            await alice.reach(PeerAddress(NodeId(BOB.point), HIDDEN, 9735))


async def test_a_proxy_that_is_not_there_is_named() -> None:
    async with socks_server() as proxy:
        settings = _through(proxy)
    async with open_link(ALICE, settings) as (alice, _):
        with pytest.raises(PeerUnreachable, match=rf"proxy 127\.0\.0\.1:{proxy.port}"):
            await alice.reach(PeerAddress(NodeId(BOB.point), HIDDEN, 9735))


async def test_a_proxy_that_says_nothing_is_given_up() -> None:
    async with socks_server() as proxy, open_link(ALICE, _through(proxy, seconds=0.1)) as (alice, _):
        proxy.silent = True
        with pytest.raises(PeerUnreachable, match=r"no connection within 0\.1 s through the proxy"):
            await alice.reach(PeerAddress(NodeId(BOB.point), HIDDEN, 9735))


async def test_something_that_is_no_proxy_is_told_as_such() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    server = await asyncio.start_server(talk, HOST, 0)
    async with server:
        settings = replace(SETTINGS, proxy=ProxySettings(HOST, server.sockets[0].getsockname()[1]))
        async with open_link(ALICE, settings) as (alice, _):
            with pytest.raises(PeerUnreachable, match="proxy"):
                await alice.reach(PeerAddress(NodeId(BOB.point), HIDDEN, 9735))


async def test_a_name_no_proxy_could_be_asked_for_is_unreachable() -> None:
    async with socks_server() as proxy, open_link(ALICE, _through(proxy, everything=True)) as (alice, _):
        for host in ("a..b", "x" * 300 + ".example"):
            with pytest.raises(PeerUnreachable, match="proxy"):
                await alice.reach(PeerAddress(NodeId(BOB.point), host, 9735))
