"""lnrecur subscriptions: what we pay and what we are paid."""

from __future__ import annotations

from typing import Any

import click

from lnrecur.cli.amounts import AMOUNT, MOMENT
from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.output import json_option, make_console, print_facts, print_json, print_table, printable
from lnrecur.cli.times import local_time
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError
from lnrecur.recurrence.words import amount_in_words


@click.group("subscriptions")
def subscriptions() -> None:
    """List, show, cancel and approve subscriptions."""


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
        (told["id"][:12], told["role"], told["phase"], printable(told["description"] or ""), str(told["payments"]),
         amount_in_words(told["total_msat"]), local_time(told.get("next_at")))
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
        (str(paid["counter"]), amount_in_words(paid["amount_msat"]), local_time(paid["settled_at"]),
         paid["payment_hash"][:16], "owed back" if paid["surplus"] else "")
        for paid in told["book"]
    ]  # fmt: skip
    if payments:
        console.print()
        print_table(console, ("payment", "amount", "settled", "payment hash", ""), payments)
    events = [(local_time(event["at"]), event["name"], _data(event["data"])) for event in told["events"]]
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


@subscriptions.command("approve")
@click.argument("subscription_id", metavar="ID")
@click.option("--max-per-period", type=AMOUNT, help="Agree to this limit for all periods from now on.")
@click.option("--max-total", type=AMOUNT, help="... and to this total.")
@click.option("--max-payments", type=click.IntRange(min=1), help="... and to this number of payments.")
@click.option("--until", type=MOMENT, help="... and to this end.")
@home_option
@json_option
def approve(subscription_id: str, home: Home, as_json: bool, **asked: Any) -> None:
    """Agree to the payment that waits, once; with limits, to a new mandate."""
    body: dict[str, Any] = {}
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


def _facts(told: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("id", told["id"]),
        ("we are", told["role"]),
        ("state", told["phase"]),
        ("what", printable(told["description"] or "")),
        ("terms", told["terms"] or ""),
        ("paid", f"{amount_in_words(told['total_msat'])} in {_times(told['payments'])}"),
        ("since", local_time(told["created_at"])),
    ]
    if told.get("fees_msat"):
        facts.append(("fees", amount_in_words(told["fees_msat"])))
    if told.get("surplus_msat"):
        facts.append(("owed back", amount_in_words(told["surplus_msat"])))
    if told.get("problem"):
        facts.append(("problem", printable(told["problem"])))
    if told.get("awaiting_msat") is not None:
        facts.append(("waits for", f"your approval of {amount_in_words(told['awaiting_msat'])}"))
    if told.get("next_at"):
        facts.append(("next", local_time(told["next_at"])))
    if told.get("mandate"):
        facts.append(("mandate", _mandate(told["mandate"])))
    if told.get("payer_note"):
        facts.append(("note", printable(told["payer_note"])))
    return facts


def _mandate(told: dict[str, Any]) -> str:
    limits = [f"at most {amount_in_words(told['max_per_period_msat'])} per period"]
    if told["max_total_msat"] is not None:
        limits.append(f"{amount_in_words(told['max_total_msat'])} in all")
    if told["max_payments"] is not None:
        limits.append(_times(told["max_payments"]))
    if told["ends_at"] is not None:
        limits.append(f"until {local_time(told['ends_at'])}")
    return ", ".join(limits)


def _times(count: int) -> str:
    return "1 payment" if count == 1 else f"{count:,} payments"


def _data(data: dict[str, Any]) -> str:
    return ", ".join(f"{key} {printable(str(value))}" for key, value in data.items() if value is not None)
