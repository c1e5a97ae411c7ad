"""What the store costs as it grows: claims among many, bytes per subscription, renewals with several workers.

    python bench/scale.py [--quick] [--sizes 1000,100000,1000000] [--stores sqlite,postgresql] [FOLDER]

- claim: 100 subscriptions that are due are claimed and given back, among so many that are not. `bare` is the very same
  statements through the bare driver. All sizes are open at once, and their rounds, and those of both ways, take turns;
  every ratio is the median of ratios of neighbours in time.
- bytes: what the database takes on the disk for each subscription, indices included.
- renewal: all that the store does for one period of a payer: claim, request, answer, payment, settlement. `bare` is the
  recorded statements of it played through the bare driver on a copy of the database; `overhead` is what comes on top of
  them, in units of them.
- workers: renewals per second with 1, 2 and 4 processes on one database.

PostgreSQL is the server of the tests, with its own defaults for durability: every commit reaches the disk.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, event

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers import postgresql as test_server
from lnrecur.adapters.store import SqlRecurrenceManager, open_postgresql_manager, open_sqlite_manager
from lnrecur.adapters.store.encoding import encode, encode_outbound
from lnrecur.ports import Change, Seat
from lnrecur.recurrence.effects import Book, Emit, Pay, SendInvoiceRequest
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.inbound_model import Phase as InboundPhase
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Outbound, PendingPayment, PendingRequest, Phase, Terms
from lnrecur.values import Msat, NodeId, OfferId, PaymentHash, Point, Preimage, RecurrenceId, UnixSeconds

NOW = UnixSeconds(1_750_000_000)
FAR = UnixSeconds(NOW + 30 * 86400)
OWNER = NodeId(b"\x02" * 33)
DUE = 100
ROUNDS = 61
RENEWALS = 50
RENEWAL_ROUNDS = 7
OFFER = bytes(range(200))
INVOICE = bytes(600)
SERVED = 400
WORKERS = (1, 2, 4)
Statement = tuple[str, Any]


def payer(key: bytes, wake_at: int = FAR) -> Outbound:
    """A subscription at rest; `key` is its recurrence_id."""
    return Outbound(
        RecurrenceId(key), OFFER, Mandate(Msat(25_000)), Terms(), NOW, Phase.IDLE, next_counter=7,
        basetime=NOW, payments=7, paid_msat=Msat(175_000), fees_msat=Msat(21), wake_at=UnixSeconds(wake_at),
    )  # fmt: skip


def subscriber(key: bytes) -> Inbound:
    return Inbound(
        OfferId(b"\x05" * 32), Point(b"\x02" + key), InboundPhase.ACTIVE, basetime=NOW, next_counter=7, payments=7,
        received_msat=Msat(175_000), created_at=NOW, last_paid_at=NOW, wake_at=FAR,
    )  # fmt: skip


def key_of(number: int) -> bytes:
    return b"\xdd" * 24 + number.to_bytes(8, "big")


# --- one period ------------------------------------------------------------------------------------------------------


def renew(manager: SqlRecurrenceManager, now: UnixSeconds) -> int:
    """All that the store does for the subscriptions that are due; answers how many were booked."""
    claimed = manager.claim_outbounds(now, DUE)
    for key in claimed:
        stored = manager.outbound(key)
        assert stored is not None
        asking = _with(stored.state, Phase.REQUESTING, request=PendingRequest(7, bytes(300)), wake_at=FAR)
        told = (Emit("subscription.requested", {"counter": 7, "index": 7}),)
        manager.commit_outbound(Change(asking, stored.version, now, (SendInvoiceRequest(bytes(300)),), told))
    manager.release()
    booked = 0
    for _ in range(2):
        for entry in manager.claim_outbox(now, DUE):
            manager.effect_done(entry.id)
            if isinstance(entry.effect, SendInvoiceRequest):
                _take_invoice(manager, RecurrenceId(entry.subject), now)
            else:
                _settle(manager, RecurrenceId(entry.subject), now)
                booked += 1
    return booked


def _take_invoice(manager: SqlRecurrenceManager, key: RecurrenceId, now: UnixSeconds) -> None:
    stored = manager.outbound(key)
    assert stored is not None
    payment_hash = PaymentHash(key)
    pending = PendingPayment(7, payment_hash, INVOICE, Msat(25_000), Msat(100), FAR, NOW)
    paying = _with(stored.state, Phase.PAYING, request=None, payment=pending)
    pay = Pay(payment_hash, INVOICE, Msat(25_000), Msat(100))
    told = (Emit("payment.started", {"counter": 7, "amount_msat": 25_000, "payment_hash": key.hex()}),)
    manager.commit_outbound(Change(paying, stored.version, now, (pay,), told))


def _settle(manager: SqlRecurrenceManager, key: RecurrenceId, now: UnixSeconds) -> None:
    stored = manager.outbound(key)
    assert stored is not None
    booking = Book(7, PaymentHash(key), Preimage(key), Msat(25_000), Msat(3), now, now)
    told = (Emit("subscription.renewed", {"counter": 7, "index": 7, "amount_msat": 25_000, "fee_msat": 3}),)
    rested = _with(stored.state, Phase.IDLE, payment=None)
    manager.commit_outbound(Change(rested, stored.version, now, (), told, (booking,)))


def _with(state: Outbound, phase: Phase, **changes: Any) -> Outbound:
    return replace(state, phase=phase, **changes)


# --- databases -------------------------------------------------------------------------------------------------------


class Sqlite:
    """A store in a file."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def new(self) -> str:
        self._number += 1
        return str(self._folder / f"{self._number}.sqlite")

    def open(self, database: str) -> SqlRecurrenceManager:
        return open_sqlite_manager(Path(database))

    def copy(self, database: str) -> str:
        target = self.new()
        with closing(sqlite3.connect(database)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(database, target)
        return target

    def fill(self, database: str, table: str, rows: int, detail: str) -> None:
        with closing(sqlite3.connect(database, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN")
            numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
            made = f"{_INSERTS[table]} {numbers} {_VALUES[table]} FROM n"
            db.execute(made.format(hash="randomblob(32)", point="randomblob(33)", offer="randomblob(200)"), (detail,))
            db.execute("COMMIT")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def bytes_of(self, database: str, table: str) -> int:
        with closing(sqlite3.connect(database)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (pages,), (size,) = (db.execute(f"PRAGMA {told}").fetchone() for told in ("page_count", "page_size"))
            return int(pages) * int(size)

    @contextmanager
    def bare(self, database: str) -> Iterator[Callable[[Statement], None]]:
        with closing(sqlite3.connect(database, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = FULL")

            def run(statement: Statement) -> None:
                text, parameters = statement
                cursor = db.execute("BEGIN IMMEDIATE" if text == "BEGIN (writing)" else text, parameters)
                if cursor.description:
                    cursor.fetchall()

            yield run


class Postgres:
    """A store on a server."""

    name = "postgresql"

    def __init__(self, server: test_server.PostgresServer) -> None:
        self._server = server

    def new(self) -> str:
        return self._server.url(self._server.new_database())

    def open(self, database: str) -> SqlRecurrenceManager:
        return open_postgresql_manager(database)

    def copy(self, database: str) -> str:
        source = database.split("/")[3].split("?")[0]
        target = f"{source}_{time.monotonic_ns()}"
        self._server.sql(f"CREATE DATABASE {target} TEMPLATE {source}", database="postgres")
        return self._server.url(target)

    def fill(self, database: str, table: str, rows: int, detail: str) -> None:
        made = f"{_INSERTS[table]} {_VALUES[table]} FROM generate_series(1, {rows})".replace("?", "%s")
        with psycopg.connect(database) as db:
            db.execute("SET synchronous_commit = off")
            db.execute(made.format(hash=_HASH, point=f"'\\x02'::bytea || {_HASH}", offer=_OFFER).encode(), (detail,))
        with psycopg.connect(database, autocommit=True) as db:
            db.execute(f"VACUUM ANALYZE {table}".encode())

    def bytes_of(self, database: str, table: str) -> int:
        with psycopg.connect(database) as db:
            found = db.execute("SELECT pg_total_relation_size(%s)", (table,)).fetchone()
            assert found is not None
            return int(found[0])

    @contextmanager
    def bare(self, database: str) -> Iterator[Callable[[Statement], None]]:
        with psycopg.connect(database, autocommit=True) as db:

            def run(statement: Statement) -> None:
                text, parameters = statement
                cursor = db.execute("BEGIN" if text.startswith("BEGIN") else text, parameters or None)  # type: ignore[arg-type]
                if cursor.description:
                    cursor.fetchall()

            yield run


_OFFER = f"decode('{'07' * len(OFFER)}', 'hex')"
_HASH = "sha256(gen_random_uuid()::text::bytea)"
_INSERTS = {
    "outbound": "INSERT INTO outbound (recurrence_id, phase, next_counter, paid_msat, wake_at, version, offer, detail)",
    "inbound": "INSERT INTO inbound (subject, offer_id, payer_id, phase, next_counter, received_msat, wake_at, "
    "version, detail)",
}
_VALUES = {
    "outbound": f"SELECT {{hash}}, 'idle', 7, 175000, {FAR}, 8, {{offer}}, ?",
    "inbound": f"SELECT {{hash}}, {{hash}}, {{point}}, 'active', 7, 175000, {FAR}, 8, ?",
}
Store = Sqlite | Postgres


# --- measuring -------------------------------------------------------------------------------------------------------


@contextmanager
def recorded(into: list[Statement]) -> Iterator[None]:
    """What is said to any database meanwhile."""

    def said(_connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        if not text.startswith("BEGIN"):
            into.append((text, parameters))

    def begun(connection: Any) -> None:
        writes = connection.get_execution_options().get("lnrecur_begin") is not None
        into.append(("BEGIN (writing)" if writes else "BEGIN", ()))

    def ended(_connection: Any) -> None:
        into.append(("COMMIT", ()))

    listeners = (("before_cursor_execute", said), ("begin", begun), ("commit", ended))
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def add_due(manager: SqlRecurrenceManager, count: int) -> None:
    for number in range(count):
        manager.commit_outbound(Change(payer(key_of(number), NOW - 1), None, NOW))


class Claims:
    """Claims of 100 that are due and their return, on one database: by the store, and by its statements alone."""

    def __init__(self, store: Store, database: str, run: Callable[[Statement], None]) -> None:
        self._manager = store.open(database)
        self._run = run
        self._statements: list[Statement] = []
        self._manager.join(Seat("bench"), OWNER)
        add_due(self._manager, DUE)
        self._ours()
        with recorded(self._statements):
            self._ours()
        self._bare()
        self.rounds: list[tuple[float, float]] = []

    def _ours(self) -> None:
        claimed = self._manager.claim_outbounds(NOW, DUE)
        assert len(claimed) == DUE
        self._manager.release()

    def _bare(self) -> None:
        for statement in self._statements:
            self._run(statement)

    def round(self) -> None:
        self.rounds.append((timed(self._ours), timed(self._bare)))

    def plans(self, database: str) -> list[str]:
        """How PostgreSQL finds what is due."""
        found: set[str] = set()
        with psycopg.connect(database) as db:
            for text, parameters in self._statements:
                if "outbound" in text:
                    rows = db.execute(f"EXPLAIN {text}".encode(), parameters).fetchall()
                    found |= {row[0].split("  (")[0].strip(" ->") for row in rows if "Scan" in row[0]}
        return sorted(found)

    def close(self) -> None:
        self._manager.leave()
        self._manager.close()

    def told(self) -> dict[str, float]:
        """Milliseconds: medians. The ratio is that of two neighbours in time, so that a busy disk slows down both."""
        ours, bare = (1000 * statistics.median(times) for times in zip(*self.rounds, strict=True))
        ratio = statistics.median(mine / theirs for mine, theirs in self.rounds)
        return {"ms": round(ours, 2), "bare_ms": round(bare, 2), "ratio": round(ratio, 2)}


def measure_sizes(store: Store, sizes: list[int], rounds: int) -> dict[str, Any]:
    """All sizes at once, their rounds in turns: what the machine does meanwhile happens to all of them."""
    told: dict[str, Any] = {}
    with ExitStack() as open_until_the_end:
        claims: dict[int, Claims] = {}
        for size in sizes:
            database = store.new()
            store.open(database).close()
            empty = store.bytes_of(database, "outbound")
            took = timed(lambda: store.fill(database, "outbound", size, encode_outbound(payer(key_of(0)))))  # noqa: B023
            paying = (store.bytes_of(database, "outbound") - empty) / size
            told[f"{size:,}"] = {"bytes_per_payer": round(paying), "filled_in_s": round(took, 1)}
            run = open_until_the_end.enter_context(store.bare(database))
            claims[size] = Claims(store, database, run)
            open_until_the_end.callback(claims[size].close)
        for _ in range(rounds):
            for one in claims.values():
                one.round()
        for size, one in claims.items():
            told[f"{size:,}"]["claim_of_100_due"] = one.told()
        if isinstance(store, Postgres):
            told["plans"] = claims[sizes[-1]].plans(database)
    for name, at in (("claim_last_per_first", 0), ("the_same_bare", 1)):
        pairs = zip(claims[sizes[-1]].rounds, claims[sizes[0]].rounds, strict=True)
        told[name] = round(statistics.median(most[at] / least[at] for most, least in pairs), 2)
    database = store.new()
    store.open(database).close()
    empty = store.bytes_of(database, "inbound")
    store.fill(database, "inbound", 20_000, encode(subscriber(key_of(0))))
    told["bytes_per_subscriber_of_20,000"] = round((store.bytes_of(database, "inbound") - empty) / 20_000)
    return told


def measure_renewal(store: Store, repeats: int) -> dict[str, float]:
    """Milliseconds of one renewal, by the engine's store and by its statements alone; their rounds take turns."""
    start = store.new()
    with closing(store.open(start)) as manager:
        add_due(manager, RENEWALS)

    def ours(database: str, around: AbstractContextManager[None]) -> tuple[float, float]:
        with closing(store.open(database)) as manager:
            manager.join(Seat("bench"), OWNER)
            with around:
                return _clocked(lambda: _renew_all(manager))

    def bare(database: str) -> tuple[float, float]:
        with closing(store.open(database)) as manager:
            manager.join(Seat("bench"), OWNER)  # the recorded statements are those of worker 1
        with store.bare(database) as run:
            return _clocked(lambda: [run(statement) for statement in statements])

    statements: list[Statement] = []
    ours(store.copy(start), recorded(statements))
    rounds = [(*ours(store.copy(start), nullcontext()), *bare(store.copy(start))) for _ in range(repeats)]
    wall, cpu, bare_wall, bare_cpu = (1000 * statistics.median(times) / RENEWALS for times in zip(*rounds, strict=True))
    ratio = statistics.median(mine / theirs for mine, _, theirs, _ in rounds)
    return {
        "ms": round(wall, 2),
        "bare_ms": round(bare_wall, 2),
        "ratio": round(ratio, 2),
        "overhead": round(ratio - 1, 2),
        "cpu_ms": round(cpu, 2),
        "bare_cpu_ms": round(bare_cpu, 2),
        "statements": round(len(statements) / RENEWALS, 1),
    }


def _renew_all(manager: SqlRecurrenceManager) -> None:
    renewed = 0
    while count := renew(manager, NOW):
        renewed += count
    assert renewed == RENEWALS


def _clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall, and of this process's own time."""
    cpu = time.process_time()
    return timed(work), time.process_time() - cpu


def work(kind: str, database: str, number: int, served: int, begin: Any, booked: Any) -> None:
    """One worker process: do what is due until all are renewed. The first sends the messages."""
    manager = open_sqlite_manager(Path(database)) if kind == "sqlite" else open_postgresql_manager(database)
    with closing(manager):
        manager.join(Seat(f"bench {number}", messages=number == 0), OWNER)
        begin.wait()
        while booked.value < served:
            done = renew(manager, NOW)
            with booked.get_lock():
                booked.value += done
            if not done:
                time.sleep(0.001)
        begin.wait()


def measure_workers(store: Store, served: int, repeats: int) -> dict[str, Any]:
    """Renewals per second, with so many processes. The message deeds are done by all: they are the store's only."""
    found: dict[int, list[float]] = {count: [] for count in WORKERS}
    for _ in range(repeats):
        for count in WORKERS:
            found[count].append(_renewals_per_second(store, served, count))
    told: dict[str, Any] = {str(count): round(statistics.median(speeds), 1) for count, speeds in found.items()}
    return {**told, "cores": len(os.sched_getaffinity(0))}


def _renewals_per_second(store: Store, served: int, count: int) -> float:
    database = store.new()
    with closing(store.open(database)) as manager:
        add_due(manager, served)
    context = multiprocessing.get_context("spawn")
    begin, booked = context.Barrier(count + 1), context.Value("i", 0)
    workers = [
        context.Process(target=work, args=(store.name, database, number, served, begin, booked))
        for number in range(count)
    ]
    for worker in workers:
        worker.start()
    begin.wait()
    began = time.perf_counter()
    begin.wait()
    took = time.perf_counter() - began
    for worker in workers:
        worker.join()
    with closing(store.open(database)) as manager:
        assert len(manager.payments()) == served
    return served / took


def measure(store: Store, sizes: list[int], *, quick: bool) -> dict[str, Any]:
    return {
        "subscriptions": measure_sizes(store, sizes, ROUNDS // 3 if quick else ROUNDS),
        "renewal": measure_renewal(store, 3 if quick else RENEWAL_ROUNDS),
        "renewals_per_second_by_workers": measure_workers(store, SERVED // 4 if quick else SERVED, 1 if quick else 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="smaller, in half a minute: to see that it works")
    parser.add_argument("--sizes", default=None, help="1000,100000,1000000; quick: 1000,20000")
    parser.add_argument("--stores", default="sqlite,postgresql")
    parser.add_argument("folder", nargs="?", default=None)
    asked = parser.parse_args()
    usual = "1000,20000" if asked.quick else "1000,100000,1000000"
    sizes = [int(size) for size in (asked.sizes or usual).split(",")]
    told = {}
    with tempfile.TemporaryDirectory(dir=asked.folder) as temporary:
        if "sqlite" in asked.stores:
            told["sqlite"] = measure(Sqlite(Path(temporary)), sizes, quick=asked.quick)
        if "postgresql" in asked.stores:
            with test_server.postgres_server(fast=False) as server:
                told["postgresql"] = measure(Postgres(server), sizes, quick=asked.quick)
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
