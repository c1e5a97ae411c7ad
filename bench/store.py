"""Commits per second of the store on SQLite, and of the same rows written by bare sqlite3 in the same run.

Every commit updates a state and stores an outbox entry, an event and a booking, durably (WAL, synchronous=FULL), on a
file in the folder given as the first argument (default: a temporary one). The rounds of both take turns, so that a disk
that is slow for a while is slow for both. Prints JSON:

    python bench/store.py [FOLDER]
"""

from __future__ import annotations

import json
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.adapters.store.encoding import encode_effect, encode_event, encode_outbound
from lnrecur.ports import Change
from lnrecur.recurrence.effects import Book, Emit, Pay
from lnrecur.recurrence.event_objects import subscription_objects
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Outbound, Terms
from lnrecur.values import Msat, PaymentHash, Preimage, RecurrenceId, UnixSeconds

ROUNDS = 7
COMMITS_PER_ROUND = 200
NOW = UnixSeconds(1_750_000_000)
ID = RecurrenceId(bytes(32))


def change(number: int) -> Change[Outbound]:
    """Step `number` (from 0) of a subscription; an offer and an invoice have about these sizes."""
    key = number.to_bytes(32, "big")
    state = Outbound(ID, bytes(300), Mandate(Msat(50_000)), Terms(), NOW, next_counter=number, wake_at=NOW)
    return Change(
        state=state,
        version=number or None,
        at=NOW,
        outbox=(Pay(PaymentHash(key), bytes(600), Msat(25_000), Msat(100)),),
        events=(Emit("payment.settled", {"counter": number, "amount_msat": 25_000}),),
        bookings=(Book(number, PaymentHash(key), Preimage(key), Msat(25_000), Msat(1), NOW, NOW),),
    )


class Bare:
    """The same statements by hand: the least a commit of these rows can cost in Python."""

    def __init__(self, file: Path) -> None:
        open_sqlite_manager(file).close()
        self.db = sqlite3.connect(file, isolation_level=None)
        self.db.execute("PRAGMA synchronous = FULL")
        first = change(0).state
        self.db.execute(
            "INSERT INTO outbound (recurrence_id, phase, next_counter, paid_msat, version, offer, detail) "
            "VALUES (?, ?, 0, 0, 1, ?, ?)",
            (ID, first.phase.value, first.offer_bytes, encode_outbound(first)),
        )

    def commit(self, step: Change[Outbound]) -> None:
        state, effect, event, booking = step.state, step.outbox[0], step.events[0], step.bookings[0]
        db, version = self.db, step.version or 0
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "UPDATE outbound SET phase=?, next_counter=?, paid_msat=?, wake_at=?, version=?, offer=?, detail=? "
            "WHERE recurrence_id=? AND version=?",
            (
                *(state.phase.value, state.next_counter, 0, NOW, version + 1),
                *(state.offer_bytes, encode_outbound(state), ID, version),
            ),
        )
        db.execute(
            "INSERT INTO payments (role, subject, counter, payment_hash, preimage, amount_msat, fee_msat, settled_at, "
            "period_start, surplus) VALUES ('payer',?,?,?,?,?,?,?,?,0)",
            (ID, booking.counter, booking.payment_hash, booking.preimage, booking.amount_msat, 1, NOW, NOW),
        )
        (last,) = db.execute("SELECT max(sequence) FROM events WHERE subject=?", (ID,)).fetchone()
        db.execute(
            "INSERT INTO events (subject, sequence, at, name, role, data) VALUES (?,?,?,?,'payer',?)",
            (ID, (last or 0) + 1, NOW, event.name, encode_event(event.data, subscription_objects(ID, state)(event))),
        )
        db.execute(
            "INSERT INTO outbox (role, subject, kind, payload, due_at, tries) VALUES ('payer',?,?,?,?,0)",
            (ID, *encode_effect(effect), NOW),
        )
        db.execute("COMMIT")


def seconds(commit: Callable[[Change[Outbound]], object], first: int) -> float:
    """What one round of commits takes."""
    steps = [change(number) for number in range(first, first + COMMITS_PER_ROUND)]
    began = time.perf_counter()
    for step in steps:
        commit(step)
    return time.perf_counter() - began


def measure(folder: Path) -> dict[str, object]:
    bare = Bare(folder / "bare.sqlite")
    with closing(open_sqlite_manager(folder / "store.sqlite")) as manager, closing(bare.db):
        manager.commit_outbound(change(0))
        rounds = [
            (seconds(manager.commit_outbound, first), seconds(bare.commit, first))
            for first in range(1, ROUNDS * COMMITS_PER_ROUND, COMMITS_PER_ROUND)
        ]
        assert len(manager.payments()) == 1 + ROUNDS * COMMITS_PER_ROUND
    store, raw = (statistics.median(times) for times in zip(*rounds, strict=True))
    return {
        "commits": ROUNDS * COMMITS_PER_ROUND,
        "store_commits_per_second": round(COMMITS_PER_ROUND / store),
        "sqlite3_commits_per_second": round(COMMITS_PER_ROUND / raw),
        "store_time_per_sqlite3_time": round(store / raw, 2),
        "added_microseconds_per_commit": round((store - raw) / COMMITS_PER_ROUND * 1e6),
        "sqlite": sqlite3.sqlite_version,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as temporary:
        print(json.dumps(measure(Path(temporary)), indent=2))
