"""Single payments of offers: at most one payment, whatever dies or gets lost on the way."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.rig import PRICE, Death, IntentWatch, assert_consistent, events, live_through, outbound, publish, recurring
from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.bolt12 import Offer, OfferTerms
from lnrecur.errors import UsageError
from lnrecur.ports import FailureReason, SentState
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.outbound_model import Phase, Terms
from lnrecur.recurrence.retry import ONE_OFF_PAYMENT_RETRY, ONE_OFF_REQUEST_RETRY, RetryPolicy
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import Msat, RecurrenceId

TERMS = Terms(request_retry=ONE_OFF_REQUEST_RETRY, payment_retry=ONE_OFF_PAYMENT_RETRY)
STUBBORN = replace(TERMS, request_retry=RetryPolicy(5, cap_s=30))


def plain(merchant: RigNode, *, blinded: bool = False) -> Offer:
    terms = OfferTerms(description="a coffee", amount=PRICE)
    return Offer.from_bytes(merchant.payee.create_offer(terms, OfferPolicy(), blinded=blinded).offer)


def order(payer: RigNode, offer: Offer, terms: Terms = TERMS) -> RecurrenceId:
    return payer.payer.pay_once(offer, Mandate(PRICE, max_payments=1), terms).recurrence_id


def assert_paid_once(rig: Rig, payer: RigNode, merchant: RigNode, name: RecurrenceId) -> None:
    [paid] = payer.manager.payments(name)
    [received] = [one for one in merchant.manager.payments() if one.booking.payment_hash == paid.booking.payment_hash]
    assert received.booking.preimage == paid.booking.preimage
    settled = [one for one in rig.ledger.payments.values() if one.sent.state is SentState.SUCCEEDED]
    assert len(settled) == 1
    assert payer.account.balance_msat == 1_000_000_000 - PRICE
    assert outbound(payer, name).phase is Phase.COMPLETED
    assert_consistent(rig)


@pytest.mark.parametrize("blinded", [False, True])
async def test_a_plain_offer_is_paid_at_once_and_once(blinded: bool) -> None:
    async with Rig(seed=1) as rig:
        watch = IntentWatch(rig)
        merchant = await rig.join("merchant")
        alice = await rig.join("alice", dress=watch.dress("alice"))
        name = order(alice, plain(merchant, blinded=blinded))
        await rig.run_for(5)
        assert_paid_once(rig, alice, merchant, name)
        assert (len(watch.requests), len(watch.orders)) == (1, 1)
        assert events(alice) == ["payment.requested", "payment.started", "payment.settled"]
        await rig.run_for(10**6)
        assert_paid_once(rig, alice, merchant, name)


async def test_an_offer_with_optional_recurrence_is_paid_once_beside_a_subscription_to_it() -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, recurring(optional=True, paywindow=None))
        first, second = order(alice, offer), order(alice, offer)
        await rig.run_for(5)
        assert [len(alice.manager.payments(name)) for name in (first, second)] == [1, 1]
        assert_consistent(rig)
        with pytest.raises(UsageError, match="by subscription only"):
            order(alice, publish(merchant))


@pytest.mark.parametrize("seed", range(5))
async def test_lost_and_doubled_messages_cost_time_and_no_second_payment(seed: int) -> None:
    async with Rig(seed, faults=Faults(loss=0.4, doubling=0.3, lateness=0.3, late_s_max=20)) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = order(alice, plain(merchant), STUBBORN)
        await rig.run_for(2000)
        assert_paid_once(rig, alice, merchant, name)


async def test_a_payment_that_fails_is_tried_again_and_then_given_up() -> None:
    async with Rig(seed=3) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        alice.money.fail_next_payments(2, reason=FailureReason.NO_ROUTE)
        name = order(alice, plain(merchant))
        await rig.run_for(60)
        assert_paid_once(rig, alice, merchant, name)
        alice.money.fail_next_payments(100, reason=FailureReason.NO_ROUTE)
        lost = order(alice, plain(merchant))
        await rig.run_for(600)
        assert outbound(alice, lost).phase is Phase.LAPSED
        assert events(alice)[-1] == "payment.given_up"


async def test_without_funds_nothing_is_tried_for_long() -> None:
    async with Rig(seed=4) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice", opening_balance_msat=Msat(5))
        name = order(alice, plain(merchant))
        await rig.run_for(5)
        assert events(alice)[-3:] == ["payment.failed", "payment.insufficient_funds", "payment.given_up"]
        assert "has less than 10 sat" in (outbound(alice, name).problem or "")


async def _story(file: Path, victim: str, moment: int) -> Death:
    """One payment, with the victim dying at the given moment."""
    with ExitStack() as cleanup:

        def open_anew() -> object:
            cleanup.close()
            manager = open_sqlite_manager(file)
            cleanup.callback(manager.close)
            return manager

        async with Rig(7) as rig:
            death = Death(rig, victim, [moment])
            watch = IntentWatch(rig)
            watched = watch.dress(victim)
            nodes = {
                name: await rig.join(
                    name,
                    open_manager=open_anew if name == victim else None,  # type: ignore[arg-type]
                    dress=(lambda parts: death.dress(watched(parts))) if name == victim else watch.dress(name),
                )
                for name in ("merchant", "alice")
            }
            name = order(nodes["alice"], plain(nodes["merchant"]), STUBBORN)
            death.armed = True
            await live_through(rig, 400, look_s=40)
            assert_paid_once(rig, nodes["alice"], nodes["merchant"], name)
        return death


@pytest.mark.parametrize("victim", ["alice", "merchant"])
async def test_a_node_may_die_at_every_step_of_a_single_payment(victim: str, tmp_path: Path) -> None:
    died: list[str] = []
    moment = 0
    while len(died) == moment:
        moment += 1
        died += (await _story(tmp_path / f"{moment}.sqlite", victim, moment)).died
    assert moment > 12
    calls = {what.removeprefix("before ").removeprefix("after ") for what in died}
    expected = {"store.commit_outbound", "money.pay"} if victim == "alice" else {"money.register", "money.claim"}
    assert expected <= calls
