"""How an outbound subscription asks a person, and what it does with the answer (V8, V10)."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.recurrence.effects import Emit, Facts
from lnrecur.recurrence.mandate import MandateExceeded
from lnrecur.recurrence.outbound_adopting import adopt
from lnrecur.recurrence.outbound_amending import changes_of_mandate
from lnrecur.recurrence.outbound_endings import cancelled_after, lapse
from lnrecur.recurrence.outbound_missed import tell_missed
from lnrecur.recurrence.outbound_model import Approved, Declined, Due, Outbound, Phase, Step, Wait
from lnrecur.recurrence.outbound_prices import check_amount_said
from lnrecur.recurrence.outbound_questions import check_question
from lnrecur.recurrence.outbound_times import next_ending
from lnrecur.values import Msat, UnixSeconds


def over_mandate(state: Outbound, amount: Msat | None, excess: MandateExceeded) -> Step:
    """A payment of `amount` is outside the mandate: nothing is paid before a person agrees (V8).

    Nobody is asked about a single payment: whoever ordered it is there, and orders it again.
    """
    if state.one_off:
        return lapse(state, "subscription.given_up", excess.told)
    data: Facts = {"limit": excess.limit.value, "amount_msat": amount}
    return needs_approval(state, Wait.MANDATE, excess.told, data, amount)


def needs_approval(state: Outbound, wait: Wait, told: str, data: Facts, amount: Msat | None = None) -> Step:
    """Wait for a person, at most until the pay window closes. A yes is to `amount`, not to one told before.

    Where an invoice that expires unpaid ends the subscription, the person is told until when (habits.py, 11).
    """
    waiting = replace(
        state,
        phase=Phase.NEEDS_APPROVAL,
        waits_for=wait,
        awaiting_msat=amount,
        request=None,
        problem=told,
        wake_at=next_ending(state),
    )
    until: Facts = {} if state.invoice_until is None else {"invoice_expires_at": state.invoice_until}
    facts: Facts = {"why": told, "waits_for": wait.value, "counter": state.next_counter, **data, **until}
    return Step(waiting, (Emit("subscription.needs_approval", facts),))


def approved(state: Outbound, event: Approved, now: UnixSeconds) -> Step:
    """A person agrees: to this very payment, to a new mandate, to catching up, to a new offer, to asking once more.

    Raises:
        OtherQuestion: to something that is not asked now.
    """
    check_question(state, event.question)
    told = Emit("subscription.approved", {"counter": state.next_counter})
    if state.waits_for is Wait.NEW_OFFER:
        return _replaced(state, event)
    if event.paid_elsewhere:
        if state.waits_for is not Wait.REFUSAL:
            return Step(state)
        why = "a person says that it was paid elsewhere"
        return adopt(state, state.next_counter + 1, why, now, event.entropy).after(told)
    mandate = state.mandate if event.mandate is None else event.mandate
    check_amount_said(state.offer, mandate)
    agreed = replace(
        state,
        phase=state.asking_phase,
        waits_for=None,
        mandate=mandate,
        approved_counter=state.next_counter,
        approved_msat=state.awaiting_msat if event.mandate is None else None,
        catch_up_through=max(state.catch_up_through, state.missed_through),
        awaiting_msat=None,
        refusals=0,
        problem=None,
        wake_at=now,
    )
    return Step(agreed, (told, *changes_of_mandate(state.mandate, mandate)))


def _replaced(state: Outbound, event: Approved) -> Step:
    if event.successor is None:
        return Step(state)
    name = event.successor.recurrence_id.hex()
    step = lapse(state, "subscription.replaced", f"goes on as {name}", {"replaced_by": name})
    return replace(step, begins=event.successor)


def declined(state: Outbound, event: Declined, now: UnixSeconds) -> Step:
    """A person does not agree. Periods are paid in order, so without this one there is no next one: it is over.

    Raises:
        OtherQuestion: with something that is not asked now.
    """
    check_question(state, event.question)
    told = Emit("subscription.declined", {"counter": state.next_counter, "why": state.problem})
    return cancelled_after(state, now).after(told)


def approval_late(state: Outbound, event: Due, now: UnixSeconds) -> Step:
    """The window of the period that waits for approval may have closed, or its invoice may have expired."""
    missed = tell_missed(state, now)
    if missed.state.is_final:
        return missed
    return Step(replace(missed.state, wake_at=next_ending(missed.state)), missed.effects)
