"""Routers over a graph: what they were told, and what they learn."""

from __future__ import annotations

import pytest

from lnrecur.adapters.router import GraphRouter, StaticRouter
from lnrecur.errors import UsageError
from lnrecur.ports import MessageRouter, PeerAddress
from lnrecur.values import NodeId, ShortChannelId

A, B, C, D = (NodeId(b"\x02" + bytes([number]) * 32) for number in range(4))
CHANNEL = ShortChannelId(7)


def test_a_chain_of_the_settings_is_walked_from_any_of_its_nodes_either_way() -> None:
    router: MessageRouter = StaticRouter(routes=[[A, B, C]])
    assert router.route(C, frozenset({A})) == [A, B, C]
    assert router.route(C, frozenset({A, B})) == [B, C]
    assert router.route(A, frozenset({C})) == [C, B, A]
    assert router.route(B, frozenset({B})) == [B]
    assert router.route(D, frozenset({A})) is None
    assert router.route(C, frozenset()) is None


def test_chains_that_share_a_node_join() -> None:
    assert StaticRouter(routes=[[A, B], [B, C]]).route(C, frozenset({A})) == [A, B, C]


def test_the_newest_address_counts() -> None:
    router = GraphRouter([PeerAddress(A, "old.example", 1)])
    router.learn(PeerAddress(A, "new.example", 2))
    assert router.address(A) == PeerAddress(A, "new.example", 2)
    assert router.address(B) is None


def test_a_graph_that_grows_is_used_at_once() -> None:
    router = GraphRouter()
    assert (router.route(B, frozenset({A})), router.channel_ends(CHANNEL)) == (None, None)
    router.graph.add_channel(CHANNEL, B, A)
    assert (router.route(B, frozenset({A})), router.channel_ends(CHANNEL)) == ([A, B], (A, B))


def test_a_chain_in_which_a_node_follows_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="itself"):
        StaticRouter(routes=[[A, A]])
