"""Why payments fail, in words, and what each reason allows: one line for each reason a money node can give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from lnrecur.recurrence.outbound_model import Outbound, PendingPayment
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.recurrence.words import amount_in_words


@dataclass(frozen=True, slots=True)
class Failure:
    """One reason.

    `patient`: it is in the subscriber's hand, so tries are not counted as long as the pay window is open. `event`: told
    beside `subscription.payment_failed` when it is new.
    """

    told: str
    patient: bool = False
    event: str | None = None


REUSED_HASH: Final = "reused_hash"
FAILURES: Final = {
    "insufficient_funds": Failure(
        "your node has less than {amount} to send: put in funds{in_time}",
        patient=True,
        event="subscription.insufficient_funds",
    ),
    "no_route": Failure("your node finds no route with enough capacity to the payee's node"),
    "payee_unreachable": Failure("the payee's node did not take the payment: it may be offline"),
    "fee_limit": Failure("every route costs more than the {fee} of fees that the mandate allows"),
    "refused_by_payee": Failure("the payee's node refused it: a new invoice is asked for"),
    "expired": Failure("the invoice expired before it was paid: a new one is asked for"),
    REUSED_HASH: Failure("its invoice has the payment hash of an earlier payment, so nothing was paid for it"),
    "other": Failure("your node does not say why"),
}
"""By the reason's value in `lnrecur.ports.FailureReason`, and one of our own."""
_PATIENT_CAP_S: Final = 3600
_UNKNOWN: Final = Failure("your node refused it")


def failure_of(reason: str) -> Failure:
    """The line for a reason."""
    return FAILURES.get(reason, _UNKNOWN)


def failure_in_words(payment: PendingPayment, reason: str) -> str:
    """What went wrong, for the person who can do something about it."""
    told = failure_of(reason).told.format(
        amount=amount_in_words(payment.amount_msat),
        fee=amount_in_words(payment.max_fee_msat),
        in_time=" before the pay window closes" if payment.counter else "",  # the first payment has none
    )
    return f"payment failed ({reason}): {told}"


def retry_of(state: Outbound, reason: str) -> RetryPolicy:
    """The policy for new tries after this failure: where somebody has to act first, once an hour is often enough."""
    policy = state.terms.payment_retry
    return replace(policy, cap_s=max(policy.cap_s, _PATIENT_CAP_S)) if failure_of(reason).patient else policy


def is_over(state: Outbound, reason: str, tries: int, *, bounded: bool) -> bool:
    """Whether a payment that failed `tries` times is given up; `bounded`: an open pay window ends the trying."""
    patient = failure_of(reason).patient
    if patient and state.one_off:  # whoever ordered it is there, and can order it again
        return True
    if patient and bounded:
        return False
    return state.terms.payment_retry.gives_up_after(tries, bounded=bounded)
