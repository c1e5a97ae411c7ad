"""What subscribers and merchants decide on the way: pauses, waived periods, new offers, currencies, short windows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from helpers.rig import (
    PERIOD,
    PRICE,
    IntentWatch,
    assert_consistent,
    assert_paid,
    counters,
    events,
    outbound,
    publish,
    recurring,
    subscribe,
)
from lnrecur.adapters.rates import StaticRates
from lnrecur.bolt12 import Offer
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.errors import UsageError
from lnrecur.ports import RateUnavailable, StoreUnavailable
from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus, Windows
from lnrecur.recurrence.outbound_model import Missed, Phase, Terms, Wait
from lnrecur.recurrence.outbound_terms import PayAt
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.service.assembly import Parts
from lnrecur.service.authorising import NothingWaits
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import Msat, RecurrenceId

CATCH_UP = Terms(missed=Missed.CATCH_UP)
LENIENT = OfferPolicy(windows=Windows.LENIENT)


def missed(node: RigNode) -> list[Any]:
    return [event.data["counter"] for event in node.manager.events() if event.name == "subscription.missed"]


# --- the subscriber pauses, amends, declines -------------------------------------------------------------------------


async def test_a_pause_is_caught_up_where_the_payee_is_lenient_and_each_period_is_told() -> None:
    async with Rig(seed=1) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = subscribe(alice, publish(merchant, policy=LENIENT), CATCH_UP)
        await rig.run_for(500)
        alice.payer.pause(name)
        await rig.run_for(2 * PERIOD + 500)
        assert (outbound(alice, name).phase, missed(alice)) == (Phase.PAUSED, [1, 2])
        assert counters(alice, name) == [0]
        alice.payer.resume(name)
        await rig.run_for(PERIOD)
        assert_paid(rig, alice, name, 4)


async def test_a_pause_within_one_period_costs_nothing() -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = subscribe(alice, publish(merchant))
        for _ in range(4):
            await rig.run_for(100)
            alice.payer.pause(name) if not outbound(alice, name).is_final else None
            await rig.run_for(PERIOD)
            if outbound(alice, name).phase is Phase.PAUSED:
                alice.payer.resume(name)
        await rig.run_for(PERIOD)
        assert_paid(rig, alice, name, 4)


async def test_a_pause_that_lasts_too_long_ends_a_subscription_that_stops_at_missed_periods() -> None:
    async with Rig(seed=3) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = subscribe(alice, publish(merchant))
        await rig.run_for(500)
        alice.payer.pause(name)
        await rig.run_for(3 * PERIOD)
        assert (outbound(alice, name).phase, missed(alice)) == (Phase.LAPSED, [1])
        with pytest.raises(UsageError, match="nothing to resume"):
            alice.payer.resume(name)
        assert_paid(rig, alice, name, 1)


async def test_a_limit_that_is_raised_lets_the_waiting_payment_go() -> None:
    async with Rig(seed=4) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = subscribe(alice, publish(merchant), max_per_period_msat=Msat(PRICE - 1))
        await rig.run_for(50)
        assert outbound(alice, name).phase is Phase.NEEDS_APPROVAL
        alice.payer.amend(name, {"max_per_period_msat": PRICE}, {})
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, name, 4)


async def test_a_no_ends_it_and_the_payee_hears_of_it() -> None:
    async with Rig(seed=5) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = subscribe(alice, publish(merchant), max_payments=2)
        await rig.run_for(2 * PERIOD + 50)
        alice.payer.decline(name)
        await rig.run_for(PERIOD)
        assert outbound(alice, name).phase is Phase.CANCELLED
        assert "subscription.cancelled" in events(merchant)
        assert_paid(rig, alice, name, 2)


@pytest.mark.parametrize("where", PayAt)
@pytest.mark.parametrize("jitter", [0, None, 400])
async def test_whenever_in_the_window_it_is_paid(where: PayAt, jitter: int | None) -> None:
    async with Rig(seed=6) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        limits = Mandate(PRICE)
        terms = Terms(pay_at=where, margin_s=60, jitter_s=jitter)
        name = alice.payer.subscribe(publish(merchant), limits, terms).recurrence_id
        await rig.run_for(5 * PERIOD)
        assert_paid(rig, alice, name, 4)


# --- the merchant waives, pauses, ends, replaces ---------------------------------------------------------------------


def payer_of(alice: RigNode, name: RecurrenceId) -> Any:
    return alice.keyring.payer(name).payer_id


async def test_a_waived_period_is_not_paid_and_the_next_one_is() -> None:
    async with Rig(seed=7) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        name = subscribe(alice, offer)
        await rig.run_for(500)
        merchant.payee.subscribers.waive(offer.offer_id, payer_of(alice, name))
        await rig.run_for(4 * PERIOD)
        state = outbound(alice, name)
        assert (state.phase, state.payments, state.waived) == (Phase.COMPLETED, 3, 1)
        assert counters(alice, name) == [0, 2, 3]
        assert events(alice, "subscription.waived") == ["subscription.waived"]


async def test_a_merchant_that_pauses_loses_no_subscriber() -> None:
    async with Rig(seed=8) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, recurring(limit=5))
        name = subscribe(alice, offer)
        await rig.run_for(500)
        merchant.payee.subscribers.change_offer(offer.offer_id, OfferStatus.PAUSED)
        await rig.run_for(2 * PERIOD)
        assert outbound(alice, name).phase is Phase.REQUESTING
        merchant.payee.subscribers.change_offer(offer.offer_id, OfferStatus.OPEN)
        await rig.run_for(5 * PERIOD)
        state = outbound(alice, name)
        assert state.phase is Phase.COMPLETED
        assert state.waived >= 1
        assert state.payments + state.waived == 6


async def test_an_offer_that_ends_ends_its_subscriptions_at_their_next_request() -> None:
    async with Rig(seed=9) as rig:
        watch = IntentWatch(rig)
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        name = subscribe(alice, offer)
        await rig.run_for(500)
        merchant.payee.subscribers.change_offer(offer.offer_id, OfferStatus.ENDED)
        await rig.run_for(4 * PERIOD)
        assert (outbound(alice, name).phase, events(alice)[-1]) == (Phase.LAPSED, "subscription.ended")
        assert len(watch.requests) == 2, "a final refusal is not tried again"


async def _replaced(rig: Rig, **mandate: Any) -> tuple[RigNode, RigNode, RecurrenceId, Offer]:
    merchant, alice = await rig.join("merchant"), await rig.join("alice")
    old = publish(merchant)
    new = publish(merchant, recurring(limit=5), amount=2 * PRICE)
    name = subscribe(alice, old, **mandate)
    await rig.run_for(500)
    merchant.payee.subscribers.change_offer(old.offer_id, OfferStatus.REPLACED, new.offer_id)
    await rig.run_for(PERIOD)
    assert outbound(alice, name).waits_for is Wait.NEW_OFFER
    return merchant, alice, name, new


async def test_a_yes_to_a_new_offer_moves_to_it_with_what_is_left_of_the_mandate() -> None:
    async with Rig(seed=10) as rig:
        _merchant, alice, name, new = await _replaced(rig, max_payments=3, max_total_msat=Msat(100 * PRICE))
        moved = alice.payer.approve(name)
        assert (moved.offer.offer_id, moved.mandate.max_per_period_msat) == (new.offer_id, 2 * PRICE)
        assert (moved.mandate.max_payments, moved.mandate.max_total_msat) == (2, 99 * PRICE)
        assert outbound(alice, name).phase is Phase.LAPSED
        await rig.run_for(4 * PERIOD)
        assert counters(alice, moved.recurrence_id) == [0, 1]
        assert outbound(alice, moved.recurrence_id).phase in (Phase.NEEDS_APPROVAL, Phase.LAPSED)
        assert_consistent(rig)


async def test_a_yes_that_could_not_be_stored_has_begun_nothing_and_can_be_said_again() -> None:
    async with Rig(seed=11) as rig:
        _merchant, alice, name, _new = await _replaced(rig)
        with monkeypatched(alice.manager, "commit_outbound", StoreUnavailable("the power went away")):
            with pytest.raises(StoreUnavailable, match="power"):
                alice.payer.approve(name)
            assert [state.recurrence_id for state in alice.manager.outbounds()] == [name]
        moved = alice.payer.approve(name)
        assert len(alice.manager.outbounds()) == 2
        assert outbound(alice, name).phase is Phase.LAPSED
        with pytest.raises(NothingWaits):
            alice.payer.approve(name)
        await rig.run_for(50)
        assert counters(alice, moved.recurrence_id) == [0]


@contextmanager
def monkeypatched(thing: object, name: str, error: Exception) -> Iterator[None]:
    """A method that fails, for a while."""

    def fails(*_: Any) -> Any:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thing, name, fails)
        yield


@pytest.mark.parametrize(("before", "after"), [(None, 5), (5, None)])
async def test_one_item_stays_one_item_whether_the_new_offer_counts_them_or_not(
    before: int | None, after: int | None
) -> None:
    async with Rig(seed=12) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        old, new = publish(merchant, quantity_max=before), publish(merchant, quantity_max=after)
        name = subscribe(alice, old, Terms(quantity=None if before is None else 1))
        await rig.run_for(500)
        merchant.payee.subscribers.change_offer(old.offer_id, OfferStatus.REPLACED, new.offer_id)
        await rig.run_for(PERIOD)
        moved = alice.payer.approve(name)
        assert moved.terms.quantity == (None if after is None else 1)
        await rig.run_for(50)
        assert counters(alice, moved.recurrence_id) == [0]


async def test_a_no_to_a_new_offer_ends_it() -> None:
    async with Rig(seed=12) as rig:
        _merchant, alice, name, _new = await _replaced(rig)
        alice.payer.decline(name)
        await rig.run_for(4 * PERIOD)
        assert outbound(alice, name).phase is Phase.CANCELLED
        assert_paid(rig, alice, name, 1)


# --- currencies ------------------------------------------------------------------------------------------------------


class Rates:
    """A rate source that can fail."""

    def __init__(self, minor_per_btc: int) -> None:
        self.minor_per_btc: int | None = minor_per_btc

    async def rate(self, currency: str) -> ExchangeRate:
        if self.minor_per_btc is None:
            raise RateUnavailable("told to know nothing")
        return ExchangeRate(currency, self.minor_per_btc, START, "a scenario")


START: Any = 0


def with_rates(rates: Any) -> Callable[[Parts], Parts]:
    return lambda parts: replace(parts, rates=rates)


async def test_a_price_in_euro_is_paid_under_a_limit_in_euro_and_both_books_show_the_rate() -> None:
    async with Rig(seed=13) as rig:
        rates = StaticRates({"EUR": Decimal(100_000)}, rig.clock)
        merchant = await rig.join("merchant", dress=with_rates(rates))
        alice = await rig.join("alice", dress=with_rates(rates))
        offer = publish(merchant, currency="EUR", amount=5)
        name = subscribe(alice, offer, max_per_period_msat=None, fiat=FiatLimit("EUR", 5, 0))
        await rig.run_for(5 * PERIOD)
        assert_paid(rig, alice, name, 4)
        for paid in (*alice.manager.payments(name), *merchant.manager.payments()):
            assert paid.booking.amount_msat == 50_000
            assert paid.booking.conversion is not None
            assert paid.booking.conversion.rate.minor_per_btc == 10_000_000


async def test_a_payee_whose_rate_is_too_far_from_ours_is_asked_about() -> None:
    async with Rig(seed=14) as rig:
        merchant = await rig.join("merchant", dress=with_rates(Rates(9_000_000)))
        alice = await rig.join("alice", dress=with_rates(Rates(10_000_000)))
        offer = publish(merchant, currency="EUR", amount=500)
        near = subscribe(alice, offer, max_per_period_msat=None, fiat=FiatLimit("EUR", 500, 120_000))
        far = subscribe(alice, offer, max_per_period_msat=None, fiat=FiatLimit("EUR", 500, 50_000))
        await rig.run_for(50)
        assert counters(alice, near) == [0]
        assert outbound(alice, far).phase is Phase.NEEDS_APPROVAL
        assert "worth 5.56 EUR" in (outbound(alice, far).problem or "")


async def test_without_a_rate_nothing_is_paid_and_with_one_it_is_within_the_window() -> None:
    async with Rig(seed=15) as rig:
        rates = Rates(10_000_000)
        merchant, alice = await rig.join("merchant"), await rig.join("alice", dress=with_rates(rates))
        name = subscribe(alice, publish(merchant), max_per_period_msat=None, fiat=FiatLimit("EUR", 1, 0))
        rates.minor_per_btc = None
        await rig.run_for(200)
        assert counters(alice, name) == []
        assert events(alice, "subscription.rate_unavailable") == ["subscription.rate_unavailable"]
        rates.minor_per_btc = 10_000_000
        await rig.run_for(4 * PERIOD + 500)
        assert_paid(rig, alice, name, 4)


# --- windows that are short and networks that lose much --------------------------------------------------------------


@pytest.mark.parametrize("seed", range(50))
async def test_the_default_policy_loses_no_period_of_a_short_window_on_a_lossy_network(seed: int) -> None:
    async with Rig(seed, faults=Faults(loss=0.3)) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        name = subscribe(alice, publish(merchant, recurring(paywindow=Paywindow(0, 900))))
        await rig.run_for(6 * PERIOD)
        assert_paid(rig, alice, name, 4)
