"""Money coming in: the money node's receipts become events of subscriptions, in order, at least once.

The receipt's cursor is stored in the same transaction as what the receipt changed. What the payment is for came with
it, sealed; a receipt that we did not seal is somebody else's and passes by.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from lnrecur.errors import LnrecurError
from lnrecur.ports import Clock, Entropy, MoneyNode, Receipt, ReceivedState, RecurrenceManager
from lnrecur.recurrence.errors import ContextError
from lnrecur.recurrence.inbound_model import Event, PaymentClaimable, PaymentClaimed, PaymentReturned
from lnrecur.recurrence.receive_context import ReceiveContext, open_context
from lnrecur.recurrence.retry import RECONNECT, Backoff
from lnrecur.service.keyring import Keyring
from lnrecur.service.known_receipts import KnownReceipts
from lnrecur.service.offers import Offers
from lnrecur.service.recent import RecentAnswers
from lnrecur.service.seed_watch import SeedWatch
from lnrecur.service.subscribers import Subscribers

_LOG = logging.getLogger("lnrecur.receiving")


class Receiver:
    """Handles receipts. One per daemon."""

    def __init__(
        self,
        *,
        manager: RecurrenceManager,
        offers: Offers,
        subscribers: Subscribers,
        recent: RecentAnswers,
        keyring: Keyring,
        known: KnownReceipts,
        seed_watch: SeedWatch,
    ) -> None:
        self._manager = manager
        self._offers = offers
        self._subscribers = subscribers
        self._recent = recent
        self._keyring = keyring
        self._seed_watch = seed_watch
        self.known = known
        """How far we are."""

    async def follow(
        self, node: MoneyNode, clock: Clock, entropy: Entropy, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        """Handle every receipt after the stored cursor; start again from there when the node or the store fails."""
        backoff = Backoff(RECONNECT)
        while True:
            began = clock.elapsed()
            try:
                async for receipt in node.receipts(self._manager.receipt_cursor(), self.known.caught_up):
                    self.handle(receipt)
                    backoff.succeeded()
            except LnrecurError as error:
                if not error.retry:
                    raise
                _LOG.warning("receipts interrupted, trying again: %s", error)
                self.known.interrupted()
                on_failure()
            if clock.elapsed() - began > RECONNECT.cap_s:
                backoff.succeeded()
            await clock.pause(backoff.failed(entropy.take(8)))

    def handle(self, receipt: Receipt) -> None:
        """Apply one receipt and store its cursor with what it changed."""
        self._recent.forget(receipt.payment_hash)
        try:
            context = open_context(self._keyring.contexts, receipt.payment_hash, receipt.context)
        except ContextError:
            self._manager.save_receipt_cursor(receipt.cursor)  # not a payment of ours
            return
        event = None if self._is_booked(context) else self._event_of(receipt, context)
        if event is None:
            self._manager.save_receipt_cursor(receipt.cursor)
            return
        more = self._seed_watch.of_receipt(context) if isinstance(event, PaymentClaimed) else ()
        self._subscribers.apply(context.offer_id, context.payer_id, lambda: event, receipt.cursor, more)

    def _is_booked(self, context: ReceiveContext) -> bool:
        """Whether this is an old payment, told again by a node whose cursor was lost: it is in the books already."""
        stored = self._manager.inbound(context.offer_id, context.payer_id)
        if stored is None or not stored.state.next_counter:
            return False
        state = stored.state
        if (context.counter or 0) >= state.next_counter and not state.surplus_msat:
            return False
        booked = self._manager.payments(state.subscription_id)
        return any(payment.booking.payment_hash == context.payment_hash for payment in booked)

    def _event_of(self, receipt: Receipt, context: ReceiveContext) -> Event | None:
        offering = self._offers.offering(context.offer_id)
        if receipt.state is ReceivedState.CLAIMABLE:
            return PaymentClaimable(context, receipt.amount_msat, receipt.at, offering)
        if receipt.state is ReceivedState.CANCELED:
            return PaymentReturned(context.payment_hash, offering)
        if receipt.state is ReceivedState.CLAIMED:
            return PaymentClaimed(context, receipt.amount_msat, receipt.at, offering)
        return None
