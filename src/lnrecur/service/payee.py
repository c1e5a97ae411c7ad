"""The payee: requests for offers of ours, and their answers. Its other halves: `offers`, `subscribers`, `receiver`.

A request is authenticated before anything is looked up or fetched (Q21): readable, for an offer of ours over the way
that offer names, signed. Answers to strangers write nothing: what the payment will need travels, sealed, with the
receivable at the money node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lnrecur.bolt12 import fields
from lnrecur.bolt12.errors import Bolt12Error, NotSigned
from lnrecur.bolt12.invoice import VerifiedInvoice
from lnrecur.bolt12.invoice_error import InvoiceError, error_for, wants_length_in_front, write_invoice_error
from lnrecur.bolt12.invoice_request import InvoiceRequest, VerifiedInvoiceRequest
from lnrecur.bolt12.offer import OfferTerms
from lnrecur.crypto.hashes import sha256
from lnrecur.errors import UsageError
from lnrecur.messaging.messenger import ContentsKind, Delivered, MessageContents
from lnrecur.ports import (
    Clock,
    Entropy,
    Host,
    MoneyNodeError,
    OfferRecord,
    PeerUnreachable,
    RateSource,
    RateUnavailable,
    RecurrenceManager,
)
from lnrecur.recurrence.effects import IssueInvoice, Refuse
from lnrecur.recurrence.errors import StateRefused
from lnrecur.recurrence.inbound_model import CancelArrived, RequestArrived, Step
from lnrecur.recurrence.offer_authenticity import is_ours
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.recurrence.state_token import check_order, open_state
from lnrecur.service.courier import Courier
from lnrecur.service.invoicing import Invoicer
from lnrecur.service.keyring import Keyring
from lnrecur.service.known_receipts import KnownReceipts
from lnrecur.service.offers import Offers
from lnrecur.service.receiving import Receiver
from lnrecur.service.recent import RecentAnswers
from lnrecur.service.seed_watch import SeedWatch
from lnrecur.service.subscribers import Subscribers
from lnrecur.values import ChainHash, NodeId, Preimage
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.errors import WireError

Answered = VerifiedInvoice | Refuse | None
"""What a request gets: an invoice, a refusal, or (cancels) nothing."""

_LOG = logging.getLogger("lnrecur.payee")
INVOICE_S_MAX: Final = 20
"""Real seconds the money node has to make something receivable: requests wait for each other."""
RATE_S_MAX: Final = 5
"""Real seconds the source of exchange rates has to answer."""


@dataclass(frozen=True, slots=True)
class _Asker:
    """Whom an answer goes to. Each attempt to answer the same request begins with the next way."""

    path: BlindedPath | None
    peer: NodeId
    """Who brought the request."""
    in_hiding: bool
    """Whether it came over a blinded path of ours, so that the answer must not show who we are."""
    payer_id: bytes = b""
    attempt: int = 1


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
        seed_watch: SeedWatch,
        rates: RateSource | None = None,
        host: Host | None = None,
    ) -> None:
        """`on_change` is called after every commit; without `rates` nothing in a currency is sold."""
        self._courier = courier
        self._invoicer = invoicer
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._chain = chain
        self._rates = rates
        self._recent = RecentAnswers()
        self._seed_watch = seed_watch
        self.offers = Offers(
            manager=manager, courier=courier, keyring=keyring, clock=clock, entropy=entropy, chain=chain, host=host
        )
        known = KnownReceipts(clock, on_change)
        self.subscribers = Subscribers(
            manager=manager, offers=self.offers, recent=self._recent, clock=clock, on_change=on_change, known=known
        )
        self.receiver = Receiver(
            manager=manager,
            offers=self.offers,
            subscribers=self.subscribers,
            recent=self._recent,
            keyring=keyring,
            known=known,
            seed_watch=seed_watch,
        )
        courier.deliver_to(ContentsKind.INVOICE_REQUEST, self.handle_request)

    def create_offer(
        self,
        terms: OfferTerms,
        policy: OfferPolicy,
        *,
        label: str = "",
        blinded: bool = False,
        via: Sequence[NodeId] = (),
    ) -> OfferRecord:
        """Write an offer that we shall know again, and store it; see `Offers.create`.

        Raises:
            WritingError: the terms break a rule of BOLT 12 or of recurrence.
            UsageError: the terms ask for something this node cannot serve, or a peer of `via` is not connected.
        """
        if terms.currency is not None:
            self._source_of(terms.currency)
        return self.offers.create(terms, policy, label=label, blinded=blinded, via=via)

    async def check_rate(self, currency: str) -> None:
        """Whether offers in this currency can be sold now.

        Raises:
            UsageError: no exchange rates are set.
            RateUnavailable: there is none for this currency.
        """
        await self._source_of(currency).rate(currency)

    def _source_of(self, currency: str) -> RateSource:
        if self._rates is None:
            told = f"there is no exchange rate for {currency}: set rates or rate_source (docs/settings.md)"
            raise UsageError(told, field="currency")
        return self._rates

    # --- requests ----------------------------------------------------------------------------------------------------

    async def handle_request(self, delivered: Delivered, contents: MessageContents, peer: NodeId) -> None:
        """Answer one invoice_request, if it is for an offer of ours and wants an answer."""
        request = self._authentic(delivered, contents)
        if request is None:
            return
        digest = sha256(contents.data)
        if not self._recent.begin(digest, self._clock.elapsed()):
            return  # the same request is being answered this very moment, or was just now
        answered_at: float | None = None
        try:
            await self._handle(request, digest, delivered, peer)
            answered_at = self._clock.elapsed()
        finally:
            self._recent.end(digest, answered_at)

    async def _handle(self, request: InvoiceRequest, digest: bytes, delivered: Delivered, peer: NodeId) -> None:
        asker = _Asker(delivered.reply_path, peer, in_hiding=delivered.path_id is not None)
        try:
            verified = request.verify_signature()
        except NotSigned as error:
            await self._reply_error(request, asker, error_for(error))
            return
        asker = replace(asker, payer_id=verified.payer_id, attempt=self._recent.times_answered(digest) + 1)
        answer = self._remembered(verified, digest) or await self._answer(verified, delivered)
        if isinstance(answer, Refuse):
            refusal = write_invoice_error(answer.text, field=answer.field_number, suggested=answer.suggested)
            await self._reply_error(verified, asker, refusal)
        elif answer is not None:
            self._recent.remember(digest, answer)
            self._seed_watch.wrote(answer.payment_hash)
            invoice = MessageContents(ContentsKind.INVOICE, answer.to_bytes())
            await self._reply(asker, invoice)

    def _remembered(self, request: VerifiedInvoiceRequest, digest: bytes) -> VerifiedInvoice | None:
        """The invoice this request got a short while ago, unless another process has withdrawn it since."""
        answer = self._recent.answer(digest, self._clock.now())
        if answer is None or self._brings_state(request):
            return answer
        if self.subscribers.may_be_paid(request.offer_id, request.payer_id, answer.payment_hash):
            return answer
        self._recent.forget(answer.payment_hash)
        return None

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
        offering = self.offers.offering(request.offer_id)
        if offering.recurrence is None:  # the request mirrors the offer
            offering = replace(offering, recurrence=request.recurrence)
        if request.is_cancel:
            self.subscribers.apply(request.offer_id, request.payer_id, lambda: CancelArrived(request, offering))
            return None
        try:
            rate = await self._rate(request)
        except (RateUnavailable, TimeoutError) as error:
            _LOG.warning("no invoice can be made in %s: %s", request.currency, str(error) or "no answer in time")
            return Refuse("rate", f"there is no exchange rate for {request.currency} just now; please ask again later")
        event = RequestArrived(request, offering, Preimage(self._entropy.take(32)), rate)
        try:
            step = await self._step(request, event)
        except StateRefused as error:
            field = fields.INVREQ_RECURRENCE_PREV_STATE
            return Refuse("V9", f"{field.name}: {error}", request.number(field))
        for effect in step.effects:
            if isinstance(effect, Refuse):
                return effect
            if isinstance(effect, IssueInvoice):
                return await self._issue(request, effect, delivered, give_state=offering.policy.give_state)
        return None

    async def _rate(self, request: VerifiedInvoiceRequest) -> ExchangeRate | None:
        """What a bitcoin costs, for a request that needs to know."""
        if request.currency is None:
            return None
        if self._rates is None:
            raise RateUnavailable("no source of exchange rates is set")
        async with asyncio.timeout(RATE_S_MAX):
            return await self._rates.rate(request.currency)

    async def _step(self, request: VerifiedInvoiceRequest, event: RequestArrived) -> Step:
        """Ask the machine: by what the payer carries for us (V9) if that will do, else by what is stored.

        Where the money node cannot hold a payment, nothing but the store will do: a payment that does not fit could not
        be failed back.

        Raises:
            StateRefused: the payer brought a state that is none of ours, or not of this request.
        """
        token, counter = request.prev_state, request.counter
        if token is not None and counter and self._brings_state(request):
            paid = open_state(self._keyring.states, request.offer_id, request.payer_id, token)
            state = paid.to_inbound()
            if paid.counter + 1 != counter:
                check_order(paid, counter, self.subscribers.stored(request.offer_id, request.payer_id))
            elif self.subscribers.may_be(state) and await self._invoicer.can_hold():
                return self.subscribers.answer_from(state, event)
        return self.subscribers.apply(request.offer_id, request.payer_id, lambda: event)

    def _brings_state(self, request: VerifiedInvoiceRequest) -> bool:
        """Whether this request comes with a state that we asked its payer to carry (V9)."""
        return request.prev_state is not None and self.offers.offering(request.offer_id).policy.give_state

    async def _issue(
        self, request: VerifiedInvoiceRequest, issued: IssueInvoice, delivered: Delivered, *, give_state: bool
    ) -> Answered:
        key = self.offers.paths.signing_key(request, delivered)
        try:
            async with asyncio.timeout(INVOICE_S_MAX):
                return await self._invoicer.make(request, issued, key, give_state=give_state)
        except (MoneyNodeError, TimeoutError) as error:
            _LOG.warning("no invoice could be made: %s", str(error) or f"no answer in {INVOICE_S_MAX} seconds")
            return Refuse("node", "the payee's node cannot receive just now; please ask again later")

    async def _reply_error(self, request: InvoiceRequest, asker: _Asker, error: InvoiceError) -> None:
        if asker.path is None:
            return
        to_ldk = wants_length_in_front(request.invreq_metadata, asker.path)
        data = error.to_ldk_bytes() if to_ldk else error.to_bytes()
        await self._reply(asker, MessageContents(ContentsKind.INVOICE_ERROR, data))

    async def _reply(self, asker: _Asker, contents: MessageContents) -> None:
        if asker.path is None:
            return
        try:
            await self._courier.answer(
                asker.path,
                contents,
                asker.peer,
                in_hiding=asker.in_hiding,
                conversation=asker.payer_id,
                attempt=asker.attempt,
            )
        except PeerUnreachable as error:
            _LOG.info("an answer could not be sent, the payer will ask again: %s", error)
