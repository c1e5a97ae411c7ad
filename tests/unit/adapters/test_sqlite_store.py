"""What the store on SQLite does beyond the contract every store keeps (tests/contract/recurrence_manager.py)."""

from __future__ import annotations

import base64
import json
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, event, text
from sqlalchemy.exc import SQLAlchemyError

from lnrecur.adapters.sqlite import open_sqlite
from lnrecur.adapters.store import (
    ImpossibleRow,
    NotAStore,
    SqlRecurrenceManager,
    StoreDamaged,
    UnknownEncoding,
    UnreadableRow,
    WrongSchemaVersion,
    open_sqlite_manager,
)
from lnrecur.adapters.store.encoding import EFFECT_KINDS, decode, decode_effect, decode_event, encode, encode_effect
from lnrecur.adapters.store.schema import SCHEMA_VERSION
from lnrecur.adapters.store.versions import bring_up_to_date
from lnrecur.adapters.transactions import writing
from lnrecur.errors import Fault
from lnrecur.ports import (
    AlreadyPaid,
    Change,
    Conflict,
    OfferRecord,
    RecurrenceManager,
    Seat,
    Stored,
    StoreError,
    StoreUnavailable,
)
from lnrecur.recurrence.effects import Book, Claim, Emit, SendInvoiceRequest, StoredEffect
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus
from lnrecur.recurrence.outbound_model import Missed, Outbound, PendingRequest, Terms
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import Msat, NodeId, OfferId, PaymentHash, Point, Preimage, RecurrenceId, UnixSeconds

NOW = UnixSeconds(1_750_000_000)
I64_MAX = 2**63 - 1
ID = RecurrenceId(b"\x07" * 32)
STATE = Outbound(ID, b"offer", Mandate(Msat(5)), Terms(), NOW, wake_at=NOW)
PAYER = Inbound(OfferId(b"\x01" * 32), Point(b"\x02" * 33))
PREIMAGE = Preimage(bytes(range(100, 132)))
OFFER = OfferRecord(PAYER.offer_id, b"offer", OfferPolicy(), NOW)
BOOKING = Book(0, PaymentHash(b"\x03" * 32), PREIMAGE, Msat(1), Msat(0), NOW, NOW)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lnrecur.sqlite"


@pytest.fixture
def manager(file: Path) -> Iterator[SqlRecurrenceManager]:
    with closing(open_sqlite_manager(file)) as manager:
        yield manager


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    engine = open_sqlite(file, metadata=MetaData())
    bring_up_to_date(engine)
    yield engine
    engine.dispose()


def sql(file: Path, statement: str, *values: object) -> list[Any]:
    """One statement of another program on the file."""
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def commit(manager: RecurrenceManager, version: int | None = None, **more: Any) -> None:
    manager.commit_outbound(Change(state=STATE, version=version, at=NOW, **more))


# --- opening ---------------------------------------------------------------------------------------------------------


def test_the_file_is_for_its_owner_only(manager: SqlRecurrenceManager, file: Path) -> None:
    commit(manager)
    for name in (file, Path(f"{file}-wal")):
        assert stat.S_IMODE(name.stat().st_mode) == 0o600


def test_opening_again_changes_nothing(manager: SqlRecurrenceManager, file: Path) -> None:
    commit(manager)
    before = sql(file, "SELECT * FROM sqlite_master"), sql(file, "SELECT * FROM alembic_version")
    with closing(open_sqlite_manager(file)) as again:
        assert list(again.outbounds()) == [STATE]
    assert (sql(file, "SELECT * FROM sqlite_master"), sql(file, "SELECT * FROM alembic_version")) == before


def test_a_database_of_a_newer_schema_version_is_refused_and_both_are_named(file: Path) -> None:
    open_sqlite_manager(file).close()
    found = SCHEMA_VERSION + 1
    sql(file, "UPDATE alembic_version SET version_num = ?", f"{found:04d}")
    sql(file, "DROP TABLE payments")  # as if the newer version had no such table
    with pytest.raises(WrongSchemaVersion) as raised:
        open_sqlite_manager(file)
    assert f"schema version {found}, this lnrecur knows version {SCHEMA_VERSION}" in str(raised.value)
    assert raised.value.details() == {"found": found, "known": SCHEMA_VERSION}
    assert not raised.value.retry
    assert sql(file, "SELECT * FROM sqlite_master WHERE name = 'payments'") == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE accounts (id INTEGER)",
        "CREATE TABLE settings (name TEXT, value TEXT)",
        "CREATE TABLE settings (key TEXT, value TEXT)",
        "CREATE TABLE alembic_version (version_num TEXT)",
    ],
)
def test_the_database_of_another_program_is_refused_and_kept(file: Path, statement: str) -> None:
    sql(file, statement)
    before = sql(file, "SELECT * FROM sqlite_master")
    with pytest.raises(NotAStore) as raised:
        open_sqlite_manager(file)
    assert raised.value.fault is Fault.CALLER
    assert sql(file, "SELECT * FROM sqlite_master") == before


def test_a_file_that_is_no_database_is_refused_and_kept(file: Path) -> None:
    content = b"Dear diary, " * 1000
    file.write_bytes(content)
    with pytest.raises(StoreDamaged, match="not a database"):
        open_sqlite_manager(file)
    assert file.read_bytes() == content


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open"):
        open_sqlite_manager(tmp_path / "nowhere" / "lnrecur.sqlite")


def test_two_that_open_a_new_file_at_once_both_succeed(file: Path) -> None:
    ready, problems = threading.Barrier(4), []

    def open_it() -> None:
        ready.wait()
        try:
            open_sqlite_manager(file).close()
        except StoreError as error:
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sql(file, "SELECT version_num FROM alembic_version") == [(f"{SCHEMA_VERSION:04d}",)]


# --- durability and sharing ------------------------------------------------------------------------------------------

CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_sqlite_store import STATE, commit
from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.recurrence.effects import SendInvoiceRequest
commit(open_sqlite_manager(Path(sys.argv[1])), outbox=(SendInvoiceRequest(b"kept"),))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_committed_survives_a_kill(file: Path) -> None:
    here = str(Path(__file__).parent)
    child = subprocess.run([sys.executable, "-c", CHILD, str(file), here], timeout=60, check=False)
    assert child.returncode == -signal.SIGKILL
    with closing(open_sqlite_manager(file)) as manager:
        assert list(manager.outbounds()) == [STATE]
        assert [entry.effect for entry in manager.due_outbox(NOW, 10)] == [SendInvoiceRequest(b"kept")]


def test_no_step_of_several_workers_is_lost(file: Path) -> None:
    workers, steps = 3, 20
    with closing(open_sqlite_manager(file)) as first:
        commit(first)
    conflicts = []

    def work() -> None:
        with closing(open_sqlite_manager(file)) as manager:
            for _ in range(steps):
                while True:
                    stored = manager.outbound(ID)
                    assert stored is not None
                    paid = replace(stored.state, payments=stored.state.payments + 1)
                    try:
                        manager.commit_outbound(Change(paid, stored.version, NOW, events=(Emit("a.step"),)))
                    except Conflict as error:
                        conflicts.append(error)
                        continue
                    break

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(open_sqlite_manager(file)) as manager:
        assert [state.payments for state in manager.outbounds()] == [workers * steps]
        assert [happened.sequence for happened in manager.events()] == list(range(1, workers * steps + 1))


# --- a database that cannot ------------------------------------------------------------------------------------------


def test_a_database_locked_by_another_process_is_unavailable_for_now(file: Path) -> None:
    with (
        closing(open_sqlite_manager(file, busy_timeout_ms=20)) as manager,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        commit(manager)
        other.execute("BEGIN IMMEDIATE")
        writes: list[Callable[[], object]] = [
            lambda: commit(manager, 1, events=(Emit("lost"),)),
            lambda: manager.commit_inbound(Change(PAYER, None, NOW)),
            lambda: manager.add_offer(OFFER),
            lambda: manager.change_offer(OFFER, replace(OFFER, status=OfferStatus.ENDED), NOW),
            lambda: manager.effect_done(1),
            lambda: manager.postpone_effect(1, NOW),
            lambda: manager.save_receipt_cursor("1"),
        ]
        for write in writes:
            with pytest.raises(StoreUnavailable, match="locked") as raised:
                write()
            assert raised.value.retry
            assert isinstance(raised.value.__cause__, SQLAlchemyError)
        assert list(manager.outbounds()) == [STATE], "readers do not wait for the writer"
        other.execute("ROLLBACK")
        commit(manager, 1)


def test_a_full_disk_undoes_the_whole_commit(engine: Engine) -> None:
    manager = SqlRecurrenceManager(engine)
    commit(manager)
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
    big = tuple(SendInvoiceRequest(bytes(4000)) for _ in range(4))
    with pytest.raises(StoreUnavailable, match="full"):
        commit(manager, 1, events=(Emit("lost"),), bookings=(BOOKING,), outbox=big)
    assert manager.outbound(ID) == Stored(STATE, 1)
    assert (list(manager.events()), list(manager.payments()), list(manager.due_outbox(NOW, 9))) == ([], [], [])


def test_a_read_only_database_can_be_read_and_says_that_it_cannot_be_written(engine: Engine) -> None:
    manager = SqlRecurrenceManager(engine)
    commit(manager)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable, match="readonly"):
        commit(manager, 1)
    assert list(manager.outbounds()) == [STATE]


def test_a_broken_file_is_told(file: Path) -> None:
    with closing(open_sqlite_manager(file)) as manager:
        commit(manager)
    (page,), size = sql(file, "SELECT rootpage FROM sqlite_master WHERE name = 'outbound'")[0], 4096
    with file.open("r+b") as stream:
        stream.seek((page - 1) * size)
        stream.write(b"\xff" * size)
    with closing(open_sqlite_manager(file)) as manager, pytest.raises(StoreDamaged, match="malformed"):
        manager.outbounds()


# --- impossible rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "booking",
    [
        replace(BOOKING, amount_msat=Msat(0)),
        replace(BOOKING, amount_msat=Msat(2**64)),
        replace(BOOKING, fee_msat=Msat(-1)),
        replace(BOOKING, counter=-1),
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


@pytest.mark.parametrize(
    "change",
    [
        "outbound SET phase = 'stranger'",
        "outbound SET version = 0",
        "outbound SET next_counter = -1",
        "outbound SET paid_msat = -1",
        "outbound SET recurrence_id = x'07'",
        "outbound SET detail = NULL",
        "inbound SET phase = 'idle'",
        "inbound SET payer_id = zeroblob(32)",
        "inbound SET received_msat = -1",
        "inbound SET version = 0",
        "outbox SET kind = 'refuse'",
        "outbox SET role = 'both'",
        "outbox SET tries = -1",
        "outbox SET due_at = NULL",
        "events SET sequence = 0",
        "events SET subject = zeroblob(31)",
        "payments SET amount_msat = 0",
        "payments SET fee_msat = -1",
        "payments SET role = ''",
        "payments SET counter = 4294967296",
        "payments SET preimage = zeroblob(31)",
        "offers SET offer = x''",
        "offers SET status = 'closed'",
        "offers SET offer_id = zeroblob(31)",
    ],
)
def test_no_program_can_write_an_impossible_row(manager: SqlRecurrenceManager, file: Path, change: str) -> None:
    commit(manager, outbox=(SendInvoiceRequest(b""),), events=(Emit("a.b"),), bookings=(BOOKING,))
    manager.commit_inbound(Change(PAYER, None, NOW))
    manager.add_offer(OFFER)
    with pytest.raises(sqlite3.IntegrityError):
        sql(file, f"UPDATE {change}")


def test_a_number_too_big_for_a_column_is_clamped_there_and_exact_in_the_detail(
    manager: SqlRecurrenceManager, file: Path
) -> None:
    far = UnixSeconds(2**64 - 1)
    state = replace(STATE, wake_at=far, basetime=far, paid_msat=Msat(2**64))
    manager.commit_outbound(Change(state, None, NOW, bookings=(replace(BOOKING, period_start=far),)))
    manager.commit_inbound(Change(replace(PAYER, received_msat=Msat(2**65)), None, NOW))
    assert sql(file, "SELECT wake_at, paid_msat FROM outbound") == [(I64_MAX, I64_MAX)]
    assert sql(file, "SELECT received_msat FROM inbound") == [(I64_MAX,)]
    assert [booked.booking.period_start for booked in manager.payments()] == [I64_MAX]
    assert list(manager.outbounds()) == [state]
    assert [known.received_msat for known in manager.inbounds()] == [2**65]


def test_no_error_tells_a_preimage(manager: SqlRecurrenceManager, file: Path) -> None:
    claim = Claim(BOOKING.payment_hash, PREIMAGE)
    commit(manager, bookings=(BOOKING,))
    sql(file, "CREATE TRIGGER refuse BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END")
    for records in ({"outbox": (claim,)}, {"bookings": (BOOKING,)}):
        with pytest.raises((AlreadyPaid, ImpossibleRow)) as raised:
            commit(manager, 1, **records)
        told = "".join(traceback.format_exception(raised.value))
        assert "[SQL: INSERT" in told, "the cause is told"
        for secret in (PREIMAGE.hex(), base64.b64encode(PREIMAGE).decode(), repr(bytes(PREIMAGE))[2:-1]):
            assert secret not in told


HARMLESS_SCANS = {"due", "workers", "outbox USING INDEX ix_outbox_due_at"}
"""What was just found; those who work here; a walk in the order of the due times that ends at the first free one."""


# --- indices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("analyzed", [False, True], ids=["without statistics", "with statistics"])
def test_what_is_done_at_every_turn_scans_no_table(engine: Engine, analyzed: bool) -> None:
    manager = SqlRecurrenceManager(engine)
    commit(manager)
    for number in range(50):
        key = RecurrenceId(number.to_bytes(32, "big"))
        change = Change(replace(STATE, recurrence_id=key), None, NOW, outbox=(SendInvoiceRequest(b""),))
        manager.commit_outbound(replace(change, events=(Emit("a.b"),)))
    if analyzed:
        with writing(engine) as db:
            db.execute(text("ANALYZE"))
    statements: list[tuple[str, Any]] = []

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", record)
    manager.due_outbounds(NOW, 10)
    manager.due_inbounds(NOW, 10)
    manager.due_outbox(NOW, 10)
    manager.next_wake()
    manager.outbound(ID)
    manager.inbound(PAYER.offer_id, PAYER.payer_id)
    manager.find_outbounds("0a", one_off=False)
    manager.find_inbounds("0a")
    manager.ordered("key")
    manager.offer(PAYER.offer_id)
    manager.events(7)
    manager.payments(ID)
    manager.receipt_cursor()
    manager.postpone_effect(1, NOW)
    manager.effect_done(1)
    commit(manager, 1, outbox=(SendInvoiceRequest(b""),), events=(Emit("a.b"),), bookings=(BOOKING,))
    manager.save_receipt_cursor("1")
    manager.join(Seat("here"), NodeId(bytes(33)))
    assert len(manager.claim_outbounds(NOW, 10)) == 10
    manager.claim_inbounds(NOW, 10)
    manager.release()
    assert len(manager.claim_outbox(NOW, 10)) == 10
    manager.next_wake()
    manager.beat()
    event.remove(engine, "before_cursor_execute", record)
    asked = [(statement, parameters) for statement, parameters in statements if not statement.startswith("BEGIN")]
    assert len(asked) >= 16
    with engine.connect() as connection:
        for statement, parameters in asked:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            scans = {step.partition("SCAN ")[2] for step in plan if "SCAN " in step} - HARMLESS_SCANS
            assert not scans, f"{statement}: {plan}"


# --- encoding --------------------------------------------------------------------------------------------------------

STORED_IN_VERSION_1 = {
    "recurrence_id": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
    "offer_bytes": "b2ZmZXI=",
    "mandate": {
        "max_per_period_msat": 5,
        "max_total_msat": None,
        "max_payments": None,
        "ends_at": None,
        "fee_base_msat": 10000,
        "fee_ppm": 10000,
        "purpose": "",
    },
    "terms": {
        "trigger": "automatic",
        "missed": "stop",
        "request_retry": {"first_delay_s": 5, "factor": 2, "cap_s": 900, "jitter_percent": 25, "tries_max": None},
        "payment_retry": {"first_delay_s": 5, "factor": 2, "cap_s": 600, "jitter_percent": 25, "tries_max": 10},
        "start": None,
        "quantity": None,
        "payer_note": None,
        "chain": None,
        "via": ["a"],
    },
    "created_at": 1750000000,
    "phase": "requesting",
    "request": {"counter": 2, "data": "AP8=", "tries": 1},
    "wake_at": 18446744073709551615,
}


def test_what_version_1_stored_can_always_be_read() -> None:
    state = decode(Outbound, json.dumps({"v": 1, "body": STORED_IN_VERSION_1}))
    assert state == replace(
        STATE,
        terms=replace(STATE.terms, via=("a",), payment_retry=RetryPolicy(5, cap_s=600, tries_max=10)),
        phase=state.phase.REQUESTING,
        request=PendingRequest(2, b"\x00\xff"),
        wake_at=UnixSeconds(2**64 - 1),
    )
    written = json.loads(encode(state))["body"]
    assert _as_far_as(STORED_IN_VERSION_1, written) == STORED_IN_VERSION_1


USUAL = {"trigger", "missed", "request_retry"}
"""What a subscriber left as it is."""


def _as_far_as(known: Any, written: Any) -> Any:
    """What is written, without the fields that came later and with those that are left out now."""
    if not isinstance(known, dict):
        return written
    for name, told in known.items():
        assert name in written or not told or name in USUAL, f"{name} is left out"
    return {name: _as_far_as(told, written[name]) if name in written else told for name, told in known.items()}


def test_only_fields_that_are_empty_or_as_usual_are_left_out() -> None:
    body = json.loads(encode(replace(STATE, payments=3)))["body"]
    assert body["payments"] == 3
    assert "fees_msat" not in body
    assert body["terms"] == {}
    assert body["mandate"]["fee_ppm"] == STATE.mandate.fee_ppm, "what may be paid follows from no default"
    unusual = replace(STATE, terms=replace(STATE.terms, missed=Missed.CATCH_UP, request_retry=RetryPolicy(5)))
    body = json.loads(encode(unusual))["body"]
    assert set(body["terms"]) == {"missed", "request_retry"}
    assert decode(Outbound, encode(unusual)) == unusual
    held = replace(STATE, terms=replace(STATE.terms, jitter_s=0), basetime=UnixSeconds(0))
    body = json.loads(encode(held))["body"]
    assert (body["terms"]["jitter_s"], body["basetime"]) == (0, 0), "a zero is not the same as nothing"
    assert decode(Outbound, encode(held)) == held


def test_every_effect_that_is_stored_has_a_kind() -> None:
    assert set(EFFECT_KINDS.values()) == set(StoredEffect.__args__)


@pytest.mark.parametrize("version", [0, 2, 99])
def test_an_unknown_encoding_version_is_named(version: int) -> None:
    kind, payload = encode_effect(SendInvoiceRequest(b"request"))
    unknown = payload.replace('"v":1', f'"v":{version}')
    with pytest.raises(UnknownEncoding, match=f"version {version}, this lnrecur knows version 1") as raised:
        decode_effect(kind, unknown)
    assert raised.value.details() == {"found": version, "known": 1}
    assert isinstance(raised.value, StoreError)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "{}",
        '{"v":1}',
        '{"v":"1","body":{}}',
        '{"v":1,"body":{}}',
        '{"v":1,"body":[]}',
        encode(PAYER).replace('"stranger"', '"estranged"'),
        encode(replace(PAYER, payments=3)).replace('"payments":3', '"payments":"3"'),
        encode(replace(PAYER, payments=3)).replace('"payments":3', '"payments":0.5'),
        encode(PAYER).replace('"AQEB', '"!!!!'),
        encode(PAYER)[:-1],
    ],
)
def test_what_is_no_state_is_not_read_as_one(stored: str) -> None:
    with pytest.raises(UnreadableRow):
        decode(Inbound, stored)


def test_an_effect_of_an_unknown_kind_is_not_read() -> None:
    with pytest.raises(UnreadableRow, match="'refuse'"):
        decode_effect("refuse", '{"v":1,"body":{}}')


def test_facts_are_flat() -> None:
    with pytest.raises(UnreadableRow):
        decode_event('{"v":1,"body":{"a":{"b":1}}}')


def test_what_an_event_is_about_is_flat_too() -> None:
    for about in ('"offer"', '{"type":"offer"}', '{"type":"x","id":""}', '{"type":"offer","id":"","state":{"a":[]}}'):
        with pytest.raises(UnreadableRow):
            decode_event(f'{{"v":1,"body":{{}},"object":{about}}}')


def test_an_event_of_version_1_tells_as_much_of_its_object_as_its_name_does(
    manager: SqlRecurrenceManager, file: Path
) -> None:
    commit(manager, events=(Emit("subscription.requested"),))
    sql(file, "UPDATE events SET data = ?", '{"v":1,"body":{"counter":3}}')
    event = manager.events()[0]
    assert (dict(event.data), event.object.type, event.object.id) == ({"counter": 3}, "subscription", ID.hex())
    assert event.object.state == {}


def test_an_unreadable_row_is_told_by_the_call_that_reads_it(manager: SqlRecurrenceManager, file: Path) -> None:
    commit(manager)
    sql(file, "UPDATE outbound SET detail = replace(detail, ?, ?)", '"v":1', '"v":2')
    for read in (lambda: manager.outbound(ID), manager.outbounds):
        with pytest.raises(UnknownEncoding):
            read()
