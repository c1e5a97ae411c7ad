"""lnrecur pay: pay an offer once, and wait for the receipt."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import click

from lnrecur.bolt12 import Offer
from lnrecur.cli.amounts import AMOUNT, PERCENT, PRICE, Price
from lnrecur.cli.authorisation import payee_in_words
from lnrecur.cli.client import Client, home_option, key_option, path_to
from lnrecur.cli.decode import read_offer
from lnrecur.cli.errors import EXIT_FAILED
from lnrecur.cli.moments import local_time
from lnrecur.cli.output import json_option, make_console, print_facts, print_json, printable
from lnrecur.cli.payer_options import fiat_body
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError
from lnrecur.recurrence.mandate import SLIPPAGE_PPM, FiatLimit
from lnrecur.recurrence.words import amount_in_words, price_in_words, recurrence_in_words

_LOOK_S: Final = 0.2
_OVER: Final = ("paid", "failed", "cancelled")


@click.command("pay")
@click.argument("offer_text", metavar="LNO")
@click.option("--amount", type=PRICE, help="What to pay, where the offer leaves it to you; else the most it may cost.")
@click.option(
    "--slippage",
    type=PERCENT,
    metavar="PERCENT",
    default=SLIPPAGE_PPM,
    help="How much more than a price in a currency may be paid, because rates differ.  [default: 5]",
)
@click.option("--quantity", type=click.IntRange(min=1), help="How many, for offers that sell several.")
@click.option("--note", help="A note to the payee; it can be read by them.")
@click.option("--max-fee", type=AMOUNT, help="Most routing fees.  [default: 10 sat and 1 % of the amount]")
@click.option("--via", metavar="ID@HOST:PORT", multiple=True, help="Where the payee, or a node before it, is dialled.")
@click.option("--yes", is_flag=True, help="Pay without being asked.")
@click.option("--no-wait", is_flag=True, help="Order the payment, and do not wait for its end.")
@key_option
@home_option
@json_option
def pay(offer_text: str, yes: bool, no_wait: bool, key: str | None, home: Home, as_json: bool, **asked: Any) -> None:
    """Pay an offer (lno1..., or "-" for standard input) once, and print the receipt.

    The daemon pays, with the same care as for a subscription: whatever happens to this command, it is paid at most
    once, and `lnrecur payments` tells how it ended. An offer that is paid by subscription only is for `subscribe`.
    """  # fmt: skip
    offer = read_offer(offer_text)
    if offer.recurrence is not None and not offer.recurrence.optional:
        told = "this offer is paid by subscription only: see `lnrecur subscribe`, perhaps with --max-payments 1 [Q9]"
        raise UsageError(told, field="offer")
    limit = _limit(offer, asked)
    client = Client(home)
    if not yes:
        _ask(offer, limit, asked)
    body: dict[str, Any] = {
        "offer": offer.to_text(),
        "amount_msat": limit.amount if limit.currency is None else None,
        "fiat": None if limit.currency is None else fiat_body(_fiat(limit, asked)),
        "max_fee_msat": asked["max_fee"],
        "quantity": asked["quantity"],
        "payer_note": asked["note"],
        "via": list(asked["via"]),
    }
    ordered = client.order("/v1/payments", body, key)
    ended = ordered if no_wait else _wait(client, ordered)
    _show(ended, as_json=as_json)
    if ended["state"] in ("failed", "cancelled"):
        click.get_current_context().exit(EXIT_FAILED)


def _limit(offer: Offer, asked: dict[str, Any]) -> Price:
    """What it may cost: what was said, or else the offer's price."""
    said: Price | None = asked["amount"]
    if offer.amount is None:
        if said is None or said.currency is not None:
            raise UsageError("this offer leaves the amount to you: say --amount, in sat", field="amount")
        return said
    price = Price(offer.amount * (asked["quantity"] or 1), offer.currency)
    if said is None:
        return price
    if said.currency == price.currency and said.amount < price.amount:
        raise UsageError("--amount is less than this offer costs: " + _in_words(price), field="amount")
    return said


def _fiat(limit: Price, asked: dict[str, Any]) -> FiatLimit:
    return FiatLimit(limit.currency or "", limit.amount, asked["slippage"])


def _in_words(price: Price) -> str:
    return price_in_words(price.amount, price.currency)


def _ask(offer: Offer, limit: Price, asked: dict[str, Any]) -> None:
    """Show what is to be paid and ask; on standard error, so that --json stays clean."""
    most = amount_in_words(limit.amount) if limit.currency is None else _fiat(limit, asked).in_words()
    fees = "10 sat and 1 % of it" if asked["max_fee"] is None else amount_in_words(asked["max_fee"])
    facts = [
        ("for", printable(offer.description or "(the offer does not say)")),
        ("payee", payee_in_words(offer)),
        ("price", printable(recurrence_in_words(offer))),
        ("you pay", f"{'' if offer.amount is None else 'at most '}{most}, once, and at most {fees} of routing fees"),
    ]
    print_facts(make_console(sys.stderr), "You pay", facts)
    if not click.confirm("Pay this?", err=True):
        click.echo("Nothing is paid.", err=True)
        click.get_current_context().exit(EXIT_FAILED)


def _wait(client: Client, told: dict[str, Any]) -> dict[str, Any]:
    """Until it is over; what happens is told on standard error, each thing once."""
    said = ""
    try:
        while told["state"] not in _OVER:
            progress = _progress(told)
            if progress != said:
                click.echo(progress, err=True)
                said = progress
            time.sleep(_LOOK_S)
            told = client.get(path_to("payments", told["id"]))
    except KeyboardInterrupt:
        click.echo(f"It goes on without you: see `lnrecur payments show {told['id'][:12]}`.", err=True)
        raise
    return told


def _progress(told: dict[str, Any]) -> str:
    if told["problem"]:
        trying = told["next_try"]
        again = "" if trying is None else f" (try {trying['try']} at {local_time(trying['at'])})"
        return f"{printable(told['problem'])}{again}"
    if told["state"] == "paying":
        return f"paying {amount_in_words(told['amount_msat'])} ..."
    return "asking for an invoice ..."


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    elif told["state"] == "paid":
        fee = f", and {amount_in_words(told['fee_msat'])} of routing fees" if told["fee_msat"] else ""
        click.echo(f"Paid {amount_in_words(told['amount_msat'])}{fee}.")
        click.echo(f"payment hash  {told['payment_hash']}")
        click.echo(f"receipt       {told['preimage']}")
    elif told["state"] in _OVER:
        click.echo(f"Not paid: {printable(told['problem'] or 'it was cancelled')}", err=True)
    else:
        click.echo(f"Ordered: {told['id'][:12]}")
        click.echo(f"See `lnrecur payments show {told['id'][:12]}`.")
