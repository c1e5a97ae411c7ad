"""What only the play-money node does: one file for several processes, any of which may be killed at any moment."""

from __future__ import annotations

import asyncio
import logging
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import playmoney_child
import pytest
from playmoney_child import NOW, PAYEE, PAYER, PRICE, node, pay_order, receive_order

from lnrecur.adapters.nodes.playmoney import OPENING_BALANCE, PlayMoneyNode
from lnrecur.errors import UsageError
from lnrecur.ports import FailureReason, Received, ReceivedState, SentState, Unavailable
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, Msat

CHILD = str(Path(playmoney_child.__file__))
TEN_MINUTES = 600


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "play-money.sqlite"


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, CHILD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def hear(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().decode().strip()


def kill(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    for pipe in (child.stdin, child.stdout):
        assert pipe is not None
        pipe.close()


def money(file: Path) -> tuple[int, int, int]:
    """All opening balances, all balances, and all that is in flight."""
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        opening, balances = db.execute("SELECT sum(opening_balance_msat), sum(balance_msat) FROM accounts").fetchone()
        live = db.execute("SELECT coalesce(sum(amount_msat), 0) FROM htlcs WHERE state IN ('offered', 'held')")
        return opening, balances, live.fetchone()[0]


# --- accounts and the file


async def test_the_file_and_the_node_say_play_money(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="lnrecur"):
        async with node(str(file), PAYER) as payer:
            info = await payer.info()
    assert info.is_play_money
    assert info.kind == "play money"
    assert info.can_hold
    assert info.chain == REGTEST
    assert info.node_id == PAYER.point
    assert caplog.records
    assert all(record.message.startswith("play money: ") for record in caplog.records)
    with closing(sqlite3.connect(file)) as db:
        notice = db.execute("SELECT value FROM about_this_play_money WHERE name = 'notice'").fetchone()[0]
    assert "PLAY MONEY" in notice


async def test_the_opening_balance_is_granted_once(file: Path) -> None:
    for _ in range(2):
        async with node(str(file), PAYER) as payer:
            assert await payer.balance() == OPENING_BALANCE == 1_000_000_000
    async with PlayMoneyNode(file, PAYEE, VirtualClock(NOW), opening_balance_msat=Msat(7)) as payee:
        assert await payee.balance() == 7
    assert money(file) == (OPENING_BALANCE + 7, OPENING_BALANCE + 7, 0)


def test_an_opening_balance_that_cannot_be_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="opening balance"):
        PlayMoneyNode(file, PAYER, VirtualClock(NOW), opening_balance_msat=Msat(-1))


def test_a_file_of_another_version_is_refused(file: Path) -> None:
    node(str(file), PAYER).close()
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE about_this_play_money SET value = '0' WHERE name = 'schema_version'")
    with pytest.raises(UsageError, match="version 0"):
        node(str(file), PAYER)


def test_what_is_no_database_is_refused(file: Path) -> None:
    file.write_bytes(b"no database at all, but long enough to look like one" * 100)
    with pytest.raises(UsageError, match="no file of play money"):
        node(str(file), PAYER)


def test_a_file_that_cannot_be_created_is_a_node_that_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        node(str(tmp_path / "nowhere" / "play-money.sqlite"), PAYER)


async def test_a_file_locked_for_too_long_is_a_node_that_is_unavailable(file: Path) -> None:
    async with PlayMoneyNode(file, PAYEE, VirtualClock(NOW), busy_timeout_ms=10) as payee:
        order = receive_order(bytes(32))
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable) as caught:
                await payee.register(order)
            assert caught.value.retry
            assert await payee.balance() == OPENING_BALANCE  # reading waits for nobody
            other.execute("ROLLBACK")
        assert len((await payee.register(order)).path_id) == 32


async def test_a_lock_of_another_process_is_waited_for(file: Path) -> None:
    async with node(str(file), PAYEE) as payee:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            registering = asyncio.ensure_future(payee.register(receive_order(bytes(32))))
            await asyncio.sleep(0.05)
            assert not registering.done()
            other.execute("ROLLBACK")
            assert len((await registering).path_id) == 32


async def test_a_closed_node_is_unavailable(file: Path) -> None:
    payee = node(str(file), PAYEE)
    payee.close()
    with pytest.raises(Unavailable, match="closed"):
        await payee.balance()


async def test_the_path_id_follows_from_key_and_hash_alone(tmp_path: Path) -> None:
    async with node(str(tmp_path / "one.sqlite"), PAYEE) as one, node(str(tmp_path / "two.sqlite"), PAYEE) as two:
        order = receive_order(bytes(32))
        receivable = await one.register(order)
        assert await two.register(order) == receivable
    async with node(str(tmp_path / "three.sqlite"), PAYER) as other:
        assert (await other.register(order)).path_id != receivable.path_id


async def test_the_pump_survives_a_locked_file(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        node(str(file), PAYER) as payer,
        PlayMoneyNode(file, PAYEE, VirtualClock(NOW), busy_timeout_ms=10, poll_seconds=0.002) as payee,
    ):
        receivable = await payee.register(receive_order(bytes(32)))
        await payer.pay(pay_order(receivable))
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            pump = asyncio.ensure_future(payee.run())
            while "cannot look for payments" not in caplog.text:
                await asyncio.sleep(0.002)
            other.execute("ROLLBACK")
        async with asyncio.timeout(10):
            receipt = await anext(payee.receipts(None))
        assert receipt.state is ReceivedState.CLAIMABLE
        pump.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pump


# --- a payee that is away


async def test_what_a_payee_never_looked_at_can_be_taken_back_when_its_blocks_have_passed(file: Path) -> None:
    clock = VirtualClock(NOW)
    async with PlayMoneyNode(file, PAYER, clock) as payer:
        async with PlayMoneyNode(file, PAYEE, clock) as payee:
            receivable = await payee.register(receive_order(bytes(32)))
        order = replace(pay_order(receivable), amount_msat=PRICE)
        await payer.pay(order)
        clock.advance(17 * TEN_MINUTES)
        assert (await payer.sent(order.payment_hash)).state is SentState.PENDING
        clock.advance(TEN_MINUTES)
        failed = await payer.sent(order.payment_hash)
        assert (failed.state, failed.reason, failed.retryable) == (
            SentState.FAILED,
            FailureReason.PAYEE_UNREACHABLE,
            True,
        )
        assert await payer.balance() == OPENING_BALANCE


async def test_a_payee_that_comes_too_late_for_the_blocks_refuses(file: Path) -> None:
    clock = VirtualClock(NOW)
    async with PlayMoneyNode(file, PAYER, clock) as payer, PlayMoneyNode(file, PAYEE, clock) as payee:
        receivable = await payee.register(replace(receive_order(bytes(32)), expires_at=NOW + 10**6))
        await payer.pay(pay_order(receivable))
        clock.advance(18 * TEN_MINUTES)
        assert (await payee.received(receivable.payment_hash)).state is ReceivedState.OPEN
        assert (await payer.sent(receivable.payment_hash)).reason is FailureReason.REFUSED_BY_PAYEE


# --- several processes


async def test_a_payment_goes_from_one_process_to_another(file: Path) -> None:
    async with node(str(file), PAYEE) as payee:
        order = receive_order(b"\x22" * 32)
        receivable = await payee.register(order)
        child = start("pay", str(file))
        assert child.stdin is not None
        child.stdin.write(pickle.dumps(pay_order(receivable)))
        child.stdin.close()
        async with asyncio.timeout(20):
            receipt = await anext(payee.receipts(None))
        assert (receipt.state, receipt.amount_msat) == (ReceivedState.CLAIMABLE, PRICE)
        assert await asyncio.to_thread(hear, child) == "pending"
        await payee.claim(order.preimage)
        assert await asyncio.to_thread(hear, child) == f"succeeded {order.preimage.hex()}"
        assert child.wait() == 0
        assert child.stdout is not None
        child.stdout.close()
        assert await payee.balance() == OPENING_BALANCE + PRICE
    assert money(file) == (2 * OPENING_BALANCE, 2 * OPENING_BALANCE, 0)


async def test_what_is_claimable_outlives_a_killed_payee(file: Path) -> None:
    child = start("hold", str(file))
    assert hear(child) == "registered"
    order = receive_order(b"\x11" * 32)
    async with node(str(file), PAYER) as payer:
        with closing(sqlite3.connect(file)) as db:
            payment_hash, path_id = db.execute("SELECT payment_hash, path_id FROM receivables").fetchone()
        await payer.pay(pay_order(playmoney_child.Receivable(payment_hash, path_id, 18)))
        assert await asyncio.to_thread(hear, child) == "claimable"
        kill(child)
        assert (await payer.sent(payment_hash)).state is SentState.PENDING
        assert money(file) == (2 * OPENING_BALANCE, 2 * OPENING_BALANCE - PRICE, PRICE)
        async with node(str(file), PAYEE) as payee:
            expected = Received(ReceivedState.CLAIMABLE, PRICE, order.context)
            assert await payee.received(payment_hash) == expected
            await payee.claim(order.preimage)
        assert (await payer.sent(payment_hash)).preimage == order.preimage
    assert money(file) == (2 * OPENING_BALANCE, 2 * OPENING_BALANCE, 0)


@pytest.fixture
def churning(file: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    children = [start("churn", str(file), str(seed)) for seed in (1, 2)]
    yield children
    for child in children:
        if child.poll() is None:
            kill(child)


def test_no_money_is_lost_or_made_when_processes_are_killed(
    file: Path, churning: list[subprocess.Popen[bytes]]
) -> None:
    chance, moved = random.Random(9), 0
    for seed in range(3, 9):
        for child in churning:
            for _ in range(chance.randrange(1, 8)):
                assert hear(child) == "moved"
                moved += 1
        victim = churning.pop(0)
        kill(victim)
        churning.append(start("churn", str(file), str(seed)))
    while churning:
        kill(churning.pop())
    opening, balances, in_flight = money(file)
    assert opening == 2 * OPENING_BALANCE == balances + in_flight
    with closing(sqlite3.connect(file)) as db:
        states = dict(db.execute("SELECT state, count(*) FROM payments GROUP BY state"))
        claimed = db.execute("SELECT count(*) FROM receipts WHERE state = 'claimed'").fetchone()[0]
        pending_without_htlc = db.execute(
            "SELECT count(*) FROM payments p WHERE (p.state = 'pending') != EXISTS "
            "(SELECT 1 FROM htlcs h WHERE h.payment_hash = p.payment_hash AND h.state IN ('offered', 'held'))"
        ).fetchone()[0]
    assert states["succeeded"] == claimed > 0
    assert sum(states.values()) >= moved
    assert pending_without_htlc == 0
