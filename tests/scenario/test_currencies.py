"""Offers in a currency: the price follows the rate, the receipt says which, and no rate means no invoice for now."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from helpers.forged import forge_request
from helpers.rig import PERIOD, Hand, assert_paid, events, outbound, publish, recurring, subscribe
from lnrecur.bolt12 import Offer, OfferTerms, fields
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.offer import write_offer
from lnrecur.ports import RateUnavailable
from lnrecur.recurrence.mandate import FiatLimit
from lnrecur.recurrence.outbound_model import Phase
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.service.assembly import Parts
from lnrecur.testing.rig import Rig
from lnrecur.values import REGTEST, Msat, UnixSeconds

CHEAP, DEAR = 5_000_000, 10_000_000
"""50,000.00 and 100,000.00 EUR for a bitcoin: 20,000 and 10,000 msat for a cent."""


class Market:
    """A source of rates that the test moves."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.minor_per_btc: int | None = CHEAP
        self.asked = 0

    async def rate(self, currency: str) -> ExchangeRate:
        self.asked += 1
        if self.minor_per_btc is None:
            raise RateUnavailable("the market is closed")
        return ExchangeRate(currency, self.minor_per_btc, UnixSeconds(self.rig.clock.now()), "the market")

    def dress(self) -> Callable[[Parts], Parts]:
        return lambda parts: replace(parts, rates=self)


async def test_each_period_is_paid_at_the_rate_of_its_day_and_the_receipt_names_it() -> None:
    async with Rig(seed=1) as rig:
        market = Market(rig)
        merchant = await rig.join("merchant", dress=market.dress())
        alice = await rig.join("alice", dress=market.dress())
        offer = publish(merchant, amount=999, currency="EUR")
        limit = FiatLimit("EUR", 999)
        subscription = subscribe(alice, offer, max_per_period_msat=Msat(10**9), fiat=limit)
        await rig.run_for(PERIOD // 2)
        market.minor_per_btc = DEAR
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        receipts = [paid.booking for paid in merchant.manager.payments()]
        assert [receipt.amount_msat for receipt in receipts] == [19_980_000, *[9_990_000] * 3]
        conversions = [receipt.conversion for receipt in receipts if receipt.conversion is not None]
        assert [conversion.minor for conversion in conversions] == [999] * 4
        assert [conversion.rate.minor_per_btc for conversion in conversions] == [CHEAP, DEAR, DEAR, DEAR]
        assert {conversion.rate.source for conversion in conversions} == {"the market"}


async def test_a_market_that_closes_delays_the_period_and_loses_nothing() -> None:
    async with Rig(seed=2) as rig:
        market = Market(rig)
        merchant = await rig.join("merchant", dress=market.dress())
        alice = await rig.join("alice", dress=market.dress())
        offer = publish(merchant, amount=999, currency="EUR")
        subscription = subscribe(alice, offer, max_per_period_msat=Msat(10**9), fiat=FiatLimit("EUR", 999))
        await rig.run_for(PERIOD // 2)
        market.minor_per_btc = None
        await rig.run_for(PERIOD)
        assert "no exchange rate for EUR just now" in (outbound(alice, subscription).problem or "")
        assert outbound(alice, subscription).next_counter == 1
        market.minor_per_btc = CHEAP
        await rig.run_for(3 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        assert outbound(alice, subscription).phase is Phase.COMPLETED
        assert events(merchant, "subscription.missed") == []


async def test_nobody_asks_for_a_rate_for_an_offer_in_sat_or_a_request_that_is_not_authentic() -> None:
    async with Rig(seed=3) as rig:
        market = Market(rig)
        merchant = await rig.join("merchant", dress=market.dress())
        alice, hand = await rig.join("alice"), Hand(rig)
        subscription = subscribe(alice, publish(merchant))
        await rig.run_for(4 * PERIOD)
        assert_paid(rig, alice, subscription, 4)
        euro = publish(merchant, amount=999, currency="EUR")
        never_ours = write_offer(
            OfferTerms(description="a thing", amount=999, currency="EUR", chains=(REGTEST,),
                       issuer_id=merchant.keyring.identity.point, recurrence=recurring()), bytes(24),
        )  # fmt: skip
        good = _request(euro, hand)
        for offer, data in [(euro, good[:-1] + bytes([good[-1] ^ 1])), (never_ours, _request(never_ours, hand))]:
            await hand.ask(offer, data)
        assert market.asked == 0
        await hand.ask(euro, good)
        assert market.asked == 1


def _request(offer: Offer, hand: Hand) -> bytes:
    values: dict[Field[Any], Any] = {
        fields.INVREQ_METADATA: b"m" * 16,
        fields.INVREQ_CHAIN: REGTEST,
        fields.INVREQ_PAYER_ID: hand.key.point,
        fields.INVREQ_RECURRENCE_COUNTER: 0,
    }
    return forge_request(offer, values, offer.dialect, hand.key).to_bytes()
