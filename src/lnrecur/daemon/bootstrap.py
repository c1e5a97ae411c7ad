"""The only place that picks real parts and starts them."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs
import uvicorn

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.link import LinkSettings, TcpPeerLink
from lnrecur.adapters.nodes.playmoney import PlayMoneyNode
from lnrecur.adapters.router import StaticRouter
from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.daemon.config import APP, Home, Settings, split_listen
from lnrecur.daemon.files import DaemonLock, read_seed, read_token
from lnrecur.daemon.http.app import build_app
from lnrecur.errors import Fault, LnrecurError
from lnrecur.messaging.peer import PeerSettings
from lnrecur.service.assembly import Parts, Services
from lnrecur.service.keyring import Keyring

_LOG = logging.getLogger("lnrecur.daemon")


class CannotServe(LnrecurError):
    """The HTTP port is taken or not ours to take."""

    fault = Fault.ENVIRONMENT


def playmoney_file(settings: Settings) -> Path:
    """The file that all play-money daemons of this user share, unless the settings name another."""
    if settings.playmoney_file:
        return Path(settings.playmoney_file).expanduser()
    return platformdirs.user_data_path(APP, ensure_exists=True) / "playmoney.sqlite"


async def run_daemon(home: Home, settings: Settings, tell: Callable[[str], None]) -> None:
    """Run until SIGTERM, SIGINT or a failure that no waiting mends. `tell` gets lines for a person.

    Raises:
        LnrecurError: the daemon cannot start, or cannot go on.
    """
    keyring = Keyring.derive(read_seed(home))
    token = read_token(home)
    lock = DaemonLock(home)
    clock, entropy = SystemClock(), SystemEntropy()
    link = TcpPeerLink(keyring.identity, entropy, LinkSettings(session=PeerSettings(settings.chain_hash)))
    try:
        node = PlayMoneyNode(
            playmoney_file(settings),
            keyring.money,
            clock,
            opening_balance_msat=settings.opening_balance_msat,
            chain=settings.chain_hash,
        )
        async with node:
            router = StaticRouter(settings.peer_addresses)
            manager = open_sqlite_manager(home.database)
            services = Services(keyring, Parts(manager, node, link, router, clock, entropy, settings.chain_hash))
            peer = await _listen_for_peers(link, settings)
            for address in settings.peer_addresses:
                link.keep(address)
            link.start()
            app = build_app(services, settings, token, peer)
            await _serve(services, app, settings, lock, peer, tell)
    finally:
        await link.close()
        lock.release()


async def _listen_for_peers(link: TcpPeerLink, settings: Settings) -> str | None:
    """Our address as peers write it, or None if we listen nowhere."""
    if not settings.peer_listen:
        return None
    host, port = split_listen(settings.peer_listen, "peer_listen")
    bound = await link.listen(host, port)
    return f"{link.node_id.hex()}@{host}:{bound}"


class _Server(uvicorn.Server):
    """Uvicorn inside our own loop: it does not take the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_serve`."""
        yield


async def _serve(
    services: Services, app: object, settings: Settings, lock: DaemonLock, peer: str | None, tell: Callable[[str], None]
) -> None:
    host, port = split_listen(settings.http_listen, "http_listen")
    bound = _bind(host, port)
    http = f"{host}:{bound.getsockname()[1]}"
    config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False, server_header=False)  # type: ignore[arg-type]
    server = _Server(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work = asyncio.create_task(services.run(), name="services")
    api = asyncio.create_task(server.serve([bound]), name="http")
    waiting = asyncio.create_task(stop.wait(), name="stop")
    lock.tell(http=http, peer=peer, node_id=services.keyring.node_id.hex())
    tell(f"lnrecur runs: PLAY MONEY, HTTP on {http}, peers on {peer or 'nothing (listening is off)'}")
    try:
        done, _ = await asyncio.wait((work, api, waiting), return_when=asyncio.FIRST_COMPLETED)
        for task in done - {waiting}:
            task.result()
    finally:
        server.should_exit = True
        for task in (work, waiting):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(work, waiting, return_exceptions=True)
        await asyncio.wait((api,), timeout=5)
        _LOG.info("stopped")


def _bind(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise CannotServe(f"cannot serve HTTP on {host}:{port}: {error.strerror or error}") from error
