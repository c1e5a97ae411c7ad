"""BOLT 12, offers-test: every valid offer is read and written back, every invalid one is refused for a named reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from lnrecur.bolt12 import Offer, decode
from lnrecur.bolt12.errors import FieldMalformed, RuleBroken
from lnrecur.errors import Fault, LnrecurError
from lnrecur.wire.errors import WireError

VECTORS = json.loads((Path(__file__).parent / "data" / "bolts" / "bolt12-offers-test.json").read_text())
VALID = [vector for vector in VECTORS if vector["valid"]]
INVALID = [vector for vector in VECTORS if not vector["valid"]]


def _malformed(field: str, number: int, offset: int) -> tuple[type[LnrecurError], dict[str, str | int]]:
    return FieldMalformed, {"rule": "BOLT 1", "field": field, "tlv_type": number, "offset": offset}


def _broken(rule: str, field: str, number: int) -> tuple[type[LnrecurError], dict[str, str | int]]:
    return RuleBroken, {"rule": rule, "field": field, "tlv_type": number}


def _stream(offset: int, number: int) -> tuple[type[LnrecurError], dict[str, str | int]]:
    return WireError, {"offset": offset, "tlv_type": number}


# What some vectors are called is not what breaks first: their records have lost a byte or two, and the stream is out of
# order or cut off before the named mistake is reached. The unit tests of the codecs make those mistakes on purpose.
REFUSALS = {
    "Malformed: fields out of order": _stream(35, 10),
    "Malformed: unknown even TLV type 78": (RuleBroken, {"rule": "BOLT 1", "tlv_type": 72}),
    "Malformed: empty": _broken("BO6", "offer_issuer_id", 22),
    "Malformed: truncated at type": _stream(1, 10),
    "Malformed: truncated in length": _stream(1, 10),
    "Malformed: truncated after length": _stream(2, 10),
    "Malformed: truncated in description": _stream(2, 10),
    "Malformed: invalid offer_chains length": _malformed("offer_chains", 2, 0),
    "Malformed: truncated currency UTF-8": _malformed("offer_currency", 6, 0),
    "Malformed: invalid currency UTF-8": _malformed("offer_currency", 6, 0),
    "Malformed: truncated description UTF-8": _malformed("offer_description", 10, 0),
    "Malformed: invalid description UTF-8": _malformed("offer_description", 10, 0),
    "Malformed: truncated offer_paths": _malformed("offer_paths", 16, 7),
    "Malformed: zero num_hops in blinded_path": _stream(11, 2),
    "Malformed: truncated onionmsg_hop in blinded_path": _stream(11, 2),
    "Malformed: bad first_node_id in blinded_path": _stream(12, 3),
    "Malformed: bad path_key in blinded_path": _stream(11, 2),
    "Malformed: bad blinded_node_id in onionmsg_hop": _stream(11, 2),
    "Malformed: truncated issuer UTF-8": _malformed("offer_issuer", 18, 7),
    "Malformed: invalid issuer UTF-8": _malformed("offer_issuer", 18, 7),
    "Malformed: invalid offer_issuer_id": _malformed("offer_issuer_id", 22, 7),
    "Contains type >= 80": (RuleBroken, {"rule": "BOLT 1", "tlv_type": 80}),
    "Contains type > 1999999999": _stream(46, 30517),
    "Contains unknown even type (1000000002)": _stream(46, 15258),
    "Contains unknown feature 122": _broken("BO2", "offer_features", 12),
    "Missing offer_description, but has offer_amount": _broken("BO4", "offer_description", 10),
    "Missing offer_amount with offer_currency": _broken("BO5", "offer_amount", 8),
    "Invalid: zero offer_amount": _broken("BO8", "offer_amount", 8),
    "Invalid: zero offer_amount with currency": _broken("BO8", "offer_amount", 8),
    "Missing offer_issuer_id and no offer_path": _broken("BO6", "offer_issuer_id", 22),
    "Second offer_path is empty": _broken("BO7", "offer_paths", 16),
    "offer_chains with zero entries": _broken("BO3", "offer_chains", 2),
    "Bech32 padding exceeds 4-bit limit": (WireError, {"offset": 61}),
}


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["description"])
def test_a_valid_offer_is_read_with_its_fields_and_written_back(vector: dict[str, Any]) -> None:
    offer = decode(vector["bolt12"])
    assert isinstance(offer, Offer)
    assert offer.to_text() == vector["bolt12"]
    assert [
        {"type": record.type, "length": len(record.value), "hex": record.value.hex()} for record in offer.stream
    ] == vector["fields"]


@pytest.mark.parametrize("vector", INVALID, ids=lambda vector: vector["description"])
def test_an_invalid_offer_is_refused_for_a_named_reason(vector: dict[str, Any]) -> None:
    expected, details = REFUSALS[vector["description"]]
    with pytest.raises(LnrecurError) as refusal:
        decode(vector["bolt12"])
    assert type(refusal.value) is expected
    assert refusal.value.details() == details
    assert refusal.value.fault is Fault.PEER
    assert "\n" not in str(refusal.value)


def _offer(description: str) -> Offer:
    (vector,) = (vector for vector in VALID if vector["description"] == description)
    return Offer.from_text(vector["bolt12"])


def test_the_values_are_those_the_vectors_tell() -> None:
    assert _offer("with description (but no amount)").description == "Test vectors"
    assert _offer("with metadata").metadata == bytes(16)
    assert _offer("with amount").amount == 10_000
    with_currency = _offer("with currency")
    assert (with_currency.currency, with_currency.amount) == ("USD", 10_000)
    assert _offer("with expiry").absolute_expiry == 2_051_184_600
    assert _offer("with issuer").issuer == "https://bolt12.org BOLT12 industries"
    assert _offer("with quantity").quantity_max == 5
    assert _offer("with unlimited (or unknown) quantity").quantity_max == 0
    assert _offer("with feature").features == (1 << 99).to_bytes(13, "big")
    paths = _offer("same, with blinded path first_node_id using sciddir").paths
    assert paths is not None
    assert [(len(path.hops), path.hops[0].encrypted_recipient_data) for path in paths] == [(2, bytes(16))]
    assert [len(chains) for chains in (_offer("for bitcoin or liquidv1").accepted_chains,)] == [2]


def test_the_vectors_are_all_there() -> None:
    assert (len(VALID), len(INVALID)) == (20, 33)
    assert {vector["description"] for vector in INVALID} == set(REFUSALS)


SAME_FAULT = {
    "Malformed: zero num_hops in blinded_path",
    "Malformed: truncated onionmsg_hop in blinded_path",
    "Malformed: bad path_key in blinded_path",
    "Malformed: bad blinded_node_id in onionmsg_hop",
}
"""The offer_paths of these four says that it is empty, so all break at offset 11, before the fault they name."""


def test_no_two_invalid_offers_are_refused_for_the_same_reason() -> None:
    reasons: dict[str, set[str]] = {}
    for vector in INVALID:
        with pytest.raises(LnrecurError) as refusal:
            decode(vector["bolt12"])
        reasons.setdefault(str(refusal.value), set()).add(vector["description"])
    assert [told for told in reasons.values() if len(told) > 1] == [SAME_FAULT]
    assert len(reasons) == 30
