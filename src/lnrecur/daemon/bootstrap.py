"""The only place that picks real parts and starts them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Final

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.no_link import NoPeerLink
from lnrecur.adapters.nodes.cln import HeldPayments
from lnrecur.adapters.nodes.cln.router import kept_fresh
from lnrecur.daemon.config import Home, ProcessRole, Settings
from lnrecur.daemon.files import DaemonLock, SeedLock, read_seed, read_token
from lnrecur.daemon.http.app import build_app
from lnrecur.daemon.http.server import HttpServer, run_until_stopped, stop_on_signals
from lnrecur.daemon.message_settings import message_router, message_settings
from lnrecur.daemon.money_node import money_node, who_moves_money
from lnrecur.daemon.rate_settings import rate_source
from lnrecur.daemon.speaking import PeerSpeech, Speech
from lnrecur.daemon.store import Store, open_store
from lnrecur.errors import UsageError
from lnrecur.ports import Host, MessageRouter, MoneyNode, PeerLink
from lnrecur.service.assembly import Parts, Services
from lnrecur.service.keyring import Keyring
from lnrecur.testing.fault_points import VARIABLE as FAULTS
from lnrecur.testing.fault_points import with_fault_points

WATCH_NODE_S: Final = 30
"""How often the money node is asked whether it can be used, while nothing fails."""


@dataclass(frozen=True, slots=True)
class Within:
    """What a program wants of the daemon that it runs inside itself."""

    stop: asyncio.Event
    """Set when the daemon shall end; signals are that program's own affair."""
    ready: Callable[[Services, Settings, str | None], None]
    """Told once the daemon runs: its services, its settings, and its address as peers write it."""
    speech: Callable[[Settings], Awaitable[Speech]]
    """How to speak where the settings say "plugin"."""
    held: HeldPayments | None = None
    """Payments that the program holds until they are decided, as a plugin of Core Lightning does."""


async def run_daemon(
    home: Home,
    settings: Settings,
    role: ProcessRole,
    tell: Callable[[str], None],
    within: Within | None = None,
) -> None:
    """Run until SIGTERM, SIGINT or a failure that no waiting mends. `tell` gets lines for a person.

    `within` is for a program that runs the daemon inside itself, and ends it by its own means.

    Raises:
        LnrecurError: the daemon cannot start, or cannot go on.
    """
    keyring = Keyring.derive(read_seed(home))
    if role is ProcessRole.WORKER:
        await _run_worker(home, settings, keyring, tell)
    else:
        await _run_with_peers(home, settings, role, keyring, tell, within)


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
    home: Home,
    settings: Settings,
    role: ProcessRole,
    keyring: Keyring,
    tell: Callable[[str], None],
    within: Within | None,
) -> None:
    token = read_token(home)
    lock = DaemonLock(home)
    clock = SystemClock()
    try:
        with SeedLock(keyring.node_id), closing((store := open_store(home, settings, role)).manager):
            async with (
                money_node(settings, keyring.money, clock, None if within is None else within.held) as node,
                _speech(home, settings, keyring, within) as speech,
                kept_fresh(speech.router),
            ):
                money = await who_moves_money(node, tell)
                services = Services(keyring, _parts(store, node, speech.link, speech.router, settings, speech.host))
                await services.attendance.join()
                peer = await speech.begin()
                stop = stop_on_signals() if within is None else within.stop
                app = build_app(services, settings, token, peer, stop.is_set, speech.book)
                server = HttpServer(app, settings.http_listen) if settings.http_listen else None
                lock.tell(http="" if server is None else server.address, peer=peer, node_id=keyring.node_id.hex())
                where = f"HTTP on {'nothing' if server is None else server.address}, {_peers_told(speech, peer)}"
                tell(f"lnrecur runs: {money}, {where}{_told_of(role)}")
                if within is not None:
                    within.ready(services, settings, peer)
                if server is None:
                    await run_until_stopped(services.run(), stop)
                else:
                    await server.serve_while(services.run(), stop)
                services.attendance.leave()
    finally:
        lock.release()


@asynccontextmanager
async def _speech(home: Home, settings: Settings, keyring: Keyring, within: Within | None) -> AsyncIterator[Speech]:
    if settings.messages == "peer":
        speech: Speech = PeerSpeech(keyring, settings, home.peers)
    elif within is None:
        told = "speaks as a plugin only inside Core Lightning: start lnrecur-cln there (docs/nodes/cln.md)"
        raise UsageError(f"messages = plugin {told}", field="messages")
    else:
        speech = await within.speech(settings)
    try:
        yield speech
    finally:
        await speech.close()


def _peers_told(speech: Speech, peer: str | None) -> str:
    if speech.host is not None:
        return f"onion messages as {speech.host.node_id.hex()}"
    return f"peers on {peer or 'nothing (not listening)'}"


def _told_of(role: ProcessRole) -> str:
    return "; messages only: payments are made by workers" if role is ProcessRole.MESSAGING else ""


def _parts(
    store: Store,
    node: MoneyNode,
    link: PeerLink,
    router: MessageRouter,
    settings: Settings,
    host: Host | None = None,
) -> Parts:
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
        host=host,
    )
    return with_fault_points(parts, os.environ.get(FAULTS))
