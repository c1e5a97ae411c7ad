"""Periods that are settled without us: paid by another holder of our seed, or waived by the payee.

Two daemons restored from one seed write the same requests, so the payee takes them for one payer, and refuses a counter
that the other one paid (Q13). That is no reason to stop, and none to pay: the state is adopted and the next period
asked for. What the payee says is believed only as far as the calendar allows: of periods whose pay window has not
opened nobody can have paid any. Nothing is lost to a payee that lies: what is skipped is not paid.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lnrecur.recurrence.effects import Emit
from lnrecur.recurrence.outbound_endings import lapse
from lnrecur.recurrence.outbound_model import Outbound, Step
from lnrecur.recurrence.outbound_planning import plan_next
from lnrecur.recurrence.outbound_prices import most_for_period, most_worth
from lnrecur.recurrence.outbound_times import window_of
from lnrecur.recurrence.rates import Worth
from lnrecur.values import Msat, UnixSeconds

ADOPTED_AT_ONCE: Final = 1000


def believable(state: Outbound, told: int, now: UnixSeconds) -> int:
    """The counter to go on with, where the payee says that all below `told` are settled; ours, if it cannot be so."""
    counter = state.next_counter
    while counter < min(told, state.next_counter + ADOPTED_AT_ONCE):
        window = window_of(state, counter)
        if counter and (window is None or now < window.opens):
            break
        counter += 1
    return counter


def adopt(
    state: Outbound, through: int, why: str, now: UnixSeconds, entropy: bytes, *, waived: bool = False
) -> Step:  # fmt: skip
    """Go on with counter `through`; each one skipped is told. What others paid with our seed counts for the mandate."""
    if state.one_off:
        return lapse(state, "subscription.given_up", f"it is paid already: {why}")
    skipped = range(state.next_counter, through)
    name = "subscription.waived" if waived else "subscription.adopted"
    start = state.terms.start or 0
    told = (Emit(name, {"counter": counter, "index": start + counter, "why": why}) for counter in skipped)
    elsewhere = 0 if waived else len(skipped)
    adopted = replace(
        state,
        request=None,
        payment=None,
        given_up=None,
        adopting=None,
        waits_for=None,
        next_counter=through,
        attempt=0,
        refusals=0,
        approved_counter=None,
        approved_msat=None,
        awaiting_msat=None,
        adopted=state.adopted + elsewhere,
        adopted_msat=Msat(state.adopted_msat + elsewhere * most_for_period(state)),
        worth=_worth_after(state, elsewhere),
        waived=state.waived + (len(skipped) if waived else 0),
        next_state=None,
        problem=None,
        first_request=None,
        invoice_until=None,
        held_invoice=None,
    )
    return plan_next(adopted, now, entropy).after(*told)


def _worth_after(state: Outbound, elsewhere: int) -> Worth | None:
    each = most_worth(state)
    if each is None or not elsewhere:
        return state.worth
    paid = Worth(each.currency, elsewhere * each.parts)
    return paid if state.worth is None else state.worth.plus(paid)
