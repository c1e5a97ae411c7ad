"""lnrecur offer: what a merchant publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from lnrecur.cli.amounts import AMOUNT, EVERY, MOMENT, PRICE, SECONDS
from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.moments import local_time
from lnrecur.cli.output import json_option, make_console, print_facts, print_json, print_table, printable
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError

LATE = click.Choice(["take", "return"])


@click.group("offer")
def offer() -> None:
    """Create, list and show offers; retire, pause, end or replace them."""


@offer.command("create")
@click.argument("description")
@click.option("--amount", type=PRICE, help="Price of one period: 1000sat, 0.5sat, 1500msat, 9.99EUR.")
@click.option("--every", type=EVERY, help="Length of a period: 30s, 10min, 1d, 2w, 1month, 1y. Without it: paid once.")
@click.option("--payments", type=click.IntRange(min=1), help="How many payments a subscription has; default: no end.")
@click.option("--optional", is_flag=True, help="May also be paid once, by wallets that know no subscriptions.")
@click.option("--base", type=MOMENT, help="All subscribers share periods that are counted from this moment.")
@click.option("--proportional", is_flag=True, help="Who joins inside a period pays for what is left of it.")
@click.option("--pay-before", type=SECONDS, help="How long before the start of a period it may be paid.")
@click.option("--pay-after", type=SECONDS, help="How long after the start of a period it may be paid.")
@click.option("--lenient", is_flag=True, help="Serve late periods too, in order.")
@click.option(
    "--arrears-max", type=click.IntRange(0), help="Lenient: how many periods may be owed; default: any number."
)
@click.option("--grace", type=SECONDS, default="0", help="Strict: how long after its window a period is still taken.")
@click.option("--early", type=SECONDS, default="0", help="How long before its window a period is sold already.")
@click.option("--first-in-window", is_flag=True, help="Refuse first payments outside their window too.")
@click.option("--after-window", type=LATE, default="take", show_default=True, help="Payments that arrive too late.")
@click.option("--after-cancel", type=LATE, default="return", show_default=True, help="Payments after a cancel.")
@click.option("--after-end", type=LATE, default="return", show_default=True, help="Payments after you ended it.")
@click.option("--amount-min", type=AMOUNT, help="Without --amount: the least a payer may choose.")
@click.option("--give-state", is_flag=True, help="Put our sealed state into invoices, to answer without a lookup (V9).")
@click.option("--expires", type=MOMENT, help="No new subscriptions after this moment; running ones go on.")
@click.option("--issuer", help="Who sells, such as alice@example.com.")
@click.option("--quantity-max", type=click.IntRange(min=0), help="Sell up to this many at once; 0: any number.")
@click.option("--blinded", is_flag=True, help="Be asked over blinded paths that begin at connected kept peers.")
@click.option("--via-peer", metavar="ID", multiple=True, help="Begin a blinded path at this connected peer.")
@click.option("--dialect", type=click.Choice(["draft", "cln"]), help="Numbers of the recurrence fields.")
@click.option("--invoice-expiry", type=SECONDS, default="1h", show_default=True, help="How long an invoice lives.")
@click.option("--fiat-expiry", type=SECONDS, default="10min", show_default=True, help="... one priced in a currency.")
@click.option("--label", default="", help="Your own name for the offer; nobody else sees it.")
@click.option("--qr", is_flag=True, help="Show the offer as a QR code too.")
@home_option
@json_option
def create(home: Home, as_json: bool, qr: bool, **asked: Any) -> None:
    """Create an offer and print it, ready to publish."""
    answer = Client(home).post("/v1/offers", offer_body(asked))
    if as_json:
        print_json(answer)
        return
    _print_offer(answer, qr)


@offer.command("list")
@home_option
@json_option
def list_(home: Home, as_json: bool) -> None:
    """List this node's offers."""
    answer = Client(home).get("/v1/offers")
    if as_json:
        print_json(answer)
        return
    rows = [
        (told["offer_id"][:12], printable(told["label"] or told["description"] or ""), told["terms"],
         told["status"], local_time(told["created_at"]))
        for told in answer["offers"]
    ]  # fmt: skip
    if not rows:
        click.echo("No offers yet: create one with `lnrecur offer create`.")
        return
    print_table(make_console(), ("offer", "what", "terms", "state", "created"), rows)


@offer.command("show")
@click.argument("offer_id")
@click.option("--qr", is_flag=True, help="Show the offer as a QR code too.")
@home_option
@json_option
def show(offer_id: str, home: Home, as_json: bool, qr: bool) -> None:
    """Show one offer, by the beginning of its id."""
    answer = Client(home).get(path_to("offers", offer_id))
    if as_json:
        print_json(answer)
        return
    _print_offer(answer, qr)


def _standing(verb: str, help_text: str, question: str | None = None) -> None:
    """A command that changes how an offer stands; `question` is asked before what cannot be undone."""

    @offer.command(verb, help=help_text)
    @click.argument("offer_id")
    @click.option("--yes", is_flag=True, hidden=question is None, help="Do not ask.")
    @home_option
    @json_option
    def change(offer_id: str, home: Home, as_json: bool, yes: bool) -> None:
        if question is not None and not yes:
            click.confirm(question, abort=True, err=True)
        _told(Client(home).post(path_to("offers", offer_id, verb)), as_json)


_standing("retire", "Sell an offer to no new subscribers; those there are go on.")
_standing("pause", "Serve nobody for now; periods that pass meanwhile are waived.")
_standing("resume", "Sell a retired or paused offer to everybody again.")
_standing("end", "End an offer for all of its subscribers, for good.", "End this offer and all of its subscriptions?")


@offer.command("replace")
@click.argument("offer_id")
@click.option("--by", "successor", required=True, metavar="OFFER_ID", help="The offer, by the beginning of its id.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@json_option
def replace(offer_id: str, successor: str, home: Home, as_json: bool, yes: bool) -> None:
    """End an offer in favour of another one, which its subscribers are told of."""
    if not yes:
        click.confirm("End this offer and all of its subscriptions, and name the other one?", abort=True, err=True)
    _told(Client(home).post(path_to("offers", offer_id, "replace"), {"successor": successor}), as_json)


def _told(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['offer_id'][:12]}: {told['status']}")


def offer_body(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A new offer, as the API wants it; `asked` are the options of `offer create`.

    Raises:
        UsageError: options that say nothing without others.
    """
    price = asked["amount"]
    body = {
        "amount_msat": None if price is None or price.currency is not None else price.amount,
        "currency": None if price is None else price.currency,
        "amount_minor": None if price is None or price.currency is None else price.amount,
        "description": asked["description"],
        "issuer": asked["issuer"],
        "absolute_expiry": asked["expires"],
        "quantity_max": asked["quantity_max"],
        "label": asked["label"],
        "blinded": asked["blinded"],
        "via_peers": list(asked["via_peer"]) or None,
        "windows": "lenient" if asked["lenient"] else "strict",
        "first_in_window": asked["first_in_window"],
        "invoice_expiry_s": asked["invoice_expiry"],
        "fiat_expiry_s": asked["fiat_expiry"],
        "early_s": asked["early"],
        "grace_s": asked["grace"],
        "arrears_max": asked["arrears_max"],
        "amount_min_msat": asked["amount_min"],
        "after_window": asked["after_window"],
        "after_cancel": asked["after_cancel"],
        "after_end": asked["after_end"],
        "give_state": asked["give_state"],
    }
    if asked["every"] is None:
        for name in ("payments", "optional", "base", "proportional", "pay_before", "pay_after", "dialect"):
            if asked[name] is not None and asked[name] is not False:  # a base of 0 is one
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} is about subscriptions: say with --every how long a period is", field=name)
        return body
    unit, period = asked["every"]
    before, after = asked["pay_before"], asked["pay_after"]
    if before is not None and after is None:
        raise UsageError(
            "--pay-before needs --pay-after too: a pay window has an end (0 for the start)", field="pay_after"
        )
    body["recurrence"] = {
        "unit": unit,
        "period": period,
        "optional": asked["optional"],
        "basetime": asked["base"],
        "proportional": asked["proportional"],
        "seconds_before": before if after is None else before or 0,
        "seconds_after": after,
        "payments": asked["payments"],
        "dialect": asked["dialect"],
    }
    return body


def _print_offer(told: dict[str, Any], qr: bool) -> None:
    click.echo(told["offer"])
    console = make_console()
    facts = [
        ("what", printable(told["description"] or "")),
        ("terms", told["terms"]),
        ("state", told["status"]),
        ("offer id", told["offer_id"]),
        ("created", local_time(told["created_at"])),
    ]
    facts += [("asked over", words) for words in _introduced(told)]
    if via := told["via"]:
        facts.append(("pay it", f"lnrecur subscribe {told['offer'][:12]}... --via {via[0]}"))
    print_facts(console, "Offer", facts)
    if qr:
        _print_qr(told["offer"])


def _introduced(told: dict[str, Any]) -> list[str]:
    """Where the blinded paths begin, and plainly what that hides."""
    begins = told["introductions"]
    if not begins and told["peer_address"] is None:
        return ["this node alone, which listens nowhere: only its peers can ask; make the offer with --blinded instead"]
    if begins and not told["hides_node"]:
        return ["a blinded path that begins at this very node, so the node id is not hidden: no kept peer is connected"]
    return [f"a blinded path that begins at the peer {peer}" for peer in begins]


def _print_qr(text: str) -> None:
    """The offer as a QR code, in capitals: those take less room in it.

    Raises:
        UsageError: no QR code holds that much.
    """
    import segno

    try:
        code = segno.make_qr(text.upper(), error="L")
    except segno.DataOverflowError as error:
        told = f"an offer of {len(text):,} characters is too long for a QR code: shorten its description"
        raise UsageError(told, field="qr") from error
    code.terminal(compact=True)
