"""Keys from passphrases: scrypt (RFC 7914), from OpenSSL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

KEY_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Scrypt:
    """How hard a passphrase is made to guess: about 128 * r * n bytes of memory, and the time to fill them."""

    n: int = 2**17
    r: int = 8
    p: int = 1

    def key(self, passphrase: str, salt: bytes) -> bytes:
        """32 bytes. The passphrase counts as its UTF-8 bytes."""
        memory = 128 * self.r * (self.n + self.p + 2)
        return hashlib.scrypt(
            passphrase.encode(), salt=salt, n=self.n, r=self.r, p=self.p, maxmem=2 * memory, dklen=KEY_SIZE
        )
