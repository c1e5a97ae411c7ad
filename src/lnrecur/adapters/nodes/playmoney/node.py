"""The play-money node: `MoneyNode` over one SQLite file that all daemons of a machine share.

PLAY MONEY: it moves numbers in a file, for trying lnrecur out and for tests of whole daemons. What it does with them
is what a Lightning node does: the payer's node hands an HTLC to the payee's, which decrypts the end of the blinded
path with its own node key, checks path_id, amount and expiry, and holds the HTLC until the payee claims it or fails it
back. The payer's payment succeeds when the payee has claimed, not before.

The other side of a payment is another process. It never calls us; it leaves a row. So a payee looks for HTLCs every
50 ms (one indexed read, microseconds) while somebody follows `receipts` or `run`, and whenever it is asked. That pace
is the machine's, not the protocol's: it is kept with real time even where the clock is a test's.

Threads: a commit waits for the disk, and the write lock may be another process's for a while, so no transaction may
run on the event loop. Each node has one worker thread, and hence one connection. `asyncio.to_thread` behind a lock
would lose the order of calls when a caller is cancelled, because the lock is released while its thread still works; a
queue of one worker cannot.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, OperationalError

from lnrecur.adapters.nodes.playmoney import accounts, incoming, outgoing
from lnrecur.adapters.nodes.playmoney.htlc import (
    MAX_MSAT,
    OPENING_BALANCE,
    block_height,
    check_not_expired,
    check_pay_order,
    receivable_for,
)
from lnrecur.adapters.nodes.playmoney.schema import open_play_money
from lnrecur.adapters.sqlite import BUSY_TIMEOUT_MS
from lnrecur.adapters.transactions import reading, writing
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.ports import (
    Clock,
    InboundEdge,
    NodeInfo,
    PayOrder,
    Receipt,
    Receivable,
    Received,
    ReceiveOrder,
    Sent,
    SentState,
    Unavailable,
)
from lnrecur.values import REGTEST, ChainHash, Msat, NodeId, PaymentHash, Preimage

KIND: Final = "play money"
POLL_SECONDS: Final = 0.05

_LOG: Final = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class PlayMoneyNode:
    """A `lnrecur.ports.MoneyNode` of play money: one account in a file shared with the other daemons of this machine.

    Give it back with `close` or use it in `async with`. Any number of processes may have the file open, with one node
    per key.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        key: PrivateKey,
        clock: Clock,
        *,
        opening_balance_msat: Msat = OPENING_BALANCE,
        chain: ChainHash = REGTEST,
        poll_seconds: float = POLL_SECONDS,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    ) -> None:
        """Open the file, creating it where there is none, and on first use this node's account.

        Args:
            path: the SQLite file.
            key: the node's key; its point is the account's name.
            clock: what expiry is measured by.
            opening_balance_msat: play money granted when the account is opened, never again.
            chain: which chain the node claims to be on; regtest, so that no real wallet mistakes it for money.
            poll_seconds: pause between two looks for news from other processes.
            busy_timeout_ms: how long to wait for another process's lock before being `Unavailable`.

        Raises:
            UsageError: the file is no play money of this version, or the opening balance cannot be.
            Unavailable: the file cannot be opened or written.
        """
        self._key = key
        self._node_id = NodeId(key.point)
        self._clock = clock
        self._chain = chain
        self._poll_seconds = poll_seconds
        if not 0 <= opening_balance_msat <= MAX_MSAT:
            raise UsageError(f"an opening balance is between 0 and {MAX_MSAT} msat", field="opening_balance_msat")
        self._engine = _open(path, busy_timeout_ms)
        with _border(), writing(self._engine) as db:
            opened = accounts.open_account(db, self._node_id, opening_balance_msat, clock.now())
        if opened:
            _LOG.info("play money: %s begins with %d msat", self._node_id.hex(), opening_balance_msat)
        self._closed = False
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="play-money")

    async def __aenter__(self) -> PlayMoneyNode:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what was asked for, then let go of the file. The node is of no use afterwards."""
        self._closed = True
        self._worker.shutdown()
        self._engine.dispose()

    async def info(self) -> NodeInfo:
        """Who it is: "play money", on a chain of pretended blocks."""
        return NodeInfo(
            node_id=self._node_id,
            chain=self._chain,
            block_height=block_height(self._clock.now()),
            can_hold=True,
            kind=KIND,
            is_play_money=True,
        )

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        """None: a payment path begins at the node itself."""
        return []

    async def balance(self) -> Msat:
        """What this node can spend: its play money without what is in flight.

        Raises:
            Unavailable: the file did not answer.
        """
        return await self._read(lambda db: accounts.balance(db, self._node_id))

    # --- the payee's side

    async def register(self, order: ReceiveOrder) -> Receivable:
        """See `lnrecur.ports.MoneyNode.register`."""

        def work(db: Connection) -> Receivable:
            receivable = receivable_for(self._key, order)
            if not incoming.is_registered(db, self._node_id, order):
                check_not_expired(order, self._clock.now())
                incoming.add_receivable(db, self._node_id, order, receivable)
            return receivable

        return await self._write(work)

    async def received(self, payment_hash: PaymentHash) -> Received:
        """See `lnrecur.ports.MoneyNode.received`.

        Raises:
            Unavailable: the file did not answer.
        """

        def work(db: Connection) -> Received:
            self._bring_up_to_date(db, payment_hash)
            return incoming.received(db, self._node_id, payment_hash)

        return await self._write(work)

    async def claim(self, preimage: Preimage) -> None:
        """See `lnrecur.ports.MoneyNode.claim`."""

        def work(db: Connection) -> None:
            self._bring_up_to_date(db, PaymentHash(sha256(preimage)))
            incoming.claim(db, self._node_id, preimage, self._clock.now())

        await self._write(work)

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        """See `lnrecur.ports.MoneyNode.cancel`; a payment_hash nobody registered counts as withdrawn.

        Raises:
            Unavailable: no answer; ask `received`.
        """

        def work(db: Connection) -> bool:
            self._bring_up_to_date(db, payment_hash)
            return incoming.cancel(db, self._node_id, payment_hash, self._clock.now())

        return await self._write(work)

    async def receipts(
        self, cursor: str | None, on_caught_up: Callable[[], None] | None = None
    ) -> AsyncIterator[Receipt]:
        """See `lnrecur.ports.MoneyNode.receipts`. Following them also admits what arrives.

        Raises:
            UsageError: the cursor is none of ours.
            Unavailable: the file did not answer; begin again from the last cursor.
        """
        seq = _parse_cursor(cursor)
        while True:
            await self._admit()
            news = await self._read(partial(incoming.receipts_after, node_id=self._node_id, seq=seq))
            for receipt in news:
                yield receipt
                seq = int(receipt.cursor)
            if not news:
                if on_caught_up is not None:
                    on_caught_up()
                await asyncio.sleep(self._poll_seconds)

    async def run(self) -> None:
        """Admit what arrives for this node, for ever: for a payee that does not follow `receipts`."""
        while True:
            try:
                await self._admit()
            except Unavailable as error:
                _LOG.warning("play money: cannot look for payments, trying again: %s", error)
            await asyncio.sleep(self._poll_seconds)

    # --- the payer's side

    async def pay(self, order: PayOrder) -> None:
        """See `lnrecur.ports.MoneyNode.pay`."""
        check_pay_order(order)
        await self._write(lambda db: outgoing.pay(db, self._node_id, order, self._clock.now()))

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        """See `lnrecur.ports.MoneyNode.sent`.

        Raises:
            Unavailable: the file did not answer.
        """

        def work(db: Connection) -> Sent:
            outgoing.take_back_if_timed_out(db, self._node_id, payment_hash, self._clock.now())
            return outgoing.sent(db, self._node_id, payment_hash)

        return await self._write(work)

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        """See `lnrecur.ports.MoneyNode.follow`: looks at the file at the node's pace."""
        while True:
            sent = await self._read(lambda db: outgoing.sent(db, self._node_id, payment_hash))
            if sent.state is not SentState.PENDING:
                return sent
            await asyncio.sleep(self._poll_seconds)

    # --- transactions

    async def _admit(self) -> None:
        if await self._read(lambda db: incoming.has_arrivals(db, self._node_id)):
            await self._write(lambda db: incoming.admit(db, self._key, self._clock.now()))

    def _bring_up_to_date(self, db: Connection, payment_hash: PaymentHash) -> None:
        now = self._clock.now()
        incoming.admit(db, self._key, now)
        incoming.withdraw_if_expired(db, self._node_id, payment_hash, now)

    async def _write(self, work: Callable[[Connection], _Answer]) -> _Answer:
        def transaction() -> _Answer:
            with _border(), writing(self._engine) as db:
                return work(db)

        return await self._in_turn(transaction)

    async def _read(self, work: Callable[[Connection], _Answer]) -> _Answer:
        def transaction() -> _Answer:
            with _border(), reading(self._engine) as db:
                return work(db)

        return await self._in_turn(transaction)

    async def _in_turn(self, transaction: Callable[[], _Answer]) -> _Answer:
        if self._closed:
            raise Unavailable("this play-money node was closed")
        return await asyncio.get_running_loop().run_in_executor(self._worker, transaction)


def _open(path: str | os.PathLike[str], busy_timeout_ms: int) -> Engine:
    try:
        with _border():
            return open_play_money(path, busy_timeout_ms)
    except DatabaseError as error:
        raise UsageError(f"{os.fspath(path)} is no file of play money: {error.orig}") from error


@contextmanager
def _border() -> Iterator[None]:
    """What SQLAlchemy calls an operational error (locked, full, gone) is a node that gave no answer."""
    try:
        yield
    except OperationalError as error:
        raise Unavailable(f"the play-money file did not answer: {error.orig}") from error


def _parse_cursor(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()):
        raise UsageError(f"no cursor of play money: {cursor!r}", field="cursor")
    return int(cursor)
