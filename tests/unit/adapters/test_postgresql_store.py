"""What the store on PostgreSQL does beyond the contract every store keeps (tests/contract/recurrence_manager.py)."""

from __future__ import annotations

import base64
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import SQLAlchemyError

from helpers.postgresql import PostgresServer, postgres_server
from lnrecur.adapters.postgresql import open_postgresql, read_url, unhurried
from lnrecur.adapters.silence import SILENCE_S_MAX, PatientConnection
from lnrecur.adapters.store import ImpossibleRow, NotAStore, SqlRecurrenceManager, open_postgresql_manager
from lnrecur.adapters.store.claims import WORK_CHANNEL
from lnrecur.adapters.transactions import writing
from lnrecur.errors import Fault, UsageError
from lnrecur.ports import AlreadyPaid, Change, Conflict, RecurrenceManager, Seat, Stored, StoreError, StoreUnavailable
from lnrecur.recurrence.effects import Book, Claim, Emit, SendInvoiceRequest
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Outbound, Terms
from lnrecur.values import Msat, NodeId, PaymentHash, Preimage, RecurrenceId, UnixSeconds

NOW = UnixSeconds(1_750_000_000)
ID = RecurrenceId(b"\x07" * 32)
STATE = Outbound(ID, b"offer", Mandate(Msat(5)), Terms(), NOW, wake_at=NOW)
PREIMAGE = Preimage(bytes(range(100, 132)))
BOOKING = Book(0, PaymentHash(b"\x03" * 32), PREIMAGE, Msat(1), Msat(0), NOW, NOW)


@pytest.fixture
def manager(postgres_store: str) -> Iterator[SqlRecurrenceManager]:
    with closing(open_postgresql_manager(postgres_store)) as manager:
        yield manager


def commit(manager: RecurrenceManager, version: int | None = None, **more: Any) -> None:
    manager.commit_outbound(Change(state=STATE, version=version, at=NOW, **more))


# --- opening ---------------------------------------------------------------------------------------------------------


def test_two_that_open_a_new_database_at_once_both_succeed(postgres: PostgresServer) -> None:
    url = postgres.url(postgres.new_database())
    ready, problems = threading.Barrier(4), []

    def open_it() -> None:
        ready.wait()
        try:
            open_postgresql_manager(url).close()
        except StoreError as error:
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_the_database_of_another_program_is_refused_and_kept(postgres: PostgresServer) -> None:
    database = postgres.new_database()
    postgres.sql("CREATE TABLE accounts (id INTEGER)", database=database)
    with pytest.raises(NotAStore):
        open_postgresql_manager(postgres.url(database))
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    assert postgres.sql(tables, database=database) == [("accounts",)]


def test_a_database_that_is_not_there_or_not_answering_is_told_without_the_password(postgres: PostgresServer) -> None:
    for url in (
        f"postgresql://lnrecur:hush-hush@/nowhere?host={postgres.folder}",
        "postgresql://lnrecur:hush-hush@127.0.0.1:1/lnrecur",
    ):
        with pytest.raises(StoreUnavailable) as raised:
            open_postgresql_manager(url)
        assert raised.value.retry
        assert "hush-hush" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "text", ["postgresql://", "postgresql://host", "mysql://a/b", "postgresql://u:secret@h:port/x"]
)
def test_an_address_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="postgresql://USER@HOST:PORT/NAME") as raised:
        read_url(text)
    assert raised.value.field == "database"
    assert "secret" not in str(raised.value)


# --- sharing ---------------------------------------------------------------------------------------------------------


def test_no_step_of_several_workers_is_lost(postgres_store: str, manager: SqlRecurrenceManager) -> None:
    workers, steps = 3, 15
    commit(manager)

    def work() -> None:
        with closing(open_postgresql_manager(postgres_store)) as mine:
            for _ in range(steps):
                while True:
                    stored = mine.outbound(ID)
                    assert stored is not None
                    paid = replace(stored.state, payments=stored.state.payments + 1)
                    try:
                        mine.commit_outbound(Change(paid, stored.version, NOW, events=(Emit("a.step"),)))
                    except Conflict:
                        continue
                    break

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state.payments for state in manager.outbounds()] == [workers * steps]
    assert [happened.sequence for happened in manager.events()] == list(range(1, workers * steps + 1))


def test_who_reads_on_in_the_log_misses_no_event_that_was_committed_late(
    postgres_store: str, manager: SqlRecurrenceManager
) -> None:
    """Ids are given before the commit: a slow writer's is lower than that of one who was quicker to commit."""
    commit(manager)
    logging = "INSERT INTO events (subject, sequence, at, name, role, data) VALUES (%s, 1, 1, 'slow', 'payer', %s)"
    with psycopg.connect(postgres_store) as slow:
        slow.execute("SELECT pg_advisory_xact_lock_shared(%s)", (0x6C6E7265_00000002,))
        slow.execute(logging, (b"\x01" * 32, '{"v":1,"body":{}}'))
        commit(manager, 1, events=(Emit("quick"),))
        seen: list[str] = []
        reader = threading.Thread(target=lambda: seen.extend(found.name for found in manager.events()))
        reader.start()
        reader.join(0.3)
        assert seen == [], "the reader waits for the slow one"
        slow.commit()
        reader.join(10)
    assert seen == ["slow", "quick"]


def test_who_does_the_work_hears_of_a_subscription_that_begins_with_the_end_of_another(
    postgres_store: str, manager: SqlRecurrenceManager
) -> None:
    manager.join(Seat("messages", work=False), NodeId(bytes(33)))
    commit(manager)
    with psycopg.connect(postgres_store, autocommit=True) as worker:
        worker.execute(f"LISTEN {WORK_CHANNEL}".encode())
        over = replace(STATE, wake_at=None)
        manager.commit_outbound(Change(over, 1, NOW))
        assert list(worker.notifies(timeout=0.1)) == [], "what is over leaves nothing to do"
        begun = replace(STATE, recurrence_id=RecurrenceId(b"\x08" * 32))
        manager.commit_outbound(Change(over, 2, NOW, begins=begun))
        assert [heard.channel for heard in worker.notifies(timeout=10, stop_after=1)] == [WORK_CHANNEL]


# --- a database that cannot ------------------------------------------------------------------------------------------


def test_a_crashed_server_is_unavailable_and_used_again_when_it_is_back() -> None:
    with postgres_server() as server, closing(open_postgresql_manager(server.url(server.new_database()))) as manager:
        commit(manager)
        server.crash()
        for call in (lambda: manager.outbound(ID), lambda: commit(manager, 1), manager.next_wake):
            with pytest.raises(StoreUnavailable) as raised:
                call()
            assert isinstance(raised.value.__cause__, SQLAlchemyError)
        server.start()
        assert manager.outbound(ID) == Stored(STATE, 1)
        commit(manager, 1)


def test_a_connection_cut_inside_a_commit_undoes_it(postgres_store: str, manager: SqlRecurrenceManager) -> None:
    """The server ends the session while the commit waits for a row; then the next call works again."""
    commit(manager)
    with psycopg.connect(postgres_store) as other:
        other.execute("UPDATE outbound SET next_counter = 0")
        problems: list[StoreError] = []

        def wait_for_the_row() -> None:
            try:
                commit(manager, 1, events=(Emit("lost"),))
            except StoreError as error:
                problems.append(error)

        waiting = threading.Thread(target=wait_for_the_row)
        waiting.start()
        waits = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE outbound%'"
        with psycopg.connect(postgres_store, autocommit=True) as watcher:
            while not (found := watcher.execute(waits).fetchall()):
                pass
            watcher.execute("SELECT pg_terminate_backend(%s)", found[0])
        waiting.join(10)
        other.rollback()
    [problem] = problems
    assert isinstance(problem, StoreUnavailable)
    assert problem.retry
    assert manager.outbound(ID) == Stored(STATE, 1)
    assert list(manager.events()) == []
    commit(manager, 1)


def test_a_read_only_database_can_be_read_and_says_that_it_cannot_be_written(postgres: PostgresServer) -> None:
    database = postgres.new_database()
    with closing(open_postgresql_manager(postgres.url(database))) as manager:
        commit(manager)
    postgres.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on", database="postgres")
    with closing(SqlRecurrenceManager(open_postgresql(postgres.url(database)))) as manager:
        with pytest.raises(StoreUnavailable, match="read-only"):
            commit(manager, 1)
        assert list(manager.outbounds()) == [STATE]


def test_a_session_that_stands_still_is_left_and_another_takes_its_place(
    postgres_store: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its process is stopped: it takes what is sent and answers nothing, and no bound of its own ends that."""
    monkeypatch.setattr(PatientConnection, "silence_s_max", 0.5)
    with closing(open_postgresql_manager(postgres_store)) as manager:
        commit(manager)
        with psycopg.connect(postgres_store, autocommit=True) as other:
            ours = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'lnrecur schema %' AND datname = "
            found = other.execute(f"{ours} current_database()".encode()).fetchall()
            for (pid,) in found:
                os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(StoreUnavailable, match=r"does not answer|has not answered") as raised:
                    commit(manager, 1)
                assert raised.value.retry
                until = time.monotonic() + 20
                while "answers again after" not in caplog.text:
                    with suppress(StoreUnavailable):
                        manager.outbound(ID)
                    assert time.monotonic() < until
                    time.sleep(0.05)
                commit(manager, 1)
            finally:
                for (pid,) in found:
                    os.kill(pid, signal.SIGCONT)
        assert manager.outbound(ID) == Stored(STATE, 2)


def test_a_migration_takes_as_long_as_it_needs_and_nothing_else_does(postgres_store: str) -> None:
    engine = open_postgresql(postgres_store)
    try:
        with writing(engine) as db, unhurried(db):
            assert db.exec_driver_sql("SHOW statement_timeout").scalar_one() == "0"
            assert db.connection.driver_connection.silence_s_max is None  # type: ignore[union-attr]
        with writing(engine) as db:
            assert db.exec_driver_sql("SHOW statement_timeout").scalar_one() == "5s"
            assert db.connection.driver_connection.silence_s_max == SILENCE_S_MAX  # type: ignore[union-attr]
    finally:
        engine.dispose()


# --- impossible rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "booking",
    [
        replace(BOOKING, amount_msat=Msat(0)),
        replace(BOOKING, fee_msat=Msat(-1)),
        replace(BOOKING, counter=2**32),
        replace(BOOKING, preimage=Preimage(b"short")),
        replace(BOOKING, payment_hash=PaymentHash(bytes(33))),
    ],
)
def test_an_impossible_booking_is_our_bug_and_undoes_the_whole_commit(
    manager: SqlRecurrenceManager, booking: Book
) -> None:
    commit(manager)
    with pytest.raises(ImpossibleRow) as raised:
        commit(manager, 1, bookings=(booking,), events=(Emit("lost"),))
    assert (raised.value.fault, raised.value.retry) == (Fault.OURS, False)
    assert manager.outbound(ID) == Stored(STATE, 1)
    assert list(manager.events()) == []


def test_no_error_tells_a_preimage(manager: SqlRecurrenceManager) -> None:
    """PostgreSQL quotes the whole row that it refuses."""
    commit(manager, bookings=(BOOKING,), outbox=(Claim(BOOKING.payment_hash, PREIMAGE),))
    refused = replace(BOOKING, counter=1, amount_msat=Msat(0), payment_hash=PaymentHash(b"\x04" * 32))
    for records in ({"bookings": (BOOKING,)}, {"bookings": (refused,)}):
        with pytest.raises((AlreadyPaid, ImpossibleRow)) as raised:
            commit(manager, 1, **records)
        told = "".join(traceback.format_exception(raised.value))
        for secret in (PREIMAGE.hex(), base64.b64encode(PREIMAGE).decode(), repr(bytes(PREIMAGE))[2:-1]):
            assert secret not in told
    assert "[SQL: INSERT" in told, "the cause is told"
    assert "violates check constraint" in told


def test_the_outbox_of_one_does_not_hold_up_another(postgres_store: str, manager: SqlRecurrenceManager) -> None:
    commit(manager, outbox=(SendInvoiceRequest(b"1"),))
    [entry] = manager.due_outbox(NOW, 10)
    with psycopg.connect(postgres_store) as other:
        other.execute("SELECT * FROM outbound FOR UPDATE")
        manager.effect_done(entry.id)
    assert list(manager.due_outbox(NOW, 10)) == []


def test_a_full_disk_undoes_the_whole_commit(
    postgres: PostgresServer, postgres_store: str, manager: SqlRecurrenceManager
) -> None:
    """The server says so in the middle of a commit, as it would when a table cannot grow."""
    commit(manager)
    database = postgres_store.split("/")[3].split("?")[0]
    full = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'"
    function = f"CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN {full}; END $$ LANGUAGE plpgsql"
    postgres.sql(function, database=database)
    trigger = "CREATE TRIGGER full_disk BEFORE INSERT ON outbox EXECUTE FUNCTION full_disk()"
    postgres.sql(trigger, database=database)
    try:
        with pytest.raises(StoreUnavailable, match="No space left on device") as raised:
            commit(manager, 1, events=(Emit("lost"),), bookings=(BOOKING,), outbox=(SendInvoiceRequest(b"1"),))
        assert raised.value.retry
        assert manager.outbound(ID) == Stored(STATE, 1)
        assert (list(manager.events()), list(manager.payments())) == ([], [])
    finally:
        postgres.sql("DROP FUNCTION full_disk CASCADE", database=database)
    commit(manager, 1)


class SlowRoad:
    """A proxy on this machine that hands everything on a little later, and can be cut."""

    def __init__(self, target: Path, delay_s: float) -> None:
        self._target = target
        self._delay_s = delay_s
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._target))
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self._delay_s)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Hang up on everybody."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()
        self.cut()
        for one in self._sockets:
            one.close()


def test_a_slow_connection_works_and_a_cut_one_is_made_anew(
    postgres: PostgresServer, postgres_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnrecur.adapters.silence.IDLE_S_MAX", 0.0)
    open_postgresql_manager(postgres_store).close()
    database = postgres_store.split("/")[3].split("?")[0]
    with closing(SlowRoad(postgres.folder / ".s.PGSQL.5432", 0.01)) as road:
        address = f"postgresql://lnrecur@127.0.0.1:{road.port}/{database}"
        with closing(open_postgresql_manager(address)) as manager:
            commit(manager, outbox=(SendInvoiceRequest(b"1"),))
            road.cut()
            assert manager.outbound(ID) == Stored(STATE, 1), "a dead connection is noticed before it is used"
            road.cut()
            commit(manager, 1)
            assert len(manager.due_outbox(NOW, 9)) == 1
