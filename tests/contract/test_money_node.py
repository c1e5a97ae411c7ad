"""The contract of `lnrecur.ports.MoneyNode`, kept by every node we ship that needs no other program."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("money_node")

from money_node import NOW, OPENING_BALANCE, MoneyNodeContract, Pair  # noqa: E402

from lnrecur.adapters.nodes.playmoney import PlayMoneyNode  # noqa: E402
from lnrecur.crypto.keys import PrivateKey  # noqa: E402
from lnrecur.testing.memory_node import MemoryLedger, MemoryMoneyNode  # noqa: E402
from lnrecur.testing.scripted_node import ScriptedNode  # noqa: E402
from lnrecur.testing.virtual_clock import VirtualClock  # noqa: E402
from lnrecur.values import Msat  # noqa: E402

PAYER, PAYEE = PrivateKey(bytes(31) + b"\x01"), PrivateKey(bytes(31) + b"\x02")


def memory_pair() -> tuple[MemoryLedger, Pair]:
    ledger, clock = MemoryLedger(), VirtualClock(NOW)
    payer, payee = (MemoryMoneyNode(ledger, key, clock, opening_balance_msat=OPENING_BALANCE) for key in (PAYER, PAYEE))

    async def balances() -> tuple[Msat, Msat]:
        return await payer.balance(), await payee.balance()

    return ledger, Pair(payer, payee, clock, balances)


class TestPlayMoneyNode(MoneyNodeContract):
    """Two nodes with an engine of their own on one file, as two daemons have them."""

    @pytest.fixture
    async def pair(self, tmp_path: Path) -> AsyncIterator[Pair]:
        clock, file = VirtualClock(NOW), tmp_path / "play-money.sqlite"
        async with contextlib.AsyncExitStack() as stack:
            payer, payee = [
                await stack.enter_async_context(
                    PlayMoneyNode(file, key, clock, opening_balance_msat=OPENING_BALANCE, poll_seconds=0.002)
                )
                for key in (PAYER, PAYEE)
            ]

            async def balances() -> tuple[Msat, Msat]:
                return await payer.balance(), await payee.balance()

            pump = asyncio.ensure_future(payee.run())
            yield Pair(payer, payee, clock, balances)
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump


class TestMemoryMoneyNode(MoneyNodeContract):
    @pytest.fixture
    def pair(self) -> AsyncIterator[Pair]:
        ledger, pair = memory_pair()
        yield pair
        assert ledger.total_msat() == 2 * OPENING_BALANCE


class TestScriptedNodeWithoutAScript(MoneyNodeContract):
    """What is told nothing does nothing."""

    @pytest.fixture
    def pair(self) -> Pair:
        _, pair = memory_pair()
        pair.payer, pair.payee = ScriptedNode(pair.payer), ScriptedNode(pair.payee, pair.clock)
        return pair
