"""Builders for tests of the recurrence engine: real offers, requests and invoices, and both machines with a clock."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from helpers.forged import forge_invoice, forge_request
from lnrecur.bolt12 import Dialect, InvoiceRequest, Offer, OfferTerms, Recurrence, TimeUnit, fields
from lnrecur.bolt12.codecs import BlindedPayinfo
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest
from lnrecur.bolt12.offer import write_offer
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.payment_path import build_payment_path
from lnrecur.recurrence import inbound, outbound
from lnrecur.recurrence.effects import Effect, Emit, IssueInvoice
from lnrecur.recurrence.inbound_model import Due as InboundDue
from lnrecur.recurrence.inbound_model import Event as InboundEvent
from lnrecur.recurrence.inbound_model import (
    Inbound,
    PaymentClaimable,
    PaymentClaimed,
    PaymentReturned,
    RequestArrived,
)
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.offering import Offering, OfferPolicy, OfferStatus
from lnrecur.recurrence.outbound_model import (
    Approved,
    Due,
    InvoiceArrived,
    Outbound,
    PaymentFailed,
    PaymentSettled,
    Phase,
    Terms,
)
from lnrecur.recurrence.outbound_model import Event as OutboundEvent
from lnrecur.recurrence.payer_keys import PayerKeys
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.recurrence.windows import start_of
from lnrecur.values import Msat, PaymentHash, Preimage, RecurrenceId, UnixSeconds

MERCHANT = PrivateKey(b"\x51" * 32)
STRANGER = PrivateKey(b"\x52" * 32)
PAYER = PrivateKey(b"\x53" * 32)
RECURRENCE_ID = RecurrenceId(b"\x54" * 32)
KEYS = PayerKeys.derive(b"\x55" * 32, RECURRENCE_ID)
NOW = UnixSeconds(1_700_000_000)
PERIOD = 1000
PRICE = Msat(10_000)
ENTROPY = bytes(8)

_PATH, _TERMS = build_payment_path(
    PrivateKey(b"\x56" * 32), MERCHANT.point, b"\x57" * 32, max_cltv=1000, htlc_minimum=Msat(1), final_cltv_delta=18
)
_PAYINFO = BlindedPayinfo(
    _TERMS.fee_base_msat,
    _TERMS.fee_proportional_millionths,
    _TERMS.cltv_expiry_delta,
    _TERMS.htlc_minimum_msat,
    _TERMS.htlc_maximum_msat,
)

E = TypeVar("E")
Values = Mapping[Field[Any], Any]


def preimage_of(number: int) -> Preimage:
    """The preimage of a test's invoice number so and so."""
    return Preimage(sha256(b"preimage", number.to_bytes(8, "big")))


def hash_of(preimage: Preimage) -> PaymentHash:
    """Its payment hash."""
    return PaymentHash(sha256(preimage))


def every(seconds: int = PERIOD, **changes: Any) -> Recurrence:
    """A compulsory recurrence in seconds."""
    return replace(Recurrence(TimeUnit.SECONDS, seconds), **changes)


def an_offer(recurrence: Recurrence | None = None, **changes: Any) -> Offer:
    """A thousand-second subscription at ten sat, or what is said otherwise."""
    told: dict[str, Any] = {
        "description": "a subscription",
        "amount": PRICE,
        "issuer_id": MERCHANT.point,
        "recurrence": recurrence or every(),
    }
    return write_offer(OfferTerms(**{**told, **changes}), b"meta")


def a_cln_offer(recurrence: Recurrence | None = None, **changes: Any) -> Offer:
    """The same offer as Core Lightning writes it: its own numbers, no metadata."""
    told: dict[str, Any] = {
        "description": "a subscription",
        "amount": PRICE,
        "issuer_id": MERCHANT.point,
        "recurrence": replace(recurrence or every(), dialect=Dialect.CLN),
    }
    return write_offer(OfferTerms(**{**told, **changes}))


def a_plain_offer(**changes: Any) -> Offer:
    """An offer without recurrence."""
    told: dict[str, Any] = {"description": "once", "amount": PRICE, "issuer_id": MERCHANT.point}
    return write_offer(OfferTerms(**{**told, **changes}), b"meta")


def a_mandate(**changes: Any) -> Mandate:
    """Ten sat a period, without further limits."""
    return replace(Mandate(max_per_period_msat=PRICE), **changes)


def a_request(
    counter: int | None = 0,
    offer: Offer | None = None,
    *,
    start: int | None = None,
    cancel: bool = False,
    values: Values | None = None,
    metadata: bytes = b"\x07" * 16,
    key: PrivateKey = PAYER,
) -> VerifiedInvoiceRequest:
    """A payer's signed request."""
    offer = offer or an_offer()
    told: dict[Field[Any], Any] = {
        fields.INVREQ_METADATA: metadata,
        fields.INVREQ_PAYER_ID: key.point,
        fields.INVREQ_RECURRENCE_COUNTER: counter,
        fields.INVREQ_RECURRENCE_START: start,
        fields.INVREQ_RECURRENCE_CANCEL: True if cancel else None,
        **(values or {}),
    }
    return forge_request(offer, told, offer.dialect, key)


def an_invoice(
    request: InvoiceRequest | bytes,
    *,
    created_at: int,
    amount: int = PRICE,
    basetime: int | None = None,
    expiry: int = 600,
    preimage: Preimage | None = None,
    key: PrivateKey = MERCHANT,
    values: Values | None = None,
) -> bytes:
    """The payee's signed answer; its basetime is that of the first invoice, unless said otherwise."""
    if isinstance(request, bytes):
        request = InvoiceRequest.from_bytes(request)
    told: dict[Field[Any], Any] = {
        fields.INVOICE_PATHS: (_PATH,),
        fields.INVOICE_BLINDEDPAY: (_PAYINFO,),
        fields.INVOICE_CREATED_AT: created_at,
        fields.INVOICE_RELATIVE_EXPIRY: expiry,
        fields.INVOICE_PAYMENT_HASH: hash_of(preimage or preimage_of(0)),
        fields.INVOICE_AMOUNT: amount,
        fields.INVOICE_NODE_ID: key.point,
        fields.INVOICE_RECURRENCE_BASETIME: created_at if basetime is None else basetime,
        **(values or {}),
    }
    return forge_invoice(request, told, key).to_bytes()


def only(effects: tuple[Effect, ...], kind: type[E]) -> E:
    """The one effect of a kind."""
    [found] = [effect for effect in effects if isinstance(effect, kind)]
    return found


def names(effects: tuple[Effect, ...]) -> list[str]:
    """The events that were told, in order."""
    return [effect.name for effect in effects if isinstance(effect, Emit)]


def kinds(effects: tuple[Effect, ...]) -> list[str]:
    """The deeds, in order, records left out."""
    return [type(effect).__name__ for effect in effects if not isinstance(effect, Emit)]


class PayerSide:
    """An outbound machine with a clock. Payments get the preimages of `preimage_of`, one after the other."""

    def __init__(
        self, offer: Offer | None = None, mandate: Mandate | None = None, terms: Terms | None = None, **changes: Any
    ) -> None:
        self.now = NOW
        self.invoices = 0
        self.state = replace(
            Outbound(
                recurrence_id=RECURRENCE_ID,
                offer_bytes=(offer or an_offer()).to_bytes(),
                mandate=mandate or a_mandate(),
                terms=terms or Terms(),
                created_at=NOW,
                wake_at=NOW,
            ),
            **changes,
        )

    def step(self, event: OutboundEvent) -> tuple[Effect, ...]:
        """Apply an event now."""
        taken = outbound.step(self.state, event, self.now)
        self.state = taken.state
        return taken.effects

    def wake(self) -> tuple[Effect, ...]:
        """Let the time come at which the machine wants to be woken."""
        assert self.state.wake_at is not None, "it waits for an event"
        self.now = UnixSeconds(max(self.now, self.state.wake_at))
        return self.step(Due(KEYS, ENTROPY))

    @property
    def request(self) -> bytes:
        """The request that waits for its invoice."""
        assert self.state.request is not None
        return self.state.request.data

    @property
    def preimage(self) -> Preimage:
        """The preimage of the latest invoice."""
        return preimage_of(self.invoices)

    @property
    def payment_hash(self) -> PaymentHash:
        """The payment hash of the latest invoice."""
        return hash_of(self.preimage)

    def invoice(self, **changes: Any) -> bytes:
        """A new invoice for the pending request, with the right basetime."""
        self.invoices += 1
        if self.state.one_off:
            values = {fields.INVOICE_RECURRENCE_BASETIME: None, **changes.pop("values", {})}
            return an_invoice(
                self.request, **{"created_at": self.now, "preimage": self.preimage, "values": values, **changes}
            )
        base = self.state.recurrence.base
        anchor = base.basetime if base is not None else self.state.basetime
        told = {"created_at": self.now, "basetime": anchor, "preimage": self.preimage, **changes}
        return an_invoice(self.request, **told)

    def receive(self, **changes: Any) -> tuple[Effect, ...]:
        """A good invoice arrives (or one that is changed as told)."""
        return self.step(InvoiceArrived(self.invoice(**changes)))

    def settle(self, fee: int = 1) -> tuple[Effect, ...]:
        """The money node has the preimage."""
        return self.step(PaymentSettled(self.payment_hash, self.preimage, Msat(fee)))

    def fail(self, *, retryable: bool) -> tuple[Effect, ...]:
        """The payment finally failed."""
        return self.step(PaymentFailed(self.payment_hash, "no_route", retryable, ENTROPY))

    def pay_period(self) -> tuple[Effect, ...]:
        """One whole period: due, asked, answered, paid."""
        self.wake()
        self.receive()
        return self.settle()

    @classmethod
    def paid(cls, periods: int, *args: Any, **kwargs: Any) -> "PayerSide":
        """A subscription with some periods behind it, approved wherever approval was asked for."""
        payer = cls(*args, **kwargs)
        for _ in range(periods):
            payer.wake()
            if payer.state.phase is Phase.NEEDS_APPROVAL:
                payer.step(Approved())
                payer.wake()
            payer.receive()
            payer.settle()
        return payer


class PayeeSide:
    """An inbound machine with a clock."""

    def __init__(self, offer: Offer | None = None, policy: OfferPolicy | None = None, **changes: Any) -> None:
        self.now = NOW
        self.offer = offer or an_offer()
        self.policy = policy or OfferPolicy()
        self.status = OfferStatus.OPEN
        self.successor: str | None = None
        self.rate: ExchangeRate | None = None
        self.issued = 0
        self.state = replace(Inbound(self.offer.offer_id, PAYER.point), **changes)

    def step(self, event: InboundEvent) -> tuple[Effect, ...]:
        """Apply an event now."""
        taken = inbound.step(self.state, event, self.now)
        self.state = taken.state
        return taken.effects

    def asked(self, counter: int | None = 0, **told: Any) -> tuple[Effect, ...]:
        """The payer asks for a period."""
        self.issued += 1
        request = a_request(counter, self.offer, **told)
        return self.step(RequestArrived(request, self.offering, preimage_of(self.issued), self.rate))

    def invoiced(self, counter: int | None = 0, **told: Any) -> ReceiveContext:
        """The payer asks for a period and gets an invoice: what travels with the receivable."""
        return self.context(only(self.asked(counter, **told), IssueInvoice))

    def context(self, issued: IssueInvoice) -> ReceiveContext:
        """What travels with the receivable of an invoice."""
        return ReceiveContext(
            offer_id=self.offer.offer_id,
            payer_id=PAYER.point,
            counter=issued.counter,
            start=issued.start,
            basetime=issued.basetime,
            amount_msat=issued.amount_msat,
            created_at=issued.created_at,
            preimage=issued.preimage,
            conversion=issued.conversion,
        )

    @property
    def offering(self) -> Offering:
        """What the machine is told of the offer."""
        return Offering(self.policy, self.offer.recurrence, self.status, self.successor)

    def claimable(
        self, context: ReceiveContext, amount: int | None = None, at: int | None = None
    ) -> tuple[Effect, ...]:
        """A payment waits: of the amount that was asked for, and just arrived, unless said otherwise."""
        return self.step(PaymentClaimable(context, *self._arrived(context, amount, at), self.offering))

    def claimed(self, context: ReceiveContext, amount: int | None = None, at: int | None = None) -> tuple[Effect, ...]:
        """A payment is ours; see `claimable`."""
        return self.step(PaymentClaimed(context, *self._arrived(context, amount, at), self.offering))

    def _arrived(self, context: ReceiveContext, amount: int | None, at: int | None) -> tuple[Msat, UnixSeconds]:
        paid = context.amount_msat if amount is None else Msat(amount)
        return paid, self.now if at is None else UnixSeconds(at)

    def returned(self, context: ReceiveContext) -> tuple[Effect, ...]:
        """A payment went back, or its invoice died."""
        return self.step(PaymentReturned(context.payment_hash, self.offering))

    def wake(self) -> tuple[Effect, ...]:
        """Let the time come at which the machine wants to be woken."""
        assert self.state.wake_at is not None, "it waits for an event"
        self.now = UnixSeconds(max(self.now, self.state.wake_at))
        return self.step(InboundDue(self.offering))

    def take(self, counter: int | None = 0, **told: Any) -> ReceiveContext:
        """One whole period: asked, answered, claimable, claimed."""
        context = self.invoiced(counter, **told)
        self.claimable(context)
        self.claimed(context)
        return context

    @classmethod
    def paid(cls, periods: int, *args: Any, start: int | None = None, **kwargs: Any) -> "PayeeSide":
        """A subscription with some periods behind it, each paid at its start."""
        payee = cls(*args, **kwargs)
        for counter in range(periods):
            if counter and payee.state.basetime is not None and payee.offer.recurrence is not None:
                index = (start or 0) + counter
                payee.now = max(payee.now, start_of(payee.offer.recurrence, payee.state.basetime, index))
            payee.take(counter, start=start)
        return payee
