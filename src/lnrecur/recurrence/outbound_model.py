"""The payer's side of a subscription: its phases, its state and what can happen to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from lnrecur.bolt12 import Offer, Recurrence
from lnrecur.recurrence.effects import Effect
from lnrecur.recurrence.errors import RecurrenceError
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.payer_keys import PayerKeys
from lnrecur.recurrence.retry import PAYMENT_RETRY, REQUEST_RETRY, RetryPolicy
from lnrecur.values import ZERO_MSAT, Msat, PaymentHash, Preimage, RecurrenceId, UnixSeconds


class Phase(StrEnum):
    """Where an outbound subscription stands."""

    AWAITING_FIRST_INVOICE = "awaiting_first_invoice"
    """The first invoice was asked for; nothing is paid yet."""
    IDLE = "idle"
    """Paid up; the next period is not due yet."""
    REQUESTING = "requesting"
    """The invoice of a due period was asked for."""
    PAYING = "paying"
    """An invoice is accepted; its payment may be in flight."""
    NEEDS_APPROVAL = "needs_approval"
    """The next payment is outside the mandate, or wants a person's yes."""
    CANCELLING = "cancelling"
    """Cancelled; the courtesy message goes out when the next request would have."""
    COMPLETED = "completed"
    """Every payment the offer's limit allows is made."""
    CANCELLED = "cancelled"
    """Ended by us."""
    LAPSED = "lapsed"
    """Ended without anybody cancelling: refused, missed or given up."""


FINAL_PHASES = frozenset({Phase.COMPLETED, Phase.CANCELLED, Phase.LAPSED})
"""Nothing happens any more."""


class Trigger(StrEnum):
    """Who starts the payment of a due period."""

    AUTOMATIC = "automatic"
    """We do, within the mandate."""
    ON_APPROVAL = "on_approval"
    """A person does, each time."""


class Missed(StrEnum):
    """What to do about a period whose window closed before it could be paid."""

    STOP = "stop"
    CATCH_UP = "catch_up"
    """Go on in order, late; the payee may refuse."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the subscriber decided, apart from the mandate."""

    trigger: Trigger = Trigger.AUTOMATIC
    missed: Missed = Missed.STOP
    request_retry: RetryPolicy = REQUEST_RETRY
    payment_retry: RetryPolicy = PAYMENT_RETRY
    start: int | None = None
    """invreq_recurrence_start: the period to begin with; present exactly when the offer has a base (Q3)."""
    quantity: int | None = None
    payer_note: str | None = None
    chain: bytes | None = None
    """invreq_chain, where it is not bitcoin."""
    via: tuple[str, ...] = ()
    """Addresses (ID@HOST:PORT) the payee, or an introduction to it, can be dialled at."""


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request that waits for its answer. Its bytes never change; a different request has another `attempt` (Q7)."""

    counter: int
    data: bytes
    tries: int = 1


class NextTry(StrEnum):
    """How a period is tried again whose payment has finally failed."""

    SAME_INVOICE = "same_invoice"
    NEW_INVOICE = "new_invoice"


@dataclass(frozen=True, slots=True)
class PendingPayment:
    """An accepted invoice. Without `next_try` its payment may be in flight; with it the last try has finally failed."""

    counter: int
    payment_hash: PaymentHash
    invoice: bytes
    amount_msat: Msat
    max_fee_msat: Msat
    basetime: UnixSeconds
    expires_at: UnixSeconds
    tries: int = 1
    next_try: NextTry | None = None
    asked: int = 0
    """How often the money node was asked about this try."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """One subscription that we pay. Everything it is, except the keys, which follow from the seed."""

    recurrence_id: RecurrenceId
    offer_bytes: bytes
    mandate: Mandate
    terms: Terms
    created_at: UnixSeconds
    phase: Phase = Phase.AWAITING_FIRST_INVOICE
    next_counter: int = 0
    basetime: UnixSeconds | None = None
    """The start of period 0, pinned when the first invoice was paid."""
    request: PendingRequest | None = None
    payment: PendingPayment | None = None
    attempt: int = 0
    """How many different requests were made for `next_counter`."""
    awaiting_msat: Msat | None = None
    """What the payment that needs approval would cost."""
    approved_counter: int | None = None
    approved_msat: Msat | None = None
    """A person said yes to `approved_counter`, up to this amount even outside the mandate."""
    cancel_asked: bool = False
    payments: int = 0
    paid_msat: Msat = ZERO_MSAT
    fees_msat: Msat = ZERO_MSAT
    next_state: bytes | None = None
    """V9: the payee's opaque state from the last paid invoice, echoed in the next request."""
    problem: str | None = None
    """The last thing that went wrong, in words; None once something went right."""
    wake_at: UnixSeconds | None = None
    """When to look at it again; None: only an event will."""

    @property
    def offer(self) -> Offer:
        """The offer, read from its bytes."""
        return Offer.from_bytes(self.offer_bytes)

    @property
    def recurrence(self) -> Recurrence:
        """The offer's recurrence."""
        recurrence = self.offer.recurrence
        if recurrence is None:
            raise RecurrenceError("an outbound subscription holds a recurring offer")
        return recurrence

    @property
    def next_index(self) -> int:
        """The period to be paid next (Q3)."""
        return (self.terms.start or 0) + self.next_counter

    @property
    def is_final(self) -> bool:
        """Whether it is over."""
        return self.phase in FINAL_PHASES


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """`wake_at` has come. `entropy` is 8 random bytes for the jitter of what follows."""

    keys: PayerKeys
    entropy: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InvoiceArrived:
    """An invoice came over the reply path of a request of ours."""

    invoice: bytes


@dataclass(frozen=True, slots=True)
class RefusalArrived:
    """An invoice_error came over the reply path of a request of ours."""

    error: bytes
    entropy: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A request could not be handed to any peer."""

    told: str


@dataclass(frozen=True, slots=True)
class PaymentSettled:
    """The money node has the preimage."""

    payment_hash: PaymentHash
    preimage: Preimage
    fee_msat: Msat


@dataclass(frozen=True, slots=True)
class PaymentFailed:
    """The payment has finally failed: no money left. `retryable`: the same invoice may work later."""

    payment_hash: PaymentHash
    reason: str
    retryable: bool
    entropy: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PaymentUnknown:
    """The money node never recorded this payment."""

    payment_hash: PaymentHash


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The subscriber wants no more."""


@dataclass(frozen=True, slots=True)
class Approved:
    """The subscriber agrees to the next payment, perhaps under a new mandate."""

    mandate: Mandate | None = None


Event = (
    Due | InvoiceArrived | RefusalArrived | Unreachable | PaymentSettled | PaymentFailed | PaymentUnknown | CancelAsked
    | Approved
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """Where an event led: the new state and what is to be done once it is stored."""

    state: Outbound
    effects: tuple[Effect, ...] = ()
