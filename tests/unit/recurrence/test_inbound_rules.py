"""What a payee demands of a request: every rule Q8 to Q21, with its field, in order."""

from typing import Any

import pytest

from helpers.engine import (
    NOW,
    PERIOD,
    PRICE,
    PayeeSide,
    a_plain_offer,
    a_request,
    an_offer,
    every,
    hash_of,
    only,
    preimage_of,
)
from lnrecur.bolt12 import Dialect, InvoiceRequest, Offer, fields
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.errors import RuleBroken
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest
from lnrecur.recurrence.effects import FailBack, IssueInvoice, Refuse
from lnrecur.recurrence.inbound_model import CancelArrived, OpenInvoice, Phase, RequestArrived
from lnrecur.recurrence.offering import OfferPolicy, Windows
from lnrecur.values import UnixSeconds
from lnrecur.wire.integers import U32_MAX, U64_MAX, encode_tu32, encode_tu64
from lnrecur.wire.tlv import TlvRecord, TlvStream

BASE = every(base=RecurrenceBase(0, NOW))
OPTIONAL = every(optional=True)
WINDOW = every(paywindow=Paywindow(50, 100))
STRICT, LENIENT = OfferPolicy(), OfferPolicy(windows=Windows.LENIENT)
MANY = an_offer(quantity_max=5)
ANY_NUMBER = an_offer(quantity_max=0)


def _refused(payee: PayeeSide, counter: int | None = 0, **told: Any) -> Refuse:
    before = payee.state
    effects = payee.asked(counter, **told)
    assert payee.state == before
    assert len(effects) == 1
    return only(effects, Refuse)


def _rule(payee: PayeeSide, counter: int | None = 0, **told: Any) -> tuple[str, int | None]:
    refused = _refused(payee, counter, **told)
    return refused.rule, refused.field_number


def _number(field: Field[Any], dialect: Dialect = Dialect.DRAFT) -> int:
    return field.number_in(dialect)


# --- what the request alone can break ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(
    ("rule", "field", "recurrence", "counter", "told"),
    [
        ("Q9", fields.INVREQ_RECURRENCE_COUNTER, {}, None, {}),
        ("Q11", fields.INVREQ_RECURRENCE_START, {"base": RecurrenceBase(0, NOW)}, 0, {}),
        ("Q11", fields.INVREQ_RECURRENCE_START, {}, 0, {"start": 0}),
        ("Q12", fields.INVREQ_RECURRENCE_CANCEL, {}, 0, {"cancel": True}),
        ("Q8", fields.INVREQ_RECURRENCE_COUNTER, {"limit": 3}, 4, {}),
        ("Q8", fields.INVREQ_RECURRENCE_COUNTER, {"limit": 3, "base": RecurrenceBase(0, NOW)}, 2, {"start": 2}),
    ],
)
def test_a_rule_is_refused_with_its_id_and_its_field_in_the_dialect_of_the_request(
    rule: str,
    field: Field[Any],
    recurrence: dict[str, Any],
    counter: int | None,
    told: dict[str, Any],
    dialect: Dialect,
) -> None:
    offer = an_offer(every(dialect=dialect, **recurrence))
    refused = _refused(PayeeSide(offer), counter, **told)
    assert (refused.rule, refused.field_number) == (rule, _number(field, dialect))
    assert refused.told.startswith(f"{field.name}: ")


@pytest.mark.parametrize(
    "field",
    [fields.INVREQ_RECURRENCE_COUNTER, fields.INVREQ_RECURRENCE_START, fields.INVREQ_RECURRENCE_CANCEL,
     fields.INVREQ_RECURRENCE_PREV_STATE],
)  # fmt: skip
def test_a_plain_offer_takes_no_field_of_recurrence(field: Field[Any]) -> None:
    value = {fields.INVREQ_RECURRENCE_CANCEL: True, fields.INVREQ_RECURRENCE_PREV_STATE: b"x"}.get(field, 0)
    assert _rule(PayeeSide(a_plain_offer()), None, values={field: value}) == ("Q10", _number(field))


def test_the_first_request_carries_no_state() -> None:
    told = {"values": {fields.INVREQ_RECURRENCE_PREV_STATE: b"x"}}
    assert _rule(PayeeSide(), 0, **told) == ("Q12", _number(fields.INVREQ_RECURRENCE_PREV_STATE))


def test_an_optional_recurrence_may_be_paid_once() -> None:
    payee = PayeeSide(an_offer(OPTIONAL))
    issued = only(payee.asked(None), IssueInvoice)
    assert (issued.counter, issued.basetime, issued.amount_msat) == (None, None, PRICE)
    assert payee.state.phase is Phase.STRANGER
    assert _rule(payee, None, cancel=True) == ("Q9", _number(fields.INVREQ_RECURRENCE_COUNTER))


def test_the_highest_index_may_be_paid_and_the_one_behind_it_not() -> None:
    payee = PayeeSide.paid(1, an_offer(every(base=RecurrenceBase(0, NOW), limit=3)), start=2)
    assert payee.state.phase is Phase.ACTIVE
    payee.now = UnixSeconds(NOW + 3 * PERIOD)
    assert only(payee.asked(1, start=2), IssueInvoice).counter == 1
    assert _rule(payee, 2, start=2) == ("Q8", _number(fields.INVREQ_RECURRENCE_COUNTER))


def test_our_own_count_of_payments_binds_too() -> None:
    policy = OfferPolicy(payments_max=2)
    payee = PayeeSide.paid(1, policy=policy)
    assert _rule(payee, 2) == ("Q8", _number(fields.INVREQ_RECURRENCE_COUNTER))
    payee.take(1)
    assert (payee.state.phase, payee.state.payments) == (Phase.COMPLETED, 2)


def test_one_payment_is_a_count_our_policy_can_say_though_the_wire_cannot() -> None:
    payee = PayeeSide.paid(1, policy=OfferPolicy(payments_max=1))
    assert payee.state.phase is Phase.COMPLETED


@pytest.mark.parametrize(
    ("offer", "quantity", "suggested"),
    [(an_offer(), 1, None), (MANY, None, 1), (MANY, 0, 1), (MANY, 6, 5), (ANY_NUMBER, 0, 1), (ANY_NUMBER, None, 1)],
)
def test_a_quantity_fits_its_offer(offer: Offer, quantity: int | None, suggested: int | None) -> None:
    refused = _refused(PayeeSide(offer), values={fields.INVREQ_QUANTITY: quantity})
    assert (refused.rule, refused.field_number) == ("BR7", _number(fields.INVREQ_QUANTITY))
    assert refused.suggested == (None if suggested is None else encode_tu64(suggested))


@pytest.mark.parametrize(("offer", "quantity"), [(MANY, 1), (MANY, 5), (ANY_NUMBER, 10**6)])
def test_a_price_is_per_item(offer: Offer, quantity: int) -> None:
    issued = only(PayeeSide(offer).asked(values={fields.INVREQ_QUANTITY: quantity}), IssueInvoice)
    assert issued.amount_msat == quantity * PRICE


def test_a_quantity_that_no_invoice_could_ask_for_is_refused() -> None:
    offer = an_offer(amount=2, quantity_max=0)
    most = {"values": {fields.INVREQ_QUANTITY: U64_MAX // 2}}
    assert only(PayeeSide(offer).asked(0, **most), IssueInvoice).amount_msat == U64_MAX - 1
    too_many = {"values": {fields.INVREQ_QUANTITY: U64_MAX // 2 + 1}}
    assert _rule(PayeeSide(offer), **too_many) == ("Q17", _number(fields.INVREQ_QUANTITY))


def test_an_offer_expires_for_new_subscribers_only() -> None:
    payee = PayeeSide.paid(1, an_offer(absolute_expiry=NOW))
    payee.now = UnixSeconds(NOW + PERIOD)
    assert only(payee.asked(1), IssueInvoice).counter == 1
    stranger = PayeeSide(payee.offer)
    assert only(stranger.asked(0), IssueInvoice).counter == 0
    stranger.now = UnixSeconds(NOW + 1)
    assert _rule(stranger) == ("O7", None)
    once = PayeeSide(a_plain_offer(absolute_expiry=NOW - 1))
    assert _rule(once, None) == ("O7", None)


# --- what was paid before ---------------------------------------------------------------------------------------------


def test_a_counter_is_paid_once_and_in_order() -> None:
    payee = PayeeSide.paid(2)
    counter = _number(fields.INVREQ_RECURRENCE_COUNTER)
    for asked, rule in ((0, "Q13"), (1, "Q13"), (3, "Q14"), (100, "Q14")):
        refused = _refused(payee, asked)
        assert (refused.rule, refused.field_number, refused.suggested) == (rule, counter, encode_tu32(2))
    assert _rule(PayeeSide(), 1) == ("Q14", counter)


def test_the_start_stays_the_same_for_a_whole_subscription() -> None:
    payee = PayeeSide.paid(1, an_offer(BASE), start=3)
    payee.now = UnixSeconds(NOW + 4 * PERIOD)
    for start in (2, 4, 0):
        assert _rule(payee, 1, start=start) == ("Q20", _number(fields.INVREQ_RECURRENCE_START))
    assert only(payee.asked(1, start=3), IssueInvoice).start == 3


def test_who_cancelled_gets_no_more_invoices() -> None:
    payee = PayeeSide.paid(1)
    payee.step(CancelArrived(a_request(1, payee.offer, cancel=True), payee.offering))
    for counter in (0, 1, 2):
        assert _rule(payee, counter) == ("Q15", _number(fields.INVREQ_PAYER_ID))


@pytest.mark.parametrize("offer", [a_plain_offer(), an_offer(OPTIONAL)], ids=["plain", "optional"])
def test_who_paid_once_has_paid(offer: Offer) -> None:
    payee = PayeeSide(offer)
    payee.take(None)
    assert _rule(payee, None) == ("Q13", _number(fields.INVREQ_PAYER_ID))


def test_a_subscriber_cannot_pay_once_beside_its_subscription() -> None:
    """The invoice could never be taken: its payment would be failed back."""
    payee = PayeeSide.paid(2, an_offer(OPTIONAL))
    assert _rule(payee, None) == ("Q13", _number(fields.INVREQ_PAYER_ID))


def test_behind_the_last_payment_nothing_is_sold_even_where_the_request_alone_looks_right() -> None:
    once = PayeeSide(an_offer(OPTIONAL))
    once.take(None)
    assert _rule(once, 1) == ("Q8", _number(fields.INVREQ_RECURRENCE_COUNTER))
    counted = PayeeSide.paid(2, policy=OfferPolicy(payments_max=2))
    counted.policy = OfferPolicy()
    counted.now = UnixSeconds(NOW + 2 * PERIOD)
    assert _rule(counted, 2) == ("Q8", _number(fields.INVREQ_RECURRENCE_COUNTER))


# --- windows, prices, invoices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [STRICT, LENIENT], ids=["strict", "lenient"])
@pytest.mark.parametrize(
    ("recurrence", "second", "fits"),
    [
        (WINDOW, -51, "early"),
        (WINDOW, -50, "in time"),
        (WINDOW, 99, "in time"),
        (WINDOW, 100, "late"),
        (every(), -PERIOD - 1, "early"),
        (every(), -PERIOD, "in time"),
        (every(), PERIOD - 1, "in time"),
        (every(), PERIOD, "late"),
    ],
)
def test_the_boundary_seconds_of_a_window(recurrence: Any, second: int, fits: str, policy: OfferPolicy) -> None:
    payee = PayeeSide.paid(2, an_offer(recurrence), policy)
    payee.now = UnixSeconds(NOW + 2 * PERIOD + second)
    refused = fits == "early" or (fits == "late" and policy is STRICT)
    if refused:
        told = _refused(payee, 2)
        assert (told.rule, told.field_number) == ("Q16", _number(fields.INVREQ_RECURRENCE_COUNTER))
        assert f"too {fits}" in told.told
    else:
        assert only(payee.asked(2), IssueInvoice).counter == 2


def test_the_window_of_the_first_request_is_not_enforced() -> None:
    offer = an_offer(every(base=RecurrenceBase(0, NOW), paywindow=Paywindow(1, 1)))
    for now in (NOW - 500, NOW, NOW + 10**6):
        payee = PayeeSide(offer)
        payee.now = UnixSeconds(now)
        assert only(payee.asked(0, start=0), IssueInvoice).basetime == NOW


@pytest.mark.parametrize(("second", "lives"), [(-1, 2), (0, 1), (1, 0), (2, 3600), (3, 3600)])
def test_a_first_invoice_lives_to_the_end_of_its_window_or_where_that_is_over_as_long_as_any(
    second: int, lives: int
) -> None:
    payee = PayeeSide(an_offer(every(base=RecurrenceBase(0, NOW), paywindow=Paywindow(1, 2))))
    payee.now = UnixSeconds(NOW + second)
    assert only(payee.asked(0, start=0), IssueInvoice).expires_at - payee.now == lives


def test_an_invoice_never_outlives_the_window_of_its_period() -> None:
    payee = PayeeSide.paid(1, an_offer(WINDOW), OfferPolicy(invoice_expiry_s=120))
    payee.now = UnixSeconds(NOW + PERIOD - 30)
    assert only(payee.asked(1), IssueInvoice).expires_at == NOW + PERIOD + 90
    payee.now = UnixSeconds(NOW + PERIOD)
    assert only(payee.asked(1), IssueInvoice).expires_at == NOW + PERIOD + 99
    payee.now = UnixSeconds(NOW + PERIOD + 99)
    assert only(payee.asked(1), IssueInvoice).expires_at == NOW + PERIOD + 99


def test_a_late_period_that_is_served_and_a_one_off_live_as_long_as_the_policy_says() -> None:
    payee = PayeeSide.paid(1, an_offer(WINDOW), OfferPolicy(windows=Windows.LENIENT, invoice_expiry_s=120))
    payee.now = UnixSeconds(NOW + PERIOD + 100)
    assert only(payee.asked(1), IssueInvoice).expires_at == NOW + PERIOD + 220
    once = PayeeSide(a_plain_offer(), OfferPolicy(invoice_expiry_s=120))
    assert only(once.asked(None), IssueInvoice).expires_at == NOW + 120


def test_the_basetime_is_offered_in_every_first_invoice_and_pinned_by_the_one_that_is_paid() -> None:
    payee = PayeeSide()
    contexts = []
    for second in (0, 7, 20):
        payee.now = UnixSeconds(NOW + second)
        contexts.append(payee.invoiced(0))
    assert [context.basetime for context in contexts] == [NOW, NOW + 7, NOW + 20]
    payee.now = UnixSeconds(NOW + 30)
    payee.claimable(contexts[1])
    payee.claimed(contexts[1])
    payee.now = UnixSeconds(NOW + 7 + PERIOD)
    assert payee.invoiced(1).basetime == NOW + 7


@pytest.mark.parametrize("asked", [PRICE, PRICE + 1, 3 * PRICE])
def test_who_wants_to_pay_more_may(asked: int) -> None:
    issued = only(PayeeSide().asked(values={fields.INVREQ_AMOUNT: asked}), IssueInvoice)
    assert issued.amount_msat == asked


def test_who_wants_to_pay_less_is_told_the_price() -> None:
    refused = _refused(PayeeSide(), values={fields.INVREQ_AMOUNT: PRICE - 1})
    assert (refused.rule, refused.field_number) == ("Q17", _number(fields.INVREQ_AMOUNT))
    assert refused.suggested == encode_tu64(PRICE)


def test_inside_a_proportional_period_the_price_is_for_the_time_that_is_left() -> None:
    payee = PayeeSide(an_offer(every(base=RecurrenceBase(1, NOW))))
    for second, price in ((-10, PRICE), (0, PRICE), (1, 9990), (999, 10)):
        payee.now = UnixSeconds(NOW + second)
        assert only(payee.asked(0, start=0), IssueInvoice).amount_msat == price
    payee.now = UnixSeconds(NOW + PERIOD)
    assert _rule(payee, 0, start=0) == ("T10", _number(fields.OFFER_AMOUNT))


def test_a_price_in_another_currency_is_refused() -> None:
    assert _rule(PayeeSide(an_offer(currency="EUR"))) == ("Q17", _number(fields.OFFER_CURRENCY))


def test_an_offer_without_an_amount_wants_one_from_the_payer() -> None:
    payee = PayeeSide(an_offer(amount=None))
    amount = _number(fields.INVREQ_AMOUNT)
    assert _rule(payee) == ("BR8", amount)
    assert _rule(payee, values={fields.INVREQ_AMOUNT: 0}) == ("BR8", amount)
    assert only(payee.asked(values={fields.INVREQ_AMOUNT: 77}), IssueInvoice).amount_msat == 77


def test_a_period_that_cannot_be_counted_is_refused() -> None:
    offer = an_offer(every(U32_MAX, base=RecurrenceBase(0, U64_MAX)))
    assert _rule(PayeeSide(offer), 0, start=1) == ("T7", _number(fields.INVREQ_RECURRENCE_COUNTER))
    assert only(PayeeSide(offer).asked(0, start=0), IssueInvoice).expires_at == NOW + 3600


def test_an_invoice_says_what_was_asked_for() -> None:
    payee = PayeeSide(an_offer(BASE), OfferPolicy(invoice_expiry_s=60))
    issued = only(payee.asked(0, start=2), IssueInvoice)
    assert issued == IssueInvoice(0, 2, NOW, PRICE, NOW, NOW + 60, preimage_of(payee.issued))


# --- the order --------------------------------------------------------------------------------------------------------


def _everything_wrong(without: set[str]) -> tuple[PayeeSide, VerifiedInvoiceRequest]:
    """A request that breaks a rule of every kind, apart from those named."""
    recurrence = every(base=RecurrenceBase(1, NOW), limit=5)
    offer = an_offer(recurrence, absolute_expiry=NOW - 1, quantity_max=3)
    payee = PayeeSide(offer)
    payee.now = UnixSeconds(NOW + 50 * PERIOD if "T10" not in without else NOW)
    if "O7" in without:
        payee.offer = an_offer(recurrence, quantity_max=3)
    if "Q13" not in without:
        payee.state = PayeeSide.paid(1, an_offer(BASE), start=0).state
    values = {
        fields.INVREQ_QUANTITY: 1 if "BR7" in without else 9,
        fields.INVREQ_AMOUNT: PRICE if "Q17" in without else 1,
    }
    start = None if "Q11" not in without else 0 if "Q8" in without else 6
    return payee, a_request(0, payee.offer, start=start, values=values)


def test_the_rules_are_checked_in_the_order_of_q21() -> None:
    """Structure first, then the offer's expiry, what was paid, the time and the price: the cheapest first."""
    order = ["Q11", "Q8", "BR7", "O7", "Q13", "T10", "Q17"]
    for at, rule in enumerate(order):
        payee, request = _everything_wrong(set(order[:at]))
        effects = payee.step(RequestArrived(request, payee.offering, preimage_of(1)))
        assert only(effects, Refuse).rule == rule
    payee, request = _everything_wrong(set(order))
    assert only(payee.step(RequestArrived(request, payee.offering, preimage_of(1))), IssueInvoice)


# --- what is remembered -----------------------------------------------------------------------------------------------


def test_only_a_subscribers_open_invoice_is_remembered_and_a_newer_one_takes_its_place() -> None:
    payee = PayeeSide.paid(1)
    payee.now = UnixSeconds(NOW + PERIOD)
    first = payee.invoiced(1)
    assert payee.state.open_invoice is not None
    assert payee.state.open_invoice.payment_hash == first.payment_hash
    effects = payee.asked(1, metadata=b"\x08" * 16)
    assert only(effects, FailBack).payment_hash == first.payment_hash
    assert isinstance(payee.state.open_invoice, OpenInvoice)
    assert payee.state.open_invoice.payment_hash == hash_of(preimage_of(payee.issued))
    assert payee.state.open_invoice.counter == 1


def test_no_invoice_of_a_reserved_period_is_withdrawn() -> None:
    payee = PayeeSide.paid(1)
    payee.now = UnixSeconds(NOW + PERIOD)
    payee.claimable(payee.invoiced(1))
    renewing = payee.state
    effects = payee.asked(1, metadata=b"\x08" * 16)
    assert [type(effect) for effect in effects] == [IssueInvoice]
    assert payee.state == renewing


def test_a_request_that_mirrors_a_broken_offer_is_not_even_read_as_recurring() -> None:
    """O1 to O6 are enforced on the mirrored fields too; offers of ours cannot break them."""
    records = [record for record in a_request(0).stream if record.type != fields.SIGNATURE.number]
    both = TlvRecord.of(fields.OFFER_RECURRENCE_OPTIONAL.number, b"\x00\x01")
    request = InvoiceRequest(TlvStream([*records, both]))
    with pytest.raises(RuleBroken, match="only one may"):
        _ = request.recurrence


# --- the first payment ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first_in_window", "late_rule"), [(False, None), (True, "Q16")])
def test_the_window_binds_the_first_payment_only_where_the_policy_says_so(
    first_in_window: bool, late_rule: str | None
) -> None:
    offer = an_offer(every(base=RecurrenceBase(0, NOW - 10 * PERIOD)))
    payee = PayeeSide(offer, OfferPolicy(first_in_window=first_in_window))
    refused = [effect.rule for effect in payee.asked(0, start=3) if isinstance(effect, Refuse)]
    assert refused == ([] if late_rule is None else [late_rule])
    assert only(payee.asked(0, start=10), IssueInvoice).basetime == NOW - 10 * PERIOD
