"""ChaCha20-Poly1305: RFC 8439's vector, and that every change is noticed."""

import pytest

from lnrecur.crypto.aead import TAG_SIZE, chacha20_stream, decrypt, encrypt
from lnrecur.crypto.errors import InvalidTag

KEY = bytes(range(0x80, 0xA0))
NONCE = bytes.fromhex("070000004041424344454647")
DATA = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
PLAIN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip "
    b"for the future, sunscreen would be it."
)
TAG = "1ae10b594f09e26a7e902ecbd0600691"


def test_the_vector_of_rfc_8439() -> None:
    sealed = encrypt(KEY, NONCE, PLAIN, DATA)
    assert sealed[-TAG_SIZE:].hex() == TAG
    assert sealed.startswith(bytes.fromhex("d31a8d34648e60db7b86afbc53ef7ec2"))
    assert decrypt(KEY, NONCE, sealed, DATA) == PLAIN


def test_nothing_can_be_sealed_too() -> None:
    sealed = encrypt(KEY, NONCE, b"")
    assert len(sealed) == TAG_SIZE
    assert decrypt(KEY, NONCE, sealed) == b""


@pytest.mark.parametrize("at", [0, 50, len(PLAIN), len(PLAIN) + TAG_SIZE - 1])
def test_any_changed_byte_is_noticed(at: int) -> None:
    sealed = bytearray(encrypt(KEY, NONCE, PLAIN, DATA))
    sealed[at] ^= 1
    with pytest.raises(InvalidTag, match="does not authenticate"):
        decrypt(KEY, NONCE, bytes(sealed), DATA)


@pytest.mark.parametrize(
    ("key", "nonce", "data"),
    [(bytes(32), NONCE, DATA), (KEY, bytes(12), DATA), (KEY, NONCE, b""), (KEY, NONCE, DATA + b"\0")],
)
def test_another_key_nonce_or_associated_data_opens_nothing(key: bytes, nonce: bytes, data: bytes) -> None:
    with pytest.raises(InvalidTag):
        decrypt(key, nonce, encrypt(KEY, NONCE, PLAIN, DATA), data)


@pytest.mark.parametrize("length", [0, 1, TAG_SIZE - 1])
def test_what_is_shorter_than_a_tag_is_refused(length: int) -> None:
    with pytest.raises(InvalidTag, match="shorter than its 16-byte tag"):
        decrypt(KEY, NONCE, bytes(length))


def test_the_bare_stream_is_that_of_a_zero_key_and_nonce() -> None:
    # RFC 8439, appendix A.1, vector 1
    expected = (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )
    assert chacha20_stream(bytes(32), 64).hex() == expected
    assert chacha20_stream(bytes(32), 200).startswith(chacha20_stream(bytes(32), 7))
    assert chacha20_stream(bytes(32), 0) == b""
