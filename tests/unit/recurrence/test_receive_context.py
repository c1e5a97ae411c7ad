"""What travels, sealed, with a receivable."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.engine import NOW, PAYER, an_offer, hash_of, preimage_of
from lnrecur.crypto.aead import encrypt
from lnrecur.crypto.hashes import hmac_sha256
from lnrecur.recurrence.errors import ContextError
from lnrecur.recurrence.receive_context import ReceiveContext, open_context
from lnrecur.values import Msat, Preimage, UnixSeconds
from lnrecur.wire.tlv import TlvRecord, TlvStream

KEY = b"\x42" * 32
CONTEXT = ReceiveContext(
    offer_id=an_offer().offer_id,
    payer_id=PAYER.point,
    counter=3,
    start=7,
    basetime=UnixSeconds(NOW),
    amount_msat=Msat(12_345),
    created_at=UnixSeconds(NOW + 5),
    preimage=preimage_of(1),
    quantity=2,
    payer_note="for the garden",
)
ONE_OFF = replace(CONTEXT, counter=None, start=None, basetime=None, quantity=None, payer_note="")
u32s = st.none() | st.integers(0, 2**32 - 1)
u64s = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("context", [CONTEXT, ONE_OFF], ids=["subscription", "one-off"])
def test_what_was_sealed_is_opened(context: ReceiveContext) -> None:
    sealed = context.seal(KEY)
    assert open_context(KEY, context.payment_hash, sealed) == context
    assert len(sealed) < 300


@given(u32s, u32s, st.none() | u64s, u64s, st.none() | u64s, st.text(max_size=60))
def test_every_number_and_note_survives(
    counter: int | None, start: int | None, basetime: int | None, amount: int, quantity: int | None, note: str
) -> None:
    context = replace(CONTEXT, counter=counter, start=start, basetime=basetime, amount_msat=amount, quantity=quantity,
                      payer_note=note)  # fmt: skip
    assert open_context(KEY, context.payment_hash, context.seal(KEY)) == context


def test_any_changed_byte_is_noticed() -> None:
    sealed = CONTEXT.seal(KEY)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(ContextError):
            open_context(KEY, CONTEXT.payment_hash, bytes(changed))


@pytest.mark.parametrize("cut", [0, 1, 16, 17, -1])
def test_a_cut_context_is_noticed(cut: int) -> None:
    with pytest.raises(ContextError):
        open_context(KEY, CONTEXT.payment_hash, CONTEXT.seal(KEY)[:cut])


def test_another_key_or_another_payment_opens_nothing() -> None:
    sealed = CONTEXT.seal(KEY)
    with pytest.raises(ContextError):
        open_context(b"\x43" * 32, CONTEXT.payment_hash, sealed)
    with pytest.raises(ContextError):
        open_context(KEY, hash_of(preimage_of(2)), sealed)


def _sealed_by_us(records: list[TlvRecord]) -> bytes:
    key = hmac_sha256(KEY, CONTEXT.payment_hash)
    return b"\x01" + encrypt(key, bytes(12), TlvStream(records).to_bytes(), b"\x01")


def test_a_context_without_its_fields_or_with_another_preimage_is_refused() -> None:
    with pytest.raises(ContextError):
        open_context(KEY, CONTEXT.payment_hash, _sealed_by_us([TlvRecord.of(0, bytes(32))]))
    numbers = [TlvRecord.of(number, b"\x01") for number in (0, 1, 5, 6, 9)]
    with pytest.raises(ContextError, match="not of this payment hash"):
        open_context(KEY, CONTEXT.payment_hash, _sealed_by_us([*numbers, TlvRecord.of(7, Preimage(bytes(32)))]))


@pytest.mark.parametrize("padding", range(4))
def test_a_long_note_is_cut_even_inside_a_character(padding: int) -> None:
    note = "x" * padding + "\N{SNOWMAN}" * 100
    context = replace(CONTEXT, payer_note=note)
    opened = open_context(KEY, context.payment_hash, context.seal(KEY))
    whole = (256 - padding) // 3
    assert opened.payer_note.rstrip("\N{REPLACEMENT CHARACTER}") == note[: padding + whole]
    assert replace(opened, payer_note="") == replace(context, payer_note="")


def test_the_preimage_is_in_no_repr_and_not_in_the_sealed_bytes() -> None:
    assert CONTEXT.preimage.hex() not in repr(CONTEXT)
    assert repr(CONTEXT.preimage) not in repr(CONTEXT)
    assert CONTEXT.preimage not in CONTEXT.seal(KEY)
