"""What the adapter does beyond the contract, on real lnd nodes: A=B=C, and D behind a channel nobody announced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from lnd_daemons import baked
from lnd_network import CHANNEL_SAT, Lnd, Network, wait_until
from lnd_orders import PRICE, access, adapter, ended, pay_through, payable, until

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.nodes.lnd import LndNode, LndUnavailable, Trouble
from lnrecur.ports import FailureReason, Health, InboundEdge, ReceivedState, Rejected, Sent, SentState
from lnrecur.values import REGTEST, SIGNET, Msat, ShortChannelId
from lnrecur.wire.blinded_path import ChannelDirection

pytestmark = pytest.mark.slow


# --- receiving


async def test_without_holding_lnd_claims_what_arrives_and_tells_it(
    network: Network, nodes: dict[str, LndNode]
) -> None:
    async with adapter(network["C"], hold=False) as payee:
        assert not (await payee.info()).can_hold
        order, payment = await payable(payee)
        last = network["C"].get("/v1/invoices", reversed="true", num_max_invoices="1")["last_index_offset"]
        stream = payee.receipts(f"lnd:{int(last) - 1}")
        await nodes["A"].pay(payment)
        assert (await ended(nodes["A"], payment)).preimage == order.preimage
        async with asyncio.timeout(10):
            receipt = await anext(stream)
        await stream.aclose()
        assert (receipt.state, receipt.amount_msat) == (ReceivedState.CLAIMED, PRICE)
        assert (receipt.payment_hash, receipt.context) == (payment.payment_hash, b"sealed")
        await payee.claim(order.preimage)
        assert not await payee.cancel(payment.payment_hash)


async def test_paths_begin_at_peers_that_blind_routes(network: Network, nodes: dict[str, LndNode]) -> None:
    edges = await nodes["C"].inbound_edges()
    assert {edge.peer.hex() for edge in edges} == {network["B"].node_id}
    assert {str(edge.short_channel_id) for edge in edges} == {one["chan_id"] for one in network["C"].channels()}


async def test_a_payment_larger_than_any_channel_is_paid_in_parts(
    network: Network, nodes: dict[str, LndNode], report: Callable[[str], None]
) -> None:
    before = network.balances()
    largest = max(int(one["local_balance"]) for one in network["A"].channels())
    amount = Msat((largest + 200_000) * 1000)
    order, payment = await payable(nodes["C"], amount)
    await nodes["A"].pay(replace(payment, may_split=False))
    assert (await ended(nodes["A"], payment)).state is SentState.FAILED
    await nodes["A"].pay(payment)
    assert await until(nodes["C"], payment, ReceivedState.CLAIMABLE) == amount
    await nodes["C"].claim(order.preimage)
    sent = await ended(nodes["A"], payment)
    invoice = network["C"].get(f"/v1/invoice/{payment.payment_hash.hex()}")
    parts = sum(1 for htlc in invoice["htlcs"] if htlc["state"] == "SETTLED")
    assert (sent.state, sent.preimage, parts > 1) == (SentState.SUCCEEDED, order.preimage, True)
    moved = {name: after - before[name] for name, after in network.balances().items()}
    assert moved == {"A": -(amount + sent.fee_msat), "B": sent.fee_msat, "C": amount, "D": 0}
    report(f"{amount:,} msat, more than any channel holds: paid in {parts} parts, fees {sent.fee_msat:,} msat")
    await pay_through(nodes["C"], nodes["A"], amount)
    network.balances()


async def test_a_channel_that_is_not_announced_receives_by_its_alias(
    network: Network, nodes: dict[str, LndNode]
) -> None:
    if not network["D"].channels():
        network["B"].open_channel(network["D"], push_sat=CHANNEL_SAT // 2, private=True)
        network.btcd.generate(3)
    wait_until(lambda: [one for one in network["D"].channels() if one["active"]], "D's channel")
    [channel] = network["D"].channels()
    assert channel["private"]
    edge = await private_edge(network["D"])
    assert str(edge.short_channel_id) != channel["chan_id"]
    order, payment = await payable(nodes["D"], edges=[edge])
    await nodes["A"].pay(payment)
    assert await until(nodes["D"], payment, ReceivedState.CLAIMABLE) == PRICE
    await nodes["D"].claim(order.preimage)
    assert (await ended(nodes["A"], payment)).state is SentState.SUCCEEDED


async def private_edge(lnd: Lnd) -> InboundEdge:
    """B tells its terms for a private channel a moment late, and an adapter keeps for a while what it heard."""
    async with asyncio.timeout(90):
        while True:
            async with adapter(lnd) as fresh:
                for edge in await fresh.inbound_edges():
                    return edge
            await asyncio.sleep(0.2)


# --- paying


async def test_a_path_that_names_its_first_node_by_a_channel_is_paid(
    network: Network, nodes: dict[str, LndNode]
) -> None:
    order, payment = await payable(nodes["C"])
    path = payment.paths[0]
    edge = (await nodes["C"].inbound_edges())[0]
    told = network["A"].get(f"/v1/graph/edge/{edge.short_channel_id}")
    direction = 0 if told["node1_pub"] == network["B"].node_id else 1
    named = ChannelDirection(ShortChannelId(edge.short_channel_id), direction)
    one = replace(payment, paths=(replace(path, path=replace(path.path, first_node_id=named)),))
    await nodes["A"].pay(one)
    await until(nodes["C"], payment, ReceivedState.CLAIMABLE)
    await nodes["C"].claim(order.preimage)
    assert (await ended(nodes["A"], one)).state is SentState.SUCCEEDED
    unknown = ChannelDirection(ShortChannelId(12345), 0)
    with pytest.raises(Rejected, match="a channel LND does not know"):
        await nodes["A"].pay(replace(payment, paths=(replace(path, path=replace(path.path, first_node_id=unknown)),)))


async def test_the_terms_of_a_path_over_a_peer_are_kept(network: Network, nodes: dict[str, LndNode]) -> None:
    order, payment = await payable(nodes["C"])
    fee = 1000 + -(-PRICE // 1_000_000)
    await nodes["A"].pay(replace(payment, max_fee_msat=Msat(fee - 1)))
    failed = await ended(nodes["A"], payment)
    assert failed == Sent(SentState.FAILED, reason=FailureReason.FEE_LIMIT, retryable=True)
    too_small = replace(
        payment, paths=tuple(replace(path, htlc_minimum_msat=Msat(PRICE + 1)) for path in payment.paths)
    )
    await nodes["A"].pay(too_small)
    assert (await ended(nodes["A"], payment)).reason is FailureReason.NO_ROUTE
    await nodes["A"].pay(replace(payment, max_fee_msat=Msat(fee)))
    await until(nodes["C"], payment, ReceivedState.CLAIMABLE)
    await nodes["C"].claim(order.preimage)
    assert (await ended(nodes["A"], payment)).fee_msat == fee


async def test_a_payer_next_to_the_payee_needs_the_signer_and_is_told_so(
    network: Network, nodes: dict[str, LndNode], tmp_path: Path
) -> None:
    order, payment = await payable(nodes["C"])
    without = tmp_path / "without"
    uris = ("lnrpc.Lightning/GetInfo", "lnrpc.Lightning/ListChannels", "routerrpc.Router/SendPaymentV2")
    network["B"].cli("bakemacaroon", "--save_to", str(without), *(f"uri:/{uri}" for uri in uris))
    async with LndNode(access(network["B"], macaroon=without), SystemClock(), chain=REGTEST) as b:
        with pytest.raises(Rejected, match="does not allow /signrpc"):
            await b.pay(payment)
    await nodes["B"].pay(payment)
    await until(nodes["C"], payment, ReceivedState.CLAIMABLE)
    await nodes["C"].claim(order.preimage)
    assert (await ended(nodes["B"], payment)).fee_msat == 0


# --- what lets us in, and the doctor


async def test_what_opens_another_node_does_not_open_this_one(network: Network) -> None:
    a, c = network["A"], network["C"]
    cases = {
        Trouble.WRONG_MACAROON: access(c, macaroon=baked(a)),
        Trouble.WRONG_CERTIFICATE: access(c, certificate=a.certificate),
        Trouble.UNREACHABLE: access(c, url=f"https://127.0.0.1:{c.port}"),  # lnd all right, but its peers' port
    }
    for trouble, one in cases.items():
        async with LndNode(one, SystemClock(), chain=REGTEST) as node:
            with pytest.raises(LndUnavailable) as refused:
                await node.info()
            assert refused.value.trouble is trouble
    async with LndNode(access(c), SystemClock(), chain=SIGNET) as node:
        with pytest.raises(LndUnavailable, match="LND is on regtest, and chain of the settings is signet"):
            await node.info()


async def test_the_macaroon_of_the_page_allows_all_that_is_needed_and_a_smaller_one_is_told_apart(
    network: Network, nodes: dict[str, LndNode], tmp_path: Path
) -> None:
    found = {finding.subject: finding for finding in await nodes["C"].diagnose()}
    assert {finding.health for finding in found.values()} == {Health.GOOD}, found
    assert set(found) == {"money node", "chain", "clock", "permissions", "channels", "receiving"}
    small = tmp_path / "small"
    network["C"].cli("bakemacaroon", "--save_to", str(small), "info:read", "offchain:read", "invoices:read")
    async with LndNode(access(network["C"], macaroon=small), SystemClock(), chain=REGTEST) as node:
        missing = {permission.uri for permission in await node.missing_permissions()}
    assert missing == {
        "/lnrpc.Lightning/AddInvoice",
        "/invoicesrpc.Invoices/AddHoldInvoice",
        "/invoicesrpc.Invoices/SettleInvoice",
        "/invoicesrpc.Invoices/CancelInvoice",
        "/routerrpc.Router/SendPaymentV2",
        "/routerrpc.Router/SendToRouteV2",
        "/signrpc.Signer/DeriveSharedKey",
    }
