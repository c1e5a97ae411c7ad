"""lnrecur subscriptions: what we pay and what we are paid."""

from __future__ import annotations

from typing import Any, Final

import click

from lnrecur.cli.amend import amend
from lnrecur.cli.approve import approve, decline
from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.facts import facts_in_words
from lnrecur.cli.mandates import mandate_in_words, times
from lnrecur.cli.moments import local_time
from lnrecur.cli.orders import end, waive
from lnrecur.cli.output import json_option, make_console, print_facts, print_json, print_table, printable
from lnrecur.cli.receipts import paid_in_words
from lnrecur.daemon.config import Home
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.recurrence.words import amount_in_words, price_in_words


@click.group("subscriptions")
def subscriptions() -> None:
    """List, show and steer subscriptions."""


@subscriptions.command("list")
@click.option("--role", type=click.Choice(["payer", "payee"]), help="Only those we pay, or only those we are paid.")
@home_option
@json_option
def list_(role: str | None, home: Home, as_json: bool) -> None:
    """List subscriptions, ours and those of our offers."""
    answer = Client(home).get("/v1/subscriptions", role=role)
    if as_json:
        print_json(answer)
        return
    rows = [
        (told["id"][:12], told["role"], _state(told), printable(told["description"] or ""), str(told["payments"]),
         amount_in_words(told["total_msat"]), _next(told))
        for told in answer["subscriptions"]
    ]  # fmt: skip
    if not rows:
        click.echo("No subscriptions yet.")
        return
    print_table(make_console(), ("id", "we are", "state", "what", "payments", "total", "next"), rows)


@subscriptions.command("show")
@click.argument("subscription_id", metavar="ID")
@home_option
@json_option
def show(subscription_id: str, home: Home, as_json: bool) -> None:
    """Show one subscription with its payments and events, by the beginning of its id."""
    told = Client(home).get(path_to("subscriptions", subscription_id))
    if as_json:
        print_json(told)
        return
    console = make_console()
    print_facts(console, "Subscription", _facts(told))
    payments = [
        (str(paid["counter"]), paid_in_words(paid), local_time(paid["settled_at"]),
         paid["payment_hash"][:16], "owed back" if paid["surplus"] else "")
        for paid in told["book"]
    ]  # fmt: skip
    if payments:
        console.print()
        print_table(console, ("payment", "amount", "settled", "payment hash", ""), payments)
    events = [(local_time(event["at"]), event["name"], facts_in_words(event["data"])) for event in told["events"]]
    if events:
        console.print()
        print_table(console, ("when", "event", ""), events)


@subscriptions.command("cancel")
@click.argument("subscription_id", metavar="ID")
@home_option
@json_option
def cancel(subscription_id: str, home: Home, as_json: bool) -> None:
    """Stop paying at once. The payee is told when the next payment would have been due.

    A payment that is on its way at this moment is followed to its end.
    """
    told = Client(home).post(path_to("subscriptions", subscription_id, "cancel"))
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['id'][:12]}: {told['phase']}")


@subscriptions.command("pause")
@click.argument("subscription_id", metavar="ID")
@home_option
@json_option
def pause(subscription_id: str, home: Home, as_json: bool) -> None:
    """Pay nothing, or as the seller serve nothing, until resumed.

    A payment that is on its way at this moment is followed to its end.
    """
    told = Client(home).post(path_to("subscriptions", subscription_id, "pause"))
    if as_json:
        print_json(told)
        return
    if told["role"] == "payee":
        click.echo(f"{told['id'][:12]}: paused")
        click.echo("Its requests are refused for now, and the periods that pass meanwhile are waived.")
        return
    click.echo(f"{told['id'][:12]}: {told['phase']}{' (once its payment has ended)' if told['pause_asked'] else ''}")
    click.echo(_while_paused(told))


@subscriptions.command("resume")
@click.argument("subscription_id", metavar="ID")
@home_option
@json_option
def resume(subscription_id: str, home: Home, as_json: bool) -> None:
    """Go on after a pause."""
    told = Client(home).post(path_to("subscriptions", subscription_id, "resume"))
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['id'][:12]}: {told['phase']}")
    if told["role"] == "payer" and told["missed_periods"]:
        click.echo(
            f"{_periods(told['missed_periods'])} passed unpaid and will be paid now, as far as the payee allows."
        )


for command in (approve, decline, amend, waive, end):
    subscriptions.add_command(command)


def _while_paused(told: dict[str, Any]) -> str:
    """What happens to the periods that pass, in words."""
    window = told["next_window"]
    if window is None:
        return "The first payment waits until you resume."
    closes = local_time(window["closes"])
    if told["missed"] == "catch_up":
        return (
            f"Resume before {closes} to miss no period. Later ones are told as missed, and paid when you resume: late, "
            "in order, as far as the payee allows."
        )
    return (
        f"Resume before {closes}: the period whose pay window closes then is missed otherwise, and a missed period "
        "ends this subscription (amend it with --catch-up to pay late instead)."
    )


def _state(told: dict[str, Any]) -> str:
    """Its phase, and whether we have paused one that we are paid."""
    return f"{told['phase']}, paused" if told["role"] == "payee" and told["paused_at"] else str(told["phase"])


def _periods(count: int) -> str:
    return "1 period" if count == 1 else f"{count:,} periods"


def _next(told: dict[str, Any]) -> str:
    """When something happens next, and the how manieth try it is."""
    trying = told.get("next_try")
    if trying is None:
        return local_time(told.get("next_at"))
    return f"{local_time(trying['at'])} (try {trying['try']})"


def _facts(told: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("id", told["id"]),
        ("we are", told["role"]),
        ("state", _state(told)),
        ("what", printable(told["description"] or "")),
        ("terms", told["terms"] or ""),
        ("paid", f"{amount_in_words(told['total_msat'])} in {times(told['payments'])}"),
        ("since", local_time(told["created_at"])),
    ]
    if told.get("total_worth"):
        worth = told["total_worth"]
        facts.append(("worth", price_in_words(worth["amount_minor"], worth["currency"])))
    if told.get("fees_msat"):
        facts.append(("fees", amount_in_words(told["fees_msat"])))
    if told.get("surplus_msat"):
        facts.append(("owed back", amount_in_words(told["surplus_msat"])))
    if told.get("problem"):
        facts.append(("problem", printable(told["problem"])))
    if told.get("awaiting_msat") is not None:
        facts.append(("waits for", f"your approval of {amount_in_words(told['awaiting_msat'])}"))
    if told.get("new_terms"):
        facts.append(("new offer", printable(told["new_terms"])))
    if told.get("question"):
        facts.append(("answer", f"`lnrecur subscriptions approve {told['id'][:12]}` shows all of it and asks"))
    if told["role"] == "payee" and told["missed_periods"]:
        facts.append(("missed", _periods(told["missed_periods"])))
    if told.get("waived_periods"):
        facts.append(("waived", _periods(told["waived_periods"])))
    if told.get("paused_at"):
        facts.append(("paused", f"since {local_time(told['paused_at'])}"))
    if told.get("next_at"):
        facts.append(("next", local_time(told["next_at"])))
    if told["role"] == "payer":
        facts += _payer_facts(told)
    if told.get("payer_note"):
        facts.append(("note", printable(told["payer_note"])))
    return facts


def _payer_facts(told: dict[str, Any]) -> list[tuple[str, str]]:
    """What only the payer knows of a subscription: its tries, its mandate, its terms."""
    facts = []
    trying, window = told["next_try"], told["next_window"]
    if trying is not None:
        ends = "" if trying["gives_up_at"] is None else f", given up at {local_time(trying['gives_up_at'])}"
        facts.append(("next try", f"{trying['what']} no. {trying['try']} at {local_time(trying['at'])}{ends}"))
    if window is not None:
        facts.append(("pay window", f"from {local_time(window['opens'])} to {local_time(window['closes'])}"))
    if told["missed_periods"]:
        facts.append(("behind", f"{_periods(told['missed_periods'])} missed"))
    if told["paid_elsewhere"]:
        facts.append(("elsewhere", f"{_periods(told['paid_elsewhere'])} paid by another daemon with your seed"))
    if told["waived"]:
        facts.append(("waived", f"{_periods(told['waived'])} the payee wants nothing for"))
    facts.append(("mandate", mandate_in_words(told["mandate"])))
    facts.append(
        ("pays", f"{_WHEN[told['pay_at']]}, {_WHO[told['trigger']]}; a missed period {_MISSED[told['missed']]}")
    )
    facts += [(f"{what} retry", _retry(told[f"{what}_retry"])) for what in ("request", "payment")]
    return facts


_WHEN: Final = {"start": "when a period starts", "earliest": "when the pay window opens",
                "before_end": "before the pay window closes"}  # fmt: skip
_WHO: Final = {"automatic": "by itself", "on_approval": "after your approval"}
_MISSED: Final = {"stop": "ends it", "catch_up": "is paid late"}


def _retry(told: dict[str, Any]) -> str:
    return RetryPolicy(**told).in_words()
