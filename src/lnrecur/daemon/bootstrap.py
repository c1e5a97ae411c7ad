"""The only place that picks real parts and starts them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from typing import Final

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import TcpPeerLink
from lnrecur.adapters.no_link import NoPeerLink
from lnrecur.daemon.config import Home, ProcessRole, Settings, listen_list, split_listen
from lnrecur.daemon.files import DaemonLock, SeedLock, read_seed, read_token
from lnrecur.daemon.http.app import build_app
from lnrecur.daemon.http.server import HttpServer, run_until_stopped, stop_on_signals
from lnrecur.daemon.message_settings import message_router, message_settings
from lnrecur.daemon.money_node import money_node, who_moves_money
from lnrecur.daemon.peer_book import PeerBook
from lnrecur.daemon.peer_settings import link_settings
from lnrecur.daemon.rate_settings import rate_source
from lnrecur.daemon.store import Store, open_store
from lnrecur.ports import MessageRouter, MoneyNode, PeerAddress, PeerLink
from lnrecur.service.addresses import parse_host_and_port
from lnrecur.service.assembly import Parts, Services
from lnrecur.service.keyring import Keyring
from lnrecur.testing.fault_points import VARIABLE as FAULTS
from lnrecur.testing.fault_points import with_fault_points

WATCH_NODE_S: Final = 30
"""How often the money node is asked whether it can be used, while nothing fails."""


async def run_daemon(home: Home, settings: Settings, role: ProcessRole, tell: Callable[[str], None]) -> None:
    """Run until SIGTERM, SIGINT or a failure that no waiting mends. `tell` gets lines for a person.

    Raises:
        LnrecurError: the daemon cannot start, or cannot go on.
    """
    keyring = Keyring.derive(read_seed(home))
    if role is ProcessRole.WORKER:
        await _run_worker(home, settings, keyring, tell)
    else:
        await _run_with_peers(home, settings, role, keyring, tell)


async def _run_worker(home: Home, settings: Settings, keyring: Keyring, tell: Callable[[str], None]) -> None:
    store = open_store(home, settings, ProcessRole.WORKER)
    with closing(store.manager):
        async with money_node(settings, keyring.money, SystemClock()) as node:
            money = await who_moves_money(node, tell)
            services = Services(keyring, _parts(store, node, NoPeerLink(), message_router(settings), settings))
            await services.attendance.join()
            stop = stop_on_signals()
            tell(f"lnrecur works: {money}, as {store.seat.place}")
            await run_until_stopped(services.run(), stop)
            services.attendance.leave()


async def _run_with_peers(
    home: Home, settings: Settings, role: ProcessRole, keyring: Keyring, tell: Callable[[str], None]
) -> None:
    token = read_token(home)
    lock = DaemonLock(home)
    link = TcpPeerLink(keyring.identity, SystemEntropy(), link_settings(settings))
    try:
        with SeedLock(keyring.node_id), closing((store := open_store(home, settings, role)).manager):
            async with money_node(settings, keyring.money, SystemClock()) as node:
                money = await who_moves_money(node, tell)
                router = message_router(settings)
                parts = _parts(store, node, link, router, settings)
                services = Services(keyring, parts)
                await services.attendance.join()
                peer = await _listen_for_peers(link, settings)
                peers = PeerBook(link, router, settings.peer_addresses, home.peers)
                link.start()
                stop = stop_on_signals()
                app = build_app(services, settings, token, peer, stop.is_set, peers)
                server = HttpServer(app, settings.http_listen)
                lock.tell(http=server.address, peer=peer, node_id=keyring.node_id.hex())
                where = f"HTTP on {server.address}, peers on {peer or 'nothing (not listening)'}"
                tell(f"lnrecur runs: {money}, {where}{_told_of(role)}")
                await server.serve_while(services.run(), stop)
                services.attendance.leave()
    finally:
        await link.close()
        lock.release()


def _told_of(role: ProcessRole) -> str:
    return "; messages only: payments are made by workers" if role is ProcessRole.MESSAGING else ""


def _parts(store: Store, node: MoneyNode, link: PeerLink, router: MessageRouter, settings: Settings) -> Parts:
    clock = SystemClock()
    parts = Parts(
        manager=store.manager,
        node=node,
        link=link,
        router=router,
        clock=clock,
        entropy=SystemEntropy(),
        chain=settings.chain_hash,
        rates=rate_source(settings, clock),
        messages=message_settings(settings),
        seat=store.seat,
        beats=store.beats,
        doorbell=store.doorbell,
        watch_node_s=WATCH_NODE_S,
    )
    return with_fault_points(parts, os.environ.get(FAULTS))


async def _listen_for_peers(link: TcpPeerLink, settings: Settings) -> str | None:
    """Our address as peers write it, or None if we listen nowhere."""
    bound = []
    for text in listen_list(settings.peer_listen):
        host, port = split_listen(text, "peer_listen")
        bound.append((host, await link.listen(host, port)))
    if settings.peer_address:
        bound.insert(0, parse_host_and_port(settings.peer_address))
    return str(PeerAddress(link.node_id, *bound[0])) if bound else None
