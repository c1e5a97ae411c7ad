"""Sorting the effects of a step: what is stored to be done, and what is a record of the step itself."""

from __future__ import annotations

from collections.abc import Iterable

from lnrecur.ports import Change
from lnrecur.ports.manager import S
from lnrecur.recurrence.effects import (
    AskPaymentStatus,
    Book,
    Claim,
    Effect,
    Emit,
    FailBack,
    Pay,
    SendCancel,
    SendInvoiceRequest,
)
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.values import UnixSeconds

_STORED = (SendInvoiceRequest, SendCancel, Pay, AskPaymentStatus, Claim, FailBack)


def change_of(
    state: S,
    effects: Iterable[Effect],
    *,
    version: int | None,
    at: UnixSeconds,
    receipt_cursor: str | None = None,
    begins: Outbound | None = None,
) -> Change[S]:
    """What a step leaves to be stored, in one transaction; `version` and `at` are those the step started from."""
    kept = tuple(effects)
    return Change(
        state=state,
        version=version,
        at=at,
        outbox=tuple(effect for effect in kept if isinstance(effect, _STORED)),
        events=tuple(effect for effect in kept if isinstance(effect, Emit)),
        bookings=tuple(effect for effect in kept if isinstance(effect, Book)),
        receipt_cursor=receipt_cursor,
        begins=begins,
    )


def changes_nothing(change: Change[S], before: S) -> bool:
    """Whether there is nothing to store of it: the same state, nothing to do, nothing to tell."""
    return change.state == before and not (change.outbox or change.events or change.bookings)
