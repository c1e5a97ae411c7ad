"""BOLT 8's handshake, Noise_XK_secp256k1_ChaChaPoly_SHA256, as two state machines fed with bytes.

    <- s                 the initiator knows the responder's static key beforehand
    -> e, es             act one    0 || e || tag                  50 bytes
    <- e, ee             act two    0 || e || tag                  50 bytes
    -> s, se             act three  0 || seal(s) || tag            66 bytes

Both sides hash everything that is sent into `h`, and mix the result of every Diffie-Hellman into the chaining key
`ck`. A tag seals the empty text with the newest key and `h`, so it proves at once that the other side owns its keys
and saw the same bytes.

What this file guarantees: pieces of any size give the same result; an act is looked at only when it is complete;
after a failure nothing more is said. What it never does: make keys (the ephemeral key is an argument and must be
fresh and unpredictable for every handshake), or decide who may connect.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from lnrecur.crypto import aead
from lnrecur.crypto.errors import InvalidPoint, InvalidTag
from lnrecur.crypto.hashes import hkdf_two, sha256
from lnrecur.crypto.keys import PrivateKey, parse_point
from lnrecur.noise.errors import HandshakeError, HandshakeFailure
from lnrecur.noise.transport import NoiseTransport, nonce
from lnrecur.values import POINT_SIZE, NodeId, Point

_PROTOCOL: Final = b"Noise_XK_secp256k1_ChaChaPoly_SHA256"
_PROLOGUE: Final = b"lightning"
_VERSION: Final = b"\0"
_SEALED_POINT_SIZE: Final = POINT_SIZE + aead.TAG_SIZE

ACT_SIZES: Final = {
    1: 1 + POINT_SIZE + aead.TAG_SIZE,
    2: 1 + POINT_SIZE + aead.TAG_SIZE,
    3: 1 + _SEALED_POINT_SIZE + aead.TAG_SIZE,
}
"""Bytes of each act."""


class _SymmetricState:
    """BOLT 8's `ck`, `h` and the newest temporary key with its nonce."""

    __slots__ = ("_chaining_key", "_counter", "_hash", "_key")

    def __init__(self, responder: bytes) -> None:
        start = sha256(_PROTOCOL)
        self._chaining_key = start
        self._hash = sha256(sha256(start, _PROLOGUE), responder)
        self._key = b""
        self._counter = 0

    def mix_hash(self, data: bytes) -> None:
        self._hash = sha256(self._hash, data)

    def mix_key(self, shared_secret: bytes) -> None:
        self._chaining_key, self._key = hkdf_two(self._chaining_key, shared_secret)
        self._counter = 0

    def seal(self, plaintext: bytes) -> bytes:
        sealed = aead.encrypt(self._key, nonce(self._counter), plaintext, self._hash)
        self._counter += 1
        self.mix_hash(sealed)
        return sealed

    def open(self, ciphertext: bytes) -> bytes:
        opened = aead.decrypt(self._key, nonce(self._counter), ciphertext, self._hash)
        self._counter += 1
        self.mix_hash(ciphertext)
        return opened

    def split(self) -> tuple[bytes, bytes, bytes]:
        """The initiator's sending key, its receiving key, and the chaining key."""
        first, second = hkdf_two(self._chaining_key, b"")
        return first, second, self._chaining_key


class _Handshake(ABC):
    """What both sides have in common: collecting acts, and what is left when they are through."""

    def __init__(self, static: PrivateKey, ephemeral: PrivateKey, responder: bytes, awaited: int) -> None:
        self._static = static
        self._ephemeral = ephemeral
        self._state = _SymmetricState(responder)
        self._awaited = awaited
        self._buffer = b""
        self._failure: HandshakeError | None = None
        self._remote: NodeId | None = None
        self._transport: NoiseTransport | None = None

    @property
    def done(self) -> bool:
        """Whether all acts are through."""
        return self._transport is not None

    @property
    def transport(self) -> NoiseTransport | None:
        """The transport once done, None before. It already holds what arrived behind the last act."""
        return self._transport

    @property
    def remote(self) -> NodeId | None:
        """Who the other side is; the responder knows it only after act three."""
        return self._remote

    def feed(self, data: bytes) -> bytes:
        """Take what arrived, in pieces of any size; answers what must be sent, often nothing.

        Once `done`, what arrives belongs to the transport and is fed there.

        Raises:
            HandshakeError: an act is wrong. So is every later call.
        """
        if self._failure is not None:
            raise self._failure
        if self._transport is not None:
            raise ValueError("the handshake is done: feed its transport")
        self._buffer += data
        answer = b""
        while not self.done and len(self._buffer) >= ACT_SIZES[self._awaited]:
            size = ACT_SIZES[self._awaited]
            act, self._buffer = self._buffer[:size], self._buffer[size:]
            answer += self._check_version_and_read(act)
        return answer

    def end_of_stream(self) -> None:
        """Say that no more bytes will come.

        Raises:
            HandshakeError: READ_FAILED, if an act was still awaited.
        """
        if self._failure is not None:
            raise self._failure
        if not self.done:
            raise self._fail(HandshakeFailure.READ_FAILED)

    @abstractmethod
    def _read_act(self, act: bytes) -> bytes:
        """Read the awaited act (without its version) and answer what must be sent."""

    def _check_version_and_read(self, act: bytes) -> bytes:
        if act[:1] != _VERSION:
            raise self._fail(HandshakeFailure.BAD_VERSION, version=act[0])
        return self._read_act(act[1:])

    def _fail(self, failure: HandshakeFailure, *, version: int | None = None) -> HandshakeError:
        self._failure = HandshakeError(self._awaited, failure, version=version)
        return self._failure

    def _read_point(self, data: bytes) -> Point:
        try:
            return parse_point(data)
        except InvalidPoint as error:
            raise self._fail(HandshakeFailure.BAD_PUBKEY) from error

    def _open(self, ciphertext: bytes, otherwise: HandshakeFailure) -> bytes:
        try:
            return self._state.open(ciphertext)
        except InvalidTag as error:
            raise self._fail(otherwise) from error

    def _write_ephemeral(self, key: PrivateKey, point: bytes) -> bytes:
        """Acts one and two: our ephemeral key, and a tag with the secret shared between `key` and `point`."""
        self._state.mix_hash(self._ephemeral.point)
        self._state.mix_key(key.ecdh(point))
        return _VERSION + self._ephemeral.point + self._state.seal(b"")

    def _read_ephemeral(self, act: bytes, key: PrivateKey) -> Point:
        """Acts one and two: their ephemeral key, proven by the tag behind it."""
        point = self._read_point(act[:POINT_SIZE])
        self._state.mix_hash(point)
        self._state.mix_key(key.ecdh(point))
        self._open(act[POINT_SIZE:], HandshakeFailure.BAD_TAG)
        return point


class InitiatorHandshake(_Handshake):
    """The side that dials and knows whom it dials."""

    def __init__(self, static: PrivateKey, remote: NodeId, ephemeral: PrivateKey) -> None:
        """Prepare act one.

        Args:
            static: our node key.
            remote: the node we mean to reach.
            ephemeral: a key that is used for this handshake and never again.

        Raises:
            InvalidPoint: `remote` is no public key.
        """
        super().__init__(static, ephemeral, remote, awaited=2)
        self._remote = remote
        self._act_one = self._write_ephemeral(ephemeral, parse_point(remote))

    def start(self) -> bytes:
        """Act one: the bytes to be sent before anything is fed. The same however often it is asked for."""
        return self._act_one

    def _read_act(self, act: bytes) -> bytes:
        their_ephemeral = self._read_ephemeral(act, self._ephemeral)
        sealed_static = self._state.seal(self._static.point)
        self._state.mix_key(self._static.ecdh(their_ephemeral))
        act_three = _VERSION + sealed_static + self._state.seal(b"")
        sending, receiving, chaining_key = self._state.split()
        self._transport = NoiseTransport(sending, receiving, chaining_key, self._buffer)
        self._buffer = b""
        return act_three


class ResponderHandshake(_Handshake):
    """The side that is dialled and learns by whom in act three."""

    def __init__(self, static: PrivateKey, ephemeral: PrivateKey) -> None:
        """Wait for act one.

        Args:
            static: our node key.
            ephemeral: a key that is used for this handshake and never again.
        """
        super().__init__(static, ephemeral, static.point, awaited=1)

    def _read_act(self, act: bytes) -> bytes:
        if self._awaited == 1:
            their_ephemeral = self._read_ephemeral(act, self._static)
            self._awaited = 3
            return self._write_ephemeral(self._ephemeral, their_ephemeral)
        self._read_act_three(act)
        return b""

    def _read_act_three(self, act: bytes) -> None:
        opened = self._open(act[:_SEALED_POINT_SIZE], HandshakeFailure.BAD_CIPHERTEXT)
        their_static = self._read_point(opened)
        self._state.mix_key(self._ephemeral.ecdh(their_static))
        self._open(act[_SEALED_POINT_SIZE:], HandshakeFailure.BAD_TAG)
        receiving, sending, chaining_key = self._state.split()
        self._remote = NodeId(their_static)
        self._transport = NoiseTransport(sending, receiving, chaining_key, self._buffer)
        self._buffer = b""
