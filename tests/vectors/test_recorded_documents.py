"""What `lnrecur decode --json` says of every recorded string, beside what Core Lightning's `decode` said of it.

Every key of Core Lightning's answer is found in our document, or stands in NOT_COMPARED with its reason. Whether the
string is valid is compared too; where we think otherwise, `recorded_differences.READER` says why.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest

from lnrecur.bolt12 import decode
from lnrecur.cli.message_document import message_document
from lnrecur.errors import LnrecurError
from lnrecur.values import CHAINS
from lnrecur.wire.tlv import TlvStream
from vectors.recorded import DATA, parsed
from vectors.recorded_differences import READER

NOW = 1_795_340_000
Document = dict[str, Any]


def _walk(value: object) -> Iterator[Document]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _walk(inner)


TOLD = {
    (path.name, sha256(entry["bolt12"].encode()).hexdigest()[:12]): entry
    for path in sorted(DATA.glob("*.json"))
    for entry in _walk(parsed(path.name))
    if "cln_decode" in entry or "cln_decode_error" in entry
}
"""By file and the first digits of the string's SHA-256: the string, and Core Lightning's `decode` of it."""


def _ours(text: str) -> Document | str:
    """The document, or the rule that refuses the string."""
    try:
        return message_document(decode(text), text, NOW)
    except LnrecurError as error:
        return str(error.details()["rule"])


def _our_verdict(text: str) -> str:
    ours = _ours(text)
    if isinstance(ours, str):
        return f"refuses: {ours}"
    return "refuses: BOLT 12 signature" if ours["signature"]["valid"] is False else "reads"


def _their_verdict(entry: Document) -> str:
    if "cln_decode_error" in entry:
        message: str = entry["cln_decode_error"]["message"]
        return f"refuses: {message.removeprefix('string: ').split(': invalid token')[0]}"
    warned = [key for key in entry["cln_decode"] if key.startswith("warning_")]
    return "reads" if entry["cln_decode"]["valid"] else f"refuses: {', '.join(warned)}"


def _path(path: Document) -> Document:
    ends = {"first_node_id": path["first_node_id"], "first_scid": path["first_channel"],
            "first_scid_dir": path["first_direction"]}  # fmt: skip
    said = {key: value for key, value in ends.items() if value is not None}
    return {**said, "first_path_key": path["first_path_key"], "path": path["hops"]}


def _recurrence(document: Document) -> Document:
    ours = document["recurrence"]
    told = {
        "compulsory_field": not ours["optional"],
        "time_unit": ["seconds", "days", "months"].index(ours["unit"]),
        "time_unit_name": ours["unit"],
        "period": ours["period"],
        "basetime": ours["base"] and ours["base"]["basetime_unix"],
        "proportional_amount": (ours["base"] and ours["base"]["proportional"]) or None,
        "limit": ours["limit"],
        "paywindow": ours["paywindow"],
    }
    return {key: value for key, value in told.items() if value is not None}


def _unknown(document: Document) -> list[Document]:
    """Fields that Core Lightning does not know: those of no name, and the draft's numbers of recurrence."""
    draft = {24, 25, 26, 27, 29, 92, 93, 94, 177}
    return [
        {"type": field["number"], "length": len(field["hex"]) // 2, "value": field["hex"]}
        for field in document["fields"]
        if field["name"] is None or field["number"] in draft
    ]


def _bip_353(document: Document) -> Document:
    name, domain = document["bip_353_name"].split("@")
    return {"name": name, "domain": domain}


def _of(key: str) -> Callable[[Document], object]:
    return lambda document: document[key]


SAYINGS: dict[str, Callable[[Document], object]] = {
    "type": lambda document: f"bolt12 {document['type']}",
    "offer_id": _of("offer_id"),
    "offer_chains": lambda document: [CHAINS[name].hex() for name in document["chains"]],
    "offer_currency": _of("currency"),
    "currency_minor_unit": lambda document: len(document["price"].split()[0].partition(".")[2]),
    "offer_amount": _of("amount_minor_units"),
    "offer_amount_msat": _of("amount_msat"),
    "offer_description": _of("description"),
    "offer_absolute_expiry": _of("absolute_expiry_unix"),
    "offer_issuer": _of("issuer"),
    "offer_quantity_max": _of("quantity_max"),
    "offer_issuer_id": _of("issuer_id"),
    "offer_paths": lambda document: [_path(path) for path in document["paths"]],
    "offer_recurrence": _recurrence,
    "invreq_metadata": _of("metadata"),
    "invreq_chain": lambda document: CHAINS[document["chain"]].hex(),
    "invreq_amount_msat": _of("request_amount_msat"),
    "invreq_features": _of("request_features"),
    "invreq_quantity": _of("quantity"),
    "invreq_payer_id": _of("payer_id"),
    "invreq_payer_note": _of("payer_note"),
    "invreq_paths": lambda document: [_path(path) for path in document["request_paths"]],
    "invreq_bip_353_name": _bip_353,
    "invreq_recurrence_counter": _of("counter"),
    "invreq_recurrence_start": _of("start"),
    "invreq_recurrence_cancel": _of("cancel"),
    "invoice_amount_msat": _of("invoice_amount_msat"),
    "invoice_created_at": _of("created_at_unix"),
    "invoice_relative_expiry": lambda document: document["expires_at_unix"] - document["created_at_unix"],
    "invoice_payment_hash": _of("payment_hash"),
    "invoice_features": _of("invoice_features"),
    "invoice_node_id": _of("node_id"),
    "invoice_paths": lambda document: [
        {**_path(path), "payinfo": path["payinfo"]} for path in document["payment_paths"]
    ],
    "invoice_recurrence_basetime": _of("basetime_unix"),
    "signature": lambda document: next(field["hex"] for field in document["fields"] if field["name"] == "signature"),
    "unknown_offer_tlvs": _unknown,
    "unknown_invoice_request_tlvs": _unknown,
    "unknown_invoice_tlvs": _unknown,
}
"""Core Lightning's key, and where our document says the same."""
NOT_COMPARED = {
    "valid": "compared as a verdict, below",
    "warning_missing_invoice_recurrence_basetime": "the words of a verdict",
    "warning_invreq_recurrence_cancel_with_zero_counter": "the words of a verdict",
    "warning_invreq_recurrence_cancel_without_counter": "the words of a verdict",
    "warning_invalid_invoice_request_signature": "the words of a verdict",
    "warning_missing_offer_description": "the words of a verdict",
    "warning_missing_invreq_metadata": "the words of a verdict",
}

READ = {key: entry for key, entry in TOLD.items() if "cln_decode" in entry and isinstance(_ours(entry["bolt12"]), dict)}


@pytest.mark.parametrize("key", READ, ids="-".join)
def test_our_document_says_what_core_lightning_says(key: tuple[str, str]) -> None:
    entry = READ[key]
    document = _ours(entry["bolt12"])
    assert isinstance(document, dict)
    compared = {name: value for name, value in entry["cln_decode"].items() if name not in NOT_COMPARED}
    assert {name: SAYINGS[name](document) for name in compared} == compared
    assert document["reencoded_identical"] is True
    recorded = TlvStream.from_bytes(bytes.fromhex(entry["tlv_hex"]))
    assert [(field["number"], field["hex"]) for field in document["fields"]] == [
        (record.type, record.value.hex()) for record in recorded
    ]


@pytest.mark.parametrize("key", TOLD, ids="-".join)
def test_we_find_valid_what_core_lightning_finds_valid_or_the_difference_is_listed(key: tuple[str, str]) -> None:
    ours, theirs = _our_verdict(TOLD[key]["bolt12"]), _their_verdict(TOLD[key])
    listed = READER.get(key)
    if listed is not None:
        assert (ours, theirs) == (listed.ours, listed.theirs)
        assert ours.split(":")[0] != theirs.split(":")[0]
    else:
        assert ours.split(":")[0] == theirs.split(":")[0]


def test_every_key_is_compared_or_excused_and_none_is_excused_in_vain() -> None:
    keys = Counter(name for entry in TOLD.values() for name in entry.get("cln_decode", {}))
    assert set(keys) == set(SAYINGS) | set(NOT_COMPARED)


def test_all_strings_are_there() -> None:
    assert set(READER) <= set(TOLD)
    assert (len(TOLD), len(READ)) == (397, 373)
