"""What an offer says about recurrence, as one value (fields O of RECURRENCE.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from lnrecur.bolt12 import fields
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase, RecurrenceField
from lnrecur.bolt12.fields import Dialect, Field


class TimeUnit(IntEnum):
    """The unit a period is counted in (T3 to T5); the value is the one on the wire."""

    SECONDS = 0
    DAYS = 1
    MONTHS = 2


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The recurrence of an offer."""

    unit: TimeUnit
    period: int
    """How many units one period lasts; above 0 (O4)."""
    optional: bool = False
    """Whether the offer may be paid once by wallets that know no recurrence (Q9)."""
    base: RecurrenceBase | None = None
    """The fixed start of period 0; without it period 0 starts with the first invoice (T1)."""
    paywindow: Paywindow | None = None
    limit: int | None = None
    """The highest period index that may be paid, as on the wire (O11: n payments are written as n - 1)."""
    dialect: Dialect = Dialect.DRAFT

    def field_values(self) -> dict[Field[Any], Any]:
        """The offer fields that say this."""
        main = fields.OFFER_RECURRENCE_OPTIONAL if self.optional else fields.OFFER_RECURRENCE_COMPULSORY
        return {
            main: RecurrenceField(int(self.unit), self.period),
            fields.OFFER_RECURRENCE_BASE: self.base,
            fields.OFFER_RECURRENCE_PAYWINDOW: self.paywindow,
            fields.OFFER_RECURRENCE_LIMIT: self.limit,
        }

    @property
    def proportional(self) -> bool:
        """Whether a payment made inside its period is scaled by the time left (T10)."""
        return self.base is not None and self.base.proportional_amount == 1

    def payments_from(self, start: int) -> int | None:
        """How many payments a payer who begins with period `start` can make at most; None if unlimited (O11, Q8)."""
        return None if self.limit is None else max(0, self.limit - start + 1)
