"""What lightningd tells in hooks, read: payloads recorded on live nodes, and what a newer one might tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lnrecur.adapters.nodes.cln.hook_messages import HookUnreadable, read_onion_message, read_payment
from lnrecur.messaging.messenger import ContentsKind
from lnrecur.values import ShortChannelId
from lnrecur.wire.blinded_path import ChannelDirection

DATA = Path(__file__).parents[2] / "vectors" / "data" / "cln"
POINT = "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"[:64]
KINDS = {"invoice_request": 64, "invoice": 66, "invoice_error": 68}


def recorded_payloads() -> list[dict[str, Any]]:
    found = []
    for name in ("external_payer_hooks", "external_issuer_recurring"):
        for step in json.loads((DATA / f"{name}.json").read_text())["steps"]:
            payload = step.get("hook_payload")
            found += [payload] if payload else []
            found += [
                told for told in step.get("messages", ()) if told.get("hook", "").startswith("onion_message_recv")
            ]
    return found


def test_there_are_recorded_payloads() -> None:
    assert len(recorded_payloads()) >= 10


@pytest.mark.parametrize("payload", recorded_payloads(), ids=lambda payload: next(iter(payload)))
def test_a_recorded_onion_message_is_read_whole(payload: dict[str, Any]) -> None:
    if "tlv_hex" in payload:  # the recorder's summary of a message
        payload = {**payload, payload["kind"]: payload["tlv_hex"]}
    delivered = read_onion_message({"onion_message": payload})
    [name] = [name for name in KINDS if name in payload]
    assert delivered.contents is not None
    assert delivered.contents.kind is ContentsKind(KINDS[name])
    assert delivered.contents.data.hex() == payload[name]
    secret = payload.get("pathsecret")
    assert delivered.path_id == (None if secret is None else bytes.fromhex(secret))
    assert delivered.addressed is None
    reply = payload.get("reply_blindedpath")
    assert (delivered.reply_path is None) == (reply is None)
    if reply is not None and delivered.reply_path is not None:
        told = [hop["blinded_node_id"] for hop in reply["hops"]]
        assert [hop.blinded_node_id.hex() for hop in delivered.reply_path.hops] == told


def a_message(**changes: Any) -> dict[str, Any]:
    path = {"first_path_key": POINT, "hops": [{"blinded_node_id": POINT, "encrypted_recipient_data": "00ff"}]}
    told = {"pathsecret": "11" * 32, "invoice": "00", "reply_blindedpath": {"first_node_id": POINT, **path}}
    return {"onion_message": {**told, **changes}}


def test_a_reply_path_may_begin_at_a_channel() -> None:
    hops = a_message()["onion_message"]["reply_blindedpath"]
    del hops["first_node_id"]
    told = a_message(reply_blindedpath={**hops, "first_scid": "103x2x1", "first_scid_dir": 1})
    path = read_onion_message(told).reply_path
    assert path is not None
    assert path.first_node_id == ChannelDirection(ShortChannelId(103 << 40 | 2 << 16 | 1), 1)


def test_unknown_fields_come_along_and_an_empty_message_has_no_contents() -> None:
    told = {"onion_message": {"unknown_fields": [{"number": 12345, "value": "0a0b"}]}, "more": 1}
    delivered = read_onion_message(told)
    assert (delivered.contents, delivered.path_id, delivered.reply_path) == (None, None, None)
    assert [(record.type, record.value) for record in delivered.unknown] == [(12345, b"\x0a\x0b")]


@pytest.mark.parametrize(
    "told",
    [
        {}, {"onion_message": None}, {"onion_message": []}, a_message(pathsecret="zz"), a_message(invoice=7),
        a_message(pathsecret=1), a_message(reply_blindedpath={}), a_message(reply_blindedpath=[]),
        a_message(reply_blindedpath={"first_node_id": "02" * 33, "first_path_key": POINT, "hops": [1]}),
        a_message(reply_blindedpath={"first_scid": "1x2", "first_scid_dir": 0, "first_path_key": POINT, "hops": []}),
        a_message(reply_blindedpath={"first_scid": "1x2x3", "first_scid_dir": 2, "first_path_key": POINT, "hops": []}),
        a_message(unknown_fields=[{"number": "x"}]), a_message(unknown_fields=7),
    ],
)  # fmt: skip
def test_what_is_no_onion_message_is_unreadable(told: dict[str, Any]) -> None:
    with pytest.raises(HookUnreadable):
        read_onion_message(told)


@pytest.mark.parametrize("amount", [{"msat": 1500}, {"msat": "1500msat"}, {"amount_msat": 1500}, {"msat": "1500"}])
def test_a_payment_is_read_with_its_amount_in_any_of_the_known_forms(amount: dict[str, Any]) -> None:
    paid = read_payment({"payment": {"label": "a label", "preimage": "22" * 32, **amount, "extratlvs": []}})
    assert (paid.label, paid.preimage, paid.amount_msat) == ("a label", b"\x22" * 32, 1500)


@pytest.mark.parametrize(
    "told",
    [
        {}, {"payment": 1}, {"payment": {}}, {"payment": {"label": "l", "preimage": "22" * 32}},
        {"payment": {"label": "l", "preimage": "22" * 32, "msat": "1500sat"}},
        {"payment": {"label": "l", "preimage": "22" * 32, "msat": -1}},
        {"payment": {"label": "l", "preimage": "22" * 32, "msat": True}},
        {"payment": {"label": 5, "preimage": "22" * 32, "msat": 1}},
        {"payment": {"label": "l", "preimage": "xy", "msat": 1}},
    ],
)  # fmt: skip
def test_what_is_no_payment_is_unreadable(told: dict[str, Any]) -> None:
    with pytest.raises(HookUnreadable):
        read_payment(told)
