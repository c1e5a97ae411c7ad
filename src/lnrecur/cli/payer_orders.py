"""What a subscriber tells a running subscription: approve, decline, amend."""

from __future__ import annotations

from typing import Any

import click

from lnrecur.cli.amounts import AMOUNT, MOMENT
from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.output import json_option, make_console, print_json, print_table
from lnrecur.cli.payer_options import limit_changes, limit_options, terms_body, terms_options
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError


@click.command("approve")
@click.argument("subscription_id", metavar="ID")
@click.option("--max-per-period", type=AMOUNT, help="Agree to this limit for all periods from now on.")
@click.option("--max-total", type=AMOUNT, help="... and to this total.")
@click.option("--max-payments", type=click.IntRange(min=1), help="... and to this number of payments.")
@click.option("--until", type=MOMENT, help="... and to this end.")
@click.option("--paid-elsewhere", is_flag=True, help="Skip the refused period: another daemon with your seed paid it.")
@home_option
@json_option
def approve(subscription_id: str, paid_elsewhere: bool, home: Home, as_json: bool, **asked: Any) -> None:
    """Agree to what waits, once; with limits, to a new mandate.

    Where the payee has put a new offer in the place of the old one, this subscribes to the new one.
    """
    body: dict[str, Any] = {"paid_elsewhere": paid_elsewhere}
    if any(value is not None for value in asked.values()):
        if asked["max_per_period"] is None:
            raise UsageError("a new mandate needs --max-per-period too", field="max_per_period")
        body["mandate"] = {
            "max_per_period_msat": asked["max_per_period"],
            "max_total_msat": asked["max_total"],
            "max_payments": asked["max_payments"],
            "ends_at": asked["until"],
        }
    told = Client(home).post(path_to("subscriptions", subscription_id, "approve"), body)
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['id'][:12]}: {told['phase']}")
    if not told["id"].startswith(subscription_id.lower()):
        click.echo(f"It takes the place of {subscription_id[:12]}, which has ended.")


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
        (event["data"]["field"].partition(".")[2], _told(event["data"]["old"]), _told(event["data"]["new"]))
        for event in after["events"]
        if event["id"] not in known and event["name"] == "subscription.amended"
    ]
    click.echo(f"{after['id'][:12]}: {after['phase']}")
    if rows:
        print_table(make_console(), ("changed", "from", "to"), rows)
    else:
        click.echo("Nothing changed: it was so before.")


def _told(value: Any) -> str:
    return "none" if value is None else str(value)
