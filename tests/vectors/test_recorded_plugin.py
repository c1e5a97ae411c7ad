"""Messages that a plugin injected into live nodes of Core Lightning, and what their hooks told of the answers.

The private keys of these nodes are known (derivations.json), so the onions can be opened hop by hop, as the nodes did:
what our messenger makes for a host must be made alike, for that is what is known to work.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lnrecur.adapters.nodes.cln.hook_messages import read_onion_message
from lnrecur.bolt12.invoice_request import InvoiceRequest
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.hosted import HostedMessenger
from lnrecur.messaging.messenger import (
    ContentsKind,
    Delivered,
    Destination,
    DirectDestination,
    Forward,
    MessageContents,
    Messenger,
    OutgoingMessage,
)
from lnrecur.values import NodeId, Point
from lnrecur.wire.messages import OnionMessage

DATA = Path(__file__).parent / "data" / "cln"
NODES = json.loads((DATA / "derivations.json").read_text())["nodes"]
KEYS = {name: PrivateKey(bytes.fromhex(node["node_private_key"])) for name, node in NODES.items()}
NAMES = {key.point: name for name, key in KEYS.items()}
STEPS = json.loads((DATA / "external_payer_hooks.json").read_text())["steps"]
SENT = [step for step in STEPS if step.get("method") == "injectonionmessage"]
GUEST = HostedMessenger(PrivateKey(b"\x77" * 32), NodeId(KEYS["l1"].point))
ENTROPY = bytes(range(64))


def opened(message: OnionMessage, host: str) -> tuple[list[str], Delivered]:
    """Which nodes a message passes from its host on, and what the last one reads."""
    passed = [host]
    while isinstance(outcome := Messenger(KEYS[passed[-1]]).receive(message), Forward):
        assert isinstance(outcome.next_node, bytes)
        passed.append(NAMES[outcome.next_node])
        message = outcome.message
    return passed, outcome


def injected(step: dict[str, Any]) -> OnionMessage:
    return OnionMessage(Point(bytes.fromhex(step["params"]["path_key"])), bytes.fromhex(step["params"]["message"]))


def asked_at(request: InvoiceRequest) -> tuple[Destination, list[NodeId]]:
    """Where a request goes, and the nodes between the host and there."""
    between = NodeId(KEYS["l2"].point)
    if request.paths is not None:
        return request.paths[0], [] if request.paths[0].first_node_id == between else [between]
    assert request.issuer_id is not None
    return DirectDestination(NodeId(request.issuer_id)), [between]


@pytest.mark.parametrize("step", SENT, ids=lambda step: f"{step['step']} {step['comment']}")
def test_what_live_nodes_took_from_a_plugin_is_what_we_make(step: dict[str, Any]) -> None:
    assert step["result"] == {}
    recorded, theirs = opened(injected(step), step["node"])
    assert recorded[0] == "l1", "the host is the first hop"
    assert theirs.contents is not None
    assert theirs.contents == MessageContents(
        ContentsKind.INVOICE_REQUEST, bytes.fromhex(step["invoice_request"]["tlv_hex"])
    )
    destination, via = asked_at(InvoiceRequest.from_bytes(theirs.contents.data))
    made: OutgoingMessage = GUEST.compose(destination, theirs.contents, ENTROPY, theirs.reply_path, via)
    passed, ours = opened(made.message, "l1")
    assert passed == recorded
    assert (ours.contents, ours.reply_path, ours.path_id) == (theirs.contents, theirs.reply_path, theirs.path_id)
    assert len(made.message.onion) == len(injected(step).onion)
    assert NAMES[made.first_hop] == "l2"


@pytest.mark.parametrize(
    "step", [step for step in SENT if step["hook_payload"]], ids=lambda step: f"{step['step']} {step['comment']}"
)
def test_what_the_hook_told_of_an_answer_is_the_secret_of_the_reply_path(step: dict[str, Any]) -> None:
    _, theirs = opened(injected(step), "l1")
    told = read_onion_message({"onion_message": step["hook_payload"]})
    assert theirs.reply_path is not None
    assert told.path_id is not None
    assert told.contents is not None
    assert told.contents.kind in (ContentsKind.INVOICE, ContentsKind.INVOICE_ERROR)
    answer = Messenger(KEYS["l3"]).compose(theirs.reply_path, told.contents, ENTROPY)
    begin = NAMES[bytes(theirs.reply_path.first_node_id)]  # type: ignore[arg-type]
    passed, delivered = opened(answer.message, begin)
    assert passed[-1] == "l1", "their reply paths end at the host, as ours do"
    assert delivered.path_id == told.path_id
    via = [NodeId(KEYS[name].point) for name in passed[:-1]]
    ours = GUEST.reply_path(told.path_id, PrivateKey(b"\x07" * 32), via)
    assert (ours.first_node_id, len(ours.hops)) == (theirs.reply_path.first_node_id, len(theirs.reply_path.hops))
    assert opened(Messenger(KEYS["l3"]).compose(ours, told.contents, ENTROPY).message, begin)[1].path_id == told.path_id


def test_there_are_recorded_messages_of_all_sorts() -> None:
    assert len(SENT) == 12
    assert {tuple(opened(injected(step), "l1")[0]) for step in SENT} == {("l1", "l2", "l3"), ("l1", "l2", "l3", "l4")}
