"""The payer's state machine.

What it guarantees, whatever order events come in:
- a payment is started only for the next unpaid counter, within the mandate, for an invoice that was proven to be the
  answer to our own request (P1, P2);
- while a payment may be in flight nothing else is asked or paid: the machine asks the money node by payment_hash, and
  only its word that a payment failed, or was never recorded, allows another try (Money rules);
- the period that a failed, missed or refused payment leaves unpaid is told by an event (P3).

It never knows a clock, a socket, a database or a random number: time is an argument, randomness comes inside events,
and everything to be done comes out as effects. All transitions are in the table below; a handler that leads anywhere
else is stopped before anything is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lnrecur.recurrence.errors import ImpossibleTransition
from lnrecur.recurrence.outbound_amending import amended, amended_idle, amended_in_flight
from lnrecur.recurrence.outbound_approvals import approval_late, declined
from lnrecur.recurrence.outbound_asking import ask_again, due, unreachable
from lnrecur.recurrence.outbound_endings import cancel, cancel_later, send_cancel
from lnrecur.recurrence.outbound_held import approved
from lnrecur.recurrence.outbound_model import (
    Amended,
    Approved,
    CancelAsked,
    Declined,
    Due,
    Event,
    InvoiceArrived,
    NodeSilent,
    Outbound,
    PauseAsked,
    PaymentFailed,
    PaymentSettled,
    PaymentUnknown,
    Phase,
    RefusalArrived,
    ResumeAsked,
    Step,
    Unreachable,
)
from lnrecur.recurrence.outbound_one_off import as_one_off
from lnrecur.recurrence.outbound_pauses import pause, pause_later, paused_due, resume, stay_unpaused
from lnrecur.recurrence.outbound_paying import (
    given_up_settled,
    invoice_arrived,
    node_silent,
    payment_due,
    payment_failed,
    payment_settled,
    payment_unknown,
)
from lnrecur.recurrence.outbound_refusals import answered_about_given_up, refused
from lnrecur.values import UnixSeconds

Handler = Callable[[Outbound, Any, UnixSeconds], Step]
Row = Mapping[type[Any], tuple[Handler, tuple[Phase, ...]]]
Table = dict[tuple[Phase, type[Any]], tuple[Handler, frozenset[Phase]]]


def _nothing(state: Outbound, event: Event, now: UnixSeconds) -> Step:
    """The event comes too late, or twice, to mean anything here."""
    return Step(state)


_ASKING: Final = (Phase.AWAITING_FIRST_INVOICE, Phase.REQUESTING)


def _row(phase: Phase, handlers: Row) -> Table:
    """A phase's row: what is not named is an event that means nothing there."""
    row: Table = {(phase, event): (_nothing, frozenset({phase})) for event in EVENTS}
    row.update({(phase, event): (handler, frozenset({phase, *to})) for event, (handler, to) in handlers.items()})
    return row


EVENTS: Final = (
    Due, InvoiceArrived, RefusalArrived, Unreachable, PaymentSettled, PaymentFailed, PaymentUnknown, NodeSilent,
    CancelAsked, Approved, Declined, PauseAsked, ResumeAsked, Amended,
)  # fmt: skip
_OUT_OF_REQUEST: Final[Row] = {
    InvoiceArrived: (invoice_arrived, (Phase.PAYING, Phase.NEEDS_APPROVAL, Phase.LAPSED)),
    RefusalArrived: (refused, (Phase.IDLE, Phase.NEEDS_APPROVAL, Phase.COMPLETED, Phase.LAPSED)),
    Unreachable: (unreachable, ()),
    PaymentSettled: (given_up_settled, (Phase.IDLE, Phase.COMPLETED, Phase.LAPSED)),
    PaymentFailed: (answered_about_given_up, (Phase.IDLE, Phase.COMPLETED, Phase.LAPSED)),
    PaymentUnknown: (answered_about_given_up, (Phase.IDLE, Phase.COMPLETED, Phase.LAPSED)),
    PauseAsked: (pause, (Phase.PAUSED,)),
    Amended: (amended, ()),
}

TRANSITIONS: Final[Table] = {
    **_row(Phase.AWAITING_FIRST_INVOICE, {
        Due: (ask_again, (Phase.NEEDS_APPROVAL, Phase.LAPSED)),
        CancelAsked: (cancel, (Phase.CANCELLED,)),
        **_OUT_OF_REQUEST,
    }),
    **_row(Phase.IDLE, {
        Due: (due, (Phase.REQUESTING, Phase.NEEDS_APPROVAL, Phase.LAPSED)),
        CancelAsked: (cancel, (Phase.CANCELLING,)),
        PauseAsked: (pause, (Phase.PAUSED,)),
        Amended: (amended_idle, ()),
    }),
    **_row(Phase.REQUESTING, {
        Due: (ask_again, (Phase.NEEDS_APPROVAL, Phase.LAPSED)),
        CancelAsked: (cancel, (Phase.CANCELLING,)),
        **_OUT_OF_REQUEST,
        InvoiceArrived: (invoice_arrived, (Phase.PAYING, Phase.NEEDS_APPROVAL)),
    }),
    **_row(Phase.PAYING, {
        Due: (payment_due, _ASKING),
        PaymentSettled: (payment_settled, (
            Phase.IDLE, Phase.COMPLETED, Phase.CANCELLING, Phase.PAUSED, Phase.LAPSED,
        )),
        PaymentFailed: (payment_failed, (Phase.CANCELLING, Phase.CANCELLED, Phase.PAUSED, Phase.LAPSED)),
        NodeSilent: (node_silent, ()),
        PaymentUnknown: (payment_unknown, (Phase.CANCELLING, Phase.CANCELLED, Phase.PAUSED)),
        CancelAsked: (cancel_later, (Phase.CANCELLING, Phase.CANCELLED)),
        PauseAsked: (pause_later, (Phase.PAUSED,)),
        ResumeAsked: (stay_unpaused, ()),
        Amended: (amended_in_flight, ()),
    }),
    **_row(Phase.NEEDS_APPROVAL, {
        Due: (approval_late, (Phase.LAPSED,)),
        Approved: (approved, (*_ASKING, Phase.PAYING, Phase.IDLE, Phase.COMPLETED, Phase.LAPSED)),
        Declined: (declined, (Phase.CANCELLING, Phase.CANCELLED)),
        CancelAsked: (cancel, (Phase.CANCELLING, Phase.CANCELLED)),
        PauseAsked: (pause, (Phase.PAUSED,)),
        Amended: (amended, _ASKING),
    }),
    **_row(Phase.PAUSED, {
        Due: (paused_due, (Phase.LAPSED,)),
        ResumeAsked: (resume, (Phase.AWAITING_FIRST_INVOICE, Phase.IDLE)),
        CancelAsked: (cancel, (Phase.CANCELLING, Phase.CANCELLED)),
        Amended: (amended_in_flight, ()),
    }),
    **_row(Phase.CANCELLING, {Due: (send_cancel, (Phase.CANCELLED,))}),
    **_row(Phase.COMPLETED, {}),
    **_row(Phase.CANCELLED, {}),
    **_row(Phase.LAPSED, {}),
}  # fmt: skip
"""Every (phase, event): the handler, and the phases it may lead to."""


def step(state: Outbound, event: Event, now: UnixSeconds) -> Step:
    """Apply an event. A `Due` that comes before its time, or twice, changes nothing: it must not pay a period early.

    Raises:
        ImpossibleTransition: the table above does not allow where the handler led (a bug, never stored).
    """
    if isinstance(event, Due) and (state.wake_at is None or now < state.wake_at):
        return Step(state)
    handler, allowed = TRANSITIONS[state.phase, type(event)]
    taken = handler(state, event, now)
    if taken.state.phase not in allowed:
        told = f"{type(event).__name__} in {state.phase} led to {taken.state.phase}"
        raise ImpossibleTransition(told)
    return as_one_off(taken) if state.one_off else taken
