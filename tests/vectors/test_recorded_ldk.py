"""LDK's recorded answers against the requests they answer. Its single messages are in test_recorded_strings.py."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lnrecur.bolt12 import Invoice, InvoiceRequest
from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.bolt12.invoice_error import read_invoice_error, wants_length_in_front
from lnrecur.values import Point
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath

DATA = Path(__file__).parent / "data" / "ldk" / "messages.json"
VECTORS: list[dict[str, Any]] = json.loads(DATA.read_text())["vectors"]
ANSWERS = [vector for vector in VECTORS if "invoice_request" in vector]

REFUSED: dict[str, set[str]] = {
    # One byte stands in 27 or 1000000027, which LDK mirrors unread, and a pay window has at least five.
    "LDK payee's answer to invoice_request: LDK-owned offer with odd 25,27,29": {"BOLT 1"},
    "LDK payee's answer to invoice_request: LDK-owned offer with exp odd 1000000025,27,29": {"BOLT 1"},
    # The same, and a start in both dialects.
    "LDK payee's answer to invoice_request: same, invreq adds 93/2000000093": {"BOLT 1", "D1"},
}
"""Exchanges that we do not read, and by which rule."""


def _broken_rule(vector: dict[str, Any]) -> str | None:
    """Which rule of ours a request or the invoice that answers it breaks."""
    data = bytes.fromhex(vector["hex"])
    try:
        request = InvoiceRequest.from_bytes(bytes.fromhex(vector["invoice_request"])).verify_signature()
        invoice = Invoice.from_bytes(data)
        assert invoice.verify_answers(request, request.issuer_id or invoice.node_id).to_bytes() == data
    except Bolt12Error as error:
        return str(error.details()["rule"])
    return None


@pytest.mark.parametrize("vector", ANSWERS, ids=lambda vector: vector["description"])
def test_a_recorded_answer_is_one_to_its_request_or_is_listed(vector: dict[str, Any]) -> None:
    if vector["kind"] == "invoice_error":
        assert read_invoice_error(bytes.fromhex(vector["hex"])).text == "MissingPaths"
    else:
        rule = _broken_rule(vector)
        assert rule in REFUSED[vector["description"]] if rule else vector["description"] not in REFUSED


def test_every_listed_refusal_was_recorded() -> None:
    assert set(REFUSED) <= {vector["description"] for vector in ANSWERS}
    assert len(ANSWERS) == 24


# --- how LDK is known ------------------------------------------------------------------------------------------------

CLN = DATA.parents[1] / "cln"


def _reply_paths(value: object) -> Iterator[list[int]]:
    """The sizes of the data in every recorded reply path."""
    if isinstance(value, list):
        for inner in value:
            yield from _reply_paths(inner)
    elif isinstance(value, dict):
        if value.get("reply_blindedpath"):
            yield [len(hop["encrypted_recipient_data"]) // 2 for hop in value["reply_blindedpath"]["hops"]]
        for inner in value.values():
            yield from _reply_paths(inner)


def test_no_recorded_reply_path_of_core_lightning_is_taken_for_ldks() -> None:
    point = Point(b"\x02" + bytes(32))
    found = [sizes for path in CLN.glob("*.json") for sizes in _reply_paths(json.loads(path.read_text()))]
    assert len(found) > 100
    for sizes in found:
        hops = tuple(BlindedHop(point, bytes(size)) for size in sizes)
        assert not wants_length_in_front(bytes(32), BlindedPath(point, point, hops))


def test_every_recorded_request_of_ldk_has_metadata_of_the_size_it_is_known_by() -> None:
    requests = [vector for vector in VECTORS if (vector["kind"], vector["made_by"]) == ("invoice_request", "ldk")]
    assert len(requests) == 29
    assert {len(bytes.fromhex(dict(map(tuple, vector["tlv"]))[0])) for vector in requests} == {32}
