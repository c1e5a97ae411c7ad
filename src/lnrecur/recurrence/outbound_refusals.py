"""What an outbound subscription does about a refusal; what refusals mean stands in the table of `refusals.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.recurrence.effects import AskPaymentStatus, Effect, Emit, Facts
from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.invoice_checks import CLOCK_SKEW_S
from lnrecur.recurrence.outbound_adopting import adopt, believable
from lnrecur.recurrence.outbound_approvals import needs_approval
from lnrecur.recurrence.outbound_endings import lapse
from lnrecur.recurrence.outbound_model import Outbound, PaymentFailed, PaymentUnknown, RefusalArrived, Step, Wait
from lnrecur.recurrence.outbound_times import basetime_of, closing, first_due, not_past_closing
from lnrecur.recurrence.refusals import Refusal, Verdict, read_refusal
from lnrecur.recurrence.windows import first_open_period, first_payable_period, start_of
from lnrecur.recurrence.words import recurrence_in_words
from lnrecur.values import BITCOIN, UnixSeconds
from lnrecur.wire.errors import WireError


def refused(state: Outbound, event: RefusalArrived, now: UnixSeconds) -> Step:
    """An invoice_error: what it means is looked up, and done: end, wait, try later, adopt, or ask a person."""
    if state.request is None:  # it answers a request that was given up
        return Step(state)
    try:
        refusal = read_refusal(event.error)
    except (WireError, Bolt12Error) as unreadable:
        told = f"an unreadable refusal: {unreadable}"
        return Step(replace(state, problem=told), (Emit("subscription.request_refused", {"why": told}),))
    problem = f"the payee refuses: {refusal.text}"
    again = state.problem == problem
    times = state.refusals if again else 0
    verdict = refusal.verdict_after(times)
    noted = replace(state, problem=problem, refusals=times + 1, payee_paused=verdict is Verdict.PAUSED)
    data: Facts = {"why": refusal.text, "field": refusal.field, "counter": state.next_counter, "verdict": verdict.value}
    emitted: tuple[Effect, ...] = (
        () if again and verdict in _TOLD_ONCE else (Emit("subscription.request_refused", data),)
    )
    if refusal.row.asks_node and state.given_up is not None:
        emitted = (*emitted, AskPaymentStatus(state.given_up.payment_hash))
    return _DEEDS[verdict](noted, refusal, event, now).after(*emitted)


def answered_about_given_up(state: Outbound, event: PaymentFailed | PaymentUnknown, now: UnixSeconds) -> Step:
    """The money node confirms that an earlier payment of this period failed: then somebody else has settled it."""
    given_up = state.given_up
    if given_up is None or event.payment_hash != given_up.payment_hash or state.adopting is None:
        return Step(state)
    believed = replace(state, given_up=None)
    return adopt(believed, state.adopting, state.problem or "", now, event.entropy)


def _later(state: Outbound, refusal: Refusal, event: RefusalArrived, now: UnixSeconds) -> Step:
    return Step(state)


def _wait(state: Outbound, refusal: Refusal, event: RefusalArrived, now: UnixSeconds) -> Step:
    """Until the moment the payee names, if that can be one: a period is due at its start, by whoever's clock."""
    closes, latest = closing(state), _start_by_any_clock(state)
    if state.request is None or refusal.until is None or latest is None or not now < refusal.until <= latest:
        return Step(state)
    if closes is not None and refusal.until >= closes:
        return Step(state)
    request = replace(state.request, since=refusal.until)
    return Step(replace(state, request=request, wake_at=not_past_closing(state, refusal.until, now)))


def _start_by_any_clock(state: Outbound) -> int | None:
    """The latest second at which a clock that is no more wrong than we bear shows the start of the next period."""
    basetime = None if state.one_off else basetime_of(state)
    try:
        return None if basetime is None else start_of(state.recurrence, basetime, state.next_index) + CLOCK_SKEW_S
    except CalendarError:  # T7
        return None


def _missed(state: Outbound, refusal: Refusal, event: RefusalArrived, now: UnixSeconds) -> Step:
    """The payee's clock decides: it will not serve this period any more, and therefore none behind it."""
    later = _later_start(state, refusal, now)
    if later is not None:
        return later
    data: Facts = {"counter": state.next_counter, "index": state.next_index, "why": refusal.text}
    told = () if state.next_counter < state.missed_through else (Emit("subscription.missed", data),)
    return lapse(state, "subscription.given_up", state.problem or refusal.text).after(*told)


def _later_start(state: Outbound, refusal: Refusal, now: UnixSeconds) -> Step | None:
    """While nothing is paid, a period that has passed is none of ours: begin with one that can still be paid."""
    recurrence, start = state.offer.recurrence, state.terms.start
    if state.one_off or state.next_counter or recurrence is None or start is None:
        return None
    first = first_payable_period if state.habits.binds_first else first_open_period
    later = max(start + 1, first(recurrence, now))
    if recurrence.payments_from(later) == 0:
        return None
    wake_at = first_due(state.offer, later, now)
    terms = replace(state.terms, start=later)
    moved = replace(state, terms=terms, request=None, first_request=None, problem=None, wake_at=wake_at)
    return Step(moved, (Emit("subscription.start_moved", {"old": start, "new": later, "why": refusal.text}),))


def _ended(state: Outbound, refusal: Refusal, event: RefusalArrived, now: UnixSeconds) -> Step:
    return lapse(state, "subscription.ended", refusal.text, {"meaning": refusal.row.meaning})


def _final(state: Outbound, refusal: Refusal, event: RefusalArrived, now: UnixSeconds) -> Step:
    return lapse(state, "subscription.given_up", state.problem or refusal.text, {"meaning": refusal.row.meaning})


def _adopt(state: Outbound, refusal: Refusal, event: RefusalArrived, now: UnixSeconds) -> Step:
    """Settled without us, they say. A payment of ours that was given up is asked about first."""
    told = state.next_counter + 1 if refusal.next_counter is None else refusal.next_counter
    through = believable(state, told, now)
    if through <= state.next_counter:
        return Step(state)
    if state.given_up is not None:
        return Step(replace(state, adopting=through), (AskPaymentStatus(state.given_up.payment_hash),))
    waived = refusal.row.verdict is Verdict.WAIVED
    return adopt(state, through, refusal.text, now, event.entropy, waived=waived)


def _changed(state: Outbound, refusal: Refusal, event: RefusalArrived, now: UnixSeconds) -> Step:
    changed = replace(state, new_offer=refusal.new_offer)
    if refusal.new_offer is None or state.one_off:
        return lapse(state, "subscription.ended", refusal.text)
    offer = replace(state, offer_bytes=refusal.new_offer).offer
    if offer.recurrence is None or (state.terms.chain or BITCOIN) not in offer.accepted_chains:
        return lapse(state, "subscription.ended", f"{refusal.text} (which is no subscription on our chain)")
    another = offer.issuer_id != state.offer.issuer_id
    data: Facts = {
        "new_offer": offer.to_text(),
        "new_terms": recurrence_in_words(offer),
        "another_key": another,
        "issuer_id": None if offer.issuer_id is None else offer.issuer_id.hex(),
    }
    told = f"the payee has a new offer in place of this one: {recurrence_in_words(offer)}"
    if another:
        told += "; MIND: its invoices are signed by another key than those so far"
    waiting = needs_approval(changed, Wait.NEW_OFFER, told, data)
    return Step(replace(waiting.state, wake_at=None), waiting.effects)


def _ask(state: Outbound, refusal: Refusal, event: RefusalArrived, now: UnixSeconds) -> Step:
    if state.one_off:
        return _final(state, refusal, event, now)
    told = f"{state.problem} ({refusal.row.meaning})"
    return needs_approval(state, Wait.REFUSAL, told, {"meaning": refusal.row.meaning})


_TOLD_ONCE: Final = (Verdict.LATER, Verdict.PAUSED)
_DEEDS: Final[dict[Verdict, Callable[[Outbound, Refusal, RefusalArrived, UnixSeconds], Step]]] = {
    Verdict.LATER: _later,
    Verdict.PAUSED: _later,
    Verdict.WAIT: _wait,
    Verdict.MISSED: _missed,
    Verdict.ENDED: _ended,
    Verdict.FINAL: _final,
    Verdict.ADOPT: _adopt,
    Verdict.WAIVED: _adopt,
    Verdict.CHANGED: _changed,
    Verdict.ASK: _ask,
}
