"""lnrecur subscribe: authorise a subscription once."""

from __future__ import annotations

import sys
from typing import Any

import click

from lnrecur.bolt12.offer import Offer
from lnrecur.cli.amounts import AMOUNT, MOMENT
from lnrecur.cli.client import Client, home_option
from lnrecur.cli.output import json_option, make_console, print_facts, print_json, printable
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError
from lnrecur.recurrence.words import amount_in_words, moment_in_words, recurrence_in_words
from lnrecur.values import Msat


@click.command("subscribe")
@click.argument("offer_text", metavar="LNO")
@click.option("--via", metavar="ID@HOST:PORT", multiple=True, help="Where the payee, or a node before it, is dialled.")
@click.option("--max-per-period", type=AMOUNT, help="Most to pay for one period.  [default: the offer's price]")
@click.option("--max-total", type=AMOUNT, help="Most to pay in all.")
@click.option("--max-payments", type=click.IntRange(min=1), help="Most payments to make.")
@click.option("--until", type=MOMENT, help="No payments from this moment on.")
@click.option("--start", type=click.IntRange(min=0), help="Period to begin with, for offers with a base.")
@click.option("--quantity", type=click.IntRange(min=1), help="How many, for offers that sell several.")
@click.option("--note", help="A note to the payee; it can be read by them.")
@click.option("--ask-each-time", is_flag=True, help="Pay no period without `lnrecur subscriptions approve`.")
@click.option("--catch-up", is_flag=True, help="Pay periods that were missed, late and in order, instead of stopping.")
@click.option("--yes", is_flag=True, help="Authorise without being asked.")
@home_option
@json_option
def subscribe(offer_text: str, via: tuple[str, ...], yes: bool, home: Home, as_json: bool, **asked: Any) -> None:
    """Subscribe to an offer: authorise its payments once, within limits."""
    offer = Offer.from_text(offer_text.strip().lower().removeprefix("lightning:"))
    mandate = _mandate(offer, asked)
    if not yes:
        _show_authorisation(offer, mandate, asked)
        click.confirm("Authorise these payments?", abort=True, err=True)
    body = {
        "offer": offer_text,
        "mandate": mandate,
        "via": list(via),
        "start": asked["start"],
        "quantity": asked["quantity"],
        "payer_note": asked["note"],
        "trigger": "on_approval" if asked["ask_each_time"] else "automatic",
        "missed": "catch_up" if asked["catch_up"] else "stop",
    }
    answer = Client(home).post("/v1/subscriptions", body)
    if as_json:
        print_json(answer)
        return
    click.echo(f"Subscribed: {answer['id'][:12]}")
    click.echo(f"See `lnrecur subscriptions show {answer['id'][:12]}`.")


def _mandate(offer: Offer, asked: dict[str, Any]) -> dict[str, Any]:
    limit = asked["max_per_period"]
    if limit is None:
        if offer.amount is None or offer.currency is not None:
            raise UsageError("this offer does not say its price in sat: say --max-per-period", field="max_per_period")
        limit = offer.amount * (asked["quantity"] or 1)
    return {
        "max_per_period_msat": limit,
        "max_total_msat": asked["max_total"],
        "max_payments": asked["max_payments"],
        "ends_at": asked["until"],
        "purpose": printable(offer.description or ""),
    }


def _show_authorisation(offer: Offer, mandate: dict[str, Any], asked: dict[str, Any]) -> None:
    """What is being authorised, in words (V8); on standard error, so that --json stays clean."""
    console = make_console(sys.stderr)
    facts = [
        ("for", printable(offer.description or "(the offer does not say)")),
        ("payee", printable(offer.issuer or "(the offer does not say)")),
        ("terms", recurrence_in_words(offer)),
        ("per period", f"at most {amount_in_words(mandate['max_per_period_msat'])}, plus routing fees"),
        ("in all", _most_in_all(offer, mandate, asked)),
    ]
    if mandate["ends_at"] is not None:
        facts.append(("until", moment_in_words(mandate["ends_at"])))
    if asked["ask_each_time"]:
        facts.append(("asked", "before every payment"))
    print_facts(console, "You authorise", facts)


def _most_in_all(offer: Offer, mandate: dict[str, Any], asked: dict[str, Any]) -> str:
    recurrence = offer.recurrence
    of_offer = None if recurrence is None else recurrence.payments_from(asked["start"] or 0)
    counts = [count for count in (mandate["max_payments"], of_offer) if count is not None]
    totals: list[int] = [min(counts) * mandate["max_per_period_msat"]] if counts else []
    if mandate["max_total_msat"] is not None:
        totals.append(mandate["max_total_msat"])
    return f"at most {amount_in_words(Msat(min(totals)))}" if totals else "no limit: it goes on until you cancel"
