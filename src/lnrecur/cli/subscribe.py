"""lnrecur subscribe: authorise a subscription once."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from lnrecur.bolt12 import Offer
from lnrecur.cli.amounts import Price
from lnrecur.cli.authorisation import Authorisation
from lnrecur.cli.client import Client, home_option, key_option
from lnrecur.cli.decode import read_offer
from lnrecur.cli.errors import EXIT_FAILED
from lnrecur.cli.output import json_option, make_console, print_facts, print_json, printable
from lnrecur.cli.payer_options import NOTHING, limit_options, mandate_body, terms_body, terms_options, total_in
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError
from lnrecur.recurrence.mandate import SLIPPAGE_PPM, FiatLimit, Mandate
from lnrecur.recurrence.outbound_terms import GIVE_UP_AFTER_S, Missed, PayAt, Terms, Trigger
from lnrecur.values import Msat

_PURPOSE_MAX: Final = 2000


@click.command("subscribe")
@click.argument("offer_text", metavar="LNO")
@click.option("--via", metavar="ID@HOST:PORT", multiple=True, help="Where the payee, or a node before it, is dialled.")
@limit_options(amending=False)
@click.option("--start", type=click.IntRange(min=0), help="Period to begin with, for offers with a base.")
@click.option("--quantity", type=click.IntRange(min=1), help="How many, for offers that sell several.")
@click.option("--note", help="A note to the payee; it can be read by them.")
@click.option("--ask-each-time", is_flag=True, help="Pay no period without `lnrecur subscriptions approve`.")
@click.option("--catch-up", is_flag=True, help="Pay periods that were missed, late and in order, instead of stopping.")
@terms_options()
@click.option("--yes", is_flag=True, help="Authorise without being asked.")
@key_option
@home_option
@json_option
def subscribe(
    offer_text: str, via: tuple[str, ...], yes: bool, key: str | None, home: Home, as_json: bool, **asked: Any
) -> None:
    """Subscribe to an offer (lno1..., or "-" for standard input): authorise its payments once, within limits."""
    offer = read_offer(offer_text)
    recurrence = offer.recurrence
    if recurrence is None:
        raise UsageError(
            "this offer has no recurrence: it can be paid once (lnrecur pay), but not subscribed to", field="offer"
        )
    mandate = mandate_for(offer, asked)
    client = Client(home)
    if not yes:
        _ask(Authorisation(offer, recurrence, mandate, terms_for(asked), time.time_ns() // 10**9))
    answer = client.order("/v1/subscriptions", subscription_body(offer, mandate, via, asked), key)
    if as_json:
        print_json(answer)
        return
    click.echo(f"Subscribed: {answer['id'][:12]}")
    for told in answer["mind"]:
        click.echo(f"Mind: {told}.")
    click.echo(f"See `lnrecur subscriptions show {answer['id'][:12]}`.")


def subscription_body(offer: Offer, mandate: Mandate, via: Sequence[str], asked: Mapping[str, Any]) -> dict[str, Any]:
    """A new subscription, as the API wants it; `asked` are the options of this command."""
    return {
        "offer": offer.to_text(),
        "mandate": mandate_body(mandate),
        "via": list(via),
        "start": asked["start"],
        "quantity": asked["quantity"],
        "payer_note": asked["note"],
        "trigger": "on_approval" if asked["ask_each_time"] else "automatic",
        "missed": "catch_up" if asked["catch_up"] else "stop",
        **terms_body(asked),
    }


def mandate_for(offer: Offer, asked: Mapping[str, Any]) -> Mandate:
    """The limits that the options of this command say, or the price of the offer.

    Raises:
        UsageError: the offer has no price, and nobody says what a period may cost.
    """
    limit: Price | None = asked["max_per_period"]
    if limit is None and offer.amount is None:
        raise UsageError("this offer leaves the amount to you: say --max-per-period", field="max_per_period")
    if limit is None:
        limit = Price((offer.amount or 0) * (asked["quantity"] or 1), offer.currency)
    slippage = SLIPPAGE_PPM if asked["slippage"] is None else asked["slippage"]
    total: Price | None = asked["max_total"]
    total_minor = None if total is None or total.currency is None else total_in(total, limit.currency)
    usual = Mandate(Msat(0))
    return Mandate(
        max_per_period_msat=Msat(limit.amount) if limit.currency is None else None,
        fiat=None if limit.currency is None else FiatLimit(limit.currency, limit.amount, slippage, total_minor),
        max_total_msat=Msat(total.amount) if total is not None and total.currency is None else None,
        max_payments=asked["max_payments"],
        ends_at=asked["until"],
        fee_ppm=usual.fee_ppm if asked["fee_ppm"] is None else asked["fee_ppm"],
        fee_max_msat=asked["max_fee"],
        catch_up_max=usual.catch_up_max if asked["catch_up_max"] is None else asked["catch_up_max"],
        purpose=printable(offer.description or "")[:_PURPOSE_MAX],
    )


def terms_for(asked: Mapping[str, Any]) -> Terms:
    """What the options of this command say about when and how to pay."""
    return Terms(
        trigger=Trigger.ON_APPROVAL if asked["ask_each_time"] else Trigger.AUTOMATIC,
        missed=Missed.CATCH_UP if asked["catch_up"] else Missed.STOP,
        start=asked["start"],
        quantity=asked["quantity"],
        pay_at=PayAt((asked["pay_at"] or "start").replace("-", "_")),
        margin_s=asked["margin"] or 0,
        give_up_after_s=_give_up_after(asked["give_up_after"]),
    )


def _give_up_after(said: Any) -> int | None:
    return GIVE_UP_AFTER_S if said is None else None if said is NOTHING else int(said)


def _ask(authorisation: Authorisation) -> None:
    """Show what is being authorised and ask; on standard error, so that --json stays clean."""
    print_facts(make_console(sys.stderr), "You authorise", authorisation.facts())
    if not click.confirm("Authorise these payments?", err=True):
        click.echo("Nothing was authorised, and nothing will be paid.", err=True)
        click.get_current_context().exit(EXIT_FAILED)
