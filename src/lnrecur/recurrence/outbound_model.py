"""The payer's side of a subscription: its phases, its state and what can happen to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from lnrecur.bolt12 import Offer, Recurrence
from lnrecur.recurrence.effects import Effect
from lnrecur.recurrence.errors import RecurrenceError
from lnrecur.recurrence.habits import BY_THE_RULES, Habits, habits_of
from lnrecur.recurrence.mandate import Mandate, Spent
from lnrecur.recurrence.outbound_terms import Missed as Missed
from lnrecur.recurrence.outbound_terms import Terms as Terms
from lnrecur.recurrence.outbound_terms import Trigger as Trigger
from lnrecur.recurrence.payer_keys import PayerKeys
from lnrecur.recurrence.rates import ExchangeRate, Worth
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
    PAUSED = "paused"
    """The subscriber wants nothing paid until told to go on."""
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


class Wait(StrEnum):
    """What a person is asked while a subscription needs approval."""

    MANDATE = "mandate"
    """To pay more than the mandate allows."""
    EACH_PAYMENT = "each_payment"
    """To pay at all: the trigger is on approval."""
    CATCH_UP = "catch_up"
    """To catch up more missed periods than the mandate allows at once."""
    NEW_OFFER = "new_offer"
    """To move to the offer that the payee put in the place of this one (V10)."""
    REFUSAL = "refusal"
    """What to do about a refusal that nothing but a person can judge."""
    PRICE = "price"
    """To pay another amount than the offer's price, within the mandate."""


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request that waits for its answer. Its bytes never change; a different request has another `attempt` (Q7)."""

    counter: int
    data: bytes
    tries: int = 1
    since: UnixSeconds | None = None
    """When it was sent first, or could be: a payee may say from when on."""


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
    basetime: UnixSeconds | None
    """None for a one-off."""
    expires_at: UnixSeconds
    tries: int = 1
    next_try: NextTry | None = None
    asked: int = 0
    """How often the money node was asked about this try."""
    rate: ExchangeRate | None = None
    """The rate it was accepted under, where the mandate is in a currency."""
    reason: str | None = None
    """Why the last try failed."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """One subscription that we pay, or one single payment. Everything it is, except the keys: the seed has those."""

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
    one_off: bool = False
    """A single payment of an offer, which is no subscription: no counter, no periods."""
    waits_for: Wait | None = None
    """What a person is asked; only while approval is needed."""
    new_offer: bytes | None = None
    """The offer that the payee put in the place of ours (V10)."""
    pause_asked: bool = False
    missed_through: int = 0
    """Counters below this were told as missed, as far as they are not settled."""
    catch_up_through: int = 0
    """A person agreed to catch up all counters below this."""
    refusals: int = 0
    """How often `next_counter` was refused with the same words."""
    adopting: int | None = None
    """The payee says that all counters below this are settled; our money node is asked before we believe it."""
    payee_paused: bool = False
    """The payee's last word was that it has paused: periods that pass are told, and do not end the subscription."""
    given_up: PendingPayment | None = None
    """The last payment for `next_counter` that finally failed and was given up for a new invoice."""
    adopted: int = 0
    adopted_msat: Msat = ZERO_MSAT
    """Periods that another holder of our seed has paid, and what they cost at most; they count for the mandate."""
    waived: int = 0
    """Periods that the payee does not want to be paid for."""
    worth: Worth | None = None
    """What was paid under mandates in a currency was worth, since it is this one; with what others paid at most."""
    first_request: bytes | None = None
    """With what `next_counter` was asked for first, where the payee answers nothing else (habits.py, 5)."""
    invoice_until: UnixSeconds | None = None
    """The last second of an unpaid invoice for `next_counter`, where the payee keeps us to it (habits.py, 3 and 11)."""
    held_invoice: bytes | None = None
    """That invoice, while a person is asked about it."""

    @property
    def offer(self) -> Offer:
        """The offer, read from its bytes."""
        return _read_offer(self.offer_bytes)

    @property
    def spent(self) -> Spent:
        """What the mandate was used for so far."""
        fiat, worth = self.mandate.fiat, self.worth
        in_currency = None if fiat is None or worth is None or worth.currency != fiat.currency else worth
        return Spent(self.payments + self.adopted, Msat(self.paid_msat + self.adopted_msat), in_currency)

    @property
    def recurrence(self) -> Recurrence:
        """The offer's recurrence."""
        recurrence = _read_recurrence(self.offer_bytes)
        if recurrence is None:
            raise RecurrenceError("an outbound subscription holds a recurring offer")
        return recurrence

    @property
    def habits(self) -> Habits:
        """What is to be reckoned with from the payee."""
        return BY_THE_RULES if self.one_off and self.offer.recurrence is not None else habits_of(self.offer)

    @property
    def next_index(self) -> int:
        """The period to be paid next (Q3)."""
        return (self.terms.start or 0) + self.next_counter

    @property
    def asking_phase(self) -> Phase:
        """The phase in which the next period is asked for."""
        return Phase.REQUESTING if self.next_counter else Phase.AWAITING_FIRST_INVOICE

    @property
    def is_final(self) -> bool:
        """Whether it is over."""
        return self.phase in FINAL_PHASES


@lru_cache(maxsize=1024)
def _read_offer(data: bytes) -> Offer:
    return Offer.from_bytes(data)


@lru_cache(maxsize=1024)
def _read_recurrence(data: bytes) -> Recurrence | None:
    return _read_offer(data).recurrence


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """`wake_at` has come. `entropy` is 8 random bytes for the jitter of what follows."""

    keys: PayerKeys
    entropy: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InvoiceArrived:
    """An invoice came over the reply path of a request of ours.

    `rate` is what a bitcoin costs now in the currency of the mandate, where it is in one; without a rate `no_rate` says
    why there is none. `can_split`: whether the money node can pay in several parts, where the invoice demands it; None
    if it did not answer.
    """

    invoice: bytes
    rate: ExchangeRate | None = None
    no_rate: str | None = None
    can_split: bool | None = False


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
    """The money node has the preimage. `entropy` is for the jitter of the next request."""

    payment_hash: PaymentHash
    preimage: Preimage
    fee_msat: Msat
    entropy: bytes = field(default=bytes(8), repr=False)


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
    entropy: bytes = field(default=bytes(8), repr=False)


@dataclass(frozen=True, slots=True)
class NodeSilent:
    """The money node cannot be asked about this payment, or told to make it; nothing can be concluded."""

    payment_hash: PaymentHash
    why: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The subscriber wants no more."""


@dataclass(frozen=True, slots=True)
class Approved:
    """The subscriber agrees to what waits, perhaps under a new mandate."""

    mandate: Mandate | None = None
    paid_elsewhere: bool = False
    """The period that the payee refuses was paid by another holder of our seed: go on with the next one."""
    successor: Outbound | None = None
    """The subscription to the new offer, where one was proposed."""
    question: bytes | None = None
    """What was answered (`outbound_questions`); None: whatever is asked."""
    entropy: bytes = field(default=bytes(8), repr=False)


@dataclass(frozen=True, slots=True)
class Declined:
    """The subscriber does not agree to what waits; `question` as in `Approved`."""

    question: bytes | None = None


@dataclass(frozen=True, slots=True)
class PauseAsked:
    """The subscriber wants nothing paid for a while."""


@dataclass(frozen=True, slots=True)
class ResumeAsked:
    """The subscriber wants to go on."""

    entropy: bytes = field(default=bytes(8), repr=False)


@dataclass(frozen=True, slots=True)
class Amended:
    """The subscriber changes fields of the mandate and of the terms; holds from the next decision on."""

    mandate: Mapping[str, Any] = field(default_factory=dict)
    terms: Mapping[str, Any] = field(default_factory=dict)
    entropy: bytes = field(default=bytes(8), repr=False)


Event = (
    Due | InvoiceArrived | RefusalArrived | Unreachable | PaymentSettled | PaymentFailed | PaymentUnknown | NodeSilent
    | CancelAsked | Approved | Declined | PauseAsked | ResumeAsked | Amended
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """Where an event led: the new state and what is to be done once it is stored.

    `begins` is another subscription, new, that takes the place of this one: stored with it or not at all.
    """

    state: Outbound
    effects: tuple[Effect, ...] = ()
    begins: Outbound | None = None

    def after(self, *before: Effect) -> Step:
        """The same step, told after these."""
        return replace(self, effects=(*before, *self.effects))
