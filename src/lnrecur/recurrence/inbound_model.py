"""The payee's side of a subscription: its phases, its state and what can happen to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest
from lnrecur.crypto.hashes import sha256
from lnrecur.recurrence.effects import Effect
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.values import ZERO_MSAT, Msat, OfferId, PaymentHash, Point, Preimage, UnixSeconds


class Phase(StrEnum):
    """Where an inbound subscription (or one-off payment) stands."""

    STRANGER = "stranger"
    """Nothing was ever claimed; nothing is stored of requests."""
    STARTING = "starting"
    """The first payment is claimable: its period is reserved for it."""
    ACTIVE = "active"
    """Paid up to some period."""
    RENEWING = "renewing"
    """The next payment is claimable: its period is reserved for it."""
    COMPLETED = "completed"
    """Every payment the limit allows is claimed, or the one-off is paid."""
    CANCELLED = "cancelled"
    """The payer cancelled."""


FINAL_PHASES = frozenset({Phase.COMPLETED, Phase.CANCELLED})
"""No further period will be accepted."""


class Windows(StrEnum):
    """How strictly an offer's pay windows bind its subscribers (Q16)."""

    STRICT = "strict"
    """Outside its window a period is refused."""
    LENIENT = "lenient"
    """Late periods are served in order; early ones wait for their window."""


@dataclass(frozen=True, slots=True)
class OfferPolicy:
    """What a merchant decides about an offer beyond what the offer itself says."""

    windows: Windows = Windows.STRICT
    invoice_expiry_s: int = 3600
    """How long an invoice may be paid; never past the end of its pay window (V3)."""
    first_in_window: bool = False
    """Whether the window binds the first payment too, which no reader rule demands (T9, Q16)."""
    payments_max: int | None = None
    """O11: how many payments a subscription may have, enforced by us as well."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A claimable payment that owns the next period until it is claimed or failed back."""

    counter: int
    payment_hash: PaymentHash


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """The invoice a known subscriber holds for the next period; a newer one takes its place."""

    counter: int
    payment_hash: PaymentHash


@dataclass(frozen=True, slots=True)
class Inbound:
    """One payer of one offer of ours. `recurring` is False for one-off payments."""

    offer_id: OfferId
    payer_id: Point
    phase: Phase = Phase.STRANGER
    recurring: bool = True
    start: int | None = None
    basetime: UnixSeconds | None = None
    next_counter: int = 0
    """The counter to be paid next; all before it are claimed."""
    reserved: Reservation | None = None
    open_invoice: OpenInvoice | None = None
    payments: int = 0
    received_msat: Msat = ZERO_MSAT
    surplus_msat: Msat = ZERO_MSAT
    """What was paid beyond one payment per period, and is owed back."""
    quantity: int | None = None
    payer_note: str = ""
    last_payment: PaymentHash | None = None
    """The payment that settled last: its receipts may come again and then change nothing."""
    created_at: UnixSeconds | None = None
    last_paid_at: UnixSeconds | None = None
    ended_at: UnixSeconds | None = None

    @property
    def subscription_id(self) -> bytes:
        """32 bytes that name it here: SHA-256 over offer_id and payer_id."""
        return subscription_id(self.offer_id, self.payer_id)

    @property
    def is_final(self) -> bool:
        """Whether no further period will be accepted."""
        return self.phase in FINAL_PHASES


def subscription_id(offer_id: OfferId, payer_id: Point) -> bytes:
    """The id under which a payer of an offer is stored."""
    return sha256(b"lnrecur inbound", offer_id, payer_id)


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """A signed request for an invoice of an offer of ours. `preimage` is 32 random bytes for the invoice."""

    request: VerifiedInvoiceRequest
    policy: OfferPolicy
    preimage: Preimage = field(repr=False)


@dataclass(frozen=True, slots=True)
class CancelArrived:
    """A signed cancel (Q6, Q18)."""

    request: VerifiedInvoiceRequest
    policy: OfferPolicy


@dataclass(frozen=True, slots=True)
class PaymentClaimable:
    """All of a payment has arrived and waits."""

    context: ReceiveContext
    limit: int | None
    """The offer's highest period index."""
    policy: OfferPolicy


@dataclass(frozen=True, slots=True)
class PaymentClaimed:
    """A payment is ours."""

    context: ReceiveContext
    amount_msat: Msat
    limit: int | None
    policy: OfferPolicy
    period_start: UnixSeconds | None


@dataclass(frozen=True, slots=True)
class PaymentReturned:
    """A payment was failed back, or its invoice withdrawn or expired."""

    payment_hash: PaymentHash


Event = RequestArrived | CancelArrived | PaymentClaimable | PaymentClaimed | PaymentReturned


@dataclass(frozen=True, slots=True)
class Step:
    """Where an event led: the new state, to be stored only if it differs, and what is to be done."""

    state: Inbound
    effects: tuple[Effect, ...] = ()
