"""Onions: wrapped for many, peeled by each, refused when anything is off."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnrecur.crypto.aead import chacha20_stream
from lnrecur.crypto.hashes import hmac_sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.errors import OnionUnreadable, PathImpossible
from lnrecur.onion.sphinx import AREA_BIG, AREA_SMALL, peel, room_needed, wrap
from lnrecur.values import Point

SESSION = PrivateKey(b"\x07" * 32)
KEYS = [PrivateKey(bytes([number]) * 32) for number in range(0x41, 0x49)]


def hops(*payloads: bytes) -> list[tuple[Point, bytes]]:
    return [(key.point, payload) for key, payload in zip(KEYS, payloads, strict=False)]


@settings(max_examples=30)
@given(st.lists(st.binary(min_size=2, max_size=300), min_size=1, max_size=8), st.sampled_from([AREA_SMALL, AREA_BIG]))
def test_every_hop_reads_its_payload_and_only_the_last_is_told_so(payloads: list[bytes], size: int) -> None:
    if room_needed(payloads) > size:
        with pytest.raises(PathImpossible):
            wrap(SESSION, hops(*payloads), size=size)
        return
    onion: bytes | None = wrap(SESSION, hops(*payloads), associated_data=b"hash", size=size)
    for key, payload in zip(KEYS, payloads, strict=False):
        assert onion is not None
        assert len(onion) == size + 66
        peeled = peel(key, onion, associated_data=b"hash")
        assert peeled.payload == payload
        onion = peeled.next_onion
    assert onion is None


def test_a_payload_that_fills_the_area_to_the_last_byte_fits() -> None:
    payload = bytes(AREA_SMALL - 32 - 3)
    assert room_needed([payload]) == AREA_SMALL
    assert peel(KEYS[0], wrap(SESSION, hops(payload))).payload == payload
    with pytest.raises(PathImpossible, match="1301"):
        wrap(SESSION, hops(payload + b"\0"))


@pytest.mark.parametrize("bad", [[], [b""], [b"ok", b"1"]])
def test_an_onion_without_hops_or_with_a_reserved_length_is_not_built(bad: list[bytes]) -> None:
    with pytest.raises(PathImpossible):
        wrap(SESSION, hops(*bad))


@pytest.mark.parametrize("offset", [1, 33, 34, 700, 1333, 1334, 1365])
def test_one_changed_byte_anywhere_is_refused(offset: int) -> None:
    onion = bytearray(wrap(SESSION, hops(b"one", b"two")))
    onion[offset] ^= 1
    with pytest.raises(OnionUnreadable):
        peel(KEYS[0], bytes(onion))


def test_another_version_is_refused_by_its_number() -> None:
    onion = b"\x01" + wrap(SESSION, hops(b"one"))[1:]
    with pytest.raises(OnionUnreadable, match="version 1"):
        peel(KEYS[0], onion)


def test_an_onion_for_another_key_is_refused() -> None:
    with pytest.raises(OnionUnreadable, match="HMAC"):
        peel(KEYS[1], wrap(SESSION, hops(b"one")))


def test_other_associated_data_is_refused() -> None:
    onion = wrap(SESSION, hops(b"one"), associated_data=b"this payment")
    with pytest.raises(OnionUnreadable, match="HMAC"):
        peel(KEYS[0], onion, associated_data=b"that payment")


@pytest.mark.parametrize("size", [0, 1, 66, 67, 70_000])
def test_a_packet_too_short_or_too_long_is_refused(size: int) -> None:
    with pytest.raises(OnionUnreadable, match="bytes"):
        peel(KEYS[0], bytes(size))


def test_an_ephemeral_key_off_the_curve_is_refused() -> None:
    with pytest.raises(OnionUnreadable, match="point"):
        peel(KEYS[0], bytes(1366))


def authentic(front: bytes) -> bytes:
    """A packet whose HMAC fits, and whose decrypted area begins with `front`: only its maker could be so wrong."""
    secret = SESSION.ecdh(KEYS[0].point)
    stream = chacha20_stream(hmac_sha256(b"rho", secret), 100)
    area = bytes(a ^ b for a, b in zip(front.ljust(100, b"\0"), stream, strict=True))
    return b"\0" + SESSION.point + area + hmac_sha256(hmac_sha256(b"mu", secret), area)


@pytest.mark.parametrize(
    ("front", "told"),
    [
        (b"\x00", "payload of 0"),
        (b"\x01", "payload of 1"),
        (b"\x44", "payload of 68"),
        (b"\xfd\x00\x02", "shortest form"),
        (b"\xff" + b"\xff" * 8, "payload of 18446744073709551615"),
    ],
)
def test_a_length_that_is_reserved_beyond_the_area_or_not_minimal_is_refused(front: bytes, told: str) -> None:
    with pytest.raises(OnionUnreadable, match=told):
        peel(KEYS[0], authentic(front))
