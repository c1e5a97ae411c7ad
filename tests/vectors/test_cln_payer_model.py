"""The model of Core Lightning's payer, held to every recorded command about a subscription."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from helpers.cln_payer import ClnError, ClnPayer
from lnrecur.bolt12 import Offer
from lnrecur.crypto.keys import PrivateKey
from lnrecur.values import PaymentHash
from lnrecur.wire.text import decode_text
from lnrecur.wire.tlv import TlvStream
from vectors.recorded import DATA, FILES, parsed, steps

DERIVED = parsed("derivations.json")
SIGNATURE = 240


@dataclass(frozen=True)
class Asked:
    """One command: what the model did and what the node did, in the same words."""

    file: str
    step: int
    model: str
    node: str


def payer() -> ClnPayer:
    """The recorded l1, which paid for everything."""
    key = PrivateKey(bytes.fromhex(DERIVED["nodes"]["l1"]["node_private_key"]))
    return ClnPayer(key, bytes.fromhex(DERIVED["makesecret"]["l1"]["node-alias-base"]))


def replayed(file: str) -> Iterator[Asked]:
    model, invoices = payer(), {}
    for number, step in enumerate(steps(file)):
        if step.get("method") in ("pay", "xpay") and "result" in step:
            text = step["params"].get("bolt11") or step["params"]["invstring"]
            payment_hash = invoices.get(text)
            if payment_hash is not None:
                model.paid(payment_hash)
        if step.get("method") not in ("fetchinvoice", "cancelrecurringinvoice"):
            continue
        params = step["params"]
        if "recurrence_counter" not in params and "recurrence_label" not in params:
            continue
        did, payment_hash = _model(model, step)
        if payment_hash is not None:
            invoices[step["result"]["invoice"]] = payment_hash
        yield Asked(file, number, did, _node(step))


def _model(model: ClnPayer, step: dict[str, Any]) -> tuple[str, PaymentHash | None]:
    params = step["params"]
    offer = Offer.from_text(params["offer"])
    metadata = params.get("payer_metadata")
    try:
        request = model.fetch(
            offer, params.get("recurrence_label"), params.get("recurrence_counter"), int(step["time_after"]),
            start=params.get("recurrence_start"), note=params.get("payer_note"),
            cancel=step["method"] == "cancelrecurringinvoice",
            metadata=None if metadata is None else bytes.fromhex(metadata),
        )  # fmt: skip
    except ClnError as error:
        return f"asks not: {error}", None
    sent = f"asks {_unsigned(request)}"
    answer = _answer(step)
    if answer is None:
        return sent, None
    try:
        invoice = model.accept(offer, params["recurrence_label"], request, answer)
    except ClnError as error:
        return f"{sent}, refuses: {error}", None
    return f"{sent}, accepts", invoice.payment_hash


def _node(step: dict[str, Any]) -> str:
    sent = _sent(step)
    if sent is None:
        return f"asks not: {step['error']['message'].split(': invalid token')[0]}"
    asked = f"asks {_unsigned(sent)}"
    if "error" in step and step["error"]["message"].startswith("Incorrect "):
        return f"{asked}, refuses: {step['error']['message'].split(' in ')[0]}"
    return f"{asked}, accepts" if "invoice" in step.get("result", {}) else asked


def _sent(step: dict[str, Any]) -> bytes | None:
    received = [message for message in step.get("messages", ()) if message["kind"] == "invoice_request"]
    logged = [entry["invoice_request"] for entry in step.get("issuer_log", ())]
    return bytes.fromhex((received + logged)[0]["tlv_hex"]) if received or logged else None


def _answer(step: dict[str, Any]) -> bytes | None:
    if "result" in step and "invoice" in step["result"]:
        return decode_text(step["result"]["invoice"])[1]
    logged = [entry["invoice"]["tlv_hex"] for entry in step.get("issuer_log", ()) if entry.get("invoice")]
    return bytes.fromhex(logged[0]) if logged else None


def _unsigned(data: bytes) -> str:
    return b"".join(record.raw for record in TlvStream.from_bytes(data) if record.type != SIGNATURE).hex()


REPLAYED = [asked for file in FILES for asked in replayed(file)]


@pytest.mark.parametrize("asked", REPLAYED, ids=lambda asked: f"{asked.file.removesuffix('.json')}-{asked.step}")
def test_the_model_asks_and_accepts_as_the_recorded_node(asked: Asked) -> None:
    assert asked.model == asked.node


def test_every_command_about_a_subscription_was_judged() -> None:
    did = Counter(asked.node.split(" ")[1] == "not:" for asked in REPLAYED)
    refused = [asked for asked in REPLAYED if "refuses" in asked.node]
    assert (did[False], did[True], len(refused)) == (58, 33, 7)
    assert {path.name for path in DATA.glob("recurrence_*.json")} <= {asked.file for asked in REPLAYED}
