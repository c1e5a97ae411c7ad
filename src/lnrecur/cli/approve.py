"""lnrecur subscriptions approve and decline: what waits is shown, and answered."""

from __future__ import annotations

import sys
from typing import Any

import click

from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.errors import EXIT_FAILED
from lnrecur.cli.output import json_option, make_console, print_facts, print_json
from lnrecur.cli.payer_options import limit_changes, limit_options
from lnrecur.cli.question import question_about
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError


@click.command("approve")
@click.argument("subscription_id", metavar="ID")
@limit_options(amending=True)
@click.option("--paid-elsewhere", is_flag=True, help="Skip the refused period: another daemon with your seed paid it.")
@click.option("--yes", is_flag=True, help="Agree without being asked.")
@home_option
@json_option
def approve(subscription_id: str, paid_elsewhere: bool, yes: bool, home: Home, as_json: bool, **asked: Any) -> None:
    """Agree to what waits, once; with limits, change them for all periods from now on.

    What waits is shown first, and a yes counts for nothing else: if it has changed meanwhile, it is refused. Limits
    that are not named stay as they are. Where the payee has put a new offer in the place of the old one, this
    subscribes to the new one, at its price, within what is left of the other limits.
    """
    client = Client(home)
    told = client.get(path_to("subscriptions", subscription_id))
    if told["role"] != "payer":
        raise UsageError("this subscription is paid to you: its payer is asked, not you", field="id")
    if told["question"] is None:
        raise UsageError(f"nothing waits for approval: this subscription is {told['phase']}", field="id")
    changes = limit_changes(asked, told["new_mandate"] or told["mandate"])
    if not yes:
        _ask(told, changes, paid_elsewhere=paid_elsewhere)
    body: dict[str, Any] = {"question": told["question"], "paid_elsewhere": paid_elsewhere}
    if changes:
        body["limits"] = changes
    answer = client.post(path_to("subscriptions", told["id"], "approve"), body)
    if as_json:
        print_json(answer)
        return
    click.echo(f"{answer['id'][:12]}: {answer['phase']}")
    if answer["id"] != told["id"]:
        click.echo(f"It takes the place of {told['id'][:12]}, which has ended.")


def _ask(told: dict[str, Any], changes: dict[str, Any], *, paid_elsewhere: bool) -> None:
    """Show what waits and ask; on standard error, so that --json stays clean."""
    question = question_about(told, changes, paid_elsewhere=paid_elsewhere)
    print_facts(make_console(sys.stderr), question.heading, question.facts)
    if not click.confirm(question.ask, err=True):
        click.echo("Nothing is paid; it still waits (`lnrecur subscriptions decline` says no for good).", err=True)
        click.get_current_context().exit(EXIT_FAILED)


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
