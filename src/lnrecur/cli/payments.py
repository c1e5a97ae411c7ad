"""lnrecur payments: what was paid, once or by subscription, and single payments that are under way."""

from __future__ import annotations

from typing import Any

import click

from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.moments import local_time
from lnrecur.cli.output import json_option, make_console, print_facts, print_json, print_table, printable
from lnrecur.cli.receipts import paid_in_words
from lnrecur.daemon.config import Home
from lnrecur.recurrence.words import amount_in_words


@click.group("payments")
def payments() -> None:
    """List payments, and show or cancel those that `lnrecur pay` ordered."""


@payments.command("list")
@home_option
@json_option
def list_(home: Home, as_json: bool) -> None:
    """List all payments, oldest first: those in the books, then those under way or failed."""
    told = Client(home).get("/v1/payments")
    if as_json:
        print_json(told)
        return
    rows = [_booked(paid) for paid in told["payments"]]
    rows += [_unbooked(one) for one in told["ordered"] if one["state"] != "paid"]
    if not rows:
        click.echo("No payments yet.")
        return
    print_table(make_console(), ("id", "we are", "what", "", "amount", "state", "when"), rows)


def _booked(paid: dict[str, Any]) -> tuple[str, ...]:
    what, number = (
        printable(paid.get("description") or ""),
        "once" if paid.get("one_off") else f"#{paid['counter'] + 1}",
    )
    state = "owed back" if paid["surplus"] else "settled"
    amount, at = paid_in_words(paid), local_time(paid["settled_at"])
    return paid["subscription"][:12], paid["role"], what, number, amount, state, at


def _unbooked(one: dict[str, Any]) -> tuple[str, ...]:
    amount = "" if one["amount_msat"] is None else amount_in_words(one["amount_msat"])
    at = local_time(one["created_at"])
    return one["id"][:12], "payer", printable(one["description"] or ""), "once", amount, one["state"], at


@payments.command("show")
@click.argument("payment_id", metavar="ID")
@home_option
@json_option
def show(payment_id: str, home: Home, as_json: bool) -> None:
    """Show a payment that `lnrecur pay` ordered, with its receipt, by the beginning of its id."""
    told = Client(home).get(path_to("payments", payment_id))
    if as_json:
        print_json(told)
        return
    trying = told["next_try"]
    facts = [
        ("id", told["id"]),
        ("state", told["state"]),
        ("what", printable(told["description"] or "")),
        ("amount", "" if told["amount_msat"] is None else amount_in_words(told["amount_msat"])),
        ("fees", "" if told["fee_msat"] is None else amount_in_words(told["fee_msat"])),
        ("problem", printable(told["problem"] or "")),
        ("next try", "" if trying is None else f"{trying['what']} no. {trying['try']} at {local_time(trying['at'])}"),
        ("ordered", local_time(told["created_at"])),
        ("settled", local_time(told["settled_at"])),
        ("payment hash", told["payment_hash"] or ""),
        ("receipt", told["preimage"] or ""),
    ]
    print_facts(make_console(), "Payment", [(name, value) for name, value in facts if value])


@payments.command("cancel")
@click.argument("payment_id", metavar="ID")
@home_option
@json_option
def cancel(payment_id: str, home: Home, as_json: bool) -> None:
    """Order a payment no more. One that is on its way at this moment is followed to its end."""
    told = Client(home).post(path_to("payments", payment_id, "cancel"))
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['id'][:12]}: {told['state']}")
