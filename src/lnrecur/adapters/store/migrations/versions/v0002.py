"""Pauses, offers that end, rates in the books, a payee that watches its windows, workers, and keys of orders."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Final

import sqlalchemy as sa
from alembic import op

from lnrecur.adapters.store.migrations import keeping_ids
from lnrecur.adapters.store.migrations.versions.v0001 import NAMES, tables

revision: Final = "0002"
down_revision: Final = "0001"

_INBOUND_PHASES: Final = (
    "stranger",
    "starting",
    "active",
    "renewing",
    "completed",
    "cancelled",
    "lapsed",
    "ended",
)
_OUTBOUND_PHASES: Final = (
    "awaiting_first_invoice",
    "idle",
    "requesting",
    "paying",
    "needs_approval",
    "paused",
    "cancelling",
    "completed",
    "cancelled",
    "lapsed",
)
_OFFER_STATUSES: Final = ("open", "retired", "paused", "ended", "replaced")


def upgrade() -> None:
    """Version 1 to version 2."""
    before = sa.MetaData(naming_convention=NAMES)
    tables(before)
    _change_offers(before.tables["offers"])
    _change_outbound(before.tables["outbound"])
    _allow_phases(before.tables["inbound"], _INBOUND_PHASES)
    _watch_windows()
    for column in (
        sa.Column("currency", sa.String(3)),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("minor_per_btc", sa.BigInteger),
        sa.Column("rate_at", sa.BigInteger),
        sa.Column("rate_source", sa.Text),
    ):
        op.add_column("payments", column)
    _seat_workers()
    _keep_orders()
    _tell_of_the_node(before.tables["events"])


def _change_offers(before: sa.Table) -> None:
    """An offer was open or closed for new subscribers; now it has a status."""
    db = op.get_bind()
    with op.batch_alter_table("offers") as offers:
        offers.add_column(sa.Column("status", sa.String(64)))
        offers.add_column(sa.Column("successor", sa.Text))
    db.execute(sa.text("UPDATE offers SET status = CASE WHEN active THEN 'open' ELSE 'retired' END"))
    with keeping_ids(db, "offers"), op.batch_alter_table("offers", copy_from=_widened(before)) as offers:
        offers.drop_column("active")
        offers.alter_column("status", existing_type=sa.String(64), nullable=False)
        offers.create_check_constraint(op.f("ck_offers_status_known"), _one_of("status", _OFFER_STATUSES))


def _widened(offers: sa.Table) -> sa.Table:
    offers.append_column(sa.Column("status", sa.String(64)))
    offers.append_column(sa.Column("successor", sa.Text))
    return offers


def _change_outbound(before: sa.Table) -> None:
    """The offer of a subscription that we pay has a column of its own, and its id stands in one place only."""
    db, name = op.get_bind(), op.f("ck_outbound_phase_known")
    op.add_column("outbound", sa.Column("offer", sa.LargeBinary))
    for row in db.execute(sa.text("SELECT id, detail FROM outbound")).all():
        stored = json.loads(row.detail)
        del stored["body"]["recurrence_id"]
        offer = b64decode(stored["body"].pop("offer_bytes"))
        split = {"id": row.id, "offer": offer, "detail": json.dumps(stored, separators=(",", ":"), ensure_ascii=False)}
        db.execute(sa.text("UPDATE outbound SET offer = :offer, detail = :detail WHERE id = :id"), split)
    before.append_column(sa.Column("offer", sa.LargeBinary))
    with keeping_ids(db, "outbound"), op.batch_alter_table("outbound", copy_from=before) as outbound:
        outbound.drop_constraint(name, type_="check")
        outbound.create_check_constraint(name, _one_of("phase", _OUTBOUND_PHASES))
        outbound.alter_column("offer", existing_type=sa.LargeBinary, nullable=False)
        outbound.create_check_constraint(op.f("ck_outbound_offer_size"), "length(offer) > 0")


def _allow_phases(before: sa.Table, phases: tuple[str, ...]) -> None:
    name = op.f(f"ck_{before.name}_phase_known")
    with keeping_ids(op.get_bind(), before.name), op.batch_alter_table(before.name, copy_from=before) as table:
        table.drop_constraint(name, type_="check")
        table.create_check_constraint(name, _one_of("phase", phases))


def _watch_windows() -> None:
    """Subscriptions that are paid to us are due once, at once: the machine then plans when to look at each again."""
    db = op.get_bind()
    op.add_column("inbound", sa.Column("wake_at", sa.BigInteger))
    waits = sa.text("wake_at IS NOT NULL")
    op.create_index("ix_inbound_wake_at", "inbound", ["wake_at"], sqlite_where=waits, postgresql_where=waits)
    for row in db.execute(sa.text("SELECT id, detail FROM inbound WHERE phase = 'active'")).all():
        stored = json.loads(row.detail)
        stored["body"]["wake_at"] = 0
        woken = {"id": row.id, "detail": json.dumps(stored, separators=(",", ":"))}
        db.execute(sa.text("UPDATE inbound SET wake_at = 0, detail = :detail WHERE id = :id"), woken)


def _seat_workers() -> None:
    """Several processes share the work, and mark what they have claimed."""
    for name in ("inbound", "outbound", "outbox"):
        op.add_column(name, sa.Column("claimed_by", sa.BigInteger))
    workers = sa.Table(
        "workers",
        sa.MetaData(naming_convention=NAMES),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("place", sa.Text, nullable=False, unique=True),
        sa.Column("messages", sa.Boolean, nullable=False),
        sa.Column("work", sa.Boolean, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("beats", sa.BigInteger, sa.CheckConstraint("beats >= 0", name="beats_range"), nullable=False),
        sqlite_autoincrement=True,
    )
    one = workers.c.messages
    sa.Index("uq_workers_one_for_messages", one, unique=True, sqlite_where=one, postgresql_where=one)
    workers.create(op.get_bind())


def _keep_orders() -> None:
    """Clients give their orders keys, so that an order given twice is one."""
    orders = sa.Table(
        "orders",
        sa.MetaData(naming_convention=NAMES),
        sa.Column("key", sa.String(200), primary_key=True),
        _hash("digest"),
        _hash("recurrence_id"),
    )
    orders.create(op.get_bind())


def _hash(name: str) -> sa.Column[bytes]:
    check = sa.CheckConstraint(f"length({name}) = 32", name=f"{name}_size")
    return sa.Column(name, sa.LargeBinary, check, nullable=False)


def _tell_of_the_node(before: sa.Table) -> None:
    """Events of the money node have no role."""
    with keeping_ids(op.get_bind(), "events"), op.batch_alter_table("events", copy_from=before) as events:
        events.alter_column("role", existing_type=sa.String(64), nullable=True)


def _one_of(name: str, words: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{name} IN ({listed})"
