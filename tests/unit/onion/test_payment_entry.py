"""A payer who is the introduction of the path it pays: its own hops taken off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import blind_path, unblind
from lnrecur.onion.errors import BlindedDataUnreadable, ConstraintBroken, PathImpossible, PayloadInvalid
from lnrecur.onion.payloads import EncryptedData, PaymentConstraints, PaymentRelay
from lnrecur.onion.payment_entry import PaymentEntry, begin, enter, take_off
from lnrecur.onion.payment_path import AggregatedTerms, RelayTerms, aggregate, build_payment_path, open_final_hop
from lnrecur.values import Msat, NodeId, Point, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.tlv import TlvRecord

US, BOB, PAYEE = (PrivateKey(bytes([number]) * 32) for number in (0x41, 0x42, 0x43))
SESSION = PrivateKey(b"\x07" * 32)
OURS, TO_BOB, TO_PAYEE = ShortChannelId(1), ShortChannelId(2), ShortChannelId(3)
HEIGHT, FINAL_DELTA, AMOUNT = 800_000, 18, Msat(1_000_000)


def hop(key: PrivateKey, channel: ShortChannelId, base: int = 1000, ppm: int = 250, delta: int = 40) -> RelayTerms:
    return RelayTerms(NodeId(key.point), channel, Msat(base), ppm, delta, Msat(1), Msat(10**10))


def a_path(hops: Sequence[RelayTerms]) -> tuple[BlindedPath, AggregatedTerms]:
    return build_payment_path(
        SESSION, PAYEE.point, b"secret", hops, max_cltv=HEIGHT + 500, htlc_minimum=Msat(1), final_cltv_delta=FINAL_DELTA
    )


def entered(hops: Sequence[RelayTerms]) -> PaymentEntry:
    path, terms = a_path(hops)
    return enter(begin(path, terms, AMOUNT, HEIGHT), US, {TO_BOB: NodeId(BOB.point), OURS: NodeId(US.point)})


def walk(entry: PaymentEntry, *keys: PrivateKey) -> tuple[Msat, int]:
    """Have every node behind us do its part as a real one does; answers amount and expiry at the payee."""
    path_key, amount, expiry = entry.path_key, entry.amount_msat, entry.cltv_expiry
    for key, one in zip(keys, entry.hops, strict=False):
        opened = unblind(key, path_key, one.encrypted_recipient_data)
        data = EncryptedData.from_bytes(opened.data)
        assert data.payment_relay is not None
        assert data.payment_constraints is not None
        data.payment_constraints.admit(amount, expiry)
        amount, expiry = data.payment_relay.forwarded(amount, expiry)
        path_key = data.next_path_key_override or opened.next_path_key
    end = open_final_hop(PAYEE, path_key, entry.hops[-1].encrypted_recipient_data)
    assert end.path_id == b"secret"
    assert end.constraints is not None
    end.constraints.admit(amount, expiry)
    return amount, expiry


# --- our own hop comes off -------------------------------------------------------------------------------------------


def test_our_own_hop_comes_off_and_the_next_channel_key_amount_and_expiry_are_told() -> None:
    entry = entered([hop(US, TO_PAYEE)])
    assert (entry.next_node, entry.is_last) == (TO_PAYEE, True)
    assert (entry.amount_msat, entry.cltv_expiry) == (AMOUNT, HEIGHT + FINAL_DELTA), "our own fee stays with us"
    assert walk(entry) == (AMOUNT, HEIGHT + FINAL_DELTA)


def test_the_hops_behind_ours_are_paid_their_fees_and_deltas() -> None:
    entry = entered([hop(US, TO_BOB), hop(BOB, TO_PAYEE, base=7000, ppm=1)])
    assert (entry.next_node, len(entry.hops)) == (TO_BOB, 2)
    assert entry.amount_msat >= AMOUNT + 7000 + 1
    assert entry.cltv_expiry == HEIGHT + FINAL_DELTA + 40
    amount, expiry = walk(entry, BOB)
    assert AMOUNT <= amount <= AMOUNT + 3, "roundings of the path's formula only"
    assert expiry == HEIGHT + FINAL_DELTA


def test_several_hops_of_ours_come_off_one_after_the_other() -> None:
    one = entered([hop(US, OURS), hop(US, TO_BOB), hop(BOB, TO_PAYEE)])
    assert (one.next_node, len(one.hops), one.cltv_expiry) == (TO_BOB, 2, HEIGHT + FINAL_DELTA + 40)
    assert walk(one, BOB)[0] >= AMOUNT


def test_a_path_that_begins_elsewhere_is_left_alone() -> None:
    path, terms = a_path([hop(BOB, TO_PAYEE)])
    whole = begin(path, terms, AMOUNT, HEIGHT)
    assert enter(whole, US) == whole
    assert (whole.next_node, whole.path_key, whole.hops) == (NodeId(BOB.point), path.first_path_key, path.hops)
    assert whole.amount_msat == AMOUNT + terms.fee_base_msat + AMOUNT * terms.fee_proportional_millionths // 10**6


def test_an_introduction_named_by_a_channel_is_known_as_ours_where_the_channel_is_known() -> None:
    path, terms = a_path([hop(US, TO_BOB), hop(BOB, TO_PAYEE)])
    end = ChannelDirection(ShortChannelId(9), 1)
    entry = begin(replace(path, first_node_id=end), terms, AMOUNT, HEIGHT)
    assert enter(entry, US) == entry, "who that is, nobody said"
    assert enter(entry, US, {end: NodeId(US.point)}).next_node == TO_BOB
    assert enter(entry, US, {end: NodeId(BOB.point)}) == replace(entry, next_node=NodeId(BOB.point))


def test_one_step_needs_the_shared_secret_alone() -> None:
    path, terms = a_path([hop(US, TO_BOB), hop(BOB, TO_PAYEE)])
    entry = begin(path, terms, AMOUNT, HEIGHT)
    assert take_off(entry, US.ecdh(path.first_path_key)) == enter(entry, US)


def test_an_override_of_the_path_key_is_honoured() -> None:
    rest, _ = a_path([hop(BOB, TO_PAYEE)])
    joint = EncryptedData(
        short_channel_id=TO_BOB, next_path_key_override=rest.first_path_key, payment_relay=PaymentRelay(40, 0, 0)
    )
    front = blind_path(PrivateKey(b"\x08" * 32), [(US.point, joint.to_bytes())])
    terms = aggregate([hop(US, TO_BOB, 0, 0), hop(BOB, TO_PAYEE)], final_cltv_delta=FINAL_DELTA)
    entry = enter(begin(replace(front, hops=front.hops + rest.hops), terms, AMOUNT, HEIGHT), US)
    assert entry.path_key == rest.first_path_key
    assert walk(entry, BOB)[1] == HEIGHT + FINAL_DELTA


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 5000), st.integers(0, 144)), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(1, 10**9),
)
def test_what_enters_behind_us_always_suffices_for_the_payee(
    fees: list[tuple[int, int, int]], ours: int, amount: int
) -> None:
    """However many of the hops are ours, and whatever the roundings."""
    hops = [
        hop(US if index < ours else BOB, OURS if index + 1 < min(ours, len(fees)) else TO_BOB, *fee)
        for index, fee in enumerate(fees)
    ]
    path, terms = build_payment_path(
        SESSION, PAYEE.point, b"secret", hops, max_cltv=HEIGHT + 18, htlc_minimum=Msat(1), final_cltv_delta=18
    )
    entry = enter(begin(path, terms, Msat(amount), HEIGHT), US, {OURS: NodeId(US.point)})
    delivered, expiry = walk(entry, *[BOB] * (len(entry.hops) - 1))
    assert delivered >= amount
    assert expiry == HEIGHT + 18


# --- the rest as a path of its own -----------------------------------------------------------------------------------


def test_the_rest_is_a_path_whose_terms_bring_exactly_what_enters() -> None:
    entry = entered([hop(US, TO_BOB), hop(BOB, TO_PAYEE)])
    path, terms = entry.rest(NodeId(BOB.point), AMOUNT, HEIGHT)
    assert (path.first_node_id, path.first_path_key, path.hops) == (BOB.point, entry.path_key, entry.hops)
    again = begin(path, terms, AMOUNT, HEIGHT)
    assert (again.amount_msat, again.cltv_expiry) == (entry.amount_msat, entry.cltv_expiry)


def test_a_rest_that_would_deliver_less_than_it_should_is_refused() -> None:
    entry = entered([hop(US, TO_PAYEE)])
    with pytest.raises(PathImpossible, match="-1 msat"):
        entry.rest(NodeId(PAYEE.point), Msat(AMOUNT + 1), HEIGHT)
    with pytest.raises(PathImpossible, match="-1 blocks"):
        entry.rest(NodeId(PAYEE.point), AMOUNT, HEIGHT + FINAL_DELTA + 1)


# --- what is refused -------------------------------------------------------------------------------------------------


def told_us(data: EncryptedData, *, behind: int = 1) -> PaymentEntry:
    """A path whose first hop, ours, says these words."""
    nodes = [(US.point, data.to_bytes()), *[(BOB.point, b"")] * behind]
    terms = AggregatedTerms(Msat(1000), 0, 40, Msat(1), Msat(10**10))
    return begin(blind_path(SESSION, nodes), terms, AMOUNT, HEIGHT)


RELAY = PaymentRelay(40, 0, 1000)
GOOD = EncryptedData(short_channel_id=TO_BOB, payment_relay=RELAY)


def test_the_words_that_the_refused_ones_are_changed_from_are_accepted() -> None:
    entry = enter(told_us(GOOD), US)
    assert (entry.next_node, entry.amount_msat, entry.cltv_expiry) == (TO_BOB, AMOUNT, HEIGHT)


@pytest.mark.parametrize(
    ("data", "error", "told"),
    [
        (replace(GOOD, short_channel_id=None), PayloadInvalid, "where to forward"),
        (replace(GOOD, next_node_id=NodeId(BOB.point)), PayloadInvalid, "named twice"),
        (replace(GOOD, path_id=b"x"), PayloadInvalid, "path_id"),
        (replace(GOOD, payment_relay=None), PayloadInvalid, "payment_relay is missing"),
        (replace(GOOD, allowed_features=b"\x01"), PayloadInvalid, "allowed_features"),
        (replace(GOOD, unknown=(TlvRecord.of(16, b""),)), PayloadInvalid, "even type"),
        (replace(GOOD, payment_constraints=PaymentConstraints(HEIGHT + 39, Msat(1))), ConstraintBroken, "expires"),
        (
            replace(GOOD, payment_constraints=PaymentConstraints(HEIGHT + 40, Msat(AMOUNT + 1001))),
            ConstraintBroken,
            "at the least",
        ),
        (replace(GOOD, payment_relay=replace(RELAY, fee_base_msat=AMOUNT + 1000)), ConstraintBroken, "base fee"),
    ],
)
def test_what_our_hop_must_refuse_is_refused(data: EncryptedData, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        enter(told_us(data), US)


def test_a_path_that_ends_at_us_is_refused() -> None:
    with pytest.raises(PathImpossible, match="ends at ourselves"):
        enter(told_us(GOOD, behind=0), US)
    own, terms = build_payment_path(
        SESSION, US.point, b"s", [hop(BOB, OURS)], max_cltv=HEIGHT, htlc_minimum=Msat(1), final_cltv_delta=18
    )
    assert enter(begin(own, terms, AMOUNT, HEIGHT), US).next_node == BOB.point


def test_a_hop_that_was_not_sealed_for_us_is_refused() -> None:
    entry = told_us(GOOD)
    with pytest.raises(BlindedDataUnreadable):
        take_off(entry, BOB.ecdh(entry.path_key))
    with pytest.raises(CryptoError):
        take_off(replace(entry, path_key=Point(b"\x02" + bytes(32))), US.ecdh(entry.path_key))


@pytest.mark.parametrize("amount", [0, 10**10 + 1])
def test_an_amount_outside_the_limits_of_the_path_is_refused(amount: int) -> None:
    path, terms = a_path([hop(US, TO_PAYEE)])
    with pytest.raises(ConstraintBroken, match="the path takes"):
        begin(path, terms, Msat(amount), HEIGHT)


def test_a_path_without_hops_is_refused() -> None:
    path, terms = a_path([])
    with pytest.raises(PathImpossible, match="no hops"):
        begin(replace(path, hops=()), terms, AMOUNT, HEIGHT)
