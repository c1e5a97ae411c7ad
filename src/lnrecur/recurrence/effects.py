"""What a step wants done. Values, stored with the new state in one transaction and performed after the commit.

Every effect is safe to perform twice. `Emit` and `Book` are no deeds but records: they are written in the very
transaction of the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lnrecur.recurrence.rates import Conversion
from lnrecur.values import Msat, PaymentHash, Preimage, UnixSeconds

Fact = str | int | bool | None
"""A value of an event's data: text, a whole number, yes or no, or nothing."""
Facts = Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell the world, through the durable event log. Names are noun.verb, such as subscription.renewed."""

    name: str
    data: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Book:
    """A settled payment enters the books: at most one per subscription and counter.

    `surplus` marks a payment that settled although its period was paid already: it is owed back.
    """

    counter: int
    payment_hash: PaymentHash
    preimage: Preimage
    amount_msat: Msat
    fee_msat: Msat
    settled_at: UnixSeconds
    period_start: UnixSeconds | None
    surplus: bool = False
    conversion: Conversion | None = None
    """The price in a currency and the rate, where the offer was priced in one."""


@dataclass(frozen=True, slots=True)
class SendInvoiceRequest:
    """Ask the payee for an invoice. A resend has the same bytes."""

    request: bytes


@dataclass(frozen=True, slots=True)
class SendCancel:
    """Tell the payee, as a courtesy, that no more periods will be paid (Q6)."""

    request: bytes


@dataclass(frozen=True, slots=True)
class Pay:
    """Have the money node pay this invoice, at most once."""

    payment_hash: PaymentHash
    invoice: bytes
    amount_msat: Msat
    max_fee_msat: Msat


@dataclass(frozen=True, slots=True)
class AskPaymentStatus:
    """Ask the money node how far this payment is."""

    payment_hash: PaymentHash


@dataclass(frozen=True, slots=True)
class Claim:
    """Take a claimable payment."""

    payment_hash: PaymentHash
    preimage: Preimage = field(repr=False)


@dataclass(frozen=True, slots=True)
class FailBack:
    """Return a claimable payment, or withdraw an invoice that must not be paid any more."""

    payment_hash: PaymentHash
    why: str


@dataclass(frozen=True, slots=True)
class IssueInvoice:
    """Answer a request with an invoice of these terms. Not stored: the payer asks again if it is lost."""

    counter: int | None
    start: int | None
    basetime: UnixSeconds | None
    amount_msat: Msat
    created_at: UnixSeconds
    expires_at: UnixSeconds
    preimage: Preimage = field(repr=False)
    conversion: Conversion | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer a request with an invoice_error. Not stored."""

    rule: str
    told: str
    field_number: int | None = None
    suggested: bytes | None = None

    @property
    def text(self) -> str:
        """What the payer is told: ends with the rule's id, where a rule was broken; V10 has a form of its own."""
        return f"{self.told} [{self.rule}]" if self.rule[-1].isdigit() and self.rule != "V10" else self.told


StoredEffect = SendInvoiceRequest | SendCancel | Pay | AskPaymentStatus | Claim | FailBack
"""What goes through the outbox."""
Answer = IssueInvoice | Refuse
"""What is answered at once and never stored."""
Effect = StoredEffect | Answer | Emit | Book
