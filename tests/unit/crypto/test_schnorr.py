"""BIP 340: the standard's own vectors, determinism, and refusals that raise."""

import pytest

from lnrecur.crypto.errors import InvalidPoint, InvalidSignature
from lnrecur.crypto.keys import PrivateKey
from lnrecur.crypto.schnorr import sign, verify

ALICE = PrivateKey(b"\x41" * 32)
DIGEST = bytes(range(32))

# BIP 340, test-vectors.csv, index 0: the one signed with a zero auxiliary input.
BIP340_KEY = PrivateKey((3).to_bytes(32, "big"))
BIP340_SIGNATURE = (
    "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215"
    "25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0"
)


def test_the_vector_of_the_standard() -> None:
    assert sign(bytes(32), BIP340_KEY).hex() == BIP340_SIGNATURE
    verify(bytes(32), BIP340_KEY.point, bytes.fromhex(BIP340_SIGNATURE))


def test_the_same_digest_and_key_give_the_same_signature() -> None:
    assert sign(DIGEST, ALICE) == sign(DIGEST, PrivateKey(b"\x41" * 32))
    assert len(sign(DIGEST, ALICE)) == 64


def test_the_y_of_the_key_is_not_looked_at() -> None:
    mirrored = bytes((ALICE.point[0] ^ 1,)) + ALICE.point[1:]
    verify(DIGEST, ALICE.point, sign(DIGEST, ALICE))
    verify(DIGEST, mirrored, sign(DIGEST, ALICE))


@pytest.mark.parametrize("bit", range(0, 512, 37))
def test_any_flipped_bit_of_a_signature_is_noticed(bit: int) -> None:
    made = bytearray(sign(DIGEST, ALICE))
    made[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidSignature):
        verify(DIGEST, ALICE.point, bytes(made))


def test_another_digest_or_key_is_refused() -> None:
    made = sign(DIGEST, ALICE)
    with pytest.raises(InvalidSignature, match="not made by"):
        verify(bytes(32), ALICE.point, made)
    with pytest.raises(InvalidSignature, match="not made by"):
        verify(DIGEST, BIP340_KEY.point, made)


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(65)])
def test_a_signature_of_another_length_is_refused(signature: bytes) -> None:
    with pytest.raises(InvalidSignature, match="takes 64 bytes"):
        verify(DIGEST, ALICE.point, signature)


@pytest.mark.parametrize("point", [b"", bytes(33), b"\x02" + b"\xff" * 32])
def test_a_key_that_is_no_point_is_refused(point: bytes) -> None:
    with pytest.raises(InvalidPoint):
        verify(DIGEST, point, sign(DIGEST, ALICE))
