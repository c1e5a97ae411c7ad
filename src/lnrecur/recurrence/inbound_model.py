"""The payee's side of a subscription: its phases, its state and what can happen to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest
from lnrecur.crypto.hashes import sha256
from lnrecur.recurrence.effects import Effect
from lnrecur.recurrence.offering import Offering
from lnrecur.recurrence.rates import ExchangeRate
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
    LAPSED = "lapsed"
    """A period was not paid in its window. A payment that was on its way brings it back; a cancel still counts."""
    ENDED = "ended"
    """We ended it, or its offer."""


FINAL_PHASES = frozenset({Phase.COMPLETED, Phase.CANCELLED, Phase.LAPSED, Phase.ENDED})
"""No further period will be sold."""


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
    """The counter to be paid next; all before it are claimed or waived."""
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
    missed: int = 0
    """How many periods were told as missed."""
    told_to: int = 0
    """The first counter whose closing window is still to be told; below next_counter it means nothing."""
    waived: int = 0
    """How many periods we waived."""
    waived_last: int = 0
    """How many of them stand right before next_counter: a payer that has not heard may still cancel with one."""
    paused_at: UnixSeconds | None = None
    """Since when we serve this subscriber nothing."""
    wake_at: UnixSeconds | None = None
    """When to look at it again (`Due`): the end of the next window, or None."""

    @property
    def subscription_id(self) -> bytes:
        """32 bytes that name it here: SHA-256 over offer_id and payer_id."""
        return subscription_id(self.offer_id, self.payer_id)

    @property
    def is_final(self) -> bool:
        """Whether no further period will be sold."""
        return self.phase in FINAL_PHASES


def subscription_id(offer_id: OfferId, payer_id: Point) -> bytes:
    """The id under which a payer of an offer is stored."""
    return sha256(b"lnrecur inbound", offer_id, payer_id)


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """A signed request for an invoice of an offer of ours.

    `preimage` is 32 random bytes for the invoice; `rate` is there where the offer is priced in a currency.
    """

    request: VerifiedInvoiceRequest
    offering: Offering
    preimage: Preimage = field(repr=False)
    rate: ExchangeRate | None = None


@dataclass(frozen=True, slots=True)
class CancelArrived:
    """A signed cancel (Q6, Q18)."""

    request: VerifiedInvoiceRequest
    offering: Offering


@dataclass(frozen=True, slots=True)
class PaymentClaimable:
    """All of a payment has arrived and waits. `arrived_at` is the money node's word."""

    context: ReceiveContext
    amount_msat: Msat
    arrived_at: UnixSeconds
    offering: Offering


@dataclass(frozen=True, slots=True)
class PaymentClaimed:
    """A payment is ours. `arrived_at` is the money node's word."""

    context: ReceiveContext
    amount_msat: Msat
    arrived_at: UnixSeconds
    offering: Offering


@dataclass(frozen=True, slots=True)
class PaymentReturned:
    """A payment was failed back, or its invoice withdrawn or expired."""

    payment_hash: PaymentHash
    offering: Offering


@dataclass(frozen=True, slots=True)
class Due:
    """Time to look at the windows: wake_at has come, or the offer was changed."""

    offering: Offering
    known_until: UnixSeconds | None = None
    """All payments that arrived before this moment are in the state; None: all that arrived before now."""


@dataclass(frozen=True, slots=True)
class PauseAsked:
    """The merchant serves this subscriber nothing until `ResumeAsked`; periods that pass meanwhile are waived."""

    offering: Offering


@dataclass(frozen=True, slots=True)
class ResumeAsked:
    """The merchant serves this subscriber again."""

    offering: Offering


@dataclass(frozen=True, slots=True)
class WaiveAsked:
    """The merchant forgives the next `periods`: they count as settled, with nothing paid."""

    offering: Offering
    periods: int = 1


@dataclass(frozen=True, slots=True)
class EndAsked:
    """The merchant ends this subscription (V10)."""

    offering: Offering
    why: str = ""


Event = (
    RequestArrived | CancelArrived | PaymentClaimable | PaymentClaimed | PaymentReturned
    | Due | PauseAsked | ResumeAsked | WaiveAsked | EndAsked
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """Where an event led: the new state, to be stored only if it differs, and what is to be done."""

    state: Inbound
    effects: tuple[Effect, ...] = ()
