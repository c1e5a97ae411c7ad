"""BOLT 12 under attack: recorded messages are cut, changed and reordered, and nothing but our errors comes out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.bolt12 import (
    Dialect,
    Invoice,
    InvoiceRequest,
    Offer,
    OfferTerms,
    Recurrence,
    TimeUnit,
    decode,
    write_offer,
)
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.errors import NotSigned, WritingError
from lnrecur.bolt12.invoice_error import InvoiceError, read_invoice_error, write_invoice_error
from lnrecur.bolt12.signature import merkle_root
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import LnrecurError
from lnrecur.values import Point
from lnrecur.wire.text import encode_text
from lnrecur.wire.tlv import TlvRecord, TlvStream

DATA = Path(__file__).parents[1] / "vectors" / "data"
MERCHANT = PrivateKey(b"\x51" * 32)

Message = Offer | InvoiceRequest | Invoice


def _recorded() -> list[Message]:
    """Real messages of every kind, the richest first."""
    found = [
        entry["bolt12"]
        for step in json.loads((DATA / "cln" / "recurrence_paywindow.json").read_text())["steps"]
        for entry in (step.get("offer") or {}, *(step.get("messages") or []))
        if "bolt12" in entry
    ]
    offers = json.loads((DATA / "bolts" / "bolt12-offers-test.json").read_text())
    return [decode(text) for text in (*found[:6], *(vector["bolt12"] for vector in offers if vector["valid"]))]


MESSAGES = _recorded()
KINDS: list[type[Message]] = [Offer, InvoiceRequest, Invoice]
READERS: list[Callable[[bytes], Any]] = [
    Offer.from_bytes, InvoiceRequest.from_bytes, Invoice.from_bytes, InvoiceError.from_bytes, read_invoice_error,
]  # fmt: skip

messages = st.sampled_from(MESSAGES)
changes = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4)


def _use(message: Message) -> None:
    """Touch all that can be asked of a message that was read."""
    message.recurrence, message.accepted_chains, message.offer_id, repr(message)
    if isinstance(message, InvoiceRequest | Invoice):
        message.period_index, message.is_cancel, message.chain, message.payer_id  # noqa: B018
        message.verify_signature()
    if isinstance(message, Invoice):
        message.payment_paths, message.expires_at  # noqa: B018


def _read_or_refuse(read: Callable[[bytes], Any], data: bytes) -> None:
    """Reading gives a message that writes the very same bytes, or an error of ours in one line."""
    try:
        message = read(data)
        if isinstance(message, Offer | InvoiceRequest | Invoice):
            assert message.to_bytes() == data
            _use(message)
    except LnrecurError as error:
        assert "\n" not in str(error)  # noqa: PT017 - raising is not demanded
        assert all(isinstance(value, str | int) for value in error.details().values())  # noqa: PT017


def test_all_kinds_are_under_attack() -> None:
    assert {type(message) for message in MESSAGES} == set(KINDS)


@given(messages, st.sampled_from(READERS), changes)
def test_changed_bytes_are_read_or_refused(
    message: Message, read: Callable[[bytes], Any], places: list[tuple[int, int]]
) -> None:
    data = bytearray(message.to_bytes())
    for at, value in places:
        data[at % len(data)] = value
    _read_or_refuse(read, bytes(data))


@given(messages, st.integers(0, 10_000), st.binary(max_size=8))
def test_a_cut_message_is_read_or_refused(message: Message, cut: int, tail: bytes) -> None:
    data = message.to_bytes()
    _read_or_refuse(type(message).from_bytes, data[: cut % len(data)] + tail)


@given(messages, st.integers(0, 20), st.binary(max_size=80))
def test_a_field_with_other_bytes_is_read_or_refused(message: Message, which: int, value: bytes) -> None:
    records = list(message.stream.records)
    at = which % len(records)
    records[at] = TlvRecord.of(records[at].type, value)
    _read_or_refuse(type(message).from_bytes, TlvStream(records).to_bytes())


@given(messages, st.sets(st.integers(0, 30), max_size=8))
def test_a_message_without_some_fields_is_read_or_refused(message: Message, missing: set[int]) -> None:
    kept = [record for at, record in enumerate(message.stream.records) if at not in missing]
    _read_or_refuse(type(message).from_bytes, TlvStream(kept).to_bytes())


@given(st.sampled_from(READERS), st.binary(max_size=120))
def test_random_bytes_are_read_or_refused(read: Callable[[bytes], Any], data: bytes) -> None:
    _read_or_refuse(read, data)


@given(
    st.text(max_size=100)
    | st.builds(
        "{}1{}".format, st.sampled_from(["lno", "lnr", "lni", "LNO"]), st.text("qpzry9x8gf2tvdw0+ ", max_size=60)
    )
    | st.builds(encode_text, st.sampled_from(["lno", "lnr", "lni", "lnx"]), st.binary(max_size=100))
)
def test_random_text_is_read_or_refused(text: str) -> None:
    try:
        _use(decode(text))
    except LnrecurError as error:
        assert "\n" not in str(error)  # noqa: PT017 - raising is not demanded


@given(messages, st.integers(1, 1 << 40), st.binary(max_size=40))
def test_an_odd_field_nobody_knows_is_kept_or_out_of_range(message: Message, number: int, value: bytes) -> None:
    number |= 1
    if number in message.stream or number in type(message).TABLE:
        return
    stream = TlvStream([*message.stream.records, TlvRecord.of(number, value)])
    try:
        read = type(message)(stream)
    except LnrecurError as error:
        assert error.details() in ({"rule": "BO1", "tlv_type": number}, {"rule": "BR3", "tlv_type": number})  # noqa: PT017
        return
    assert read.stream.get(number) == value
    assert type(message).from_text(read.to_text()) == read
    if not isinstance(read, Offer):
        if 240 <= number <= 1000:  # a signature: not signed itself
            read.verify_signature()
        else:
            with pytest.raises(NotSigned):
                read.verify_signature()


@given(messages, st.integers(0, 10_000), st.integers(1, 255))
def test_the_root_depends_on_every_signed_byte(message: Message, at: int, change: int) -> None:
    signed = [record for record in message.stream.records if record.type != 240 and record.value]
    record = signed[at % len(signed)]
    value = bytearray(record.value)
    value[at % len(value)] ^= change
    changed = [TlvRecord.of(record.type, bytes(value)) if each is record else each for each in message.stream.records]
    assert merkle_root(changed) != merkle_root(message.stream.records)


recurrences = st.builds(
    Recurrence,
    unit=st.sampled_from(TimeUnit),
    period=st.integers(0, 1 << 32),
    optional=st.booleans(),
    base=st.none() | st.builds(RecurrenceBase, st.integers(0, 2), st.integers(0, 1 << 64)),
    paywindow=st.none() | st.builds(Paywindow, st.integers(0, 1 << 32), st.integers(0, 1 << 32)),
    limit=st.none() | st.integers(0, 1 << 32),
    dialect=st.sampled_from(Dialect),
)


@given(
    st.builds(
        OfferTerms,
        description=st.none() | st.text(max_size=30),
        amount=st.none() | st.integers(-1, 1 << 64),
        currency=st.none() | st.sampled_from(["USD", "eur", ""]),
        issuer=st.none() | st.text(max_size=30),
        chains=st.none() | st.lists(st.binary(min_size=31, max_size=32), max_size=2).map(tuple),
        absolute_expiry=st.none() | st.integers(0, 1 << 64),
        quantity_max=st.none() | st.integers(0, 1 << 64),
        recurrence=st.none() | recurrences,
        features=st.none() | st.binary(max_size=3),
        issuer_id=st.sampled_from([None, MERCHANT.point, MERCHANT.point, Point(b"\x02" * 3)]),
    ),
    st.none() | st.binary(max_size=40),
)
def test_any_terms_are_an_offer_that_says_them_or_a_mistake_of_the_caller(
    terms: OfferTerms, metadata: bytes | None
) -> None:
    try:
        offer = write_offer(terms, metadata)
    except WritingError as error:
        assert error.rule  # noqa: PT017 - raising is not demanded
        return
    read = Offer.from_text(offer.to_text())
    assert read == offer
    assert read.recurrence == terms.recurrence
    assert (read.description, read.amount, read.currency, read.issuer) == (
        terms.description, terms.amount, terms.currency, terms.issuer,
    )  # fmt: skip
    assert (read.chains, read.absolute_expiry, read.quantity_max) == (
        terms.chains, terms.absolute_expiry, terms.quantity_max,
    )  # fmt: skip
    assert (read.features, read.issuer_id, read.metadata) == (terms.features, terms.issuer_id, metadata)


@given(st.text(max_size=300), st.none() | st.integers(0, (1 << 64) - 1), st.none() | st.binary(max_size=40))
def test_an_invoice_error_is_read_in_both_forms(text: str, field: int | None, suggested: bytes | None) -> None:
    error = write_invoice_error(text, field=field, suggested=suggested)
    assert read_invoice_error(error.to_bytes()) == read_invoice_error(error.to_ldk_bytes()) == error
    assert error.text.isprintable()
