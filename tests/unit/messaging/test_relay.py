"""Which messages for somebody else are passed on."""

from __future__ import annotations

import pytest

from lnrecur.errors import UsageError
from lnrecur.messaging.relay import RelayGate, RelayLimits, RelayVerdict
from lnrecur.values import NodeId

ALICE, BOB, CAROL = (NodeId(bytes([2]) + bytes([number]) * 32) for number in range(3))
PEERS = frozenset({ALICE, BOB, CAROL})
NOW = 1000.0


def test_nothing_is_passed_on_unless_it_was_asked_for() -> None:
    assert RelayGate(None).judge(ALICE, BOB, PEERS, NOW) is RelayVerdict.NOT_RELAYING


def test_a_message_for_a_connected_peer_is_passed_on() -> None:
    assert RelayGate(RelayLimits()).judge(ALICE, BOB, PEERS, NOW) is RelayVerdict.PASSED_ON


@pytest.mark.parametrize(
    ("next_node", "verdict"),
    [
        (ALICE, RelayVerdict.GOES_BACK),
        (NodeId(b"\x03" * 33), RelayVerdict.NO_PEER),
        (None, RelayVerdict.NO_PEER),
    ],
    ids=["back to its sender", "to nobody we are connected to", "over a channel that nobody knows"],
)
def test_a_message_that_leads_nowhere_is_dropped_and_costs_its_peer_nothing(
    next_node: NodeId | None, verdict: RelayVerdict
) -> None:
    gate = RelayGate(RelayLimits(burst=1))
    assert gate.judge(ALICE, next_node, PEERS, NOW) is verdict
    assert gate.judge(ALICE, BOB, PEERS, NOW) is RelayVerdict.PASSED_ON


def test_each_peer_has_a_burst_of_four_and_one_more_per_quarter_of_a_second() -> None:
    gate = RelayGate(RelayLimits())
    assert [gate.judge(ALICE, BOB, PEERS, NOW) for _ in range(6)] == [RelayVerdict.PASSED_ON] * 4 + [
        RelayVerdict.TOO_MANY
    ] * 2
    assert gate.judge(CAROL, BOB, PEERS, NOW) is RelayVerdict.PASSED_ON, "another peer's share is its own"
    assert [gate.judge(ALICE, BOB, PEERS, NOW + 0.25) for _ in range(2)] == [
        RelayVerdict.PASSED_ON,
        RelayVerdict.TOO_MANY,
    ]


def test_the_memory_of_a_gate_is_bounded_and_who_has_been_quiet_for_longest_is_forgotten_first() -> None:
    gate = RelayGate(RelayLimits(burst=1))
    gate.judge(ALICE, BOB, PEERS, NOW)
    for number in range(5000):
        gate.judge(NodeId(b"\x03" + number.to_bytes(32, "big")), BOB, PEERS, NOW)
        assert gate.judge(ALICE, BOB, PEERS, NOW) is RelayVerdict.TOO_MANY, "it asks all the time, and is remembered"
    assert len(gate._buckets) <= 1024


def test_verdicts_are_counted() -> None:
    gate = RelayGate(RelayLimits())
    gate.count(RelayVerdict.PASSED_ON)
    gate.count(RelayVerdict.TOO_MANY)
    gate.count(RelayVerdict.PASSED_ON)
    assert gate.counts[RelayVerdict.PASSED_ON] == 2
    assert gate.counts[RelayVerdict.TOO_MANY] == 1
    assert gate.counts[RelayVerdict.NO_PEER] == 0


@pytest.mark.parametrize(("field", "value"), [("burst", 0), ("every_s", 0.0), ("every_s", float("nan"))])
def test_limits_that_cannot_be_are_refused_by_field(field: str, value: float) -> None:
    with pytest.raises(UsageError) as caught:
        RelayLimits(**{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field
