"""What the API accepts, as types; everything unknown or ill-typed is refused with the name of the field."""

from __future__ import annotations

import msgspec

from lnrecur.bolt12 import Dialect, OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.inbound_model import OfferPolicy, Windows
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Missed, Terms, Trigger
from lnrecur.values import Msat, UnixSeconds

_DEFAULT_MANDATE = Mandate(Msat(0))


class RecurrenceBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The recurrence of a new offer. `payments` is a count; on the wire it becomes the highest index (O11)."""

    unit: str
    period: int
    optional: bool = False
    basetime: int | None = None
    proportional: bool = False
    seconds_before: int | None = None
    seconds_after: int | None = None
    payments: int | None = None
    dialect: str | None = None

    def to_recurrence(self, dialect: Dialect) -> Recurrence:
        """The value the offer is written from.

        Raises:
            ValidationError: a combination that means nothing; names the field.
        """
        units = {"seconds": TimeUnit.SECONDS, "days": TimeUnit.DAYS, "months": TimeUnit.MONTHS}
        if self.unit not in units:
            raise msgspec.ValidationError(f"one of {', '.join(units)}, not {self.unit!r} - at `$.recurrence.unit`")
        if self.payments is not None and self.payments < 2:
            told = "a limit of 1 cannot be written [O5, O11]: leave the recurrence out for a single payment"
            raise msgspec.ValidationError(f"{told} - at `$.recurrence.payments`")
        if self.proportional and self.basetime is None:
            told = "proportional prices need a basetime: without one every subscriber begins with a whole period"
            raise msgspec.ValidationError(f"{told} - at `$.recurrence.proportional`")
        if (self.seconds_before is None) != (self.seconds_after is None):
            told = "a pay window has both seconds_before and seconds_after"
            raise msgspec.ValidationError(f"{told} - at `$.recurrence.seconds_before`")
        window = None
        if self.seconds_before is not None and self.seconds_after is not None:
            window = Paywindow(self.seconds_before, self.seconds_after)
        return Recurrence(
            unit=units[self.unit],
            period=self.period,
            optional=self.optional,
            base=None if self.basetime is None else RecurrenceBase(int(self.proportional), self.basetime),
            paywindow=window,
            limit=None if self.payments is None else self.payments - 1,
            dialect=dialect if self.dialect is None else Dialect(self.dialect),
        )


class OfferBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new offer."""

    amount_msat: int | None = None
    description: str | None = None
    issuer: str | None = None
    absolute_expiry: int | None = None
    quantity_max: int | None = None
    recurrence: RecurrenceBody | None = None
    label: str = ""
    blinded: bool = False
    windows: Windows = Windows.STRICT
    invoice_expiry_s: int = 3600

    def to_terms(self, dialect: Dialect) -> OfferTerms:
        """What the offer will say."""
        recurrence = None if self.recurrence is None else self.recurrence.to_recurrence(dialect)
        return OfferTerms(
            description=self.description,
            amount=self.amount_msat,
            issuer=self.issuer,
            absolute_expiry=self.absolute_expiry,
            quantity_max=self.quantity_max,
            recurrence=recurrence,
        )

    def to_policy(self) -> OfferPolicy:
        """What it does not say."""
        if self.invoice_expiry_s < 1:
            raise msgspec.ValidationError("an invoice lives at least 1 second - at `$.invoice_expiry_s`")
        payments = None if self.recurrence is None else self.recurrence.payments
        return OfferPolicy(self.windows, self.invoice_expiry_s, payments)


class MandateBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a subscriber authorises."""

    max_per_period_msat: int
    max_total_msat: int | None = None
    max_payments: int | None = None
    ends_at: int | None = None
    fee_base_msat: int = _DEFAULT_MANDATE.fee_base_msat
    fee_ppm: int = _DEFAULT_MANDATE.fee_ppm
    purpose: str = ""

    def to_mandate(self) -> Mandate:
        """The mandate."""
        for name in ("max_per_period_msat", "max_total_msat", "max_payments", "ends_at", "fee_base_msat", "fee_ppm"):
            if (getattr(self, name) or 0) < 0:
                raise msgspec.ValidationError(f"not below 0 - at `$.mandate.{name}`")
        return Mandate(
            max_per_period_msat=Msat(self.max_per_period_msat),
            max_total_msat=None if self.max_total_msat is None else Msat(self.max_total_msat),
            max_payments=self.max_payments,
            ends_at=None if self.ends_at is None else UnixSeconds(self.ends_at),
            fee_base_msat=Msat(self.fee_base_msat),
            fee_ppm=self.fee_ppm,
            purpose=self.purpose,
        )


class SubscribeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new subscription."""

    offer: str
    mandate: MandateBody
    via: list[str] = []
    start: int | None = None
    quantity: int | None = None
    payer_note: str | None = None
    trigger: Trigger = Trigger.AUTOMATIC
    missed: Missed = Missed.STOP

    def to_terms(self) -> Terms:
        """What the subscriber decided."""
        return Terms(
            trigger=self.trigger,
            missed=self.missed,
            start=self.start,
            quantity=self.quantity,
            payer_note=self.payer_note,
            via=tuple(self.via),
        )


class ApproveBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A yes to the payment that waits; with a mandate, to all that follow under it."""

    mandate: MandateBody | None = None
