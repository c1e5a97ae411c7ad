"""The bookkeeping of play money, second part: what a payee is to receive (`accounts.py` says what all parts obey)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from lnrecur.adapters.nodes.playmoney.accounts import change_balance, fail_back, live_htlc
from lnrecur.adapters.nodes.playmoney.htlc import Awaited, Htlc, HtlcRefused, check_htlc, is_expired
from lnrecur.adapters.nodes.playmoney.schema import htlcs, payments, receipts, receivables
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import (
    FailureReason,
    Receipt,
    Receivable,
    Received,
    ReceivedState,
    ReceiveOrder,
    Rejected,
    SentState,
)
from lnrecur.values import ZERO_MSAT, Msat, NodeId, PaymentHash, Point, Preimage, UnixSeconds

_LOG: Final = logging.getLogger(__name__)
_RECEIPTS_AT_ONCE: Final = 100


def find_receivable(db: Connection, node_id: NodeId, payment_hash: PaymentHash) -> Row[Any] | None:
    """A node's receivable."""
    return db.execute(
        select(receivables).where(receivables.c.payment_hash == payment_hash, receivables.c.node_id == node_id)
    ).one_or_none()


def is_registered(db: Connection, node_id: NodeId, order: ReceiveOrder) -> bool:
    """Whether a receive order is registered already.

    Raises:
        Rejected: its preimage is, with other terms.
    """
    found = db.execute(select(receivables).where(receivables.c.payment_hash == sha256(order.preimage))).one_or_none()
    if found is None:
        return False
    known = (found.node_id, found.amount_msat, found.expires_at, found.description, found.context)
    if known != (node_id, order.amount_msat, order.expires_at, order.description, order.context):
        raise Rejected(f"the preimage of {found.payment_hash.hex()} is registered with other terms")
    return True


def add_receivable(db: Connection, node_id: NodeId, order: ReceiveOrder, receivable: Receivable) -> None:
    """Record a new receivable as open."""
    db.execute(
        insert(receivables).values(
            payment_hash=receivable.payment_hash,
            node_id=node_id,
            preimage=order.preimage,
            path_id=receivable.path_id,
            amount_msat=order.amount_msat,
            expires_at=order.expires_at,
            description=order.description,
            context=order.context,
            state=ReceivedState.OPEN.value,
            received_msat=ZERO_MSAT,
        )
    )


def has_arrivals(db: Connection, node_id: NodeId) -> bool:
    """Whether HTLCs wait for this node's decision."""
    waiting = select(htlcs.c.id).where(htlcs.c.payee == node_id, htlcs.c.state == "offered").limit(1)
    return db.execute(waiting).first() is not None


def admit(db: Connection, node_key: PrivateKey, now: UnixSeconds) -> None:
    """Decide on every HTLC that waits for this node: hold it as claimable, or fail it back."""
    node_id = NodeId(node_key.point)
    waiting = db.execute(
        select(htlcs).where(htlcs.c.payee == node_id, htlcs.c.state == "offered").order_by(htlcs.c.id)
    ).all()
    for row in waiting:
        htlc = Htlc(
            PaymentHash(row.payment_hash),
            NodeId(row.payee),
            Point(row.path_key),
            row.encrypted_recipient_data,
            Msat(row.amount_msat),
            row.cltv_expiry,
        )
        receivable = find_receivable(db, node_id, htlc.payment_hash)
        try:
            check_htlc(htlc, _awaited(receivable), node_key, now)
        except HtlcRefused as refusal:
            _LOG.info("play money: refused an HTLC for %s: %s", htlc.payment_hash.hex(), refusal)
            fail_back(db, row, FailureReason.REFUSED_BY_PAYEE, retryable=False, now=now)
        else:
            assert receivable is not None  # check_htlc refuses what is not awaited
            db.execute(update(htlcs).where(htlcs.c.id == row.id).values(state="held"))
            _turn(db, receivable, ReceivedState.CLAIMABLE, htlc.amount_msat, now)


def _awaited(row: Row[Any] | None) -> Awaited | None:
    if row is None:
        return None
    return Awaited(ReceivedState(row.state), row.path_id, Msat(row.amount_msat), UnixSeconds(row.expires_at))


def withdraw_if_expired(db: Connection, node_id: NodeId, payment_hash: PaymentHash, now: UnixSeconds) -> None:
    """Cancel a receivable that expired while nothing had arrived."""
    row = find_receivable(db, node_id, payment_hash)
    if row is not None and row.state == ReceivedState.OPEN and is_expired(row.expires_at, now):
        _turn(db, row, ReceivedState.CANCELED, ZERO_MSAT, now)


def received(db: Connection, node_id: NodeId, payment_hash: PaymentHash) -> Received:
    """How far an incoming payment is."""
    row = find_receivable(db, node_id, payment_hash)
    if row is None:
        return Received(ReceivedState.UNKNOWN)
    return Received(ReceivedState(row.state), Msat(row.received_msat), row.context)


def claim(db: Connection, node_id: NodeId, preimage: Preimage, now: UnixSeconds) -> None:
    """Give the payee what is held for it and the payer the preimage.

    Raises:
        Rejected: nothing is held under this preimage.
    """
    row = find_receivable(db, node_id, PaymentHash(sha256(preimage)))
    if row is None:
        raise Rejected("no receivable was registered with this preimage")
    if row.state == ReceivedState.CLAIMED:
        return
    if row.state != ReceivedState.CLAIMABLE:
        raise Rejected(f"nothing to claim for {row.payment_hash.hex()}: it is {row.state}")
    held = live_htlc(db, row.payment_hash)
    db.execute(update(htlcs).where(htlcs.c.id == held.id).values(state="settled"))
    change_balance(db, node_id, held.amount_msat)
    db.execute(
        update(payments)
        .where(payments.c.payment_hash == row.payment_hash)
        .values(state=SentState.SUCCEEDED.value, preimage=preimage, updated_at=now)
    )
    _turn(db, row, ReceivedState.CLAIMED, Msat(held.amount_msat), now)
    _LOG.info("play money: claimed %d msat for %s", held.amount_msat, row.payment_hash.hex())


def cancel(db: Connection, node_id: NodeId, payment_hash: PaymentHash, now: UnixSeconds) -> bool:
    """Fail back what is held, or withdraw the receivable; False once it was claimed."""
    row = find_receivable(db, node_id, payment_hash)
    if row is None or row.state == ReceivedState.CANCELED:
        return True
    if row.state == ReceivedState.CLAIMED:
        return False
    if row.state == ReceivedState.CLAIMABLE:
        held = live_htlc(db, payment_hash)
        fail_back(db, held, FailureReason.REFUSED_BY_PAYEE, retryable=False, now=now)
    _turn(db, row, ReceivedState.CANCELED, ZERO_MSAT, now)
    return True


def _turn(db: Connection, row: Row[Any], state: ReceivedState, amount: Msat, now: UnixSeconds) -> None:
    """Bring a receivable into another state and write the receipt of it."""
    db.execute(
        update(receivables)
        .where(receivables.c.payment_hash == row.payment_hash)
        .values(state=state.value, received_msat=amount)
    )
    db.execute(
        insert(receipts).values(
            node_id=row.node_id,
            payment_hash=row.payment_hash,
            state=state.value,
            amount_msat=amount,
            context=row.context,
            at=now,
        )
    )


def receipts_after(db: Connection, node_id: NodeId, seq: int) -> Sequence[Receipt]:
    """The next receipts of a node, at most 100."""
    rows = db.execute(
        select(receipts)
        .where(receipts.c.node_id == node_id, receipts.c.seq > seq)
        .order_by(receipts.c.seq)
        .limit(_RECEIPTS_AT_ONCE)
    )
    return [
        Receipt(
            cursor=str(row.seq),
            payment_hash=PaymentHash(row.payment_hash),
            state=ReceivedState(row.state),
            amount_msat=Msat(row.amount_msat),
            context=row.context,
            at=UnixSeconds(row.at),
        )
        for row in rows
    ]
