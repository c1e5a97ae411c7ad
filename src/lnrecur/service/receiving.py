"""Follows the money node's receipts and hands them to the payee, in order, forever."""

from __future__ import annotations

import logging
from typing import Final

from lnrecur.errors import LnrecurError
from lnrecur.ports import Clock, MoneyNode, RecurrenceManager
from lnrecur.service.payee import PayeeService

_LOG = logging.getLogger("lnrecur.receiving")
RECONNECT_S: Final = 2


async def follow_receipts(manager: RecurrenceManager, node: MoneyNode, payee: PayeeService, clock: Clock) -> None:
    """Handle every receipt after the stored cursor; start again from there when the node or the store fails."""
    while True:
        try:
            async for receipt in node.receipts(manager.receipt_cursor()):
                payee.handle_receipt(receipt)
        except LnrecurError as error:
            if not error.retry:
                raise
            _LOG.warning("receipts interrupted, trying again: %s", error)
        await clock.sleep_until(clock.now() + RECONNECT_S)
