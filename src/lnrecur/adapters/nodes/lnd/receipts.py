"""What became of our invoices, in LND's own words: claimable, claimed, canceled, at least once, from a cursor on.

LND has no log to replay. Its stream of invoices tells new and settled ones; that a hold invoice holds a payment, or
that an invoice was cancelled, is told only to who asks for that very invoice; and from settle_index 0 nothing is
replayed, so that the first payment of a node could be missed. What it has are invoices with an add_index that grows.
So the truth is the list, and the stream is a doorbell:

- The cursor `lnd:ADD` says: all invoices of ours up to add_index ADD are final and were told. It never passes an
  invoice that is open, held, or final but not yet told. After a start the list is read from there: what ended while we
  were away is told, what is held is told again, the rest is watched.
- While we run, new invoices and the pending ones behind the cursor are read when the doorbell rings, when one was
  registered here, and every half second while any is open. An invoice that has left the list is looked up and its end
  told.

Nothing depends on the order or the completeness of LND's stream, and a lost connection is nothing but a pause. What is
told twice is told with the same hash; the payee knows it (`MoneyNode.receipts` promises "at least once").
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Final

from lnrecur.adapters.nodes.lnd.doorbell import Doorbell
from lnrecur.adapters.nodes.lnd.errors import LndRefused, LndUnavailable, Trouble, reading
from lnrecur.adapters.nodes.lnd.receivables import Invoice, Receivables, read_invoice
from lnrecur.adapters.nodes.lnd.rest import LndRest
from lnrecur.errors import UsageError
from lnrecur.ports import Clock, Entropy, Receipt, ReceivedState
from lnrecur.values import PaymentHash, UnixSeconds

PAGE: Final = 500
WATCH_S: Final = 0.5
"""Pause between two looks while an invoice of ours is open."""
REST_S: Final = 5.0
"""Pause while none is: what another worker registered is seen after this time at the latest, unless the bell rings."""
_SHARE: Final = 10
"""No look begins before ten times as long has passed as the last one took: a long list costs LND a tenth at most."""
NOTHING_BEFORE: Final = 1_767_225_600
"""2026-01-01: no invoice is older than lnrecur, so a node's older history is not read."""
_PREFIX: Final = "lnd:"
_FINAL: Final = (ReceivedState.CLAIMED, ReceivedState.CANCELED)


class Receipts:
    """One reader's view: which invoices are watched, and how far all was told."""

    def __init__(self, rest: LndRest, receivables: Receivables, clock: Clock, entropy: Entropy) -> None:
        self._rest = rest
        self._receivables = receivables
        self._clock = clock
        self.bell: Final = asyncio.Event()
        """This reader's own: whoever makes an invoice here sets it."""
        self.doorbell: Final = Doorbell(rest, entropy, self.bell)
        self._watched: dict[PaymentHash, Invoice] = {}
        self._seen = 0

    async def follow(
        self, cursor: str | None, on_caught_up: Callable[[], None] | None = None
    ) -> AsyncGenerator[Receipt]:
        """See `MoneyNode.receipts`.

        Raises:
            UsageError: the cursor is none of LND's.
            LndUnavailable: no answer; begin again from the last cursor.
        """
        self._seen = _parse(cursor)
        listener: asyncio.Task[None] | None = None
        try:
            while True:
                began = time.monotonic()
                news = await self._look()
                took_s = time.monotonic() - began
                for receipt in news:
                    yield receipt
                if on_caught_up is not None:
                    on_caught_up()
                if listener is None:  # not before: it takes over the connection that the first look has made
                    listener = asyncio.get_running_loop().create_task(self.doorbell.listen(), name="lnd doorbell")
                await self._pause(took_s)
        finally:
            if listener is not None:
                listener.cancel()
                await asyncio.gather(listener, return_exceptions=True)

    async def _look(self) -> list[Receipt]:
        """Everything that is news, each with the cursor that is right once it and those before it are handled."""
        news: list[Receipt] = []
        # New ones in any state: an invoice may have been made and paid since the last look.
        new, end = await self._list(self._seen, pending=False)
        for invoice in new:
            self._seen = max(self._seen, invoice.add_index)
            news += self._told(invoice)
        self._seen = max(self._seen, end)  # behind those of others too
        if not self._watched:
            return news
        listed, _ = await self._list(self._floor(), pending=True)
        pending = {invoice.payment_hash: invoice for invoice in listed}
        for before in list(self._watched.values()):
            now = pending.get(before.payment_hash) or await self._receivables.invoice(before.payment_hash)
            # A node that throws cancelled invoices away has told thereby what became of this one.
            news += self._told(now or replace(before, state=ReceivedState.CANCELED))
        return news

    def _told(self, invoice: Invoice) -> list[Receipt]:
        """What is news in this, and remember it."""
        before = self._watched.pop(invoice.payment_hash, None)
        if invoice.state in _FINAL:
            return [self._receipt(invoice)]
        self._watched[invoice.payment_hash] = invoice
        if invoice.state is ReceivedState.CLAIMABLE and (before is None or before.state is not invoice.state):
            return [self._receipt(invoice)]
        return []

    def _receipt(self, invoice: Invoice) -> Receipt:
        at = invoice.settled_at or self._clock.now()
        cursor = f"{_PREFIX}{self._floor()}"
        return Receipt(
            cursor, invoice.payment_hash, invoice.state, invoice.received.amount_msat, invoice.context, UnixSeconds(at)
        )

    def _floor(self) -> int:
        """Up to here everything is final and told."""
        return min((invoice.add_index - 1 for invoice in self._watched.values()), default=self._seen)

    # --- asking

    async def _list(self, after: int, *, pending: bool) -> tuple[list[Invoice], int]:
        """All invoices of ours behind an add_index, and the last add_index of all."""
        found: list[Invoice] = []
        while True:
            query = {"index_offset": after, "num_max_invoices": PAGE, "creation_date_start": NOTHING_BEFORE}
            try:
                told = await self._rest.get("/v1/invoices", {**query, "pending_only": "true" if pending else "false"})
            except LndRefused as error:
                raise LndUnavailable(Trouble.NO_LND, f"LND does not list invoices: {error}") from error
            before = after
            with reading("LND's list of invoices"):
                page, after = list(told["invoices"]), int(told["last_index_offset"])
            found += [invoice for one in page if (invoice := read_invoice(one)) is not None]
            if len(page) < PAGE:
                return found, after
            if after <= before:
                raise LndUnavailable(Trouble.NO_LND, "LND's list of invoices goes round in circles")

    async def _pause(self, took_s: float) -> None:
        nap = WATCH_S if self._watched else REST_S
        nap = max(nap, took_s * _SHARE)
        try:
            async with asyncio.timeout(nap):
                await self.bell.wait()
            await asyncio.sleep(min(took_s * _SHARE, nap))
        except TimeoutError:
            return
        finally:
            self.bell.clear()


def _parse(cursor: str | None) -> int:
    if cursor is None:
        return 0
    number = cursor.removeprefix(_PREFIX)
    if number == cursor or not (number.isascii() and number.isdecimal()):
        raise UsageError(f"no cursor of LND: {cursor!r}", field="cursor")
    return int(number)
