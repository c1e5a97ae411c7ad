"""Token buckets, and that no way of asking gets more out of one than its rate allows."""

from hypothesis import given
from hypothesis import strategies as st

from lnrecur.messaging.token_bucket import Rate, TokenBucket


def test_a_new_bucket_lets_its_burst_through_and_then_its_rate() -> None:
    bucket = TokenBucket(Rate(per_second=2, burst=3), now=100.0)
    assert [bucket.take(1, 100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1, 100.4)
    assert bucket.take(1, 100.5)
    assert not bucket.take(1, 100.9)


def test_a_refused_amount_costs_nothing() -> None:
    bucket = TokenBucket(Rate(1, 3), 0.0)
    assert not bucket.take(4, 0.0)
    assert bucket.take(3, 0.0)


def test_a_bucket_fills_no_further_than_its_burst() -> None:
    bucket = TokenBucket(Rate(10, 3), 0.0)
    assert [bucket.take(1, 1000.0) for _ in range(4)] == [True, True, True, False]


def test_an_overdrawn_bucket_says_how_long_to_rest() -> None:
    bucket = TokenBucket(Rate(100, 50), 0.0)
    assert bucket.overdraw(50, 0.0) == 0.0
    assert bucket.overdraw(30, 0.0) == 0.3
    assert bucket.overdraw(0, 0.3) == 0.0


def test_as_much_is_taken_as_there_is() -> None:
    bucket = TokenBucket(Rate(1, 5), 0.0, level=3)
    assert bucket.take_up_to(2, 0.0) == 2
    assert bucket.take_up_to(2, 0.0) == 1
    assert bucket.take_up_to(2, 0.0) == 0
    bucket.overdraw(2, 0.0)
    assert bucket.take_up_to(2, 0.0) == 0
    assert bucket.take_up_to(2, 3.0) == 1


def test_the_wait_for_an_amount_is_told_and_is_long_enough() -> None:
    bucket = TokenBucket(Rate(4, 4), 0.0)
    assert bucket.wait_for(1, 0.0) == 0.0
    assert bucket.take(4, 0.0)
    assert bucket.wait_for(1, 0.0) == 0.25
    assert bucket.take(1, 0.25)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(Rate(1, 1), 10.0)
    assert bucket.take(1, 10.0)
    assert not bucket.take(1, 5.0)
    assert not bucket.take(1, 5.5)


@given(
    per_second=st.integers(1, 50),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 5), max_size=60),
)
def test_never_more_than_the_burst_and_the_rate_passes(per_second: int, burst: int, pauses: list[float]) -> None:
    bucket, now, passed = TokenBucket(Rate(per_second, burst), 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        passed += bucket.take(1, now)
        assert passed <= burst + per_second * now + 1e-6
