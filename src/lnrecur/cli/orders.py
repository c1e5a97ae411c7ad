"""What a seller orders about one subscription: waive and end."""

from __future__ import annotations

from typing import Any

import click

from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.output import json_option, print_json
from lnrecur.daemon.config import Home


@click.command("waive")
@click.argument("subscription_id", metavar="ID")
@click.option("--periods", type=click.IntRange(1, 100), default=1, show_default=True, help="How many of them.")
@home_option
@json_option
def waive(subscription_id: str, periods: int, home: Home, as_json: bool) -> None:
    """Forgive the next periods of a subscription you are paid: they count as settled."""
    _order(home, as_json, subscription_id, "waive", {"periods": periods})


@click.command("end")
@click.argument("subscription_id", metavar="ID")
@click.option("--why", default="", help="For your own log; the subscriber is not told.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@json_option
def end(subscription_id: str, why: str, home: Home, as_json: bool, yes: bool) -> None:
    """End a subscription you are paid, for good."""
    if not yes:
        click.confirm("End this subscription?", abort=True, err=True)
    _order(home, as_json, subscription_id, "end", {"why": why})


def _order(home: Home, as_json: bool, subscription_id: str, verb: str, body: dict[str, Any] | None = None) -> None:
    told = Client(home).post(path_to("subscriptions", subscription_id, verb), body)
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['id'][:12]}: {told['phase']}{', paused' if told.get('paused_at') else ''}")
