"""The limits of a mandate (V8), each at its edge."""

import pytest

from helpers.engine import NOW, a_mandate
from lnrecur.recurrence.mandate import Mandate, MandateLimit, Spent, exceeds
from lnrecur.recurrence.words import amount_in_words
from lnrecur.values import Msat, UnixSeconds


def _limit(mandate: Mandate, amount: int = 10_000, *, paid: int = 0, payments: int = 0, now: int = NOW) -> str | None:
    excess = exceeds(mandate, Msat(amount), spent=Spent(payments, Msat(paid)), now=now)
    return None if excess is None else excess.limit.value


@pytest.mark.parametrize(("amount", "limit"), [(0, None), (9_999, None), (10_000, None), (10_001, "per_period")])
def test_a_period_costs_at_most_this(amount: int, limit: str | None) -> None:
    assert _limit(a_mandate(), amount) == limit


@pytest.mark.parametrize(("paid", "limit"), [(0, None), (15_000, None), (15_001, "total"), (25_000, "total")])
def test_all_periods_cost_at_most_this(paid: int, limit: str | None) -> None:
    assert _limit(a_mandate(max_total_msat=Msat(25_000)), paid=paid) == limit


@pytest.mark.parametrize(("payments", "limit"), [(0, None), (2, None), (3, "payments"), (4, "payments")])
def test_so_many_payments_are_allowed(payments: int, limit: str | None) -> None:
    assert _limit(a_mandate(max_payments=3), payments=payments) == limit


@pytest.mark.parametrize(("now", "limit"), [(NOW - 1, None), (NOW, "end"), (NOW + 1, "end")])
def test_a_mandate_ends(now: int, limit: str | None) -> None:
    assert _limit(a_mandate(ends_at=UnixSeconds(NOW)), now=now) == limit


def test_without_limits_only_the_period_counts() -> None:
    assert _limit(a_mandate(), paid=10**18, payments=10**9, now=2**63) is None


def test_a_mandate_of_nothing_allows_nothing() -> None:
    assert _limit(Mandate(Msat(0)), 1) == "per_period"
    assert _limit(a_mandate(max_payments=0)) == "payments"


def test_the_excess_is_told_with_its_numbers() -> None:
    excess = exceeds(a_mandate(max_total_msat=Msat(25_000)), Msat(10_000), spent=Spent(2, Msat(20_000)), now=NOW)
    assert excess is not None
    assert excess.limit is MandateLimit.TOTAL
    amounts = [amount_in_words(Msat(amount)) for amount in (20_000, 10_000, 25_000)]
    assert [amount in excess.told for amount in amounts] == [True] * 3


@pytest.mark.parametrize(("amount", "fee"), [(0, 100), (999, 102), (1_000, 103), (1_000_000, 3_100)])
def test_fees_are_a_base_and_a_share(amount: int, fee: int) -> None:
    assert a_mandate(fee_base_msat=Msat(100), fee_ppm=3_000).max_fee_msat(Msat(amount)) == fee
