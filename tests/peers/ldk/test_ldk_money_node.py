"""The contract of `ports.MoneyNode` on two real LDK nodes with a channel."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

pytest.register_assert_rewrite("contract.money_node")

from contract.money_node import NOW, MoneyNodeContract, Pair  # noqa: E402
from lnrecur.crypto.keys import PrivateKey  # noqa: E402
from lnrecur.ports import FailureReason, ReceivedState, SentState  # noqa: E402
from lnrecur.testing.seeded_entropy import SeededEntropy  # noqa: E402
from lnrecur.testing.virtual_clock import VirtualClock  # noqa: E402
from lnrecur.values import Msat  # noqa: E402
from peers.ldk.money import LdkMoneyNode  # noqa: E402
from peers.ldk.nodes import LdkNodes  # noqa: E402

_SEEDS = itertools.count(1000)
"""The nodes outlive a test, so no test may draw the preimages of another."""


class TestLdkMoneyNode(MoneyNodeContract):
    @pytest_asyncio.fixture(loop_scope="session")
    async def pair(self, ldk: LdkNodes) -> AsyncIterator[Pair]:
        clock = VirtualClock(NOW)
        payer, payee = LdkMoneyNode(ldk.payer, clock), LdkMoneyNode(ldk.payee, clock)

        async def balances() -> tuple[Msat, Msat]:
            return await payer.balance(), await payee.balance()

        yield Pair(payer, payee, clock, balances, SeededEntropy(next(_SEEDS)))
        await payee.close()
        await payer.close()

    # What a node with a real channel does otherwise than play money, or cannot be asked.

    test_a_preimage_of_one_node_is_not_registered_by_another = None
    """Two nodes of the real network do not know of each other's preimages."""

    async def test_a_changed_path_key_is_refused(self, pair: Pair) -> None:
        """A point of the curve; the bytes that are none do not even fit into an invoice."""
        _, receivable, payment = await pair.payable()
        path = payment.paths[0]
        changed = replace(path, path=replace(path.path, first_path_key=PrivateKey(bytes(31) + b"\x09").point))
        await pair.refused(pair.pay_order(receivable.payment_hash, changed))

    async def test_nobody_pays_what_they_do_not_have(self, pair: Pair) -> None:
        mine, _ = await pair.balances()
        _, _, payment = await pair.payable(Msat(mine + 1))
        failed = await pair.not_started(payment, FailureReason.INSUFFICIENT_FUNDS)
        assert failed.retryable

    async def test_the_last_millisatoshi_can_be_spent(self, pair: Pair) -> None:
        """All but what a channel holds back; it comes back when the payment is failed."""
        mine, theirs = await pair.balances()
        _, payment = await pair.held(mine)
        assert (await pair.balances())[0] < Msat(1_000_000)
        assert await pair.payee.cancel(payment.payment_hash)
        await pair.went(payment, SentState.FAILED)
        assert await pair.balances() == (mine, theirs)

    async def test_a_fee_beyond_the_limit_is_not_paid(self, pair: Pair) -> None:
        """The limit holds; and LDK pays no fee to a path of one hop, whatever it asks for."""
        order, _, payment = await pair.payable()
        path = replace(payment.paths[0], fee_base_msat=Msat(5), fee_proportional_millionths=1000)
        dear = replace(payment, paths=(path,), max_fee_msat=Msat(29))
        await pair.not_started(dear, FailureReason.FEE_LIMIT)
        await pair.payer.pay(replace(dear, max_fee_msat=Msat(30)))
        await pair.arrived(payment, ReceivedState.CLAIMABLE)
        await pair.payee.claim(order.preimage)
        assert (await pair.went(payment, SentState.SUCCEEDED)).fee_msat == 0
