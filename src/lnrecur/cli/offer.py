"""lnrecur offer: what a merchant publishes."""

from __future__ import annotations

from typing import Any

import click

from lnrecur.cli.amounts import AMOUNT, EVERY, MOMENT, SECONDS
from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.output import json_option, make_console, print_facts, print_json, print_table, printable
from lnrecur.cli.times import local_time
from lnrecur.daemon.config import Home
from lnrecur.errors import UsageError


@click.group("offer")
def offer() -> None:
    """Create, list and show offers."""


@offer.command("create")
@click.argument("description")
@click.option("--amount", type=AMOUNT, help="Price of one period: 1000sat, 0.5sat, 1500msat.")
@click.option("--every", type=EVERY, help="Length of a period: 30s, 10min, 1d, 2w, 1month, 1y. Without it: paid once.")
@click.option("--payments", type=click.IntRange(min=1), help="How many payments a subscription has; default: no end.")
@click.option("--optional", is_flag=True, help="May also be paid once, by wallets that know no subscriptions.")
@click.option("--base", type=MOMENT, help="All subscribers share periods that are counted from this moment.")
@click.option("--proportional", is_flag=True, help="Who joins inside a period pays for what is left of it.")
@click.option("--pay-before", type=SECONDS, help="How long before the start of a period it may be paid.")
@click.option("--pay-after", type=SECONDS, help="How long after the start of a period it may be paid.")
@click.option("--lenient", is_flag=True, help="Serve late periods too, in order.")
@click.option("--first-in-window", is_flag=True, help="Refuse first payments outside their window too.")
@click.option("--expires", type=MOMENT, help="No new subscriptions after this moment; running ones go on.")
@click.option("--issuer", help="Who sells, such as alice@example.com.")
@click.option("--quantity-max", type=click.IntRange(min=0), help="Sell up to this many at once; 0: any number.")
@click.option("--blinded", is_flag=True, help="Be asked over blinded paths that begin at connected kept peers.")
@click.option("--via-peer", metavar="ID", multiple=True, help="Begin a blinded path at this connected peer.")
@click.option("--dialect", type=click.Choice(["draft", "cln"]), help="Numbers of the recurrence fields.")
@click.option("--invoice-expiry", type=SECONDS, default="1h", show_default=True, help="How long an invoice lives.")
@click.option("--label", default="", help="Your own name for the offer; nobody else sees it.")
@click.option("--qr", is_flag=True, help="Show the offer as a QR code too.")
@home_option
@json_option
def create(home: Home, as_json: bool, qr: bool, **asked: Any) -> None:
    """Create an offer and print it, ready to publish."""
    answer = Client(home).post("/v1/offers", _body(asked))
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


def _body(asked: dict[str, Any]) -> dict[str, Any]:
    body = {
        "amount_msat": asked["amount"],
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
