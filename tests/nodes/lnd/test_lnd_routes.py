"""What is paid otherwise than through one BOLT 11 text in one part: by route, and in several parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from lnd_daemons import LndDaemon
from lnd_network import Lnd, Network, wait_until
from lnd_orders import ENTROPY, PRICE, adapter, ended, pay_through, payable, until

from helpers.daemons import assert_books_agree
from lnrecur.adapters.nodes.lnd import LndNode, LndUnavailable
from lnrecur.adapters.nodes.lnd.bolt11 import HOPS_MAX, fits_bolt11
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import blind_path
from lnrecur.onion.payloads import EncryptedData, PaymentConstraints, PaymentRelay
from lnrecur.ports import FailureReason, PaymentPath, PayOrder, ReceivedState, ReceiveOrder, Rejected, Sent, SentState
from lnrecur.values import ZERO_MSAT, Msat, Point, Preimage, ShortChannelId, UnixSeconds

pytestmark = pytest.mark.slow

NO_BOUND = Msat(10**12)


async def long_payable(
    payee: LndNode, *, own_hops: int = 0, padding: int = 0, amount: Msat = PRICE
) -> tuple[ReceiveOrder, PayOrder]:
    """Over one path from a peer: with hops of the payee to itself at the end, and so many bytes of padding in each."""
    order = ReceiveOrder(Preimage(ENTROPY.take(32)), amount, UnixSeconds(int(time.time()) + 3600), "a thing", b"sealed")
    receivable, info = await payee.register(order), await payee.info()
    edge = (await payee.inbound_edges())[0]
    bound = PaymentConstraints(info.block_height + 1200, Msat(1))
    fill = bytes(padding) or None
    relay = PaymentRelay(edge.cltv_expiry_delta, edge.fee_proportional_millionths, edge.fee_base_msat)
    to_itself = EncryptedData(
        next_node_id=info.node_id, payment_relay=PaymentRelay(0, 0, ZERO_MSAT), payment_constraints=bound, padding=fill
    )
    first = EncryptedData(
        short_channel_id=ShortChannelId(edge.short_channel_id),
        payment_relay=relay,
        payment_constraints=replace(bound, max_cltv_expiry=bound.max_cltv_expiry + edge.cltv_expiry_delta),
        padding=fill,
    )
    last = EncryptedData(path_id=receivable.path_id, payment_constraints=bound, padding=fill)
    notes = [first, *[to_itself] * own_hops, last]
    nodes = [edge.peer, *[info.node_id] * (own_hops + 1)]
    hops = [(node, note.to_bytes()) for node, note in zip(nodes, notes, strict=True)]
    path = PaymentPath(
        blind_path(PrivateKey(ENTROPY.take(32)), hops),
        edge.fee_base_msat,
        edge.fee_proportional_millionths,
        receivable.final_cltv_delta + edge.cltv_expiry_delta,
        Msat(1),
        NO_BOUND,
    )
    payment = PayOrder(
        receivable.payment_hash, amount, Msat(20_000), (path,), Point(info.node_id), order.expires_at, b"", "a thing",
        may_split=True,
    )  # fmt: skip
    return order, payment


# --- by route


@pytest.mark.parametrize("length", [{"padding": 300}, {"own_hops": HOPS_MAX - 1}], ids=["long notes", "eight hops"])
async def test_a_path_that_does_not_fit_bolt11_is_paid_once(
    network: Network, nodes: dict[str, LndNode], length: dict[str, int], report: Callable[[str], None]
) -> None:
    before = network.balances()
    order, payment = await long_payable(nodes["C"], **length)
    assert not fits_bolt11(payment.paths[0])
    await nodes["A"].pay(payment)
    assert await until(nodes["C"], payment, ReceivedState.CLAIMABLE) == PRICE
    assert await nodes["A"].sent(payment.payment_hash) == Sent(SentState.PENDING)
    async with adapter(network["A"]) as another:  # which knows nothing of the first try
        await asyncio.gather(another.pay(payment), nodes["A"].pay(payment))
    await nodes["C"].claim(order.preimage)
    sent = await ended(nodes["A"], payment)
    assert (sent.state, sent.preimage) == (SentState.SUCCEEDED, order.preimage)
    await nodes["A"].pay(payment)
    moved = {name: after - before[name] for name, after in network.balances().items()}
    assert moved == {"A": -(PRICE + sent.fee_msat), "B": sent.fee_msat, "C": PRICE, "D": 0}
    hops = len(payment.paths[0].path.hops)
    report(f"by route over a blinded path of {hops} hops that BOLT 11 does not hold: paid once")


async def test_who_is_the_first_hop_of_a_long_path_takes_it_off_and_pays_the_rest(nodes: dict[str, LndNode]) -> None:
    order, payment = await long_payable(nodes["C"], padding=300)
    await nodes["B"].pay(payment)
    await until(nodes["C"], payment, ReceivedState.CLAIMABLE)
    await nodes["C"].claim(order.preimage)
    assert (await ended(nodes["B"], payment)).fee_msat == 0


async def test_two_tries_at_once_by_two_adapters_are_one_payment(network: Network, nodes: dict[str, LndNode]) -> None:
    before = network.balances()
    order, payment = await long_payable(nodes["C"], padding=300)
    async with adapter(network["A"]) as another:
        await asyncio.gather(another.pay(payment), nodes["A"].pay(payment), nodes["A"].pay(payment))
        await until(nodes["C"], payment, ReceivedState.CLAIMABLE)
        await nodes["C"].claim(order.preimage)
        assert (await ended(another, payment)).state is SentState.SUCCEEDED
    assert network.balances()["C"] == before["C"] + PRICE


async def test_what_fails_by_route_is_told_apart_and_paid_once_it_can_be(nodes: dict[str, LndNode]) -> None:
    order, payment = await long_payable(nodes["C"], padding=300)
    cases = {
        FailureReason.FEE_LIMIT: replace(payment, max_fee_msat=Msat(1000)),
        FailureReason.INSUFFICIENT_FUNDS: (await long_payable(nodes["C"], padding=300, amount=Msat(10**10)))[1],
        FailureReason.NO_ROUTE: _from_a_stranger(payment),
    }
    for reason, one in cases.items():
        with pytest.raises(Rejected) as refused:
            await nodes["A"].pay(one)
        assert (refused.value.reason, refused.value.retryable) == (reason, True), str(refused.value)
        assert (await nodes["A"].sent(one.payment_hash)).state is SentState.UNKNOWN
    too_long = (await long_payable(nodes["C"], padding=600))[1]
    for impossible, told in ((too_long, "an onion has room for 1300"), (replace(payment, must_split=True), "in parts")):
        with pytest.raises(Rejected, match=told) as refused:
            await nodes["A"].pay(impossible)
        assert not refused.value.retryable
    await nodes["A"].pay(replace(payment, amount_msat=Msat(PRICE - 1)))
    assert await ended(nodes["A"], payment) == Sent(SentState.FAILED, reason=FailureReason.REFUSED_BY_PAYEE)
    await nodes["A"].pay(payment)
    await until(nodes["C"], payment, ReceivedState.CLAIMABLE)
    await nodes["C"].claim(order.preimage)
    assert (await ended(nodes["A"], payment)).state is SentState.SUCCEEDED


def _from_a_stranger(payment: PayOrder) -> PayOrder:
    [path] = payment.paths
    stranger = PrivateKey(bytes(31) + b"\x0b").point
    return replace(payment, paths=(replace(path, path=replace(path.path, first_node_id=stranger)),))


async def test_a_payment_by_route_outlives_its_adapter_and_its_lnd(
    network: Network, nodes: dict[str, LndNode], report: Callable[[str], None]
) -> None:
    """Held by C: the adapter of A goes, A's lnd is killed, and both are told to pay again when they are back."""
    before = network.balances()
    order, payment = await long_payable(nodes["C"], padding=300)
    async with adapter(network["A"]) as first:
        await first.pay(payment)
    await until(nodes["C"], payment, ReceivedState.CLAIMABLE)
    network["A"].kill()
    with pytest.raises(LndUnavailable):
        await nodes["A"].sent(payment.payment_hash)
    network["A"].restart()
    async with asyncio.timeout(60):
        while True:
            with suppress(LndUnavailable):  # it is up before all of it is
                await nodes["A"].pay(payment)
                break
            await asyncio.sleep(0.2)
    assert await nodes["A"].sent(payment.payment_hash) == Sent(SentState.PENDING)
    await nodes["C"].claim(order.preimage)
    sent = await ended(nodes["A"], payment)
    assert (sent.state, sent.preimage) == (SentState.SUCCEEDED, order.preimage)
    moved = {name: after - before[name] for name, after in network.balances().items()}
    assert moved == {"A": -(PRICE + sent.fee_msat), "B": sent.fee_msat, "C": PRICE, "D": 0}
    report("by route, the payer's adapter and lnd gone while it is held: paid once")


# --- in parts


def parts_of(lnd: Lnd, payment: PayOrder) -> list[int]:
    """The amounts of the parts that an invoice was paid in."""
    told = lnd.get(f"/v1/invoice/{payment.payment_hash.hex()}")
    return [int(htlc["amt_msat"]) for htlc in told["htlcs"] if htlc["state"] == "SETTLED"]


@pytest.mark.parametrize("payer", ["A", "B"])
async def test_what_must_be_paid_in_parts_is(network: Network, nodes: dict[str, LndNode], payer: str) -> None:
    """A over the road, and B, at which the path begins; the amount would fit into one channel."""
    order, payment = await payable(nodes["C"])
    await nodes[payer].pay(replace(payment, must_split=True))
    await until(nodes["C"], payment, ReceivedState.CLAIMABLE)
    await nodes["C"].claim(order.preimage)
    sent = await ended(nodes[payer], payment)
    assert sent.state is SentState.SUCCEEDED
    parts = parts_of(network["C"], payment)
    assert len(parts) >= 2
    assert sum(parts) == PRICE


async def test_the_node_at_which_the_path_begins_pays_in_parts_too(network: Network, nodes: dict[str, LndNode]) -> None:
    local = [
        int(one["local_balance"]) for one in network["B"].channels() if one["remote_pubkey"] == network["C"].node_id
    ]
    amount = Msat((max(local) + 100_000) * 1000)
    order, payment = await payable(nodes["C"], amount)
    await nodes["B"].pay(payment)
    await until(nodes["C"], payment, ReceivedState.CLAIMABLE)
    await nodes["C"].claim(order.preimage)
    assert (await ended(nodes["B"], payment)).state is SentState.SUCCEEDED
    assert len(parts_of(network["C"], payment)) >= 2
    await pay_through(nodes["C"], nodes["B"], amount)


async def test_a_peer_of_a_payee_that_has_other_peers_pays_it_directly(nodes: dict[str, LndNode]) -> None:
    """B names paths from A and from C. LND would go from C over B to A and back to B, and fail."""
    order, payment = await payable(nodes["B"])
    assert len({path.path.first_node_id for path in payment.paths}) > 1
    for paths in (payment.paths, payment.paths[::-1]):
        await nodes["C"].pay(replace(payment, paths=paths))
        await until(nodes["B"], payment, ReceivedState.CLAIMABLE)
    await nodes["B"].claim(order.preimage)
    assert (await ended(nodes["C"], payment)).fee_msat == 0


def test_a_subscription_dearer_than_any_channel_is_paid_in_parts(
    network: Network, tmp_path: Path, report: Callable[[str], None]
) -> None:
    largest = max(int(one["local_balance"]) for one in network["A"].channels())
    price_msat = (largest + 50_000) * 1000
    merchant, alice = LndDaemon(tmp_path / "merchant", network["C"]), LndDaemon(tmp_path / "alice", network["A"])
    before = network.balances()
    try:
        for daemon in (merchant, alice):
            daemon.launch()
        for daemon in (merchant, alice):
            daemon.wait_until_up()
        terms = ("--amount", f"{price_msat}msat", "--every", "1day", "--payments", "2")
        offer = merchant.ask("offer", "create", "dear", *terms)["offer"]
        subscription = alice.ask("subscribe", offer, "--via", merchant.address, "--yes")["id"]
        wait_until(lambda: alice.subscription(subscription)["payments"] == 1, "the payment", 60)
        assert_books_agree(merchant, alice, subscription, 1)
        [booked] = alice.subscription(subscription)["book"]
        told = network["C"].get(f"/v1/invoice/{booked['payment_hash']}")
        parts = [int(htlc["amt_msat"]) for htlc in told["htlcs"] if htlc["state"] == "SETTLED"]
        assert len(parts) >= 2
        assert network.balances()["C"] == before["C"] + price_msat
        report(f"a subscription of {price_msat:,} msat, more than any channel holds: paid in {len(parts)} parts")
    finally:
        for daemon in (merchant, alice):
            daemon.kill()
    asyncio.run(_back(network, Msat(price_msat)))


async def _back(network: Network, amount: Msat) -> None:
    async with adapter(network["C"]) as payer, adapter(network["A"]) as payee:
        await pay_through(payer, payee, amount)
    network.balances()
