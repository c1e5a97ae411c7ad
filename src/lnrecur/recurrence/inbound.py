"""The payee's state machine.

What it guarantees, whatever order events come in:
- a request of a stranger changes nothing, so nothing is stored for it (Q21);
- at most one payment per counter is claimed: the first claimable one reserves the period, any other is failed back;
  where the node could not hold it and it settled anyway, it is booked as a surplus that is owed back (P1);
- a period counts as paid when its payment is claimed, not before; then the counter advances and the basetime is pinned;
- a valid cancel is recorded once and never answered (Q18), and the unpaid invoice of that period is withdrawn;
- a period whose window closes unpaid is told once, as missed or as waived (P3); it ends the subscription under strict
  windows only;
- the merchant's orders (pause, resume, waive, end) hold from the next request on; a payment that is here already
  counts.

It never knows a clock, a socket, a database or a random number. All transitions are in the table below; a handler that
leads anywhere else is stopped before anything is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lnrecur.recurrence.errors import ImpossibleTransition
from lnrecur.recurrence.inbound_answers import cancel_arrived, request_arrived
from lnrecur.recurrence.inbound_model import (
    CancelArrived,
    Due,
    EndAsked,
    Event,
    Inbound,
    PauseAsked,
    PaymentClaimable,
    PaymentClaimed,
    PaymentReturned,
    Phase,
    RequestArrived,
    ResumeAsked,
    Step,
    WaiveAsked,
)
from lnrecur.recurrence.inbound_orders import end, forgive, pause, resume
from lnrecur.recurrence.inbound_payments import claimable, claimed, reclaimable, returned, surplus, too_late, unwanted
from lnrecur.recurrence.inbound_periods import due
from lnrecur.values import UnixSeconds

Handler = Callable[[Inbound, Any, UnixSeconds], Step]
Row = Mapping[type[Any], tuple[Handler, tuple[Phase, ...]]]
Table = dict[tuple[Phase, type[Any]], tuple[Handler, frozenset[Phase]]]

EVENTS: Final = (
    RequestArrived, CancelArrived, PaymentClaimable, PaymentClaimed, PaymentReturned,
    Due, PauseAsked, ResumeAsked, WaiveAsked, EndAsked,
)  # fmt: skip


def _nothing(state: Inbound, event: Event, now: UnixSeconds) -> Step:
    return Step(state)


def _row(phase: Phase, handlers: Row) -> Table:
    return {(phase, event): (handler, frozenset({phase, *to})) for event, (handler, to) in handlers.items()}


_OVER: Final[Row] = dict.fromkeys((Due, PauseAsked, ResumeAsked, WaiveAsked, EndAsked), (_nothing, ()))

TRANSITIONS: Final[Table] = {
    **_row(Phase.STRANGER, {
        RequestArrived: (request_arrived, ()),
        CancelArrived: (cancel_arrived, ()),
        PaymentClaimable: (claimable, (Phase.STARTING,)),
        PaymentClaimed: (claimed, (Phase.ACTIVE, Phase.COMPLETED)),
        PaymentReturned: (returned, ()),
        Due: (_nothing, ()),
        PauseAsked: (_nothing, ()),
        ResumeAsked: (_nothing, ()),
        WaiveAsked: (_nothing, ()),
        EndAsked: (_nothing, ()),
    }),
    **_row(Phase.STARTING, {
        RequestArrived: (request_arrived, ()),
        CancelArrived: (cancel_arrived, ()),
        PaymentClaimable: (reclaimable, ()),
        PaymentClaimed: (claimed, (Phase.ACTIVE, Phase.COMPLETED)),
        PaymentReturned: (returned, (Phase.STRANGER,)),
        Due: (_nothing, ()),
        PauseAsked: (_nothing, ()),
        ResumeAsked: (_nothing, ()),
        WaiveAsked: (_nothing, ()),
        EndAsked: (end, (Phase.ENDED,)),
    }),
    **_row(Phase.ACTIVE, {
        RequestArrived: (request_arrived, ()),
        CancelArrived: (cancel_arrived, (Phase.CANCELLED,)),
        PaymentClaimable: (claimable, (Phase.RENEWING,)),
        PaymentClaimed: (claimed, (Phase.COMPLETED,)),
        PaymentReturned: (returned, ()),
        Due: (due, (Phase.LAPSED, Phase.ENDED, Phase.COMPLETED)),
        PauseAsked: (pause, ()),
        ResumeAsked: (resume, (Phase.ENDED, Phase.COMPLETED)),
        WaiveAsked: (forgive, (Phase.COMPLETED,)),
        EndAsked: (end, (Phase.ENDED,)),
    }),
    **_row(Phase.RENEWING, {
        RequestArrived: (request_arrived, ()),
        CancelArrived: (too_late, ()),
        PaymentClaimable: (reclaimable, ()),
        PaymentClaimed: (claimed, (Phase.ACTIVE, Phase.COMPLETED)),
        PaymentReturned: (returned, (Phase.ACTIVE,)),
        Due: (due, (Phase.ENDED,)),
        PauseAsked: (pause, ()),
        ResumeAsked: (resume, (Phase.ENDED,)),
        WaiveAsked: (_nothing, ()),
        EndAsked: (end, (Phase.ENDED,)),
    }),
    **_row(Phase.COMPLETED, {
        RequestArrived: (request_arrived, ()),
        CancelArrived: (cancel_arrived, ()),
        PaymentClaimable: (unwanted, ()),
        PaymentClaimed: (surplus, ()),
        PaymentReturned: (returned, ()),
        **_OVER,
    }),
    **_row(Phase.CANCELLED, {
        RequestArrived: (request_arrived, ()),
        CancelArrived: (cancel_arrived, ()),
        PaymentClaimable: (claimable, ()),
        PaymentClaimed: (claimed, ()),
        PaymentReturned: (returned, ()),
        **_OVER,
    }),
    **_row(Phase.LAPSED, {
        RequestArrived: (request_arrived, ()),
        CancelArrived: (cancel_arrived, (Phase.CANCELLED,)),
        PaymentClaimable: (claimable, (Phase.RENEWING,)),
        PaymentClaimed: (claimed, (Phase.ACTIVE, Phase.COMPLETED)),
        PaymentReturned: (returned, ()),
        **_OVER,
    }),
    **_row(Phase.ENDED, {
        RequestArrived: (request_arrived, ()),
        CancelArrived: (cancel_arrived, ()),
        PaymentClaimable: (claimable, ()),
        PaymentClaimed: (claimed, ()),
        PaymentReturned: (returned, ()),
        **_OVER,
    }),
}  # fmt: skip
"""Every (phase, event): the handler, and the phases it may lead to."""


def step(state: Inbound, event: Event, now: UnixSeconds) -> Step:
    """Apply an event.

    Raises:
        ImpossibleTransition: the table above does not allow where the handler led (a bug, never stored).
    """
    handler, allowed = TRANSITIONS[state.phase, type(event)]
    taken = handler(state, event, now)
    if taken.state.phase not in allowed:
        raise ImpossibleTransition(f"{type(event).__name__} in {state.phase} led to {taken.state.phase}")
    return taken
