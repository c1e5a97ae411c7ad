"""The subscriptions we are paid: every event goes load, step, save; and the merchant's orders about them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from lnrecur.errors import UsageError
from lnrecur.ports import Clock, Conflict, OfferRecord, RecurrenceManager
from lnrecur.recurrence import inbound
from lnrecur.recurrence.effects import Emit, FailBack
from lnrecur.recurrence.inbound_model import (
    Due,
    EndAsked,
    Event,
    Inbound,
    PauseAsked,
    Phase,
    RequestArrived,
    ResumeAsked,
    Step,
    WaiveAsked,
)
from lnrecur.recurrence.offering import OfferStatus
from lnrecur.service.known_receipts import KnownReceipts
from lnrecur.service.offers import Offers
from lnrecur.service.recent import RecentAnswers
from lnrecur.service.steps import change_of, changes_nothing
from lnrecur.values import OfferId, PaymentHash, Point

_CONFLICTS_MAX = 10
_SEEN_MAX = 16_384


class Subscribers:
    """Everybody who pays us. One per daemon."""

    def __init__(
        self,
        *,
        manager: RecurrenceManager,
        offers: Offers,
        recent: RecentAnswers,
        clock: Clock,
        on_change: Callable[[], None],
        known: KnownReceipts,
    ) -> None:
        """`on_change` is called after every commit, since it may have left something to do."""
        self.known = known
        """Up to when payments to us are known."""
        self._manager = manager
        self._offers = offers
        self._recent = recent
        self._clock = clock
        self._on_change = on_change
        self._seen: OrderedDict[bytes, tuple[Phase, int, bool]] = OrderedDict()

    # --- what the merchant asks --------------------------------------------------------------------------------------

    def pause(self, offer_id: OfferId, payer_id: Point) -> Inbound:
        """Serve this subscriber nothing until `resume`; the periods that pass meanwhile are waived.

        Raises:
            UsageError: there is no such subscription, or nothing to pause.
        """
        return self._order(offer_id, payer_id, lambda: PauseAsked(self._offers.offering(offer_id)), "pause")

    def resume(self, offer_id: OfferId, payer_id: Point) -> Inbound:
        """Serve this subscriber again.

        Raises:
            UsageError: there is no such subscription, or it is not paused.
        """
        return self._order(offer_id, payer_id, lambda: ResumeAsked(self._offers.offering(offer_id)), "resume")

    def waive(self, offer_id: OfferId, payer_id: Point, periods: int = 1) -> Inbound:
        """Count the next periods as settled without a payment.

        Raises:
            UsageError: there is no such subscription, or nothing to waive: it is over, or a payment is here already.
        """
        return self._order(offer_id, payer_id, lambda: WaiveAsked(self._offers.offering(offer_id), periods), "waive")

    def end(self, offer_id: OfferId, payer_id: Point, why: str = "") -> Inbound:
        """End this subscription; its payer is told so at its next request (V10).

        Raises:
            UsageError: there is no such subscription, or it is over.
        """
        return self._order(offer_id, payer_id, lambda: EndAsked(self._offers.offering(offer_id), why), "end")

    def _order(self, offer_id: OfferId, payer_id: Point, event: Callable[[], Event], verb: str) -> Inbound:
        if self._manager.inbound(offer_id, payer_id) is None:
            raise UsageError(f"no subscription of {payer_id.hex()}", field="id")
        step = self.apply(offer_id, payer_id, event)
        if not step.effects:
            paused = " and paused" if step.state.paused_at is not None else ""
            raise UsageError(f"there is nothing to {verb}: this subscription is {step.state.phase}{paused}", field="id")
        return step.state

    def change_offer(self, offer_id: OfferId, status: OfferStatus, successor: OfferId | None = None) -> OfferRecord:
        """Change an offer (see `Offers.change`) and let its subscriptions hear of it.

        Periods that passed so far are settled under the old status first: those of a paused offer are waived.

        Raises:
            UsageError: see `Offers.change`.
        """
        if self._offers.offering(offer_id).status is OfferStatus.PAUSED:
            self._review(offer_id)
        changed = self._offers.change(offer_id, status, successor=successor)
        self._recent.forget_all()
        self._review(offer_id)
        return changed

    def _review(self, offer_id: OfferId) -> None:
        for state in self._manager.inbounds():
            if state.offer_id == offer_id and not state.is_final:
                self.wake(offer_id, state.payer_id)

    def may_be_paid(self, offer_id: OfferId, payer_id: Point, payment_hash: PaymentHash) -> bool:
        """Whether an invoice we gave out is still open; of strangers nothing is stored, and theirs always are."""
        stored = self._manager.inbound(offer_id, payer_id)
        if stored is None:
            return True
        opened = stored.state.open_invoice
        return opened is not None and opened.payment_hash == payment_hash

    # --- what happens ------------------------------------------------------------------------------------------------

    def wake(self, offer_id: OfferId, payer_id: Point) -> None:
        """A subscription's wake_at has come, or its offer was changed."""
        self.apply(offer_id, payer_id, lambda: Due(self._offers.offering(offer_id), self.known.until))

    def apply(
        self,
        offer_id: OfferId,
        payer_id: Point,
        event: Callable[[], Event],
        cursor: str | None = None,
        more: tuple[Emit, ...] = (),
    ) -> Step:
        """Load, step, save; again if somebody else was faster.

        `cursor` is stored with what the receipt changed, and `more` is told with it.
        """
        for _ in range(_CONFLICTS_MAX):
            stored = self._manager.inbound(offer_id, payer_id)
            state = Inbound(offer_id, payer_id) if stored is None else stored.state
            now = self._clock.now()
            step = inbound.step(state, event(), now)
            version = None if stored is None else stored.version
            effects = (*step.effects, *more)
            change = change_of(step.state, effects, version=version, at=now, receipt_cursor=cursor)
            if changes_nothing(change, state):
                if cursor is not None:
                    self._manager.save_receipt_cursor(cursor)
                return step
            try:
                self._manager.commit_inbound(change)
            except Conflict:
                continue
            self._remember(step.state)
            for effect in change.outbox:
                if isinstance(effect, FailBack):
                    self._recent.forget(effect.payment_hash)
            self._on_change()
            return step
        raise Conflict(f"the subscription of {payer_id.hex()} is changed by others all the time")

    # --- states that payers carry (V9) -------------------------------------------------------------------------------

    def may_be(self, state: Inbound) -> bool:
        """Whether nothing that we saw of this subscription lately speaks against this being its state.

        Other processes may have seen more: what is answered on this word must still be refused when it is paid.
        """
        seen = self._seen.get(state.subscription_id)
        return seen is None or seen == _standing(state)

    def stored(self, offer_id: OfferId, payer_id: Point) -> Inbound | None:
        """What is stored of a payer of an offer."""
        stored = self._manager.inbound(offer_id, payer_id)
        return None if stored is None else stored.state

    def answer_from(self, state: Inbound, event: RequestArrived) -> Step:
        """What a request gets if this is the state of its subscription; nothing is looked up, nothing stored."""
        return inbound.step(state, event, self._clock.now())

    def _remember(self, state: Inbound) -> None:
        self._seen[state.subscription_id] = _standing(state)
        self._seen.move_to_end(state.subscription_id)
        if len(self._seen) > _SEEN_MAX:
            self._seen.popitem(last=False)


def _standing(state: Inbound) -> tuple[Phase, int, bool]:
    return state.phase, state.next_counter, state.paused_at is not None
