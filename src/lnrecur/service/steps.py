"""Sorting the effects of a step: what is stored to be done, and what is a record of the step itself."""

from __future__ import annotations

from collections.abc import Iterable

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
    StoredEffect,
)

_STORED = (SendInvoiceRequest, SendCancel, Pay, AskPaymentStatus, Claim, FailBack)


def stored_effects(effects: Iterable[Effect]) -> tuple[StoredEffect, ...]:
    """What goes through the outbox."""
    return tuple(effect for effect in effects if isinstance(effect, _STORED))


def records_of(effects: Iterable[Effect]) -> tuple[tuple[Book, ...], tuple[Emit, ...]]:
    """The bookings and the events of a step."""
    kept = tuple(effects)
    bookings = tuple(effect for effect in kept if isinstance(effect, Book))
    return bookings, tuple(effect for effect in kept if isinstance(effect, Emit))
