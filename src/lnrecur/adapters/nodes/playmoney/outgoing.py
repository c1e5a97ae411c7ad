"""The bookkeeping of play money, third part: what a payer sends (`accounts.py` says what all parts obey)."""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Connection, insert, select, update

from lnrecur.adapters.nodes.playmoney.accounts import balance, change_balance, fail_back, has_account
from lnrecur.adapters.nodes.playmoney.htlc import PaymentImpossible, has_timed_out, plan_htlc
from lnrecur.adapters.nodes.playmoney.schema import htlcs, payments
from lnrecur.ports import FailureReason, PayOrder, Rejected, Sent, SentState
from lnrecur.values import ZERO_MSAT, Msat, NodeId, PaymentHash, Preimage, UnixSeconds

_LOG: Final = logging.getLogger(__name__)


def pay(db: Connection, payer: NodeId, order: PayOrder, now: UnixSeconds) -> None:
    """Record a payment: in flight, or failed before it left.

    Raises:
        Rejected: another account pays under this payment_hash.
    """
    known = db.execute(select(payments).where(payments.c.payment_hash == order.payment_hash)).one_or_none()
    if known is not None and known.payer != payer:
        raise Rejected(f"{order.payment_hash.hex()} is being paid by another account")
    if known is not None and known.state != SentState.FAILED:
        return
    attempt = 1 if known is None else known.attempt + 1
    try:
        htlc, fee = plan_htlc(
            order, balance_msat=balance(db, payer), now=now, has_account=lambda node: has_account(db, node)
        )
    except PaymentImpossible as impossible:
        _LOG.info("play money: cannot pay %s: %s", order.payment_hash.hex(), impossible)
        _record_payment(db, payer, order, attempt, ZERO_MSAT, now, impossible)
        return
    _record_payment(db, payer, order, attempt, fee, now)
    change_balance(db, payer, -htlc.amount_msat)
    db.execute(
        insert(htlcs).values(
            payment_hash=htlc.payment_hash,
            attempt=attempt,
            payee=htlc.payee,
            path_key=htlc.path_key,
            encrypted_recipient_data=htlc.encrypted_recipient_data,
            amount_msat=htlc.amount_msat,
            cltv_expiry=htlc.cltv_expiry,
            state="offered",
        )
    )


def _record_payment(
    db: Connection,
    payer: NodeId,
    order: PayOrder,
    attempt: int,
    fee: Msat,
    now: UnixSeconds,
    impossible: PaymentImpossible | None = None,
) -> None:
    values = {
        "amount_msat": order.amount_msat,
        "fee_msat": fee,
        "state": SentState.PENDING.value if impossible is None else SentState.FAILED.value,
        "reason": None if impossible is None else impossible.reason.value,
        "retryable": impossible is not None and impossible.retryable,
        "attempt": attempt,
        "updated_at": now,
    }
    if attempt == 1:
        db.execute(insert(payments).values(payment_hash=order.payment_hash, payer=payer, **values))
    else:
        db.execute(update(payments).where(payments.c.payment_hash == order.payment_hash).values(**values))


def take_back_if_timed_out(db: Connection, payer: NodeId, payment_hash: PaymentHash, now: UnixSeconds) -> None:
    """End an HTLC that its payee never looked at, as the chain would (a held one stays: its payee has answered)."""
    row = db.execute(
        select(htlcs)
        .join(payments)
        .where(htlcs.c.payment_hash == payment_hash, htlcs.c.state == "offered", payments.c.payer == payer)
    ).one_or_none()
    if row is not None and has_timed_out(row.cltv_expiry, now):
        fail_back(db, row, FailureReason.PAYEE_UNREACHABLE, retryable=True, now=now)


def sent(db: Connection, payer: NodeId, payment_hash: PaymentHash) -> Sent:
    """How far an outgoing payment is."""
    row = db.execute(
        select(payments).where(payments.c.payment_hash == payment_hash, payments.c.payer == payer)
    ).one_or_none()
    if row is None:
        return Sent(SentState.UNKNOWN)
    return Sent(
        state=SentState(row.state),
        preimage=None if row.preimage is None else Preimage(row.preimage),
        fee_msat=Msat(row.fee_msat),
        reason=None if row.reason is None else FailureReason(row.reason),
        retryable=row.retryable,
    )
