"""`lnrecur decode`: what an offer, an invoice request or an invoice says. No daemon, no network.

Everything in a message is a stranger's: it is shown, never believed, and text in it is made printable first. A wrong
signature hides nothing; it is said, and the exit code is 2. The machine's view is in `message_document.py`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer, fields
from lnrecur.bolt12 import decode as decode_message
from lnrecur.bolt12.codecs import Bip353Name, RecurrenceBase, RecurrenceField
from lnrecur.bolt12.offer import OfferFields
from lnrecur.bolt12.recurrence_terms import TimeUnit
from lnrecur.bolt12.request_fields import InvoiceRequestFields
from lnrecur.cli.errors import EXIT_BAD_INPUT
from lnrecur.cli.message_document import Document, message_document
from lnrecur.cli.output import json_option, make_console, print_facts, print_json, print_table, printable
from lnrecur.recurrence.habits import consequences
from lnrecur.recurrence.words import (
    amount_in_words,
    duration_in_words,
    moment_in_words,
    price_in_words,
    recurrence_in_words,
)
from lnrecur.values import chain_name
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.errors import WireError
from lnrecur.wire.text import TEXT_MAX, without_uri

if TYPE_CHECKING:
    from rich.console import Console

Message = Offer | InvoiceRequest | Invoice
Facts = Iterator[tuple[str, str]]

_STDIN_MAX: Final = 2 * TEXT_MAX
"""Bytes we read from standard input: the longest text there is, and as much space around it."""
_TEXT_MAX: Final = 400
_FIELDS_MAX: Final = 200
"""What people are shown; --json shows all."""

_TITLES: Final = {"offer": "Offer", "invoice_request": "Invoice request", "invoice": "Invoice"}
_AMOUNTS: Final = (fields.INVREQ_AMOUNT.name, fields.INVOICE_AMOUNT.name)
_MOMENTS: Final = (
    fields.OFFER_ABSOLUTE_EXPIRY.name,
    fields.INVOICE_CREATED_AT.name,
    fields.INVOICE_RECURRENCE_BASETIME.name,
)


@click.command(short_help="What an offer, an invoice request or an invoice says.")
@click.argument("string")
@json_option
def decode(string: str, as_json: bool) -> None:
    """Show what an offer (lno1...), an invoice request (lnr1...) or an invoice (lni1...) says.

    STRING may begin with "lightning:"; "-" reads it from standard input. The exit code is 2 where it cannot be read, or
    where its signature is wrong.
    """
    text = bolt12_text(string)
    message = decode_message(text)
    document = message_document(message, text, time.time_ns() // 1_000_000_000)
    if as_json:
        print_json(document)
        if document["signature"]["valid"] is False:
            click.get_current_context().exit(EXIT_BAD_INPUT)
        return
    _show(make_console(), message, document)
    if not isinstance(message, Offer):
        message.verify_signature()  # said above; here it becomes the exit code


def bolt12_text(argument: str) -> str:
    """The bolt12 text in a command's argument: "-" means standard input; space around it and `lightning:` go.

    Raises:
        WireError: standard input holds more than any bolt12 text, or nothing.
    """
    text = without_uri(_standard_input() if argument == "-" else argument)
    if not text:
        raise WireError("there is no text to read: a bolt12 text begins with lno1, lnr1 or lni1")
    return text


def read_offer(argument: str) -> Offer:
    """The offer in a command's argument (see `bolt12_text`).

    Raises:
        WireError: not a bolt12 text, or one of another kind than an offer.
        Bolt12Error: a rule is broken; says rule and field.
    """
    return Offer.from_text(bolt12_text(argument))


def _standard_input() -> str:
    data = sys.stdin.buffer.read(_STDIN_MAX + 1)
    if len(data) > _STDIN_MAX:
        raise WireError(f"standard input is longer than {_STDIN_MAX} bytes, and a bolt12 text never is")
    return data.decode("utf-8", errors="replace")


def _show(console: Console, message: Message, document: Document) -> None:
    kind = "" if message.recurrence is None else f", recurring ({message.recurrence.dialect} dialect)"
    console.print(f"{_TITLES[message.NAME]}{kind}", style="bold")
    console.print(f"  {printable(recurrence_in_words(message))}", soft_wrap=True)
    if isinstance(message, InvoiceRequestFields):
        print_facts(console, "Asked for", _asked(message))
    if isinstance(message, Invoice):
        print_facts(console, "To be paid", _to_be_paid(message))
    print_facts(console, "Who", _who(message))
    print_facts(console, "When", _when(message))
    _show_verdict(console, document)
    _show_consequences(console, message)
    console.print()
    print_table(console, ("number", "field", "value"), _field_rows(message, document))
    hidden = len(document["fields"]) - _FIELDS_MAX
    if hidden > 0:
        console.print(f"... and {hidden:,} more fields: --json shows them all")


def _show_verdict(console: Console, document: Document) -> None:
    signature = document["signature"]
    if signature["valid"] is not None:
        signer = "node_id" if document["type"] == "invoice" else "payer_id"
        told = f"valid, by {signer}" if signature["valid"] else f"WRONG: {signature['reason']}"
        console.print()
        console.print(f"Signature {told}", style="green" if signature["valid"] else "bold red", soft_wrap=True)
    for warning in document["warnings"]:
        console.print(f"Warning: {warning['text']}", style="yellow", soft_wrap=True)


def _show_consequences(console: Console, message: Message) -> None:
    """What whoever subscribes to this offer should know of its payee's habits."""
    mind = consequences(message) if isinstance(message, Offer) else ()
    if mind:
        console.print()
    for told in mind:
        console.print(f"Mind: {told}.", style="yellow", soft_wrap=True)


def _asked(request: InvoiceRequestFields) -> Facts:
    if request.is_cancel:
        yield "purpose", "cancel the subscription; nothing is to be paid"
    if request.counter is not None:
        yield "period", f"{request.period_index:,} (counter {request.counter:,}, start {request.start or 0:,})"
    if request.invreq_amount is not None:
        yield "amount", amount_in_words(request.invreq_amount)
    if request.quantity is not None:
        yield "quantity", f"{request.quantity:,}"
    yield "chain", chain_name(request.chain)
    if request.payer_note is not None:
        yield "note", _text(request.payer_note)


def _to_be_paid(invoice: Invoice) -> Facts:
    yield "amount", amount_in_words(invoice.invoice_amount)
    yield "payment hash", invoice.payment_hash.hex()
    yield "through", f"{len(invoice.payment_paths)} blinded path(s)"


def _who(message: OfferFields) -> Facts:
    if message.description is not None:
        yield "description", _text(message.description)
    if message.issuer is not None:
        yield "issuer", _text(message.issuer)
    if message.issuer_id is not None:
        yield "issuer id", message.issuer_id.hex()
    if message.paths:
        yield "reached through", f"{len(message.paths)} blinded path(s)"
    yield "chains", ", ".join(chain_name(chain) for chain in message.accepted_chains)
    if message.quantity_max is not None:
        yield "quantity", f"up to {message.quantity_max:,}" if message.quantity_max else "any number"
    if isinstance(message, InvoiceRequestFields):
        yield "payer id", message.payer_id.hex()
    if isinstance(message, Invoice):
        yield "node id", message.node_id.hex()
    yield "offer id", message.offer_id.hex()


def _when(message: OfferFields) -> Facts:
    if message.absolute_expiry is not None:
        yield "new payers until", moment_in_words(message.absolute_expiry)
    if isinstance(message, Invoice):
        yield "made", moment_in_words(message.created_at)
        yield "payable until", moment_in_words(message.expires_at)
        if message.basetime is not None:
            yield "period 0 begins", moment_in_words(message.basetime)


def _field_rows(message: Message, document: Document) -> Iterator[tuple[str, str, str]]:
    for field in document["fields"][:_FIELDS_MAX]:
        name = field["name"]
        shown = field["hex"] if name is None else _shown(message, name, message.values[name])
        yield str(field["number"]), name or "unknown", _text(shown)


def _shown(message: Message, name: str, value: Any) -> str:
    """A field's value, with its meaning where the bare number does not tell it."""
    if isinstance(value, bytes):
        return value.hex()
    if name == fields.OFFER_AMOUNT.name:
        return f"{value} ({price_in_words(value, message.currency)})"
    if name in _AMOUNTS:
        return f"{value} ({amount_in_words(value)})"
    if name in _MOMENTS:
        return f"{value} ({moment_in_words(value)})"
    if name == fields.OFFER_CHAINS.name:
        return ", ".join(chain_name(chain) for chain in value)
    return _shown_structure(value)


def _shown_structure(value: Any) -> str:
    if isinstance(value, RecurrenceField):
        words = duration_in_words(TimeUnit(value.time_unit), value.period)
        return f"time_unit {value.time_unit}, period {value.period} ({words})"
    if isinstance(value, RecurrenceBase):
        told = f"basetime {value.basetime} ({moment_in_words(value.basetime)})"
        return f"proportional_amount {value.proportional_amount}, {told}"
    if isinstance(value, Bip353Name):
        return f"{value.name.decode(errors='replace')}@{value.domain.decode(errors='replace')}"
    if isinstance(value, BlindedPath):
        first = value.first_node_id
        return f"from {'a channel' if isinstance(first, ChannelDirection) else first.hex()}, {len(value.hops)} hop(s)"
    if isinstance(value, tuple):
        return "; ".join(_shown_structure(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return ", ".join(f"{name} {_shown_structure(item)}" for name, item in asdict(value).items())
    return value.hex() if isinstance(value, bytes) else str(value)


def _text(told: str) -> str:
    """A stranger's text, or anything long, as people are shown it."""
    shown = printable(told[:_TEXT_MAX])
    return shown if len(told) <= _TEXT_MAX else f"{shown}... ({len(told):,} characters)"
