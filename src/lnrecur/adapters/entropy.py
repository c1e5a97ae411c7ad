"""The operating system's randomness."""

from __future__ import annotations

import os


class SystemEntropy:
    """Implements `ports.Entropy` with the operating system's generator."""

    def take(self, size: int) -> bytes:
        """`size` unpredictable bytes, fit for keys."""
        return os.urandom(size)
