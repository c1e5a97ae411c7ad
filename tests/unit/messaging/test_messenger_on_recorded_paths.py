"""Reply paths that Core Lightning v26.06.6 made: our messages walk them, node by node, with those nodes' keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents, Messenger
from lnrecur.values import NodeId, Point
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath

DATA = Path(__file__).parents[2] / "vectors" / "data" / "cln"
NODES = {
    NodeId(bytes.fromhex(node["id"])): Messenger(PrivateKey(bytes.fromhex(node["node_private_key"])))
    for node in json.loads((DATA / "derivations.json").read_text())["nodes"].values()
}
INVOICE = MessageContents(ContentsKind.INVOICE, b"an invoice")


def recorded_path(told: dict[str, Any]) -> BlindedPath:
    hops = [
        BlindedHop(Point(bytes.fromhex(hop["blinded_node_id"])), bytes.fromhex(hop["encrypted_recipient_data"]))
        for hop in told["hops"]
    ]
    return BlindedPath(
        Point(bytes.fromhex(told["first_node_id"])), Point(bytes.fromhex(told["first_path_key"])), tuple(hops)
    )


def exchanges() -> Iterator[tuple[BlindedPath, str]]:
    """Each recorded reply path with the path_id of the answer that was recorded to have come along it."""
    for step in json.loads((DATA / "plain_exchanges.json").read_text())["steps"]:
        asked = None
        for message in step.get("messages", []):
            if message["kind"] == "invoice_request":
                asked = recorded_path(message["reply_blindedpath"])
            elif asked is not None and message["pathsecret"]:
                yield asked, message["pathsecret"]
                asked = None


EXCHANGES = list(exchanges())


def test_the_recording_holds_paths_of_one_hop_and_of_two() -> None:
    assert {len(path.hops) for path, _ in EXCHANGES} == {1, 2}
    assert len(EXCHANGES) > 40


@pytest.mark.parametrize("index", range(len(EXCHANGES)))
def test_an_answer_along_a_recorded_reply_path_brings_the_recorded_path_id(index: int) -> None:
    path, path_id = EXCHANGES[index]
    outgoing = Messenger(PrivateKey(b"\x07" * 32)).compose(path, INVOICE, bytes(64))
    node, message = outgoing.first_hop, outgoing.message
    while not isinstance(outcome := NODES[node].receive(message), Delivered):
        assert isinstance(outcome.next_node, bytes)
        node, message = outcome.next_node, outcome.message
    assert outcome.path_id is not None
    assert outcome.path_id.hex() == path_id
    assert outcome.contents == INVOICE
    assert outcome.addressed.point == path.hops[-1].blinded_node_id
