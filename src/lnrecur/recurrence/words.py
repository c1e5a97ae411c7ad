"""What an offer, an amount or a moment is in words, for people; exact, and without a float anywhere.

Words never say more than the bytes do: an amount is rounded nowhere, and a moment is always in UTC.
"""

from __future__ import annotations

from typing import Final

from lnrecur.bolt12.codecs import Paywindow
from lnrecur.bolt12.offer import OfferFields
from lnrecur.bolt12.recurrence_terms import Recurrence, TimeUnit
from lnrecur.recurrence.calendar import SECONDS_PER_DAY, civil_date
from lnrecur.recurrence.currencies import currency_exponent
from lnrecur.values import MSAT_PER_SAT

_UNIT_NAMES: Final = {TimeUnit.SECONDS: "second", TimeUnit.DAYS: "day", TimeUnit.MONTHS: "month"}
_LARGER_UNITS: Final = ((SECONDS_PER_DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def recurrence_in_words(offer: OfferFields) -> str:
    """What an offer (or the offer mirrored in a request or an invoice) costs, how often, from when and for how long.

    For example "10 sat every 12 seconds, from the first payment, paid in order".

    Raises:
        RuleBroken: a request or an invoice mirrors recurrence fields that break O1 to O10.
    """
    price = _price(offer)
    recurrence = offer.recurrence
    if recurrence is None:
        return f"{price}, paid once"
    schedule = f"{price} every {_every(recurrence)}"
    if recurrence.base is None:
        clauses = [schedule, "from the first payment"]
    else:
        clauses = [f"{schedule} from {moment_in_words(recurrence.base.basetime)}"]
    clauses += _limit(recurrence)
    clauses.append("paid in order" if recurrence.paywindow is None else _window(recurrence.paywindow))
    if recurrence.proportional:
        clauses.append("proportional first period")
    if recurrence.optional:
        clauses.append("may also be paid once (optional)")
    return ", ".join(clauses)


def price_in_words(amount: int, currency: str | None) -> str:
    """A price as an offer names it: msat, or minor units of an ISO 4217 currency; "5.00 USD", "100 JPY"."""
    if currency is None:
        return amount_in_words(amount)
    exponent = currency_exponent(currency)
    whole, minor = divmod(amount, 10**exponent)
    return f"{whole:,}.{minor:0{exponent}} {currency}" if exponent else f"{whole:,} {currency}"


def amount_in_words(msat: int) -> str:
    """An amount in sat, exact to the msat: "1,000 sat", "0.5 sat", "-0.001 sat"."""
    sat, rest = divmod(abs(msat), MSAT_PER_SAT)
    decimals = f".{rest:03}".rstrip("0") if rest else ""
    return f"{'-' if msat < 0 else ''}{sat:,}{decimals} sat"


def share_in_words(ppm: int) -> str:
    """A share in parts per million as a percentage, exact: "5 %", "0.25 %"."""
    percent, rest = divmod(ppm, 10_000)
    decimals = f".{rest:04}".rstrip("0") if rest else ""
    return f"{percent}{decimals} %"


def duration_in_words(unit: TimeUnit, period: int) -> str:
    """A span of time: "12 seconds", "1 hour", "30 days", "1 month".

    Seconds are told in the largest unit of the same kind that divides them; a day has 86,400 seconds (T4). Months are
    of no fixed length and stay months.
    """
    count, name = _in_larger_units(unit, period)
    return f"{count:,} {name if count == 1 else name + 's'}"


def moment_in_words(unix: int) -> str:
    """Seconds since 1970 as date and time of day, such as "2026-01-31 00:00:00 UTC"; any year (T7)."""
    date, time = _date_and_time(unix)
    return f"{date} {time} UTC"


def rfc3339(unix: int) -> str:
    """Seconds since 1970 as RFC 3339, such as "2026-01-31T00:00:00Z".

    RFC 3339 ends with the year 9999; later moments are in ISO 8601's expanded form: a plus and as many digits as the
    year has ("+12026-01-31T00:00:00Z").
    """
    date, time = _date_and_time(unix)
    return f"{'' if date[4] == '-' else '+'}{date}T{time}Z"


def _date_and_time(unix: int) -> tuple[str, str]:
    days, second_of_day = divmod(unix, SECONDS_PER_DAY)
    year, month, day = civil_date(days)
    minutes, second = divmod(second_of_day, 60)
    hour, minute = divmod(minutes, 60)
    return f"{year:04}-{month:02}-{day:02}", f"{hour:02}:{minute:02}:{second:02}"


def _price(offer: OfferFields) -> str:
    if offer.amount is None:
        return "an amount of the payer's choice"
    return price_in_words(offer.amount, offer.currency) + ("" if offer.quantity_max is None else " per item")


def _in_larger_units(unit: TimeUnit, period: int) -> tuple[int, str]:
    if unit is not TimeUnit.SECONDS or period == 0:
        return period, _UNIT_NAMES[unit]
    return next((period // size, name) for size, name in _LARGER_UNITS if period % size == 0)


def _every(recurrence: Recurrence) -> str:
    count, name = _in_larger_units(recurrence.unit, recurrence.period)
    return name if count == 1 else f"{count:,} {name}s"


def _limit(recurrence: Recurrence) -> list[str]:
    """O11: the wire counts periods from 0, people count payments; who joins a fixed schedule late has fewer."""
    payments = recurrence.payments_from(0)
    if payments is None:
        return []
    at_most = f"at most {payments:,} payments"
    return [at_most] if recurrence.base is None else [f"up to period {recurrence.limit:,}", at_most]


def _window(window: Paywindow) -> str:
    before = duration_in_words(TimeUnit.SECONDS, window.seconds_before)
    after = duration_in_words(TimeUnit.SECONDS, window.seconds_after)
    if window.seconds_before and window.seconds_after:
        return f"each from {before} before to {after} after its start"
    if window.seconds_after:
        return f"each from its start to {after} after it"
    if window.seconds_before:
        return f"each from {before} before its start until it starts"
    return "each in a pay window of no length"
