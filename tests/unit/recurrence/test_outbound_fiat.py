"""Mandates in a currency: the invoice is held against the rate of its moment, and nothing is paid blind (V8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.engine import NOW, PRICE, PayerSide, a_mandate, an_offer, every, kinds, names, only
from lnrecur.bolt12.codecs import RecurrenceBase
from lnrecur.recurrence.effects import Book, Effect, Emit, Pay
from lnrecur.recurrence.mandate import FiatLimit, Mandate, MandateLimit, Spent, exceeds
from lnrecur.recurrence.outbound_model import Amended, Approved, InvoiceArrived, PaymentUnknown, Phase, Terms, Wait
from lnrecur.recurrence.rates import MSAT_PER_BTC, ExchangeRate, Worth
from lnrecur.values import Msat, UnixSeconds

RATE = ExchangeRate("EUR", 10_000_000, NOW, "a test")
"""100,000 EUR: a cent is 10,000 msat, which is the price in these tests."""
CENT = FiatLimit("EUR", 1, 0)
IN_EUR = a_mandate(max_per_period_msat=None, fiat=CENT)


def receive(
    payer: PayerSide, rate: ExchangeRate | None = RATE, why: str | None = None, **told: int
) -> tuple[Effect, ...]:
    return payer.step(InvoiceArrived(payer.invoice(**told), rate, why))


def asking(mandate: Mandate = IN_EUR, **offer: object) -> PayerSide:
    payer = PayerSide(an_offer(**offer), mandate)
    payer.wake()
    return payer


def test_an_invoice_within_the_limit_is_paid_and_its_rate_is_kept() -> None:
    payer = asking()
    started = only(receive(payer), Emit)
    assert (started.data["minor_per_btc"], started.data["currency"]) == (10_000_000, "EUR")
    booked = only(payer.settle(), Book)
    assert booked.conversion is not None
    assert (booked.conversion.minor, booked.conversion.rate) == (1, RATE)


def test_an_invoice_worth_more_is_asked_about_with_what_it_is_worth() -> None:
    payer = asking()
    told = only(receive(payer, amount=PRICE + 1), Emit)
    assert (told.name, told.data["limit"]) == ("subscription.needs_approval", "fiat")
    assert told.data["why"] == "10.001 sat asked, worth 0.02 EUR, at most 0.01 EUR plus 0 % per period allowed"


def test_the_same_amount_may_be_too_much_under_another_rate() -> None:
    dearer = ExchangeRate("EUR", 10_010_000, NOW, "a test")
    assert names(receive(asking(), dearer)) == ["subscription.needs_approval"]


def test_slippage_is_on_top_of_the_limit() -> None:
    mandate = a_mandate(max_per_period_msat=None, fiat=FiatLimit("EUR", 100, 50_000))
    assert kinds(receive(asking(mandate), amount=105 * PRICE)) == ["Pay"]
    assert kinds(receive(asking(mandate), amount=105 * PRICE + 1)) == []


@pytest.mark.parametrize("rate", [None, ExchangeRate("USD", 10_000_000, NOW, "a test")])
def test_without_a_rate_nothing_is_paid_and_the_invoice_is_asked_for_again(rate: ExchangeRate | None) -> None:
    payer = asking()
    effects = receive(payer, rate, "the source is silent")
    assert names(effects) == ["subscription.rate_unavailable"]
    assert "there is no rate: the source is silent" in (payer.state.problem or "")
    assert receive(payer, rate, "the source is silent") == (), "told once"
    assert (payer.state.phase, kinds(payer.wake())) == (Phase.AWAITING_FIRST_INVOICE, ["SendInvoiceRequest"])
    assert kinds(receive(payer)) == ["Pay"]


def test_a_payment_that_fails_is_tried_again_under_the_rate_it_was_accepted_with() -> None:
    payer = asking()
    receive(payer)
    payer.fail(retryable=True)
    assert kinds(payer.wake()) == ["Pay"]
    payer.fail(retryable=True)
    payer.step(Amended(mandate={"fiat": FiatLimit("EUR", 0)}))
    assert kinds(payer.wake()) == [], "a smaller limit holds for the next try"


@pytest.mark.parametrize("before", [a_mandate(), IN_EUR], ids=["sat", "EUR"])
def test_a_failed_payment_is_not_tried_again_under_a_mandate_in_another_currency(before: Mandate) -> None:
    """The rate that it was accepted under says nothing about yen: a new invoice is asked for, with a rate of yen."""
    payer = asking(before)
    receive(payer)
    payer.fail(retryable=True)
    payer.step(Amended(mandate={"fiat": FiatLimit("JPY", 100_000), "max_per_period_msat": None}))
    assert kinds(payer.wake()) == []
    assert (payer.state.phase, kinds(payer.wake())) == (Phase.AWAITING_FIRST_INVOICE, ["SendInvoiceRequest"])
    assert names(receive(payer)) == ["subscription.rate_unavailable"]


def test_a_payment_that_the_node_never_recorded_is_not_made_under_a_mandate_in_another_currency() -> None:
    payer = asking()
    receive(payer)
    payer.step(Amended(mandate={"fiat": FiatLimit("JPY", 100_000)}))
    assert kinds(payer.step(PaymentUnknown(payer.payment_hash))) == []
    assert kinds(payer.wake()) == []
    assert payer.state.phase is Phase.AWAITING_FIRST_INVOICE


def test_a_yes_to_an_amount_needs_no_rate() -> None:
    payer = asking()
    receive(payer, amount=PRICE + 7)
    payer.step(Approved())
    payer.wake()
    assert only(receive(payer, None, amount=PRICE + 7), Pay).amount_msat == PRICE + 7


def test_a_price_in_the_same_currency_above_the_limit_is_not_even_asked_for() -> None:
    payer = PayerSide(an_offer(currency="EUR", amount=2), IN_EUR)
    told = only(payer.wake(), Emit)
    assert (told.name, told.data["limit"], told.data["amount_msat"]) == ("subscription.needs_approval", "fiat", None)
    payer.step(Approved())
    payer.wake()
    assert names(receive(payer, amount=2 * PRICE)) == ["subscription.needs_approval"], "now its amount is known"
    payer.step(Approved())
    payer.wake()
    assert kinds(receive(payer, amount=2 * PRICE)) == ["Pay"]


def test_an_offer_in_a_currency_may_be_paid_under_a_limit_in_sat() -> None:
    payer = PayerSide(an_offer(currency="EUR", amount=1), a_mandate())
    payer.wake()
    assert kinds(payer.receive()) == ["Pay"]


def test_a_proportional_price_is_not_judged_before_its_invoice() -> None:
    offer = an_offer(every(base=RecurrenceBase(1, NOW - 500)), currency="EUR", amount=2)
    payer = PayerSide(offer, IN_EUR, Terms(start=0))
    payer.wake()
    assert kinds(receive(payer, amount=PRICE)) == ["Pay"]


def test_both_limits_hold_where_both_are_given() -> None:
    mandate = a_mandate(max_per_period_msat=Msat(PRICE - 1), fiat=FiatLimit("EUR", 5))
    assert only(PayerSide(mandate=mandate).wake(), Emit).data["limit"] == "per_period"
    assert mandate.per_period_in_words() == "0.05 EUR plus 5 % and 9.999 sat"


@given(
    st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**12), st.integers(0, 10**15), st.integers(0, 10**15)
)
def test_the_limit_in_a_currency_is_exact(minor: int, slippage: int, rate: int, amount: int, paid: int) -> None:
    """What is allowed is worth at most the limit with its slippage, to the msat, and one msat more is not."""
    fiat = FiatLimit("EUR", minor, slippage)
    now = ExchangeRate("EUR", rate, NOW, "a test")
    mandate = Mandate(None, fiat=fiat)
    most = fiat.most_msat(now)
    excess = exceeds(mandate, Msat(amount), spent=Spent(1, Msat(paid)), now=UnixSeconds(NOW), rate=now)
    assert (excess is None) == (amount <= most)
    assert excess is None or excess.limit is MandateLimit.FIAT
    assert (most - 1) * rate < fiat.most_minor * MSAT_PER_BTC <= most * rate
    assert fiat.most_minor <= minor * 2


@given(st.lists(st.integers(1, 10**9), max_size=20), st.integers(1, 10**10), st.integers(0, 30))
def test_no_order_of_payments_leaves_the_total_or_the_number(amounts: list[int], total: int, most: int) -> None:
    mandate = Mandate(Msat(10**9), max_total_msat=Msat(total), max_payments=most)
    spent = Spent()
    for amount in amounts:
        if exceeds(mandate, Msat(amount), spent=spent, now=NOW) is None:
            spent = Spent(spent.payments + 1, Msat(spent.msat + amount))
    assert spent.msat <= total
    assert spent.payments <= most


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.integers(0, 10**9), st.none() | st.integers(0, 10**9))
def test_fees_never_exceed_base_and_share_nor_the_cap(amount: int, ppm: int, base: int, cap: int | None) -> None:
    mandate = Mandate(Msat(1), fee_base_msat=Msat(base), fee_ppm=ppm, fee_max_msat=None if cap is None else Msat(cap))
    fee = mandate.max_fee_msat(Msat(amount))
    assert fee * 10**6 <= base * 10**6 + amount * ppm
    assert cap is None or fee <= cap


# --- totals ----------------------------------------------------------------------------------------------------------


def in_all(total: int, *, minor: int = 1, slippage: int = 0) -> Mandate:
    return a_mandate(max_per_period_msat=None, fiat=FiatLimit("EUR", minor, slippage, total))


def pay(payer: PayerSide, rate: ExchangeRate | None = RATE, **told: int) -> list[str]:
    """One period; answers the deeds its invoice led to."""
    payer.wake()
    if payer.state.request is None:
        return ["asked first"]
    deeds = kinds(receive(payer, rate, **told))
    if deeds == ["Pay"]:
        payer.settle()
    return deeds


def test_a_total_in_a_currency_allows_exactly_as_many_periods_as_it_is_worth() -> None:
    payer = PayerSide(an_offer(), in_all(3))
    assert [pay(payer) for _ in range(4)] == [["Pay"], ["Pay"], ["Pay"], []]
    assert payer.state.problem == "0.03 EUR paid, 0.01 EUR asked, at most 0.03 EUR plus 0 % in total allowed"
    assert payer.state.waits_for is Wait.MANDATE


def test_a_total_is_held_against_a_price_in_its_currency_before_anything_is_asked_for() -> None:
    payer = PayerSide(an_offer(currency="EUR", amount=1), in_all(2))
    assert [pay(payer) for _ in range(3)] == [["Pay"], ["Pay"], ["asked first"]]
    assert payer.state.phase is Phase.NEEDS_APPROVAL


def test_every_payment_counts_with_the_rate_at_which_it_was_accepted() -> None:
    """A bitcoin that has become dearer makes the same sat worth more."""
    payer = PayerSide(an_offer(), in_all(4, minor=2))
    twice = ExchangeRate("EUR", 20_000_000, NOW, "a test")
    assert pay(payer) == ["Pay"]
    assert pay(payer, twice) == ["Pay"]
    assert payer.state.spent.worth is not None
    assert payer.state.spent.worth.minor == 3
    assert pay(payer, twice) == []


def test_a_total_has_the_slippage_of_its_limit() -> None:
    payer = PayerSide(an_offer(), in_all(100, minor=100, slippage=50_000))
    assert pay(payer, amount=100 * PRICE) == ["Pay"]
    assert pay(payer, amount=5 * PRICE) == ["Pay"]
    assert pay(payer, amount=1001) == []


def test_what_cannot_be_counted_is_not_paid_even_with_a_yes() -> None:
    payer = PayerSide(an_offer(), in_all(1, minor=5))
    payer.wake()
    receive(payer, amount=2 * PRICE)
    payer.step(Approved())
    payer.wake()
    assert kinds(receive(payer, None, "the source is down", amount=2 * PRICE)) == []
    assert "there is no rate" in (payer.state.problem or "")
    assert kinds(receive(payer, amount=2 * PRICE)) == ["Pay"]


def test_a_total_in_another_currency_counts_from_when_it_was_set() -> None:
    payer = PayerSide(an_offer(), in_all(2))
    pay(payer)
    payer.step(Amended(mandate={"fiat": FiatLimit("USD", 1, 0, 1)}))
    assert payer.state.spent.worth is None
    dollars = ExchangeRate("USD", 10_000_000, NOW, "a test")
    assert pay(payer, dollars) == ["Pay"]
    assert pay(payer, dollars) == []


def test_a_total_that_is_amended_is_told_in_words() -> None:
    payer = PayerSide(an_offer(), in_all(2))
    told = only(payer.step(Amended(mandate={"fiat": FiatLimit("EUR", 1, 0, 9)})), Emit)
    assert (told.data["old"], told.data["new"]) == (
        "0.01 EUR plus 0 %, 0.02 EUR plus 0 % in total",
        "0.01 EUR plus 0 %, 0.09 EUR plus 0 % in total",
    )


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=20), st.integers(1, 10**6))
def test_the_agreed_price_fits_as_often_as_the_total_says_and_not_once_more(rates: list[int], price: int) -> None:
    """Whatever the rates: each payment is the price, rounded up to the msat."""
    fiat, spent = FiatLimit("EUR", price, 0, (len(rates) - 1) * price), Worth("EUR", 0)
    for number, minor_per_btc in enumerate(rates, start=1):
        rate = ExchangeRate("EUR", minor_per_btc, NOW, "a test")
        spent = spent.plus(rate.worth(rate.msat(price)))
        assert fiat.allows_in_all(spent) is (number < len(rates))
        assert spent.minor == number * price
