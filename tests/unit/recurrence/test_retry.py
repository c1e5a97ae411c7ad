"""When to try again."""

from hypothesis import given
from hypothesis import strategies as st

from lnrecur.recurrence.retry import RECONNECT, REQUEST_RETRY, Backoff, RetryPolicy

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


# --- within a pay window ---------------------------------------------------------------------------------------------


def moments(policy: RetryPolicy, window_s: int) -> list[int]:
    """When tries are made in a window, without jitter."""
    now, found = 0, [0]
    while True:
        now += policy.delay_s(len(found), ZERO, window_s - now)
        if now >= window_s:
            return found
        found.append(now)


def test_a_short_window_sees_many_tries_and_a_long_one_no_more_than_the_cap_allows() -> None:
    assert len(moments(REQUEST_RETRY, 900)) > 30
    month = moments(REQUEST_RETRY, 30 * 86_400)
    assert len(month) < 30 * 86_400 / 900 + 60
    assert month[-1] > 30 * 86_400 - 10, "the last try is close to the end"


@given(
    st.builds(RetryPolicy, st.integers(1, 100), st.integers(1, 5), st.integers(1, 5000), st.integers(0, 100)),
    st.integers(1, 60), entropies, st.integers(1, 10**6),
)  # fmt: skip
def test_a_window_never_makes_a_delay_longer_nor_shorter_than_the_first(
    policy: RetryPolicy, tries: int, entropy: bytes, left: int
) -> None:
    within, plain = policy.delay_s(tries, entropy, left), policy.delay_s(tries, entropy)
    assert within <= plain + plain * policy.jitter_percent // 100
    assert within >= min(policy.first_delay_s, policy.cap_s)
    most = max(policy.first_delay_s, left // 8)
    assert within <= most + most * policy.jitter_percent // 100


def test_where_no_window_bounds_the_trying_another_number_may_hold() -> None:
    policy = RetryPolicy(5, tries_max_unbounded=3)
    assert not policy.gives_up_after(10**6)
    assert [policy.gives_up_after(tries, bounded=False) for tries in (2, 3)] == [False, True]
    assert RetryPolicy(5, tries_max=2).gives_up_after(2, bounded=False)


def test_a_policy_is_told_in_words() -> None:
    told = RetryPolicy(5, cap_s=900, tries_max=10).in_words()
    assert told == "after 5 s, then 2 times as long, up to 900 s (+25 %), at most 10 tries"


def test_a_backoff_grows_with_every_failure_and_begins_anew_after_a_success() -> None:
    backoff = Backoff(RECONNECT)
    assert [backoff.failed(ZERO) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.succeeded()
    assert (backoff.failed(ZERO), backoff.failures) == (1, 1)


@given(entropies)
def test_a_backoff_has_jitter_and_a_cap(entropy: bytes) -> None:
    assert 30 <= Backoff(RECONNECT, failures=10**6).failed(entropy) <= 30 * 125 // 100
