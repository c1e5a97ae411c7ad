"""The tables in which subscriptions, what is to be done, what happened and what was paid are kept.

A subscription's whole state stands in `detail` (encoding.py); of what we pay, the id and the offer stand beside it. All
other columns of its row are copies of what the database itself must search, order or check; nothing is read back from
them. So a new field of a state needs no new column.

What may exist only once is unique here and not only in the code, because other processes use the same tables: a payer
of an offer, a recurrence_id, the key of an order, the number of an event of a subscription, a payment_hash on one side,
a settled payment for a counter. A surplus payment (owed back) may stand beside the one that counts.

Ids are AUTOINCREMENT: SQLite would otherwise give the id of the last deleted outbox entry to the next one, and an
`effect_done` said twice would remove a deed that nobody did.

SQL integers have 64 bits and a sign, lnrecur's times go up to 2^64 and sums have no bound. A number beyond 2^63 - 1 is
clamped to it in its column: for the order of wake-ups and for a sum on a page that is as good, since the year
292,277,026,596 does not come; `detail` keeps the exact number. Rows without `detail` hold our own clock's times, except
the `period_start` of the books, which is what the clamp makes of it.

Amounts are integers in millisatoshi, times integer seconds since 1970, keys and hashes raw bytes. Only types that
SQLite and PostgreSQL both have are used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from lnrecur.adapters.store.encoding import EFFECT_KINDS
from lnrecur.ports import Role
from lnrecur.recurrence import inbound_model, outbound_model
from lnrecur.recurrence.offering import OfferStatus
from lnrecur.values import POINT_SIZE

SCHEMA_VERSION: Final = 2
"""Of these tables. Who changes them adds one, and a revision that makes the change in `migrations/versions`."""
RECEIPT_CURSOR_KEY: Final = "receipt_cursor"

I64_MAX: Final = 2**63 - 1
U32_MAX: Final = 2**32 - 1
SUPPLY_MSAT: Final = 21_000_000 * 100_000_000 * 1000
"""All bitcoin there will ever be; no single payment is bigger."""
_HASH_SIZE: Final = 32

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def clamp(value: int) -> int:
    """A number as a column can hold it."""
    return min(value, I64_MAX)


def _id() -> Column[int]:
    # SQLite has AUTOINCREMENT for a column of exactly the type INTEGER only, which has 64 bits there.
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _sized(name: str, size: int, *, unique: bool = False) -> Column[bytes]:
    """Bytes of one length."""
    check = CheckConstraint(f"length({name}) = {size}", name=f"{name}_size")
    return Column(name, LargeBinary, check, nullable=False, unique=unique)


def _number(name: str, least: int, most: int | None = None) -> Column[int]:
    """A whole number with a least and perhaps a greatest value."""
    condition = f"{name} >= {least}" if most is None else f"{name} BETWEEN {least} AND {most}"
    return Column(name, BigInteger, CheckConstraint(condition, name=f"{name}_range"), nullable=False)


def _moment(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _claimed_by() -> Column[int]:
    """The number of the worker that has it; it counts while that worker is in `workers`."""
    return Column("claimed_by", BigInteger, nullable=True)


def _one_of(name: str, words: Iterable[str], *, nullable: bool = False) -> Column[str]:
    """One of the words, and nothing else."""
    listed = ", ".join(f"'{word}'" for word in words)
    check = CheckConstraint(f"{name} IN ({listed})", name=f"{name}_known")
    return Column(name, String(64), check, nullable=nullable)


settings: Final = Table(
    "settings",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""How far the money node's receipts were handled."""

offers: Final = Table(
    "offers",
    metadata,
    _id(),
    _sized("offer_id", _HASH_SIZE, unique=True),
    Column("offer", LargeBinary, CheckConstraint("length(offer) > 0", name="offer_size"), nullable=False),
    Column("policy", Text, nullable=False),
    _moment("created_at"),
    Column("label", Text, nullable=False),
    _one_of("status", OfferStatus),
    Column("successor", Text),
    sqlite_autoincrement=True,
)

inbound: Final = Table(
    "inbound",
    metadata,
    _id(),
    _sized("subject", _HASH_SIZE, unique=True),
    _sized("offer_id", _HASH_SIZE),
    _sized("payer_id", POINT_SIZE),
    _one_of("phase", inbound_model.Phase),
    _number("next_counter", 0),
    _number("received_msat", 0),
    _moment("wake_at", nullable=True),
    _claimed_by(),
    _number("version", 1),
    Column("detail", Text, nullable=False),
    UniqueConstraint("offer_id", "payer_id"),
    sqlite_autoincrement=True,
)
"""Payers of offers of ours. `subject` is the subscription_id."""

outbound: Final = Table(
    "outbound",
    metadata,
    _id(),
    _sized("recurrence_id", _HASH_SIZE, unique=True),
    _one_of("phase", outbound_model.Phase),
    _number("next_counter", 0),
    _number("paid_msat", 0),
    _moment("wake_at", nullable=True),
    _claimed_by(),
    _number("version", 1),
    Column("offer", LargeBinary, CheckConstraint("length(offer) > 0", name="offer_size"), nullable=False),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Subscriptions that we pay."""

orders: Final = Table(
    "orders",
    metadata,
    Column("key", String(200), primary_key=True),
    _sized("digest", _HASH_SIZE),
    _sized("recurrence_id", _HASH_SIZE),
)
"""What clients ordered under keys of their own: the same order again makes no second subscription or payment."""

for _wake_at in (inbound.c.wake_at, outbound.c.wake_at):
    Index(None, _wake_at, sqlite_where=_wake_at.is_not(None), postgresql_where=_wake_at.is_not(None))

outbox: Final = Table(
    "outbox",
    metadata,
    _id(),
    _one_of("role", Role),
    _sized("subject", _HASH_SIZE),
    _one_of("kind", EFFECT_KINDS),
    Column("payload", Text, nullable=False),
    Column("due_at", BigInteger, nullable=False, index=True),
    _number("tries", 0),
    _claimed_by(),
    sqlite_autoincrement=True,
)
"""What is yet to be done; done entries are deleted. A `claim` holds a preimage until it is done."""
Index(None, outbox.c.subject, outbox.c.id)

workers: Final = Table(
    "workers",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("place", Text, nullable=False, unique=True),
    Column("messages", Boolean, nullable=False),
    Column("work", Boolean, nullable=False),
    Column("version", Text, nullable=False),
    _number("beats", 0),
    sqlite_autoincrement=True,
)
"""The processes that work on this database. `number` is a fencing number: it only grows, and who is out writes nothing.
"""

Index(
    "uq_workers_one_for_messages",
    workers.c.messages,
    unique=True,
    sqlite_where=workers.c.messages,
    postgresql_where=workers.c.messages,
)

events: Final = Table(
    "events",
    metadata,
    _id(),
    _sized("subject", _HASH_SIZE),
    _number("sequence", 1),
    _moment("at"),
    Column("name", Text, nullable=False),
    _one_of("role", Role, nullable=True),
    Column("data", Text, nullable=False),
    UniqueConstraint("subject", "sequence"),
    sqlite_autoincrement=True,
)

payments: Final = Table(
    "payments",
    metadata,
    _id(),
    _one_of("role", Role),
    _sized("subject", _HASH_SIZE),
    _number("counter", 0, U32_MAX),
    _sized("payment_hash", _HASH_SIZE),
    _sized("preimage", _HASH_SIZE),
    _number("amount_msat", 1, SUPPLY_MSAT),
    _number("fee_msat", 0, SUPPLY_MSAT),
    _moment("settled_at"),
    _moment("period_start", nullable=True),
    Column("surplus", Boolean, nullable=False),
    Column("currency", String(3)),
    Column("amount_minor", BigInteger),
    Column("minor_per_btc", BigInteger),
    Column("rate_at", BigInteger),
    Column("rate_source", Text),
    UniqueConstraint("role", "payment_hash"),
    sqlite_autoincrement=True,
)
"""The books. Rows are added and never changed."""

Index(
    "uq_payments_one_per_counter",
    payments.c.role,
    payments.c.subject,
    payments.c.counter,
    unique=True,
    sqlite_where=~payments.c.surplus,
    postgresql_where=~payments.c.surplus,
)
Index(None, payments.c.subject, payments.c.settled_at)
