"""lnrecur subscriptions amend: other limits and terms for a running subscription."""

from __future__ import annotations

from typing import Any

import click

from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.facts import label, value_in_words
from lnrecur.cli.output import json_option, make_console, print_json, print_table
from lnrecur.cli.payer_options import limit_changes, limit_options, terms_body, terms_options
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError


@click.command("amend")
@click.argument("subscription_id", metavar="ID")
@limit_options(amending=True)
@click.option(
    "--ask-each-time/--automatic", "ask", default=None, help="Pay each period only on approval, or by itself."
)
@click.option("--catch-up/--stop", "catch_up", default=None, help="Pay missed periods late and in order, or end there.")
@click.option("--via", metavar="ID@HOST:PORT", multiple=True, help="Where the payee can be dialled from now on.")
@terms_options()
@home_option
@json_option
def amend(subscription_id: str, home: Home, as_json: bool, **asked: Any) -> None:
    """Change limits and terms of a running subscription, from its next decision on.

    A limit is taken away with the word none. A payment that is on its way is not called back.
    """
    client = Client(home)
    before = client.get(path_to("subscriptions", subscription_id))
    if before["role"] != "payer":
        raise UsageError("this subscription is paid to you: only its payer can amend it", field="id")
    body: dict[str, Any] = {**terms_body(asked), "mandate": limit_changes(asked, before["mandate"])}
    if asked["ask"] is not None:
        body["trigger"] = "on_approval" if asked["ask"] else "automatic"
    if asked["catch_up"] is not None:
        body["missed"] = "catch_up" if asked["catch_up"] else "stop"
    if asked["via"]:
        body["via"] = list(asked["via"])
    if body == {"mandate": {}}:
        raise UsageError("nothing to amend was said: see `lnrecur subscriptions amend --help`")
    told = client.post(path_to("subscriptions", before["id"], "amend"), body)
    if as_json:
        print_json(told)
        return
    _show_changes(before, client.get(path_to("subscriptions", before["id"])))


def _show_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    known = {event["id"] for event in before["events"]}
    rows = [
        (label(field), value_in_words(field, event["data"]["old"]), value_in_words(field, event["data"]["new"]))
        for event in after["events"]
        if event["id"] not in known and event["name"] == "subscription.amended" and (field := event["data"]["field"])
    ]
    click.echo(f"{after['id'][:12]}: {after['phase']}")
    if rows:
        print_table(make_console(), ("changed", "from", "to"), rows)
    else:
        click.echo("Nothing changed: it was so before.")
