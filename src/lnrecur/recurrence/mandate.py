"""The authorisation a payer gives once for a whole subscription (V8): what may be paid without asking again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lnrecur.recurrence.words import amount_in_words, moment_in_words
from lnrecur.values import Msat, UnixSeconds

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Mandate:
    """Limits of what may be paid. None means: no such limit."""

    max_per_period_msat: Msat
    max_total_msat: Msat | None = None
    max_payments: int | None = None
    ends_at: UnixSeconds | None = None
    fee_base_msat: Msat = Msat(10_000)  # noqa: RUF009 - a NewType of an int is as frozen as the int
    fee_ppm: int = 10_000
    purpose: str = ""

    def max_fee_msat(self, amount: Msat) -> Msat:
        """The most a payment of `amount` may cost in fees: the base and a share in parts per million."""
        return Msat(self.fee_base_msat + amount * self.fee_ppm // _MILLION)


class MandateLimit(StrEnum):
    """Which limit a payment would break."""

    PER_PERIOD = "per_period"
    TOTAL = "total"
    PAYMENTS = "payments"
    END = "end"


@dataclass(frozen=True, slots=True)
class MandateExceeded:
    """Why a payment needs a new approval."""

    limit: MandateLimit
    told: str


def exceeds(mandate: Mandate, amount: Msat, *, paid_msat: Msat, payments: int, now: int) -> MandateExceeded | None:
    """Whether one more payment would leave the mandate, given what was paid before; None if it may be made."""
    if amount > mandate.max_per_period_msat:
        allowed = amount_in_words(mandate.max_per_period_msat)
        told = f"{amount_in_words(amount)} asked, at most {allowed} per period allowed"
        return MandateExceeded(MandateLimit.PER_PERIOD, told)
    if mandate.max_total_msat is not None and paid_msat + amount > mandate.max_total_msat:
        allowed = amount_in_words(mandate.max_total_msat)
        told = f"{amount_in_words(paid_msat)} paid, {amount_in_words(amount)} asked, at most {allowed} in total allowed"
        return MandateExceeded(MandateLimit.TOTAL, told)
    if mandate.max_payments is not None and payments >= mandate.max_payments:
        return MandateExceeded(MandateLimit.PAYMENTS, f"all {mandate.max_payments} allowed payments were made")
    if mandate.ends_at is not None and now >= mandate.ends_at:
        return MandateExceeded(MandateLimit.END, f"the mandate ended at {moment_in_words(mandate.ends_at)}")
    return None
