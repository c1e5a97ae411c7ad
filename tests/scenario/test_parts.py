"""Invoices that must be paid in several parts (BI14): paid where the node can do that, refused where it cannot."""

from dataclasses import replace
from typing import Any, cast

import pytest

from helpers.rig import PERIOD, assert_paid, events, outbound, publish, subscribe
from lnrecur.ports import MoneyNode, NodeInfo, PayOrder, Receivable, ReceiveOrder, Unavailable
from lnrecur.service import invoicing
from lnrecur.service.assembly import Parts
from lnrecur.testing.rig import Rig


class Splitting:
    """A node that pays and takes payments in parts."""

    def __init__(self, inner: MoneyNode) -> None:
        self._inner = inner
        self.orders: list[PayOrder] = []
        self.can_split, self.answers = True, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def info(self) -> NodeInfo:
        if not self.answers:
            raise Unavailable("not now")
        return replace(await self._inner.info(), can_split=self.can_split)

    async def register(self, order: ReceiveOrder) -> Receivable:
        return replace(await self._inner.register(order), takes_parts=True)

    async def pay(self, order: PayOrder) -> None:
        self.orders.append(order)
        await self._inner.pay(order)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> list[Splitting]:
    """Payees demand it; the nodes of the rig, as they join."""
    monkeypatch.setattr(invoicing, "_MPP_OPTIONAL", b"\x01\x00\x00")
    return []


async def test_they_are_paid_by_a_node_that_can_and_it_is_told_to(node: list[Splitting]) -> None:
    def dress(parts: Parts) -> Parts:
        node.append(Splitting(parts.node))
        return replace(parts, node=cast("MoneyNode", node[-1]))

    async with Rig(seed=1) as rig:
        merchant, alice = await rig.join("merchant", dress=dress), await rig.join("alice", dress=dress)
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert [(order.may_split, order.must_split) for order in node[1].orders] == [(True, True)] * 4


async def test_they_are_refused_with_a_reason_by_a_node_that_cannot_and_paid_once_it_can(node: list[Splitting]) -> None:
    def dress(parts: Parts) -> Parts:
        node.append(Splitting(parts.node))
        return replace(parts, node=cast("MoneyNode", node[-1]))

    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant", dress=dress), await rig.join("alice", dress=dress)
        node[1].can_split = False
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(PERIOD // 4)
        assert "the money node pays in one [BI14]" in (outbound(alice, subscription).problem or "")
        node[1].answers = False
        await rig.run_for(PERIOD // 4)
        assert "does not say whether it can [BI14]" in (outbound(alice, subscription).problem or "")
        assert not events(alice, "payment.started")
        assert not node[1].orders
        node[1].can_split = node[1].answers = True
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
