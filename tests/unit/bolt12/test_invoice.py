"""Invoices: written from a request, signed by the node that was asked, and proven to be its answer."""

import pytest
from bolt12_examples import (
    HOP,
    MERCHANT,
    PATH,
    PAYER,
    PAYINFO,
    an_invoice,
    an_offer,
    invoice_values,
    signed_invoice,
    signed_request,
    terms,
)

from lnrecur.bolt12 import Dialect, Invoice, InvoiceRequest, VerifiedInvoice, fields, write_offer
from lnrecur.bolt12.codecs import BlindedPayinfo
from lnrecur.bolt12.errors import NotSigned, RuleBroken, WritingError
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.invoice import DEFAULT_RELATIVE_EXPIRY, write_invoice
from lnrecur.wire.tlv import TlvRecord, TlvStream

ODD_UNKNOWN = {33: b"in the offer", 1_000_000_033: b"in its experiments"}


@pytest.mark.parametrize("dialect", Dialect)
def test_an_answer_speaks_the_dialect_of_its_request(dialect: Dialect) -> None:
    request = signed_request(dialect)
    invoice = signed_invoice(request)
    assert invoice.dialect is dialect
    assert invoice.stream.get({Dialect.DRAFT: 177, Dialect.CLN: 3_000_000_177}[dialect]) is not None
    assert invoice.basetime == 1_700_000_000
    assert isinstance(invoice.verify_answers(request, MERCHANT.point), VerifiedInvoice)
    assert invoice.offer_id == request.offer_id


def test_what_was_written_is_what_is_read() -> None:
    invoice = Invoice.from_text(signed_invoice(signed_request()).to_text())
    assert (invoice.invoice_amount, invoice.created_at, invoice.expires_at) == (5_000_000, 1_700_000_123, 1_700_000_183)
    assert (invoice.payment_hash, invoice.node_id) == (b"\x09" * 32, MERCHANT.point)
    assert invoice.payment_paths == ((PATH, PAYINFO),)
    invoice.verify_signature()


def test_an_invoice_that_does_not_say_lives_two_hours() -> None:
    invoice = an_invoice({fields.INVOICE_RELATIVE_EXPIRY: None})
    assert invoice.expires_at == invoice.created_at + DEFAULT_RELATIVE_EXPIRY == invoice.created_at + 7200
    assert an_invoice({fields.INVOICE_RELATIVE_EXPIRY: 0}).expires_at == invoice.created_at


def test_a_path_whose_features_we_do_not_know_is_not_used() -> None:
    unusable = BlindedPayinfo(0, 0, 0, 0, 1, b"\x04")
    invoice = an_invoice({fields.INVOICE_PATHS: (PATH, PATH), fields.INVOICE_BLINDEDPAY: (unusable, PAYINFO)})
    assert invoice.payment_paths == ((PATH, PAYINFO),)


def test_the_same_request_and_values_give_the_same_bytes() -> None:
    assert signed_invoice(signed_request()).to_bytes() == signed_invoice(signed_request()).to_bytes()


def test_unknown_odd_fields_are_mirrored_too() -> None:
    request = signed_request(Dialect.CLN, offer=an_offer(raw=ODD_UNKNOWN))
    invoice = signed_invoice(request)
    assert invoice.request_records() == request.request_records()
    assert {number: invoice.stream.get(number) for number in ODD_UNKNOWN} == ODD_UNKNOWN
    invoice.verify_answers(request, MERCHANT.point)


def _answered_with(changes: dict[int, bytes | None]) -> tuple[InvoiceRequest, Invoice]:
    """A request, and the invoice of a merchant who mirrors some fields wrongly (None: not at all) and signs that."""
    request = signed_request(Dialect.CLN, offer=an_offer(raw=ODD_UNKNOWN))
    kept = [record for record in request.stream.records if record.type not in changes]
    made = [TlvRecord.of(number, value) for number, value in changes.items() if value is not None]
    return request, signed_invoice(InvoiceRequest(TlvStream([*kept, *made])))


@pytest.mark.parametrize(
    ("changes", "number", "field"),
    [
        ({33: None}, 33, None),
        ({33: b"changed"}, 33, None),
        ({35: b"added"}, 35, None),
        ({1_000_000_033: b""}, 1_000_000_033, None),
        ({2_999_999_999: b"added"}, 2_999_999_999, None),
        ({8: b"\x01"}, 8, "offer_amount"),
        ({10: b"something else"}, 10, "offer_description"),
        ({0: b"\x08" * 16}, 0, "invreq_metadata"),
        ({80: None}, 80, "invreq_chain"),
        ({89: b""}, 89, "invreq_payer_note"),
        ({2_000_000_092: b"\x01"}, 2_000_000_092, "invreq_recurrence_counter"),
        ({2_000_000_093: b""}, 2_000_000_093, "invreq_recurrence_start"),
        ({88: HOP.point}, 88, "invreq_payer_id"),
    ],
)
def test_a_field_that_is_not_mirrored_is_named(
    changes: dict[int, bytes | None], number: int, field: str | None
) -> None:
    request, invoice = _answered_with(changes)
    with pytest.raises(RuleBroken) as refusal:
        invoice.verify_answers(request, MERCHANT.point)
    assert refusal.value.rule == "V6"
    assert (refusal.value.breach.number, refusal.value.breach.field) == (number, field)


def test_an_answer_to_another_period_is_no_answer() -> None:
    first, second = (signed_request(changes={fields.INVREQ_RECURRENCE_COUNTER: counter}) for counter in (0, 1))
    with pytest.raises(RuleBroken, match=r"\[V6\]"):
        signed_invoice(first).verify_answers(second, MERCHANT.point)


def test_only_the_node_that_was_asked_may_answer() -> None:
    request = signed_request()
    invoice = signed_invoice(request, key=HOP)
    with pytest.raises(RuleBroken, match=f"{HOP.point.hex()}, but {MERCHANT.point.hex()} was asked") as refusal:
        invoice.verify_answers(request, MERCHANT.point)
    assert refusal.value.rule == "V7"


def test_an_offer_with_an_issuer_id_is_answered_by_nobody_else() -> None:
    request = signed_request()
    with pytest.raises(RuleBroken) as refusal:
        signed_invoice(request, key=HOP).verify_answers(request, HOP.point)
    assert refusal.value.rule == "V7"


def test_an_offer_without_an_issuer_id_is_answered_by_the_end_of_the_path_that_was_asked() -> None:
    request = signed_request(offer=write_offer(terms(Dialect.DRAFT, issuer_id=None, paths=(PATH,))))
    invoice = signed_invoice(request, key=HOP)
    assert invoice.verify_answers(request, HOP.point).node_id == HOP.point


@pytest.mark.parametrize("counter", [None, 0])
def test_a_basetime_belongs_to_recurring_invoices_and_to_no_others(counter: int | None) -> None:
    request = signed_request(changes={fields.INVREQ_RECURRENCE_COUNTER: counter})
    wrong = {fields.INVOICE_RECURRENCE_BASETIME: None if counter == 0 else 5}
    with pytest.raises(RuleBroken) as refusal:
        signed_invoice(request, wrong).verify_answers(request, MERCHANT.point)
    assert refusal.value.rule == "V1"


def test_an_amount_that_was_named_is_the_amount_to_pay() -> None:
    request = signed_request(changes={fields.INVREQ_AMOUNT: 6_000_000})
    signed_invoice(request, {fields.INVOICE_AMOUNT: 6_000_000}).verify_answers(request, MERCHANT.point)
    for amount in (5_999_999, 6_000_001):
        with pytest.raises(RuleBroken, match=f"{amount} msat, but invreq_amount said 6000000") as refusal:
            signed_invoice(request, {fields.INVOICE_AMOUNT: amount}).verify_answers(request, MERCHANT.point)
        assert refusal.value.rule == "BI11"


def test_an_unsigned_invoice_answers_nothing() -> None:
    request = signed_request()
    unsigned = Invoice(TlvStream(record for record in signed_invoice(request).stream if record.type != 240))
    with pytest.raises(NotSigned, match="this invoice is not signed"):
        unsigned.verify_answers(request, MERCHANT.point)
    with pytest.raises(NotSigned):
        unsigned.verify_signature()


def test_a_changed_invoice_answers_nothing() -> None:
    request = signed_request()
    changed = Invoice(
        TlvStream(
            TlvRecord.of(168, b"\x0a" * 32) if record.type == 168 else record
            for record in signed_invoice(request).stream.records
        )
    )
    with pytest.raises(NotSigned, match="not made by"):
        changed.verify_answers(request, MERCHANT.point)


def test_the_signature_of_a_request_is_none_of_an_invoice() -> None:
    request = signed_request()
    invoice = signed_invoice(request)
    moved = TlvStream(
        TlvRecord.of(240, request.stream.get(240) or b"") if record.type == 240 else record
        for record in invoice.stream.records
    )
    with pytest.raises(NotSigned):
        Invoice(moved).verify_signature()


@pytest.mark.parametrize(
    ("changes", "rule", "field"),
    [
        ({fields.INVOICE_AMOUNT: None}, "BI1", "invoice_amount"),
        ({fields.INVOICE_NODE_ID: None}, "BI4", "invoice_node_id"),
        ({fields.INVOICE_NODE_ID: PAYER.point}, "V7", "invoice_node_id"),
        ({fields.INVOICE_PAYMENT_HASH: b"short"}, "BOLT 1", "invoice_payment_hash"),
        ({fields.INVOICE_BLINDEDPAY: ()}, "BI10", "invoice_blindedpay"),
        ({fields.INVOICE_RELATIVE_EXPIRY: 2**32}, "BOLT 1", "invoice_relative_expiry"),
        ({fields.INVREQ_PAYER_ID: PAYER.point}, "BOLT 1", None),  # the request has said it already
        ({fields.INVOICE_RECURRENCE_BASETIME: None}, "V1", "invoice_recurrence_basetime"),
    ],
)
def test_an_invoice_that_breaks_a_rule_is_not_signed(
    changes: dict[Field[object], object], rule: str, field: str | None
) -> None:
    with pytest.raises(WritingError) as refusal:
        write_invoice(signed_request(), invoice_values(changes)).sign(MERCHANT)
    assert (refusal.value.rule, refusal.value.breach.field) == (rule, field)
