"""Every rule of the tables: the good message passes all of them, and each has a message that breaks it alone.

The last test walks the tables and fails when a rule has no case here.
"""

from collections.abc import Callable

import pytest
from bolt12_examples import NO_HOPS, PATH, PAYINFO, a_request, an_invoice, an_offer

from lnrecur.bolt12 import fields, rules
from lnrecur.bolt12.codecs import Bip353Name, BlindedPayinfo, RecurrenceBase, RecurrenceField
from lnrecur.bolt12.errors import RuleBroken
from lnrecur.bolt12.invoice_error import read_invoice_error
from lnrecur.bolt12.message import MIXED_DIALECTS, UNKNOWN_EVEN, Bolt12Message
from lnrecur.wire.tlv import TlvStream

Make = Callable[[], Bolt12Message | TlvStream]

ODD_FEATURE = b"\x02"
EVEN_FEATURE = b"\x01"
MPP_COMPULSORY = (1 << 16).to_bytes(3, "big")
MPP_OPTIONAL = (1 << 17).to_bytes(3, "big")
UNUSABLE = BlindedPayinfo(0, 0, 0, 0, 1, EVEN_FEATURE)
NO_RECURRENCE = {
    fields.OFFER_RECURRENCE_COMPULSORY: None,
    fields.OFFER_RECURRENCE_BASE: None,
    fields.OFFER_RECURRENCE_PAYWINDOW: None,
    fields.OFFER_RECURRENCE_LIMIT: None,
}
RECURRENCE = fields.OFFER_RECURRENCE_COMPULSORY
OPTIONAL = fields.OFFER_RECURRENCE_OPTIONAL

GOOD: dict[str, Make] = {
    "the offer": an_offer,
    "the request": a_request,
    "the invoice": an_invoice,
    "BO1: the ends of the ranges": lambda: an_offer(raw={1: b"", 79: b"", 1_000_000_001: b"", 1_999_999_999: b""}),
    "BO2: an odd feature": lambda: an_offer({fields.OFFER_FEATURES: ODD_FEATURE}),
    "BO2: no feature": lambda: an_offer({fields.OFFER_FEATURES: b""}),
    "BO3: no chains": lambda: an_offer({fields.OFFER_CHAINS: None}),
    "BO4: a description alone": lambda: an_offer({fields.OFFER_AMOUNT: None}),
    "BO5: a currency with its amount": lambda: an_offer({fields.OFFER_CURRENCY: "EUR"}),
    "BO6: paths alone": lambda: an_offer({fields.OFFER_ISSUER_ID: None, fields.OFFER_PATHS: (PATH,)}),
    "BO7: paths with hops": lambda: an_offer({fields.OFFER_PATHS: (PATH, PATH)}),
    "BO8: one msat": lambda: an_offer({fields.OFFER_AMOUNT: 1}),
    "O1: none at all": lambda: an_offer(NO_RECURRENCE),
    "O2: an optional one without a base": lambda: an_offer(
        {RECURRENCE: None, OPTIONAL: RecurrenceField(0, 7), fields.OFFER_RECURRENCE_BASE: None}
    ),
    "O3: seconds": lambda: an_offer({RECURRENCE: RecurrenceField(0, 1)}),
    "O3: months": lambda: an_offer({RECURRENCE: RecurrenceField(2, 1)}),
    "O4: the longest period": lambda: an_offer({RECURRENCE: RecurrenceField(0, 0xFFFF_FFFF)}),
    "O5: one": lambda: an_offer({fields.OFFER_RECURRENCE_LIMIT: 1}),
    "O10: zero": lambda: an_offer({fields.OFFER_RECURRENCE_BASE: RecurrenceBase(0, 0)}),
    "BR3: the ends of the ranges": lambda: a_request(raw={159: b"", 241: b"", 999: b"", 2_999_999_999: b""}),
    "BR4: an odd feature": lambda: a_request({fields.INVREQ_FEATURES: ODD_FEATURE}),
    "BR5: paths with hops": lambda: a_request({fields.INVREQ_PATHS: (PATH,)}),
    "BR6: a name": lambda: a_request({fields.INVREQ_BIP_353_NAME: Bip353Name(b"Al-i_c.e", b"example.com")}),
    "BI5: MPP is known": lambda: an_invoice({fields.INVOICE_FEATURES: MPP_COMPULSORY}),
    "BI5: MPP may be odd": lambda: an_invoice({fields.INVOICE_FEATURES: MPP_OPTIONAL}),
    "BI10: two and two": lambda: an_invoice(
        {fields.INVOICE_PATHS: (PATH, PATH), fields.INVOICE_BLINDEDPAY: (PAYINFO, PAYINFO)}
    ),
    "BI12: one of two can be used": lambda: an_invoice(
        {fields.INVOICE_PATHS: (PATH, PATH), fields.INVOICE_BLINDEDPAY: (UNUSABLE, PAYINFO)}
    ),
    "D1: one dialect": lambda: an_offer(NO_RECURRENCE, raw={24: b"\0\1", 27: bytes(4)}),
    "BOLT 1: an unknown odd field": lambda: an_offer(raw={33: b"hello"}),
    "BE1, BE2": lambda: read_invoice_error(bytes.fromhex("0101580301010500")),
}

BAD: list[tuple[str, str | None, Make]] = [
    ("BO1", None, lambda: an_offer(raw={81: b""})),
    ("BO1", None, lambda: an_offer(raw={999_999_999: b""})),
    ("BO1", None, lambda: an_offer(raw={2_000_000_001: b""})),
    ("BO2", "offer_features", lambda: an_offer({fields.OFFER_FEATURES: EVEN_FEATURE})),
    ("BO2", "offer_features", lambda: an_offer({fields.OFFER_FEATURES: MPP_COMPULSORY})),
    ("BO3", "offer_chains", lambda: an_offer({fields.OFFER_CHAINS: ()})),
    ("BO4", "offer_description", lambda: an_offer({fields.OFFER_DESCRIPTION: None})),
    ("BO5", "offer_amount", lambda: an_offer({fields.OFFER_CURRENCY: "EUR", fields.OFFER_AMOUNT: None})),
    ("BO6", "offer_issuer_id", lambda: an_offer({fields.OFFER_ISSUER_ID: None})),
    ("BO7", "offer_paths", lambda: an_offer({fields.OFFER_PATHS: (PATH, NO_HOPS)})),
    ("BO8", "offer_amount", lambda: an_offer({fields.OFFER_AMOUNT: 0})),
    *(
        ("BO9", "offer_currency", lambda currency=currency: an_offer({fields.OFFER_CURRENCY: currency}))  # type: ignore[misc]
        for currency in ("", "EU", "EURO", "eur", "E1R", "\N{LATIN CAPITAL LETTER E WITH ACUTE}UR")
    ),
    ("BO10", "offer_paths", lambda: an_offer({fields.OFFER_PATHS: ()})),
    ("O1", "offer_recurrence_optional", lambda: an_offer({OPTIONAL: RecurrenceField(1, 1)})),
    ("O2", "offer_recurrence_base", lambda: an_offer({RECURRENCE: None, OPTIONAL: RecurrenceField(1, 1)})),
    ("O3", "offer_recurrence_compulsory", lambda: an_offer({RECURRENCE: RecurrenceField(3, 1)})),
    (
        "O3",
        "offer_recurrence_optional",
        lambda: an_offer({**NO_RECURRENCE, OPTIONAL: RecurrenceField(255, 1)}),
    ),
    ("O4", "offer_recurrence_compulsory", lambda: an_offer({RECURRENCE: RecurrenceField(1, 0)})),
    ("O5", "offer_recurrence_limit", lambda: an_offer({fields.OFFER_RECURRENCE_LIMIT: 0})),
    ("O6", "offer_recurrence_base", lambda: an_offer({RECURRENCE: None})),
    (
        "O6",
        "offer_recurrence_paywindow",
        lambda: an_offer({RECURRENCE: None, fields.OFFER_RECURRENCE_BASE: None}),
    ),
    (
        "O6",
        "offer_recurrence_limit",
        lambda: an_offer({**NO_RECURRENCE, fields.OFFER_RECURRENCE_LIMIT: 5}),
    ),
    ("O10", "offer_recurrence_base", lambda: an_offer({fields.OFFER_RECURRENCE_BASE: RecurrenceBase(2, 0)})),
    ("BR1", "invreq_metadata", lambda: a_request({fields.INVREQ_METADATA: None})),
    ("BR2", "invreq_payer_id", lambda: a_request({fields.INVREQ_PAYER_ID: None})),
    ("BR3", None, lambda: a_request(raw={161: b""})),
    ("BR3", None, lambda: a_request(raw={1001: b""})),
    ("BR3", None, lambda: a_request(raw={3_000_000_001: b""})),
    ("BR4", "invreq_features", lambda: a_request({fields.INVREQ_FEATURES: EVEN_FEATURE})),
    ("BR5", "invreq_paths", lambda: a_request({fields.INVREQ_PATHS: (NO_HOPS,)})),
    ("BR6", "invreq_bip_353_name", lambda: a_request({fields.INVREQ_BIP_353_NAME: Bip353Name(b"al ice", b"x.com")})),
    ("BR6", "invreq_bip_353_name", lambda: a_request({fields.INVREQ_BIP_353_NAME: Bip353Name(b"alice", b"x/com")})),
    ("BI1", "invoice_amount", lambda: an_invoice({fields.INVOICE_AMOUNT: None})),
    ("BI2", "invoice_created_at", lambda: an_invoice({fields.INVOICE_CREATED_AT: None})),
    ("BI3", "invoice_payment_hash", lambda: an_invoice({fields.INVOICE_PAYMENT_HASH: None})),
    ("BI4", "invoice_node_id", lambda: an_invoice({fields.INVOICE_NODE_ID: None})),
    ("BI5", "invoice_features", lambda: an_invoice({fields.INVOICE_FEATURES: EVEN_FEATURE})),
    ("BI5", "invoice_features", lambda: an_invoice({fields.INVOICE_FEATURES: b"\x40" + bytes(2)})),
    ("BI6", "invoice_paths", lambda: an_invoice({fields.INVOICE_PATHS: None})),
    ("BI7", "invoice_paths", lambda: an_invoice({fields.INVOICE_PATHS: ()})),
    ("BI8", "invoice_paths", lambda: an_invoice({fields.INVOICE_PATHS: (NO_HOPS,)})),
    ("BI9", "invoice_blindedpay", lambda: an_invoice({fields.INVOICE_BLINDEDPAY: None})),
    ("BI10", "invoice_blindedpay", lambda: an_invoice({fields.INVOICE_BLINDEDPAY: ()})),
    ("BI10", "invoice_blindedpay", lambda: an_invoice({fields.INVOICE_BLINDEDPAY: (PAYINFO, PAYINFO)})),
    ("BI12", "invoice_blindedpay", lambda: an_invoice({fields.INVOICE_BLINDEDPAY: (UNUSABLE,)})),
    ("D1", "offer_recurrence_compulsory", lambda: an_offer(raw={25: b"\1\1"})),
    ("D1", "offer_recurrence_compulsory", lambda: a_request(raw={92: b""})),
    ("D1", "offer_recurrence_compulsory", lambda: an_invoice(raw={177: b""})),
    ("BOLT 1", None, lambda: an_offer(raw={78: b""})),
    ("BOLT 1", None, lambda: an_offer(raw={80: b""})),
    ("BOLT 1", None, lambda: an_offer(raw={240: bytes(64)})),
    ("BOLT 1", None, lambda: a_request(raw={160: b""})),
    ("BOLT 1", None, lambda: an_invoice(raw={4_000_000_000: b""})),
    ("BE1", "error", lambda: read_invoice_error(b"")),
    ("BE1", "error", lambda: read_invoice_error(bytes.fromhex("010158"))),
    ("BE2", "suggested_value", lambda: read_invoice_error(bytes.fromhex("030101050178"))),
]

TABLED = (*rules.OFFER_RULES, *rules.INVOICE_REQUEST_RULES, *rules.INVOICE_RULES)
ELSEWHERE = {MIXED_DIALECTS, UNKNOWN_EVEN, "BE1", "BE2"}
"""Rules of the reader itself and of invoice errors, which stand in no table."""


@pytest.mark.parametrize("make", GOOD.values(), ids=list(GOOD))
def test_a_good_message_breaks_no_rule(make: Make) -> None:
    make()


@pytest.mark.parametrize(("rule", "field", "make"), BAD, ids=[f"{rule}-{field}" for rule, field, _ in BAD])
def test_a_message_that_breaks_a_rule_is_refused_for_it(rule: str, field: str | None, make: Make) -> None:
    with pytest.raises(RuleBroken) as refusal:
        make()
    assert (refusal.value.rule, refusal.value.breach.field) == (rule, field)
    assert str(refusal.value).endswith(f"[{rule}]")
    assert "\n" not in str(refusal.value)


def test_every_rule_has_a_case_that_breaks_it() -> None:
    broken = {rule for rule, _, _ in BAD}
    assert broken == {rule.id for rule in TABLED} | ELSEWHERE


def test_a_rule_has_one_home() -> None:
    ids = [rule.id for rule in TABLED]
    assert len(ids) == len(set(ids))
    assert all(rule.text and "\n" not in rule.text for rule in TABLED)


def test_a_mirrored_recurrence_that_breaks_a_rule_is_an_error_when_it_is_asked_for() -> None:
    """Requests and invoices are not checked for the offer's rules; a stranger's must still not crash anybody."""
    for make in (a_request, an_invoice):
        message = make({RECURRENCE: RecurrenceField(9, 1)})
        with pytest.raises(RuleBroken, match=r"\[O3\]"):
            message.recurrence  # noqa: B018 - reading it is the test


def test_an_invoice_that_mirrors_no_request_has_no_payer() -> None:
    with pytest.raises(RuleBroken, match=r"invreq_payer_id .*\[BR2\]"):
        an_invoice({fields.INVREQ_PAYER_ID: None}).payer_id  # noqa: B018 - reading it is the test


@pytest.mark.parametrize(
    ("features", "known", "bit"),
    [
        (b"", 0, None),
        (b"\x01", 0, 0),
        (b"\x02", 0, None),
        (b"\x05", 1, 2),
        (b"\x05", 5, None),
        (b"\xaa" * 100, 0, None),
        (b"\x01" + bytes(100), 0, 800),
        (b"\x05\x00", 0, 8),
    ],
)
def test_the_lowest_unknown_even_bit_is_named(features: bytes, known: int, bit: int | None) -> None:
    assert rules.unknown_even_bit(features, known) == bit


def test_a_huge_bitmap_is_read_in_one_pass() -> None:
    """Quadratic work here would take half a minute: an offer may be 65 kB of odd bits."""
    an_offer({fields.OFFER_FEATURES: b"\xaa" * 65_000})
