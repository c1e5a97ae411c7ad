"""Blinded paths: what a hop opens, what it refuses, and padding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.crypto.errors import InvalidPoint
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import HOPS_MAX, BlindedHopSecrets, blind_path, pad_alike, unblind
from lnrecur.onion.errors import BlindedDataUnreadable, PathImpossible
from lnrecur.onion.payloads import EncryptedData
from lnrecur.values import Point

ALICE, BOB = PrivateKey(b"\x41" * 32), PrivateKey(b"\x42" * 32)
SESSION = PrivateKey(b"\x07" * 32)


def test_each_hop_reads_its_own_data_and_meets_the_next_path_key() -> None:
    path = blind_path(SESSION, [(ALICE.point, b"for alice"), (BOB.point, b"for bob")])
    assert path.first_node_id == ALICE.point
    at_alice = unblind(ALICE, path.first_path_key, path.hops[0].encrypted_recipient_data)
    at_bob = unblind(BOB, at_alice.next_path_key, path.hops[1].encrypted_recipient_data)
    assert (at_alice.data, at_bob.data) == (b"for alice", b"for bob")
    assert at_alice.blinded_key.point == path.hops[0].blinded_node_id
    assert at_bob.blinded_key.point == path.hops[1].blinded_node_id


def test_nobody_else_opens_a_hops_data() -> None:
    path = blind_path(SESSION, [(ALICE.point, b"for alice")])
    with pytest.raises(BlindedDataUnreadable):
        unblind(BOB, path.first_path_key, path.hops[0].encrypted_recipient_data)


def test_changed_data_does_not_open() -> None:
    path = blind_path(SESSION, [(ALICE.point, b"for alice")])
    sealed = bytearray(path.hops[0].encrypted_recipient_data)
    sealed[0] ^= 1
    with pytest.raises(BlindedDataUnreadable):
        unblind(ALICE, path.first_path_key, bytes(sealed))
    with pytest.raises(BlindedDataUnreadable):
        unblind(ALICE, path.first_path_key, b"short")


def test_a_path_key_off_the_curve_is_refused() -> None:
    with pytest.raises(InvalidPoint):
        BlindedHopSecrets(ALICE, Point(b"\x02" + bytes(32)))


def test_the_keys_of_a_hop_are_the_same_however_often_they_are_asked_for() -> None:
    secrets = BlindedHopSecrets(ALICE, SESSION.point)
    assert secrets.blinded_key is secrets.blinded_key
    assert secrets.next_path_key is secrets.next_path_key


@pytest.mark.parametrize("count", [0, HOPS_MAX + 1])
def test_a_path_of_no_hops_or_too_many_cannot_be_built(count: int) -> None:
    with pytest.raises(PathImpossible):
        blind_path(SESSION, [(ALICE.point, b"")] * count)


@given(st.lists(st.integers(0, 400), max_size=6))
def test_padding_makes_all_data_equally_long_and_changes_nothing_else(sizes: list[int]) -> None:
    streams = [EncryptedData(path_id=bytes(size)).to_bytes() for size in sizes]
    padded = pad_alike(streams)
    assert len({len(one) for one in padded}) <= 1
    for size, one in zip(sizes, padded, strict=True):
        read = EncryptedData.from_bytes(one)
        assert read.path_id == bytes(size)
        assert not any(read.padding or b"")


@pytest.mark.parametrize("gap", [1, 2, 254, 255, 256, 257])
def test_gaps_that_no_record_fills_make_all_data_a_little_longer(gap: int) -> None:
    short, long = b"", EncryptedData(path_id=bytes(gap)).to_bytes()[-gap:]
    padded = pad_alike([short, long])
    assert len(padded[0]) == len(padded[1])
    assert gap <= len(padded[0]) <= gap + 4
