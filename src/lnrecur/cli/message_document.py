"""What `lnrecur decode --json` says of a message: the stable machine shape, and the checks it is made of.

Keys never disappear: what a message does not have is null. Bytes are in hexadecimal, amounts in msat, moments in two
spellings (`x` in RFC 3339 and `x_unix` in seconds). New keys may be added; none is renamed or changes its meaning.

Every message:
    type: "offer", "invoice_request" or "invoice"; dialect: "draft", "cln" or null; offer_id;
    amount_msat: the offer's price, null where it is in a currency or the payer's choice;
    currency, amount_minor_units: the price in a currency; price: either of them in words;
    description, issuer, issuer_id, offer_metadata, offer_features, quantity_max, absolute_expiry (moment);
    chains: names, or hashes of chains we do not know; paths: see below;
    recurrence: null, or {unit: "seconds" | "days" | "months", period, optional, limit (highest period index),
        payments_max (for who begins with period 0), words,
        base: null or {basetime (moment), proportional}, paywindow: null or {seconds_before, seconds_after}};
    fields: [{number, name (null where unknown), hex, value}], in the order of the message;
    signature: {valid: true, false, or null for offers, which carry none; reason: null where it is valid};
    warnings: [{code, text}]; reencoded_identical: whether writing what was read gives the very bytes and text.
Requests and invoices also:
    payer_id, metadata, chain, counter, start, period_index (null without a counter), cancel, quantity, payer_note,
    bip_353_name, request_amount_msat, request_features, request_paths, prev_state.
Invoices also:
    node_id, payment_hash, invoice_amount_msat, created_at (moment), expires_at (moment: the last second to pay),
    basetime (moment), invoice_features, fallbacks: [{version, program}], next_state,
    payment_paths: [path with payinfo], without those whose features we do not understand.
A path is {first_node_id or null, first_channel ("block x transaction x output") and first_direction or null,
    first_path_key, hops: [{blinded_node_id, encrypted_recipient_data}]}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from typing import Any

from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer, Recurrence, TimeUnit
from lnrecur.bolt12.answer_rules import (
    ANSWERING_INVOICE_RULES,
    ANSWERING_REQUEST_RULES,
    UNPROMPTED_REQUEST_RULES,
)
from lnrecur.bolt12.codecs import Bip353Name
from lnrecur.bolt12.errors import NotSigned
from lnrecur.bolt12.message import Bolt12Message
from lnrecur.bolt12.offer import OfferFields
from lnrecur.bolt12.request_fields import InvoiceRequestFields
from lnrecur.bolt12.rules import Rule
from lnrecur.recurrence.calendar import SECONDS_PER_DAY, day_number, period_start
from lnrecur.recurrence.words import duration_in_words, moment_in_words, price_in_words, recurrence_in_words, rfc3339
from lnrecur.values import chain_name
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.tlv import TlvRecord, TlvStream

Document = dict[str, Any]

_JOINT = re.compile(r"\+\s*")


def message_document(message: Offer | InvoiceRequest | Invoice, text: str, now: int) -> Document:
    """The whole document; `text` is what `message` was read from.

    Raises:
        RuleBroken: a request or an invoice mirrors recurrence fields that break O1 to O10.
    """
    document = {"type": message.NAME, "dialect": message.dialect, **_offer_part(message)}
    if isinstance(message, InvoiceRequest | Invoice):
        document |= _request_part(message)
    if isinstance(message, Invoice):
        document |= _invoice_part(message)
    return document | {
        "fields": [field_document(message, record) for record in message.stream],
        "signature": signature_document(message),
        "warnings": warnings(message, now),
        "reencoded_identical": reencoded(message) == message.to_bytes() and _same_text(message, text),
    }


def _offer_part(offer: OfferFields) -> Document:
    in_msat = offer.currency is None
    return {
        "offer_id": offer.offer_id.hex(),
        "amount_msat": offer.amount if in_msat else None,
        "currency": offer.currency,
        "amount_minor_units": None if in_msat else offer.amount,
        "price": None if offer.amount is None else price_in_words(offer.amount, offer.currency),
        "description": offer.description,
        "issuer": offer.issuer,
        "issuer_id": _plain(offer.issuer_id),
        "offer_metadata": _plain(offer.metadata),
        "offer_features": _plain(offer.features),
        "quantity_max": offer.quantity_max,
        **_moment("absolute_expiry", offer.absolute_expiry),
        "chains": [chain_name(chain) for chain in offer.accepted_chains],
        "paths": [_plain(path) for path in offer.paths or ()],
        "recurrence": _recurrence_part(offer, offer.recurrence),
    }


def _recurrence_part(offer: OfferFields, recurrence: Recurrence | None) -> Document | None:
    if recurrence is None:
        return None
    base = recurrence.base
    told = base and {**_moment("basetime", base.basetime), "proportional": recurrence.proportional}
    return {
        "unit": recurrence.unit.name.lower(),
        "period": recurrence.period,
        "optional": recurrence.optional,
        "base": told,
        "paywindow": _plain(recurrence.paywindow),
        "limit": recurrence.limit,
        "payments_max": recurrence.payments_from(0),
        "words": recurrence_in_words(offer),
    }


def _request_part(request: InvoiceRequestFields) -> Document:
    return {
        "payer_id": request.payer_id.hex(),
        "metadata": _plain(request.invreq_metadata),
        "chain": chain_name(request.chain),
        "counter": request.counter,
        "start": request.start,
        "period_index": None if request.counter is None else request.period_index,
        "cancel": request.is_cancel,
        "quantity": request.quantity,
        "payer_note": request.payer_note,
        "bip_353_name": _plain(request.bip_353_name),
        "request_amount_msat": request.invreq_amount,
        "request_features": _plain(request.invreq_features),
        "request_paths": [_plain(path) for path in request.invreq_paths or ()],
        "prev_state": _plain(request.prev_state),
    }


def _invoice_part(invoice: Invoice) -> Document:
    return {
        "node_id": invoice.node_id.hex(),
        "payment_hash": invoice.payment_hash.hex(),
        "invoice_amount_msat": invoice.invoice_amount,
        **_moment("created_at", invoice.created_at),
        **_moment("expires_at", invoice.expires_at),
        **_moment("basetime", invoice.basetime),
        "invoice_features": _plain(invoice.invoice_features),
        "fallbacks": [_plain(address) for address in invoice.fallbacks or ()],
        "payment_paths": [{**_plain(path), "payinfo": _plain(info)} for path, info in invoice.payment_paths],
        "next_state": _plain(invoice.next_state),
    }


def field_document(message: Bolt12Message, record: TlvRecord) -> Document:
    """One field: number, name, bytes and what they mean; an unknown one has neither name nor value."""
    entry = message.TABLE.get(record.type)
    name = None if entry is None else entry[0].name
    value = None if name is None else _plain(message.values[name])
    return {"number": record.type, "name": name, "hex": record.value.hex(), "value": value}


def signature_document(message: Offer | InvoiceRequest | Invoice) -> Document:
    """Whether the signature is that of the payer_id (requests) or the node_id (invoices)."""
    if isinstance(message, Offer):
        return {"valid": None, "reason": "offers are not signed"}
    try:
        message.verify_signature()
    except NotSigned as error:
        return {"valid": False, "reason": str(error)}
    return {"valid": True, "reason": None}


def reencoded(message: Bolt12Message) -> bytes:
    """The message written again from what was understood of it; unknown fields as they came."""
    records = []
    for record in message.stream:
        entry = message.TABLE.get(record.type)
        if entry is None:
            records.append(record)
        else:
            field = entry[0]
            records.append(TlvRecord.of(record.type, field.codec.write(message.values[field.name])))
    return TlvStream(records).to_bytes()


def _same_text(message: Bolt12Message, text: str) -> bool:
    return message.to_text() == _JOINT.sub("", text).lower()


def warnings(message: Offer | InvoiceRequest | Invoice, now: int) -> list[Document]:
    """What a reader should know of a message that can be read. The codes are stable."""
    found = [*_expiry_warnings(message, now), *_recurrence_warnings(message.recurrence), *_refusal_warnings(message)]
    unknown = [record.type for record in message.stream if record.type not in message.TABLE]
    if unknown:
        numbers = ", ".join(str(number) for number in unknown[:20]) + (", ..." if len(unknown) > 20 else "")
        found.append(("unknown_fields", f"unknown odd fields, kept and ignored: {numbers}"))
    return [{"code": code, "text": told} for code, told in found]


def _expiry_warnings(message: OfferFields, now: int) -> Iterable[tuple[str, str]]:
    expiry = message.absolute_expiry
    first = not isinstance(message, InvoiceRequestFields) or not message.counter
    if expiry is not None and expiry < now and first:
        yield "offer_expired", f"the offer took new payers until {moment_in_words(expiry)} only"  # O7
    if isinstance(message, Invoice) and message.expires_at < now:
        yield "invoice_expired", f"the invoice could be paid until {moment_in_words(message.expires_at)} only"


def _recurrence_warnings(recurrence: Recurrence | None) -> Iterable[tuple[str, str]]:
    window = None if recurrence is None else recurrence.paywindow
    if recurrence is None or window is None:
        return
    if window.seconds_after > longest_period(recurrence):
        after = duration_in_words(TimeUnit.SECONDS, window.seconds_after)
        period = duration_in_words(recurrence.unit, recurrence.period)
        yield "long_paywindow", f"the pay window lasts {after} after a start, longer than the period of {period} [O8]"
    if not window.seconds_before and not window.seconds_after:
        yield "empty_paywindow", "the pay window has no length: no period after the first can be paid in time"


def _refusal_warnings(message: Offer | InvoiceRequest | Invoice) -> Iterable[tuple[str, str]]:
    """A request can be read that no payee may answer, and an invoice that no payer may pay."""
    tables: list[tuple[Rule[Any], ...]] = []
    if isinstance(message, InvoiceRequest | Invoice):
        answers_an_offer = message.issuer_id is not None or message.paths is not None
        tables.append(ANSWERING_REQUEST_RULES if answers_an_offer else UNPROMPTED_REQUEST_RULES)
    if isinstance(message, Invoice):
        tables.append(ANSWERING_INVOICE_RULES)
    for rule in (rule for table in tables for rule in table):
        breach = rule.check(message)
        if breach is not None:
            yield "would_be_refused", f"this will be refused: {breach.field}: {breach.told} [{rule.id}]"


def longest_period(recurrence: Recurrence) -> int:
    """The seconds of the longest period (O8). Months are measured from each first of a month in four years."""
    unit, period = recurrence.unit, recurrence.period
    if unit is not TimeUnit.MONTHS:
        return period * (SECONDS_PER_DAY if unit is TimeUnit.DAYS else 1)
    starts = [day_number(2000 + year, month, 1) * SECONDS_PER_DAY for year in range(4) for month in range(1, 13)]
    return max(period_start(start, unit, period, 1) - start for start in starts)


def _moment(name: str, unix: int | None) -> Document:
    return {name: None if unix is None else rfc3339(unix), f"{name}_unix": unix}


def _plain(value: Any) -> Any:
    """A field's value in terms of JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, BlindedPath):
        return _path(value)
    if isinstance(value, Bip353Name):
        return f"{value.name.decode(errors='replace')}@{value.domain.decode(errors='replace')}"
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(item) for name, item in asdict(value).items()}
    return value


def _path(path: BlindedPath) -> Document:
    first = path.first_node_id
    end = first if isinstance(first, ChannelDirection) else None
    return {
        "first_node_id": None if isinstance(first, ChannelDirection) else first.hex(),
        "first_channel": None if end is None else _channel(end.channel),
        "first_direction": None if end is None else end.direction,
        "first_path_key": path.first_path_key.hex(),
        "hops": [_plain(hop) for hop in path.hops],
    }


def _channel(number: int) -> str:
    return f"{number >> 40}x{number >> 16 & 0xFFFFFF}x{number & 0xFFFF}"
