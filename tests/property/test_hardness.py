"""Hostile input: whatever it is, it costs little, and it is read or refused in one line.

What bounds the price are limits, and counts of what is done; both are asserted here. Milliseconds are for
bench/bolt12.py to tell. The inputs and the invariants are those of fuzz/, so the corpus is replayed without atheris.
"""

import sys
import tracemalloc
from base64 import b32encode
from collections.abc import Callable
from hashlib import shake_256
from pathlib import Path
from types import FrameType

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from fuzz.hostile import CHANNEL_END, HOP, MEGABYTE, POINT, Case, inputs  # noqa: E402
from fuzz.invariants import CHECKS, ERROR_LENGTH_MAX  # noqa: E402

from lnrecur.bolt12 import (  # noqa: E402
    Invoice,
    InvoiceRequest,
    Offer,
    OfferTerms,
    VerifiedInvoiceRequest,
    codecs,
    decode,
    write_offer,
)
from lnrecur.bolt12.codecs import LIST_MAX  # noqa: E402
from lnrecur.bolt12.errors import WritingError  # noqa: E402
from lnrecur.bolt12.invoice_error import InvoiceError, read_invoice_error, write_invoice_error  # noqa: E402
from lnrecur.errors import LnrecurError  # noqa: E402
from lnrecur.values import Point  # noqa: E402
from lnrecur.wire.base32 import encode_base32  # noqa: E402
from lnrecur.wire.bigsize import encode_bigsize  # noqa: E402
from lnrecur.wire.errors import WireError  # noqa: E402
from lnrecur.wire.messages import MESSAGE_MAX  # noqa: E402
from lnrecur.wire.text import decode_text, encode_text  # noqa: E402
from lnrecur.wire.tlv import RECORDS_MAX, TlvRecord, TlvStream  # noqa: E402

CORPUS = [(path.parent.name, path) for path in sorted((ROOT / "fuzz" / "corpus").glob("*/*"))]
HOSTILE = list(inputs())
MEMORY_MAX = 10
"""Times the size of the input."""


# --- the fuzz corpus -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "path"), CORPUS, ids=lambda value: str(getattr(value, "name", value)))
def test_the_fuzz_corpus_keeps_the_invariants(target: str, path: Path) -> None:
    CHECKS[target](path.read_bytes())


def test_every_target_has_a_corpus() -> None:
    assert {target for target, _ in CORPUS} == set(CHECKS)


@pytest.mark.parametrize("check", CHECKS.values())
@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 9, b"lno1", b"LNI1QQ", b"\xc3", b"ln\xed\xb2\x801"])
def test_scraps_keep_the_invariants(check: Callable[[bytes], None], data: bytes) -> None:
    check(data)


# --- what hostile input costs ----------------------------------------------------------------------------------------


def _verdict(case: Case) -> str | None:
    try:
        case.read(case.data)
    except LnrecurError as error:
        return str(error)
    return None


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_hostile_input_takes_at_most_ten_times_its_size(case: Case) -> None:
    tracemalloc.start()
    try:
        verdict = _verdict(case)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= MEMORY_MAX * len(case.data)
    assert verdict is None or (verdict.isprintable() and len(verdict) <= ERROR_LENGTH_MAX)


@pytest.fixture
def points_proven(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every point the codecs put on the curve (the real proof is made): four microseconds each."""
    proven: list[bytes] = []

    def counted(data: bytes) -> Point:
        proven.append(data)
        return real(data)

    real = codecs.parse_point
    monkeypatch.setattr(codecs, "parse_point", counted)
    return proven


@pytest.mark.parametrize(
    "case", [case for case in HOSTILE if len(case.data) > MEGABYTE * 0.98], ids=lambda case: case.name
)
def test_a_megabyte_is_refused_unread(case: Case, points_proven: list[bytes]) -> None:
    verdict = _verdict(case)
    assert verdict is not None
    assert f"the {MESSAGE_MAX} an onion message can carry" in verdict or "longer than the 400000 we read" in verdict
    assert not points_proven


def test_the_hostile_inputs_are_of_both_sizes() -> None:
    large = sum(len(case.data) > MEGABYTE * 0.98 for case in HOSTILE)
    assert large == len(HOSTILE) / 2
    assert sum(_verdict(case) is None for case in HOSTILE) >= 4  # some are honest, and read to their end


@pytest.mark.parametrize(
    "case",
    [case for case in HOSTILE if "hop" in case.name and len(case.data) < MESSAGE_MAX * 7],
    ids=lambda case: case.name,
)
def test_the_size_of_a_message_bounds_the_points_that_are_proven(case: Case, points_proven: list[bytes]) -> None:
    _verdict(case)
    assert len(points_proven) <= MESSAGE_MAX // len(HOP)


def test_the_first_false_point_ends_the_reading(points_proven: list[bytes]) -> None:
    path = CHANNEL_END + POINT + b"\x02" + b"\x02" + b"\xff" * 32 + b"\x00\x00" + HOP
    with pytest.raises(LnrecurError, match="not a point"):
        Offer.from_bytes(TlvRecord.of(16, path * 100).raw)
    assert len(points_proven) == 2


def _calls(work: Callable[[], object]) -> int:
    """How many functions are called, those written in C included."""
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("joint", ["+", "+ \r\n"])
def test_a_joint_costs_no_call_of_a_function(joint: str) -> None:
    def read(digits: int) -> tuple[str, bytes]:
        return decode_text("lno1" + joint.join("q" * digits))

    assert _calls(lambda: read(80_000)) == _calls(lambda: read(8))


# --- the limits ------------------------------------------------------------------------------------------------------


def test_a_message_of_the_longest_size_is_read_and_one_byte_more_is_not() -> None:
    issuer = TlvRecord.of(22, POINT).raw
    room = MESSAGE_MAX - len(issuer) - 4
    offer = Offer.from_bytes(issuer + TlvRecord.of(23, bytes(room)).raw)
    assert len(offer.to_bytes()) == MESSAGE_MAX
    assert decode(offer.to_text()) == offer
    longer = issuer + TlvRecord.of(23, bytes(room + 1)).raw
    for read in (lambda: Offer.from_bytes(longer), lambda: decode(encode_text("lno", longer))):
        with pytest.raises(WireError, match="65536 bytes is longer than the 65535 an onion message can carry"):
            read()


def test_a_longer_message_cannot_be_written() -> None:
    with pytest.raises(WritingError, match="longer than the 65535"):
        write_offer(OfferTerms(description="x" * MESSAGE_MAX, issuer_id=POINT))
    with pytest.raises(WireError, match="longer than the 65535"):
        write_invoice_error("x" * MESSAGE_MAX)


def test_the_form_of_ldk_has_the_same_limit() -> None:
    error = write_invoice_error("x" * (MESSAGE_MAX - 4))
    assert len(error.to_bytes()) == MESSAGE_MAX
    assert read_invoice_error(error.to_ldk_bytes()) == error
    longer = TlvRecord.of(5, b"x" * (MESSAGE_MAX - 3)).raw
    with pytest.raises(WireError, match="longer than the 65535"):
        read_invoice_error(encode_bigsize(len(longer)) + longer)


def _many_records(count: int) -> bytes:
    return b"".join(TlvRecord.of(2 * at + 1, b"").raw for at in range(count))


def test_a_stream_has_a_thousand_records_at_most() -> None:
    assert len(TlvStream.from_bytes(_many_records(RECORDS_MAX))) == RECORDS_MAX
    with pytest.raises(WireError) as refusal:
        TlvStream.from_bytes(_many_records(RECORDS_MAX + 1))
    assert f"more than {RECORDS_MAX} records" in str(refusal.value)
    assert refusal.value.offset == len(_many_records(RECORDS_MAX))


PAYINFO = b"\xff" * 26 + b"\x00\x00"
FALLBACK = b"\x00\x00\x02\xab\xcd"


@pytest.mark.parametrize(("codec", "piece"), [(codecs.PAYINFOS, PAYINFO), (codecs.FALLBACKS, FALLBACK)])
def test_a_list_of_small_things_has_a_thousand_entries_at_most(
    codec: codecs.Codec[tuple[object, ...]], piece: bytes
) -> None:
    assert len(codec.read(piece * LIST_MAX)) == LIST_MAX
    with pytest.raises(WireError, match=f"more than the {LIST_MAX} entries") as refusal:
        codec.read(piece * (LIST_MAX + 1))
    assert refusal.value.offset == len(piece) * LIST_MAX


def test_a_prefix_without_end_is_not_quoted() -> None:
    with pytest.raises(WireError, match="begins with letters and a 1") as refusal:
        decode("l" * 50_000 + "1qqqq")
    assert len(str(refusal.value)) < 100


# --- nothing is done twice -------------------------------------------------------------------------------------------


def _vector(target: str) -> bytes:
    """The longest message of the corpus of this kind that can be read: it is signed."""
    kind = {"invoice_request": InvoiceRequest, "invoice": Invoice}[target]
    found = []
    for name, path in CORPUS:
        try:
            if name == target:
                found.append(kind.from_bytes(path.read_bytes()).to_bytes())
        except LnrecurError:
            continue  # the corpus holds refused ones too
    return max(found, key=len)


def test_proving_a_signature_reads_no_field_again(points_proven: list[bytes]) -> None:
    request = InvoiceRequest.from_bytes(_vector("invoice_request"))
    before = len(points_proven)
    verified = request.verify_signature()
    assert verified.values is request.values
    assert type(verified) is VerifiedInvoiceRequest
    assert len(points_proven) == before > 0


def test_bech32_digits_are_those_of_the_standard_library() -> None:
    bech32 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"qpzry9x8gf2tvdw0s3jn54khce6mua7l")
    for size in (*range(100), 638, 639, 640, 641, 642, 1279, 1280, 1281, MESSAGE_MAX):
        for data in (bytes(size), b"\xff" * size, shake_256(bytes(3)).digest(size)):
            assert encode_base32(data) == b32encode(data).rstrip(b"=").translate(bech32)


def test_what_was_read_is_given_out_without_a_copy() -> None:
    data = _vector("invoice")
    assert Invoice.from_bytes(data).to_bytes() is data


def test_the_text_of_an_error_is_cut_before_it_is_cleaned() -> None:
    long, short = (InvoiceError.from_bytes(TlvRecord.of(5, b"\x07" * size).raw) for size in (60_000, 1000))
    assert long.text == short.text == "\N{REPLACEMENT CHARACTER}" * 1000
    assert _calls(lambda: long.text) == _calls(lambda: short.text)
