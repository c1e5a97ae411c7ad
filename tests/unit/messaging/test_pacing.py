"""How fast messages go to one peer and whose turn it is, with the time in our hands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.errors import UsageError
from lnrecur.messaging.pacing import Pace, PacedQueue, QueueFull, Spacer

NOW = 1_767_225_600.0
A, B, C = b"a", b"b", b"c"


def a_queue(**changes: int | float) -> PacedQueue[str]:
    return PacedQueue(Pace(**changes))  # type: ignore[arg-type]


def emptied(queue: PacedQueue[str], now: float = NOW) -> list[tuple[float, str]]:
    """Everything that waits, with the second at which it goes."""
    gone = []
    while (moment := queue.ready_at(now)) is not None:
        now = max(now, moment)
        item = queue.pop(now)
        assert item is not None, "what was said to be ready is ready"
        gone.append((now - NOW, item))
    return gone


# --- the spacer ------------------------------------------------------------------------------------------------------


def test_four_go_at_once_and_one_more_each_quarter_of_a_second() -> None:
    spacer = Spacer(4, 0.25)
    assert [spacer.take(NOW) for _ in range(6)] == [True, True, True, True, False, False]
    assert spacer.ready_at(NOW) == NOW + 0.25
    assert not spacer.take(NOW + 0.2)
    assert [spacer.take(NOW + 0.25) for _ in range(2)] == [True, False]
    assert [spacer.take(NOW + 1.0) for _ in range(4)] == [True, True, True, False]


def test_after_a_quiet_while_a_whole_burst_may_go_but_never_more() -> None:
    spacer = Spacer(4, 0.25)
    for _ in range(4):
        spacer.take(NOW)
    assert not spacer.is_fresh(NOW + 0.9)
    assert spacer.is_fresh(NOW + 1)
    assert [spacer.take(NOW + 1000) for _ in range(5)] == [True, True, True, True, False]


def test_a_clock_that_is_set_back_delays_the_next_one_by_one_interval_and_not_by_an_hour() -> None:
    spacer = Spacer(4, 0.25)
    for _ in range(4):
        spacer.take(NOW)
    assert spacer.ready_at(NOW - 3600) == NOW - 3600 + 0.25


@given(st.lists(st.floats(0, 2), max_size=60), st.integers(1, 6))
def test_in_no_stretch_of_time_more_go_than_the_receiver_lets_through(pauses: list[float], burst: int) -> None:
    spacer, now, gone = Spacer(burst, 0.25), NOW, []
    for pause in pauses:
        now += pause
        if spacer.take(now):
            gone.append(now)
    for first in range(len(gone)):
        for last in range(first, len(gone)):
            assert last - first + 1 <= burst + (gone[last] - gone[first]) / 0.25 + 1e-6


# --- the queue -------------------------------------------------------------------------------------------------------


def test_what_finds_nobody_waiting_goes_at_once_until_the_burst_is_spent() -> None:
    queue = a_queue()
    assert [queue.goes_at_once(NOW) for _ in range(5)] == [True] * 4 + [False]
    queue.put(A, "a", 1)
    assert not queue.goes_at_once(NOW + 100), "nobody overtakes those who wait"
    assert queue.pop(NOW + 100) == "a"
    assert queue.goes_at_once(NOW + 100)


def test_conversations_take_turns_however_much_one_of_them_says() -> None:
    queue = a_queue(burst=1, margin_s=0)
    for number in range(20):
        queue.put(A, f"a{number}", 1)
    queue.put(B, "b0", 1)
    queue.put(C, "c0", 1)
    queue.put(B, "b1", 1)
    gone = emptied(queue)
    assert [item for _, item in gone[:6]] == ["a0", "b0", "c0", "a1", "b1", "a2"]
    assert [at for at, _ in gone[:4]] == [0.0, 0.25, 0.5, 0.75]
    assert len(gone) == 23
    assert (len(queue), queue.ready_at(NOW)) == (0, None)


def test_one_conversation_cannot_fill_the_queue_for_the_others() -> None:
    queue = a_queue(conversation_max=3)
    for number in range(3):
        queue.put(A, str(number), 1)
    with pytest.raises(QueueFull, match="3 messages of this conversation"):
        queue.put(A, "3", 1)
    queue.put(B, "b", 1)
    assert len(queue) == 4


def test_a_full_queue_says_so_in_messages_and_in_bytes_and_keeps_what_it_has() -> None:
    for queue in (a_queue(waiting_max=2), a_queue(waiting_bytes_max=20)):
        queue.put(A, "a", 10)
        queue.put(B, "b", 10)
        with pytest.raises(QueueFull, match="2 messages, 20 bytes") as caught:
            queue.put(C, "c", 10)
        assert caught.value.retry
        assert [item for _, item in emptied(queue)] == ["a", "b"]
        queue.put(C, "c", 10)


def test_a_cleared_queue_tells_how_much_was_lost_and_takes_as_much_again() -> None:
    queue = a_queue(waiting_max=2)
    queue.put(A, "a", 10)
    queue.put(B, "b", 10)
    assert queue.clear() == 2
    queue.put(A, "a", 10)
    queue.put(A, "a", 10)
    assert len(queue) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("burst", 0), ("every_s", 0.0), ("every_s", -1.0), ("every_s", float("inf")), ("every_s", float("nan")),
     ("margin_s", -0.1), ("waiting_max", 0), ("waiting_bytes_max", 0), ("conversation_max", 0)],
)  # fmt: skip
def test_a_pace_at_which_nothing_would_go_is_refused_by_field(field: str, value: float) -> None:
    with pytest.raises(UsageError) as caught:
        Pace(**{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(1, 50)), max_size=60), st.floats(0, 3))
def test_what_waits_goes_once_in_the_order_of_its_conversation(said: list[tuple[bytes, int]], later: float) -> None:
    queue: PacedQueue[tuple[bytes, int]] = PacedQueue(Pace(burst=2, waiting_max=30, conversation_max=12))
    taken = []
    for number, (conversation, size) in enumerate(said):
        try:
            queue.put(conversation, (conversation, number), size)
        except QueueFull:
            continue
        taken.append((conversation, number))
    gone, now = [], NOW + later
    while (moment := queue.ready_at(now)) is not None:
        now = max(now, moment)
        item = queue.pop(now)
        assert item is not None
        gone.append(item)
    assert sorted(gone) == sorted(taken)
    for one in (A, B, C):
        assert [item for item in gone if item[0] == one] == [item for item in taken if item[0] == one]
