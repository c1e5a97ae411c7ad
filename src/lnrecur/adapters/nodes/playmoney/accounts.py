"""The bookkeeping of play money, first part: accounts, and the way back from an HTLC into a balance.

`accounts`, `incoming` and `outgoing` hold what one transaction reads and writes. Every function in them runs inside a
transaction that its caller opened (`lnrecur.adapters.sqlite.writing`) and leaves the books balanced: money goes from a
balance into an HTLC, and from an HTLC into a balance, never anywhere else. A process killed at any line is therefore
undone to a state in which nothing is lost or doubled.

They decide nothing (`htlc.py` does) and know no clock: `now` is an argument.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects.sqlite import insert

from lnrecur.adapters.nodes.playmoney.schema import LIVE, accounts, htlcs, payments
from lnrecur.ports import FailureReason, SentState
from lnrecur.values import ZERO_MSAT, Msat, NodeId, UnixSeconds


def open_account(db: Connection, node_id: NodeId, opening_balance_msat: Msat, now: UnixSeconds) -> bool:
    """Open a node's account with its opening balance; True if it was not there yet."""
    opened = db.execute(
        insert(accounts)
        .values(
            node_id=node_id,
            balance_msat=opening_balance_msat,
            opening_balance_msat=opening_balance_msat,
            opened_at=now,
        )
        .on_conflict_do_nothing()
    )
    return opened.rowcount == 1


def balance(db: Connection, node_id: NodeId) -> Msat:
    """What an account can spend."""
    found = db.execute(select(accounts.c.balance_msat).where(accounts.c.node_id == node_id)).scalar_one()
    return Msat(found)


def change_balance(db: Connection, node_id: bytes, change_msat: int) -> None:
    """Add to a balance or, with a negative change, take from it; the file refuses to go below zero."""
    db.execute(
        update(accounts).where(accounts.c.node_id == node_id).values(balance_msat=accounts.c.balance_msat + change_msat)
    )


def has_account(db: Connection, node_id: NodeId) -> bool:
    """Whether a node has an account in this file."""
    return db.execute(select(accounts.c.node_id).where(accounts.c.node_id == node_id)).first() is not None


def live_htlc(db: Connection, payment_hash: bytes) -> Row[Any]:
    """The HTLC that carries a payment's money."""
    return db.execute(select(htlcs).where(htlcs.c.payment_hash == payment_hash, htlcs.c.state.in_(LIVE))).one()


def fail_back(db: Connection, htlc: Row[Any], reason: FailureReason, *, retryable: bool, now: UnixSeconds) -> None:
    """Give an HTLC's money back to its payer and fail the payment."""
    db.execute(update(htlcs).where(htlcs.c.id == htlc.id).values(state="failed"))
    payer = db.execute(select(payments.c.payer).where(payments.c.payment_hash == htlc.payment_hash)).scalar_one()
    change_balance(db, payer, htlc.amount_msat)
    db.execute(
        update(payments)
        .where(payments.c.payment_hash == htlc.payment_hash)
        .values(
            state=SentState.FAILED.value, fee_msat=ZERO_MSAT, reason=reason.value, retryable=retryable, updated_at=now
        )
    )
