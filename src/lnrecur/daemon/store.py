"""The store a daemon works on, and its place among those who do."""

from __future__ import annotations

import os
import platform
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lnrecur.adapters.store import SqlRecurrenceManager, open_postgresql_manager, open_sqlite_manager
from lnrecur.adapters.store.doorbell import PostgresDoorbell
from lnrecur.daemon.config import Home, ProcessRole, Settings
from lnrecur.errors import UsageError
from lnrecur.ports import Doorbell, Seat
from lnrecur.service.attendance import Beats

_BEATS_PER_LEASE: Final = 5
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Store:
    """An open store with what belongs to it."""

    manager: SqlRecurrenceManager
    seat: Seat
    beats: Beats | None
    doorbell: Doorbell | None


def open_store(home: Home, settings: Settings, role: ProcessRole) -> Store:
    """Open the database of the settings. The caller holds the lock of this home, unless it is a worker.

    Raises:
        UsageError: the role needs a database that processes can share.
        StoreError: the database cannot be used.
    """
    messages, work = role is not ProcessRole.WORKER, role is not ProcessRole.MESSAGING
    if not settings.database:
        if role is not ProcessRole.ALL:
            told = f"a {role} process needs a database that it can share: set database to a PostgreSQL one"
            raise UsageError(f"{told} (docs/workers.md)", field="database")
        # The file is under the lock of this home: whoever had it before is dead, wherever it thought it was.
        return Store(open_sqlite_manager(home.database), Seat("this daemon"), None, None)
    seat = Seat(_place(home, role), messages=messages, work=work)
    beats = Beats(settings.lease_s / _BEATS_PER_LEASE, settings.lease_s)
    doorbell = PostgresDoorbell(settings.database, seat)
    return Store(open_postgresql_manager(settings.database), seat, beats, doorbell)


def _place(home: Home, role: ProcessRole) -> str:
    """Where this process runs; of those with a home of their own the same as long as the machine is up."""
    if role is ProcessRole.WORKER:
        return f"{platform.node()} process {os.getpid()} {secrets.token_hex(4)}"
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = secrets.token_hex(8)
    return f"{platform.node()} {home.data_dir} since boot {boot[:8]}"
