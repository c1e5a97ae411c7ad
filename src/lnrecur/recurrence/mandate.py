"""The authorisation a payer gives once for a whole subscription (V8): what may be paid without asking again.

A limit per period is in msat, or in a currency ("at most 9.99 EUR plus 5 %"), or both; then both hold. A limit in a
currency is held against the rate at the moment an invoice is accepted, msat against msat: rounding to cents and back
would refuse the very price that was agreed. A total in a currency is held against the sum of what every payment was
worth when it was accepted; it is kept exactly, so rounding can neither refuse the agreed price nor add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lnrecur.errors import UsageError
from lnrecur.recurrence.rates import MSAT_PER_BTC, ExchangeRate, Worth
from lnrecur.recurrence.words import amount_in_words, moment_in_words, price_in_words, share_in_words
from lnrecur.values import ZERO_MSAT, Msat, UnixSeconds

_MILLION: Final = 1_000_000
SLIPPAGE_PPM: Final = 50_000
"""5 %: the payee's rate is not ours, and some minutes old."""
CATCH_UP_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class FiatLimit:
    """At most `minor` units of `currency` (ISO 4217, capitals) a period, and `slippage_ppm` more of it: rates differ.

    `total_minor`, with as much slippage, is the most in all, since the limit is in this currency.
    """

    currency: str
    minor: int
    slippage_ppm: int = SLIPPAGE_PPM
    total_minor: int | None = None

    @property
    def most_minor(self) -> int:
        """The limit with its slippage, in whole minor units."""
        return self._with_slippage(self.minor)

    def _with_slippage(self, minor: int) -> int:
        return minor + minor * self.slippage_ppm // _MILLION

    def most_in(self, payments: int) -> int:
        """The most that so many payments may be worth, in whole minor units."""
        each = payments * self.most_minor
        return each if self.total_minor is None else min(each, self._with_slippage(self.total_minor))

    def allows_in_all(self, worth: Worth) -> bool:
        """Whether the sum of all payments may be worth this."""
        return self.total_minor is None or worth.parts < self._with_slippage(self.total_minor) * MSAT_PER_BTC

    def left_of_total(self, spent: Worth | None) -> int | None:
        """What is left of the total, in whole minor units; None where there is no total."""
        if self.total_minor is None:
            return None
        return max(0, self.total_minor - (0 if spent is None else spent.minor))

    def total_in_words(self) -> str:
        """Such as "99.90 EUR plus 5 %"; nothing where there is no total."""
        if self.total_minor is None:
            return ""
        return f"{price_in_words(self.total_minor, self.currency)} plus {share_in_words(self.slippage_ppm)}"

    def most_msat(self, rate: ExchangeRate) -> Msat:
        """What that is worth."""
        return rate.msat(self.most_minor)

    def in_words(self) -> str:
        """Such as "9.99 EUR plus 5 %"."""
        return f"{price_in_words(self.minor, self.currency)} plus {share_in_words(self.slippage_ppm)}"


@dataclass(frozen=True, slots=True)
class Mandate:
    """Limits of what may be paid. None means: no such limit; one of the two limits per period there must be.

    Raises:
        UsageError: there is no limit per period.
    """

    max_per_period_msat: Msat | None
    max_total_msat: Msat | None = None
    max_payments: int | None = None
    ends_at: UnixSeconds | None = None
    fee_base_msat: Msat = Msat(10_000)  # noqa: RUF009 - a NewType of an int is as frozen as the int
    fee_ppm: int = 10_000
    purpose: str = ""
    fiat: FiatLimit | None = None
    fee_max_msat: Msat | None = None
    """Most routing fees of one payment, whatever base and share allow."""
    catch_up_max: int | None = CATCH_UP_MAX
    """Most missed periods that are caught up at once without asking."""

    def __post_init__(self) -> None:
        """Refuse a mandate for any amount."""
        if self.max_per_period_msat is None and self.fiat is None:
            raise UsageError("a mandate limits what one period may cost", field="max_per_period_msat")

    def max_fee_msat(self, amount: Msat) -> Msat:
        """The most a payment of `amount` may cost in fees: the base and a share in parts per million, up to a cap."""
        fee = Msat(self.fee_base_msat + amount * self.fee_ppm // _MILLION)
        return fee if self.fee_max_msat is None else min(fee, self.fee_max_msat)

    def per_period_in_words(self) -> str:
        """The limits per period: "1,000 sat", "9.99 EUR plus 5 %", or both."""
        told = [] if self.fiat is None else [self.fiat.in_words()]
        if self.max_per_period_msat is not None:
            told.append(amount_in_words(self.max_per_period_msat))
        return " and ".join(told)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a mandate was used for so far."""

    payments: int = 0
    msat: Msat = ZERO_MSAT
    worth: Worth | None = None
    """In the currency of the mandate, since it is in one."""


class MandateLimit(StrEnum):
    """Which limit a payment would break."""

    PER_PERIOD = "per_period"
    FIAT = "fiat"
    FIAT_TOTAL = "fiat_total"
    TOTAL = "total"
    PAYMENTS = "payments"
    END = "end"


@dataclass(frozen=True, slots=True)
class MandateExceeded:
    """Why a payment needs a new approval."""

    limit: MandateLimit
    told: str


def exceeds(
    mandate: Mandate, amount: Msat, *, spent: Spent, now: int, rate: ExchangeRate | None = None
) -> MandateExceeded | None:
    """Whether one more payment would leave the mandate, given what was paid before; None if it may be made.

    Without a `rate` a limit in a currency is not looked at: whoever pays must have one (`is_unjudged`).
    """
    if mandate.max_per_period_msat is not None and amount > mandate.max_per_period_msat:
        allowed = amount_in_words(mandate.max_per_period_msat)
        told = f"{amount_in_words(amount)} asked, at most {allowed} per period allowed"
        return MandateExceeded(MandateLimit.PER_PERIOD, told)
    fiat = mandate.fiat
    if fiat is not None and rate is not None and amount > fiat.most_msat(rate):
        worth = price_in_words(rate.minor(amount), fiat.currency)
        told = f"{amount_in_words(amount)} asked, worth {worth}, at most {fiat.in_words()} per period allowed"
        return MandateExceeded(MandateLimit.FIAT, told)
    if fiat is not None and rate is not None:
        beyond = exceeds_total(fiat, spent, rate.worth(amount))
        if beyond is not None:
            return beyond
    if mandate.max_total_msat is not None and spent.msat + amount > mandate.max_total_msat:
        allowed = amount_in_words(mandate.max_total_msat)
        paid = f"{amount_in_words(spent.msat)} paid, {amount_in_words(amount)} asked"
        return MandateExceeded(MandateLimit.TOTAL, f"{paid}, at most {allowed} in total allowed")
    if mandate.max_payments is not None and spent.payments >= mandate.max_payments:
        return MandateExceeded(MandateLimit.PAYMENTS, f"all {mandate.max_payments} allowed payments were made")
    if mandate.ends_at is not None and now >= mandate.ends_at:
        return MandateExceeded(MandateLimit.END, f"the mandate ended at {moment_in_words(mandate.ends_at)}")
    return None


def exceeds_total(fiat: FiatLimit, spent: Spent, more: Worth) -> MandateExceeded | None:
    """Whether a payment worth `more` would leave the total in a currency."""
    after = more if spent.worth is None else spent.worth.plus(more)
    if fiat.allows_in_all(after):
        return None
    paid = price_in_words(0 if spent.worth is None else spent.worth.minor, fiat.currency)
    asked = price_in_words(more.minor, fiat.currency)
    told = f"{paid} paid, {asked} asked, at most {fiat.total_in_words()} in total allowed"
    return MandateExceeded(MandateLimit.FIAT_TOTAL, told)
