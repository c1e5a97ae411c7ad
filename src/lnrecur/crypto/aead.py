"""ChaCha20-Poly1305 and the bare ChaCha20 key stream, from the `cryptography` library."""

from __future__ import annotations

from typing import Final

from cryptography import exceptions
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from lnrecur.crypto.errors import InvalidTag

TAG_SIZE: Final = 16
_NONCE_ZERO: Final = bytes(12)


def encrypt(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes = b"") -> bytes:
    """Seal `plaintext` (32-byte key, 12-byte nonce); the answer is 16 bytes longer."""
    return ChaCha20Poly1305(key).encrypt(nonce, plaintext, associated_data)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes = b"") -> bytes:
    """Open what `encrypt` sealed.

    Raises:
        InvalidTag: it was not sealed with this key, nonce and associated data.
    """
    if len(ciphertext) < TAG_SIZE:
        raise InvalidTag(f"a ciphertext of {len(ciphertext)} bytes is shorter than its {TAG_SIZE}-byte tag")
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, associated_data)
    except exceptions.InvalidTag as error:
        raise InvalidTag("the ciphertext does not authenticate") from error


class KeyStream:
    """ChaCha20's key stream with an all-zero nonce (BOLT 4's pseudo-random stream), used up from its beginning."""

    __slots__ = ("_encryptor",)

    def __init__(self, key: bytes) -> None:
        """Begin the stream of a 32-byte key."""
        self._encryptor = Cipher(ChaCha20(key, bytes(4) + _NONCE_ZERO), mode=None).encryptor()

    def xor(self, data: bytes) -> bytes:
        """`data` XOR the next bytes of the stream."""
        return self._encryptor.update(data)


def chacha20_stream(key: bytes, length: int) -> bytes:
    """The first `length` bytes of a `KeyStream`."""
    return KeyStream(key).xor(bytes(length))
