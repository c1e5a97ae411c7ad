"""A money node that never answers holds up no request but the one it was asked for."""

import asyncio

import pytest

from helpers.rig import PERIOD, assert_paid, outbound, publish, subscribe
from lnrecur.service import payee
from lnrecur.testing.rig import Rig


async def test_a_request_whose_invoice_cannot_be_made_in_time_is_refused_and_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payee, "INVOICE_S_MAX", 0.05)
    async with Rig(seed=6) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant)
        merchant.money.hang("register")
        subscription = subscribe(alice, offer)
        await rig.settle()
        await asyncio.sleep(0.2)  # the limit is one of real time: a node that hangs does not move the virtual clock
        await rig.settle()
        assert "cannot receive just now" in (outbound(alice, subscription).problem or "")
        merchant.money.release("register")
        await rig.run_for(PERIOD // 4)
        assert_paid(rig, alice, subscription, 1)
