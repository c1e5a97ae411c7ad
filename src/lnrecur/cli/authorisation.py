"""What a subscriber agrees to, in words, before agreeing (V8): how much, how often, the first dates, the most in all.

Worked out from the offer and the limits alone, with the rules the payer's state machine itself follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from lnrecur.bolt12 import Offer, Recurrence, TimeUnit
from lnrecur.cli.output import local_moment, printable
from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.habits import consequences, habits_of
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Missed, Outbound, Terms, Trigger
from lnrecur.recurrence.outbound_times import first_due, pay_at
from lnrecur.recurrence.windows import first_open_period, first_payable_period
from lnrecur.recurrence.words import (
    amount_in_words,
    duration_in_words,
    price_in_words,
    recurrence_in_words,
    share_in_words,
)
from lnrecur.values import Msat, RecurrenceId, UnixSeconds

DATES_SHOWN: Final = 5
_COUNT_MAX: Final = 2**32
"""More payments than any offer can have: period indices have 32 bits."""


def payee_in_words(offer: Offer) -> str:
    """Who is paid: the name the offer gives itself, which proves nothing, and the key that must sign the invoices."""
    name = printable(offer.issuer) if offer.issuer else "(the offer does not say)"
    key = "asked over a blinded path" if offer.issuer_id is None else f"key {offer.issuer_id.hex()[:16]}..."
    return f"{name}, {key}"


@dataclass(frozen=True, slots=True)
class Authorisation:
    """A mandate for the payments of an offer, the first of them at `now`."""

    offer: Offer
    recurrence: Recurrence
    mandate: Mandate
    terms: Terms
    now: int

    @property
    def start(self) -> int:
        """The period that is paid first (Q3)."""
        asked = self.terms.start
        first = first_payable_period if habits_of(self.offer).binds_first else first_open_period
        return first(self.recurrence, self.now) if asked is None else asked

    def payment_at(self, number: int) -> int:
        """When payment `number`, counted from 0, falls due.

        Raises:
            CalendarError: beyond the end of time (T7).
        """
        now = UnixSeconds(self.now)
        if number == 0:
            return first_due(self.offer, self.start, now)
        begun = Outbound(
            recurrence_id=RecurrenceId(bytes(32)),
            offer_bytes=self.offer.to_bytes(),
            mandate=self.mandate,
            terms=replace(self.terms, start=None if self.recurrence.base is None else self.start),
            created_at=now,
            next_counter=number,
            basetime=now if self.recurrence.base is None else None,
        )
        return max(self.now, pay_at(begun))

    @property
    def payments(self) -> int | None:
        """How many payments there are at most; None if nothing but a cancel ends them."""
        bounds = (
            self.mandate.max_payments,
            self.recurrence.payments_from(self.start),
            self._payments_within_total(),
            self._payments_before_end(),
        )
        return min((bound for bound in bounds if bound is not None), default=None)

    def _payments_within_total(self) -> int | None:
        total, price = self.mandate.max_total_msat, self._price
        return None if total is None or not price or self.recurrence.proportional else total // price

    @property
    def _price(self) -> Msat | None:
        """What a period costs in full; None where the payer chooses, or where only a rate tells."""
        if self.offer.amount is None or self.offer.currency is not None:
            return None
        return Msat(self.offer.amount * (self.terms.quantity or 1))

    def _payments_before_end(self) -> int | None:
        ends_at = self.mandate.ends_at
        if ends_at is None:
            return None
        low, high = 0, _COUNT_MAX
        while low < high:
            middle = (low + high) // 2
            if self._is_due_before(middle, ends_at):
                low = middle + 1
            else:
                high = middle
        return low

    def _is_due_before(self, number: int, moment: int) -> bool:
        try:
            return self.payment_at(number) < moment
        except CalendarError:
            return False

    def dates(self) -> list[int]:
        """When the first payments fall due."""
        last = DATES_SHOWN if self.payments is None else min(DATES_SHOWN, self.payments)
        found: list[int] = []
        for number in range(last):
            try:
                found.append(self.payment_at(number))
            except CalendarError:
                break  # T7: there is no later one either
        return found

    def facts(self) -> list[tuple[str, str]]:
        """All of it, as name and value."""
        mandate = self.mandate
        facts = [
            ("for", printable(self.offer.description or "(the offer does not say)")),
            ("payee", payee_in_words(self.offer)),
            ("terms", printable(recurrence_in_words(self.offer))),
            ("each time", f"at most {mandate.per_period_in_words()}, and {self._fees(1)}"),
            ("in all", self._in_all()),
        ]
        if mandate.ends_at is not None:
            facts.append(("until", local_moment(mandate.ends_at)))
        if self.terms.trigger is Trigger.ON_APPROVAL:
            facts.append(("asked", "before every payment"))
        elif self._is_above_limit():
            told = f"the price is {amount_in_words(self._price or 0)}: every payment will wait for your approval"
            facts.append(("mind", told))
        mind = [("mind", sentence) for sentence in consequences(self.offer)]
        return [*facts, ("missed", self._missed()), *self._given_up(), *mind, *self._date_facts()]

    def _given_up(self) -> list[tuple[str, str]]:
        most = self.terms.give_up_after_s
        if most is None:
            return []
        told = (
            f"if no invoice comes within {duration_in_words(TimeUnit.SECONDS, most)}: then it ends, with nothing paid"
        )
        return [("given up", told)]

    def _is_above_limit(self) -> bool:
        limit = self.mandate.max_per_period_msat
        return self._price is not None and limit is not None and self._price > limit

    def _missed(self) -> str:
        if self.terms.missed is Missed.STOP or habits_of(self.offer).late_is_never:
            return "a period that cannot be paid in its window ends the subscription"
        most = self.mandate.catch_up_max
        asked = "" if most is None else f", at most {most:,} at once without asking"
        return f"periods that could not be paid in their window are paid late and in order{asked}"

    def _in_all(self) -> str:
        payments, total = self.payments, self.mandate.max_total_msat
        if payments == 0:
            return "nothing: these limits allow no payment at all"
        if payments is None:
            fiat = self.mandate.fiat
            totals = [] if fiat is None or fiat.total_minor is None else [fiat.total_in_words()]
            totals += [] if total is None else [amount_in_words(total)]
            if not totals:
                return "NO UPPER BOUND: it goes on until you cancel"
            return f"at most {' and '.join(totals)}, and routing fees of each payment"
        times = "1 payment" if payments == 1 else f"{payments:,} payments"
        return f"at most {self._most(payments)} in {times}, and {self._fees(payments)}"

    def _most(self, payments: int) -> str:
        """The most that so many payments can cost, by each of the limits that bind them."""
        mandate, bounds = self.mandate, []
        if mandate.max_per_period_msat is not None:
            bounds.append(payments * mandate.max_per_period_msat)
        if mandate.max_total_msat is not None:
            bounds.append(mandate.max_total_msat)
        told = [amount_in_words(min(bounds))] if bounds else []
        if mandate.fiat is not None:
            told.insert(0, price_in_words(mandate.fiat.most_in(payments), mandate.fiat.currency))
        return " and ".join(told)

    def _fees(self, payments: int) -> str:
        """Routing fees come on top; in sat where the amount is known."""
        mandate = self.mandate
        if mandate.max_per_period_msat is not None:
            most = payments * mandate.max_fee_msat(mandate.max_per_period_msat)
            return f"at most {amount_in_words(most)} of routing fees"
        each = "" if payments == 1 else " each"
        told = f"{amount_in_words(mandate.fee_base_msat)} and {share_in_words(mandate.fee_ppm)} of it"
        return f"at most {told} of routing fees{each}"

    def _date_facts(self) -> list[tuple[str, str]]:
        dates = self.dates()
        facts = [
            (f"payment {number}", "now" if moment == self.now else local_moment(moment))
            for number, moment in enumerate(dates, start=1)
        ]
        more = self.payments is None or self.payments > len(dates)
        return [*facts, ("", "and so on")] if facts and more else facts
