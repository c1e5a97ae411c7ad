"""When an outbound subscription acts: the windows of its periods and the moments inside them."""

from __future__ import annotations

from typing import Final

from lnrecur.bolt12 import Offer
from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.habits import habits_of
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.recurrence.outbound_terms import Missed, PayAt, Terms
from lnrecur.recurrence.windows import END_OF_TIME, PayWindow, pay_window, start_of
from lnrecur.values import UnixSeconds

NO_JITTER: Final = bytes(8)
_JITTER_S_MAX: Final = 3600
_SHARES_OF_WINDOW: Final = 20


def basetime_of(state: Outbound) -> UnixSeconds | None:
    """The start of period 0, once it is known: from the first paid invoice, or from the offer's base (T1).

    Where another holder of our seed made the first payment, it was made after the subscription was authorised, and the
    next invoice tells its moment.
    """
    if state.basetime is not None:
        return state.basetime
    base = state.recurrence.base
    if base is not None:
        return UnixSeconds(base.basetime)
    return state.created_at if state.next_counter else None


def window_of(state: Outbound, counter: int) -> PayWindow | None:
    """The pay window of a payment of ours.

    None for the first one, which no reader bounds (T9), and for what will never be asked for: behind the limit (Q4),
    or beyond the end of time (T7).
    """
    if state.one_off or counter == 0:
        return None
    basetime, recurrence = basetime_of(state), state.recurrence
    index = (state.terms.start or 0) + counter
    if basetime is None or (recurrence.limit is not None and index > recurrence.limit):
        return None
    try:
        return pay_window(recurrence, basetime, index)
    except CalendarError:
        return None


def next_window(state: Outbound) -> PayWindow | None:
    """The window of the next period."""
    return window_of(state, state.next_counter)


def pay_at(state: Outbound, entropy: bytes = NO_JITTER) -> UnixSeconds:
    """When to ask for the next period, by its terms: never outside its window, and spread by the entropy.

    Raises:
        CalendarError: beyond the end of time (T7).
    """
    basetime = None if state.one_off else basetime_of(state)
    if basetime is None:
        return state.created_at
    window = pay_window(state.recurrence, basetime, state.next_index)
    start = start_of(state.recurrence, basetime, state.next_index)
    moment = max(window.opens, min(_wanted(state.terms, window, start), window.closes - 1))
    return UnixSeconds(moment + _jitter(state.terms, window, moment, entropy))


def _wanted(terms: Terms, window: PayWindow, start: int) -> int:
    if terms.pay_at is PayAt.EARLIEST:
        return window.opens
    if terms.pay_at is PayAt.BEFORE_END and window.closes < END_OF_TIME:
        return window.closes - 1 - terms.margin_s
    return start


def _jitter(terms: Terms, window: PayWindow, moment: int, entropy: bytes) -> int:
    usual = min(_JITTER_S_MAX, (window.closes - window.opens) // _SHARES_OF_WINDOW)
    most = min(usual if terms.jitter_s is None else terms.jitter_s, (window.closes - 1 - moment) // 2)
    return int.from_bytes(entropy, "big") % (most + 1)


def closing(state: Outbound) -> UnixSeconds | None:
    """When the next period is missed that was not told as missed before, where that is known."""
    window = window_of(state, max(state.next_counter, state.missed_through))
    return None if window is None else window.closes


def next_ending(state: Outbound) -> UnixSeconds | None:
    """When something is to be told of a subscription that waits: a missed period, or an invoice that expired unpaid."""
    expired = None if state.invoice_until is None else UnixSeconds(state.invoice_until + 1)
    return min((moment for moment in (closing(state), expired) if moment is not None), default=None)


def first_due(offer: Offer, start: int | None, now: UnixSeconds) -> UnixSeconds:
    """When a new subscription asks first: at once; where its window binds the first payment, not before that opens."""
    recurrence = offer.recurrence
    if recurrence is None or recurrence.base is None or not habits_of(offer).binds_first:
        return now
    try:
        return max(now, pay_window(recurrence, recurrence.base.basetime, start or 0).opens)
    except CalendarError:  # T7: whoever looks at it says so
        return now


def left_s(state: Outbound, now: UnixSeconds) -> int | None:
    """Seconds until the next period's window closes; None where it has none, or has closed."""
    window = next_window(state)
    return window.closes - now if window is not None and window.closes > now else None


def resend_at(state: Outbound, tries: int, entropy: bytes, now: UnixSeconds) -> UnixSeconds:
    """When to look at an unanswered request again: by the policy, when a period is missed, and when to give up.

    The first request has no window; it is tried as often as if it had one as long as its period.
    """
    left = left_s(state, now)
    if left is None and state.next_counter == 0 and not state.one_off:
        left = _first_period_s(state, now)
    moment = not_past_closing(state, now + state.terms.request_retry.delay_s(tries, entropy, left), now)
    until = first_request_until(state)
    return moment if until is None or until <= now else min(moment, until)


def first_request_until(state: Outbound) -> UnixSeconds | None:
    """When the first request is given up, or its offer has expired; None for later ones, which their windows bound."""
    if state.request is None or state.next_counter:
        return None
    since, most, expiry = state.request.since, state.terms.give_up_after_s, state.offer.absolute_expiry
    given_up = None if most is None else (state.created_at if since is None else since) + most
    ends = (given_up, None if expiry is None else expiry + 1)
    return min((UnixSeconds(end) for end in ends if end is not None), default=None)


def gives_up_at(state: Outbound) -> UnixSeconds | None:
    """When what is being tried again will be given up, and the subscription with it; None where time ends nothing."""
    if state.next_counter == 0:
        return first_request_until(state)
    return closing(state) if state.terms.missed is Missed.STOP and not state.payee_paused else None


def _first_period_s(state: Outbound, now: UnixSeconds) -> int | None:
    try:
        return start_of(state.recurrence, now, 1) - now
    except CalendarError:
        return None


def not_past_closing(state: Outbound, moment: int, now: UnixSeconds) -> UnixSeconds:
    """A moment, or the next closing of a window if that comes first."""
    closes = closing(state)
    return UnixSeconds(moment if closes is None or closes <= now else min(moment, closes))
