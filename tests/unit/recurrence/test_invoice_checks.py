"""What a payer proves of an invoice before anything is paid (V1 to V7)."""

from typing import Any

import pytest

from helpers.engine import NOW, PERIOD, PRICE, STRANGER, PayerSide, an_invoice, an_offer, every, kinds, names
from lnrecur.bolt12 import InvoiceRequest, fields
from lnrecur.bolt12.codecs import RecurrenceBase
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import blind_path, unblind
from lnrecur.recurrence.effects import Emit, Pay
from lnrecur.recurrence.invoice_checks import CLOCK_SKEW_S, InvoiceRefused, check_invoice
from lnrecur.recurrence.outbound_model import InvoiceArrived, Terms
from lnrecur.service.performer import pay_order
from lnrecur.values import UnixSeconds
from lnrecur.wire.integers import U32_MAX, U64_MAX
from lnrecur.wire.tlv import TlvRecord, TlvStream

BASE = every(base=RecurrenceBase(0, NOW - 500))


def _refused(payer: PayerSide, data: bytes, told: str) -> None:
    """The machine refuses, tells why, pays nothing and goes on waiting for a better one."""
    before = payer.state
    effects = payer.step(InvoiceArrived(data))
    assert names(effects) == ["subscription.invoice_refused"]
    assert kinds(effects) == []
    assert told in (payer.state.problem or "")
    assert (payer.state.phase, payer.state.request, payer.state.payment) == (before.phase, before.request, None)


def _asking(periods: int = 0, **offer: Any) -> PayerSide:
    terms = Terms(start=0) if offer.get("recurrence") is BASE else Terms()
    payer = PayerSide.paid(periods, an_offer(**offer), terms=terms)
    payer.wake()
    return payer


def _changed(data: bytes, number: int, value: bytes | None) -> bytes:
    """The same message with one field exchanged (its signature is then wrong)."""
    records = [record for record in TlvStream.from_bytes(data) if record.type != number]
    return TlvStream([*records, *([] if value is None else [TlvRecord.of(number, value)])]).to_bytes()


def test_a_good_invoice_is_proven() -> None:
    payer = _asking()
    invoice, basetime = check_invoice(payer.state, payer.invoice(), payer.now)
    assert (invoice.payment_hash, basetime) == (payer.payment_hash, NOW)


def test_without_a_request_there_is_no_answer_to_it() -> None:
    payer = _asking()
    data = payer.invoice()
    with pytest.raises(InvoiceRefused, match="no request waits"):
        check_invoice(PayerSide().state, data, NOW)


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x00" * 40])
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    _refused(_asking(), data, "the payee's invoice is refused")


@pytest.mark.parametrize(
    ("field", "value"),
    [(fields.INVREQ_PAYER_NOTE, "added"), (fields.INVREQ_RECURRENCE_COUNTER, 1), (fields.OFFER_DESCRIPTION, "else")],
)
def test_an_invoice_that_mirrors_another_request_is_refused(field: Any, value: Any) -> None:
    payer = _asking()
    other = InvoiceRequest.from_bytes(_changed(payer.request, field.number, field.codec.write(value)))
    _refused(payer, an_invoice(other, created_at=NOW), "V6")


def test_an_invoice_that_leaves_a_field_of_the_request_out_is_refused() -> None:
    payer = _asking(issuer="shop")
    other = InvoiceRequest.from_bytes(_changed(payer.request, fields.OFFER_ISSUER.number, None))
    _refused(payer, an_invoice(other, created_at=NOW), "V6")


def test_an_invoice_of_another_node_is_refused() -> None:
    payer = _asking()
    _refused(payer, payer.invoice(key=STRANGER), "V7")


def test_an_invoice_over_another_amount_than_was_asked_for_is_refused() -> None:
    payer = _asking(amount=None)
    _refused(payer, payer.invoice(amount=PRICE - 1), "BI11")
    assert kinds(payer.receive(amount=PRICE)) == ["Pay"]


MUST_BE_SPLIT = {fields.INVOICE_FEATURES: b"\x01\x00\x00"}


def test_an_invoice_that_may_be_paid_in_parts_is_paid_by_any_node() -> None:
    payer = _asking()
    assert kinds(payer.receive(values={fields.INVOICE_FEATURES: b"\x02\x00\x00"})) == ["Pay"]


@pytest.mark.parametrize(("can_split", "why"), [(False, "the money node pays in one"), (None, "does not say whether")])
def test_an_invoice_that_must_be_paid_in_parts_is_refused_unless_the_node_can_split(
    can_split: bool | None, why: str
) -> None:
    payer = _asking()
    _refused(payer, payer.invoice(values=MUST_BE_SPLIT), "BI14")
    [told] = payer.step(InvoiceArrived(payer.invoice(values=MUST_BE_SPLIT), can_split=can_split))
    assert isinstance(told, Emit)
    assert why in str(told.data["why"])
    assert "BI14" in str(told.data["why"])
    [pay, _] = payer.step(InvoiceArrived(payer.invoice(values=MUST_BE_SPLIT), can_split=True))
    assert isinstance(pay, Pay)
    order = pay_order(pay)
    assert order.may_split
    assert order.must_split


def test_an_invoice_with_a_wrong_or_missing_signature_is_refused() -> None:
    payer = _asking()
    data = payer.invoice()
    _refused(payer, _changed(data, fields.SIGNATURE.number, bytes(64)), "signature")
    _refused(payer, _changed(data, fields.SIGNATURE.number, None), "signature")
    _refused(payer, _changed(data, fields.INVOICE_AMOUNT.number, b"\x01"), "signature")


def test_an_invoice_for_nothing_cannot_be_paid() -> None:
    payer = _asking()
    _refused(payer, payer.invoice(amount=0), "0 msat")


def test_an_invoice_may_be_paid_in_its_last_second_and_not_behind_it() -> None:
    payer = _asking()
    data = payer.invoice(expiry=10)
    payer.now = UnixSeconds(NOW + 11)
    _refused(payer, data, f"expired at {NOW + 10}")
    payer.now = UnixSeconds(NOW + 10)
    assert kinds(payer.step(InvoiceArrived(data))) == ["Pay"]


def test_a_recurring_invoice_without_a_basetime_is_refused() -> None:
    payer = _asking()
    _refused(payer, payer.invoice(values={fields.INVOICE_RECURRENCE_BASETIME: None}), "V1")


@pytest.mark.parametrize("wrong", [NOW - 1, NOW + 1])
def test_without_a_base_the_first_basetime_is_the_creation_of_the_invoice(wrong: int) -> None:
    payer = _asking()
    _refused(payer, payer.invoice(basetime=wrong), "V4")


@pytest.mark.parametrize("wrong", [NOW, NOW - 499])
def test_with_a_base_the_basetime_is_the_base(wrong: int) -> None:
    payer = _asking(recurrence=BASE)
    _refused(payer, payer.invoice(basetime=wrong), "V4")
    assert kinds(payer.receive()) == ["Pay"]


@pytest.mark.parametrize("wrong", [NOW - 1, NOW + PERIOD])
def test_later_basetimes_are_that_of_the_first_paid_invoice(wrong: int) -> None:
    payer = _asking(1)
    _refused(payer, payer.invoice(basetime=wrong), "V5")
    assert kinds(payer.receive()) == ["Pay"]


@pytest.mark.parametrize("created_at", [0, NOW - CLOCK_SKEW_S - 1, NOW + CLOCK_SKEW_S + 1, U64_MAX])
def test_the_first_invoice_cannot_be_dated_to_make_periods_due_that_nobody_agreed_to(created_at: int) -> None:
    """Its creation becomes the start of period 0: back-dated by years, years of periods would be due at once."""
    payer = _asking()
    _refused(payer, payer.invoice(created_at=created_at, basetime=created_at, expiry=U32_MAX), "T1")


@pytest.mark.parametrize("created_at", [NOW - CLOCK_SKEW_S, NOW + CLOCK_SKEW_S])
def test_clocks_may_differ_a_little(created_at: int) -> None:
    payer = _asking()
    assert kinds(payer.receive(created_at=created_at, basetime=created_at, expiry=2 * CLOCK_SKEW_S)) == ["Pay"]


def test_a_period_that_cannot_be_counted_is_not_paid() -> None:
    offer = an_offer(every(U32_MAX, base=RecurrenceBase(0, U64_MAX)))
    payer = PayerSide(offer, terms=Terms(start=1))
    payer.wake()
    _refused(payer, payer.invoice(), "T7")


def test_over_a_blinded_path_the_end_of_the_path_answers() -> None:
    session, node = PrivateKey(b"\x71" * 32), PrivateKey(b"\x72" * 32)
    paths = tuple(blind_path(PrivateKey(bytes((n,)) * 32), [(node.point, b"\x06\x01\x01")]) for n in (0x73, 0x74))
    elsewhere = blind_path(session, [(node.point, b"\x06\x01\x01")])
    payer = PayerSide(an_offer(issuer_id=None, paths=paths))
    payer.wake()
    for path in paths:
        assert _signed_by_the_end_of(payer, path, node) is None
    assert "V7" in (_signed_by_the_end_of(payer, elsewhere, node) or "")


def _signed_by_the_end_of(payer: PayerSide, path: Any, node: PrivateKey) -> str | None:
    key = unblind(node, path.first_path_key, path.hops[-1].encrypted_recipient_data).blinded_key
    try:
        check_invoice(payer.state, payer.invoice(key=key), payer.now)
    except InvoiceRefused as refused:
        return str(refused)
    return None
