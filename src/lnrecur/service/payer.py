"""The payer: subscriptions that we pay.

Every event goes load, step, save; what a step wants done stands in the outbox before anything leaves, and the scheduler
performs it. Answers are recognised by the path_id of the reply path they come over, which follows from the request and
our seed, so they are recognised after a restart too.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from lnrecur.bolt12.offer import Offer
from lnrecur.errors import UsageError
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents
from lnrecur.ports import (
    AlreadyPaid,
    Change,
    Clock,
    Conflict,
    Entropy,
    OrderKey,
    RateSource,
    RateUnavailable,
    RecurrenceManager,
)
from lnrecur.recurrence import outbound
from lnrecur.recurrence.invoice_checks import must_be_split
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_failures import REUSED_HASH
from lnrecur.recurrence.outbound_model import (
    Amended,
    Approved,
    CancelAsked,
    Declined,
    Due,
    Event,
    InvoiceArrived,
    Outbound,
    PauseAsked,
    PaymentFailed,
    PaymentSettled,
    RefusalArrived,
    ResumeAsked,
    Step,
    Terms,
    Wait,
)
from lnrecur.recurrence.outbound_questions import question_of
from lnrecur.service.authorising import (
    KeyReused,
    NothingWaits,
    mandate_left,
    new_state,
    one_off_terms,
    replacement_id,
    subscription_terms,
    terms_carried_over,
)
from lnrecur.service.courier import Courier
from lnrecur.service.keyring import Keyring
from lnrecur.service.seed_watch import SeedWatch
from lnrecur.service.steps import change_of, changes_nothing
from lnrecur.service.unanswered import Unanswered
from lnrecur.values import ChainHash, NodeId, RecurrenceId

_LOG = logging.getLogger("lnrecur.payer")
_CONFLICTS_MAX = 10
_JITTER_SIZE = 8


class PayerService:
    """Pays subscriptions, and offers once. One per daemon."""

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
        rates: RateSource | None = None,
        can_split: Callable[[], Awaitable[bool | None]],
        seed_watch: SeedWatch,
    ) -> None:
        """`on_change` is called after every commit that left something to do; `rates` is for mandates in a currency.

        `can_split` answers whether the money node can pay in several parts; None while it does not say.
        """
        self._rates = rates
        self._can_split = can_split
        self._seed_watch = seed_watch
        self._manager = manager
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._chain = chain
        self._on_change = on_change
        self.unanswered = Unanswered()
        """Our requests that wait for an answer."""
        courier.deliver_to(ContentsKind.INVOICE, self.handle_answer)
        courier.deliver_to(ContentsKind.INVOICE_ERROR, self.handle_answer)

    # --- what people ask ---------------------------------------------------------------------------------------------

    def ordered(self, order: OrderKey) -> Outbound | None:
        """What an order made when it was given before.

        Raises:
            KeyReused: its key names another order.
        """
        known = self._manager.ordered(order.key)
        if known is None:
            return None
        if known.digest != order.digest:
            raise KeyReused
        return self.state(known.recurrence_id)

    def subscribe(self, offer: Offer, mandate: Mandate, terms: Terms, order: OrderKey | None = None) -> Outbound:
        """Store a new subscription, due at once; the one that this very `order` made before, if it did.

        Raises:
            KeyReused: the key of the order names another one.
            UsageError: the offer cannot be subscribed to, or not with this mandate and terms; names the field.
        """
        complete = subscription_terms(offer, mandate, terms, self._chain, self._clock.now())
        return self._store(offer, mandate, complete, order)

    def pay_once(self, offer: Offer, mandate: Mandate, terms: Terms, order: OrderKey | None = None) -> Outbound:
        """Store a single payment of an offer, due at once; the one that this very `order` made before, if it did.

        Raises:
            KeyReused: the key of the order names another one.
            UsageError: the offer cannot be paid once, or not with this mandate and terms; names the field.
        """
        complete = one_off_terms(offer, mandate, terms, self._chain, self._clock.now())
        return self._store(offer, mandate, complete, order, one_off=True)

    def _store(
        self, offer: Offer, mandate: Mandate, terms: Terms, order: OrderKey | None, *, one_off: bool = False
    ) -> Outbound:
        self._check_rates(mandate)
        now = self._clock.now()
        state = new_state(RecurrenceId(self._entropy.take(32)), offer, mandate, terms, now, one_off=one_off)
        try:
            self._manager.commit_outbound(Change(state=state, version=None, at=now, order=order))
        except Conflict:
            made = None if order is None else self.ordered(order)
            if made is None:
                raise
            return made
        self._on_change()
        return state

    async def check_rate(self, mandate: Mandate) -> None:
        """Whether a mandate in a currency can be held against a rate now, where there are any.

        Raises:
            RateUnavailable: there is none for this currency.
        """
        if mandate.fiat is not None and self._rates is not None:
            await self._rates.rate(mandate.fiat.currency)

    def _check_rates(self, mandate: Mandate) -> None:
        if mandate.fiat is not None and self._rates is None:
            told = f"this daemon has no exchange rates, so a limit in {mandate.fiat.currency} could never be checked"
            raise UsageError(f"{told}: set a rate source, or say the limit in sat", field="fiat")

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

    def approve(
        self,
        recurrence_id: RecurrenceId,
        mandate: Mandate | None = None,
        *,
        paid_elsewhere: bool = False,
        question: bytes | None = None,
    ) -> Outbound:
        """Agree to what waits, once, or under a new mandate from now on; to `question` and nothing else, if it is said.

        Where the payee has put a new offer in the place of the old one, the subscription to the new one is answered.

        Raises:
            NothingWaits: nothing does, perhaps because somebody else was quicker to answer.
            OtherQuestion: what waits is not `question`.
            UsageError: there is no such subscription, or the new offer cannot be subscribed to.
        """
        if mandate is not None:
            self._check_rates(mandate)
        before = self.state(recurrence_id)
        if paid_elsewhere and before.waits_for not in (None, Wait.REFUSAL):
            told = "only of a period that the payee refuses can you say that it was paid elsewhere"
            raise UsageError(told, field="paid_elsewhere")
        asked = question_of(before) if question is None else question
        successor = self._successor(before, mandate) if asked == question_of(before) else None
        entropy = self._entropy.take(_JITTER_SIZE)
        event = Approved(mandate, paid_elsewhere, successor, asked, entropy)
        step = self._answered(recurrence_id, event)
        return step.state if step.begins is None else step.begins

    def _successor(self, old: Outbound, mandate: Mandate | None) -> Outbound | None:
        """The subscription to the new offer, where one is proposed."""
        if old.waits_for is not Wait.NEW_OFFER or old.new_offer is None:
            return None
        offer = Offer.from_bytes(old.new_offer)
        wanted = mandate_left(old, offer) if mandate is None else mandate
        self._check_rates(wanted)
        now = self._clock.now()
        terms = subscription_terms(offer, wanted, terms_carried_over(old, offer), self._chain, now)
        return new_state(replacement_id(old, offer), offer, wanted, terms, now)

    def decline(self, recurrence_id: RecurrenceId, *, question: bytes | None = None) -> Outbound:
        """Do not agree to what waits (to `question` and nothing else, if it is said): the subscription ends.

        Raises:
            NothingWaits: nothing does, perhaps because somebody else was quicker to answer.
            OtherQuestion: what waits is not `question`.
            UsageError: there is no such subscription.
        """
        return self._answered(recurrence_id, Declined(question)).state

    def _answered(self, recurrence_id: RecurrenceId, answer: Approved | Declined) -> Step:
        step = self.apply(recurrence_id, lambda: answer)
        if not step.effects:
            raise NothingWaits(step.state)
        return step

    def pause(self, recurrence_id: RecurrenceId) -> Outbound:
        """Ask and pay nothing until resumed; a payment in flight is followed to its end first.

        Raises:
            UsageError: there is no such subscription, or it cannot be paused now.
        """
        return self._asked(recurrence_id, PauseAsked(), "there is nothing to pause")

    def resume(self, recurrence_id: RecurrenceId) -> Outbound:
        """Go on after a pause.

        Raises:
            UsageError: there is no such subscription, or it is not paused.
        """
        return self._asked(recurrence_id, ResumeAsked(self._entropy.take(_JITTER_SIZE)), "there is nothing to resume")

    def amend(self, recurrence_id: RecurrenceId, mandate: Mapping[str, Any], terms: Mapping[str, Any]) -> Outbound:
        """Change fields of the mandate and of the terms, from the next decision on.

        Raises:
            UsageError: there is no such subscription, it is over, or a field cannot be changed or not to this.
        """
        self._check_rates(replace(self.state(recurrence_id).mandate, **mandate))
        event = Amended(mandate, terms, self._entropy.take(_JITTER_SIZE))
        step = self.apply(recurrence_id, lambda: event)
        if step.state.one_off or step.state.is_final or step.state.cancel_asked:
            raise UsageError(f"nothing can be amended any more: this subscription is {step.state.phase}", field="id")
        return step.state

    def _asked(self, recurrence_id: RecurrenceId, event: Event, otherwise: str) -> Outbound:
        step = self.apply(recurrence_id, lambda: event)
        if not step.effects:
            raise UsageError(f"{otherwise}: this subscription is {step.state.phase}", field="id")
        return step.state

    def state(self, recurrence_id: RecurrenceId) -> Outbound:
        """One subscription or single payment of ours.

        Raises:
            UsageError: there is none of this id.
        """
        stored = self._manager.outbound(recurrence_id)
        if stored is None:
            raise UsageError(f"no subscription {recurrence_id.hex()}", field="id")
        return stored.state

    # --- what happens ------------------------------------------------------------------------------------------------

    def wake(self, recurrence_id: RecurrenceId) -> None:
        """A subscription's wake_at has come."""
        entropy = self._entropy.take(_JITTER_SIZE)
        self.apply(recurrence_id, lambda: Due(self._keyring.payer(recurrence_id), entropy))

    async def handle_answer(self, delivered: Delivered, contents: MessageContents, peer: NodeId) -> None:
        """An invoice or an invoice_error came; ours if its path_id is that of a waiting request."""
        if delivered.path_id is None:
            return
        recurrence_id = self.unanswered.subject_of(delivered.path_id)
        if recurrence_id is None or not self._waits_for(recurrence_id, delivered.path_id):
            _LOG.debug("an answer to no request of ours ignored")
            return
        self.unanswered.settled(recurrence_id)
        if contents.kind is ContentsKind.INVOICE:
            invoice = await self._arrived(recurrence_id, contents.data)
            self.apply(recurrence_id, lambda: invoice)
            return
        entropy = self._entropy.take(_JITTER_SIZE)
        self.apply(recurrence_id, lambda: RefusalArrived(contents.data, entropy))

    def _waits_for(self, recurrence_id: RecurrenceId, path_id: bytes) -> bool:
        """Whether this is the answer to the request that waits now: a refusal does not say what it refuses."""
        request = self.state(recurrence_id).request
        return request is not None and self._keyring.payer(recurrence_id).reply_path_id(request.data) == path_id

    async def _arrived(self, recurrence_id: RecurrenceId, data: bytes) -> InvoiceArrived:
        """An invoice with what it is judged by: the rate where the mandate is in a currency, and what the node can."""
        can_split = await self._can_split() if must_be_split(data) else False
        fiat = self.state(recurrence_id).mandate.fiat
        if fiat is None:
            return InvoiceArrived(data, can_split=can_split)
        no_rate, rate = "this daemon has no exchange rates: set a rate source", None
        if self._rates is not None:
            try:
                rate = await self._rates.rate(fiat.currency)
            except RateUnavailable as error:
                no_rate = str(error)
        return InvoiceArrived(data, rate, None if rate else no_rate, can_split)

    def expect_answers_again(self) -> None:
        """After a start: the answers to requests that were sent before it are still welcome."""
        for state in self._manager.outbounds(asking=True):
            if state.request is not None:
                keys = self._keyring.payer(state.recurrence_id)
                self.unanswered.expect(state.recurrence_id, keys.reply_path_id(state.request.data))

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
            happened = event()
            step = outbound.step(stored.state, happened, now)
            told_by_person = isinstance(happened, Approved)
            twin = () if told_by_person else self._seed_watch.of_adoption(stored.state, step)
            effects = (*step.effects, *twin)
            change = change_of(step.state, effects, version=stored.version, at=now, begins=step.begins)
            if changes_nothing(change, stored.state):
                return step
            try:
                self._manager.commit_outbound(change)
            except Conflict:
                continue
            except AlreadyPaid:
                if not isinstance(happened, PaymentSettled):
                    raise
                event = _reused(happened)
                continue
            self._on_change()
            return step
        raise Conflict(f"subscription {recurrence_id.hex()} is changed by others all the time")


def _reused(settled: PaymentSettled) -> Callable[[], Event]:
    """A payment that is in the books for something else: the payee used a hash twice, and this period is not paid."""
    failed = PaymentFailed(settled.payment_hash, REUSED_HASH, retryable=False, entropy=settled.entropy)
    return lambda: failed
