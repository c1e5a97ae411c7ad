"""A payee whose payers carry its state (V9): it answers without a lookup and still never takes a period twice."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from helpers.rig import PERIOD, Hand, assert_consistent, assert_paid, counters, inbound, outbound, publish, subscribe
from lnrecur.bolt12 import InvoiceRequest, Offer, fields
from lnrecur.bolt12.invoice_request import write_invoice_request
from lnrecur.ports import SentState
from lnrecur.recurrence.inbound_model import Phase as PayeePhase
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.outbound_model import Phase, Terms
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.service.assembly import Parts
from lnrecur.testing.network import Faults
from lnrecur.testing.rig import Rig
from lnrecur.values import REGTEST

CARRIED = OfferPolicy(give_state=True)


class Counted:
    """A store that counts what it is asked."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return found(*args, **kwargs)

        return call

    def dress(self) -> Callable[[Parts], Parts]:
        def dressed(parts: Parts) -> Parts:
            self._inner = parts.manager
            return replace(parts, manager=self)  # type: ignore[arg-type]

        return dressed


def _request(
    offer: Offer, hand: Hand, counter: int, state: bytes | None, metadata: bytes = b"m" * 16
) -> InvoiceRequest:
    values = {
        fields.INVREQ_METADATA: metadata,
        fields.INVREQ_CHAIN: REGTEST,
        fields.INVREQ_PAYER_ID: hand.key.point,
        fields.INVREQ_RECURRENCE_COUNTER: counter,
        fields.INVREQ_RECURRENCE_PREV_STATE: state,
    }
    return write_invoice_request(offer, values, offer.dialect).sign(hand.key)


async def test_a_subscription_of_a_payer_that_carries_the_state_runs_to_its_end() -> None:
    async with Rig(seed=1) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, policy=CARRIED)
        subscription = subscribe(alice, offer)
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert outbound(alice, subscription).phase is Phase.COMPLETED
        assert outbound(alice, subscription).next_state is not None


async def test_a_request_that_brings_the_state_is_answered_without_a_lookup() -> None:
    async with Rig(seed=2) as rig:
        store = Counted(None)
        merchant, hand = await rig.join("merchant", dress=store.dress()), Hand(rig)
        offer = publish(merchant, policy=CARRIED)
        first = await hand.invoice(offer, _request(offer, hand, 0, None))
        assert await hand.pay(first) is SentState.SUCCEEDED
        await rig.run_for(PERIOD)
        store.calls.clear()
        invoice = await hand.invoice(offer, _request(offer, hand, 1, first.next_state))
        asked = +store.calls - Counter(["next_wake", "due_outbox", "due_outbounds", "due_inbounds"] * 99)
        assert set(asked) <= {"offer"}, "only the offer itself, which is kept for some seconds"
        assert asked["inbound"] == asked["commit_inbound"] == 0
        assert await hand.pay(invoice) is SentState.SUCCEEDED
        [state] = merchant.manager.inbounds()
        assert (state.next_counter, state.payments) == (2, 2)


async def test_a_period_is_taken_once_however_often_its_state_is_shown() -> None:
    async with Rig(seed=3) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        offer = publish(merchant, policy=CARRIED)
        first = await hand.invoice(offer, _request(offer, hand, 0, None))
        assert await hand.pay(first) is SentState.SUCCEEDED
        await rig.run_for(PERIOD)
        rivals = [
            await hand.invoice(offer, _request(offer, hand, 1, first.next_state, bytes([n]) * 16)) for n in (1, 2, 3)
        ]
        assert [await hand.pay(rival) for rival in rivals] == [SentState.SUCCEEDED, SentState.FAILED, SentState.FAILED]
        assert [paid.booking.counter for paid in merchant.manager.payments()] == [0, 1]
        refused = await hand.refusal(offer, _request(offer, hand, 1, first.next_state, b"n" * 16))
        assert "counter 1 is paid already [Q13]" in refused
        await rig.restart("merchant")  # it has forgotten what it saw, and finds out when the replay is paid
        replay = await hand.invoice(offer, _request(offer, hand, 1, first.next_state, b"o" * 16))
        assert await hand.pay(replay) is SentState.FAILED
        refused = await hand.refusal(offer, _request(offer, hand, 1, first.next_state, b"p" * 16))
        assert "counter 1 is paid already [Q13]" in refused


@pytest.mark.parametrize("kind", ["forged", "older", "another payer's", "too long"])
async def test_a_state_that_does_not_fit_is_refused_by_name(kind: str) -> None:
    async with Rig(seed=4) as rig:
        merchant, hand, other = await rig.join("merchant"), Hand(rig), Hand(rig, 2)
        offer = publish(merchant, policy=CARRIED)
        states = []
        for counter in (0, 1):
            invoice = await hand.invoice(offer, _request(offer, hand, counter, states[-1] if states else None))
            assert await hand.pay(invoice) is SentState.SUCCEEDED
            states.append(invoice.next_state)
            await rig.run_for(PERIOD)
        theirs = await other.invoice(offer, _request(offer, other, 0, None))
        token = {
            "forged": (states[1] or b"")[:-1] + b"x", "older": states[0], "another payer's": theirs.next_state,
            "too long": bytes(2000),
        }[kind]  # fmt: skip
        refused = await hand.refusal(offer, _request(offer, hand, 2, token))
        assert refused.startswith("invreq_recurrence_prev_state: ")
        assert refused.endswith("[V9]")


async def test_what_happened_meanwhile_counts_more_than_the_state_that_is_carried() -> None:
    async with Rig(seed=5) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, policy=CARRIED)
        subscription = subscribe(alice, offer)
        await rig.run_for(PERIOD // 2)
        merchant.payee.subscribers.waive(offer.offer_id, alice.keyring.payer(subscription).payer_id)
        await rig.run_for(4 * PERIOD)
        assert counters(alice, subscription) == [0, 2, 3]
        theirs = inbound(merchant, offer, alice, subscription)
        assert theirs is not None
        assert (theirs.phase, theirs.waived) == (PayeePhase.COMPLETED, 1)


@pytest.mark.parametrize("seed", range(10))
async def test_every_period_is_paid_once_however_bad_the_network_and_however_often_the_payee_forgets(seed: int) -> None:
    bad = Faults(loss=0.3, doubling=0.3, reordering=0.3, lateness=0.3, late_s_max=20)
    async with Rig(seed, faults=bad) as rig:
        merchant, alice = await rig.join("merchant"), await rig.join("alice")
        offer = publish(merchant, policy=CARRIED)
        subscription = subscribe(alice, offer, Terms(request_retry=RetryPolicy(first_delay_s=5, cap_s=30)))
        for _ in range(9):
            await rig.run_for(PERIOD // 2)
            await rig.restart("merchant")
            assert_consistent(rig)
        assert_paid(rig, alice, subscription, 4)
