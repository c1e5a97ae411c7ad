"""What a subscriber tells a running subscription: approve, decline, amend."""

from __future__ import annotations

from typing import Any

import click

from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.facts import label, value_in_words
from lnrecur.cli.output import json_option, make_console, print_json, print_table
from lnrecur.cli.payer_options import limit_changes, limit_options, terms_body, terms_options
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError


@click.command("approve")
@click.argument("subscription_id", metavar="ID")
@limit_options(amending=True)
@click.option("--paid-elsewhere", is_flag=True, help="Skip the refused period: another daemon with your seed paid it.")
@home_option
@json_option
def approve(subscription_id: str, paid_elsewhere: bool, home: Home, as_json: bool, **asked: Any) -> None:
    """Agree to what waits, once; with limits, change them for all periods from now on.

    Limits that are not named stay as they are. Where the payee has put a new offer in the place of the old one, this
    subscribes to the new one, at its price, within what is left of the other limits.
    """
    client = Client(home)
    told = client.get(path_to("subscriptions", subscription_id))
    name = told["id"]
    if any(value is not None for value in asked.values()):
        told = _approve_limits(client, told, asked)
    if told["phase"] == "needs_approval" or all(value is None for value in asked.values()):
        told = client.post(path_to("subscriptions", name, "approve"), {"paid_elsewhere": paid_elsewhere})
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['id'][:12]}: {told['phase']}")
    if told["id"] != name:
        click.echo(f"It takes the place of {name[:12]}, which has ended.")


def _approve_limits(client: Client, told: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Change the limits of what waits; where they were all that it waited for, that is the whole answer."""
    if told["role"] != "payer" or told["phase"] != "needs_approval":
        raise UsageError(f"nothing waits for approval: this subscription is {told['phase']}", field="id")
    if told["waits_for"] == "new_offer" and asked["max_per_period"] is not None:
        raise UsageError(
            "a new offer is subscribed to at its price; amend the limit afterwards", field="max_per_period"
        )
    changes = limit_changes(asked, told["mandate"])
    amended: dict[str, Any] = client.post(path_to("subscriptions", told["id"], "amend"), {"mandate": changes})
    return amended


@click.command("decline")
@click.argument("subscription_id", metavar="ID")
@home_option
@json_option
def decline(subscription_id: str, home: Home, as_json: bool) -> None:
    """Say no to what waits. Periods are paid in order, so this ends the subscription."""
    told = Client(home).post(path_to("subscriptions", subscription_id, "decline"))
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['id'][:12]}: {told['phase']}")


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
