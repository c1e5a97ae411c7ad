"""What a subscriber decides apart from the mandate: who starts a payment, when, and what happens when it fails."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lnrecur.recurrence.retry import PAYMENT_RETRY, REQUEST_RETRY, RetryPolicy

GIVE_UP_AFTER_S: Final = 86_400
"""A day: a payee that was switched off for the night is found in the morning."""


class Trigger(StrEnum):
    """Who starts the payment of a due period."""

    AUTOMATIC = "automatic"
    """We do, within the mandate."""
    ON_APPROVAL = "on_approval"
    """A person does, each time."""


class Missed(StrEnum):
    """What to do about a period whose window closed before it could be paid."""

    STOP = "stop"
    CATCH_UP = "catch_up"
    """Go on in order, late; the payee may refuse."""


class PayAt(StrEnum):
    """Where in its pay window a period is asked for."""

    START = "start"
    """When the period starts, or as near to it as the window allows."""
    EARLIEST = "earliest"
    """When the window opens."""
    BEFORE_END = "before_end"
    """`margin_s` before the window closes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the subscriber decided, apart from the mandate."""

    trigger: Trigger = Trigger.AUTOMATIC
    missed: Missed = Missed.STOP
    request_retry: RetryPolicy = REQUEST_RETRY
    payment_retry: RetryPolicy = PAYMENT_RETRY
    start: int | None = None
    """invreq_recurrence_start: the period to begin with; present exactly when the offer has a base (Q3)."""
    quantity: int | None = None
    payer_note: str | None = None
    chain: bytes | None = None
    """invreq_chain, where it is not bitcoin."""
    via: tuple[str, ...] = ()
    """Addresses (ID@HOST:PORT) the payee, or an introduction to it, can be dialled at."""
    pay_at: PayAt = PayAt.START
    margin_s: int = 0
    """For `PayAt.BEFORE_END`: how long before the window closes."""
    jitter_s: int | None = None
    """A request goes out up to this much later, so that a million payers do not knock in the same second; None: up to
    an hour, or the twentieth part of the pay window where that is less. Never more than half of what is left of it."""
    give_up_after_s: int | None = GIVE_UP_AFTER_S
    """The first request, which no window bounds, is sent for so long; None: until the offer expires."""
    ask_if_price_differs: bool = False
    """Whether a person is asked about an invoice within the mandate that asks for another amount than the price."""
