"""Any program as a subject of the suite: one JSON line in, one JSON line out (conformance/PROTOCOL.md).

Nothing the program does stops the run: a wrong line, a hang or a death is the result of the case it happened in, and
the program is started again for the next one, a few times. It runs in a process group of its own and is ended with it.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import IO, Any, Final, Self

from lnrecur.errors import UsageError
from lnrecur.testing.conformance import SubjectFailed

Document = dict[str, Any]

ANSWER_MAX: Final = 1 << 20
"""Longest line we read, in bytes."""
STARTS_MAX: Final = 5
"""How often a program is started, the first time included."""
_SHOWN_MAX: Final = 200
_FAREWELL_S: Final = 0.5


class Program:
    """A program under test; a context manager that ends it."""

    def __init__(self, command: str, timeout_s: float) -> None:
        """Take a command as a shell would split it. `timeout_s` bounds the wait for each answer.

        Raises:
            UsageError: the command cannot be split, or is empty.
        """
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--command: {command!r} cannot be split into words: {error}", field="command") from error
        if not self._arguments:
            raise UsageError("--command: which program?", field="command")
        self._command = command
        self._timeout_s = timeout_s
        self._starts = 0
        self._running: _Running | None = None

    @property
    def name(self) -> str:
        """The command."""
        return self._command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def answer(self, question: Document) -> Document:
        """Ask, and wait for the answer.

        Raises:
            SubjectFailed: it died, hung, or wrote something else than an answer to this question.
            UsageError: it cannot be started at all.
        """
        running = self._started()
        try:
            line = running.exchange(json.dumps(question).encode() + b"\n", self._timeout_s)
        except SubjectFailed:
            self._end()
            raise
        return _document(line, question["id"])

    def _started(self) -> _Running:
        if self._running is not None:
            return self._running
        if self._starts >= STARTS_MAX:
            raise SubjectFailed(f"not asked: the program had to be started {STARTS_MAX} times already")
        self._starts += 1
        try:
            self._running = _Running(self._arguments)
        except OSError as error:
            raise UsageError(f"--command: {self._arguments[0]} cannot be started: {error}", field="command") from error
        return self._running

    def _end(self) -> None:
        if self._running is not None:
            self._running.end()
            self._running = None


class _Running:
    """One process and the thread that reads what it writes. Its stderr is ours."""

    def __init__(self, arguments: list[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the user's own command
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._lines: queue.Queue[bytes] = queue.Queue(maxsize=100)
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        with output:
            while line := output.readline(ANSWER_MAX):
                self._lines.put(line)
        self._lines.put(b"")

    def exchange(self, question: bytes, timeout_s: float) -> bytes:
        """Write one line, read one line.

        Raises:
            SubjectFailed: there is none in time, or never will be.
        """
        stdin = self._process.stdin
        assert stdin is not None, "opened as a pipe"
        try:
            stdin.write(question)
            stdin.flush()
            line = self._lines.get(timeout=timeout_s)
        except (BrokenPipeError, ConnectionResetError):
            raise SubjectFailed(self._death()) from None
        except queue.Empty:
            raise SubjectFailed(f"no answer within {timeout_s:g} seconds") from None
        if not line.endswith(b"\n"):
            raise SubjectFailed(f"a line of more than {ANSWER_MAX} bytes" if line else self._death())
        return line

    def _death(self) -> str:
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "the program closed its standard input or output"
        return f"the program ended, exit code {code}" if code >= 0 else f"the program died of signal {-code}"

    def end(self) -> None:
        """Let it end by itself for a moment, then kill whatever is left of it."""
        if self._process.stdin is not None:
            with suppress(OSError):  # what it never read is lost
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_FAREWELL_S)
        with suppress(ProcessLookupError, PermissionError):  # nobody is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + _FAREWELL_S
        while self._reader.is_alive() and time.monotonic() < deadline:
            with suppress(queue.Empty):
                self._lines.get(timeout=0.01)


def _document(line: bytes, wanted_id: str) -> Document:
    shown = line[:_SHOWN_MAX].decode(errors="replace").strip()
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise SubjectFailed(f"not a JSON line: {shown}") from None
    if not isinstance(found, dict):
        raise SubjectFailed(f"not a JSON object: {shown}")
    if found.get("id") != wanted_id:
        raise SubjectFailed(f"an answer to {found.get('id')!r}: {shown}")
    if "error" in found:
        raise SubjectFailed(f"the program says: {str(found['error'])[:_SHOWN_MAX]}")
    return found
