"""The rig itself: what it promises to applications that test with it."""

import pytest

from helpers.rig import PERIOD, Hand, assert_paid, counters, publish, subscribe
from lnrecur.errors import UsageError
from lnrecur.messaging.messenger import ContentsKind, DirectDestination, MessageContents
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import START, Rig

_GREETING = (ContentsKind.INVOICE, b"hello")


async def test_nothing_happens_while_nobody_runs_the_rig_and_time_stands_still() -> None:
    async with Rig() as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant))
        assert counters(alice, subscription) == []
        await rig.settle()
        assert counters(alice, subscription) == [0]
        assert rig.clock.now() == START


async def test_time_ends_exactly_where_it_was_told_to() -> None:
    async with Rig(start=1000) as rig:
        await rig.run_until(5000)
        await rig.run_until(4000)
        assert rig.clock.now() == 5000


async def test_a_name_is_given_once_and_who_is_down_can_do_nothing() -> None:
    async with Rig() as rig:
        alice = await rig.join("alice")
        with pytest.raises(UsageError, match="already"):
            await rig.join("alice")
        rig.crash("alice")
        rig.crash("alice")
        with pytest.raises(UsageError, match="restart it"):
            alice.payer.wake  # noqa: B018 - the property itself refuses
        with pytest.raises(UsageError, match="restart it"):
            alice.payee.create_offer  # noqa: B018
        assert (await rig.restart("alice")).payer is not None


async def test_store_money_and_seed_outlive_a_crash() -> None:
    async with Rig() as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(10)
        node_id, balance = alice.node_id, alice.account.balance_msat
        await rig.restart("alice")
        assert (alice.node_id, alice.account.balance_msat) == (node_id, balance)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)


async def test_a_bug_in_a_nodes_services_is_raised_by_whoever_runs_the_rig() -> None:
    async with Rig() as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)

        async def bug(*_: object) -> None:
            raise ZeroDivisionError

        assert merchant.services is not None
        merchant.services.payee._answer = bug  # type: ignore[assignment,method-assign]
        offer = publish(merchant)
        other = await rig.join("other")
        subscribe(other, offer)
        with pytest.raises(ZeroDivisionError):
            await rig.settle()
        assert hand.got == []


async def test_a_network_that_loses_everything_delivers_nothing_and_one_that_doubles_delivers_twice() -> None:
    for faults, copies in ((Faults(loss=1.0), 0), (Faults(), 1), (Faults(doubling=1.0), 2)):
        async with Rig(faults=faults) as rig:
            one, other = Hand(rig, 1), Hand(rig, 2)
            await one.say(DirectDestination(other.messenger.node_id), *_GREETING)
            assert len(other.got) == copies


async def test_a_late_message_arrives_at_its_second_and_not_before() -> None:
    async with Rig(faults=Faults(lateness=1.0, late_s_max=1)) as rig:
        one, other = Hand(rig, 1), Hand(rig, 2)
        await one.say(DirectDestination(other.messenger.node_id), *_GREETING)
        assert other.got == []
        assert rig.network.next_arrival() == START + 1
        await rig.run_for(1)
        assert len(other.got) == 1


async def test_messages_that_are_under_way_at_once_may_overtake_each_other() -> None:
    orders = set()
    for seed in range(10):
        async with Rig(seed, faults=Faults(reordering=1.0)) as rig:
            one, other = Hand(rig, 1), Hand(rig, 2)
            for number in range(3):
                reply = one.messenger.reply_path(bytes(32), one.key)
                to = DirectDestination(other.messenger.node_id)
                contents = MessageContents(ContentsKind.INVOICE, bytes([number]))
                out = one.messenger.compose(to, contents, bytes([number]) * 64, reply)
                rig.network.submit(one.messenger.node_id, out.first_hop, out.message)
            await rig.settle()
            orders.add(tuple(answer.data[0] for answer in other.answers))
    assert len(orders) > 1
    assert all(sorted(order) == [0, 1, 2] for order in orders)
