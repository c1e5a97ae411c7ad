"""The shortest way over nodes that pass on messages."""

from __future__ import annotations

from itertools import pairwise
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.errors import UsageError
from lnrecur.messaging.graph import ROUTE_MAX, MessageGraph
from lnrecur.values import NodeId, ShortChannelId


def node(number: int) -> NodeId:
    return NodeId(b"\x02" + number.to_bytes(32, "big"))


def graph_of(edges: list[tuple[int, int]]) -> MessageGraph:
    graph = MessageGraph()
    for one, other in edges:
        graph.connect(node(one), node(other))
    return graph


def route(graph: MessageGraph, sources: set[int], destination: int) -> list[int] | None:
    found = graph.shortest_route(frozenset(map(node, sources)), node(destination))
    return None if found is None else [int.from_bytes(one[1:], "big") for one in found]


def test_the_route_begins_at_a_peer_and_ends_at_the_destination() -> None:
    graph = graph_of([(1, 2), (2, 3), (3, 4)])
    assert route(graph, {1}, 4) == [1, 2, 3, 4]
    assert route(graph, {1, 3}, 4) == [3, 4], "from the peer that is nearest"
    assert route(graph, {4}, 4) == [4]
    assert route(graph, {4}, 1) == [4, 3, 2, 1], "connections carry messages both ways"


def test_there_is_no_route_to_somebody_unknown_or_apart_or_too_far_away() -> None:
    graph = graph_of([(1, 2), (5, 6)] + [(number, number + 1) for number in range(100, 120)])
    assert route(graph, {1}, 9) is None
    assert route(graph, {1}, 6) is None
    assert route(graph, set(), 1) is None
    assert route(graph, {100}, 100 + ROUTE_MAX - 1) is not None
    assert route(graph, {100}, 100 + ROUTE_MAX) is None


def test_a_node_that_is_forgotten_is_passed_by() -> None:
    graph = graph_of([(1, 2), (2, 4), (1, 3), (3, 5), (5, 4)])
    graph.add_channel(ShortChannelId(7), node(2), node(4))
    assert route(graph, {1}, 4) == [1, 2, 4]
    graph.forget(node(2))
    assert route(graph, {1}, 4) == [1, 3, 5, 4]
    assert graph.channel_ends(ShortChannelId(7)) is None
    graph.forget(node(2))  # harmless


def test_the_ends_of_a_channel_are_told_lesser_first_and_are_connected() -> None:
    graph = MessageGraph()
    graph.add_channel(ShortChannelId(7), node(9), node(3))
    assert graph.channel_ends(ShortChannelId(7)) == (node(3), node(9))
    assert graph.channel_ends(ShortChannelId(8)) is None
    assert route(graph, {9}, 3) == [9, 3]


def test_a_node_is_no_neighbour_of_itself() -> None:
    with pytest.raises(UsageError, match="itself"):
        MessageGraph().connect(node(1), node(1))


EDGES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda edge: edge[0] != edge[1]), max_size=25)


@given(EDGES, st.sets(st.integers(0, 9), max_size=3), st.integers(0, 9))
def test_a_route_is_connected_and_none_is_shorter(edges: list[tuple[int, int]], sources: set[int], end: int) -> None:
    found = route(graph_of(edges), sources, end)
    known = {frozenset(edge) for edge in edges}
    near, distance = {end}, 1
    while near and not near & sources:  # by waves, from the end
        grown = near | {b for one in known for a, b in (tuple(one), tuple(one)[::-1]) if a in near}
        if grown == near:
            near = set()
        near, distance = grown if near else near, distance + 1
    if not near:
        assert found is None
    else:
        assert found is not None
        assert len(found) == distance
        assert (found[0] in sources, found[-1]) == (True, end)
        assert all(frozenset(pair) in known for pair in pairwise(found))


def test_for_peers_that_are_not_in_it_a_graph_is_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unread(dict[NodeId, dict[NodeId, None]]):
        def get(self, *_: object) -> NoReturn:
            raise AssertionError("searched")

    graph = graph_of([(1, 2), (2, 3)])
    monkeypatch.setattr(graph, "_neighbours", Unread(graph._neighbours))
    assert route(graph, {7, 8}, 3) is None
    with pytest.raises(AssertionError, match="searched"):
        route(graph, {1, 7}, 3)
