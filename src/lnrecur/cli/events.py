"""lnrecur events: the durable event log, once or as it grows."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import click

from lnrecur.cli.client import Client, home_option
from lnrecur.cli.facts import facts_in_words
from lnrecur.cli.moments import local_time
from lnrecur.cli.output import json_option, make_console, print_json, print_table
from lnrecur.daemon.config import Home

_PAGE: Final = 1000
_WAIT_S: Final = 30
_ID_SHOWN: Final = 12
_COLUMNS: Final = ("id", "when", "event", "about", "")


@click.command("events", short_help="The durable event log.")
@click.option("--after", type=click.IntRange(0), help="Everything behind this id, instead of the last events.")
@click.option("--last", type=click.IntRange(0), default=50, show_default=True, help="How many, without --after.")
@click.option("--subscription", metavar="ID", default="", help="Only of this subscription, by the beginning of its id.")
@click.option("--follow", is_flag=True, help="Wait for more, until interrupted.")
@home_option
@json_option
def events(after: int | None, last: int, subscription: str, follow: bool, home: Home, as_json: bool) -> None:
    """Show the event log, oldest first (docs/events.md says what each event means).

    With --json one document {"events": [...]}; with --follow too, one JSON object a line.
    """
    client = Client(home)
    wanted = subscription.lower()
    pages = _pages(client, after or 0, follow=False)
    found = [event for page in pages for event in page if _is_of(event, wanted)]
    shown = found if after is not None else list(deque(found, maxlen=last))
    behind = max((event["id"] for event in found), default=after or 0)
    if as_json and not follow:
        print_json({"events": shown})
        return
    _show(shown, as_json=as_json, headings=True)
    if follow:
        for page in _pages(client, behind, follow=True):
            _show([event for event in page if _is_of(event, wanted)], as_json=as_json, headings=False)


def _pages(client: Client, after: int, *, follow: bool) -> Iterator[list[dict[str, Any]]]:
    """The log behind an id, page by page; where it ends, or with `follow` for ever."""
    while True:
        page = client.get("/v1/events", after=after, limit=_PAGE, wait=_WAIT_S if follow else 0)["events"]
        if page:
            yield page
            after = page[-1]["id"]
        elif not follow:
            return


def _is_of(event: dict[str, Any], wanted: str) -> bool:
    return not wanted or (event["subscription"] or "").startswith(wanted)


def _show(found: list[dict[str, Any]], *, as_json: bool, headings: bool) -> None:
    if as_json:
        for event in found:
            click.echo(json.dumps(event, ensure_ascii=True).replace("\x7f", "\\u007f"))
    elif headings:
        if found:
            print_table(make_console(), _COLUMNS, map(_row, found))
        else:
            click.echo("No events yet.")
    else:
        for event in found:
            click.echo("  ".join(_row(event)))


def _row(event: dict[str, Any]) -> tuple[str, str, str, str, str]:
    about = f"{event['object']['type']} {event['object']['id'][:_ID_SHOWN]}"
    return str(event["id"]), local_time(event["at"]), event["name"], about, facts_in_words(event["data"])
