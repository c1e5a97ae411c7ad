"""When an outbound subscription acts: the window of its next period and the moments inside it."""

from __future__ import annotations

from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.recurrence.windows import PayWindow, pay_window, start_of
from lnrecur.values import UnixSeconds


def basetime_of(state: Outbound) -> UnixSeconds | None:
    """The start of period 0, once it is known: from the first paid invoice, or from the offer's base (T1)."""
    if state.basetime is not None:
        return state.basetime
    base = state.recurrence.base
    return None if base is None else UnixSeconds(base.basetime)


def next_window(state: Outbound) -> PayWindow | None:
    """The window of the next period; None for the first one, which no reader bounds (T9)."""
    basetime = basetime_of(state)
    if basetime is None or state.next_counter == 0:
        return None
    return pay_window(state.recurrence, basetime, state.next_index)


def pay_at(state: Outbound) -> UnixSeconds:
    """When to ask for the next period: at its start, or as near to it as the window allows."""
    basetime = basetime_of(state)
    if basetime is None:
        return state.created_at
    window = pay_window(state.recurrence, basetime, state.next_index)
    start = start_of(state.recurrence, basetime, state.next_index)
    return UnixSeconds(max(window.opens, min(start, window.closes - 1)))


def resend_at(state: Outbound, tries: int, entropy: bytes, now: UnixSeconds) -> UnixSeconds:
    """When to look at an unanswered request again: by the policy, and not later than its window closes."""
    wake_at = now + state.terms.request_retry.delay_s(tries, entropy)
    closes = closing(state)
    return UnixSeconds(wake_at if closes is None or closes <= now else min(wake_at, closes))


def closing(state: Outbound) -> UnixSeconds | None:
    """When the next period's window closes, where one is known."""
    window = next_window(state)
    return None if window is None else window.closes
