"""The sealed state that payers carry for a payee (V9)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.engine import NOW, PAYER, an_offer, preimage_of
from lnrecur.crypto.aead import encrypt
from lnrecur.crypto.hashes import hmac_sha256
from lnrecur.errors import Fault
from lnrecur.recurrence.errors import StateRefused
from lnrecur.recurrence.inbound_model import Inbound, Phase
from lnrecur.recurrence.state_token import STATE_MAX, PaidState, check_order, open_state
from lnrecur.values import OfferId, Point, UnixSeconds
from lnrecur.wire.integers import U32_MAX, U64_MAX

KEY = b"\x31" * 32
OFFER_ID = an_offer().offer_id
STATE = PaidState(OFFER_ID, PAYER.point, 4, None, NOW)


def _open(token: bytes, key: bytes = KEY, offer_id: OfferId = OFFER_ID, payer_id: Point = PAYER.point) -> PaidState:
    return open_state(key, offer_id, payer_id, token)


@given(counter=st.integers(0, U32_MAX), start=st.none() | st.integers(0, U32_MAX), basetime=st.integers(0, U64_MAX))
def test_what_was_sealed_is_opened_and_is_short(counter: int, start: int | None, basetime: int) -> None:
    state = replace(STATE, counter=counter, start=start, basetime=UnixSeconds(basetime))
    token = state.seal(KEY, preimage_of(1))
    assert _open(token) == state
    assert len(token) <= 64 < STATE_MAX


def test_it_stands_for_a_subscription_that_is_paid_up_to_its_counter() -> None:
    state = replace(STATE, start=3).to_inbound()
    assert (state.phase, state.next_counter, state.start, state.basetime) == (Phase.ACTIVE, 5, 3, NOW)
    assert state.open_invoice is None


def test_two_invoices_of_one_counter_never_share_a_nonce() -> None:
    one, other = STATE.seal(KEY, preimage_of(1)), replace(STATE, basetime=UnixSeconds(5)).seal(KEY, preimage_of(2))
    assert one[1:13] != other[1:13]
    assert STATE.seal(KEY, preimage_of(1)) == one


@pytest.mark.parametrize(
    "changes",
    [
        {"key": b"\x32" * 32},
        {"offer_id": an_offer(amount=5).offer_id},
        {"payer_id": Point(b"\x02" + bytes(32))},
    ],
    ids=["another payee", "another offer", "another payer"],
)
def test_it_opens_for_its_own_payer_of_its_own_offer_only(changes: dict[str, bytes]) -> None:
    with pytest.raises(StateRefused, match="not sealed by us for this payer of this offer") as raised:
        _open(STATE.seal(KEY, preimage_of(1)), **changes)  # type: ignore[arg-type]
    assert raised.value.fault is Fault.PEER


def test_no_byte_of_it_can_be_changed() -> None:
    token = STATE.seal(KEY, preimage_of(1))
    for position in range(len(token)):
        forged = bytearray(token)
        forged[position] ^= 1
        with pytest.raises(StateRefused):
            _open(bytes(forged))


@pytest.mark.parametrize("size", [0, 1, 28, 1025, 5000])
def test_what_cannot_be_a_state_is_refused_by_its_size(size: int) -> None:
    with pytest.raises(StateRefused, match=f"^{size} bytes are no state of ours"):
        _open(bytes(size))


def test_another_version_is_named() -> None:
    with pytest.raises(StateRefused, match="it is of version 2, and ours are of version 1"):
        _open(b"\2" + STATE.seal(KEY, preimage_of(1))[1:])


@pytest.mark.parametrize("inside", [b"", b"\x00", b"\x00\x01\x05", b"\x00\x01\x05\x02\x09" + bytes(9)])
def test_what_we_sealed_ourselves_but_cannot_read_is_refused(inside: bytes) -> None:
    sealed = encrypt(hmac_sha256(KEY, b"state", OFFER_ID, PAYER.point), bytes(12), inside, b"\1")
    with pytest.raises(StateRefused, match="not sealed by us"):
        _open(b"\1" + bytes(12) + sealed)


@pytest.mark.parametrize(
    ("counter", "next_counter", "waived", "fits"),
    [(7, 7, 2, True), (6, 6, 1, True), (6, 7, 2, False), (7, 7, 1, False), (7, 7, 0, False), (3, 5, 0, False),
     (9, 7, 2, False)],
)  # fmt: skip
def test_an_older_state_fits_only_across_periods_that_were_waived(
    counter: int, next_counter: int, waived: int, fits: bool
) -> None:
    stored = Inbound(OFFER_ID, PAYER.point, next_counter=next_counter, waived_last=waived)
    if fits:
        check_order(STATE, counter, stored)
        return
    for known in (stored, None):
        with pytest.raises(StateRefused, match=f"of counter 4, which is not the payment before counter {counter}"):
            check_order(STATE, counter, known)
