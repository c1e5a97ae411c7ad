"""What Core Lightning does otherwise than the rules, and what we do about it: the one room that knows.

Core Lightning has recurrence of its own, with fourteen deviations from the draft that were seen on live nodes of
v26.06.6 (and of master, of August 2026, where it says so). The table names each, with what we do as its payer and as
its payee; docs/interop/cln.md shows it. The engine asks for single habits, never for a program's name.

Whose payee it is shows in the offer: it speaks Core Lightning's dialect and has no offer_metadata. That is so for all
109 offers recorded of v26.06.6, while an offer of ours always carries metadata, in either dialect. A wrong guess costs
no money: habits make a payer more careful, and the payee's own words decide what happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lnrecur.bolt12.fields import Dialect
from lnrecur.bolt12.offer import OfferFields
from lnrecur.bolt12.recurrence_terms import Recurrence


@dataclass(frozen=True, slots=True)
class Deviation:
    """One line of the table. `number` is that of the list of Core Lightning's deviations from the draft."""

    number: int
    theirs: str
    paying: str
    """What we do when we pay it."""
    selling: str
    """What we do when it pays us."""


DEVIATIONS: Final[tuple[Deviation, ...]] = (
    Deviation(
        1, "knows its own numbers only: an even one of the draft makes it drop the message, an odd one is ignored",
        "a request speaks the dialect of its offer",
        "`lnrecur offer create --dialect cln` writes offers for it",
    ),
    Deviation(
        2, "asks 1 msat for a proportional period that has begun (master too); its payer takes any amount",
        "`subscription.price_differs`; it is paid, or with `--ask-if-price-differs` a person is asked",
        "the price is scaled by the time left (T10), which its user sees as `changes`",
    ),
    Deviation(
        3, "loses a cancel while an unpaid invoice of that counter is out (master too)",
        "nothing more is paid; `subscription.cancel_unheard`, and the cancel goes out again behind that invoice",
        "a cancel is recorded, and the unpaid invoice withdrawn",
    ),
    Deviation(
        4, "takes a cancel with counter 0, which burns that counter",
        "none is sent (Q12): the subscription ends on our side",
        "such a cancel is ignored (Q12, Q18)",
    ),
    Deviation(
        5, "answers the same payer_id and counter with the old invoice, whatever else the request says",
        "a counter is asked for with the same bytes each time; an invoice that mirrors other bytes is refused (V6)",
        "a different request gets a new invoice, and the old one is withdrawn (Q19)",
    ),
    Deviation(
        6, "takes another start within a series",
        "the start stays the same (Q2)",
        "another start is refused (Q20)",
    ),
    Deviation(
        7, "holds first requests and cancels to the window too, and refuses late ones: a missed period ends a series",
        "told before subscribing; the first request waits for its window; a late one is tried, and the refusal ends it",
        "its payer asks inside the windows, that of master at any time; the offer's policy decides",
    ),
    Deviation(
        8, "takes a request at start + seconds_after, where the draft's window has closed",
        "we stop a second earlier (T8)",
        "an offer in its dialect is sold for that second too",
    ),
    Deviation(
        9, "widens a seconds_after below 60 to 60 for the first period of an offer without a base",
        "our first payment is bound to no window there (T9)",
        "no window binds a first request, unless the policy says so (T9)",
    ),
    Deviation(
        10, "refuses a request without a counter for an optional recurrence",
        "`lnrecur pay` refuses to begin, and names `lnrecur subscribe --max-payments 1`",
        "its payer sends a counter; wallets that know no recurrence pay once (Q9)",
    ),
    Deviation(
        11, "takes an invoice that expired unpaid for a cancel: that counter is never served again (by master it is)",
        "kept while a person is asked, until when is told; `subscription.invoice_expired`; a refusal then ends it",
        "its payer gets a new invoice, as long as the window is open",
    ),
    Deviation(
        12, "checks no basetime but that there is one",
        "a wrong one is refused (V4, V5)",
        "ours are right (V2)",
    ),
    Deviation(
        13, "reads the limit as the highest period index, as the draft's reader does",
        "read so too (Q8)",
        "n payments are written as n - 1 (O11)",
    ),
    Deviation(
        14, 'forgets what is deleted from its invoices: "No previous invoice", and counter 0 can be bought again',
        "tried again three times, then a person is asked; a paid counter is never asked for again (Q2)",
        "a paid counter is refused for good (Q13)",
    ),
)  # fmt: skip
"""In the order of their numbers."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What a payer has to reckon with. The defaults are the rules; each field names its line of the table."""

    name: str | None = None
    """Whose habits these are, for people."""
    begun_price_msat: int | None = None
    """What a proportional period costs that has begun [2]."""
    loses_cancels: bool = False
    """Whether a cancel means nothing while an invoice of its counter is unpaid [3]."""
    repeats_invoices: bool = False
    """Whether a counter's first request decides the invoice of all later ones [5]."""
    binds_first: bool = False
    """Whether the first request is held to its pay window [7]."""
    late_is_never: bool = False
    """Whether a missed period ends the series for good [7]."""
    wants_counter: bool = False
    """Whether an optional recurrence is not sold without one [10]."""
    expiry_cancels: bool = False
    """Whether an invoice that expires unpaid ends the series [11]."""


BY_THE_RULES: Final = Habits()
CORE_LIGHTNING: Final = Habits(
    name="Core Lightning",
    begun_price_msat=1,
    loses_cancels=True,
    repeats_invoices=True,
    binds_first=True,
    late_is_never=True,
    wants_counter=True,
    expiry_cancels=True,
)
PERHAPS_CORE_LIGHTNING: Final = Habits(repeats_invoices=True)
"""Whoever sells something once and puts no metadata into the offer: asking with the same bytes harms with nobody."""


def habits_of(offer: OfferFields) -> Habits:
    """The habits of whoever wrote an offer."""
    recurrence = offer.recurrence
    if offer.metadata is not None or (recurrence is not None and recurrence.dialect is not Dialect.CLN):
        return BY_THE_RULES
    return PERHAPS_CORE_LIGHTNING if recurrence is None else CORE_LIGHTNING


def last_second_s(recurrence: Recurrence) -> int:
    """How many seconds past its end the pay window of an offer of ours stays open.

    Whoever speaks the dialect of Core Lightning counts the second of the end in [8].
    """
    return 1 if recurrence.dialect is Dialect.CLN and recurrence.paywindow is not None else 0


def consequences(offer: OfferFields) -> tuple[str, ...]:
    """What a subscriber should know of the payee's habits before saying yes, a sentence each."""
    habits = habits_of(offer)
    told = []
    if habits.late_is_never:
        told.append(
            f"a missed period ends this subscription for good: {habits.name} serves no late period, and none behind a "
            "missed one, so nothing can be caught up"
        )
    if habits.expiry_cancels:
        told.append(
            f"an invoice that is asked for and not paid in time ends it too: {habits.name} takes that for a cancel"
        )
    recurrence = offer.recurrence
    if habits.begun_price_msat is not None and recurrence is not None and recurrence.proportional:
        told.append(
            f"a period that has begun may cost {habits.begun_price_msat} msat instead of its share: {habits.name} "
            "reckons so; it is paid and told, or with --ask-if-price-differs asked"
        )
    return tuple(told)
