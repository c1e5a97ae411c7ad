"""Power cuts: a node dies in the middle of what it does, just before or just after a call that leaves it.

Every call of its store that writes, of its money node and of its link is two such moments. A daemon that is killed
(`Rig.crash`) dies where it waits; a power cut also comes between a commit and its effect.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from lnrecur.ports import MoneyNode, PeerLink, RecurrenceManager
from lnrecur.service.assembly import Parts

READS: Final = frozenset({
    "offer", "offers", "inbound", "inbounds", "outbound", "outbounds", "due_outbounds", "due_outbox", "next_wake",
    "receipt_cursor", "events", "payments", "close",
})  # fmt: skip
_QUIET_OF_MONEY: Final = frozenset({"receipts", "info", "inbound_edges", "balance"})
_QUIET_OF_LINK: Final = frozenset({"peers", "on_message", "reach"})


class PowerCut(BaseException):
    """The process is no more. No `except Exception` may catch it."""


@dataclass(slots=True)
class Supply:
    """The power of one node, through all its lives. `cut_after` moments it fails, if that is set."""

    die: Callable[[str], None]
    """Drops the node; told what was being done."""
    cut_after: int | None = None

    def dress(self, parts: Parts) -> Parts:
        """For `Rig.join`: the parts of one life."""
        life = _Life(self)
        return replace(
            parts,
            manager=cast(RecurrenceManager, _Mortal("store", parts.manager, life, READS)),
            node=cast(MoneyNode, _Mortal("money", parts.node, life, _QUIET_OF_MONEY)),
            link=cast(PeerLink, _Mortal("link", parts.link, life, _QUIET_OF_LINK)),
        )


class _Life:
    """One life of a node."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._over = False

    def check(self) -> None:
        """The dead do nothing."""
        if self._over:
            raise PowerCut

    def moment(self, what: str) -> None:
        """One of the moments that may be the last."""
        self.check()
        left = self._supply.cut_after
        if left is None:
            return
        if left > 1:
            self._supply.cut_after = left - 1
            return
        self._supply.cut_after = None
        self._over = True
        self._supply.die(what)
        raise PowerCut(what)


class _Mortal:
    """A part of a node that dies with it. Its methods are made once, when they are first called."""

    def __init__(self, label: str, inner: Any, life: _Life, harmless: frozenset[str]) -> None:
        self._label, self._inner, self._life, self._harmless = label, inner, life, harmless

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        life = self._life
        pass_on = _passer(found, life) if name in self._harmless else _dier(found, life, f"{self._label}.{name}")
        self.__dict__[name] = pass_on
        return pass_on


def _passer(found: Any, life: _Life) -> Any:
    def at_once(*args: Any, **kwargs: Any) -> Any:
        life.check()
        return found(*args, **kwargs)

    return at_once


def _dier(found: Any, life: _Life, told: str) -> Any:
    before, after = f"before {told}", f"after {told}"

    async def later(*args: Any, **kwargs: Any) -> Any:
        life.moment(before)
        answer = await found(*args, **kwargs)
        life.moment(after)
        return answer

    def at_once(*args: Any, **kwargs: Any) -> Any:
        life.moment(before)
        answer = found(*args, **kwargs)
        life.moment(after)
        return answer

    return later if inspect.iscoroutinefunction(found) else at_once
