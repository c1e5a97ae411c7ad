"""Chance that repeats: the same seed gives the same bytes on every machine."""

from __future__ import annotations

from lnrecur.crypto.hashes import sha256


class SeededEntropy:
    """`lnrecur.ports.Entropy` from a number: SHA-256 of the seed and a counter. For tests only, it is no secret."""

    def __init__(self, seed: int) -> None:
        """Start the stream that belongs to `seed` (any integer)."""
        self._seed = str(seed).encode()
        self._counter = 0
        self._left = b""

    def take(self, size: int) -> bytes:
        """The next `size` bytes of the stream; how it is cut into pieces changes nothing about the bytes."""
        while len(self._left) < size:
            self._left += sha256(b"lnrecur seeded entropy", self._seed, b"/", str(self._counter).encode())
            self._counter += 1
        taken, self._left = self._left[:size], self._left[size:]
        return taken
