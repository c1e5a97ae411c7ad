"""The root of every error lnrecur raises.

Each error says in one line what went wrong, whose fault it is and whether trying again can help, so that
callers decide by type and attribute and never by reading texts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    """Whose mistake an error is."""

    CALLER = "caller"
    """What we were asked to do, or handed, by the person or program using us."""
    PEER = "peer"
    """What came from the other side: a peer, a payee, a payer."""
    NODE = "node"
    """The Lightning node that moves the money."""
    ENVIRONMENT = "environment"
    """Disk, database, network, clock."""
    OURS = "ours"
    """A bug of lnrecur."""


class LnrecurError(Exception):
    """Anything that lnrecur raises on purpose.

    Attributes:
        fault: whose mistake it is.
        retry: whether the same call may succeed later without anybody changing anything.
    """

    fault: ClassVar[Fault] = Fault.OURS
    retry: ClassVar[bool] = False

    def details(self) -> dict[str, str | int]:
        """What a program wants to know beyond the text: field, rule, offset and the like."""
        return {}


class UsageError(LnrecurError):
    """The caller asked for something that cannot be done as asked; the text says the way out."""

    fault = Fault.CALLER

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    def details(self) -> dict[str, str | int]:
        """The field of the request that is wrong, if one is."""
        return {} if self.field is None else {"field": self.field}
