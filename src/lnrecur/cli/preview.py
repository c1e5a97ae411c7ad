"""`lnrecur preview`: the periods an offer promises, with their pay windows. No daemon, no network.

An offer with a base has one calendar for everybody; one without begins for each payer with the first payment, so its
periods are counted from a moment that the reader chooses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from lnrecur.bolt12 import Offer, Recurrence
from lnrecur.cli.decode import read_offer
from lnrecur.cli.moments import parse_moment
from lnrecur.cli.output import json_option, local_moment, make_console, print_json, print_table, printable
from lnrecur.cli.timeline import Mark, MarkKind, OutcomeKind, Row, draw
from lnrecur.errors import UsageError
from lnrecur.recurrence.errors import CalendarError
from lnrecur.recurrence.windows import END_OF_TIME, end_of, first_open_period, pay_window, start_of
from lnrecur.recurrence.words import recurrence_in_words, rfc3339

_COUNT_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Period:
    """One period: its index, its start, and its pay window as far as it has ends; all in unix seconds."""

    index: int
    start: int
    opens: int | None
    """The first second in which it may be paid; None: from the beginning of time."""
    closes: int | None
    """The first second that is too late; None: never."""


@click.command(short_help="The next periods of a recurring offer, with their pay windows.")
@click.argument("lno")
@click.option("--count", type=click.IntRange(1, _COUNT_MAX), default=5, show_default=True, help="How many periods.")
@click.option(
    "--from",
    "begin",
    default="now",
    show_default=True,
    metavar="TIME",
    help="Where to begin: RFC 3339 (2026-01-31T00:00:00Z; your own zone where none is named), unix seconds, or now.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE.svg",
    help="Draw the periods, their windows, and when we would pay.",
)
@json_option
def preview(lno: str, count: int, begin: str, picture: Path | None, as_json: bool) -> None:
    """Show the next periods of a recurring offer (lno1..., or "-" for standard input), with their pay windows.

    An offer without a base is counted from --from, as if the first payment were made then.
    """
    offer = read_offer(lno)
    recurrence = offer.recurrence
    if recurrence is None:
        raise UsageError("this offer does not recur: it is paid once, and has no periods (lnrecur decode shows it)")
    moment = _begin(begin)
    periods = next_periods(recurrence, moment, count)
    if picture is not None:
        picture.write_text(_picture(offer, recurrence, moment, periods), encoding="utf-8")
    if as_json:
        print_json(_document(offer, recurrence, moment, periods))
    else:
        _show(offer, recurrence, moment, periods)


def _begin(text: str) -> int:
    """The moment of --from, which may be "now"."""
    try:
        return time.time_ns() // 1_000_000_000 if text == "now" else parse_moment(text)
    except UsageError as error:
        raise UsageError(f"--from: {error}", field="from") from error


def next_periods(recurrence: Recurrence, moment: int, count: int) -> list[Period]:
    """At most `count` periods from the one that is open at `moment` on, up to the limit and the end of time."""
    basetime = moment if recurrence.base is None else recurrence.base.basetime
    first = first_open_period(recurrence, moment)
    last = first + count - 1 if recurrence.limit is None else min(first + count - 1, recurrence.limit)
    periods: list[Period] = []
    for index in range(first, last + 1):
        try:
            periods.append(_period(recurrence, basetime, index))
        except CalendarError:
            break  # T7: no later period can be told either
    return periods


def _period(recurrence: Recurrence, basetime: int, index: int) -> Period:
    start = start_of(recurrence, basetime, index)
    if index == 0 and recurrence.base is None:  # T1, T9: the first payment makes this period, whenever it comes
        return Period(index, start, None, None)
    window = pay_window(recurrence, basetime, index)
    opens = None if index == 0 and recurrence.paywindow is None else window.opens
    return Period(index, start, opens, None if window.closes >= END_OF_TIME else window.closes)


def _picture(offer: Offer, recurrence: Recurrence, moment: int, periods: list[Period]) -> str:
    basetime = moment if recurrence.base is None else recurrence.base.basetime
    rows = [_row_of(recurrence, basetime, moment, period) for period in periods]
    told = (recurrence_in_words(offer), "; ".join(_notes(offer, recurrence, moment, periods)))
    return draw(offer.description or "an offer", told, rows, outcomes="we would pay")


def _row_of(recurrence: Recurrence, basetime: int, moment: int, period: Period) -> Row:
    """A period, with the moment at which it would be paid: at its start, as far as its window allows."""
    first, last = period.opens or 0, END_OF_TIME if period.closes is None else period.closes - 1
    at = max(first, min(max(period.start, moment), last))
    row = Row(period.index, period.start, end_of(recurrence, basetime, period.index), period.opens, period.closes)
    row.marks.append(Mark(at, MarkKind.PLANNED))
    row.outcome, row.outcome_kind = local_moment(at), OutcomeKind.PLANNED
    return row


def _notes(offer: Offer, recurrence: Recurrence, moment: int, periods: list[Period]) -> list[str]:
    notes = []
    if recurrence.base is None:
        notes.append(f"period 0 starts with your first payment; here it is counted from {local_moment(moment)}")
    elif periods and periods[0].index:
        notes.append(f"a payer who joins at that moment begins with period {periods[0].index:,}, which is running")
    if recurrence.proportional:
        notes.append("proportional: a period that is running already costs the share that is left of it")
    if offer.absolute_expiry is not None:
        taken = "took" if offer.absolute_expiry < moment else "takes"
        notes.append(f"the offer {taken} new payers until {local_moment(offer.absolute_expiry)}")
    if not periods:
        notes.append("no period is left: the limit or the end of time lies before that moment")
    elif recurrence.limit is not None:
        payments = recurrence.payments_from(periods[0].index)
        notes.append(f"period {recurrence.limit:,} is the last one: {payments:,} payments at most from the first above")
    return notes


def _show(offer: Offer, recurrence: Recurrence, moment: int, periods: list[Period]) -> None:
    console = make_console()
    console.print(printable(recurrence_in_words(offer)), style="bold", soft_wrap=True)
    if periods:
        console.print()
        print_table(console, ("period", "starts", "may be paid from", "and before"), map(_row, periods))
    console.print()
    for note in _notes(offer, recurrence, moment, periods):
        console.print(note, soft_wrap=True)


def _row(period: Period) -> tuple[str, str, str, str]:
    opens, closes = ("any time" if bound is None else local_moment(bound) for bound in (period.opens, period.closes))
    return f"{period.index:,}", local_moment(period.start), opens, closes


def _document(offer: Offer, recurrence: Recurrence, moment: int, periods: list[Period]) -> dict[str, Any]:
    """The machine's view: moments in RFC 3339 (UTC) and as `_unix` seconds; null for a window without that end."""
    return {
        "offer_id": offer.offer_id.hex(),
        "words": recurrence_in_words(offer),
        "counted_from": "first_payment" if recurrence.base is None else "base",
        "from": rfc3339(moment),
        "from_unix": moment,
        "limit": recurrence.limit,
        "payments_max": recurrence.payments_from(first_open_period(recurrence, moment)),
        "periods": [_period_document(period) for period in periods],
        "ends_with_limit": not periods or periods[-1].index == recurrence.limit,
    }


def _period_document(period: Period) -> dict[str, Any]:
    document: dict[str, Any] = {"index": period.index}
    for name, unix in (("starts", period.start), ("opens", period.opens), ("closes", period.closes)):
        document |= {name: None if unix is None else rfc3339(unix), f"{name}_unix": unix}
    return document
