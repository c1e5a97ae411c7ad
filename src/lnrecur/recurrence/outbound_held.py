"""An invoice that is at hand while a person thinks, where its payee never makes another one for its period."""

from __future__ import annotations

from dataclasses import replace

from lnrecur.recurrence import outbound_approvals
from lnrecur.recurrence.outbound_model import Approved, InvoiceArrived, Outbound, PendingRequest, Phase, Step, Wait
from lnrecur.recurrence.outbound_paying import invoice_arrived
from lnrecur.values import UnixSeconds


def approved(state: Outbound, event: Approved, now: UnixSeconds) -> Step:
    """A person agrees. What was asked about is paid at once if it is still at hand, else it is asked for anew.

    Its payee may be away by now, and would answer with this very invoice (habits.py, 5 and 11). All checks are made
    again: a new mandate may not allow it, and a limit in a currency wants a rate of this moment.
    """
    agreed = outbound_approvals.approved(state, event, now)
    held, first, until = state.held_invoice, state.first_request, state.invoice_until
    asked_about_it = state.waits_for in (Wait.MANDATE, Wait.PRICE) and agreed.state.phase is state.asking_phase
    if held is None or first is None or until is None or now > until or not asked_about_it:
        return agreed
    waiting = replace(agreed.state, request=PendingRequest(state.next_counter, first))
    taken = invoice_arrived(waiting, InvoiceArrived(held), now)
    return taken.after(*agreed.effects) if taken.state.phase is Phase.PAYING else agreed
