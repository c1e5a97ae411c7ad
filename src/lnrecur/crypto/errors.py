"""What can go wrong with keys, signatures and ciphertexts."""

from __future__ import annotations

from lnrecur.errors import Fault, LnrecurError


class CryptoError(LnrecurError):
    """Root of this room's errors."""

    fault = Fault.PEER


class InvalidPoint(CryptoError):
    """These bytes are no point of secp256k1 in compressed form."""


class InvalidKey(CryptoError):
    """These bytes are no private key: zero, beyond the group order, or not 32 bytes."""

    fault = Fault.CALLER


class InvalidSignature(CryptoError):
    """The signature was not made by this key over this message."""


class InvalidTag(CryptoError):
    """A ciphertext does not authenticate: wrong key, nonce or associated data, or it was changed."""
