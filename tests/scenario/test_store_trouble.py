"""Stores that do not answer for a while, deeds that meet a bug, and deeds done again when nobody wants them."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.rig import PERIOD, assert_paid, outbound, publish, subscribe
from lnrecur.ports import FailureReason, StoreUnavailable
from lnrecur.recurrence.effects import Pay
from lnrecur.recurrence.outbound_model import NextTry, Phase
from lnrecur.service.scheduler import POSTPONE_S
from lnrecur.testing.memory_store import MemoryRecurrenceManager
from lnrecur.testing.rig import Rig


class TroubledStore(MemoryRecurrenceManager):
    """Does not answer the next `times` calls of one of its methods."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[str, int] = {}

    def __getattribute__(self, name: str) -> Any:
        times = object.__getattribute__(self, "__dict__").get("times", {})
        if times.get(name, 0) > 0:
            times[name] -= 1
            raise StoreUnavailable(f"told not to answer {name}")
        return super().__getattribute__(name)


@pytest.mark.parametrize("call", ["claim_outbounds", "claim_outbox", "next_wake", "effect_done", "commit_outbound"])
async def test_a_store_that_does_not_answer_for_a_while_costs_time_but_no_payment(call: str) -> None:
    async with Rig(seed=3) as rig:
        store = TroubledStore()
        await rig.join("merchant")
        alice = await rig.join("alice", open_manager=lambda: store)
        subscription = subscribe(alice, publish(rig.nodes["merchant"]))
        await rig.run_for(PERIOD // 4)
        for _ in range(3):
            store.times[call] = 3
            await rig.run_for(PERIOD)
            assert store.times[call] == 0
        assert_paid(rig, alice, subscription, 4)


async def test_a_deed_that_meets_a_bug_is_put_off_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Rig(seed=4) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        assert alice.services is not None
        performer = alice.services.performer
        working = performer.perform
        broken: list[int] = []

        async def perform(entry: Any) -> None:
            if not broken:
                broken.append(entry.id)
                raise ZeroDivisionError("a bug")
            await working(entry)

        monkeypatch.setattr(performer, "perform", perform)
        offer = publish(merchant)
        first, second = subscribe(alice, offer), subscribe(alice, offer)
        await rig.run_for(POSTPONE_S[-1] // 2)
        assert "a bug" in caplog.text
        payments = [outbound(alice, subscription).payments for subscription in (first, second)]
        assert sorted(payments) == [0, 1]
        await rig.run_for(PERIOD // 2)
        assert [outbound(alice, subscription).payments for subscription in (first, second)] == [1, 1]


async def test_a_payment_that_is_no_longer_the_one_to_make_is_not_started_again() -> None:
    async with Rig(seed=5) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        alice.money.fail_next_payments(1, reason=FailureReason.REFUSED_BY_PAYEE, retryable=False)
        subscription = subscribe(alice, publish(merchant))
        await rig.settle()
        state = outbound(alice, subscription)
        assert state.payment is not None
        assert (state.phase, state.payment.next_try) == (Phase.PAYING, NextTry.NEW_INVOICE)
        failed = state.payment
        again = Pay(failed.payment_hash, failed.invoice, failed.amount_msat, failed.max_fee_msat)
        started = alice.money.calls["pay"]
        assert alice.services is not None
        await alice.services.performer._pay(subscription, again)
        assert alice.money.calls["pay"] == started
        await rig.run_for(PERIOD // 2)
        assert_paid(rig, alice, subscription, 1)
