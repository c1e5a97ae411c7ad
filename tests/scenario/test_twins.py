"""Two daemons restored from one seed and one database: no period is paid twice, and both go on or say why not."""

from dataclasses import replace

import pytest

from helpers.rig import PERIOD, PRICE, counters, events, outbound, publish, recurring, subscribe
from lnrecur.bolt12 import Offer
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.daemon.doctor import look_at_seed
from lnrecur.ports import Health, SentState
from lnrecur.recurrence.inbound_model import subscription_id
from lnrecur.recurrence.outbound_model import Outbound, Phase, Terms
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import RecurrenceId

WIDE = recurring(paywindow=Paywindow(900, 1900))
"""Wide enough that also who finds out late finds out in time."""
MONEY = pytest.mark.parametrize("shares_money", [True, False], ids=["one money node", "two money nodes"])


def assert_paid_once(rig: Rig, twins: list[RigNode], merchant: RigNode, offer: Offer, name: RecurrenceId) -> None:
    """The merchant was paid each period once, and what left the payers' nodes is exactly that."""
    subject = subscription_id(offer.offer_id, twins[0].keyring.payer(name).payer_id)
    received = [paid.booking for paid in merchant.manager.payments(subject)]
    assert [booking.counter for booking in received] == list(range(4))
    assert not any(booking.surplus for booking in received)
    settled = {
        payment_hash
        for payment_hash, payment in rig.ledger.payments.items()
        if payment.sent.state is SentState.SUCCEEDED
    }
    assert settled == {booking.payment_hash for booking in received}
    spent = sum(1_000_000_000 - account.balance_msat for account in {twin.account for twin in twins})
    assert spent == 4 * PRICE
    for twin in twins:
        state = outbound(twin, name)
        assert state.next_counter == state.payments + state.adopted == 4
        told = events(twin, "subscription.adopted")
        assert len(told) == state.adopted


def assert_noticed(twins: list[RigNode], name: RecurrenceId) -> None:
    """Who was told of a payment that it did not make says so, as an event and to the doctor."""
    for twin in twins:
        assert twin.services is not None
        found = look_at_seed(twin.services.seed_watch, [outbound(twin, name)])
        if outbound(twin, name).adopted:
            assert events(twin, "subscription.seed_shared")
            assert [finding.health for finding in found] == [Health.BROKEN]
        else:
            assert not events(twin, "subscription.seed_shared")
            assert found == []
    assert any(events(twin, "subscription.seed_shared") for twin in twins)


def both(first: RigNode, second: RigNode, name: RecurrenceId) -> tuple[Outbound, Outbound]:
    return outbound(first, name), outbound(second, name)


@MONEY
@pytest.mark.parametrize("paid_before", [0, 1])
async def test_both_are_up_and_every_period_is_paid_by_one_of_them(shares_money: bool, paid_before: int) -> None:
    async with Rig(seed=1) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, WIDE)
        if paid_before == 0:
            alice.money.hang("pay")
        name = subscribe(alice, offer, Terms(jitter_s=300))
        await rig.run_for(50)
        twin = await rig.join("twin", twin_of="alice", shares_money=shares_money)
        alice.money.release()
        await rig.run_for(6 * PERIOD)
        assert_paid_once(rig, [alice, twin], merchant, offer, name)
        assert_noticed([alice, twin], name)
        assert {state.phase for state in both(alice, twin, name)} == {Phase.COMPLETED}


@MONEY
async def test_both_ask_in_the_very_same_second(shares_money: bool) -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, WIDE)
        name = subscribe(alice, offer, Terms(jitter_s=0))
        await rig.run_for(50)
        twin = await rig.join("twin", twin_of="alice", shares_money=shares_money)
        await rig.run_for(6 * PERIOD)
        merchant_books = counters(merchant, subscription_id(offer.offer_id, alice.keyring.payer(name).payer_id))
        assert merchant_books == [0, 1, 2, 3]
        for state in both(alice, twin, name):
            assert (state.phase, state.payments + state.adopted) == (Phase.COMPLETED, 4)
        settled = [one for one in rig.ledger.payments.values() if one.sent.state is SentState.SUCCEEDED]
        assert len(settled) == 4


@MONEY
async def test_one_is_restored_from_a_backup_after_the_other_is_gone(shares_money: bool) -> None:
    async with Rig(seed=3) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, WIDE)
        name = subscribe(alice, offer)
        await rig.run_for(50)
        twin = await rig.join("twin", twin_of="alice", shares_money=shares_money)
        rig.crash("twin")
        await rig.run_for(2 * PERIOD)
        rig.crash("alice")
        twin = await rig.restart("twin")
        assert twin.services is not None
        await rig.run_for(4 * PERIOD)
        assert outbound(twin, name).adopted == 2
        assert counters(twin, name) == [0, 3]
        assert not events(twin, "subscription.seed_shared"), "a restore explains it"
        [finding] = look_at_seed(twin.services.seed_watch, [replace(outbound(twin, name), phase=Phase.IDLE)])
        assert finding.health is Health.WARNING
        received = counters(merchant, subscription_id(offer.offer_id, twin.keyring.payer(name).payer_id))
        assert received == [0, 1, 2, 3]


@MONEY
@pytest.mark.parametrize("seed", range(4))
async def test_also_where_messages_are_lost_and_late(seed: int, shares_money: bool) -> None:
    async with Rig(seed=seed, faults=Faults(loss=0.2, doubling=0.2, lateness=0.3, late_s_max=30)) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, WIDE)
        name = subscribe(alice, offer, Terms(jitter_s=100))
        await rig.run_for(300)
        twin = await rig.join("twin", twin_of="alice", shares_money=shares_money)
        await rig.run_for(7 * PERIOD)
        received = counters(merchant, subscription_id(offer.offer_id, alice.keyring.payer(name).payer_id))
        assert received == [0, 1, 2, 3]
        settled = [one for one in rig.ledger.payments.values() if one.sent.state is SentState.SUCCEEDED]
        assert len(settled) == 4
        for state in both(alice, twin, name):
            assert state.payments + state.adopted == state.next_counter


async def test_a_cancel_of_one_ends_the_other_too() -> None:
    async with Rig(seed=5) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = subscribe(alice, publish(merchant, WIDE))
        await rig.run_for(50)
        twin = await rig.join("twin", twin_of="alice")
        rig.crash("twin")
        alice.payer.cancel(name)
        await rig.run_for(PERIOD + 50)
        await rig.restart("twin")
        await rig.run_for(PERIOD)
        assert outbound(twin, name).phase is Phase.LAPSED
        assert events(twin)[-1] == "subscription.ended"
        assert counters(twin, name) == [0]


async def test_a_merchant_is_told_of_a_twin_that_sells_what_it_sells() -> None:
    """Both read the receipts of one money node; the twin did not write the invoices that were paid."""
    async with Rig(seed=6) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = subscribe(alice, publish(merchant, WIDE))
        await rig.run_for(50)
        twin = await rig.join("twin", twin_of="merchant", shares_money=True)
        await rig.run_for(4 * PERIOD)
        assert outbound(alice, name).payments == 4
        writers = {node.name: events(node, "subscription.seed_shared") for node in (merchant, twin)}
        assert not (writers["merchant"] and writers["twin"]), "one of them wrote all invoices"
        assert writers["merchant"] or writers["twin"]
