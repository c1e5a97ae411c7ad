"""Which payment paths an invoice gets: those of the money node's peers that can carry its amount."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.engine import a_request
from helpers.rig import publish, recurring
from lnrecur.bolt12 import Invoice
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import InboundEdge, PaymentPath, Receivable, ReceiveOrder
from lnrecur.recurrence.effects import IssueInvoice
from lnrecur.service.invoicing import Invoicer, NoWayIn
from lnrecur.testing.rig import Rig
from lnrecur.values import Msat, NodeId, Point, Preimage, UnixSeconds
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath

PEERS = [NodeId(PrivateKey(bytes([number]) * 32).point) for number in range(1, 7)]
EDGE = InboundEdge(PEERS[0], 1, Msat(1000), 100, 40, Msat(1), Msat(10**9))


async def invoice_over(edges: list[InboundEdge], amount: int) -> Invoice:
    """What the invoicer makes for a money node with these peers."""
    async with Rig(seed=1) as rig:
        merchant = await rig.join("merchant")
        offer = publish(merchant, recurring())
        request = a_request(0, offer, key=PrivateKey(b"\x09" * 32)).verify_signature()
        now = rig.clock.now()
        issued = IssueInvoice(0, None, now, Msat(amount), now, UnixSeconds(now + 3600), Preimage(b"\x01" * 32))

        async def told() -> list[InboundEdge]:
            return edges

        merchant.money.inbound_edges = told  # type: ignore[method-assign]
        return await Invoicer(merchant.money, merchant.keyring).make(request, issued, merchant.keyring.identity)


async def test_an_invoice_has_paths_over_the_first_three_peers_that_carry_its_amount() -> None:
    edges = [replace(EDGE, peer=peer, short_channel_id=number) for number, peer in enumerate(PEERS)]
    edges[0] = replace(edges[0], htlc_maximum_msat=Msat(9_999))
    edges[2] = replace(edges[2], htlc_minimum_msat=Msat(10_001))
    edges[3] = replace(edges[3], fee_base_msat=Msat(2**32))
    invoice = await invoice_over(edges, 10_000)
    assert [path.first_node_id for path, _ in invoice.payment_paths] == [PEERS[1], PEERS[4], PEERS[5]]
    assert all(info.htlc_minimum_msat <= 10_000 <= info.htlc_maximum_msat for _, info in invoice.payment_paths)
    assert len({path.first_path_key for path, _ in invoice.payment_paths}) == 3


async def test_without_peers_the_path_begins_at_the_money_node() -> None:
    [(path, _)] = (await invoice_over([], 10_000)).payment_paths
    assert len(path.hops) == 1


async def test_peers_that_all_refuse_the_amount_are_told_with_their_limits() -> None:
    with pytest.raises(NoWayIn, match="1 to 9999 msat") as caught:
        await invoice_over([replace(EDGE, htlc_maximum_msat=Msat(9_999))], 10_000)
    assert caught.value.retry


async def test_a_node_that_insists_on_its_own_paths_gets_them_into_the_invoice() -> None:
    """As LDK does: it is asked for nothing else then."""
    async with Rig(seed=1) as rig:
        merchant = await rig.join("merchant")
        request = a_request(0, publish(merchant, recurring()), key=PrivateKey(b"\x09" * 32)).verify_signature()
        now = rig.clock.now()
        issued = IssueInvoice(0, None, now, Msat(10_000), now, UnixSeconds(now + 3600), Preimage(b"\x01" * 32))
        hops = (BlindedHop(Point(PEERS[1]), b"sealed by the node"),)
        paths = tuple(
            PaymentPath(BlindedPath(Point(peer), Point(PEERS[2]), hops), Msat(7), 8, 24, Msat(1), Msat(10**9))
            for peer in PEERS[:2]
        )
        register = merchant.money.register

        async def registered(order: ReceiveOrder) -> Receivable:
            return replace(await register(order), paths=paths)

        merchant.money.register = registered  # type: ignore[method-assign]
        calls = merchant.money.calls.copy()
        invoice = await Invoicer(merchant.money, merchant.keyring).make(request, issued, merchant.keyring.identity)
        assert [path for path, _ in invoice.payment_paths] == [path.path for path in paths]
        assert {(info.fee_base_msat, info.cltv_expiry_delta) for _, info in invoice.payment_paths} == {(7, 24)}
        assert set(merchant.money.calls - calls) == {"register"}
