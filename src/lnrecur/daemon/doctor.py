"""What `lnrecur doctor` looks at: the money node, the database, the peers, and what waits for somebody.

The running daemon looks at itself; without one, the command looks at what can be seen from outside.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.store.opening import postgresql_version
from lnrecur.adapters.store.schema import SCHEMA_VERSION
from lnrecur.daemon.config import Home, Settings
from lnrecur.daemon.files import read_seed
from lnrecur.daemon.money_node import money_node
from lnrecur.daemon.peer_book import Listed
from lnrecur.errors import LnrecurError
from lnrecur.ports import Diagnosable, Finding, Health, LeaseLost, MoneyNode, MoneyNodeError, RecurrenceManager
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.service.keyring import Keyring
from lnrecur.service.known_receipts import KnownReceipts
from lnrecur.service.node_watch import Outage
from lnrecur.service.scheduler import Scheduler
from lnrecur.service.seed_watch import SeedWatch
from lnrecur.values import UnixSeconds

PLAY_MONEY: Final = Finding(
    "money node", Health.WARNING, "PLAY MONEY, worth nothing", "for real money use your own node: docs/nodes"
)
BEHIND_S_MAX: Final = 30
"""How long a node may take to tell what arrived before it is worth a word."""
ROOM_SCARCE: Final = 200_000_000
"""Bytes below which a disk is soon full."""
ROOM_GONE: Final = 2_000_000
NODE_S_MAX: Final = 20.0
"""A node that hangs is a finding, too."""


def shape_of(finding: Finding) -> dict[str, Any]:
    """A finding in JSON."""
    return {
        "subject": finding.subject,
        "health": finding.health.value,
        "told": finding.told,
        "way_out": finding.way_out or None,
    }


def finding_of(shape: dict[str, Any]) -> Finding:
    """What `shape_of` wrote."""
    return Finding(str(shape["subject"]), Health(shape["health"]), str(shape["told"]), str(shape["way_out"] or ""))


async def look_at_node(node: MoneyNode) -> Sequence[Finding]:
    """The money node, as thoroughly as it can be looked at."""
    try:
        async with asyncio.timeout(NODE_S_MAX):
            if isinstance(node, Diagnosable):
                return await node.diagnose()
            info = await node.info()
    except TimeoutError:
        told = f"no answer within {NODE_S_MAX:g} seconds"
        return [Finding("money node", Health.BROKEN, told, "see the node's own log")]
    except MoneyNodeError as error:
        return [Finding("money node", Health.BROKEN, str(error), "see that it runs; it is tried again all the time")]
    if info.is_play_money:
        return [PLAY_MONEY]
    return [Finding("money node", Health.GOOD, f"{info.kind}, {info.node_id.hex()}")]


def look_at_outage(outage: Outage | None, now: UnixSeconds) -> list[Finding]:
    """Since when the daemon could not use the money node, and when it tries again."""
    if outage is None:
        return []
    told = f"{outage.trouble} for {max(now - outage.since, 0)} s; asked {outage.tries} times in vain"
    next_s = 0 if outage.next_try_at is None else max(outage.next_try_at - now, 0)
    way_out = f"asked again in {next_s} s and from then on, by itself; nothing is lost meanwhile"
    return [Finding("outage", Health.WARNING, told, way_out)]


def look_at_store(manager: RecurrenceManager, seed_watch: SeedWatch | None = None) -> list[Finding]:
    """The store, and the subscriptions in it that somebody has to do something about."""
    try:
        with suppress(LeaseLost):  # this process joins again by itself
            manager.beat()  # a write
        paying, paid, workers = manager.outbounds(), manager.inbounds(), manager.workers()
    except LnrecurError as error:
        way_out = "it is tried again all the time, and all goes on once it works"
        return [Finding("database", Health.BROKEN, str(error), way_out)]
    found = [Finding("database", Health.GOOD, f"{len(paying)} subscriptions are paid, {len(paid)} are sold")]
    if workers and not any(worker.seat.work for worker in workers):
        way_out = "start `lnrecur run --role worker`, on this machine or another (docs/workers.md)"
        found.append(Finding("workers", Health.BROKEN, "none: nothing is paid or claimed", way_out))
    if seed_watch is not None:
        found += look_at_seed(seed_watch, paying)
    for state in paying:
        if state.problem is not None and not state.is_final:
            who = state.recurrence_id.hex()[:12]
            way_out = f"see `lnrecur subscriptions show {who}`"
            found.append(Finding("subscription", Health.WARNING, f"{who}: {state.problem}", way_out))
    return found


def look_at_work(scheduler: Scheduler, known: KnownReceipts) -> list[Finding]:
    """Whether anything can be done just now, and whether payments to us are seen."""
    found = []
    if scheduler.trouble is not None:
        told = f"nothing is paid or claimed: {scheduler.trouble}"
        found.append(Finding("work", Health.BROKEN, told, "it is tried again all the time; see the log"))
    if known.behind_s > BEHIND_S_MAX:
        told = "payments that arrive are not seen just now, so no period is told as missed either"
        found.append(Finding("receipts", Health.WARNING, told, "all is made up for once the money node answers"))
    return found


def look_at_seed(watch: SeedWatch, paying: Sequence[Outbound]) -> list[Finding]:
    """Whether another daemon works with our seed, or did so before this store was restored."""
    way_out = "stop all daemons of this seed but one: docs/backup.md"
    if watch.seen is not None:
        return [Finding("seed", Health.BROKEN, f"another daemon uses this seed: {watch.seen.told}", way_out)]
    adopted = sum(state.adopted for state in paying if not state.is_final)
    if not adopted:
        return []
    told = f"{adopted} payments were made by a person, by another daemon of this seed, or before a restore"
    return [Finding("seed", Health.WARNING, told, "if another daemon may still run, stop it: docs/backup.md")]


def look_at_disk(home: Home) -> Finding:
    """The disk with the daemon's own files."""
    try:
        free = shutil.disk_usage(home.data_dir).free
    except OSError as error:
        way_out = "see that the folder is there and ours to read"
        return Finding("disk", Health.BROKEN, f"{home.data_dir}: {error.strerror}", way_out)
    told = f"{free // 1_000_000:,} MB are free in {home.data_dir}"
    if free >= ROOM_SCARCE:
        return Finding("disk", Health.GOOD, told)
    return Finding("disk", Health.BROKEN if free < ROOM_GONE else Health.WARNING, told, "make room")


def look_at_peers(listed: Sequence[Listed], address: str | None) -> list[Finding]:
    """Who carries our messages. `address` is ours, as peers write it."""
    connected = [one for one in listed if one.status.where is not None]
    lost = [one for one in listed if one.status.where is None and one.source is not None]
    found = [
        Finding(
            "peers",
            Health.WARNING,
            f"{one.status.node_id.hex()} is not connected: {one.status.last_reason or 'not reached yet'}",
            "see that it runs and that its address is right: `lnrecur peers list`",
        )
        for one in lost
    ]
    carriers = sum(1 for one in connected if one.status.takes_onion_messages)
    if connected and not carriers:
        way_out = "connect to a node that does: Core Lightning, LDK, or LND 0.21 with protocol.onion-msg-relay-all"
        found.append(Finding("peers", Health.BROKEN, "no connected peer takes onion messages", way_out))
    elif connected:
        found.append(Finding("peers", Health.GOOD, f"{len(connected)} connected, {carriers} take onion messages"))
    elif not lost:
        way_out = "connect to a node that carries onion messages: `lnrecur peers add ID@HOST:PORT`"
        where = f"; others reach us at {address}" if address else ""
        found.append(Finding("peers", Health.WARNING, f"none{where}", way_out))
    return found


def look_at_database(home: Home, settings: Settings) -> Finding:
    """The database of a daemon that does not run."""
    return _look_at_server(settings.database) if settings.database else _look_at_file(home.database)


def _look_at_server(url: str) -> Finding:
    try:
        version = postgresql_version(url)
    except LnrecurError as error:
        way_out = "see that the server runs and lets us in (docs/workers.md)"
        return Finding("database", Health.BROKEN, str(error), way_out)
    if version is None:
        return Finding("database", Health.GOOD, "PostgreSQL, empty: the first `lnrecur run` makes the tables")
    if version > SCHEMA_VERSION:
        told = f"PostgreSQL, with tables of version {version}; this lnrecur knows {SCHEMA_VERSION}"
        return Finding("database", Health.BROKEN, told, "use the newer lnrecur that made them")
    return Finding("database", Health.GOOD, f"PostgreSQL, with tables of version {version}")


def _look_at_file(file: Path) -> Finding:
    if not file.exists():
        return Finding("database", Health.GOOD, f"{file} will be made by the first `lnrecur run`")
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            answer = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        answer = str(error)
    if answer != "ok":
        return Finding("database", Health.BROKEN, f"{file}: {answer}", "put a backup in its place")
    return Finding("database", Health.GOOD, f"{file} is sound")


async def look_from_outside(home: Home, settings: Settings) -> list[Finding]:
    """What can be seen without a daemon.

    Raises:
        HomeError: nothing was initialised here.
    """
    keyring = Keyring.derive(read_seed(home))
    found = [Finding("daemon", Health.WARNING, f"no daemon runs in {home.data_dir}", "start it with `lnrecur run`")]
    if settings.money_node == "playmoney":
        found.append(PLAY_MONEY)
    else:
        async with money_node(settings, keyring.money, SystemClock()) as node:
            found += await look_at_node(node)
    return [*found, look_at_database(home, settings), look_at_disk(home)]
