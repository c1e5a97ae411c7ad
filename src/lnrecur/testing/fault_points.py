"""Fault points: places where a real daemon can be told to die, by `SIGKILL` to itself.

There is one before and one after every call of the store that writes, of the money node and of the link; one just
before the COMMIT inside each such call of the store; and one before every COMMIT of the play-money node. Their names:

    store.commit_outbound.before   store.commit_outbound.commit   store.commit_outbound.after
    money.pay.before               money.pay.after                playmoney.commit

A daemon that is started with LNRECUR_FAULTS=record:FILE appends the name of every point it passes to the file; with
kill:NAME:N it dies when it passes that point for the N-th time. Without the variable nothing is wrapped, and there are
no fault points at all.
"""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine, event

from lnrecur.adapters.transactions import BEGIN
from lnrecur.errors import UsageError
from lnrecur.ports import MoneyNode, PeerLink, RecurrenceManager
from lnrecur.service.assembly import Parts

VARIABLE: Final = "LNRECUR_FAULTS"
_READS: Final = frozenset(
    {
        "offer", "offers", "inbound", "inbounds", "outbound", "outbounds", "due_outbounds", "due_inbounds",
        "due_outbox", "next_wake", "receipt_cursor", "events", "payments", "workers", "close", "find_inbounds",
        "find_outbounds", "ordered",
    }
)  # fmt: skip
_QUESTIONS: Final = frozenset({"info", "inbound_edges", "receipts", "balance"})
_NO_SENDING: Final = frozenset({"peers", "on_message", "on_peer", "statuses"})

Point = Callable[[str], None]
"""Called with the name of the point that is being passed."""


def all_calls() -> frozenset[str]:
    """Every call that has points around it, by what the ports declare."""
    ports = (("store", RecurrenceManager, _READS), ("money", MoneyNode, _QUESTIONS), ("link", PeerLink, _NO_SENDING))
    return frozenset(
        f"{part}.{name}"
        for part, port, unwatched in ports
        for name, member in vars(port).items()
        if inspect.isfunction(member) and not name.startswith("_") and name not in unwatched
    )


def with_fault_points(parts: Parts, wanted: str | None) -> Parts:
    """The parts with fault points, if the text (of LNRECUR_FAULTS) asks for them.

    Raises:
        UsageError: it cannot be read.
    """
    if not wanted:
        return parts
    passing = _reader(wanted)
    store = _Watched("store", parts.manager, _READS, passing)
    _watch_commits(store, passing)
    return replace(
        parts,
        manager=store,
        node=_Watched("money", parts.node, _QUESTIONS, passing),
        link=_Watched("link", parts.link, _NO_SENDING, passing),
    )


def _reader(wanted: str) -> Point:
    kind, _, rest = wanted.partition(":")
    if kind == "record" and rest:
        return partial(_record, rest)
    name, _, number = rest.rpartition(":")
    if kind == "kill" and name and number.isascii() and number.isdigit():
        return _Killer(name, int(number))
    raise UsageError(f"{VARIABLE} is record:FILE or kill:NAME:N, not {wanted!r}", field="faults")


def _record(file: str, name: str) -> None:
    with open(file, "a", encoding="ascii") as passed:
        passed.write(f"{name}\n")


class _Killer:
    """Counts how often its point is passed."""

    def __init__(self, name: str, number: int) -> None:
        self._name = name
        self._left = number

    def __call__(self, name: str) -> None:
        if name == self._name:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class _Watched:
    """One part, with points around every call but those that only read."""

    def __init__(self, name: str, inner: Any, unwatched: frozenset[str], passing: Point) -> None:
        self._name = name
        self._inner = inner
        self._unwatched = unwatched
        self._passing = passing
        self.doing: str | None = None
        """The call that is going on, of those that do not wait."""

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._inner, name)
        if name in self._unwatched or name.startswith("_") or not callable(inner):
            return inner
        return partial(self._waits if inspect.iscoroutinefunction(inner) else self._does, f"{self._name}.{name}", inner)

    def _does(self, name: str, inner: Callable[..., Any], *args: Any, **more: Any) -> Any:
        self._passing(f"{name}.before")
        self.doing = name
        try:
            answer = inner(*args, **more)
        finally:
            self.doing = None
        self._passing(f"{name}.after")
        return answer

    async def _waits(self, name: str, inner: Callable[..., Any], *args: Any, **more: Any) -> Any:
        self._passing(f"{name}.before")
        answer = await inner(*args, **more)
        self._passing(f"{name}.after")
        return answer


def _watch_commits(store: _Watched, passing: Point) -> None:
    def committing(connection: Connection) -> None:
        if connection.get_execution_options().get(BEGIN) is None:
            return  # it only reads
        if threading.current_thread() is not threading.main_thread():
            passing("playmoney.commit")  # its node works in a thread of its own
        elif store.doing is not None:
            passing(f"{store.doing}.commit")

    event.listen(Engine, "commit", committing)
