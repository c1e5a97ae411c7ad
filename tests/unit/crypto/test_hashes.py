"""Hashes against the standard library's plain form and the RFCs' vectors."""

import hashlib

import pytest

from lnrecur.crypto.hashes import (
    hkdf_two,
    hmac_sha256,
    same_bytes,
    sha256,
    tag_once,
    tagged_hash,
    tagged_hash_state,
)


def test_parts_are_hashed_as_if_they_were_one() -> None:
    assert sha256() == hashlib.sha256().digest()
    assert sha256(b"abc") == sha256(b"a", b"", b"bc") == hashlib.sha256(b"abc").digest()


def test_hmac_is_that_of_rfc_4231() -> None:
    expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    assert hmac_sha256(b"\x0b" * 20, b"Hi ", b"There").hex() == expected


def test_a_tagged_hash_begins_with_the_tag_twice() -> None:
    tag = hashlib.sha256(b"LnLeaf").digest()
    assert tagged_hash(b"LnLeaf", b"message") == hashlib.sha256(tag + tag + b"message").digest()


def test_a_kept_state_is_not_used_up() -> None:
    first = tagged_hash_state(b"LnBranch")
    first.update(b"something else")
    assert tagged_hash(b"LnBranch", b"m") == tagged_hash(b"LnBranch", b"m")
    state = tag_once(b"LnBranch")
    state.update(b"m")
    assert state.digest() == tagged_hash(b"LnBranch", b"m")


def test_hkdf_gives_two_keys_that_follow_from_both_inputs() -> None:
    salt, material = bytes(32), b"\x01" * 32
    prk = hmac_sha256(salt, material)
    first = hmac_sha256(prk, b"\x01")
    assert hkdf_two(salt, material) == (first, hmac_sha256(prk, first + b"\x02"))
    assert hkdf_two(salt, b"") != hkdf_two(material, b"")


@pytest.mark.parametrize(
    ("left", "right", "same"), [(b"", b"", True), (b"a", b"a", True), (b"a", b"b", False), (b"a", b"", False)]
)
def test_comparing_in_constant_time_still_compares(left: bytes, right: bytes, same: bool) -> None:
    assert same_bytes(left, right) is same
