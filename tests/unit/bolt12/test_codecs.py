"""Every form of a field: what it writes it reads, and what it refuses, named by the field that has it."""

from typing import Any

import pytest
from bolt12_examples import MERCHANT, NO_HOPS, PATH, PAYINFO

from lnrecur.bolt12 import codecs
from lnrecur.bolt12.codecs import (
    Bip353Name,
    BlindedPayinfo,
    Codec,
    FallbackAddress,
    Paywindow,
    RecurrenceBase,
    RecurrenceField,
)
from lnrecur.bolt12.errors import FieldMalformed, WritingError
from lnrecur.bolt12.fields import (
    ERROR_FIELDS,
    INVOICE_FIELDS,
    INVREQ_FIELDS,
    OFFER_FIELDS,
    SIGNATURE,
    Dialect,
    Field,
    in_invreq_range,
    in_offer_range,
    is_signature,
    number_table,
)
from lnrecur.bolt12.message import read_fields, write_fields
from lnrecur.crypto.errors import CryptoError
from lnrecur.values import BITCOIN, REGTEST, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.errors import WireError
from lnrecur.wire.tlv import TlvRecord, TlvStream

NO_POINT = b"\x02" + b"\xff" * 32
BY_CHANNEL = BlindedPath(ChannelDirection(ShortChannelId(7), 0), MERCHANT.point, PATH.hops)

GOOD: list[tuple[str, Any, str]] = [
    ("TU32", 0, ""),
    ("TU32", 7, "07"),
    ("TU64", 2**64 - 1, "ff" * 8),
    ("TEXT", "", ""),
    ("TEXT", "é", "c3a9"),
    ("BLOB", b"\x00\x01", "0001"),
    ("HASH", b"\x01" * 32, "01" * 32),
    ("SIGNATURE", b"\x01" * 64, "01" * 64),
    ("EMPTY", True, ""),
    ("POINT", MERCHANT.point, MERCHANT.point.hex()),
    ("CHAIN", REGTEST, REGTEST.hex()),
    ("CHAINS", (), ""),
    ("CHAINS", (REGTEST, BITCOIN), REGTEST.hex() + BITCOIN.hex()),
    ("PATHS", (), ""),
    ("PATHS", (PATH, BY_CHANNEL, NO_HOPS), (PATH.to_bytes() + BY_CHANNEL.to_bytes() + NO_HOPS.to_bytes()).hex()),
    ("RECURRENCE", RecurrenceField(2, 0x0102), "020102"),
    ("RECURRENCE", RecurrenceField(0, 0), "00"),
    ("BASE", RecurrenceBase(1, 0x65920080), "0165920080"),
    ("PAYWINDOW", Paywindow(0x3C, 0x3C), "0000003c3c"),
    ("PAYWINDOW", Paywindow(0xFFFF_FFFF, 0), "ffffffff"),
    ("PAYINFOS", (), ""),
    (
        "PAYINFOS",
        (BlindedPayinfo(1, 2, 3, 4, 5, b"\x06"), PAYINFO),
        "00000001" "00000002" "0003" "0000000000000004" "0000000000000005" "0001" "06"
        "000003e8" "00000032" "0090" "0000000000000001" "0000000000989680" "0000",
    ),
    ("FALLBACKS", (FallbackAddress(1, b"\xaa" * 32), FallbackAddress(0, b"")), "010020" + "aa" * 32 + "000000"),
    ("BIP353", Bip353Name(b"alice", b"x.com"), "05" + b"alice".hex() + "05" + b"x.com".hex()),
]  # fmt: skip

BAD: list[tuple[str, bytes, str]] = [
    ("TU32", b"\0", "leading zero"),
    ("TU32", bytes(5), "at most 4 bytes"),
    ("TU64", b"\1" * 9, "at most 8 bytes"),
    ("TEXT", b"\xff", "not UTF-8"),
    ("TEXT", b"ab\xc3", "not UTF-8"),
    ("TEXT", b"\xed\xa0\x80", "not UTF-8"),  # a surrogate
    ("HASH", bytes(31), "takes 32 bytes, here are 31"),
    ("SIGNATURE", bytes(65), "takes 64 bytes, here are 65"),
    ("EMPTY", b"\0", "carries no bytes"),
    ("POINT", NO_POINT, "not a point"),
    ("POINT", bytes(32), "takes 33 bytes"),
    ("CHAIN", bytes(33), "takes 32 bytes"),
    ("CHAINS", bytes(63), "a list of 32-byte chain hashes"),
    ("PATHS", PATH.to_bytes()[:-1], "but only"),
    ("PATHS", b"\x04" + PATH.to_bytes()[1:], "first_node_id begins with 4"),
    ("PATHS", NO_POINT + PATH.to_bytes()[33:], "not a point"),
    ("PATHS", MERCHANT.point + NO_POINT + b"\0", "not a point"),
    ("PATHS", MERCHANT.point * 2 + b"\x01" + NO_POINT + b"\0\0", "not a point"),
    ("RECURRENCE", b"", "time_unit takes 1 bytes"),
    ("RECURRENCE", b"\0\0", "leading zero"),
    ("RECURRENCE", b"\0" + b"\1" * 5, "at most 4 bytes"),
    ("BASE", b"", "proportional_amount takes 1 bytes"),
    ("BASE", b"\0\0\1", "leading zero"),
    ("PAYWINDOW", bytes(3), "seconds_before takes 4 bytes"),
    ("PAYWINDOW", bytes(4) + b"\0\0\0\x3c", "LDK writes a u32 here"),
    ("PAYWINDOW", bytes(4) + b"\0\1", "leading zero"),
    ("PAYWINDOW", bytes(4) + b"\1" * 5, "at most 4 bytes"),
    ("PAYINFOS", bytes(27), "flen takes 2 bytes"),
    ("PAYINFOS", bytes(26) + b"\0\2\1", "features takes 2 bytes"),
    ("FALLBACKS", b"\1\0\2a", "address takes 2 bytes"),
    ("FALLBACKS", b"\1", "len takes 2 bytes"),
    ("BIP353", b"\1a", "domain_len takes 1 bytes"),
    ("BIP353", b"\1a\1bc", "1 bytes too many behind domain"),
]

ALL_FIELDS = (*OFFER_FIELDS, *INVREQ_FIELDS, *INVOICE_FIELDS, SIGNATURE)


@pytest.mark.parametrize(("name", "value", "data"), GOOD)
def test_a_value_is_written_and_read_back(name: str, value: Any, data: str) -> None:
    codec: Codec[Any] = getattr(codecs, name)
    assert codec.write(value).hex() == data
    assert codec.read(bytes.fromhex(data)) == value


@pytest.mark.parametrize(("name", "data", "told"), BAD)
def test_bytes_of_another_form_are_refused(name: str, data: bytes, told: str) -> None:
    with pytest.raises((WireError, CryptoError), match=told):
        getattr(codecs, name).read(data)


def test_every_codec_has_cases() -> None:
    every = {name for name, value in vars(codecs).items() if isinstance(value, Codec)}
    assert {name for name, _, _ in GOOD} == every
    assert {name for name, _, _ in BAD} == every - {"BLOB"}  # which refuses nothing


@pytest.mark.parametrize(("name", "data", "told"), BAD)
def test_a_malformed_field_is_named_with_its_number_and_offset(name: str, data: bytes, told: str) -> None:
    field = next(field for field in (*ALL_FIELDS, *ERROR_FIELDS) if field.codec is getattr(codecs, name))
    for dialect in Dialect:
        number = field.number_in(dialect)
        stream = TlvStream([TlvRecord.of(number, data), *([TlvRecord.of(1, b"abc")] if number > 1 else [])])
        with pytest.raises(FieldMalformed, match=told) as refusal:
            read_fields(stream, number_table([field]))
        assert refusal.value.details() == {
            "rule": "BOLT 1", "field": field.name, "tlv_type": number, "offset": 5 if number > 1 else 0,
        }  # fmt: skip


TOO_MUCH: list[tuple[str, Any]] = [
    ("TU32", 2**32),
    ("TU64", -1),
    ("TEXT", "\udc80"),
    ("RECURRENCE", RecurrenceField(256, 1)),
    ("RECURRENCE", RecurrenceField(0, 2**32)),
    ("BASE", RecurrenceBase(0, 2**64)),
    ("PAYWINDOW", Paywindow(2**32, 0)),
    ("PAYWINDOW", Paywindow(-1, 0)),
    ("PAYWINDOW", Paywindow(0, 2**32)),
    ("PAYINFOS", (BlindedPayinfo(2**32, 0, 0, 0, 0),)),
    ("PAYINFOS", (BlindedPayinfo(0, 0, 2**16, 0, 0),)),
    ("PATHS", (BlindedPath(MERCHANT.point, MERCHANT.point, PATH.hops * 256),)),
    ("FALLBACKS", (FallbackAddress(256, b""),)),
    ("FALLBACKS", (FallbackAddress(0, bytes(65536)),)),
    ("BIP353", Bip353Name(bytes(256), b"")),
]


@pytest.mark.parametrize(("name", "value"), TOO_MUCH)
def test_a_value_that_does_not_fit_its_field_is_a_mistake_of_the_writer(name: str, value: Any) -> None:
    field = next(field for field in (*ALL_FIELDS, *ERROR_FIELDS) if field.codec is getattr(codecs, name))
    with pytest.raises(WritingError) as refusal:
        write_fields({field: value}, Dialect.CLN)
    assert refusal.value.breach.field == field.name
    assert refusal.value.breach.number == field.number_in(Dialect.CLN)


# --- the table of numbers ---------------------------------------------------------------------------------------------


def test_the_numbers_of_the_recurrence_fields_are_those_of_the_draft_and_of_core_lightning() -> None:
    """RECURRENCE.md section 1."""
    assert {field.name: (field.number, field.cln_number) for field in ALL_FIELDS if "recurrence" in field.name} == {
        "offer_recurrence_compulsory": (24, 1_000_000_024),
        "offer_recurrence_optional": (25, 1_000_000_025),
        "offer_recurrence_base": (26, 1_000_000_026),
        "offer_recurrence_paywindow": (27, 1_000_000_027),
        "offer_recurrence_limit": (29, 1_000_000_029),
        "invreq_recurrence_counter": (92, 2_000_000_092),
        "invreq_recurrence_start": (93, 2_000_000_093),
        "invreq_recurrence_cancel": (94, 2_000_000_094),
        "invreq_recurrence_prev_state": (95, None),
        "invoice_recurrence_basetime": (177, 3_000_000_177),
        "invoice_recurrence_next_state": (179, None),
    }


def test_no_number_and_no_name_stands_twice() -> None:
    numbers = [number for field in ALL_FIELDS for number in (field.number, field.cln_number) if number is not None]
    assert len(numbers) == len(set(numbers)) == len(number_table(ALL_FIELDS))
    assert len({field.name for field in ALL_FIELDS}) == len(ALL_FIELDS)


@pytest.mark.parametrize("field", ALL_FIELDS, ids=repr)
def test_a_field_is_in_the_range_of_its_message(field: Field[Any]) -> None:
    for dialect in (None, *Dialect):
        number = field.number_in(dialect)
        assert in_offer_range(number) == (field in OFFER_FIELDS)
        assert in_invreq_range(number) == (field in (*OFFER_FIELDS, *INVREQ_FIELDS))
        assert is_signature(number) == (field is SIGNATURE)


def test_the_ranges_end_where_bolt_12_says() -> None:
    inside, outside = (1, 79, 10**9, 2 * 10**9 - 1), (0, 80, 10**9 - 1, 2 * 10**9)
    assert [in_offer_range(number) for number in (*inside, *outside)] == [True] * 4 + [False] * 4
    inside, outside = (0, 159, 10**9, 3 * 10**9 - 1), (160, 1000, 10**9 - 1, 3 * 10**9)
    assert [in_invreq_range(number) for number in (*inside, *outside)] == [True] * 4 + [False] * 4
    assert [is_signature(number) for number in (240, 1000, 239, 1001)] == [True, True, False, False]
