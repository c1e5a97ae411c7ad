"""Another daemon of our seed, with a store of its own, somewhere else: not seen, but noticed by what it does.

Two such daemons write the same requests and answer for the same offers. Nothing is paid twice, since the payee refuses
to sell a period again and we adopt what it says, but each has half of the books. The locks of `lnrecur.daemon.files`
keep them apart on one machine only. Elsewhere it shows in two ways, while we run:

- a payee says that a period is paid which nobody but us could pay, and whose pay window opened after our start: a store
  restored from an older backup explains what came before, but not this;
- money arrives for an invoice that our seed has sealed after our start, and that we did not write.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from lnrecur.ports import Clock
from lnrecur.recurrence.effects import Emit
from lnrecur.recurrence.outbound_model import Outbound, Step
from lnrecur.recurrence.outbound_times import window_of
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.values import PaymentHash, UnixSeconds

_LOG = logging.getLogger("lnrecur.seed")
EVENT: Final = "subscription.seed_shared"
CLOCKS_DIFFER_S: Final = 600
"""The other one may be on a machine whose clock is this much ahead."""
AGAIN_S: Final = 3600
"""Of its invoices one is told in so many seconds."""
WRITTEN_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """What gave it away."""

    at: UnixSeconds
    told: str


class SeedWatch:
    """Watches one daemon's seed. `seen` is the last that was noticed since the start."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_at = clock.now()
        self._written: OrderedDict[PaymentHash, UnixSeconds] = OrderedDict()
        self._forgotten_until = UnixSeconds(0)
        self._told_at: float | None = None
        self.seen: Sighting | None = None

    def wrote(self, payment_hash: PaymentHash) -> None:
        """An invoice of ours went out."""
        self._written[payment_hash] = self._clock.now()
        self._written.move_to_end(payment_hash)
        if len(self._written) > WRITTEN_MAX:
            _, self._forgotten_until = self._written.popitem(last=False)

    def of_adoption(self, before: Outbound, step: Step) -> tuple[Emit, ...]:
        """What to tell of a step that took a payee's word for periods that we did not pay."""
        if step.state.adopted == before.adopted:
            return ()
        recent = [
            counter
            for counter in range(before.next_counter, step.state.next_counter)
            if (window := window_of(before, counter)) is not None and window.opens >= self._started_at
        ]
        if not recent:
            return ()
        told = f"the payee says that payment {recent[-1]} was made, and this daemon did not make it"
        return self._noticed(recent[-1], told)

    def of_receipt(self, context: ReceiveContext) -> tuple[Emit, ...]:
        """What to tell of a payment for an invoice of our seed."""
        since = max(self._started_at, self._forgotten_until) + CLOCKS_DIFFER_S
        if context.payment_hash in self._written or context.created_at < since:
            return ()
        now = self._clock.elapsed()
        if self._told_at is not None and now - self._told_at < AGAIN_S:
            return ()
        self._told_at = now
        told = f"an invoice was paid that this daemon did not write: {context.payment_hash.hex()}"
        return self._noticed(context.counter, told)

    def _noticed(self, counter: int | None, told: str) -> tuple[Emit, ...]:
        _LOG.error("another daemon uses this seed: %s", told)
        self.seen = Sighting(self._clock.now(), told)
        return (Emit(EVENT, {"counter": counter, "why": told}),)
