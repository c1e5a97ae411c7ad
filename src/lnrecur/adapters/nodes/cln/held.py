"""Payments that have arrived and wait for our word: the seam between lightningd's `invoice_payment` hook and the node.

The plugin calls `arrived` once for each payment of an invoice of ours, and answers the hook with what that returns.
While it waits, the payment is claimable. Nothing is stored here: lightningd calls the hook again after a restart, and a
plugin that dies while it holds a payment has said "continue" to lightningd, so the payment is then claimed without us.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lnrecur.adapters.nodes.cln.hook_answers import PaymentAnswer
from lnrecur.adapters.nodes.cln.invoices import LABEL_PREFIX, Invoice, hash_of
from lnrecur.ports import MoneyNodeError
from lnrecur.values import Msat, PaymentHash


@dataclass(frozen=True, slots=True)
class Held:
    """One payment that waits."""

    invoice: Invoice
    amount_msat: Msat
    answer: asyncio.Future[PaymentAnswer]


class HeldPayments:
    """Payments that wait, by hash. One per plugin; give it to the `ClnNode` of the same process."""

    def __init__(self) -> None:
        self._held: dict[PaymentHash, Held] = {}
        self._arriving: Counter[PaymentHash] = Counter()
        self._admit: Callable[[PaymentHash], Awaitable[Invoice | None]] | None = None
        self._on_change: Callable[[], None] = lambda: None
        self._on_given_up: Callable[[PaymentHash], None] = lambda payment_hash: None
        self._bound = asyncio.Event()

    def bind(
        self,
        admit: Callable[[PaymentHash], Awaitable[Invoice | None]],
        on_change: Callable[[], None],
        on_given_up: Callable[[PaymentHash], None],
    ) -> None:
        """Called by the node.

        Args:
            admit: the invoice, if a payment of it is still wanted.
            on_change: something waits, or no longer waits.
            on_given_up: nobody decided in time; the payment is failed back.
        """
        self._admit, self._on_change, self._on_given_up = admit, on_change, on_given_up
        self._bound.set()

    @staticmethod
    def is_ours(label: str) -> bool:
        """Whether an invoice's label is one of ours. May be called from any thread."""
        return label.startswith(LABEL_PREFIX)

    async def arrived(self, label: str, preimage: bytes, amount_msat: int) -> PaymentAnswer:
        """All parts of a payment have arrived. Returns when it is decided, however long that takes.

        Who cancels this has failed the payment back: its invoice is then withdrawn, for what is refused once must not
        be taken a moment later.

        Args:
            label: of the invoice.
            preimage: of the payment; not needed here, the invoice is found by its label.
            amount_msat: what arrived.
        """
        payment_hash = hash_of(label)
        if payment_hash is None:
            return PaymentAnswer.CONTINUE
        self._arriving[payment_hash] += 1
        try:
            await self._bound.wait()
            assert self._admit is not None
            invoice = await self._admit(payment_hash)
        except MoneyNodeError:
            return PaymentAnswer.REJECT  # lightningd asks us and does not answer: the payer may try again
        finally:
            self._arriving -= Counter([payment_hash])
        if invoice is None or payment_hash in self._held:
            return PaymentAnswer.REJECT
        held = Held(invoice, Msat(amount_msat), asyncio.get_running_loop().create_future())
        self._held[payment_hash] = held
        self._on_change()
        try:
            return await held.answer
        except asyncio.CancelledError:
            self._on_given_up(payment_hash)
            raise
        finally:
            del self._held[payment_hash]
            self._on_change()

    def find(self, payment_hash: PaymentHash) -> Held | None:
        """The payment with this hash, if it waits."""
        return self._held.get(payment_hash)

    def is_arriving(self, payment_hash: PaymentHash) -> bool:
        """Whether the hook was called for it, and it is not yet known if it may wait."""
        return self._arriving[payment_hash] > 0

    def waiting(self) -> list[Held]:
        """All that wait."""
        return list(self._held.values())

    def decide(self, payment_hash: PaymentHash, answer: PaymentAnswer) -> bool:
        """Answer the hook; False if nothing waits."""
        held = self._held.get(payment_hash)
        if held is None:
            return False
        if not held.answer.done():
            held.answer.set_result(answer)
        return True
