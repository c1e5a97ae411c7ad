"""Up to which moment we know of all payments to us.

A period is told as missed only if no payment of it can be among the receipts that were not read yet: after a start they
come first, and while the money node is away nothing is told as missed at all. There is no bound to that wait. A payment
that arrived is worth more than a punctual complaint, nothing can be paid to a node that is away, and that it is away is
told elsewhere (`lnrecur.service.node_watch`, `lnrecur doctor`).
"""

from __future__ import annotations

from collections.abc import Callable

from lnrecur.ports import Clock
from lnrecur.values import UnixSeconds


class KnownReceipts:
    """How far the money node's receipts were read."""

    def __init__(self, clock: Clock, on_change: Callable[[], None]) -> None:
        """`on_change` is called when all are known from now on."""
        self._clock = clock
        self._on_change = on_change
        self._read_at = UnixSeconds(0)
        self._is_live = False
        self._behind_since = clock.elapsed()

    @property
    def until(self) -> UnixSeconds:
        """All that arrived before this moment is known; 0 if nothing was read yet."""
        return self._clock.now() if self._is_live else self._read_at

    @property
    def behind_s(self) -> float:
        """For how long there may be receipts that we do not know; 0 while they are told as they come."""
        return 0.0 if self._is_live else self._clock.elapsed() - self._behind_since

    def caught_up(self) -> None:
        """All receipts so far were handled, and what follows is told as it comes."""
        self._read_at = self._clock.now()
        if not self._is_live:
            self._is_live = True
            self._on_change()

    def interrupted(self) -> None:
        """The node, or our store, stopped answering."""
        if self._is_live:
            self._is_live = False
            self._behind_since = self._clock.elapsed()
