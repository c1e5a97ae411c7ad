"""lnrecur's payer in the suite: a subscription with some payments behind it, and the message it writes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lnrecur.bolt12 import Offer, fields
from lnrecur.bolt12.codecs import BlindedPayinfo
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.message import write_fields
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.recurrence import outbound
from lnrecur.recurrence.effects import Emit, SendCancel, SendInvoiceRequest
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import (
    CancelAsked,
    Due,
    Outbound,
    PaymentSettled,
    PendingPayment,
    Phase,
    Terms,
)
from lnrecur.recurrence.payer_keys import PayerKeys
from lnrecur.values import ZERO_MSAT, Msat, PaymentHash, Preimage, RecurrenceId, UnixSeconds
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath
from lnrecur.wire.tlv import TlvStream

Document = dict[str, Any]
Given = Mapping[str, Any]

RECURRENCE_ID: Final = RecurrenceId(sha256(b"the subscription of a conformance case"))
MANDATE: Final = Mandate(max_per_period_msat=Msat(21_000_000 * 100_000_000 * 1000))
_KEYS: Final = PayerKeys.derive(sha256(b"the seed of a conformance case"), RECURRENCE_ID)
_PREIMAGE: Final = Preimage(sha256(b"a settled payment of a conformance case"))
_NODE: Final = PrivateKey(sha256(b"the payee of a conformance case"))
_JITTER: Final = bytes(8)


def next_message(given: Given) -> Document:
    """What the payer sends next, or why it sends nothing.

    Raises:
        Bolt12Error, WireError: the offer is invalid.
    """
    offer = Offer.from_bytes(bytes.fromhex(given["offer"]))
    now = UnixSeconds(given["now"])
    recurrence = offer.recurrence
    if recurrence is not None and recurrence.payments_from(given["start"] or 0) == 0:
        return {"refused": "Q4"}
    state = _subscription(offer, given, now)
    if given["cancel"]:
        state = outbound.step(state, CancelAsked(), now).state
        if state.phase in (Phase.CANCELLED, Phase.COMPLETED):
            return {"nothing": True}
    if state.phase is Phase.COMPLETED:
        return {"refused": "Q4"}
    if state.phase is Phase.LAPSED:
        return {"refused": "T7"}
    if state.wake_at is not None and state.wake_at > now:
        return {"wait_until": state.wake_at}
    taken = outbound.step(state, Due(_KEYS, _JITTER), now)
    for effect in taken.effects:
        if isinstance(effect, SendInvoiceRequest | SendCancel):
            return {"request": effect.request.hex()}
        if isinstance(effect, Emit) and effect.name == "subscription.missed":
            return {"refused": "Q5"}
    return {"nothing": True}


def _subscription(offer: Offer, given: Given, now: UnixSeconds) -> Outbound:
    """A new subscription, or one whose last payment settles now."""
    terms = Terms(start=given["start"], quantity=given["quantity"])
    state = Outbound(RECURRENCE_ID, offer.to_bytes(), MANDATE, terms, created_at=now, wake_at=now)
    paid = given["paid"]
    if not paid["payments"]:
        return state
    payment = PendingPayment(
        counter=paid["payments"] - 1,
        payment_hash=PaymentHash(sha256(_PREIMAGE)),
        invoice=_invoice_with(paid["next_state"]),
        amount_msat=Msat(1),
        max_fee_msat=ZERO_MSAT,
        basetime=UnixSeconds(paid["basetime"]),
        expires_at=now,
    )
    paying = replace(state, phase=Phase.PAYING, next_counter=payment.counter, payment=payment)
    return outbound.step(paying, PaymentSettled(payment.payment_hash, _PREIMAGE, ZERO_MSAT), now).state


def _invoice_with(next_state: str | None) -> bytes:
    """A readable invoice that carries the payee's state (V9); nobody looks at the rest of it any more."""
    hop = BlindedHop(_NODE.point, b"")
    values: dict[Field[Any], Any] = {
        fields.INVOICE_PATHS: (BlindedPath(_NODE.point, _NODE.point, (hop,)),),
        fields.INVOICE_BLINDEDPAY: (BlindedPayinfo(0, 0, 0, 0, 1),),
        fields.INVOICE_CREATED_AT: 1,
        fields.INVOICE_PAYMENT_HASH: sha256(_PREIMAGE),
        fields.INVOICE_AMOUNT: 1,
        fields.INVOICE_NODE_ID: _NODE.point,
        fields.INVOICE_RECURRENCE_NEXT_STATE: None if next_state is None else bytes.fromhex(next_state),
    }
    return TlvStream(write_fields(values, None)).to_bytes()
