"""When to try again."""

from hypothesis import given
from hypothesis import strategies as st

from lnrecur.recurrence.retry import RetryPolicy

entropies = st.binary(min_size=8, max_size=8)
ZERO = bytes(8)


def test_delays_grow_up_to_the_cap() -> None:
    policy = RetryPolicy(first_delay_s=5, factor=3, cap_s=100)
    assert [policy.delay_s(tries, ZERO) for tries in range(1, 7)] == [5, 15, 45, 100, 100, 100]
    assert policy.delay_s(10**9, ZERO) == 100


def test_the_first_delay_is_capped_too() -> None:
    assert RetryPolicy(first_delay_s=500, cap_s=100).delay_s(1, ZERO) == 100


def test_a_delay_is_a_second_at_least() -> None:
    assert RetryPolicy(first_delay_s=0, jitter_percent=0).delay_s(1, ZERO) == 1


def test_a_policy_gives_up_after_its_tries_or_never() -> None:
    assert [RetryPolicy(1, tries_max=3).gives_up_after(tries) for tries in (1, 2, 3, 4)] == [False, False, True, True]
    assert not RetryPolicy(1).gives_up_after(10**9)


def test_without_jitter_entropy_changes_nothing() -> None:
    assert RetryPolicy(40, jitter_percent=0).delay_s(1, b"\xff" * 8) == 40


@given(
    st.integers(1, 1000), st.integers(1, 5), st.integers(1, 5000), st.integers(0, 100), st.integers(1, 50), entropies
)
def test_jitter_adds_no_more_than_its_share(
    first: int, factor: int, cap: int, percent: int, tries: int, entropy: bytes
) -> None:
    policy = RetryPolicy(first, factor, cap, percent)
    plain = policy.delay_s(tries, ZERO)
    assert plain == min(first * factor ** (tries - 1), cap)
    assert plain <= policy.delay_s(tries, entropy) <= plain + plain * percent // 100


def test_jitter_reaches_both_ends_of_its_share() -> None:
    policy = RetryPolicy(100, jitter_percent=10)
    seen = {policy.delay_s(1, number.to_bytes(8, "big")) for number in range(1001)}
    assert seen == set(range(100, 111))
