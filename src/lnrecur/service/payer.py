"""The payer: subscriptions that we pay.

Every event goes load, step, save; what a step wants done stands in the outbox before anything leaves, and the scheduler
performs it. Answers are recognised by the path_id of the reply path they come over, which follows from the request and
our seed, so they are recognised after a restart too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from lnrecur.bolt12.offer import Offer
from lnrecur.errors import UsageError
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents
from lnrecur.ports import Change, Clock, Conflict, Entropy, RecurrenceManager
from lnrecur.recurrence import outbound
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import (
    Approved,
    CancelAsked,
    Due,
    Event,
    InvoiceArrived,
    Outbound,
    RefusalArrived,
    Step,
    Terms,
)
from lnrecur.recurrence.windows import first_open_period
from lnrecur.service.courier import Courier
from lnrecur.service.keyring import Keyring
from lnrecur.service.steps import change_of, changes_nothing
from lnrecur.values import BITCOIN, ChainHash, RecurrenceId

_LOG = logging.getLogger("lnrecur.payer")
_CONFLICTS_MAX = 10
_JITTER_SIZE = 8


class PayerService:
    """Pays subscriptions. One per daemon."""

    def __init__(
        self,
        *,
        manager: RecurrenceManager,
        courier: Courier,
        keyring: Keyring,
        clock: Clock,
        entropy: Entropy,
        chain: ChainHash,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called after every commit that left something to do."""
        self._manager = manager
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._chain = chain
        self._on_change = on_change
        self._waiting: dict[bytes, RecurrenceId] = {}
        courier.deliver_to(ContentsKind.INVOICE, self.handle_answer)
        courier.deliver_to(ContentsKind.INVOICE_ERROR, self.handle_answer)

    # --- what people ask ---------------------------------------------------------------------------------------------

    def subscribe(self, offer: Offer, mandate: Mandate, terms: Terms) -> Outbound:
        """Store a new subscription, due at once.

        Raises:
            UsageError: the offer cannot be subscribed to, or not with these terms; names the field.
        """
        state = Outbound(
            recurrence_id=RecurrenceId(self._entropy.take(32)),
            offer_bytes=offer.to_bytes(),
            mandate=mandate,
            terms=self._complete(offer, terms),
            created_at=self._clock.now(),
            wake_at=self._clock.now(),
        )
        self._manager.commit_outbound(Change(state=state, version=None, at=state.created_at))
        self._on_change()
        return state

    def _complete(self, offer: Offer, terms: Terms) -> Terms:
        """Terms with what follows from the offer, or the reason why there can be no subscription."""
        recurrence = offer.recurrence
        now = self._clock.now()
        if recurrence is None:
            raise UsageError("this offer has no recurrence: it can be paid once, but not subscribed to", field="offer")
        if offer.currency is not None:
            raise UsageError(
                f"this offer is priced in {offer.currency}; this version pays offers in sat", field="offer"
            )
        if self._chain not in offer.accepted_chains:
            raise UsageError("this offer is for another chain than ours", field="offer")
        if offer.absolute_expiry is not None and now > offer.absolute_expiry:
            raise UsageError(f"this offer expired at {offer.absolute_expiry}, it is {now} [O7]", field="offer")
        quantity, most = terms.quantity, offer.quantity_max
        if most is None and quantity is not None:
            raise UsageError("this offer is for single items: leave the quantity out", field="quantity")
        if most is not None and not 1 <= (quantity or 0) <= (most or 2**64 - 1):
            raise UsageError(f"this offer needs a quantity from 1 to {most or 'any number'}", field="quantity")
        start = terms.start
        if recurrence.base is None and start is not None:
            raise UsageError("this offer has no base: its period 0 begins with your first payment [Q3]", field="start")
        if recurrence.base is not None and start is None:
            start = first_open_period(recurrence, now)
        if recurrence.payments_from(start or 0) == 0:
            told = f"period {start} is beyond the last period of this offer, {recurrence.limit} [Q4]"
            raise UsageError(told, field="start")
        chain = None if self._chain == BITCOIN else self._chain
        return replace(terms, start=start, chain=chain)

    def cancel(self, recurrence_id: RecurrenceId) -> Outbound:
        """Stop paying at once; the courtesy message follows when the next request would have been due.

        Cancelling twice is as good as once.

        Raises:
            UsageError: there is no such subscription, or it is over.
        """
        step = self.apply(recurrence_id, lambda: CancelAsked())
        if not step.effects and step.state.is_final:
            raise UsageError(f"there is nothing to cancel: this subscription is {step.state.phase}", field="id")
        return step.state

    def approve(self, recurrence_id: RecurrenceId, mandate: Mandate | None = None) -> Outbound:
        """Agree to the payment that waits, once, or under a new mandate from now on.

        Raises:
            UsageError: there is no such subscription, or none of its payments waits.
        """
        step = self.apply(recurrence_id, lambda: Approved(mandate))
        if not step.effects:
            raise UsageError(f"nothing waits for approval: this subscription is {step.state.phase}", field="id")
        return step.state

    # --- what happens ------------------------------------------------------------------------------------------------

    def wake(self, recurrence_id: RecurrenceId) -> None:
        """A subscription's wake_at has come."""
        entropy = self._entropy.take(_JITTER_SIZE)
        self.apply(recurrence_id, lambda: Due(self._keyring.payer(recurrence_id), entropy))

    async def handle_answer(self, delivered: Delivered, contents: MessageContents) -> None:
        """An invoice or an invoice_error came; ours if its path_id is that of a waiting request."""
        if delivered.path_id is None:
            return
        recurrence_id = self._waiting.get(delivered.path_id)
        if recurrence_id is None:
            _LOG.debug("an answer to no request of ours ignored")
            return
        if contents.kind is ContentsKind.INVOICE:
            self.apply(recurrence_id, lambda: InvoiceArrived(contents.data))
            return
        entropy = self._entropy.take(_JITTER_SIZE)
        self.apply(recurrence_id, lambda: RefusalArrived(contents.data, entropy))

    def expect_answer(self, recurrence_id: RecurrenceId, path_id: bytes) -> None:
        """A request goes out; its answer will carry this path_id. A newer request takes the older one's place."""
        for known in [known for known, waiting in self._waiting.items() if waiting == recurrence_id]:
            del self._waiting[known]
        self._waiting[path_id] = recurrence_id

    def expect_answers_again(self) -> None:
        """After a start: the answers to requests that were sent before it are still welcome."""
        for state in self._manager.outbounds():
            if state.request is not None:
                keys = self._keyring.payer(state.recurrence_id)
                self.expect_answer(state.recurrence_id, keys.reply_path_id(state.request.data))

    def apply(self, recurrence_id: RecurrenceId, event: Callable[[], Event]) -> Step:
        """Load, step, save; again if somebody else was faster.

        Raises:
            UsageError: there is no such subscription.
        """
        for _ in range(_CONFLICTS_MAX):
            stored = self._manager.outbound(recurrence_id)
            if stored is None:
                raise UsageError(f"no subscription {recurrence_id.hex()}", field="id")
            now = self._clock.now()
            step = outbound.step(stored.state, event(), now)
            change = change_of(step.state, step.effects, version=stored.version, at=now)
            if changes_nothing(change, stored.state):
                return step
            try:
                self._manager.commit_outbound(change)
            except Conflict:
                continue
            self._on_change()
            return step
        raise Conflict(f"subscription {recurrence_id.hex()} is changed by others all the time")
