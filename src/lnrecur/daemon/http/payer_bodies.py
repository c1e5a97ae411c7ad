"""What the API accepts about subscriptions and payments of ours; the rules of `bodies.py` hold here too."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from lnrecur.daemon.http.bodies import (
    OFFER_TEXT_MAX,
    U32,
    VIA_MAX,
    Address,
    Amount,
    Count,
    InvalidBody,
    Moment,
    Text,
    one_of,
)
from lnrecur.errors import UsageError
from lnrecur.recurrence.mandate import CATCH_UP_MAX, SLIPPAGE_PPM, FiatLimit, Mandate
from lnrecur.recurrence.outbound_terms import GIVE_UP_AFTER_S, Missed, PayAt, Terms, Trigger
from lnrecur.recurrence.retry import (
    ONE_OFF_PAYMENT_RETRY,
    ONE_OFF_REQUEST_RETRY,
    PAYMENT_RETRY,
    REQUEST_RETRY,
    RetryPolicy,
)
from lnrecur.service.addresses import parse_address
from lnrecur.values import Msat, UnixSeconds

_DEFAULT: Final = Mandate(Msat(0))
Seconds = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Factor = Annotated[int, Meta(ge=1, le=100)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Slippage = Annotated[int, Meta(ge=0, le=1_000_000)]
Question = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Via = Annotated[list[Address], Meta(max_length=VIA_MAX)]


class FiatBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A limit per period in a currency, in its minor unit, and perhaps one in all."""

    currency: Currency
    max_per_period_minor: Count
    slippage_ppm: Slippage = SLIPPAGE_PPM
    max_total_minor: Count | None = None

    def to_limit(self) -> FiatLimit:
        """The limit."""
        return FiatLimit(self.currency, self.max_per_period_minor, self.slippage_ppm, self.max_total_minor)


class MandateBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a subscriber authorises."""

    max_per_period_msat: Amount | None = None
    fiat: FiatBody | None = None
    max_total_msat: Amount | None = None
    max_payments: Count | None = None
    ends_at: Moment | None = None
    fee_base_msat: Amount = _DEFAULT.fee_base_msat
    fee_ppm: U32 = _DEFAULT.fee_ppm
    fee_max_msat: Amount | None = None
    catch_up_max: Count | None = CATCH_UP_MAX
    purpose: Text = ""

    def to_mandate(self) -> Mandate:
        """The mandate.

        Raises:
            InvalidBody: nothing limits what a period may cost.
        """
        if self.max_per_period_msat is None and self.fiat is None:
            told = "missing: say in msat, or in a currency (fiat), what one period may cost"
            raise InvalidBody(told, "mandate.max_per_period_msat")
        return Mandate(
            max_per_period_msat=_msat(self.max_per_period_msat),
            max_total_msat=_msat(self.max_total_msat),
            max_payments=self.max_payments,
            ends_at=None if self.ends_at is None else UnixSeconds(self.ends_at),
            fee_base_msat=Msat(self.fee_base_msat),
            fee_ppm=self.fee_ppm,
            fee_max_msat=_msat(self.fee_max_msat),
            catch_up_max=self.catch_up_max,
            purpose=self.purpose,
            fiat=None if self.fiat is None else self.fiat.to_limit(),
        )


class RetryBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How often to try; what is left out is as it was."""

    first_delay_s: Positive | UnsetType = UNSET
    factor: Factor | UnsetType = UNSET
    cap_s: Positive | UnsetType = UNSET
    jitter_percent: Percent | UnsetType = UNSET
    tries_max: Positive | UnsetType | None = UNSET
    tries_max_unbounded: Positive | UnsetType | None = UNSET

    def to_policy(self, before: RetryPolicy) -> RetryPolicy:
        """The policy, with what is said changed."""
        return replace(before, **_said(self))


class SubscribeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new subscription."""

    offer: Annotated[str, Meta(max_length=OFFER_TEXT_MAX)]
    mandate: MandateBody
    via: Via = []
    start: U32 | None = None
    quantity: Count | None = None
    payer_note: Text | None = None
    trigger: str = Trigger.AUTOMATIC.value
    missed: str = Missed.STOP.value
    pay_at: str = PayAt.START.value
    margin_s: Seconds = 0
    jitter_s: Seconds | None = None
    ask_if_price_differs: bool = False
    give_up_after_s: Positive | None = GIVE_UP_AFTER_S
    request_retry: RetryBody = msgspec.field(default_factory=RetryBody)
    payment_retry: RetryBody = msgspec.field(default_factory=RetryBody)

    def to_terms(self) -> Terms:
        """What the subscriber decided.

        Raises:
            InvalidBody: a word or an address that is none.
        """
        return Terms(
            trigger=one_of(Trigger, self.trigger, "trigger"),
            missed=one_of(Missed, self.missed, "missed"),
            pay_at=one_of(PayAt, self.pay_at, "pay_at"),
            margin_s=self.margin_s,
            jitter_s=self.jitter_s,
            ask_if_price_differs=self.ask_if_price_differs,
            give_up_after_s=self.give_up_after_s,
            request_retry=self.request_retry.to_policy(REQUEST_RETRY),
            payment_retry=self.payment_retry.to_policy(PAYMENT_RETRY),
            start=self.start,
            quantity=self.quantity,
            payer_note=self.payer_note,
            via=_addresses(self.via),
        )


class MandateChanges(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Fields of a mandate to be changed; what is left out stays, null takes a limit away."""

    max_per_period_msat: Amount | UnsetType | None = UNSET
    fiat: FiatBody | UnsetType | None = UNSET
    max_total_msat: Amount | UnsetType | None = UNSET
    max_payments: Count | UnsetType | None = UNSET
    ends_at: Moment | UnsetType | None = UNSET
    fee_base_msat: Amount | UnsetType = UNSET
    fee_ppm: U32 | UnsetType = UNSET
    fee_max_msat: Amount | UnsetType | None = UNSET
    catch_up_max: Count | UnsetType | None = UNSET
    purpose: Text | UnsetType = UNSET


class ApproveBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A yes to `question`, which must be what is asked.

    With a `mandate`, or with `limits` changed in the one there is, a yes to all that follows within that.
    """

    question: Question | None = None
    mandate: MandateBody | None = None
    limits: MandateChanges | None = None
    paid_elsewhere: bool = False

    def answered(self) -> bytes:
        """The question.

        Raises:
            InvalidBody: it is not said.
        """
        if self.question is None:
            told = "missing: say which question this answers, as the subscription shows it"
            raise InvalidBody(told, "question")
        return bytes.fromhex(self.question)

    def to_mandate(self, before: Mandate) -> Mandate | None:
        """The mandate from now on; None where it stays.

        Raises:
            InvalidBody: nothing would limit what a period may cost, or it is said twice.
        """
        if self.mandate is not None and self.limits is not None:
            raise InvalidBody("say a whole mandate or changed limits, not both", "limits")
        if self.mandate is not None:
            return self.mandate.to_mandate()
        return None if self.limits is None else replace(before, **mandate_changes(self.limits))


class DeclineBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A no to what waits; with a `question`, to that only."""

    question: Question | None = None


class AmendBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Changes of a running subscription."""

    mandate: MandateChanges = msgspec.field(default_factory=MandateChanges)
    trigger: str | UnsetType = UNSET
    missed: str | UnsetType = UNSET
    pay_at: str | UnsetType = UNSET
    margin_s: Seconds | UnsetType = UNSET
    jitter_s: Seconds | UnsetType | None = UNSET
    ask_if_price_differs: bool | UnsetType = UNSET
    give_up_after_s: Positive | UnsetType | None = UNSET
    via: Via | UnsetType = UNSET
    request_retry: RetryBody | UnsetType = UNSET
    payment_retry: RetryBody | UnsetType = UNSET

    def mandate_changes(self) -> dict[str, Any]:
        """The fields of the mandate that change, and their new values."""
        return mandate_changes(self.mandate)

    def terms_changes(self, before: Terms) -> dict[str, Any]:
        """The fields of the terms that change, and their new values.

        Raises:
            InvalidBody: a word or an address that is none.
        """
        changes = _said(self)
        del changes["mandate"]
        for name, choices in (("trigger", Trigger), ("missed", Missed), ("pay_at", PayAt)):
            if name in changes:
                changes[name] = one_of(choices, changes[name], name)
        if not isinstance(self.via, UnsetType):
            changes["via"] = _addresses(self.via)
        if not isinstance(self.request_retry, UnsetType):
            changes["request_retry"] = self.request_retry.to_policy(before.request_retry)
        if not isinstance(self.payment_retry, UnsetType):
            changes["payment_retry"] = self.payment_retry.to_policy(before.payment_retry)
        return changes


class PayBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A single payment of an offer. The amount is what is paid where the offer leaves it open, else the most."""

    offer: Annotated[str, Meta(max_length=OFFER_TEXT_MAX)]
    amount_msat: Amount | None = None
    fiat: FiatBody | None = None
    max_fee_msat: Amount | None = None
    quantity: Count | None = None
    payer_note: Text | None = None
    via: Via = []

    def to_mandate(self) -> Mandate:
        """The mandate for this one payment.

        Raises:
            InvalidBody: nothing limits what it may cost.
        """
        if self.amount_msat is None and self.fiat is None:
            raise InvalidBody("missing: say in msat, or in a currency (fiat), what it may cost", "amount_msat")
        return Mandate(
            max_per_period_msat=_msat(self.amount_msat),
            max_payments=1,
            fiat=None if self.fiat is None else self.fiat.to_limit(),
            fee_max_msat=_msat(self.max_fee_msat),
            fee_base_msat=_DEFAULT.fee_base_msat if self.max_fee_msat is None else Msat(self.max_fee_msat),
        )

    def to_terms(self) -> Terms:
        """How it is tried.

        Raises:
            InvalidBody: an address that is none.
        """
        return Terms(
            request_retry=ONE_OFF_REQUEST_RETRY,
            payment_retry=ONE_OFF_PAYMENT_RETRY,
            quantity=self.quantity,
            payer_note=self.payer_note,
            via=_addresses(self.via),
        )


def mandate_changes(said: MandateChanges) -> dict[str, Any]:
    """The fields of a mandate that change, and their new values."""
    changes = _said(said)
    if isinstance(changes.get("fiat"), FiatBody):
        changes["fiat"] = changes["fiat"].to_limit()
    return changes


def _said(body: msgspec.Struct) -> dict[str, Any]:
    """The fields of a body that are there."""
    told = {name: getattr(body, name) for name in body.__struct_fields__}
    return {name: value for name, value in told.items() if value is not UNSET}


def _msat(amount: int | None) -> Msat | None:
    return None if amount is None else Msat(amount)


def _addresses(texts: list[str]) -> tuple[str, ...]:
    for position, address in enumerate(texts):
        try:
            parse_address(address)
        except UsageError as error:
            raise InvalidBody(str(error), f"via[{position}]") from error
    return tuple(texts)
