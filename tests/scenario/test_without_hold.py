"""A payee whose money node cannot hold: every payment is its own at once, and nothing waits to be claimed."""

from helpers.rig import PERIOD, assert_consistent, assert_paid, events, publish, subscribe
from lnrecur.testing.rig import Rig


async def test_all_periods_are_paid_and_booked_without_a_claim() -> None:
    async with Rig(seed=1) as rig:
        merchant, alice = await rig.join("merchant", can_hold=False), await rig.join("alice")
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(5 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert_consistent(rig)
        assert merchant.money.calls["claim"] == 0
        assert "payment.claimable" not in events(merchant)
        assert not (await merchant.money.info()).can_hold


async def test_a_receipt_that_was_missed_in_a_crash_is_booked_after_it() -> None:
    async with Rig(seed=2) as rig:
        merchant, alice = await rig.join("merchant", can_hold=False), await rig.join("alice")
        alice.money.hang("pay")
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(5)
        rig.crash("merchant")
        alice.money.release()
        await rig.run_for(5)
        assert not merchant.manager.payments()
        await rig.restart("merchant")
        await rig.run_for(5 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert_consistent(rig)
