"""What can go wrong on the encrypted transport."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from lnrecur.errors import Fault, LnrecurError


class NoiseError(LnrecurError):
    """Root of this room's errors."""

    fault: ClassVar[Fault] = Fault.PEER


class HandshakeFailure(StrEnum):
    """What was wrong with an act, in the words of BOLT 8's test vectors."""

    READ_FAILED = "READ_FAILED"
    BAD_VERSION = "BAD_VERSION"
    BAD_PUBKEY = "BAD_PUBKEY"
    BAD_CIPHERTEXT = "BAD_CIPHERTEXT"
    BAD_TAG = "BAD_TAG"


_TOLD = {
    HandshakeFailure.READ_FAILED: "the stream ended before the act was complete",
    HandshakeFailure.BAD_VERSION: "unknown handshake version",
    HandshakeFailure.BAD_PUBKEY: "the key is no point of secp256k1",
    HandshakeFailure.BAD_CIPHERTEXT: "the encrypted key does not authenticate",
    HandshakeFailure.BAD_TAG: "the act does not authenticate",
}


class HandshakeError(NoiseError):
    """An act of the handshake is not what it should be; the connection ends without another word (BOLT 8).

    Attributes:
        act: 1, 2 or 3.
        failure: what was wrong with it.
        version: the version byte, where that was the trouble.
    """

    def __init__(self, act: int, failure: HandshakeFailure, *, version: int | None = None) -> None:
        told = _TOLD[failure] if version is None else f"{_TOLD[failure]} {version}"
        super().__init__(f"handshake act {act}: {told}")
        self.act = act
        self.failure = failure
        self.version = version

    @property
    def code(self) -> str:
        """The failure as BOLT 8 writes it, such as ACT2_BAD_TAG."""
        return f"ACT{self.act}_{self.failure}"

    def details(self) -> dict[str, str | int]:
        """The failure's code."""
        return {"code": self.code}


class TransportError(NoiseError):
    """A ciphertext of the established transport does not authenticate: the stream cannot be trusted any further."""


class MessageTooLong(NoiseError):
    """A message to be sent is longer than the two-byte length prefix can say."""

    fault: ClassVar[Fault] = Fault.CALLER
