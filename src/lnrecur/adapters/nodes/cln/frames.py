"""JSON texts out of a stream of bytes, as lightningd writes them to a plugin.

lightningd ends each with an empty line, which none contains; what a text needs before that is not waited for, so a text
is there with its last brace. An empty line inside a text means that the text is broken: what follows is a new one. So
nothing that is wrong once can swallow what comes later.

Every byte is looked at once, however long a text is and in however many pieces it comes.
"""

from __future__ import annotations

import re
from typing import Final

_OUTSIDE: Final = re.compile(rb'["{}\[\]]|\n\n')
_IN_TEXT: Final = re.compile(rb'["\\]|\n\n')
_SHOWN: Final = 80


class JsonFrames:
    """Fed with bytes, gives whole JSON objects; keeps what is not whole yet."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._begin: int | None = None
        self._depth = 0
        self._in_text = False
        self.broken: list[str] = []
        """Beginnings of what was no JSON object, for the log; the reader takes them out."""

    def feed(self, data: bytes) -> list[bytes]:
        """The objects that `data` completes, as bytes; they are balanced, and need not be valid JSON."""
        self._buffer += data
        found: list[bytes] = []
        while (mark := (_IN_TEXT if self._in_text else _OUTSIDE).search(self._buffer, self._at)) is not None:
            self._at = mark.end()
            self._meet(mark[0], mark.start(), found)
        cut = self._at > len(self._buffer) or self._buffer.endswith(b"\n")  # half a mark is read again
        self._at = len(self._buffer) - cut
        self._forget(self._at if self._begin is None else self._begin)
        return found

    def _meet(self, mark: bytes, at: int, found: list[bytes]) -> None:
        if mark == b"\n\n":
            if self._begin is not None:
                self._breaks(self._begin, at)
        elif mark == b'"':
            self._in_text = not self._in_text and self._begin is not None
        elif mark == b"\\":
            self._at += 1  # whatever is escaped is no mark
        elif mark in b"{[":
            if self._begin is None and mark == b"{":
                self._begin, self._depth = at, 0
            self._depth += 1
        elif self._begin is not None:
            self._depth -= 1
            if self._depth == 0:
                found.append(bytes(self._buffer[self._begin : at + 1]))
                self._begin = None

    def _breaks(self, begin: int, end: int) -> None:
        self.broken.append(bytes(self._buffer[begin : min(end, begin + _SHOWN)]).decode(errors="replace"))
        self._begin, self._depth, self._in_text = None, 0, False

    def _forget(self, before: int) -> None:
        """Let go of what was read; only now, so that this costs once for each piece."""
        del self._buffer[:before]
        self._at -= before
        if self._begin is not None:
            self._begin -= before
