"""What Core Lightning v26.06.6 and LDK 0.1.2 really wrote: every recorded offer, request and invoice.

A recorded string either is read, written back byte-identical and (where it has a signature) verified, or it stands in
REFUSED with its reason; both are counted, so that none can quietly leave either side. What Core Lightning's own
`decode` said of a message is compared with what we read, field by field.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer, decode
from lnrecur.bolt12.errors import FieldMalformed, NotSigned, RuleBroken
from lnrecur.bolt12.invoice_error import read_invoice_error
from lnrecur.bolt12.signature import merkle_root, signature_digest
from lnrecur.errors import LnrecurError
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.text import decode_text, encode_text
from lnrecur.wire.tlv import TlvStream

DATA = Path(__file__).parent / "data"
FILES = [*sorted((DATA / "cln").glob("*.json")), DATA / "ldk" / "messages.json"]
TEXT = re.compile(r"\bln[ori]1[a-z0-9]{6,}")

STRINGS_PER_FILE = {
    "external_issuer_recurring.json": 42,
    "external_payer_hooks.json": 20,
    "offers.json": 67,
    "plain_exchanges.json": 116,
    "recurrence_base.json": 24,
    "recurrence_basic.json": 7,
    "recurrence_cancel.json": 20,
    "recurrence_limit.json": 5,
    "recurrence_months_days.json": 52,
    "recurrence_optional.json": 8,
    "recurrence_paywindow.json": 11,
    "spec_draft_tlv_numbers.json": 34,
    "messages.json": 64,
}


class Refusal(NamedTuple):
    error: type[LnrecurError]
    rule: str
    place: str
    """The field, or the number of one that has no name."""


_BY_SIGNATURE = Refusal(NotSigned, "BOLT 12 signature", "signature")
_LDK_WINDOW = Refusal(FieldMalformed, "BOLT 1", "offer_recurrence_paywindow")
_MIXED = Refusal(RuleBroken, "D1", "offer_recurrence_compulsory")

REFUSED = {  # (file, first twelve digits of the string's SHA-256)
    # The issuer tampered with the signature on purpose; the payer recorded that it refused.
    ("external_issuer_recurring.json", "d3fedd2c8bdf"): _BY_SIGNATURE,
    # What Core Lightning refused to make an offer of, or made and does not accept itself.
    ("offers.json", "78ac23e7c3aa"): Refusal(RuleBroken, "O5", "offer_recurrence_limit"),
    ("offers.json", "5a48851f21de"): Refusal(RuleBroken, "O4", "offer_recurrence_compulsory"),
    ("offers.json", "9b8ac1b32309"): Refusal(RuleBroken, "O4", "offer_recurrence_compulsory"),
    ("offers.json", "ee1ed4d87e91"): Refusal(RuleBroken, "BO8", "offer_amount"),
    # Faulty requests, sent to see how an issuer refuses them.
    ("plain_exchanges.json", "9b60e666f0cb"): Refusal(RuleBroken, "BR1", "invreq_metadata"),
    ("plain_exchanges.json", "be5c61bce5f9"): Refusal(RuleBroken, "BR4", "invreq_features"),
    ("plain_exchanges.json", "54e09db6c56a"): Refusal(RuleBroken, "BOLT 1", "98"),
    ("plain_exchanges.json", "4f431a6d0b8c"): _BY_SIGNATURE,
    # Faulty recurrence fields, made by hand to see what Core Lightning thinks of them.
    ("spec_draft_tlv_numbers.json", "eee1b0b5b507"): Refusal(RuleBroken, "O6", "offer_recurrence_base"),
    ("spec_draft_tlv_numbers.json", "9cf02e44c299"): Refusal(RuleBroken, "O6", "offer_recurrence_paywindow"),
    ("spec_draft_tlv_numbers.json", "f2d4a51e87a9"): Refusal(RuleBroken, "O6", "offer_recurrence_limit"),
    ("spec_draft_tlv_numbers.json", "7202c09b4b37"): Refusal(FieldMalformed, "BOLT 1", "offer_recurrence_compulsory"),
    ("spec_draft_tlv_numbers.json", "4365442c2cbb"): Refusal(FieldMalformed, "BOLT 1", "offer_recurrence_compulsory"),
    ("spec_draft_tlv_numbers.json", "6b39ca5e2983"): Refusal(FieldMalformed, "BOLT 1", "offer_recurrence_compulsory"),
    ("spec_draft_tlv_numbers.json", "f926212e2720"): Refusal(RuleBroken, "O3", "offer_recurrence_compulsory"),
    ("spec_draft_tlv_numbers.json", "f6ccc817b4bb"): Refusal(RuleBroken, "O10", "offer_recurrence_base"),
    ("spec_draft_tlv_numbers.json", "20f44aa8fac3"): Refusal(FieldMalformed, "BOLT 1", "offer_recurrence_limit"),
    ("spec_draft_tlv_numbers.json", "ace536d7b19b"): Refusal(RuleBroken, "O5", "offer_recurrence_limit"),
    ("spec_draft_tlv_numbers.json", "c77c2f830531"): Refusal(RuleBroken, "O1", "offer_recurrence_optional"),
    ("spec_draft_tlv_numbers.json", "79b18c5f8523"): Refusal(FieldMalformed, "BOLT 1", "offer_recurrence_paywindow"),
    ("spec_draft_tlv_numbers.json", "4aeb455435b4"): Refusal(FieldMalformed, "BOLT 1", "offer_recurrence_paywindow"),
    ("spec_draft_tlv_numbers.json", "a0cbd6bee0a2"): Refusal(RuleBroken, "O4", "offer_recurrence_compulsory"),
    ("spec_draft_tlv_numbers.json", "a9ee3c211b74"): Refusal(RuleBroken, "O2", "offer_recurrence_base"),
    ("spec_draft_tlv_numbers.json", "4b0f7f8db50e"): Refusal(FieldMalformed, "BOLT 1", "invreq_recurrence_counter"),
    ("spec_draft_tlv_numbers.json", "70e112823c4b"): Refusal(FieldMalformed, "BOLT 1", "invreq_recurrence_cancel"),
    # Draft numbers (92, 93, 94) in requests for an offer with Core Lightning's: two dialects in one message.
    ("spec_draft_tlv_numbers.json", "618c41545bf0"): _MIXED,
    ("spec_draft_tlv_numbers.json", "077544e1b0ee"): _MIXED,
    ("spec_draft_tlv_numbers.json", "af85db8887ac"): _MIXED,
    # LDK knows no recurrence and mirrors anything odd: one byte stands where a pay window should.
    ("messages.json", "d376725017a2"): _LDK_WINDOW,
    ("messages.json", "aeebd72b5769"): _LDK_WINDOW,
    ("messages.json", "29b01f08548a"): _LDK_WINDOW,
    ("messages.json", "98f742cdb857"): _LDK_WINDOW,
    ("messages.json", "9cc44c1f821c"): _LDK_WINDOW,
    ("messages.json", "a07b43716804"): _LDK_WINDOW,
    ("messages.json", "9fbfd07b37ac"): _LDK_WINDOW,
    ("messages.json", "147b8babb43a"): _LDK_WINDOW,
    ("messages.json", "bc6c92e79b21"): _LDK_WINDOW,
    # The same, with a start in both dialects.
    ("messages.json", "3ffc9382d52a"): Refusal(RuleBroken, "D1", "offer_recurrence_optional"),
    # LDK's refunds are requests without a signature.
    ("messages.json", "a95214dbf733"): _BY_SIGNATURE,
}


@dataclass(frozen=True)
class Recorded:
    """A string and where it was found."""

    file: str
    text: str

    @property
    def key(self) -> tuple[str, str]:
        return self.file, sha256(self.text.encode()).hexdigest()[:12]

    def read(self) -> Offer | InvoiceRequest | Invoice:
        """The message, its signature verified where it should have one."""
        message = decode(self.text)
        if not isinstance(message, Offer):
            message.verify_signature()
        return message


@cache
def _content(path: Path) -> str:
    return path.read_text()


STRINGS = [Recorded(path.name, text) for path in FILES for text in sorted(set(TEXT.findall(_content(path))))]
READABLE = [recorded for recorded in STRINGS if recorded.key not in REFUSED]
UNREADABLE = [recorded for recorded in STRINGS if recorded.key in REFUSED]


def _name(recorded: Recorded) -> str:
    return "-".join(recorded.key)


@pytest.mark.parametrize("recorded", READABLE, ids=_name)
def test_a_recorded_string_is_read_verified_and_written_back(recorded: Recorded) -> None:
    message = recorded.read()
    assert message.to_text() == recorded.text
    assert type(message).from_bytes(message.to_bytes()) == message


@pytest.mark.parametrize("recorded", UNREADABLE, ids=_name)
def test_a_refused_string_is_refused_for_the_reason_in_the_table(recorded: Recorded) -> None:
    refusal = REFUSED[recorded.key]
    with pytest.raises(LnrecurError) as failure:
        recorded.read()
    details = failure.value.details()
    assert type(failure.value) is refusal.error
    assert details["rule"] == refusal.rule
    assert str(details.get("field", details.get("tlv_type"))) == refusal.place


@pytest.mark.parametrize("recorded", UNREADABLE, ids=_name)
def test_a_refused_string_is_still_a_tlv_stream_that_is_written_back(recorded: Recorded) -> None:
    prefix, data = decode_text(recorded.text)
    stream = TlvStream.from_bytes(data)
    assert stream.to_bytes() == data
    assert TlvStream(stream.records).to_bytes() == data
    assert encode_text(prefix, stream.to_bytes()) == recorded.text


def test_no_recorded_string_has_disappeared() -> None:
    assert Counter(recorded.file for recorded in STRINGS) == STRINGS_PER_FILE
    assert {recorded.key for recorded in UNREADABLE} == set(REFUSED)
    assert (len(READABLE), len(UNREADABLE)) == (430, 40)


# --- what Core Lightning said of the same bytes ----------------------------------------------------------------------

_KINDS: dict[str, type[Offer] | type[InvoiceRequest] | type[Invoice]] = {
    "bolt12 offer": Offer,
    "bolt12 invoice_request": InvoiceRequest,
    "bolt12 invoice": Invoice,
}


def _walk(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)


@cache
def _parsed(path: Path) -> Any:
    return json.loads(_content(path))


DECODED = [
    (path.name, entry)
    for path in FILES
    for entry in _walk(_parsed(path))
    if "cln_decode" in entry and (path.name, sha256(entry["bolt12"].encode()).hexdigest()[:12]) not in REFUSED
]


def _introduction(path: BlindedPath) -> dict[str, Any]:
    first = path.first_node_id
    if isinstance(first, ChannelDirection):
        block, transaction, output = first.channel >> 40, first.channel >> 16 & 0xFFFFFF, first.channel & 0xFFFF
        return {"first_scid": f"{block}x{transaction}x{output}", "first_scid_dir": first.direction}
    return {"first_node_id": first.hex()}


def _path(path: BlindedPath) -> dict[str, Any]:
    hops = [
        {"blinded_node_id": hop.blinded_node_id.hex(), "encrypted_recipient_data": hop.encrypted_recipient_data.hex()}
        for hop in path.hops
    ]
    return {**_introduction(path), "first_path_key": path.first_path_key.hex(), "path": hops}


def _payment_paths(invoice: Any) -> list[dict[str, Any]]:
    return [
        {
            **_path(path),
            "payinfo": {
                "fee_base_msat": info.fee_base_msat,
                "fee_proportional_millionths": info.fee_proportional_millionths,
                "cltv_expiry_delta": info.cltv_expiry_delta,
                "htlc_minimum_msat": info.htlc_minimum_msat,
                "htlc_maximum_msat": info.htlc_maximum_msat,
                "features": info.features.hex(),
            },
        }
        for path, info in invoice.payment_paths
    ]


def _recurrence(message: Any) -> dict[str, Any]:
    found = message.recurrence
    told: dict[str, Any] = {
        "compulsory_field": not found.optional,
        "time_unit": int(found.unit),
        "time_unit_name": found.unit.name.lower(),
        "period": found.period,
    }
    if found.base is not None:
        told["basetime"] = found.base.basetime
        if found.proportional:
            told["proportional_amount"] = True
    if found.limit is not None:
        told["limit"] = found.limit
    if found.paywindow is not None:
        told["paywindow"] = {
            "seconds_before": found.paywindow.seconds_before,
            "seconds_after": found.paywindow.seconds_after,
        }
    return told


# Core Lightning's name of a value, and how we say the same.
SAYINGS: dict[str, Callable[[Any], object]] = {
    "offer_id": lambda message: message.offer_id.hex(),
    "offer_chains": lambda message: [chain.hex() for chain in message.chains],
    "offer_currency": lambda message: message.currency,
    "offer_amount": lambda message: message.amount,
    "offer_amount_msat": lambda message: message.amount,
    "offer_description": lambda message: message.description,
    "offer_absolute_expiry": lambda message: message.absolute_expiry,
    "offer_issuer": lambda message: message.issuer,
    "offer_quantity_max": lambda message: message.quantity_max,
    "offer_issuer_id": lambda message: message.issuer_id.hex(),
    "offer_paths": lambda message: [_path(path) for path in message.paths],
    "offer_recurrence": _recurrence,
    "invreq_metadata": lambda message: message.invreq_metadata.hex(),
    "invreq_chain": lambda message: message.invreq_chain.hex(),
    "invreq_amount_msat": lambda message: message.invreq_amount,
    "invreq_features": lambda message: (message.invreq_features or b"").hex(),
    "invreq_quantity": lambda message: message.quantity,
    "invreq_payer_id": lambda message: message.payer_id.hex(),
    "invreq_payer_note": lambda message: message.payer_note,
    "invreq_paths": lambda message: [_path(path) for path in message.invreq_paths],
    "invreq_bip_353_name": lambda message: {
        "name": message.bip_353_name.name.decode(),
        "domain": message.bip_353_name.domain.decode(),
    },
    "invreq_recurrence_counter": lambda message: message.counter,
    "invreq_recurrence_start": lambda message: message.start,
    "invreq_recurrence_cancel": lambda message: message.is_cancel,
    "invoice_amount_msat": lambda message: message.invoice_amount,
    "invoice_created_at": lambda message: message.created_at,
    "invoice_relative_expiry": lambda message: message.expires_at - message.created_at,  # told even where it is absent
    "invoice_payment_hash": lambda message: message.payment_hash.hex(),
    "invoice_features": lambda message: message.invoice_features.hex(),
    "invoice_node_id": lambda message: message.node_id.hex(),
    "invoice_paths": _payment_paths,
    "invoice_recurrence_basetime": lambda message: message.basetime,
    "signature": lambda message: message.signature.hex(),
}
NOT_OF_THE_MESSAGE = {"type", "valid", "currency_minor_unit"}  # and warnings, and what Core Lightning does not know


def _decoded_name(decoded: tuple[str, dict[str, Any]]) -> str:
    return f"{decoded[0]}-{sha256(decoded[1]['bolt12'].encode()).hexdigest()[:12]}"


@pytest.mark.parametrize("decoded", DECODED, ids=_decoded_name)
def test_we_read_what_core_lightning_read(decoded: tuple[str, dict[str, Any]]) -> None:
    entry = decoded[1]
    told = entry["cln_decode"]
    message = _KINDS[told["type"]].from_bytes(bytes.fromhex(entry["tlv_hex"]))
    assert message.to_text() == entry["bolt12"]
    compared = {
        key: value
        for key, value in told.items()
        if key not in NOT_OF_THE_MESSAGE and not key.startswith(("warning_", "unknown_"))
    }
    assert {key: SAYINGS[key](message) for key in compared} == compared
    draft = any(key.startswith("unknown_") for key in told)  # numbers Core Lightning does not know
    assert (message.recurrence is not None) == ("offer_recurrence" in told or draft)
    if "offer_id" in entry:
        assert message.offer_id.hex() == entry["offer_id"]


@pytest.mark.parametrize("decoded", [entry for entry in DECODED if "merkle_root" in entry[1]], ids=_decoded_name)
def test_our_merkle_root_and_digest_are_the_recorders(decoded: tuple[str, dict[str, Any]]) -> None:
    message = decode(decoded[1]["bolt12"])
    root = merkle_root(message.stream.records)
    assert root.hex() == decoded[1]["merkle_root"]
    assert signature_digest(message.NAME, root).hex() == decoded[1]["sighash"]


LDK = [vector for vector in _parsed(DATA / "ldk" / "messages.json")["vectors"] if "merkle_root" in vector]


@pytest.mark.parametrize("vector", LDK, ids=lambda vector: vector["description"])
def test_ldk_signs_the_same_root(vector: dict[str, Any]) -> None:
    stream = TlvStream.from_bytes(bytes.fromhex(vector["hex"]))
    assert [[record.type, record.value.hex()] for record in stream] == vector["tlv"]
    assert merkle_root(stream.records).hex() == vector["merkle_root"]


def test_everything_decoded_was_compared() -> None:
    assert (len(DECODED), len(LDK)) == (470, 56)


# --- conversations ---------------------------------------------------------------------------------------------------

EXCHANGES = [
    (path.name, request["bolt12"], invoice["bolt12"])
    for path in FILES
    for step in _walk(_parsed(path))
    if isinstance(step.get("messages"), list)
    for request, invoice in [
        (
            next((message for message in step["messages"] if message.get("kind") == "invoice_request"), {}),
            next((message for message in step["messages"] if message.get("kind") == "invoice"), {}),
        )
    ]
    if "bolt12" in request and "bolt12" in invoice
]


OLD_INVOICES = {"e88e8f86d8db": "invreq_features", "ad5ebb89fe23": "invreq_amount"}
"""Requests (by SHA-256) of a payer_id that had asked for other things: Core Lightning answers with the old invoice.

Its invoice mirrors the old request, and a payer must refuse it (RECURRENCE.md section 6).
"""
ANSWERED = [exchange for exchange in EXCHANGES if sha256(exchange[1].encode()).hexdigest()[:12] not in OLD_INVOICES]
NOT_ANSWERED = [exchange for exchange in EXCHANGES if exchange not in ANSWERED]


@pytest.mark.parametrize("exchange", ANSWERED, ids=lambda exchange: exchange[0])
def test_a_recorded_invoice_answers_its_request(exchange: tuple[str, str, str]) -> None:
    request, invoice = InvoiceRequest.from_text(exchange[1]), Invoice.from_text(exchange[2])
    asked = request.issuer_id
    if asked is None:
        asked = next(path.hops[-1].blinded_node_id for path in request.paths or ())
    assert invoice.verify_answers(request, asked).to_bytes() == invoice.to_bytes()
    with pytest.raises(RuleBroken, match=r"\[V7\]"):
        invoice.verify_answers(request, request.payer_id)


@pytest.mark.parametrize("exchange", NOT_ANSWERED, ids=lambda exchange: exchange[0])
def test_an_old_invoice_is_no_answer_to_a_changed_request(exchange: tuple[str, str, str]) -> None:
    request, invoice = InvoiceRequest.from_text(exchange[1]), Invoice.from_text(exchange[2])
    with pytest.raises(RuleBroken) as refusal:
        invoice.verify_answers(request, invoice.node_id)
    assert refusal.value.rule == "V6"
    assert refusal.value.breach.field == OLD_INVOICES[sha256(exchange[1].encode()).hexdigest()[:12]]


def test_the_conversations_are_all_there() -> None:
    assert (len(ANSWERED), len(NOT_ANSWERED)) == (78, 2)


# --- invoice errors --------------------------------------------------------------------------------------------------

ERRORS = [
    (path.name, entry.get("tlv_hex", entry.get("hex", "")))
    for path in FILES
    for entry in _walk(_parsed(path))
    if entry.get("kind") == "invoice_error"
]


@pytest.mark.parametrize("recorded", ERRORS, ids=lambda recorded: recorded[0])
def test_a_recorded_invoice_error_is_read_in_either_form(recorded: tuple[str, str]) -> None:
    data = bytes.fromhex(recorded[1])
    error = read_invoice_error(data)
    assert error.text
    assert not error.ends_subscription
    assert data == (error.to_ldk_bytes() if recorded[0] == "messages.json" else error.to_bytes())


def test_the_invoice_errors_are_all_there() -> None:
    assert Counter(file for file, _ in ERRORS) == {
        "plain_exchanges.json": 17,
        "recurrence_base.json": 6,
        "recurrence_basic.json": 1,
        "recurrence_cancel.json": 5,
        "recurrence_optional.json": 1,
        "recurrence_paywindow.json": 2,
        "messages.json": 3,
    }


# --- where LDK's reader and ours differ ------------------------------------------------------------------------------

OFFER_TABLE: dict[str, dict[str, Any]] = _parsed(DATA / "ldk" / "messages.json")["offer_parse_table"]
WE_ACCEPT = {"even 24", "even 24,26", "exp even 1000000024"}
"""LDK knows no recurrence, so it must refuse our even fields."""
WE_REFUSE = {
    "odd 25,27,29": "BOLT 1",
    "exp odd 1000000025,27,29": "BOLT 1",
    "feature even unknown 100": "BO2",
    "amount 0": "BO8",
}
"""And why. LDK keeps odd fields unread, and leaves features and amounts to the payer."""


def _refused_by(data: bytes) -> str | None:
    try:
        assert Offer.from_bytes(data).to_bytes() == data
    except LnrecurError as error:
        return str(error.details()["rule"])
    return None


@pytest.mark.parametrize("name", OFFER_TABLE)
def test_ldk_and_we_accept_the_same_offers_but_for_a_named_few(name: str) -> None:
    rule = _refused_by(bytes.fromhex(OFFER_TABLE[name]["hex"]))
    if name in WE_REFUSE:
        assert (OFFER_TABLE[name]["accepted"], rule) == (True, WE_REFUSE[name])
    elif name in WE_ACCEPT:
        assert (OFFER_TABLE[name]["accepted"], rule) == (False, None)
    else:
        assert OFFER_TABLE[name]["accepted"] == (rule is None)
