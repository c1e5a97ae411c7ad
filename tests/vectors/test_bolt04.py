"""BOLT 4's own test vectors: onions, route blinding, blinded messages and blinded payments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.messenger import Delivered, Forward, Messenger
from lnrecur.onion.blinding import BlindedHopSecrets, blind_path, unblind
from lnrecur.onion.message_path import MessageRoute
from lnrecur.onion.payloads import (
    EncryptedData,
    OnionMessagePayload,
    PaymentConstraints,
    PaymentRelay,
)
from lnrecur.onion.payment_entry import PaymentEntry, take_off
from lnrecur.onion.payment_path import RelayTerms, aggregate, build_payment_path, open_final_hop
from lnrecur.onion.payment_payloads import FinalPaymentPayload, RelayPaymentPayload
from lnrecur.onion.sphinx import peel, wrap
from lnrecur.values import Msat, NodeId, Point, ShortChannelId
from lnrecur.wire.bigsize import decode_bigsize, encode_bigsize
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath
from lnrecur.wire.messages import OnionMessage, read_message
from lnrecur.wire.tlv import TlvRecord

DATA = Path(__file__).parent / "data" / "bolts"
ROUTE_BLINDING = json.loads((DATA / "bolt04-route-blinding-test.json").read_text())
ONION = json.loads((DATA / "bolt04-onion-test.json").read_text())
MESSAGE = json.loads((DATA / "bolt04-blinded-onion-message-onion-test.json").read_text())
PAYMENT = json.loads((DATA / "bolt04-blinded-payment-onion-test.json").read_text())

unhex = bytes.fromhex
HOPS = range(4)


def key(text: str) -> PrivateKey:
    return PrivateKey(unhex(text))


def channel(text: str) -> ShortChannelId:
    block, transaction, output = map(int, text.split("x"))
    return ShortChannelId(block << 40 | transaction << 16 | output)


def encrypted_data(tlvs: dict[str, Any]) -> EncryptedData:
    """The vector's way of writing an encrypted_data_tlv."""
    relay, limits = tlvs.get("payment_relay"), tlvs.get("payment_constraints")
    features = tlvs.get("allowed_features")
    bits = sum(1 << bit for bit in features["features"]) if features else 0
    unknown = {int(name.removeprefix("unknown_tag_")): value for name, value in tlvs.items() if "unknown" in name}
    return EncryptedData(
        short_channel_id=channel(tlvs["short_channel_id"]) if "short_channel_id" in tlvs else None,
        next_node_id=NodeId(unhex(tlvs["next_node_id"])) if "next_node_id" in tlvs else None,
        path_id=unhex(tlvs["path_id"]) if "path_id" in tlvs else None,
        next_path_key_override=Point(unhex(tlvs["next_path_key_override"]))
        if "next_path_key_override" in tlvs
        else None,
        payment_relay=None
        if relay is None
        else PaymentRelay(
            relay["cltv_expiry_delta"], relay["fee_proportional_millionths"], relay.get("fee_base_msat", 0)
        ),
        payment_constraints=None
        if limits is None
        else PaymentConstraints(limits["max_cltv_expiry"], Msat(limits["htlc_minimum_msat"])),
        allowed_features=None if features is None else bits.to_bytes((bits.bit_length() + 7) // 8, "big"),
        padding=unhex(tlvs["padding"]) if "padding" in tlvs else None,
        unknown=tuple(TlvRecord.of(number, unhex(value)) for number, value in unknown.items()),
    )


def path_of(route: dict[str, Any], data_name: str) -> BlindedPath:
    hops = [BlindedHop(Point(unhex(hop["blinded_node_id"])), unhex(hop[data_name])) for hop in route["hops"]]
    return BlindedPath(Point(unhex(route["first_node_id"])), Point(unhex(route["first_path_key"])), tuple(hops))


# --- route blinding --------------------------------------------------------------------------------------------------


def test_the_two_routes_of_the_vector_are_built_and_join_into_one() -> None:
    hops = ROUTE_BLINDING["generate"]["hops"]
    parts = []
    for start in (0, 2):  # Bob -> Carol, and Eve's own Dave -> Eve
        told = [(Point(unhex(hop["node_id"])), unhex(hop["encoded_tlvs"])) for hop in hops[start : start + 2]]
        parts.append(blind_path(key(hops[start]["session_key"]), told))
    front, back = parts
    assert back.first_path_key.hex() == hops[2]["path_key"]
    joined = BlindedPath(front.first_node_id, front.first_path_key, front.hops + back.hops)
    assert joined == path_of(ROUTE_BLINDING["route"], "encrypted_data")


@pytest.mark.parametrize("index", HOPS)
def test_the_data_of_each_hop_is_encoded_and_read_as_the_vector_says(index: int) -> None:
    hop = ROUTE_BLINDING["generate"]["hops"][index]
    data = encrypted_data(hop["tlvs"])
    assert data.to_bytes().hex() == hop["encoded_tlvs"]
    assert EncryptedData.from_bytes(unhex(hop["encoded_tlvs"])) == data


@pytest.mark.parametrize("index", HOPS)
def test_each_hop_unblinds_its_data_and_keys(index: int) -> None:
    hop = ROUTE_BLINDING["unblind"]["hops"][index]
    encrypted = ROUTE_BLINDING["route"]["hops"][index]["encrypted_data"]
    unblinded = unblind(key(hop["node_privkey"]), Point(unhex(hop["path_key"])), unhex(encrypted))
    assert unblinded.data.hex() == hop["decrypted_data"]
    assert unblinded.blinded_key.secret.hex() == hop["blinded_privkey"]
    assert unblinded.blinded_key.point.hex() == ROUTE_BLINDING["route"]["hops"][index]["blinded_node_id"]
    assert unblinded.next_path_key.hex() == hop["next_path_key"]
    override = EncryptedData.from_bytes(unblinded.data).next_path_key_override
    assert (override.hex() if override else None) == hop.get("next_path_key_override")


# --- the plain onion -------------------------------------------------------------------------------------------------


def bare(payload: str) -> bytes:
    """A payload of the vector, which has its length in front."""
    data = unhex(payload)
    length, start = decode_bigsize(data)
    assert length == len(data) - start
    return data[start:]


def test_the_onion_of_the_vector_is_built() -> None:
    generate = ONION["generate"]
    hops = [(Point(unhex(hop["pubkey"])), bare(hop["payload"])) for hop in generate["hops"]]
    onion = wrap(key(generate["session_key"]), hops, associated_data=unhex(generate["associated_data"]))
    assert onion.hex() == ONION["onion"]


def test_the_onion_of_the_vector_is_peeled_down_to_its_last_layer() -> None:
    onion: bytes | None = unhex(ONION["onion"])
    for secret, hop in zip(ONION["decode"], ONION["generate"]["hops"], strict=True):
        assert onion is not None
        peeled = peel(key(secret), onion, associated_data=unhex(ONION["generate"]["associated_data"]))
        assert peeled.payload == bare(hop["payload"])
        onion = peeled.next_onion
    assert onion is None


# --- blinded messages ------------------------------------------------------------------------------------------------


def message_route() -> BlindedPath:
    return path_of(MESSAGE["route"], "encrypted_recipient_data")


def test_the_two_parts_of_the_message_route_are_built() -> None:
    hops = MESSAGE["generate"]["hops"]
    nodes = [MESSAGE["route"]["first_node_id"], *(hop["tlvs"]["next_node_id"] for hop in hops[:-1])]
    told = [(Point(unhex(node)), unhex(hop["encrypted_data_tlv"])) for node, hop in zip(nodes, hops, strict=True)]
    front = blind_path(key(hops[0]["path_key_secret"]), told[:1])
    back = blind_path(key(hops[1]["path_key_secret"]), told[1:])
    assert BlindedPath(front.first_node_id, front.first_path_key, front.hops + back.hops) == message_route()


@pytest.mark.parametrize("index", HOPS)
def test_the_data_of_each_hop_of_the_message_is_encoded_as_the_vector_says(index: int) -> None:
    hop = MESSAGE["generate"]["hops"][index]
    assert encrypted_data(hop["tlvs"]).to_bytes().hex() == hop["encrypted_data_tlv"]


def test_the_message_of_the_vector_is_wrapped() -> None:
    path = message_route()
    said = OnionMessagePayload(b"", unknown=(TlvRecord.of(1, unhex(MESSAGE["onionmessage"]["unknown_tag_1"])),))
    route = MessageRoute(NodeId(unhex(MESSAGE["route"]["first_node_id"])), path.first_path_key, path.hops)
    message = route.wrap(key(MESSAGE["generate"]["session_key"]), said)
    assert message.onion.hex() == MESSAGE["onionmessage"]["onion_message_packet"]
    assert message.to_bytes().hex() == MESSAGE["decrypt"]["hops"][0]["onion_message"]


@pytest.mark.parametrize("index", HOPS[:-1])
def test_a_hop_forwards_the_message_byte_for_byte_as_the_vector_says(index: int) -> None:
    hop, following = MESSAGE["decrypt"]["hops"][index : index + 2]
    outcome = Messenger(key(hop["privkey"])).receive(onion_message(hop["onion_message"]))
    assert isinstance(outcome, Forward)
    assert outcome.next_node == unhex(hop["next_node_id"])
    assert outcome.message.to_bytes().hex() == following["onion_message"]


def test_the_last_hop_reads_hello_and_its_path_id() -> None:
    hop = MESSAGE["decrypt"]["hops"][-1]
    delivered = Messenger(key(hop["privkey"])).receive(onion_message(hop["onion_message"]))
    assert isinstance(delivered, Delivered)
    assert [(record.type, record.value) for record in delivered.unknown] == [(1, b"hello")]
    assert delivered.contents is None
    assert delivered.path_id == unhex(MESSAGE["generate"]["hops"][-1]["tlvs"]["path_id"])
    assert delivered.addressed.point.hex() == MESSAGE["route"]["hops"][-1]["blinded_node_id"]


def onion_message(text: str) -> OnionMessage:
    message = read_message(unhex(text))
    assert isinstance(message, OnionMessage)
    return message


# --- blinded payments ------------------------------------------------------------------------------------------------

ROUTE = PAYMENT["generate"]["blinded_route"]
FULL_HOPS = PAYMENT["generate"]["full_route"]["hops"]
BLINDED_TLVS = [hop["tlvs"]["encrypted_recipient_data"] for hop in FULL_HOPS[1:]]
NODE_KEYS = [key(hop["node_privkey"]) for hop in PAYMENT["decrypt"]["hops"]]


def relay_terms(index: int) -> RelayTerms:
    """Bob, Carol or Dave, as the receiver would know their channels."""
    tlvs = BLINDED_TLVS[index]
    relay = tlvs["payment_relay"]
    return RelayTerms(
        node=NodeId(NODE_KEYS[index + 1].point),
        short_channel_id=channel(tlvs["short_channel_id"]),
        fee_base_msat=Msat(relay.get("fee_base_msat", 0)),
        fee_proportional_millionths=relay["fee_proportional_millionths"],
        cltv_expiry_delta=relay["cltv_expiry_delta"],
        htlc_minimum_msat=Msat(tlvs["payment_constraints"]["htlc_minimum_msat"]),
        htlc_maximum_msat=Msat(10**9),
    )


def test_the_terms_of_the_payment_route_add_up_to_its_payinfo() -> None:
    terms = aggregate([relay_terms(index) for index in range(3)])
    expected = PAYMENT["generate"]["blinded_payinfo"]
    assert terms.fee_base_msat == expected["fee_base_msat"]
    assert terms.fee_proportional_millionths == expected["fee_proportional_millionths"]
    assert terms.cltv_expiry_delta == expected["cltv_expiry_delta"]
    assert terms.htlc_minimum_msat == 50


def test_the_payment_route_is_built_from_the_data_of_the_vector() -> None:
    told = [(NODE_KEYS[index + 1].point, encrypted_data(tlvs).to_bytes()) for index, tlvs in enumerate(BLINDED_TLVS)]
    front = blind_path(key("02" * 32), told[:2])
    back = blind_path(key("01" * 32), told[2:])
    assert BlindedPath(front.first_node_id, front.first_path_key, front.hops + back.hops) == path_of(
        ROUTE, "encrypted_data"
    )


def test_our_builder_tells_each_hop_what_the_vector_tells_it() -> None:
    terms = [relay_terms(index) for index in range(3)]
    path_id = unhex(BLINDED_TLVS[3]["path_id"])
    path, _ = build_payment_path(
        key("02" * 32),
        NODE_KEYS[4].point,
        path_id,
        terms,
        max_cltv=750_000,
        htlc_minimum=Msat(50),
        final_cltv_delta=0,
    )
    path_key = path.first_path_key
    for index, hop in enumerate(path.hops):
        opened = unblind(NODE_KEYS[index + 1], path_key, hop.encrypted_recipient_data)
        ours, theirs = EncryptedData.from_bytes(opened.data), encrypted_data(BLINDED_TLVS[index])
        for field in ("short_channel_id", "payment_relay", "payment_constraints", "path_id"):
            assert getattr(ours, field) == getattr(theirs, field), (index, field)
        path_key = opened.next_path_key
    assert len({len(hop.encrypted_recipient_data) for hop in path.hops}) == 1


def payment_payloads() -> list[bytes]:
    """The layers as a payer writes them, Alice's (not blinded) as the vector gives it."""
    data = [hop.encrypted_recipient_data for hop in path_of(ROUTE, "encrypted_data").hops]
    last = FULL_HOPS[-1]["tlvs"]
    return [
        bare(FULL_HOPS[0]["payload"]),
        RelayPaymentPayload(data[0], Point(unhex(ROUTE["first_path_key"]))).to_bytes(),
        RelayPaymentPayload(data[1]).to_bytes(),
        RelayPaymentPayload(data[2]).to_bytes(),
        FinalPaymentPayload(
            Msat(last["amt_to_forward"]), last["outgoing_cltv_value"], data[3], Msat(last["total_amount_msat"])
        ).to_bytes(),
    ]


def test_the_layers_of_the_payment_are_encoded_as_the_vector_says() -> None:
    framed = [(encode_bigsize(len(payload)) + payload).hex() for payload in payment_payloads()]
    assert framed == [hop["payload"] for hop in FULL_HOPS]


def test_the_payment_onion_of_the_vector_is_built() -> None:
    generate = PAYMENT["generate"]
    hops = [(Point(unhex(hop["pubkey"])), payload) for hop, payload in zip(FULL_HOPS, payment_payloads(), strict=True)]
    onion = wrap(key(generate["session_key"]), hops, associated_data=unhex(generate["associated_data"]))
    assert onion.hex() == generate["onion"]


def test_every_hop_of_the_payment_peels_unblinds_and_forwards_the_right_amount() -> None:
    """From Alice's onion to Eve's: each hop uses the path key the one before it handed on."""
    associated = unhex(PAYMENT["generate"]["associated_data"])
    steps = PAYMENT["decrypt"]["hops"]
    onion = peel(NODE_KEYS[0], unhex(steps[0]["onion"]), associated_data=associated).next_onion
    amount, expiry = Msat(110_125), 749_150  # what Alice is told to forward
    path_key: Point | None = None
    for index in range(1, 5):
        assert onion is not None
        assert onion.hex() == steps[index]["onion"]
        node = NODE_KEYS[index]
        hop_key = node if path_key is None else BlindedHopSecrets(node, path_key).blinded_key
        peeled = peel(hop_key, onion, associated_data=associated)
        if index == 4:
            break
        layer = RelayPaymentPayload.from_bytes(peeled.payload)
        path_key = path_key or layer.current_path_key
        assert path_key is not None
        opened = unblind(node, path_key, layer.encrypted_recipient_data)
        data = EncryptedData.from_bytes(opened.data)
        assert data == encrypted_data(BLINDED_TLVS[index - 1])
        assert data.payment_constraints is not None
        assert data.payment_relay is not None
        data.payment_constraints.admit(amount, expiry)
        amount, expiry = data.payment_relay.forwarded(amount, expiry)
        path_key = data.next_path_key_override or opened.next_path_key
        assert path_key.hex() == steps[index]["next_path_key"]
        onion = peeled.next_onion
    final = FinalPaymentPayload.from_bytes(peeled.payload)
    assert peeled.next_onion is None
    assert (final.amt_to_forward, final.outgoing_cltv_value, final.total_amount_msat) == (100_000, 749_000, 150_000)
    assert (amount, expiry) == (100_000, 749_000)
    assert path_key is not None
    hop = open_final_hop(NODE_KEYS[4], path_key, final.encrypted_recipient_data)
    assert hop.path_id.hex() == BLINDED_TLVS[3]["path_id"]
    assert hop.constraints == PaymentConstraints(750_000, Msat(50))
    hop.constraints.admit(amount, expiry)
    assert (
        unblind(NODE_KEYS[4], path_key, final.encrypted_recipient_data).next_path_key.hex() == steps[4]["next_path_key"]
    )


@pytest.mark.parametrize("own_hops", [1, 2, 3])
def test_a_payer_who_stands_on_the_path_of_the_vector_takes_its_own_hops_off(own_hops: int) -> None:
    """As if Bob, or Bob and Carol, or these and Dave were one node, which pays."""
    path = path_of(ROUTE, "encrypted_data")
    entry = PaymentEntry(NodeId(path.first_node_id), path.first_path_key, path.hops, Msat(110_125), 749_150)  # type: ignore[arg-type]
    for index in range(own_hops):
        entry = take_off(entry, NODE_KEYS[index + 1].ecdh(entry.path_key))
        assert entry.path_key.hex() == PAYMENT["decrypt"]["hops"][index + 1]["next_path_key"]
        assert entry.next_node == channel(BLINDED_TLVS[index]["short_channel_id"])
    assert entry.hops == path.hops[own_hops:]
    told = FULL_HOPS[own_hops + 1]["tlvs"]
    if own_hops == 3:
        assert (entry.amount_msat, entry.cltv_expiry) == (told["amt_to_forward"], told["outgoing_cltv_value"])
        assert open_final_hop(NODE_KEYS[4], entry.path_key, entry.hops[0].encrypted_recipient_data).path_id
    assert (entry.amount_msat, entry.cltv_expiry) == AFTER_OWN_HOPS[own_hops]


AFTER_OWN_HOPS = {1: (Msat(100_125), 749_100), 2: (Msat(100_010), 749_025), 3: (Msat(100_000), 749_000)}
"""By hand: less the base fee, divided by one plus the rate and rounded up; less the delta."""
