"""What the payee's machine knows of an offer of ours beyond what the offer says: its policies and how it stands.

The offer itself is mirrored in every request (Q21: nothing has to be looked up to check one); what a merchant decided
beside it is not, and comes with every event as an `Offering`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lnrecur.bolt12.recurrence_terms import Recurrence
from lnrecur.values import Msat


class Windows(StrEnum):
    """How strictly an offer's pay windows bind its subscribers (Q16)."""

    STRICT = "strict"
    """Outside its window a period is refused; a window that closes unpaid ends the subscription."""
    LENIENT = "lenient"
    """Late periods are served in order; early ones wait for their window."""


class Late(StrEnum):
    """What happens to a payment that arrives when its period is not to be paid any more."""

    RETURN = "return"
    """Failed back, or where the node could not hold it, booked as a surplus that is owed back."""
    TAKE = "take"
    """Taken as the payment of its period, as long as that is the next one."""


@dataclass(frozen=True, slots=True)
class OfferPolicy:
    """What a merchant decides about an offer beyond what the offer itself says."""

    windows: Windows = Windows.STRICT
    invoice_expiry_s: int = 3600
    """How long an invoice may be paid; never past the end of its pay window (V3)."""
    first_in_window: bool = False
    """Whether the window binds the first payment too, which no reader rule demands (T9, Q16)."""
    payments_max: int | None = None
    """O11: how many payments a subscription may have, enforced by us as well."""
    early_s: int = 0
    """How long before its window opens a period is sold already."""
    grace_s: int = 0
    """How long after its window closed a strict offer still takes a period."""
    arrears_max: int | None = None
    """Lenient: a subscription that owes more periods than this lapses; None: never."""
    fiat_expiry_s: int = 600
    """How long an invoice may be paid whose price was converted from a currency (V11)."""
    amount_min_msat: Msat | None = None
    """The least that is taken where the offer leaves the amount to the payer (Q17)."""
    overask_max: int = 5
    """A request may ask to pay at most so many whole times the price (Q17), as Core Lightning counts and limits it."""
    after_window: Late = Late.TAKE
    """A payment of an invoice that was made in time, arriving behind window and grace of a strict offer."""
    after_cancel: Late = Late.RETURN
    """A payment arriving after its payer cancelled."""
    after_end: Late = Late.RETURN
    """A payment arriving after we ended the subscription or its offer."""
    give_state: bool = False
    """Whether invoices carry our sealed state, with which the next request is answered without a lookup (V9)."""


class OfferStatus(StrEnum):
    """How an offer of ours stands."""

    OPEN = "open"
    """Sold to everybody."""
    RETIRED = "retired"
    """No new subscribers; those there are go on."""
    PAUSED = "paused"
    """Nobody is served for now; periods that pass meanwhile are waived."""
    ENDED = "ended"
    """Over, for all of its subscribers (V10)."""
    REPLACED = "replaced"
    """Over, for all of its subscribers, in favour of another offer (V10)."""


OVER: Final = frozenset({OfferStatus.ENDED, OfferStatus.REPLACED})
"""Nothing is sold any more, and never will be."""


@dataclass(frozen=True, slots=True)
class Offering:
    """One offer of ours, as a step needs it."""

    policy: OfferPolicy = OfferPolicy()
    recurrence: Recurrence | None = None
    """What its subscribers agreed to; None for a plain offer, or for one whose record we lost."""
    status: OfferStatus = OfferStatus.OPEN
    successor: str | None = None
    """The offer (lno1...) in favour of which it was replaced."""

    @property
    def is_over(self) -> bool:
        """Whether it was ended or replaced."""
        return self.status in OVER

    def is_beyond(self, start: int | None, counter: int) -> bool:
        """Whether no payment with this counter is sold: above the limit (Q8), or one more than we allow (O11)."""
        limit = None if self.recurrence is None else self.recurrence.limit
        if limit is not None and (start or 0) + counter > limit:
            return True
        return self.policy.payments_max is not None and counter >= self.policy.payments_max
