"""What `lnrecur decode` shows: the document for programs, the page for people, one line for what cannot be read."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from helpers.forged import forge_invoice, forge_request
from lnrecur.bolt12 import (
    Dialect,
    Invoice,
    InvoiceRequest,
    Offer,
    OfferTerms,
    Recurrence,
    TimeUnit,
    fields,
    write_offer,
)
from lnrecur.bolt12.codecs import Bip353Name, BlindedPayinfo, FallbackAddress, Paywindow, RecurrenceBase
from lnrecur.cli import main as command
from lnrecur.cli.message_document import longest_period, message_document
from lnrecur.crypto.keys import PrivateKey
from lnrecur.values import REGTEST, ShortChannelId
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath, ChannelDirection
from lnrecur.wire.text import encode_text
from lnrecur.wire.tlv import TlvRecord, TlvStream

MERCHANT, PAYER, HOP = (PrivateKey(bytes((byte,)) * 32) for byte in (0x51, 0x52, 0x53))
JANUARY_31 = 1_769_817_600  # 2026-01-31T00:00:00Z
FAR = 32_503_680_000  # 3000-01-01T00:00:00Z
PATH = BlindedPath(MERCHANT.point, HOP.point, (BlindedHop(HOP.point, b"\0" * 16),))
CHANNEL_PATH = BlindedPath(
    ChannelDirection(ShortChannelId(103 << 40 | 2 << 16 | 1), 1), HOP.point, (BlindedHop(HOP.point, b"\1"),) * 2
)
MONTHLY = Recurrence(
    TimeUnit.MONTHS, 1, base=RecurrenceBase(1, JANUARY_31), paywindow=Paywindow(86_400, 259_200), limit=11
)
FULL = {
    "description": "a year of tea",
    "amount": 1_000_000,
    "issuer": "tea.example",
    "chains": (REGTEST,),
    "absolute_expiry": FAR,
    "quantity_max": 3,
    "issuer_id": MERCHANT.point,
    "paths": (PATH, CHANNEL_PATH),
    "recurrence": MONTHLY,
}
MONTHLY_WORDS = (
    "1,000 sat per item every month from 2026-01-31 00:00:00 UTC, up to period 11, at most 12 payments, "
    "each from 1 day before to 3 days after its start, proportional first period"
)


def _offer(**changes: Any) -> Offer:
    return write_offer(OfferTerms(**{**FULL, **changes}), b"meta")


def _request(offer: Offer | None = None, **changes: Any) -> InvoiceRequest:
    values = {
        fields.INVREQ_METADATA: b"\x07" * 16,
        fields.INVREQ_CHAIN: REGTEST,
        fields.INVREQ_QUANTITY: 2,
        fields.INVREQ_PAYER_ID: PAYER.point,
        fields.INVREQ_PAYER_NOTE: "green, please",
        fields.INVREQ_BIP_353_NAME: Bip353Name(b"tea", b"example.com"),
        fields.INVREQ_RECURRENCE_COUNTER: 2,
        fields.INVREQ_RECURRENCE_START: 3,
    }
    values |= {getattr(fields, name): value for name, value in changes.items()}
    offer = offer or _offer()
    return forge_request(offer, values, offer.dialect, PAYER)


def _invoice() -> Invoice:
    values = {
        fields.INVOICE_PATHS: (PATH,),
        fields.INVOICE_BLINDEDPAY: (BlindedPayinfo(1000, 50, 144, 1, 10_000_000),),
        fields.INVOICE_CREATED_AT: JANUARY_31 + 5,
        fields.INVOICE_RELATIVE_EXPIRY: 60,
        fields.INVOICE_PAYMENT_HASH: b"\x09" * 32,
        fields.INVOICE_AMOUNT: 2_000_500,
        fields.INVOICE_FALLBACKS: (FallbackAddress(1, b"\x0a" * 32),),
        fields.INVOICE_NODE_ID: MERCHANT.point,
        fields.INVOICE_RECURRENCE_BASETIME: JANUARY_31,
        fields.INVOICE_RECURRENCE_NEXT_STATE: b"state",
    }
    return forge_invoice(_request(), values, MERCHANT)


def _run(*arguments: str, given: str | bytes | None = None) -> Result:
    result = CliRunner(env={"COLUMNS": None}).invoke(
        command.main, ["decode", *arguments], input=given, prog_name="lnrecur"
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def _document(text: str) -> dict[str, Any]:
    result = _run("--json", text)
    assert (result.exit_code, result.stderr) == (0, "")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def _words_of(text: str) -> list[str]:
    """The lines of people's output, runs of spaces made one."""
    result = _run(text)
    assert (result.exit_code, result.stderr) == (0, "")
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def _resigned(message: InvoiceRequest | Invoice) -> str:
    """The message with a signature that is a signature, but not of this message."""
    records = [record for record in message.stream if record.type != 240]
    return encode_text(message.PREFIX, TlvStream([*records, TlvRecord.of(240, b"\x11" * 64)]).to_bytes())


# --- the document ----------------------------------------------------------------------------------------------------


def test_the_document_of_an_offer() -> None:
    offer = _offer()
    document = _document(offer.to_text())
    numbers = [field.pop("number") for field in document["fields"]]
    assert numbers == [2, 4, 8, 10, 14, 16, 18, 20, 22, 24, 26, 27, 29]
    assert document["fields"][2] == {"name": "offer_amount", "hex": "0f4240", "value": 1_000_000}
    assert document["fields"][10]["value"] == {"proportional_amount": 1, "basetime": JANUARY_31}
    del document["fields"]
    assert document == {
        "type": "offer",
        "dialect": "draft",
        "offer_id": offer.offer_id.hex(),
        "amount_msat": 1_000_000,
        "currency": None,
        "amount_minor_units": None,
        "price": "1,000 sat",
        "description": "a year of tea",
        "issuer": "tea.example",
        "issuer_id": MERCHANT.point.hex(),
        "offer_metadata": b"meta".hex(),
        "offer_features": None,
        "quantity_max": 3,
        "absolute_expiry": "3000-01-01T00:00:00Z",
        "absolute_expiry_unix": FAR,
        "chains": ["regtest"],
        "paths": [
            {
                "first_node_id": MERCHANT.point.hex(),
                "first_channel": None,
                "first_direction": None,
                "first_path_key": HOP.point.hex(),
                "hops": [{"blinded_node_id": HOP.point.hex(), "encrypted_recipient_data": "00" * 16}],
            },
            {
                "first_node_id": None,
                "first_channel": "103x2x1",
                "first_direction": 1,
                "first_path_key": HOP.point.hex(),
                "hops": [{"blinded_node_id": HOP.point.hex(), "encrypted_recipient_data": "01"}] * 2,
            },
        ],
        "recurrence": {
            "unit": "months",
            "period": 1,
            "optional": False,
            "base": {"basetime": "2026-01-31T00:00:00Z", "basetime_unix": JANUARY_31, "proportional": True},
            "paywindow": {"seconds_before": 86_400, "seconds_after": 259_200},
            "limit": 11,
            "payments_max": 12,
            "words": MONTHLY_WORDS,
        },
        "signature": {"valid": None, "reason": "offers are not signed"},
        "warnings": [],
        "reencoded_identical": True,
    }


def test_the_document_of_a_request_adds_what_the_payer_asks() -> None:
    offer, request = _offer(), _request()
    document = _document(request.to_text())
    told = _document(offer.to_text())
    added = {key: value for key, value in document.items() if key not in told}
    assert document["offer_id"] == told["offer_id"]
    assert document["signature"] == {"valid": True, "reason": None}
    assert added == {
        "payer_id": PAYER.point.hex(),
        "metadata": "07" * 16,
        "chain": "regtest",
        "counter": 2,
        "start": 3,
        "period_index": 5,
        "cancel": False,
        "quantity": 2,
        "payer_note": "green, please",
        "bip_353_name": "tea@example.com",
        "request_amount_msat": None,
        "request_features": None,
        "request_paths": [],
        "prev_state": None,
    }


def test_the_document_of_an_invoice_adds_what_is_to_be_paid() -> None:
    document = _document(_invoice().to_text())
    told = _document(_request().to_text())
    added = {key: value for key, value in document.items() if key not in told}
    (path,) = added.pop("payment_paths")
    assert path["first_node_id"] == MERCHANT.point.hex()
    assert path["payinfo"] == {
        "fee_base_msat": 1000,
        "fee_proportional_millionths": 50,
        "cltv_expiry_delta": 144,
        "htlc_minimum_msat": 1,
        "htlc_maximum_msat": 10_000_000,
        "features": "",
    }
    assert added == {
        "node_id": MERCHANT.point.hex(),
        "payment_hash": "09" * 32,
        "invoice_amount_msat": 2_000_500,
        "created_at": "2026-01-31T00:00:05Z",
        "created_at_unix": JANUARY_31 + 5,
        "expires_at": "2026-01-31T00:01:05Z",
        "expires_at_unix": JANUARY_31 + 65,
        "basetime": "2026-01-31T00:00:00Z",
        "basetime_unix": JANUARY_31,
        "invoice_features": None,
        "fallbacks": [{"version": 1, "program": "0a" * 32}],
        "next_state": b"state".hex(),
    }
    assert document["signature"] == {"valid": True, "reason": None}


def test_a_price_in_a_currency_is_no_price_in_msat() -> None:
    document = _document(_offer(currency="USD", amount=500, recurrence=None).to_text())
    prices = {key: document[key] for key in ("amount_msat", "currency", "amount_minor_units", "price", "recurrence")}
    assert prices == {
        "amount_msat": None,
        "currency": "USD",
        "amount_minor_units": 500,
        "price": "5.00 USD",
        "recurrence": None,
    }


def test_what_an_offer_does_not_say_is_null() -> None:
    document = _document(write_offer(OfferTerms(issuer_id=MERCHANT.point)).to_text())
    assert document["dialect"] is None
    assert document["amount_msat"] is None
    assert document["price"] is None
    assert (document["absolute_expiry"], document["absolute_expiry_unix"]) == (None, None)
    assert document["chains"] == ["bitcoin"]
    assert set(document) == set(_document(_offer().to_text()))


@pytest.mark.parametrize("dialect", Dialect)
def test_the_dialect_is_named_and_means_the_same(dialect: Dialect) -> None:
    recurrence = Recurrence(TimeUnit.DAYS, 7, dialect=dialect)
    document = _document(_offer(recurrence=recurrence).to_text())
    assert document["dialect"] == dialect
    assert document["recurrence"] == {
        "unit": "days",
        "period": 7,
        "optional": False,
        "base": None,
        "paywindow": None,
        "limit": None,
        "payments_max": None,
        "words": "1,000 sat per item every 7 days, from the first payment, paid in order",
    }


def test_a_text_in_pieces_is_written_back_as_the_one_it_means() -> None:
    text = _offer().to_text()
    joined = f"{text[:20]}+\n  {text[20:]}".upper()
    assert _document(f"  LIGHTNING:{joined}\n") == _document(text)
    assert _document(text)["reencoded_identical"] is True


def test_a_text_that_is_another_one_is_noticed() -> None:
    document = message_document(_offer(), _offer(issuer="another").to_text(), JANUARY_31)
    assert document["reencoded_identical"] is False


# --- warnings --------------------------------------------------------------------------------------------------------


def _codes(message: Offer | InvoiceRequest | Invoice, now: int) -> list[str]:
    return [warning["code"] for warning in message_document(message, message.to_text(), now)["warnings"]]


def test_an_offer_expires_after_its_last_second() -> None:
    assert _codes(_offer(), FAR) == []
    assert _codes(_offer(), FAR + 1) == ["offer_expired"]


def test_an_expired_offer_bounds_only_the_first_request() -> None:
    """O7: a running subscription outlives its offer."""
    assert _codes(_request(INVREQ_RECURRENCE_COUNTER=0), FAR + 1) == ["offer_expired"]
    assert _codes(_request(), FAR + 1) == []


def test_an_invoice_expires_after_its_last_second() -> None:
    assert _codes(_invoice(), JANUARY_31 + 65) == []
    assert _codes(_invoice(), JANUARY_31 + 66) == ["invoice_expired"]


def test_a_pay_window_longer_than_the_period_is_a_warning() -> None:
    """O8, for the writer: a reader accepts it."""
    longest = Paywindow(0, 31 * 86_400)
    longer = Paywindow(0, 31 * 86_400 + 1)
    assert _codes(_offer(recurrence=Recurrence(TimeUnit.MONTHS, 1, paywindow=longest)), 0) == []
    assert _codes(_offer(recurrence=Recurrence(TimeUnit.MONTHS, 1, paywindow=longer)), 0) == ["long_paywindow"]


def test_a_pay_window_of_no_length_is_a_warning() -> None:
    assert _codes(_offer(recurrence=Recurrence(TimeUnit.DAYS, 1, paywindow=Paywindow(0, 0))), 0) == ["empty_paywindow"]


@pytest.mark.parametrize(
    ("unit", "period", "days"),
    [(TimeUnit.DAYS, 30, 30), (TimeUnit.MONTHS, 1, 31), (TimeUnit.MONTHS, 2, 62), (TimeUnit.MONTHS, 12, 366)],
)
def test_the_longest_period_is_that_of_the_longest_months(unit: TimeUnit, period: int, days: int) -> None:
    assert longest_period(Recurrence(unit, period)) == days * 86_400
    assert longest_period(Recurrence(TimeUnit.SECONDS, period)) == period


def test_unknown_odd_fields_are_listed_and_shown() -> None:
    records = [*_offer().stream, *(TlvRecord.of(number, b"\xab") for number in range(31, 79, 2))]
    text = encode_text("lno", TlvStream(records).to_bytes())
    document = _document(text)
    assert document["warnings"][0]["code"] == "unknown_fields"
    assert document["warnings"][0]["text"].endswith(": 31, 33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, "
                                                    "63, 65, 67, 69, ...")  # fmt: skip
    assert document["fields"][-1] == {"number": 77, "name": None, "hex": "ab", "value": None}
    assert document["reencoded_identical"] is True
    assert "77 unknown ab" in _words_of(text)


# --- for people ------------------------------------------------------------------------------------------------------


def test_people_read_what_it_is_what_it_costs_and_who_wants_it() -> None:
    offer = _offer()
    lines = _words_of(offer.to_text())
    assert lines[:2] == ["Offer, recurring (draft dialect)", MONTHLY_WORDS]
    assert lines[lines.index("Who") :][:8] == [
        "Who",
        "description a year of tea",
        "issuer tea.example",
        f"issuer id {MERCHANT.point.hex()}",
        "reached through 2 blinded path(s)",
        "chains regtest",
        "quantity up to 3",
        f"offer id {offer.offer_id.hex()}",
    ]
    assert "new payers until 3000-01-01 00:00:00 UTC" in lines
    assert "2 offer_chains regtest" in lines
    assert "8 offer_amount 1000000 (1,000 sat)" in lines
    assert f"16 offer_paths from {MERCHANT.point.hex()}, 1 hop(s); from a channel, 2 hop(s)" in lines
    assert "24 offer_recurrence_compulsory time_unit 2, period 1 (1 month)" in lines
    assert f"26 offer_recurrence_base proportional_amount 1, basetime {JANUARY_31} (2026-01-31 00:00:00 UTC)" in lines
    assert "27 offer_recurrence_paywindow seconds_before 86400, seconds_after 259200" in lines
    assert "29 offer_recurrence_limit 11" in lines
    assert not any("Signature" in line for line in lines)


def test_people_read_what_a_request_asks_for() -> None:
    lines = _words_of(_request(INVREQ_AMOUNT=2_000_000).to_text())
    assert lines[:2] == ["Invoice request, recurring (draft dialect)", MONTHLY_WORDS]
    assert lines[lines.index("Asked for") :][:6] == [
        "Asked for",
        "period 5 (counter 2, start 3)",
        "amount 2,000 sat",
        "quantity 2",
        "chain regtest",
        "note green, please",
    ]
    assert f"payer id {PAYER.point.hex()}" in lines
    assert "Signature valid, by payer_id" in lines
    assert "91 invreq_bip_353_name tea@example.com" in lines


def test_people_read_that_a_cancel_is_no_request_for_money() -> None:
    lines = _words_of(_request(INVREQ_RECURRENCE_CANCEL=True).to_text())
    assert "purpose cancel the subscription; nothing is to be paid" in lines


def test_people_read_what_an_invoice_wants_and_until_when() -> None:
    lines = _words_of(_invoice().to_text())
    assert lines[lines.index("To be paid") :][:4] == [
        "To be paid",
        "amount 2,000.5 sat",
        f"payment hash {'09' * 32}",
        "through 1 blinded path(s)",
    ]
    assert "made 2026-01-31 00:00:05 UTC" in lines
    assert "payable until 2026-01-31 00:01:05 UTC" in lines
    assert "period 0 begins 2026-01-31 00:00:00 UTC" in lines
    assert "Signature valid, by node_id" in lines
    assert "Warning: the invoice could be paid until 2026-01-31 00:01:05 UTC only" in lines


def test_a_strangers_text_stays_text() -> None:
    evil = "[red]\x1b[2J\u202etea\nSignature valid, by node_id :tea:"
    text = _offer(description=evil, issuer=evil).to_text()
    shown = _run(text).stdout
    assert shown.count("[red]\ufffd[2J\ufffdtea\ufffdSignature valid, by node_id :tea:") == 4  # facts and fields
    assert not any(line.strip().startswith("Signature") for line in shown.splitlines())
    assert _document(text)["description"] == evil
    assert _run("--json", text).stdout.isascii()


def test_long_values_and_many_fields_are_cut_for_people_and_whole_for_programs() -> None:
    records = [*_offer(description="x" * 1000).stream]
    records += [TlvRecord.of(number, b"") for number in range(1_000_000_001, 1_000_000_601, 2) if number not in (
        1_000_000_025, 1_000_000_027, 1_000_000_029)]  # fmt: skip
    text = encode_text("lno", TlvStream(records).to_bytes())
    lines = _words_of(text)
    assert not any("x" * 401 in line for line in lines)
    assert lines[-1] == "... and 110 more fields: --json shows them all"
    document = _document(text)
    assert len(document["fields"]) == 310
    assert document["description"] == "x" * 1000


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "signer"), [(_request(), PAYER), (_invoice(), MERCHANT)], ids=["request", "invoice"]
)
def test_a_wrong_signature_hides_nothing_and_exits_with_2(
    message: InvoiceRequest | Invoice, signer: PrivateKey
) -> None:
    told = f"signature (240): not made by {signer.point.hex()} over these fields [BOLT 12 signature]"
    text = _resigned(message)
    for_programs = _run("--json", text)
    assert (for_programs.exit_code, for_programs.stderr) == (2, "")
    document = json.loads(for_programs.stdout)
    assert document["signature"] == {"valid": False, "reason": told}
    assert document["description"] == "a year of tea"
    for_people = _run(text)
    assert (for_people.exit_code, for_people.stderr) == (2, f"lnrecur: {told}\n")
    assert "a year of tea" in for_people.stdout
    assert "Signature WRONG" in for_people.stdout


def test_a_request_without_a_signature_is_not_taken_for_signed() -> None:
    records = [record for record in _request().stream if record.type != 240]
    result = _run(encode_text("lnr", TlvStream(records).to_bytes()))
    line = "lnrecur: signature (240): this invoice_request is not signed [BOLT 12 signature]\n"
    assert (result.exit_code, result.stderr) == (2, line)
    assert "green, please" in result.stdout


# --- what cannot be read ---------------------------------------------------------------------------------------------


def _raw(*records: tuple[int, bytes], prefix: str = "lno") -> str:
    return encode_text(prefix, b"".join(TlvRecord.of(number, value).raw for number, value in records))


ISSUER = (22, bytes(MERCHANT.point))
RUBBISH = [
    ("", "there is no text to read: a bolt12 text begins with lno1, lnr1 or lni1"),
    (" lightning: ", "there is no text to read: a bolt12 text begins with lno1, lnr1 or lni1"),
    ("garbage", "a bolt12 text begins with letters and a 1, such as lno1"),
    ("lno1zzz\x1b[2j", "'\\x1b' is not a bech32 character at offset 7"),
    ("lno1pqé", "'é' is not a bech32 character at offset 6"),
    ("lnO1pq", "a bolt12 text is all lower case or all upper case, not both"),
    ("lno1+pq", None),
    ("lnbc1pq", "lnbc1 is no bolt12 text we know: lno1 (offer), lnr1 (invoice request), lni1 (invoice) at offset 0"),
    (_offer().to_text()[:-7], None),
    (encode_text("lno", b"\x08\x01\x01\x0a\x03t"), "TLV type 10: the record says 3 bytes, but only 1 follow "
     "at offset 5"),
    (_raw(ISSUER, (8, b"\x01")), "TLV type 8: records go in ascending order of type, but this one comes after type 22 "
     "at offset 35"),
    (_raw(ISSUER, ISSUER), "TLV type 22: records go in ascending order of type, but this one appears twice "
     "at offset 35"),
    (_raw(ISSUER, (78, b"")), "unknown even field 78: it must be understood, and we do not [BOLT 1]"),
    (_raw(ISSUER, (24, b"\x01\x07"), (1_000_000_027, bytes(4))), "offer_recurrence_paywindow (1000000027): in the cln "
     "dialect, but an earlier recurrence field is in the draft dialect [D1]"),
    (_raw(ISSUER, (24, b"\x03\x07")), "offer_recurrence_compulsory (24): time_unit 3 is none of 0 (seconds), 1 (days), "
     "2 (months) [O3]"),
    (_raw((8, b"\x00\x01"), (10, b"tea"), ISSUER), "offer_amount (8): a tu64 has no leading zero bytes, in the record "
     "at offset 0 [BOLT 1]"),
    (_raw((0, b"meta"), (24, b"\x03\x07"), (88, bytes(PAYER.point)), prefix="lnr"), "offer_recurrence_compulsory (24): "
     "time_unit 3 is none of 0 (seconds), 1 (days), 2 (months) [O3]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), RUBBISH, ids=range(len(RUBBISH)))
def test_what_cannot_be_read_is_one_line_and_exit_code_2(text: str, told: str | None) -> None:
    result = _run("--", text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("lnrecur: ")
    if told is not None:
        assert result.stderr == f"lnrecur: {told}\n"
    for_programs = _run("--json", "--", text)
    assert (for_programs.exit_code, for_programs.stderr) == (2, "")
    assert f"lnrecur: {json.loads(for_programs.stdout)['error']['message']}\n" == result.stderr


def test_an_undecodable_text_is_a_document_too() -> None:
    assert json.loads(_run("--json", _raw(ISSUER, (24, b"\x00"))).stdout) == {
        "error": {
            "code": "RuleBroken",
            "message": "offer_recurrence_compulsory (24): a period of 0 units never passes; it must be greater than 0 "
            "[O4]",
            "fault": "peer",
            "retry": False,
            "rule": "O4",
            "field": "offer_recurrence_compulsory",
            "tlv_type": 24,
        }
    }


def test_an_over_long_text_is_refused_unread() -> None:
    told = "lnrecur: a bolt12 text of 1000000 characters is longer than the 400000 we read\n"
    assert _run("lno1" + "q" * 999_996).stderr == told


def test_an_endless_prefix_does_not_fill_the_screen() -> None:
    line = _run("a" * 300_000 + "1").stderr
    assert line == "lnrecur: a bolt12 text begins with letters and a 1, such as lno1\n"
    assert len(line) < 1100


# --- standard input --------------------------------------------------------------------------------------------------


def test_standard_input_is_read_where_asked() -> None:
    offer = _offer()
    result = _run("--json", "-", given=f"\n  lightning:{offer.to_text()} \r\n")
    assert json.loads(result.stdout)["offer_id"] == offer.offer_id.hex()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (b"", "lnrecur: there is no text to read: a bolt12 text begins with lno1, lnr1 or lni1\n"),
        (b"\xff\xfe\x00", "lnrecur: '\ufffd' is not a bech32 character at offset 0\n"),
        (b"q" * 1_000_000, "lnrecur: standard input is longer than 800000 bytes, and a bolt12 text never is\n"),
        (b"lno1" + b"q" * 500_000, "lnrecur: a bolt12 text of 500004 characters is longer than the 400000 we read\n"),
    ],
)
def test_standard_input_may_hold_anything(given: bytes, line: str) -> None:
    result = _run("-", given=given)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", line)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"INVREQ_RECURRENCE_START": None}, "Q11"),
        ({"INVREQ_RECURRENCE_COUNTER": 0, "INVREQ_RECURRENCE_CANCEL": True}, "Q12"),
        ({"INVREQ_RECURRENCE_COUNTER": None}, "Q9"),
    ],
)
def test_a_request_that_no_payee_may_answer_is_shown_and_said_to_be_refused(
    changes: dict[str, object], rule: str
) -> None:
    told = message_document(request := _request(**changes), request.to_text(), JANUARY_31)["warnings"]
    assert [warning["code"] for warning in told] == ["would_be_refused"]
    assert told[0]["text"].endswith(f"[{rule}]")
