"""BOLT 8 after the handshake: messages behind an encrypted length, keys rotated every 1000 uses.

On the wire a message is  seal(length, 2 bytes) || seal(message):  18 + size + 16 bytes. Each seal uses up one nonce of
its direction, and the 1000th use of a key makes the next one. The two directions share nothing but the chaining key
they start from.

What this file guarantees: `feed` takes pieces of any size and never holds more than one incomplete message. Once a
ciphertext did not authenticate, nothing more is read or written. It never learns what a message means.
"""

from __future__ import annotations

from typing import Final

from lnrecur.crypto import aead
from lnrecur.crypto.errors import InvalidTag
from lnrecur.crypto.hashes import hkdf_two
from lnrecur.noise.errors import MessageTooLong, TransportError

MESSAGE_SIZE_MAX: Final = 65535
KEY_USES: Final = 1000
_LENGTH_SIZE: Final = 2
_HEADER_SIZE: Final = _LENGTH_SIZE + aead.TAG_SIZE


def nonce(counter: int) -> bytes:
    """A nonce as Noise writes it: 32 zero bits, then the counter as a little-endian 64-bit number."""
    return bytes(4) + counter.to_bytes(8, "little")


class _Direction:
    """The key of one direction, its nonce and the chaining key its successors come from."""

    __slots__ = ("_chaining_key", "_key", "_uses")

    def __init__(self, key: bytes, chaining_key: bytes) -> None:
        self._key = key
        self._chaining_key = chaining_key
        self._uses = 0

    def seal(self, plaintext: bytes) -> bytes:
        sealed = aead.encrypt(self._key, nonce(self._uses), plaintext)
        self._count_use()
        return sealed

    def open(self, ciphertext: bytes) -> bytes:
        opened = aead.decrypt(self._key, nonce(self._uses), ciphertext)
        self._count_use()
        return opened

    def _count_use(self) -> None:
        self._uses += 1
        if self._uses == KEY_USES:
            self._chaining_key, self._key = hkdf_two(self._chaining_key, self._key)
            self._uses = 0


class NoiseTransport:
    """Both directions of an established connection (BOLT 8, Lightning Message Specification)."""

    __slots__ = ("_buffer", "_expected", "_failure", "_receiving", "_sending")

    def __init__(self, sending_key: bytes, receiving_key: bytes, chaining_key: bytes, received: bytes = b"") -> None:
        """Take the three 32-byte results of a handshake.

        Args:
            sending_key: seals what we send.
            receiving_key: opens what the peer sends.
            chaining_key: where the later keys of both directions come from.
            received: bytes that arrived together with the last act; the next `feed` reads them.
        """
        self._sending = _Direction(sending_key, chaining_key)
        self._receiving = _Direction(receiving_key, chaining_key)
        self._buffer = bytearray(received)
        self._expected: int | None = None  # the size of the message whose length was read, None before that
        self._failure: TransportError | None = None

    def encrypt(self, message: bytes) -> bytes:
        """The bytes to be sent for one message of at most 65535 bytes.

        Raises:
            MessageTooLong: nothing was used up, the transport goes on.
            TransportError: what was received did not authenticate, so nothing more is said.
        """
        if self._failure is not None:
            raise self._failure
        if len(message) > MESSAGE_SIZE_MAX:
            raise MessageTooLong(f"a message takes at most {MESSAGE_SIZE_MAX} bytes, this one has {len(message)}")
        return self._sending.seal(len(message).to_bytes(_LENGTH_SIZE, "big")) + self._sending.seal(message)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with `data`, in order; a rest waits for the next call.

        Messages in front of a bad ciphertext are answered, and the error comes with the next call: so however the
        stream was cut, a caller who feeds b"" until the answer is empty sees the same.

        Raises:
            TransportError: a ciphertext does not authenticate. So does every later call.
        """
        if self._failure is not None:
            raise self._failure
        self._buffer += data
        messages: list[bytes] = []
        try:
            while (message := self._next_message()) is not None:
                messages.append(message)
        except InvalidTag as error:
            what = "length" if self._expected is None else "message"
            self._failure = TransportError(f"the {what} does not authenticate")
            self._failure.__cause__ = error
            self._buffer.clear()
            if not messages:
                raise self._failure from error
        return messages

    def _next_message(self) -> bytes | None:
        if self._expected is None:
            header = self._take(_HEADER_SIZE)
            if header is None:
                return None
            self._expected = int.from_bytes(self._receiving.open(header), "big")
        sealed = self._take(self._expected + aead.TAG_SIZE)
        if sealed is None:
            return None
        message = self._receiving.open(sealed)
        self._expected = None
        return message

    def _take(self, size: int) -> bytes | None:
        if len(self._buffer) < size:
            return None
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
