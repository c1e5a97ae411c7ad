"""The first tables: offers, both sides' subscriptions, the outbox, events, books."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

_INBOUND_PHASES: Final = ("stranger", "starting", "active", "renewing", "completed", "cancelled")
_OUTBOUND_PHASES: Final = (
    "awaiting_first_invoice",
    "idle",
    "requesting",
    "paying",
    "needs_approval",
    "cancelling",
    "completed",
    "cancelled",
    "lapsed",
)
_KINDS: Final = ("send_invoice_request", "send_cancel", "pay", "ask_payment_status", "claim", "fail_back")
_ROLES: Final = ("payee", "payer")
_U32_MAX: Final = 2**32 - 1
_SUPPLY_MSAT: Final = 2_100_000_000_000_000_000


def tables(metadata: sa.MetaData) -> None:
    """Define them, in the order they are made."""
    sa.Table(
        "settings",
        metadata,
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    sa.Table(
        "offers",
        metadata,
        _id(),
        _sized("offer_id", 32, unique=True),
        sa.Column("offer", sa.LargeBinary, sa.CheckConstraint("length(offer) > 0", name="offer_size"), nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    _subscriptions(metadata)
    _outbox(metadata)
    _records(metadata)


def _subscriptions(metadata: sa.MetaData) -> None:
    sa.Table(
        "inbound",
        metadata,
        _id(),
        _sized("subject", 32, unique=True),
        _sized("offer_id", 32),
        _sized("payer_id", 33),
        _one_of("phase", _INBOUND_PHASES),
        _number("next_counter", 0),
        _number("received_msat", 0),
        _number("version", 1),
        sa.Column("detail", sa.Text, nullable=False),
        sa.UniqueConstraint("offer_id", "payer_id"),
        sqlite_autoincrement=True,
    )
    outbound = sa.Table(
        "outbound",
        metadata,
        _id(),
        _sized("recurrence_id", 32, unique=True),
        _one_of("phase", _OUTBOUND_PHASES),
        _number("next_counter", 0),
        _number("paid_msat", 0),
        sa.Column("wake_at", sa.BigInteger),
        _number("version", 1),
        sa.Column("detail", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    waits = outbound.c.wake_at.is_not(None)
    sa.Index(None, outbound.c.wake_at, sqlite_where=waits, postgresql_where=waits)


def _outbox(metadata: sa.MetaData) -> None:
    outbox = sa.Table(
        "outbox",
        metadata,
        _id(),
        _one_of("role", _ROLES),
        _sized("subject", 32),
        _one_of("kind", _KINDS),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False, index=True),
        _number("tries", 0),
        sqlite_autoincrement=True,
    )
    sa.Index(None, outbox.c.subject, outbox.c.id)


def _records(metadata: sa.MetaData) -> None:
    sa.Table(
        "events",
        metadata,
        _id(),
        _sized("subject", 32),
        _number("sequence", 1),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        _one_of("role", _ROLES),
        sa.Column("data", sa.Text, nullable=False),
        sa.UniqueConstraint("subject", "sequence"),
        sqlite_autoincrement=True,
    )
    payments = sa.Table(
        "payments",
        metadata,
        _id(),
        _one_of("role", _ROLES),
        _sized("subject", 32),
        _number("counter", 0, _U32_MAX),
        _sized("payment_hash", 32),
        _sized("preimage", 32),
        _number("amount_msat", 1, _SUPPLY_MSAT),
        _number("fee_msat", 0, _SUPPLY_MSAT),
        sa.Column("settled_at", sa.BigInteger, nullable=False),
        sa.Column("period_start", sa.BigInteger),
        sa.Column("surplus", sa.Boolean, nullable=False),
        sa.UniqueConstraint("role", "payment_hash"),
        sqlite_autoincrement=True,
    )
    counts = ~payments.c.surplus
    once = (payments.c.role, payments.c.subject, payments.c.counter)
    sa.Index("uq_payments_one_per_counter", *once, unique=True, sqlite_where=counts, postgresql_where=counts)
    sa.Index(None, payments.c.subject, payments.c.settled_at)


NAMES: Final = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}


def upgrade() -> None:
    """Make them, in an empty database."""
    metadata = sa.MetaData(naming_convention=NAMES)
    tables(metadata)
    metadata.create_all(op.get_bind(), checkfirst=False)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)


def _sized(name: str, size: int, *, unique: bool = False) -> sa.Column[bytes]:
    check = sa.CheckConstraint(f"length({name}) = {size}", name=f"{name}_size")
    return sa.Column(name, sa.LargeBinary, check, nullable=False, unique=unique)


def _number(name: str, least: int, most: int | None = None) -> sa.Column[int]:
    condition = f"{name} >= {least}" if most is None else f"{name} BETWEEN {least} AND {most}"
    return sa.Column(name, sa.BigInteger, sa.CheckConstraint(condition, name=f"{name}_range"), nullable=False)


def _one_of(name: str, words: tuple[str, ...]) -> sa.Column[Any]:
    listed = ", ".join(f"'{word}'" for word in words)
    check = sa.CheckConstraint(f"{name} IN ({listed})", name=f"{name}_known")
    return sa.Column(name, sa.String(64), check, nullable=False)
