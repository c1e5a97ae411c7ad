"""Invoice requests: written from an offer, signed by the payer, verified by anybody."""

import pytest
from bolt12_examples import MERCHANT, PAYER, a_request, an_offer, request_values, signed_request, stream_of, terms

from lnrecur.bolt12 import (
    Dialect,
    InvoiceRequest,
    Recurrence,
    TimeUnit,
    VerifiedInvoiceRequest,
    fields,
    write_offer,
)
from lnrecur.bolt12.answer_rules import UNPROMPTED_REQUEST_RULES
from lnrecur.bolt12.errors import NotSigned, WritingError
from lnrecur.bolt12.invoice_request import write_invoice_request, write_unprompted_request
from lnrecur.bolt12.rules import enforce
from lnrecur.bolt12.signature import merkle_root
from lnrecur.values import BITCOIN, REGTEST
from lnrecur.wire.tlv import TlvRecord, TlvStream


@pytest.mark.parametrize("dialect", Dialect)
def test_a_written_request_is_read_and_verified(dialect: Dialect) -> None:
    offer = write_offer(terms(dialect), b"meta")
    request = signed_request(dialect, {fields.INVREQ_RECURRENCE_COUNTER: 4, fields.INVREQ_RECURRENCE_START: 2})
    read = InvoiceRequest.from_text(request.to_text()).verify_signature()
    assert isinstance(read, VerifiedInvoiceRequest)
    assert read == request
    assert read.dialect is dialect
    assert (read.counter, read.start, read.period_index, read.is_cancel) == (4, 2, 6, False)
    assert (read.payer_id, read.chain) == (PAYER.point, REGTEST)
    assert read.offer_records() == offer.stream.records
    assert read.offer_id == offer.offer_id
    assert read.recurrence == offer.recurrence


@pytest.mark.parametrize(("dialect", "number"), [(Dialect.DRAFT, 92), (Dialect.CLN, 2_000_000_092)])
def test_the_counter_has_the_number_of_the_dialect(dialect: Dialect, number: int) -> None:
    request = signed_request(dialect)
    assert request.stream.get(number) == b""
    assert request.counter == 0
    assert request.number(fields.INVREQ_RECURRENCE_COUNTER) == number


def test_a_request_that_says_little_has_its_defaults() -> None:
    request = signed_request(changes={fields.INVREQ_CHAIN: None, fields.INVREQ_RECURRENCE_COUNTER: None})
    assert (request.chain, request.counter, request.start, request.period_index) == (BITCOIN, None, None, 0)


def test_a_cancel_is_an_empty_field() -> None:
    request = signed_request(changes={fields.INVREQ_RECURRENCE_CANCEL: True, fields.INVREQ_RECURRENCE_COUNTER: 3})
    assert request.is_cancel
    assert request.stream.get(94) == b""


def test_the_same_request_and_key_give_the_same_bytes() -> None:
    assert signed_request().to_bytes() == signed_request().to_bytes()


def test_fields_of_the_offer_that_nobody_knows_are_mirrored() -> None:
    offer = an_offer(raw={33: b"odd", 1_000_000_033: b"odder"})
    request = signed_request(Dialect.CLN, offer=offer)
    assert request.offer_records() == offer.stream.records
    assert request.stream.get(33) == b"odd"


def test_mirrored_records_leave_the_signature_out() -> None:
    request = signed_request()
    assert {record.type for record in request.stream} - {record.type for record in request.request_records()} == {240}


def test_the_key_must_be_the_payers() -> None:
    unsigned = write_invoice_request(write_offer(terms()), request_values(), Dialect.DRAFT)
    with pytest.raises(WritingError, match="not the key of invreq_payer_id") as refusal:
        unsigned.sign(MERCHANT)
    assert refusal.value.rule == "BR2"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({fields.INVREQ_METADATA: None}, "BR1"),
        ({fields.INVREQ_PAYER_ID: None}, "BR2"),
        ({fields.INVREQ_FEATURES: b"\1"}, "BR4"),
        ({fields.INVREQ_CHAIN: b"too short"}, "BOLT 1"),
        ({fields.OFFER_AMOUNT: 5}, "BOLT 1"),  # the offer has said it already
    ],
)
def test_a_request_that_breaks_a_rule_is_not_signed(changes: dict[fields.Field[object], object], rule: str) -> None:
    with pytest.raises(WritingError) as refusal:
        write_invoice_request(write_offer(terms()), request_values(changes), Dialect.DRAFT).sign(PAYER)
    assert refusal.value.rule == rule


@pytest.mark.parametrize(
    ("changed_terms", "changes", "rule", "field"),
    [
        ({"recurrence": None}, {}, "Q10", "invreq_recurrence_counter"),
        ({}, {fields.INVREQ_RECURRENCE_COUNTER: None}, "Q9", "invreq_recurrence_counter"),
        ({}, {fields.INVREQ_RECURRENCE_START: 1}, "Q11", "invreq_recurrence_start"),
        ({}, {fields.INVREQ_RECURRENCE_CANCEL: True}, "Q12", "invreq_recurrence_cancel"),
        ({}, {fields.INVREQ_RECURRENCE_COUNTER: 2**31}, "Q8", "invreq_recurrence_counter"),
        ({}, {fields.INVREQ_QUANTITY: 2}, "BR7", "invreq_quantity"),
        ({"amount": None}, {}, "BR8", "invreq_amount"),
        ({}, {fields.INVREQ_AMOUNT: 0}, "BR8", "invreq_amount"),
        ({}, {fields.INVREQ_CHAIN: None}, "BR9", "invreq_chain"),
        ({}, {fields.INVREQ_CHAIN: BITCOIN}, "BR9", "invreq_chain"),
    ],
)
def test_a_request_that_its_payee_would_refuse_is_not_signed(
    changed_terms: dict[str, object], changes: dict[fields.Field[object], object], rule: str, field: str
) -> None:
    limited = Recurrence(TimeUnit.DAYS, 7, limit=11)
    offer = write_offer(terms(Dialect.DRAFT, **{"recurrence": limited, **changed_terms}))
    with pytest.raises(WritingError) as refusal:
        write_invoice_request(offer, request_values(changes), Dialect.DRAFT).sign(PAYER)
    assert (refusal.value.rule, refusal.value.breach.field) == (rule, field)


UNPROMPTED = {
    fields.INVREQ_METADATA: b"\x07" * 16,
    fields.OFFER_DESCRIPTION: "refund of the fourth cup",
    fields.INVREQ_AMOUNT: 1_000_000,
    fields.INVREQ_PAYER_ID: PAYER.point,
}


def test_a_request_without_an_offer_is_written_unsigned_and_read_again() -> None:
    request = write_unprompted_request(UNPROMPTED)
    assert InvoiceRequest.from_text(request.to_text()) == request
    assert (request.description, request.invreq_amount, request.chain) == (
        "refund of the fourth cup",
        1_000_000,
        BITCOIN,
    )
    enforce(UNPROMPTED_REQUEST_RULES, request)


@pytest.mark.parametrize(
    ("changes", "rule", "field"),
    [
        ({fields.OFFER_CHAINS: (REGTEST,)}, "BR10", "offer_chains"),
        ({fields.OFFER_FEATURES: b""}, "BR10", "offer_features"),
        ({fields.OFFER_QUANTITY_MAX: 3}, "BR10", "offer_quantity_max"),
        ({fields.INVREQ_AMOUNT: None}, "BR11", "invreq_amount"),
        ({fields.OFFER_ISSUER_ID: MERCHANT.point}, "BR12", "offer_issuer_id"),
        ({fields.OFFER_METADATA: b"m"}, "BR12", "offer_metadata"),
        ({fields.OFFER_AMOUNT: 5}, "BR12", "offer_amount"),
        ({fields.INVREQ_RECURRENCE_COUNTER: 0}, "BR12", "invreq_recurrence_counter"),
        ({fields.OFFER_DESCRIPTION: None}, "BR13", "offer_description"),
        ({fields.INVREQ_PAYER_ID: None}, "BR2", "invreq_payer_id"),
    ],
)
def test_a_request_without_an_offer_says_nothing_of_offers(
    changes: dict[fields.Field[object], object], rule: str, field: str
) -> None:
    with pytest.raises(WritingError) as refusal:
        write_unprompted_request({**UNPROMPTED, **changes})
    assert (refusal.value.rule, refusal.value.breach.field) == (rule, field)


def test_a_request_in_another_dialect_than_its_offer_is_not_signed() -> None:
    unsigned = write_invoice_request(write_offer(terms(Dialect.DRAFT)), request_values(), Dialect.CLN)
    with pytest.raises(WritingError, match=r"\[D1\]"):
        unsigned.sign(PAYER)


def test_an_unsigned_request_is_read_but_not_verified() -> None:
    with pytest.raises(NotSigned, match="this invoice_request is not signed"):
        a_request().verify_signature()


def test_a_request_signed_by_another_is_refused() -> None:
    request = signed_request(changes={fields.INVREQ_PAYER_NOTE: "hello"})
    other = TlvStream(
        TlvRecord.of(88, MERCHANT.point) if record.type == 88 else record for record in request.stream.records
    )
    with pytest.raises(NotSigned, match=f"not made by {MERCHANT.point.hex()}"):
        InvoiceRequest(other).verify_signature()


def test_any_change_to_any_field_breaks_the_signature() -> None:
    request = signed_request(changes={fields.INVREQ_PAYER_NOTE: "hello"})
    for number in (10, 89):
        changed = TlvStream(
            TlvRecord.of(number, record.value + b"!") if record.type == number else record
            for record in request.stream.records
        )
        with pytest.raises(NotSigned):
            InvoiceRequest(changed).verify_signature()
    with pytest.raises(NotSigned):
        InvoiceRequest(TlvStream((*request.stream.records, TlvRecord.of(33, b"")))).verify_signature()


def test_other_signatures_are_not_signed() -> None:
    """240 to 1000 sign everything else and not one another (BOLT 12)."""
    request = signed_request()
    with_another = TlvStream((*request.stream.records, TlvRecord.of(241, b"of another")))
    InvoiceRequest(with_another).verify_signature()
    assert merkle_root(with_another.records) == merkle_root(request.stream.records)


def test_a_message_is_equal_to_its_bytes_and_to_no_other_kind() -> None:
    request = signed_request()
    assert InvoiceRequest.from_bytes(request.to_bytes()) == InvoiceRequest(request.stream)
    assert request != InvoiceRequest(stream_of({fields.INVREQ_METADATA: b"m", fields.INVREQ_PAYER_ID: PAYER.point}))
    assert request != request.to_bytes()
