"""The payee: offers of ours, requests for them, and the payments that follow.

A request is authenticated before anything is looked up (Q21). Answers to strangers write nothing: what the payment
will need travels, sealed, with the receivable at the money node. Receipts are handled at least once, in order, and
their cursor is stored in the same transaction as what they changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from lnrecur.bolt12.errors import Bolt12Error, NotSigned
from lnrecur.bolt12.invoice import VerifiedInvoice
from lnrecur.bolt12.invoice_error import InvoiceError, error_for, write_invoice_error
from lnrecur.bolt12.invoice_request import InvoiceRequest, VerifiedInvoiceRequest
from lnrecur.bolt12.offer import Offer, OfferTerms
from lnrecur.crypto.hashes import sha256
from lnrecur.errors import UsageError
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents
from lnrecur.ports import (
    Clock,
    Conflict,
    Entropy,
    MoneyNodeError,
    OfferRecord,
    PeerUnreachable,
    Receipt,
    ReceivedState,
    RecurrenceManager,
)
from lnrecur.recurrence import inbound
from lnrecur.recurrence.effects import FailBack, IssueInvoice, Refuse
from lnrecur.recurrence.errors import ContextError
from lnrecur.recurrence.inbound_model import (
    CancelArrived,
    Event,
    Inbound,
    OfferPolicy,
    PaymentClaimable,
    PaymentClaimed,
    PaymentReturned,
    RequestArrived,
    Step,
)
from lnrecur.recurrence.offer_authenticity import NONCE_SIZE, is_ours, write_authentic_offer
from lnrecur.recurrence.receive_context import ReceiveContext, open_context
from lnrecur.recurrence.windows import start_of
from lnrecur.service.courier import Courier
from lnrecur.service.invoicing import Invoicer
from lnrecur.service.keyring import Keyring
from lnrecur.service.offer_paths import OfferPaths
from lnrecur.service.recent import RecentAnswers
from lnrecur.service.steps import change_of, changes_nothing
from lnrecur.values import BITCOIN, ChainHash, NodeId, OfferId, Point, Preimage, UnixSeconds
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.errors import WireError

Answered = VerifiedInvoice | Refuse | None
"""What a request gets: an invoice, a refusal, or (cancels) nothing."""

_LOG = logging.getLogger("lnrecur.payee")
INVOICE_S_MAX: Final = 20
"""Real seconds the money node has to make something receivable: requests wait for each other."""
_CONFLICTS_MAX = 10


class PayeeService:
    """Sells subscriptions. One per daemon."""

    def __init__(
        self,
        *,
        manager: RecurrenceManager,
        courier: Courier,
        invoicer: Invoicer,
        keyring: Keyring,
        clock: Clock,
        entropy: Entropy,
        chain: ChainHash,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called after every commit that left something to do."""
        self._manager = manager
        self._courier = courier
        self._invoicer = invoicer
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._chain = chain
        self._on_change = on_change
        self._recent = RecentAnswers()
        self._paths = OfferPaths(courier, keyring)
        courier.deliver_to(ContentsKind.INVOICE_REQUEST, self.handle_request)

    # --- offers ------------------------------------------------------------------------------------------------------

    def create_offer(
        self,
        terms: OfferTerms,
        policy: OfferPolicy,
        *,
        label: str = "",
        blinded: bool = False,
        via: Sequence[NodeId] = (),
    ) -> OfferRecord:
        """Write an offer that we shall know again, and store it.

        Args:
            terms: what it says.
            policy: what it does not say.
            label: our own name for it.
            blinded: it is asked over a blinded path, which begins at this node unless `via` names others.
            via: connected peers; a blinded path begins at each of them, and the offer does not name this node.

        Raises:
            WritingError: the terms break a rule of BOLT 12 or of recurrence.
            UsageError: the terms ask for something this version cannot serve, or a peer of `via` is not connected.
        """
        if terms.currency is not None:
            raise UsageError("offers are priced in sat: there are no exchange rates in this version", field="currency")
        nonce = self._entropy.take(NONCE_SIZE)
        terms = replace(terms, chains=None if self._chain == BITCOIN else (self._chain,))
        terms = self._paths.address(terms, nonce, blinded=blinded, via=via)
        offer = write_authentic_offer(self._keyring.offers, terms, nonce)
        record = OfferRecord(offer.offer_id, offer.to_bytes(), policy, self._clock.now(), label)
        self._manager.add_offer(record)
        return record

    # --- requests ----------------------------------------------------------------------------------------------------

    async def handle_request(self, delivered: Delivered, contents: MessageContents) -> None:
        """Answer one invoice_request, if it is for an offer of ours and wants an answer."""
        request = self._authentic(delivered, contents)
        if request is None:
            return
        digest = sha256(contents.data)
        if not self._recent.begin(digest, self._clock.precise()):
            return  # the same request is being answered this very moment, or was just now
        answered_at: float | None = None
        try:
            await self._handle(request, digest, delivered)
            answered_at = self._clock.precise()
        finally:
            self._recent.end(digest, answered_at)

    async def _handle(self, request: InvoiceRequest, digest: bytes, delivered: Delivered) -> None:
        try:
            verified = request.verify_signature()
        except NotSigned as error:
            await self._reply_error(delivered.reply_path, error_for(error))
            return
        answer = self._recent.answer(digest, self._clock.now()) or await self._answer(verified, delivered)
        if isinstance(answer, Refuse):
            refusal = write_invoice_error(answer.told, field=answer.field_number, suggested=answer.suggested)
            await self._reply_error(delivered.reply_path, refusal, verified.payer_id)
        elif answer is not None:
            self._recent.remember(digest, answer)
            invoice = MessageContents(ContentsKind.INVOICE, answer.to_bytes())
            await self._reply(delivered.reply_path, invoice, verified.payer_id)

    def _authentic(self, delivered: Delivered, contents: MessageContents) -> InvoiceRequest | None:
        """The request, if it can be read and its offer is ours; cheap, and silent towards strangers."""
        try:
            request = InvoiceRequest.from_bytes(contents.data)
        except (WireError, Bolt12Error) as error:
            _LOG.debug("unreadable invoice_request ignored: %s", error)
            return None
        if not is_ours(self._keyring.offers, request, delivered.path_id):
            _LOG.debug("invoice_request for an offer that is not ours ignored")
            return None
        return request

    async def _answer(self, request: VerifiedInvoiceRequest, delivered: Delivered) -> Answered:
        if request.chain != self._chain:
            return Refuse("BR9", "invreq_chain: this offer is not paid on that chain")
        record = self._manager.offer(request.offer_id)
        policy = OfferPolicy() if record is None else record.policy
        if request.is_cancel:
            self._apply(request.offer_id, request.payer_id, lambda: CancelArrived(request, policy))
            return None
        stranger = not request.counter
        if record is not None and not record.active and stranger:
            return Refuse("O7", "this offer is closed for new subscribers")
        preimage = Preimage(self._entropy.take(32))
        step = self._apply(request.offer_id, request.payer_id, lambda: RequestArrived(request, policy, preimage))
        for effect in step.effects:
            if isinstance(effect, Refuse):
                return effect
            if isinstance(effect, IssueInvoice):
                return await self._issue(request, effect, delivered)
        return None

    async def _issue(self, request: VerifiedInvoiceRequest, issued: IssueInvoice, delivered: Delivered) -> Answered:
        key = self._paths.signing_key(request, delivered)
        try:
            async with asyncio.timeout(INVOICE_S_MAX):
                return await self._invoicer.make(request, issued, key)
        except (MoneyNodeError, TimeoutError) as error:
            _LOG.warning("no invoice could be made: %s", str(error) or f"no answer in {INVOICE_S_MAX} seconds")
            return Refuse("node", "the payee's node cannot receive just now; please ask again later")

    async def _reply_error(self, path: BlindedPath | None, error: InvoiceError, conversation: bytes = b"") -> None:
        await self._reply(path, MessageContents(ContentsKind.INVOICE_ERROR, error.to_bytes()), conversation)

    async def _reply(self, path: BlindedPath | None, contents: MessageContents, conversation: bytes) -> None:
        if path is None:
            return
        try:
            await self._courier.send(path, contents, conversation=conversation)
        except PeerUnreachable as error:
            _LOG.info("an answer could not be sent, the payer will ask again: %s", error)

    # --- payments ----------------------------------------------------------------------------------------------------

    def handle_receipt(self, receipt: Receipt) -> None:
        """Apply one receipt of the money node and store its cursor with what it changed."""
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
        self._apply(context.offer_id, context.payer_id, lambda: event, receipt.cursor)

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
        record = self._manager.offer(context.offer_id)
        policy = OfferPolicy() if record is None else record.policy
        recurrence = None if record is None else Offer.from_bytes(record.offer).recurrence
        limit = None if recurrence is None else recurrence.limit
        if receipt.state is ReceivedState.CLAIMABLE:
            return PaymentClaimable(context, limit, policy)
        if receipt.state is ReceivedState.CANCELED:
            return PaymentReturned(context.payment_hash)
        if receipt.state is not ReceivedState.CLAIMED:
            return None
        started: UnixSeconds | None = None
        if recurrence is not None and context.basetime is not None and context.counter is not None:
            started = start_of(recurrence, context.basetime, (context.start or 0) + context.counter)
        return PaymentClaimed(context, receipt.amount_msat, limit, policy, started)

    def _apply(self, offer_id: OfferId, payer_id: Point, event: Callable[[], Event], cursor: str | None = None) -> Step:
        """Load, step, save; again if somebody else was faster."""
        for _ in range(_CONFLICTS_MAX):
            stored = self._manager.inbound(offer_id, payer_id)
            state = Inbound(offer_id, payer_id) if stored is None else stored.state
            now = self._clock.now()
            step = inbound.step(state, event(), now)
            version = None if stored is None else stored.version
            change = change_of(step.state, step.effects, version=version, at=now, receipt_cursor=cursor)
            if changes_nothing(change, state):
                if cursor is not None:
                    self._manager.save_receipt_cursor(cursor)
                return step
            try:
                self._manager.commit_inbound(change)
            except Conflict:
                continue
            for effect in change.outbox:
                if isinstance(effect, FailBack):
                    self._recent.forget(effect.payment_hash)
            self._on_change()
            return step
        raise Conflict(f"the subscription of {payer_id.hex()} is changed by others all the time")
