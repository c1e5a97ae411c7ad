"""The tables of a play-money file. Nothing in it is worth anything; it says so in its first table.

The file is shared by every daemon of a machine, so the constraints below are the last line of defence against a bug in
any of them. What they hold together, beyond single rows:

    sum of all balances + sum of all live HTLCs = sum of all opening balances

Amounts are integers in millisatoshi, times integer seconds since 1970, keys and hashes raw bytes.
"""

from __future__ import annotations

import os
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    select,
)
from sqlalchemy.dialects.sqlite import insert

from lnrecur.adapters.sqlite import BUSY_TIMEOUT_MS, open_sqlite
from lnrecur.adapters.transactions import reading, writing
from lnrecur.errors import UsageError

SCHEMA_VERSION: Final = "1"
NOTICE: Final = "PLAY MONEY. The balances in this file are pretended and worth nothing."

metadata: Final = MetaData()

about: Final = Table(
    "about_this_play_money",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
"""What this file is, for whoever opens it with another program."""

accounts: Final = Table(
    "accounts",
    metadata,
    Column("node_id", LargeBinary, CheckConstraint("length(node_id) = 33"), primary_key=True),
    Column("balance_msat", BigInteger, CheckConstraint("balance_msat >= 0"), nullable=False),
    Column("opening_balance_msat", BigInteger, CheckConstraint("opening_balance_msat >= 0"), nullable=False),
    Column("opened_at", BigInteger, nullable=False),
)

receivables: Final = Table(
    "receivables",
    metadata,
    Column("payment_hash", LargeBinary, CheckConstraint("length(payment_hash) = 32"), primary_key=True),
    Column("node_id", LargeBinary, ForeignKey(accounts.c.node_id), nullable=False),
    Column("preimage", LargeBinary, CheckConstraint("length(preimage) = 32"), nullable=False),
    Column("path_id", LargeBinary, CheckConstraint("length(path_id) = 32"), nullable=False),
    Column("amount_msat", BigInteger, CheckConstraint("amount_msat > 0"), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("description", String, nullable=False),
    Column("context", LargeBinary, nullable=False),
    Column("state", String, CheckConstraint("state IN ('open', 'claimable', 'claimed', 'canceled')"), nullable=False),
    Column("received_msat", BigInteger, CheckConstraint("received_msat >= 0"), nullable=False),
    CheckConstraint("state NOT IN ('claimable', 'claimed') OR received_msat >= amount_msat", name="paid_in_full"),
)

payments: Final = Table(
    "payments",
    metadata,
    Column("payment_hash", LargeBinary, CheckConstraint("length(payment_hash) = 32"), primary_key=True),
    Column("payer", LargeBinary, ForeignKey(accounts.c.node_id), nullable=False),
    Column("amount_msat", BigInteger, CheckConstraint("amount_msat > 0"), nullable=False),
    Column("fee_msat", BigInteger, CheckConstraint("fee_msat >= 0"), nullable=False),
    Column("state", String, CheckConstraint("state IN ('pending', 'succeeded', 'failed')"), nullable=False),
    Column("reason", String),
    Column("retryable", Boolean, nullable=False),
    Column("preimage", LargeBinary, CheckConstraint("length(preimage) = 32")),
    Column("attempt", Integer, CheckConstraint("attempt >= 1"), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    CheckConstraint("(state = 'succeeded') = (preimage IS NOT NULL)", name="only_success_has_a_preimage"),
    CheckConstraint("(state = 'failed') = (reason IS NOT NULL)", name="only_failure_has_a_reason"),
)

htlcs: Final = Table(
    "htlcs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("payment_hash", LargeBinary, ForeignKey(payments.c.payment_hash), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("payee", LargeBinary, ForeignKey(accounts.c.node_id), nullable=False),
    Column("path_key", LargeBinary, CheckConstraint("length(path_key) = 33"), nullable=False),
    Column("encrypted_recipient_data", LargeBinary, nullable=False),
    Column("amount_msat", BigInteger, CheckConstraint("amount_msat > 0"), nullable=False),
    Column("cltv_expiry", BigInteger, nullable=False),
    Column("state", String, CheckConstraint("state IN ('offered', 'held', 'settled', 'failed')"), nullable=False),
    UniqueConstraint("payment_hash", "attempt"),
)
"""The money in flight: left the payer's balance when `offered`, is in nobody's until `settled` or `failed`."""

LIVE: Final = ("offered", "held")
"""The states of an HTLC that carries money."""

Index(
    "one_live_htlc_per_payment",
    htlcs.c.payment_hash,
    unique=True,
    sqlite_where=htlcs.c.state.in_(LIVE),
)
Index("htlcs_offered_to", htlcs.c.payee, sqlite_where=htlcs.c.state == "offered")

receipts: Final = Table(
    "receipts",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("node_id", LargeBinary, ForeignKey(accounts.c.node_id), nullable=False),
    Column("payment_hash", LargeBinary, ForeignKey(receivables.c.payment_hash), nullable=False),
    Column("state", String, CheckConstraint("state IN ('claimable', 'claimed', 'canceled')"), nullable=False),
    Column("amount_msat", BigInteger, CheckConstraint("amount_msat >= 0"), nullable=False),
    Column("context", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    UniqueConstraint("payment_hash", "state"),
    sqlite_autoincrement=True,
)
"""What receivers are told. `seq` is the cursor: given under the write lock, so it grows in order of commit."""

Index("receipts_of", receipts.c.node_id, receipts.c.seq)


def open_play_money(path: str | os.PathLike[str], busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    """Open or create a play-money file.

    Raises:
        UsageError: the file was written by a version of lnrecur whose tables differ.
        sqlalchemy.exc.DatabaseError: as `lnrecur.adapters.sqlite.open_sqlite`.
    """
    engine = open_sqlite(path, metadata=metadata, busy_timeout_ms=busy_timeout_ms)
    try:
        with writing(engine) as connection:
            for name, value in (("notice", NOTICE), ("schema_version", SCHEMA_VERSION)):
                connection.execute(insert(about).values(name=name, value=value).on_conflict_do_nothing())
        with reading(engine) as connection:
            found = connection.execute(select(about.c.value).where(about.c.name == "schema_version")).scalar_one()
        if found != SCHEMA_VERSION:
            raise UsageError(
                f"{os.fspath(path)} holds play money of version {found}, this lnrecur reads version {SCHEMA_VERSION}: "
                "move the file away to begin anew"
            )
    except BaseException:
        engine.dispose()
        raise
    return engine
