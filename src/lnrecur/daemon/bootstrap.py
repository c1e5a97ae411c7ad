"""The only place that picks real parts and starts them."""

from __future__ import annotations

from collections.abc import Callable

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import TcpPeerLink
from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.daemon.config import Home, Settings, listen_list, split_listen
from lnrecur.daemon.files import DaemonLock, read_seed, read_token
from lnrecur.daemon.http.app import build_app
from lnrecur.daemon.http.server import HttpServer, stop_on_signals
from lnrecur.daemon.message_settings import message_router, message_settings
from lnrecur.daemon.money_node import money_node, who_moves_money
from lnrecur.daemon.peer_book import PeerBook
from lnrecur.daemon.peer_settings import link_settings
from lnrecur.daemon.rate_settings import rate_source
from lnrecur.ports import PeerAddress
from lnrecur.service.addresses import parse_host_and_port
from lnrecur.service.assembly import Parts, Services
from lnrecur.service.keyring import Keyring


async def run_daemon(home: Home, settings: Settings, tell: Callable[[str], None]) -> None:
    """Run until SIGTERM, SIGINT or a failure that no waiting mends. `tell` gets lines for a person.

    Raises:
        LnrecurError: the daemon cannot start, or cannot go on.
    """
    keyring = Keyring.derive(read_seed(home))
    token = read_token(home)
    lock = DaemonLock(home)
    clock, entropy = SystemClock(), SystemEntropy()
    link = TcpPeerLink(keyring.identity, entropy, link_settings(settings))
    try:
        async with money_node(settings, keyring.money, clock) as node:
            money = await who_moves_money(node)
            router = message_router(settings)
            manager = open_sqlite_manager(home.database)
            services = Services(
                keyring,
                Parts(
                    manager, node, link, router, clock, entropy, settings.chain_hash,
                    rates=rate_source(settings, clock), messages=message_settings(settings),
                ),
            )  # fmt: skip
            peer = await _listen_for_peers(link, settings)
            peers = PeerBook(link, router, settings.peer_addresses, home.peers)
            link.start()
            stop = stop_on_signals()
            app = build_app(services, settings, token, peer, stop.is_set, peers)
            server = HttpServer(app, settings.http_listen)
            lock.tell(http=server.address, peer=peer, node_id=keyring.node_id.hex())
            tell(f"lnrecur runs: {money}, HTTP on {server.address}, peers on {peer or 'nothing (not listening)'}")
            await server.serve_while(services.run(), stop)
    finally:
        await link.close()
        lock.release()


async def _listen_for_peers(link: TcpPeerLink, settings: Settings) -> str | None:
    """Our address as peers write it, or None if we listen nowhere."""
    bound = []
    for text in listen_list(settings.peer_listen):
        host, port = split_listen(text, "peer_listen")
        bound.append((host, await link.listen(host, port)))
    if settings.peer_address:
        bound.insert(0, parse_host_and_port(settings.peer_address))
    return str(PeerAddress(link.node_id, *bound[0])) if bound else None
