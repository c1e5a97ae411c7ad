"""The timeline of a simulated subscription: what its trace says, period by period."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lnrecur.bolt12 import Recurrence
from lnrecur.cli.timeline import Mark, MarkKind, OutcomeKind, Row
from lnrecur.errors import UsageError
from lnrecur.recurrence.windows import END_OF_TIME, end_of, pay_window, start_of
from lnrecur.recurrence.words import amount_in_words
from lnrecur.testing.simulator.facts import Subscription
from lnrecur.testing.simulator.trace import Line
from lnrecur.values import Msat

_MARKS: Final = {
    "subscription.requested": MarkKind.ASKED,
    "payment.started": MarkKind.STARTED,
    "payment.retried": MarkKind.STARTED,
    "subscription.created": MarkKind.PAID,
    "subscription.renewed": MarkKind.PAID,
    "subscription.payment_failed": MarkKind.FAILED,
    "subscription.request_refused": MarkKind.FAILED,
}
_BAD: Final = {"subscription.missed": "missed", "subscription.given_up": "given up", "subscription.ended": "ended"}
_PLAIN: Final = {
    "subscription.waived": "waived",
    "subscription.adopted": "paid elsewhere",
    "subscription.needs_approval": "waits for approval",
    "subscription.cancel_asked": "cancelled",
    "subscription.paused": "paused",
}
_ROWS_MAX: Final = 1000


def longest_of(subscriptions: Sequence[Subscription], slot: int | None = None) -> Subscription:
    """Of those that held a slot (None: any), the one with the most payments.

    Raises:
        UsageError: nobody held it.
    """
    held = [known for known in subscriptions if slot in (None, known.slot)]
    if not held:
        raise UsageError("nobody has subscribed there, so there is nothing to draw", field="subscription")
    return max(held, key=lambda known: (len(known.settled), -known.generation))


def rows_of(known: Subscription, lines: Sequence[Line]) -> list[Row]:
    """Its periods, from the first to the last that anything is told of; a single payment has none."""
    if known.recurrence is None:
        return []
    told = _of_generation(known, lines)
    base = known.recurrence.base
    paid = next((line.at for line in told if line.told == "subscription.created"), told[0].at)
    asked = [line.at for line in told if line.told.startswith("invoice for counter 0") and line.at <= paid]
    basetime = base.basetime if base is not None else (asked[-1] if asked else paid)
    rows: dict[int, Row] = {}
    for line in told:
        counter = line.data.get("counter")
        if line.kind == "event" and line.node == known.person and isinstance(counter, int) and counter < _ROWS_MAX:
            _note(rows.setdefault(counter, _row(known, known.recurrence, basetime, counter)), line)
    for line in told:
        if line.kind == "power" and ("is up" not in line.told and "again" not in line.told):
            _note_down(rows, line)
    return [rows[counter] for counter in sorted(rows)]


def _of_generation(known: Subscription, lines: Sequence[Line]) -> list[Line]:
    """The lines between this subscription's beginning and that of the next one in its slot."""
    begins = [line.at for line in lines if line.told.startswith("subscribes to") and known.slot in line.slots]
    first = begins[known.generation] if known.generation < len(begins) else 0
    last = begins[known.generation + 1] if known.generation + 1 < len(begins) else END_OF_TIME
    return [line for line in lines if first <= line.at < last and (known.slot in line.slots or not line.slots)]


def _row(known: Subscription, recurrence: Recurrence, basetime: int, counter: int) -> Row:
    index = (known.terms.start or 0) + counter
    window = pay_window(recurrence, basetime, index)
    free = index == 0 and recurrence.base is None
    start = start_of(recurrence, basetime, index)
    return Row(
        index=index,
        start=start,
        end=min(end_of(recurrence, basetime, index), END_OF_TIME),
        opens=start if free else window.opens,
        closes=window.closes if window.closes < END_OF_TIME else None,
    )


def _note(row: Row, line: Line) -> None:
    if line.told in _MARKS:
        row.marks.append(Mark(line.at, _MARKS[line.told]))
    amount = line.data.get("amount_msat")
    if _MARKS.get(line.told) is MarkKind.PAID and isinstance(amount, int):
        late = row.closes is not None and line.at >= row.closes
        row.outcome, row.outcome_kind = (
            f"paid {amount_in_words(Msat(amount))}{', late' if late else ''}",
            OutcomeKind.PAID,
        )
    elif row.outcome_kind is not OutcomeKind.PAID and line.told in _BAD:
        row.outcome, row.outcome_kind = _BAD[line.told], OutcomeKind.BAD
    elif row.outcome_kind is OutcomeKind.PLAIN and line.told in _PLAIN:
        row.outcome = _PLAIN[line.told]


def _note_down(rows: dict[int, Row], line: Line) -> None:
    for row in rows.values():
        if row.start <= line.at < row.end:
            row.marks.append(Mark(line.at, MarkKind.DOWN))
