"""lightningd's plugin protocol over stdin and stdout: calls, hooks and notifications come, answers and the log go.

Not pyln-client's Plugin: it runs every handler on the thread that reads, so one that hangs holds up all others and
lightningd with them; it answers a hook whose handler raised with an error, which aborts lightningd (plugin_hook.c); and
it knows no deadlines. What is needed of the protocol is this file.

Two threads that do nothing else, one reading, one writing: while the daemon's event loop is busy, stuck or not there
yet, the reader goes on and answers each hook in its stead when the hook's time is over. What it guarantees:

- Every call is answered once, never twice (lightningd kills a plugin that answers what it did not ask).
- A hook is answered with a member of `hook_answers`, in time, whatever happens here; never with an error.
- Nothing but these answers and `log` ever goes to lightningd: stdout belongs to this file (see `take_stdio`).
"""

from __future__ import annotations

import json
import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from lnrecur.adapters.nodes.cln.frames import JsonFrames
from lnrecur.adapters.nodes.cln.hook_answers import HookAnswer

_CHUNK: Final = 1024 * 1024
_END: Final = b"\n\n"
_FLUSH_S_MAX: Final = 2.0
_METHOD_NOT_FOUND: Final = -32601


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook we register, and what is answered where we cannot answer ourselves."""

    name: str
    answers: type[HookAnswer]
    deadline_s: float
    """Real seconds from its arrival."""
    otherwise: Callable[[Mapping[str, Any]], HookAnswer]
    """By its parameters: at the deadline, or after a bug. May raise; then it is the harmless answer, CONTINUE."""
    before: tuple[str, ...] = ()
    """Plugins that get it only after us."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """Something lightningd waits for. `id` goes back as it came."""

    id: Any
    method: str
    params: Any
    hook: Hook | None = None
    deadline: float | None = field(default=None)


class Receiver(Protocol):
    """Who handles what comes. Called on the reading thread: it must hand on and return at once."""

    def called(self, call: Call) -> None:
        """A command, or `getmanifest`, `init` or a hook."""
        ...

    def notified(self, topic: str, params: Any) -> None:
        """Something has happened."""
        ...

    def ended(self) -> None:
        """It has hung up: nothing comes any more, and nothing that is answered is read."""
        ...


def take_stdio() -> tuple[int, int]:
    """Take stdin and stdout for the protocol. Whatever else is printed in this process goes to stderr from now on."""
    taken = os.dup(sys.stdin.fileno()), os.dup(sys.stdout.fileno())
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.stdout = sys.stderr
    return taken


class PluginWire:
    """One plugin's connection to lightningd."""

    def __init__(self, stdin: int, stdout: int, receiver: Receiver, hooks: Mapping[str, Hook]) -> None:
        """`stdin` and `stdout` are open files; nothing is read before `start`."""
        self._stdin = stdin
        self._stdout = stdout
        self._receiver = receiver
        self._hooks = hooks
        self._lock = threading.Lock()
        self._open: set[Call] = set()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="from lightningd", daemon=True)
        self._writer = threading.Thread(target=self._write, name="to lightningd", daemon=True)
        self.overdue = 0
        """Hooks that were answered here, because their time was over."""

    def start(self) -> None:
        """Begin to read and to write."""
        self._writer.start()
        self._reader.start()

    def close(self) -> None:
        """Answer the hooks that are open, and write out what waits. For the end of the process: reading just stops."""
        for call in self._opened():
            if call.hook is not None:
                self._otherwise(call, call.hook)
        self._outbox.put(None)
        self._writer.join(_FLUSH_S_MAX)

    # --- answering (any thread) --------------------------------------------------------------------------------------

    def answer(self, call: Call, result: Mapping[str, Any]) -> bool:
        """Answer a command; False where it has an answer already.

        Raises:
            AssertionError: it is a hook.
        """
        if call.hook is not None:
            raise AssertionError(f"{call.method} is a hook: answer_hook")
        return self._close_with(call, {"result": result})

    def refuse(self, call: Call, code: int, message: str, data: Mapping[str, Any] | None = None) -> bool:
        """Answer a command with an error; False where it has an answer already.

        Raises:
            AssertionError: it is a hook: lightningd would abort.
        """
        if call.hook is not None:
            raise AssertionError(f"{call.method} is a hook: it cannot be refused")
        error: dict[str, Any] = {"code": code, "message": message}
        return self._close_with(call, {"error": error if data is None else {**error, "data": data}})

    def answer_hook(self, call: Call, answer: HookAnswer) -> bool:
        """Answer a hook; False where it has an answer already. A word of another hook is not sent."""
        if call.hook is None:
            raise AssertionError(f"{call.method} is no hook")
        if not isinstance(answer, call.hook.answers):
            return self._otherwise(call, call.hook)
        return self._close_with(call, {"result": {"result": answer.value}})

    def fail_hook(self, call: Call) -> bool:
        """Answer a hook of which our handling failed."""
        if call.hook is None:
            raise AssertionError(f"{call.method} is no hook")
        return self._otherwise(call, call.hook)

    def is_open(self, call: Call) -> bool:
        """Whether nobody has answered it yet."""
        return call in self._open

    def log(self, level: str, line: str) -> None:
        """A line for lightningd's log: debug, info, warn or error."""
        self._send({"jsonrpc": "2.0", "method": "log", "params": {"level": level, "message": line}})

    def _otherwise(self, call: Call, hook: Hook) -> bool:
        answer = hook.answers("continue")
        try:
            told = hook.otherwise(call.params)
        except Exception as error:  # noqa: BLE001 - a hook has an answer whatever happens
            self.log("error", f"{hook.name}: no fallback could be found, answered {answer.value}: {error!r}")
        else:
            answer = told if isinstance(told, hook.answers) else answer
        return self._close_with(call, {"result": {"result": answer.value}})

    def _close_with(self, call: Call, what: Mapping[str, Any]) -> bool:
        data = _encoded({"jsonrpc": "2.0", "id": call.id, **what})  # first: what cannot be said leaves the call open
        with self._lock:
            if call not in self._open:
                return False
            self._open.discard(call)
        self._outbox.put(data)
        return True

    def _send(self, document: Mapping[str, Any]) -> None:
        self._outbox.put(_encoded(document))

    def _opened(self) -> list[Call]:
        with self._lock:
            return list(self._open)

    # --- the writing thread ------------------------------------------------------------------------------------------

    def _write(self) -> None:
        while (data := self._outbox.get()) is not None:
            try:
                while data:
                    data = data[os.write(self._stdout, data) :]
            except OSError:
                return  # lightningd is gone: the reader sees that too

    # --- the reading thread ------------------------------------------------------------------------------------------

    def _read(self) -> None:
        frames = JsonFrames()
        while True:
            self._answer_overdue()
            try:
                ready, _, _ = select.select([self._stdin], [], [], self._patience_s())
                data = os.read(self._stdin, _CHUNK) if ready else None
            except OSError:
                data = b""
            if data == b"":
                break
            for text in frames.feed(data or b""):
                self._take(text)
            while frames.broken:
                self.log("warn", f"lightningd wrote what is no JSON: {frames.broken.pop(0)!r}")
        self._receiver.ended()

    def _patience_s(self) -> float | None:
        """Until the next deadline; None: there is none."""
        deadlines = [call.deadline for call in self._opened() if call.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _answer_overdue(self) -> None:
        now = time.monotonic()
        for call in self._opened():
            if call.hook is not None and call.deadline is not None and call.deadline <= now:
                self.overdue += self._otherwise(call, call.hook)
                self.log(
                    "warn", f"{call.method}: no answer within {call.hook.deadline_s:g} s, lightningd waits no longer"
                )

    def _take(self, text: bytes) -> None:
        try:
            told = _decoded(text)
        except (ValueError, RecursionError) as error:
            self.log("warn", f"lightningd wrote what is no JSON ({error}): {text[:80].decode(errors='replace')!r}")
            return
        method = told.get("method")
        if not isinstance(method, str):
            self.log("warn", f"lightningd wrote what is no call: {text[:80].decode(errors='replace')!r}")
            return
        if "id" not in told:
            self._hand_on(lambda: self._receiver.notified(method, told.get("params")))
            return
        hook = self._hooks.get(method)
        deadline = None if hook is None else time.monotonic() + hook.deadline_s
        call = Call(told["id"], method, told.get("params", {}), hook, deadline)
        with self._lock:
            self._open.add(call)
        if not self._hand_on(lambda: self._receiver.called(call)):
            if hook is not None:
                self._otherwise(call, hook)
            else:
                self.refuse(call, _METHOD_NOT_FOUND, f"{method} met a bug of lnrecur: see the log")

    def _hand_on(self, hand: Callable[[], None]) -> bool:
        try:
            hand()
        except Exception as error:  # noqa: BLE001 - the reader must go on, whatever a handler does
            self.log("error", f"a call of lightningd met a bug: {error!r}")
            return False
        return True


def _encoded(document: Mapping[str, Any]) -> bytes:
    """As lightningd reads it, in ASCII where a text in it is no Unicode: half a character in a name or a parameter."""
    try:
        return msgspec.json.encode(document) + _END
    except UnicodeEncodeError:
        return json.dumps(document).encode() + _END


def _decoded(text: bytes) -> dict[str, Any]:
    """One object. A text in it that is no UTF-8 must not leave a hook without its answer.

    Raises:
        ValueError: it is no JSON.
        RecursionError: nobody means a thing that is nested so deeply.
    """
    try:
        told: dict[str, Any] = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = json.loads(text.decode(errors="replace"))
    return told
