"""The channels between stand-ins, and what each of them has in its wallet's database: one SQLite file.

Real nodes have a database each and agree on channels by messages; here a row is what both sides know. A stand-in writes
only its own rows, and HTLCs of its own channels. What was committed survives `kill -9`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HEIGHT = 110
_SCHEMA = """
CREATE TABLE IF NOT EXISTS nodes (node_id TEXT PRIMARY KEY, alias TEXT, announced INTEGER, features TEXT);
CREATE TABLE IF NOT EXISTS chain (one INTEGER PRIMARY KEY CHECK (one = 1), height INTEGER);
CREATE TABLE IF NOT EXISTS channels (
  scid TEXT PRIMARY KEY, node1 TEXT, node2 TEXT, msat1 INTEGER, msat2 INTEGER, announced INTEGER, is_up INTEGER,
  alias1 TEXT, alias2 TEXT, terms1 TEXT, terms2 TEXT);
CREATE TABLE IF NOT EXISTS htlcs (
  id INTEGER PRIMARY KEY, scid TEXT, sender TEXT, receiver TEXT, payment_hash TEXT, amount INTEGER, cltv INTEGER,
  onion TEXT, upstream INTEGER, state TEXT, preimage TEXT, failure TEXT, seen INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS invoices (
  owner TEXT, created_index INTEGER, updated_index INTEGER, label TEXT, payment_hash TEXT, preimage TEXT, secret TEXT,
  amount INTEGER, description TEXT, bolt11 TEXT, expires_at INTEGER, status TEXT, pay_index INTEGER, received INTEGER,
  paid_at INTEGER, UNIQUE (owner, label), UNIQUE (owner, payment_hash));
CREATE TABLE IF NOT EXISTS sendpays (
  owner TEXT, created_index INTEGER, updated_index INTEGER, payment_hash TEXT, groupid INTEGER, partid INTEGER,
  destination TEXT, amount INTEGER, amount_sent INTEGER, created_at INTEGER, completed_at INTEGER, status TEXT,
  bolt12 TEXT, preimage TEXT, failure TEXT, htlc INTEGER);
CREATE TABLE IF NOT EXISTS datastore (owner TEXT, key TEXT, value TEXT, generation INTEGER, UNIQUE (owner, key));
CREATE TABLE IF NOT EXISTS counters (owner TEXT, name TEXT, value INTEGER, UNIQUE (owner, name));
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a node asks for an HTLC that it forwards out over one of its channels."""

    fee_base_msat: int = 1
    fee_proportional_millionths: int = 10
    cltv_expiry_delta: int = 6
    htlc_minimum_msat: int = 0
    htlc_maximum_msat: int = 990_000_000

    def fee(self, amount: int) -> int:
        """For an amount that goes out."""
        return self.fee_base_msat + amount * self.fee_proportional_millionths // 1_000_000


class Network:
    """One connection to the file. Each stand-in has its own, and so may a test."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.db = sqlite3.connect(file, isolation_level=None, timeout=20)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.executescript(_SCHEMA)
        self.db.execute("INSERT OR IGNORE INTO chain VALUES (1, ?)", (HEIGHT,))

    def close(self) -> None:
        self.db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self.db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.db.execute(sql, values).fetchone()
        return found

    def run(self, sql: str, *values: Any) -> int:
        """How many rows it changed."""
        return self.db.execute(sql, values).rowcount

    def changes(self) -> int:
        """Another number whenever another connection has committed something."""
        return int(self.db.execute("PRAGMA data_version").fetchone()[0])

    def count_up(self, owner: str, name: str) -> int:
        """The next number of a counter of lightningd's; within a transaction."""
        self.run("INSERT OR IGNORE INTO counters VALUES (?, ?, 0)", owner, name)
        self.run("UPDATE counters SET value = value + 1 WHERE owner = ? AND name = ?", owner, name)
        found = self.row("SELECT value FROM counters WHERE owner = ? AND name = ?", owner, name)
        assert found is not None
        return int(found["value"])

    @property
    def height(self) -> int:
        found = self.row("SELECT height FROM chain")
        assert found is not None
        return int(found["height"])

    # --- what a test sets up and looks at

    def mine(self, blocks: int = 1) -> None:
        self.run("UPDATE chain SET height = height + ?", blocks)

    def join(self, node_id: str, alias: str, features: str, *, announced: bool = True) -> None:
        self.run("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?)", node_id, alias, announced, features)

    def open_channel(
        self,
        one: str,
        other: str,
        msat: tuple[int, int],
        *,
        announced: bool = True,
        terms: tuple[Terms, Terms] = (Terms(), Terms()),
    ) -> str:
        """A channel with what each side has of it, as BLOCKxTXxOUTPUT; `terms` are what each asks for forwarding."""
        number = len(self.rows("SELECT scid FROM channels")) + 1
        scid = f"{100 + number}x1x0"
        if one > other:
            one, other, msat, terms = other, one, msat[::-1], terms[::-1]
        said = [json.dumps(asdict(one_side)) for one_side in terms]
        aliases = [f"{16_000_000 + number}x{side}x1" for side in (1, 2)]
        row = (scid, one, other, *msat, announced, 1, *aliases, *said)
        self.run(f"INSERT INTO channels VALUES ({', '.join('?' * len(row))})", *row)
        return scid

    def set_up(self, scid: str, *, is_up: bool) -> None:
        self.run("UPDATE channels SET is_up = ? WHERE scid = ?", is_up, scid)

    def balance(self, node_id: str) -> int:
        """What a node has in its channels, without what is in flight."""
        found = self.row(
            "SELECT (SELECT coalesce(sum(msat1), 0) FROM channels WHERE node1 = ?)"
            " + (SELECT coalesce(sum(msat2), 0) FROM channels WHERE node2 = ?) AS msat",
            node_id,
            node_id,
        )
        assert found is not None
        return int(found["msat"])

    def total(self) -> int:
        """All money, in flight too."""
        found = self.row(
            "SELECT (SELECT coalesce(sum(msat1 + msat2), 0) FROM channels)"
            " + (SELECT coalesce(sum(amount), 0) FROM htlcs WHERE state = 'offered') AS msat"
        )
        assert found is not None
        return int(found["msat"])

    # --- HTLCs: each of these within a transaction

    def offer_htlc(
        self,
        scid: str,
        sender: str,
        payment_hash: str,
        amount: int,
        cltv: int,
        onion: dict[str, Any],
        upstream: int | None,
    ) -> int | None:
        """Send one; None if the channel does not carry it now."""
        channel = self.row("SELECT * FROM channels WHERE scid = ?", scid)
        if channel is None or not channel["is_up"]:
            return None
        side, receiver = (1, channel["node2"]) if channel["node1"] == sender else (2, channel["node1"])
        if channel[f"msat{side}"] < amount:
            return None
        self.run(f"UPDATE channels SET msat{side} = msat{side} - ? WHERE scid = ?", amount, scid)
        made = self.db.execute(
            "INSERT INTO htlcs (scid, sender, receiver, payment_hash, amount, cltv, onion, upstream, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'offered')",
            (scid, sender, receiver, payment_hash, amount, cltv, json.dumps(onion), upstream),
        )
        assert made.lastrowid is not None
        return made.lastrowid

    def settle_htlc(self, htlc: int, *, preimage: str | None = None, failure: str | None = None) -> None:
        """Give the money to whom it belongs. One that has ended stays as it ended."""
        row = self.row("SELECT * FROM htlcs WHERE id = ? AND state = 'offered'", htlc)
        if row is None:
            return
        winner = row["receiver"] if preimage is not None else row["sender"]
        self.run(
            "UPDATE channels SET msat1 = msat1 + ? WHERE scid = ? AND node1 = ?", row["amount"], row["scid"], winner
        )
        self.run(
            "UPDATE channels SET msat2 = msat2 + ? WHERE scid = ? AND node2 = ?", row["amount"], row["scid"], winner
        )
        state = "fulfilled" if preimage is not None else "failed"
        self.run("UPDATE htlcs SET state = ?, preimage = ?, failure = ? WHERE id = ?", state, preimage, failure, htlc)
