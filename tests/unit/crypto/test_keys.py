"""Keys and points: what is accepted, what is refused, and that a secret is never shown."""

import copy

import pytest

from lnrecur.crypto.errors import InvalidKey, InvalidPoint
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey, derive_key, derive_secret, parse_point, point_times

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
GENERATOR = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
ALICE = PrivateKey(b"\x41" * 32)
BOB = PrivateKey(b"\x42" * 32)


def _scalar(value: int) -> bytes:
    return value.to_bytes(32, "big")


def test_the_key_one_has_the_generator_as_its_point() -> None:
    assert PrivateKey(_scalar(1)).point == GENERATOR


def test_the_largest_key_is_accepted_and_mirrors_the_generator() -> None:
    assert PrivateKey(_scalar(ORDER - 1)).point == b"\x03" + GENERATOR[1:]


@pytest.mark.parametrize(
    "secret", [b"", b"\x01" * 31, b"\x01" * 33, _scalar(0), _scalar(ORDER), _scalar(ORDER + 1), b"\xff" * 32]
)
def test_what_is_no_private_key_is_refused(secret: bytes) -> None:
    with pytest.raises(InvalidKey, match="32 bytes, not zero and below the order"):
        PrivateKey(secret)


def test_repr_and_text_never_show_the_secret() -> None:
    for shown in (repr(ALICE), str(ALICE), f"{ALICE}", repr([ALICE]), repr({"key": ALICE})):
        assert ALICE.secret.hex() not in shown
        assert repr(ALICE.secret) not in shown
        assert ALICE.point.hex() in shown


def test_an_invalid_key_error_does_not_show_the_bytes() -> None:
    with pytest.raises(InvalidKey) as refusal:
        PrivateKey(b"\xff" * 32)
    assert "ff" * 4 not in str(refusal.value)


def test_both_sides_of_an_ecdh_have_the_same_secret() -> None:
    shared = ALICE.ecdh(BOB.point)
    assert shared == BOB.ecdh(ALICE.point)
    assert shared == sha256(point_times(BOB.point, ALICE.secret))
    assert shared != ALICE.ecdh(ALICE.point)


@pytest.mark.parametrize("point", [b"", bytes(33), b"\x02" + b"\xff" * 32, GENERATOR[1:], GENERATOR + b"\0"])
def test_ecdh_with_what_is_no_point_is_refused(point: bytes) -> None:
    with pytest.raises(InvalidPoint):
        ALICE.ecdh(point)
    with pytest.raises(InvalidPoint):
        point_times(point, _scalar(2))


def test_multiplying_the_key_multiplies_the_point() -> None:
    assert ALICE.times(BOB.secret).point == point_times(ALICE.point, BOB.secret) == BOB.times(ALICE.secret).point
    assert ALICE.times(_scalar(1)).secret == ALICE.secret


@pytest.mark.parametrize("factor", [b"", _scalar(0), _scalar(ORDER), b"\x01" * 31])
def test_a_factor_beyond_the_scalars_is_refused(factor: bytes) -> None:
    with pytest.raises(InvalidKey):
        ALICE.times(factor)
    with pytest.raises(InvalidPoint):
        point_times(ALICE.point, factor)


def test_a_point_is_parsed_as_it_is() -> None:
    assert parse_point(GENERATOR) == GENERATOR
    assert parse_point(b"\x03" + GENERATOR[1:]) == b"\x03" + GENERATOR[1:]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GENERATOR[:-1],
        GENERATOR + b"\0",
        b"\x04" + GENERATOR[1:],
        b"\x00" * 33,
        b"\x03" * 33,
        b"\x02" + b"\xff" * 32,
    ],
)
def test_what_is_no_compressed_point_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidPoint):
        parse_point(data)


def test_derived_keys_follow_from_their_inputs_and_from_nothing_else() -> None:
    seed = bytes(range(32))
    key = derive_key(seed, "payer", b"one", b"two")
    assert key.secret == derive_key(seed, "payer", b"one", b"two").secret
    others = [
        derive_key(bytes(32), "payer", b"one", b"two"),
        derive_key(seed, "payee", b"one", b"two"),
        derive_key(seed, "payer", b"onet", b"wo"),
        derive_key(seed, "payer", b"onetwo"),
        derive_key(seed, "payer", b"one", b"two", b""),
        derive_key(seed, "payerone", b"two"),
    ]
    assert len({other.secret for other in (key, *others)}) == len(others) + 1
    assert derive_secret(seed, "payer", b"one", b"two") not in {other.secret for other in (key, *others)}


def test_derived_secrets_keep_their_parts_apart() -> None:
    seed = bytes(range(32))
    assert derive_secret(seed, "a", b"bc") == derive_secret(seed, "a", b"bc")
    assert (
        len({derive_secret(seed, "a", b"bc"), derive_secret(seed, "ab", b"c"), derive_secret(seed, "a", b"b", b"c")})
        == 3
    )


def test_a_derived_value_never_changes_between_releases() -> None:
    """Restoring a seed must restore the same keys: these bytes are a promise."""
    assert derive_key(bytes(range(32)), "payer", b"one").secret.hex() == DERIVED_KEY
    assert derive_secret(bytes(range(32)), "payer", b"one").hex() == DERIVED_SECRET


def test_a_key_does_not_change_when_its_bytes_do() -> None:
    secret = bytearray(b"\x41" * 32)
    key = PrivateKey(bytes(secret))
    secret[0] = 0
    assert key.secret == b"\x41" * 32
    assert copy.copy(key).point == key.point


DERIVED_KEY = "70b2ccd109de8ab63dd77761f9603e146fdedc47d99e6df2d0ea3610a38ebb11"
DERIVED_SECRET = "493c61c5ffcf5b09e8217ebeb1cda616d9033c1e75516e9646bb96b653c5165f"
