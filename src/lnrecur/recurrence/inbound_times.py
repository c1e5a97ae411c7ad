"""When a period's time is over for the payee, and when a subscription is to be looked at again."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.habits import last_second_s
from lnrecur.recurrence.inbound_model import Inbound, Phase
from lnrecur.recurrence.offering import Offering, Windows
from lnrecur.recurrence.windows import END_OF_TIME, pay_window
from lnrecur.values import UnixSeconds


def closes_at(state: Inbound, offering: Offering, start: int | None, counter: int) -> UnixSeconds | None:
    """The first second in which this period is too late, grace included; None where there is no such second.

    Grace is a strict offer's: a lenient one serves late periods anyway, and tells them as missed at once.
    """
    if offering.recurrence is None or state.basetime is None:
        return None
    try:
        closes = pay_window(offering.recurrence, state.basetime, (start or 0) + counter).closes
    except CalendarError:
        return None
    if closes >= END_OF_TIME:
        return None
    closes = UnixSeconds(closes + last_second_s(offering.recurrence))
    grace = offering.policy.grace_s if offering.policy.windows is Windows.STRICT else 0
    return UnixSeconds(closes + grace)


def watched(state: Inbound) -> int:
    """The counter whose window is watched: the next to be paid, or behind those that were told as missed."""
    return max(state.next_counter, state.told_to)


def planned(state: Inbound, offering: Offering, now: UnixSeconds) -> Inbound:
    """The state with the moment at which it is to be looked at next."""
    return replace(state, wake_at=_wake_at(state, offering, now))


def _wake_at(state: Inbound, offering: Offering, now: UnixSeconds) -> UnixSeconds | None:
    if state.phase is not Phase.ACTIVE:
        return None
    if offering.is_over:
        return now
    counter = watched(state)
    return None if offering.is_beyond(state.start, counter) else closes_at(state, offering, state.start, counter)
