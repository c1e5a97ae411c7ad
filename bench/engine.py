"""The engine against its floor: what an answer costs, what a refusal costs, what an invoice costs its payer.

    python bench/engine.py

- `answer`: from the bytes of a valid invoice_request to the bytes of the signed invoice, with no I/O: read, recognise
  the offer, check the signature, step, seal the receive context, build the payment path (one hop), write, sign.
- `refusals`: from the bytes to the refusal, by cause, as a share of `answer`. A foreign or forged request may cost a
  fifth of it.
- `payer`: from the bytes of the invoice to the payment order.

Prints one JSON document in the units of `bolt12.py`, whose floor is used here, with that of `onion_messages.py` for
the path: the same elliptic curve operations, hashes and ciphers by the fastest means there is from Python, no rules, no
meaning; BIP 340's check of the signature just made is in both. Before anything is measured, the floor checks our
signatures and we compare what both made.
"""

from __future__ import annotations

import hmac
import json
import platform
import sys
from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

sys.path.insert(0, str(Path(__file__).parent))
import bolt12 as floor
from onion_messages import floor_path

from lnrecur.bolt12 import Invoice, InvoiceRequest, OfferTerms, Recurrence, TimeUnit, fields
from lnrecur.bolt12.errors import NotSigned
from lnrecur.bolt12.invoice import VerifiedInvoice
from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest, write_invoice_request
from lnrecur.crypto.hashes import sha256 as digest_of
from lnrecur.crypto.keys import PrivateKey, derive_key
from lnrecur.errors import LnrecurError
from lnrecur.ports import NodeInfo, Receivable, ReceiveOrder
from lnrecur.recurrence import inbound, outbound
from lnrecur.recurrence.effects import IssueInvoice, Pay, Refuse
from lnrecur.recurrence.inbound_model import Inbound, RequestArrived
from lnrecur.recurrence.inbound_model import Phase as PayeePhase
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.offer_authenticity import is_ours, write_authentic_offer
from lnrecur.recurrence.offering import Offering, OfferStatus
from lnrecur.recurrence.outbound_model import InvoiceArrived, Outbound, PendingRequest, Phase, Terms
from lnrecur.service.invoicing import Invoicer
from lnrecur.service.keyring import Keyring
from lnrecur.values import REGTEST, Msat, NodeId, PaymentHash, Preimage, RecurrenceId, UnixSeconds

NOW = UnixSeconds(1_800_000_000)
KEYRING = Keyring.derive(b"\x41" * 32)
NODE, PAYER = PrivateKey(b"\x42" * 32), PrivateKey(b"\x43" * 32)
PREIMAGE = Preimage(b"\x44" * 32)
PATH_ID = b"\x45" * 32
MONTHLY = Recurrence(TimeUnit.MONTHS, 1)
OFFER = write_authentic_offer(
    KEYRING.offers,
    OfferTerms(description="Coffee club", amount=1_000_000, issuer_id=KEYRING.identity.point, recurrence=MONTHLY),
    bytes(8),
)
OFFERING = Offering(recurrence=MONTHLY)
FIFTH = 0.2

Call = Callable[[], object]


class Node:
    """A money node whose every answer is at hand."""

    async def register(self, order: ReceiveOrder) -> Receivable:
        return Receivable(PaymentHash(digest_of(order.preimage)), PATH_ID, 18)

    async def info(self) -> NodeInfo:
        return NodeInfo(NodeId(NODE.point), REGTEST, 800_000, can_hold=True, kind="bench")

    async def inbound_edges(self) -> list[Any]:
        return []


INVOICER = Invoicer(Node(), KEYRING)  # type: ignore[arg-type]


def run(task: Coroutine[Any, Any, VerifiedInvoice]) -> VerifiedInvoice:
    """The end of a coroutine that never waits."""
    try:
        task.send(None)
    except StopIteration as stop:
        found: VerifiedInvoice = stop.value
        return found
    raise SystemExit("the invoicer waited for something")


# --- ours ------------------------------------------------------------------------------------------------------------


def request(counter: int = 0, **changes: Any) -> bytes:
    values = {
        fields.INVREQ_METADATA: b"\x07" * 16,
        fields.INVREQ_PAYER_ID: PAYER.point,
        fields.INVREQ_RECURRENCE_COUNTER: counter,
        **changes.get("values", {}),
    }
    return write_invoice_request(changes.get("offer", OFFER), values, OFFER.dialect).sign(PAYER).to_bytes()


def answer(data: bytes, state: Inbound, offering: Offering = OFFERING) -> bytes | Refuse | None:
    """What a payee does with a request, between the network and the money node."""
    try:
        read = InvoiceRequest.from_bytes(data)
    except LnrecurError:
        return None
    if not is_ours(KEYRING.offers, read, None):
        return None
    try:
        verified: VerifiedInvoiceRequest = read.verify_signature()
    except NotSigned:
        return None
    for effect in inbound.step(state, RequestArrived(verified, offering, PREIMAGE), NOW).effects:
        if isinstance(effect, Refuse):
            return effect
        if isinstance(effect, IssueInvoice):
            return run(INVOICER.make(verified, effect, KEYRING.identity)).to_bytes()
    raise SystemExit("neither an invoice nor a refusal")


def paying(data: bytes) -> Outbound:
    return Outbound(
        recurrence_id=RecurrenceId(b"\x46" * 32),
        offer_bytes=OFFER.to_bytes(),
        mandate=Mandate(Msat(1_000_000)),
        terms=Terms(),
        created_at=NOW,
        phase=Phase.AWAITING_FIRST_INVOICE,
        request=PendingRequest(0, data),
    )


def accept(state: Outbound, invoice: bytes) -> object:
    effects = outbound.step(state, InvoiceArrived(invoice), NOW).effects
    if not any(isinstance(effect, Pay) for effect in effects):
        raise SystemExit(f"the payer does not pay: {effects}")
    return effects


# --- the floor -------------------------------------------------------------------------------------------------------


def floor_answer(data: bytes, invoice: bytes) -> Call:
    """The raw operations of an answer: those on the request, those on the context, the path and the invoice."""
    asked, made = InvoiceRequest.from_bytes(data), Invoice.from_bytes(invoice)
    points, signed = floor.points_of(asked), asked.signature or b""
    added = [record.raw for record in made.stream.records if record.type >= 160 and record.type != 240]
    session, context, note = derive_key(KEYRING.contexts, "payment path", PREIMAGE), bytes(230), bytes(60)
    secret = KEYRING.identity.secret
    ours = [record for record in floor.floor_records(invoice) if record[0] != 240]
    digest = floor.floor_digest("invoice", floor.floor_root(ours))  # known from signing: it is not made twice

    def work() -> bytes:
        records = floor.floor_records(data)
        floor.floor_points(points)
        mirrored = [record for record in records if not 240 <= record[0] <= 1000]
        hmac.digest(KEYRING.offers, b"".join([record[2] for record in mirrored if record[0] < 80]), "sha256")
        if not floor.floor_verify("invoice_request", records, signed):
            raise SystemExit("the floor refuses the request")
        payment_hash = sha256(PREIMAGE).digest()
        key = hmac.digest(KEYRING.contexts, payment_hash, "sha256")
        ChaCha20Poly1305(key).encrypt(bytes(12), context, b"\1")
        floor_path(session.secret, [NODE.point], [note])
        body = b"".join([record[2] for record in mirrored] + added)
        unsigned = floor.floor_records(body)
        signature = floor.floor_sign("invoice", unsigned, secret)
        floor.floor_points([KEYRING.identity.point])
        if not floor.lib.secp256k1_xonly_pubkey_from_pubkey(floor.ctx, floor.XONLY, floor.ffi.NULL, floor.PUBLIC):
            raise SystemExit("no key")
        if not floor.lib.secp256k1_schnorrsig_verify(floor.ctx, signature, digest, 32, floor.XONLY):
            raise SystemExit("the floor signs wrongly")
        return body + b"\xf0\x40" + signature

    if work() != invoice:
        raise SystemExit("the floor's invoice is not ours")
    return work


def floor_accept(data: bytes, invoice: bytes) -> Call:
    """The raw operations on an invoice: read, parse its points, compare what it mirrors, verify."""
    read = Invoice.from_bytes(invoice)
    points, signed = floor.points_of(read), read.signature or b""

    def work() -> None:
        records = floor.floor_records(invoice)
        floor.floor_points(points)
        asked = [record for record in floor.floor_records(data) if not 240 <= record[0] <= 1000]
        if records[: len(asked)] != asked or not floor.floor_verify("invoice", records, signed):
            raise SystemExit("the floor refuses the invoice")

    work()
    return work


# --- measuring -------------------------------------------------------------------------------------------------------


def refusals(data: bytes) -> dict[str, tuple[Call, str]]:
    """Each cause: the call, and the rule it is refused by ("silent" where a stranger gets no word)."""
    stranger = Inbound(OFFER.offer_id, PAYER.point)
    paid = Inbound(OFFER.offer_id, PAYER.point, PayeePhase.ACTIVE, basetime=NOW, next_counter=1, payments=1)
    foreign_offer = write_authentic_offer(
        b"\x47" * 32,
        OfferTerms(description="Coffee club", amount=1_000_000, issuer_id=NODE.point, recurrence=MONTHLY),
        bytes(8),
    )
    little, foreign, late = request(values={fields.INVREQ_AMOUNT: 1}), request(offer=foreign_offer), request(2)
    forged = data[:-1] + b"\x01"
    ended = Offering(recurrence=MONTHLY, status=OfferStatus.ENDED)
    return {
        "unreadable": (lambda: answer(data[:-1], stranger), "silent"),
        "foreign offer": (lambda: answer(foreign, stranger), "silent"),
        "forged signature": (lambda: answer(forged, stranger), "silent"),
        "offer ended": (lambda: answer(data, stranger, ended), "V10"),
        "paid already": (lambda: answer(data, paid), "Q13"),
        "not yet due": (lambda: answer(late, paid), "Q14"),
        "too little": (lambda: answer(little, stranger), "Q17"),
    }


def main() -> None:
    data = request()
    stranger = Inbound(OFFER.offer_id, PAYER.point)
    invoice = answer(data, stranger)
    if not isinstance(invoice, bytes):
        raise SystemExit(f"no invoice: {invoice}")
    state = paying(data)
    calls: dict[tuple[str, str], tuple[Call, Call]] = {
        ("answer", ""): (lambda: answer(data, stranger), floor_answer(data, invoice)),
        ("payer", ""): (lambda: accept(state, invoice), floor_accept(data, invoice)),
    }
    causes = refusals(data)
    for cause, (call, rule) in causes.items():
        found = call()
        if (found.rule if isinstance(found, Refuse) else "silent") != rule:
            raise SystemExit(f"{cause} is answered with {found}")
        calls["refusals", cause] = (call, calls["answer", ""][1])
    measured = floor.microseconds(calls)
    whole = measured["answer", ""][0]
    document = {
        "bench": "engine",
        "unit": "[ours in microseconds, floor in microseconds, ours / floor]",
        "python": platform.python_version(),
        "machine": platform.machine(),
        "answer": measured["answer", ""],
        "payer": measured["payer", ""],
        "refusals": {
            cause: {"rule": rule, "microseconds": measured["refusals", cause][0],
                    "share_of_answer": round(measured["refusals", cause][0] / whole, 3)}
            for cause, (_, rule) in causes.items()
        },
        "targets": {"answer": 2.0, "foreign or forged": FIFTH},
    }  # fmt: skip
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
