"""What became of our invoices, in lightningd's own words: claimable, claimed, canceled, at least once, from a cursor.

The cursor `cln:PAY:UPDATED` says: every payment up to pay_index PAY, and every expiry up to updated_index UPDATED, was
told.

- Claimed: `waitanyinvoice` from PAY on. lightningd numbers payments in the transaction that claims them and keeps them
  all, so nothing is missed, however long we were away; only who deletes paid invoices (`delinvoice`, autoclean) before
  we were told makes a gap, which is logged and told by the doctor.
- Expired: `listinvoices` by updated_index, looked at when something was paid, and every few seconds.
- Claimable: what the plugin holds now (held.py), told at every start of ours.
- Withdrawn by us: the notes of the last days, told at every start, and then as it happens.

What is told twice is told with the same hash; the payee knows it (`MoneyNode.receipts` promises "at least once").
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from lnrecur.adapters.nodes.cln.errors import ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.held import HeldPayments
from lnrecur.adapters.nodes.cln.invoices import Invoice, read_invoice
from lnrecur.adapters.nodes.cln.notes import Kind, Notes
from lnrecur.adapters.nodes.cln.receivables import Receivables, context_of
from lnrecur.adapters.nodes.cln.rpc import ClnRpc
from lnrecur.errors import UsageError
from lnrecur.ports import Clock, Receipt, ReceivedState
from lnrecur.values import ZERO_MSAT, Msat, PaymentHash, UnixSeconds

_LOG = logging.getLogger("lnrecur.cln")
PAGE: Final = 500
WAIT_S: Final = 5
"""How long `waitanyinvoice` waits for a payment; then expiries are looked at."""
TOLD_AGAIN_S: Final = 3 * 24 * 3600
"""How old withdrawals are that are told again at a start."""
_PREFIX: Final = "cln:"


class Receipts:
    """One reader's view: how far all was told."""

    def __init__(
        self,
        rpc: ClnRpc,
        receivables: Receivables,
        notes: Notes,
        held: HeldPayments | None,
        clock: Clock,
        bell: asyncio.Event,
    ) -> None:
        """`bell` is this reader's own: set when a payment is held or withdrawn here."""
        self._rpc = rpc
        self._receivables = receivables
        self._notes = notes
        self._held = held
        self._clock = clock
        self._bell = bell
        self._paid = 0
        self._updated = 0
        self._told_held: set[PaymentHash] = set()
        self._withdrawn: list[Invoice] = []
        self.gap: str | None = None
        """Payments that lightningd no longer has, in words."""

    def withdrew(self, invoice: Invoice) -> None:
        """A receivable was withdrawn by this process."""
        self._withdrawn.append(invoice)
        self._bell.set()

    async def follow(self, cursor: str | None, on_caught_up: Callable[[], None] | None) -> AsyncGenerator[Receipt]:
        """See `MoneyNode.receipts`.

        Raises:
            UsageError: the cursor is none of Core Lightning's.
            ClnUnavailable: no answer; begin again from the last cursor.
        """
        self._paid, self._updated = _parse(cursor)
        if cursor is None:
            await self._skip_history()
        await self._notes.prune(self._clock.now())
        for note in await self._notes.all(Kind.WITHDRAWN):
            if self._clock.now() - note.at <= TOLD_AGAIN_S and await self._receivables.finish_withdrawing(note):
                at = UnixSeconds(note.at)
                yield self._receipt(note.payment_hash, ReceivedState.CANCELED, ZERO_MSAT, context_of(note), at)
        while True:
            self._bell.clear()
            for receipt in self._held_and_withdrawn():
                yield receipt
            while (paid := await self._next_paid(wait_s=0)) is not None:
                for receipt in self._claimed(paid):
                    yield receipt
            for receipt in await self._expired():
                yield receipt
            if on_caught_up is not None:
                on_caught_up()
            await self._pause()

    # --- looking

    def _held_and_withdrawn(self) -> list[Receipt]:
        news: list[Receipt] = []
        now = self._clock.now()
        waiting = [] if self._held is None else self._held.waiting()
        for one in waiting:
            if one.invoice.payment_hash not in self._told_held:
                news.append(
                    self._receipt(
                        one.invoice.payment_hash, ReceivedState.CLAIMABLE, one.amount_msat, one.invoice.context, now
                    )
                )
        self._told_held = {one.invoice.payment_hash for one in waiting}
        for invoice in self._withdrawn:
            news.append(self._receipt(invoice.payment_hash, ReceivedState.CANCELED, ZERO_MSAT, invoice.context, now))
        self._withdrawn = []
        return news

    async def _next_paid(self, *, wait_s: int) -> dict[str, Any] | None:
        """The next payment of any invoice, ours or not; None if there is none in time."""
        params = {"lastpay_index": self._paid, "timeout": wait_s}
        try:
            return await self._rpc.call("waitanyinvoice", params, timeout_s=wait_s + 20)
        except ClnRefused as error:
            if error.code == ClnRefused.WAIT_TIMED_OUT:
                return None
            raise ClnUnavailable(Trouble.NO_CLN, f"Core Lightning does not tell what was paid: {error}") from error

    def _claimed(self, told: dict[str, Any]) -> list[Receipt]:
        try:
            index = int(told["pay_index"])
        except (KeyError, TypeError, ValueError) as error:
            raise ClnUnavailable(Trouble.NO_CLN, "a payment Core Lightning tells of has no pay_index") from error
        if index > self._paid + 1 > 1:  # what was deleted before the first one that we ever saw was no concern of ours
            first, last = self._paid + 1, index - 1
            self.gap = f"payments {first} to {last} were deleted before they were told (delinvoice or autoclean)"
            _LOG.warning("Core Lightning: %s", self.gap)
        self._paid = index
        invoice = read_invoice(told)
        if invoice is None:
            return []
        self._told_held.discard(invoice.payment_hash)
        at = invoice.paid_at or self._clock.now()
        state, amount = ReceivedState.CLAIMED, invoice.received_msat
        return [self._receipt(invoice.payment_hash, state, amount, invoice.context, at)]

    async def _skip_history(self) -> None:
        """Begin at the first invoice of ours: a node may have been paid a hundred thousand times before."""
        while True:
            page = await self._page()
            for told in page:
                if read_invoice(told) is not None:
                    return
                self._updated = int(told.get("updated_index", 0))
                self._paid = int(told.get("pay_index", self._paid))
            if len(page) < PAGE:
                return

    async def _page(self) -> list[dict[str, Any]]:
        """The next invoices that were paid or expired, in that order."""
        params = {"index": "updated", "start": self._updated + 1, "limit": PAGE}
        try:
            page: list[dict[str, Any]] = (await self._rpc.call("listinvoices", params))["invoices"]
        except (ClnRefused, KeyError) as error:
            raise ClnUnavailable(Trouble.NO_CLN, f"Core Lightning does not list invoices: {error}") from error
        return page

    async def _expired(self) -> list[Receipt]:
        """Invoices that expired since the last look, each with the cursor that is right once it was handled."""
        news: list[Receipt] = []
        while True:
            page = await self._page()
            for told in page:
                self._updated = max(self._updated, int(told.get("updated_index", 0)))
                invoice = read_invoice(told)
                if invoice is not None and invoice.status == "expired":
                    at = self._clock.now()
                    news.append(
                        self._receipt(invoice.payment_hash, ReceivedState.CANCELED, ZERO_MSAT, invoice.context, at)
                    )
            if len(page) < PAGE:
                return news

    def _receipt(
        self, payment_hash: PaymentHash, state: ReceivedState, amount: Msat, context: bytes, at: UnixSeconds
    ) -> Receipt:
        return Receipt(f"{_PREFIX}{self._paid}:{self._updated}", payment_hash, state, amount, context, at)

    async def _pause(self) -> None:
        """Until something is paid, held or withdrawn, or for a while."""
        paying = asyncio.ensure_future(self._next_paid(wait_s=WAIT_S))
        ringing = asyncio.ensure_future(self._bell.wait())
        try:
            await asyncio.wait({paying, ringing}, return_when=asyncio.FIRST_COMPLETED)
            if paying.done():
                paying.result()
        finally:
            for task in (paying, ringing):
                task.cancel()
            await asyncio.gather(paying, ringing, return_exceptions=True)


def _parse(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    parts = cursor.removeprefix(_PREFIX).split(":")
    if not cursor.startswith(_PREFIX) or len(parts) != 2 or not all(one.isascii() and one.isdecimal() for one in parts):
        raise UsageError(f"no cursor of Core Lightning: {cursor!r}", field="cursor")
    return int(parts[0]), int(parts[1])
