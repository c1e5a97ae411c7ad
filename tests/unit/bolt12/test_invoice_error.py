"""Invoice errors: as the text of BOLT 12 has them, and as LDK writes them."""

from dataclasses import replace

import pytest
from bolt12_examples import HOP, MERCHANT, NO_HOPS, PATH, PAYER, an_invoice, an_offer

from lnrecur.bolt12 import InvoiceError, fields
from lnrecur.bolt12.errors import Bolt12Error, Breach, RuleBroken, WritingError
from lnrecur.bolt12.invoice_error import (
    CHANGED_PREFIX,
    ENDED_PREFIX,
    TEXT_MAX,
    error_for,
    read_invoice_error,
    wants_length_in_front,
    write_invoice_error,
)
from lnrecur.errors import LnrecurError
from lnrecur.messaging.messenger import Messenger
from lnrecur.values import Point
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath
from lnrecur.wire.errors import WireError


def test_an_error_of_text_alone() -> None:
    error = write_invoice_error("no")
    assert error.to_bytes().hex() == "05026e6f"
    assert error.to_ldk_bytes().hex() == "0405026e6f"
    assert (error.text, error.erroneous_field, error.suggested_value) == ("no", None, None)


@pytest.mark.parametrize("size", [0, 1, 5, 248, 251, 252, 253, 300, 65_000])
def test_both_forms_are_read(size: int) -> None:
    error = write_invoice_error("x" * size)
    assert read_invoice_error(error.to_bytes()) == error
    assert read_invoice_error(error.to_ldk_bytes()) == error
    assert error.to_bytes() != error.to_ldk_bytes()


def test_a_field_and_a_suggestion_are_told_together() -> None:
    error = read_invoice_error(write_invoice_error("too little", field=82, suggested=b"\x07").to_bytes())
    assert (error.erroneous_field, error.suggested_value, error.text) == (82, b"\x07", "too little")
    assert write_invoice_error("too little", suggested=b"\x07").suggested_value is None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", r"\[BE1\]"),
        ("010108", r"\[BE1\]"),
        ("0301070500", r"\[BE2\]"),
        ("05000600", "unknown even field 6"),
        ("0502ff", "says 2 bytes, but only 1 follow"),
        ("0501ff", "not UTF-8"),
        ("020501ff", "says 5 bytes, but only 2 follow"),  # a length that does not fit
        ("030501ff", "says 5 bytes, but only 2 follow"),  # a length that fits what is no invoice_error
        ("ff" * 9, "end where a BigSize should begin"),
    ],
)
def test_what_is_neither_form_is_refused(data: str, told: str) -> None:
    with pytest.raises((WireError, Bolt12Error), match=told) as refusal:
        read_invoice_error(bytes.fromhex(data))
    assert "\n" not in str(refusal.value)


def test_a_strangers_text_is_made_printable_and_short() -> None:
    error = read_invoice_error(write_invoice_error("a\x1b[31mb\nc\u202ed" + "x" * 5000).to_bytes())
    assert error.text.startswith("a\ufffd[31mb\ufffdc\ufffdd")
    assert len(error.text) == TEXT_MAX


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (f"{ENDED_PREFIX} closed", True),
        (f"{CHANGED_PREFIX} lno1...", True),
        (f"not {ENDED_PREFIX}", False),
        ("", False),
    ],
)
def test_a_documented_prefix_ends_a_subscription(text: str, ends: bool) -> None:
    """V10"""
    assert write_invoice_error(text).ends_subscription is ends


def test_a_text_that_is_no_utf_8_cannot_be_written() -> None:
    with pytest.raises(WritingError) as refusal:
        write_invoice_error("\udc80")
    assert refusal.value.breach.field == "error"


def test_a_broken_rule_becomes_an_error_for_the_peer() -> None:
    with pytest.raises(RuleBroken) as refusal:
        an_offer({fields.OFFER_RECURRENCE_LIMIT: 0})
    error = InvoiceError.from_bytes(error_for(refusal.value).to_bytes())
    assert error.text == str(refusal.value)
    assert error.erroneous_field == 1_000_000_029  # in the dialect of the message
    assert error.suggested_value is None


def test_a_suggestion_goes_with_its_field() -> None:
    error = error_for(RuleBroken("Q17", Breach("too little", "invreq_amount", 82, b"\x64")))
    assert (error.erroneous_field, error.suggested_value) == (82, b"\x64")
    error = error_for(RuleBroken("Q15", Breach("cancelled")))
    assert (error.erroneous_field, error.suggested_value, error.text) == (None, None, "cancelled [Q15]")


def test_a_malformed_field_becomes_an_error_too() -> None:
    with pytest.raises(Bolt12Error) as refusal:
        an_invoice({fields.INVREQ_PAYER_NOTE: None}, raw={89: b"\xff"})
    assert isinstance(refusal.value, LnrecurError)
    assert error_for(refusal.value).erroneous_field == 89


# --- who needs the length in front -----------------------------------------------------------------------------------


def _reply_path(*sizes: int) -> BlindedPath:
    """A path whose hops have so many bytes of data."""
    return replace(PATH, hops=tuple(BlindedHop(HOP.point, bytes(size)) for size in sizes))


@pytest.mark.parametrize("sizes", [(112,), (51, 112), (116,), (116, 116, 116)])
def test_a_reply_path_that_ends_as_ldks_do_wants_the_length_in_front(sizes: tuple[int, ...]) -> None:
    assert wants_length_in_front(bytes(32), _reply_path(*sizes))


@pytest.mark.parametrize("sizes", [(50,), (51, 50), (51, 51), (112, 50), (111,), (113,), (0,)])
def test_any_other_reply_path_wants_the_form_of_bolt_12(sizes: tuple[int, ...]) -> None:
    assert not wants_length_in_front(bytes(32), _reply_path(*sizes))


@pytest.mark.parametrize("metadata", [None, b"", bytes(16), bytes(31), bytes(33), bytes(48)])
def test_metadata_of_another_size_is_not_ldks(metadata: bytes | None) -> None:
    assert not wants_length_in_front(metadata, _reply_path(112))


@pytest.mark.parametrize("dummy_hops", [0, 1, 3])
@pytest.mark.parametrize("via", [(), (MERCHANT.point,), (MERCHANT.point, PAYER.point)], ids=len)
def test_our_own_reply_paths_are_never_taken_for_ldks(via: tuple[Point, ...], dummy_hops: int) -> None:
    path = Messenger(HOP).reply_path(bytes(32), PAYER, via, dummy_hops=dummy_hops)
    assert not wants_length_in_front(bytes(32), path)


def test_a_path_without_hops_is_nobodys() -> None:
    assert not wants_length_in_front(bytes(32), NO_HOPS)
