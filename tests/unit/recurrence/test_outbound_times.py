"""When a payer asks: where in the window, how far spread, and never outside of it (T8, Q5)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.engine import NOW, PERIOD, PayerSide, an_offer, every
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.recurrence.outbound_terms import PayAt, Terms
from lnrecur.recurrence.outbound_times import left_s, next_window, pay_at
from lnrecur.values import UnixSeconds

START = NOW + 2 * PERIOD
MOST = b"\xff" * 8


def paid_twice(terms: Terms, window: Paywindow | None = None, seconds: int = PERIOD) -> Outbound:
    return PayerSide.paid(2, an_offer(every(seconds, paywindow=window)), terms=replace(terms, jitter_s=0)).state


@pytest.mark.parametrize(
    ("terms", "window", "expected"),
    [
        (Terms(), None, START),
        (Terms(), Paywindow(100, 900), START),
        (Terms(), Paywindow(100, 0), START - 1),
        (Terms(pay_at=PayAt.EARLIEST), Paywindow(100, 900), START - 100),
        (Terms(pay_at=PayAt.EARLIEST), None, START - PERIOD),
        (Terms(pay_at=PayAt.BEFORE_END, margin_s=60), Paywindow(100, 900), START + 839),
        (Terms(pay_at=PayAt.BEFORE_END), Paywindow(100, 900), START + 899),
        (Terms(pay_at=PayAt.BEFORE_END, margin_s=10**6), Paywindow(100, 900), START - 100),
    ],
)
def test_a_period_is_asked_for_where_the_terms_say(terms: Terms, window: Paywindow | None, expected: int) -> None:
    assert pay_at(paid_twice(terms, window)) == expected


@pytest.mark.parametrize(
    ("jitter_s", "seconds", "most"),
    [
        (None, PERIOD, 100),  # a twentieth of [start(N-1), start(N+1))
        (None, 3, 0),
        (None, 10**6, 3600),
        (0, PERIOD, 0),
        (7, PERIOD, 7),
        (10**6, PERIOD, (PERIOD - 1) // 2),
    ],
)
def test_the_jitter_is_a_share_of_the_window_and_never_more_than_half_of_what_is_left(
    jitter_s: int | None, seconds: int, most: int
) -> None:
    state = paid_twice(Terms(), seconds=seconds)
    state = replace(state, terms=replace(state.terms, jitter_s=jitter_s))
    least = pay_at(state)
    found = {pay_at(state, number.to_bytes(8, "big")) - least for number in range(most + 1)}
    assert found == set(range(most + 1))
    assert pay_at(state, MOST) - least <= most


@given(
    st.sampled_from(PayAt), st.integers(0, 5000), st.none() | st.integers(0, 10**9), st.binary(min_size=8, max_size=8),
    st.none() | st.builds(Paywindow, st.integers(0, 3000), st.integers(1, 3000)), st.integers(1, 10**7),
)  # fmt: skip
def test_no_terms_lead_outside_the_window(
    where: PayAt, margin: int, jitter: int | None, entropy: bytes, window: Paywindow | None, seconds: int
) -> None:
    state = PayerSide(
        an_offer(every(seconds, paywindow=window)),
        terms=Terms(pay_at=where, margin_s=margin, jitter_s=jitter),
        next_counter=3,
        basetime=NOW,
    ).state
    found = next_window(state)
    assert found is not None
    assert found.contains(pay_at(state, entropy))


def test_a_million_payers_of_one_calendar_do_not_ask_in_one_second() -> None:
    state = paid_twice(Terms(), seconds=30 * 86_400)
    state = replace(state, terms=Terms())
    moments = [pay_at(state, number.to_bytes(8, "big")) for number in range(1, 10**6, 997)]
    assert len(set(moments)) > 900


def test_what_is_left_of_a_window_is_nothing_once_it_has_closed() -> None:
    state = paid_twice(Terms(), Paywindow(100, 900))
    assert left_s(state, UnixSeconds(START)) == 900
    assert left_s(state, UnixSeconds(START + 900)) is None
    assert left_s(PayerSide().state, NOW) is None
