"""Performs what stands in the outbox. Every deed here is safe to do twice.

A deed that the node or the network may still owe an answer for is not repeated blindly: payments are identified by
their hash, and their state is asked for (`AskPaymentStatus`, `follow`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from lnrecur.messaging.messenger import ContentsKind, MessageContents
from lnrecur.ports import (
    Clock,
    Entropy,
    MoneyNode,
    OutboxEntry,
    PaymentPath,
    PayOrder,
    PeerUnreachable,
    RecurrenceManager,
    Rejected,
    Sent,
    SentState,
    Unavailable,
)
from lnrecur.recurrence.effects import AskPaymentStatus, Claim, FailBack, Pay, SendCancel, SendInvoiceRequest
from lnrecur.recurrence.invoice_checks import read_invoice
from lnrecur.recurrence.outbound_model import (
    Event,
    NodeSilent,
    Outbound,
    PaymentFailed,
    PaymentSettled,
    PaymentUnknown,
    Unreachable,
)
from lnrecur.service.addresses import parse_address
from lnrecur.service.courier import Courier, ReplyTo
from lnrecur.service.dispatcher import TooManyWaiting
from lnrecur.service.keyring import Keyring
from lnrecur.service.payer import PayerService
from lnrecur.values import Msat, NodeId, PaymentHash, RecurrenceId

_LOG = logging.getLogger("lnrecur.performer")
_MPP: Final = 3 << 16
_MPP_COMPULSORY: Final = 1 << 16
"""basic_mpp in invoice_features, compulsory or optional, and the former alone (BOLT 9)."""
CANCEL_TRIES_MAX: Final = 24 * 60
"""A cancel is a courtesy (Q6): a payee that nobody reaches for about a day is not told."""


class Performer:
    """Does the deeds of both sides."""

    def __init__(
        self,
        *,
        manager: RecurrenceManager,
        node: MoneyNode,
        courier: Courier,
        payer: PayerService,
        keyring: Keyring,
        clock: Clock,
        entropy: Entropy,
        may_pay: Callable[[], None],
        on_silence: Callable[[], None] = lambda: None,
    ) -> None:
        """`may_pay` raises `LeaseLost` if somebody else may have this process's work by now.

        `on_silence` is called when the money node did not answer.
        """
        self._may_pay = may_pay
        self._on_silence = on_silence
        self._manager = manager
        self._node = node
        self._courier = courier
        self._payer = payer
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._followed: dict[PaymentHash, asyncio.Task[None]] = {}
        self._resending: dict[NodeId, asyncio.Task[None]] = {}

    async def perform(self, entry: OutboxEntry) -> None:
        """Do one deed.

        Raises:
            LnrecurError: it could not be done now; with `retry` it is worth trying again later.
        """
        effect = entry.effect
        subject = RecurrenceId(entry.subject)
        if isinstance(effect, SendInvoiceRequest):
            await self._send_request(subject, effect.request)
        elif isinstance(effect, SendCancel):
            await self._send_cancel(subject, effect.request, entry.tries)
        elif isinstance(effect, Pay):
            await self._pay(subject, effect)
        elif isinstance(effect, AskPaymentStatus):
            await self._ask_status(subject, effect.payment_hash)
        elif isinstance(effect, Claim):
            await self._claim(effect)
        elif isinstance(effect, FailBack):
            await self._node.cancel(effect.payment_hash)

    async def close(self) -> None:
        """Stop following payments; their state is asked for again when the daemon is back. Resend nothing more."""
        tasks = [*self._followed.values(), *self._resending.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- messages ----------------------------------------------------------------------------------------------------

    async def _send_request(self, subject: RecurrenceId, request: bytes) -> None:
        stored = self._manager.outbound(subject)
        if stored is None:
            return
        reply_to = self._reply_to(subject, request)
        self._payer.unanswered.expect(subject, reply_to.path_id)
        self._payer.unanswered.settled(subject)
        taken_by = None
        try:
            taken_by = await self._send(stored.state, request, reply_to)
        except PeerUnreachable as error:
            told = str(error)
            self._payer.apply(subject, lambda: Unreachable(told))
        self._payer.unanswered.taken(subject, taken_by)

    def peer_came(self, peer: NodeId) -> None:
        """A peer is connected: send again at once what may have been lost with its last connection, or nobody took.

        The same bytes, and nothing is counted or stored: the planned resends go on as if this had not been.
        """
        lost = self._payer.unanswered.lost_with(peer)
        if not lost or peer in self._resending:
            return
        task = asyncio.get_running_loop().create_task(self._resend(peer, lost), name=f"resend to {peer.hex()[:16]}")
        self._resending[peer] = task
        task.add_done_callback(lambda done: self._resending.pop(peer))
        task.add_done_callback(_log_failure)

    async def _resend(self, peer: NodeId, subjects: Sequence[RecurrenceId]) -> None:
        for subject in subjects:
            stored = self._manager.outbound(subject)
            if stored is None or stored.state.request is None or stored.state.phase is not stored.state.asking_phase:
                self._payer.unanswered.settled(subject)
                continue
            request = stored.state.request.data
            try:
                await self._send(stored.state, request, self._reply_to(subject, request), over=peer)
            except TooManyWaiting:
                return  # the others have their planned resends
            except PeerUnreachable:
                continue
            self._payer.unanswered.taken(subject, peer)
            await asyncio.sleep(0)

    def _reply_to(self, subject: RecurrenceId, request: bytes) -> ReplyTo:
        keys = self._keyring.payer(subject)
        return ReplyTo(keys.reply_path_id(request), keys.reply_session_key(request))

    async def _send_cancel(self, subject: RecurrenceId, request: bytes, tries: int) -> None:
        stored = self._manager.outbound(subject)
        if stored is None:
            return
        try:
            await self._send(stored.state, request, None, tries)
        except PeerUnreachable as error:
            if tries < CANCEL_TRIES_MAX:
                raise
            _LOG.info("the payee of %s is not told of the cancel: %s", subject.hex(), error)

    async def _send(
        self, state: Outbound, request: bytes, reply_to: ReplyTo | None, tries: int = 0, *, over: NodeId | None = None
    ) -> NodeId:
        contents = MessageContents(ContentsKind.INVOICE_REQUEST, request)
        addresses = [parse_address(text) for text in state.terms.via]
        pending = state.request
        attempt = tries + 1 if pending is None or pending.data != request else pending.tries
        return await self._courier.send_to_offer(
            state.offer, contents, reply_to, addresses, conversation=state.recurrence_id, attempt=attempt, over=over
        )

    # --- money going out ---------------------------------------------------------------------------------------------

    async def _pay(self, subject: RecurrenceId, effect: Pay) -> None:
        if not self._is_wanted(subject, effect.payment_hash):
            return
        order = pay_order(effect)
        self._may_pay()
        try:
            await self._node.pay(order)
        except Rejected as error:
            told = str(error) if error.reason is None else error.reason.value
            entropy = self._entropy.take(8)
            failed = PaymentFailed(effect.payment_hash, told, retryable=error.retryable, entropy=entropy)
            self._payer.apply(subject, lambda: failed)
        except Unavailable as error:
            # Not tried again from here: the machine asks how far it is, and pays again what was never recorded.
            self._tell_silence(subject, effect.payment_hash, error)
        else:
            self._follow(subject, effect.payment_hash)

    def _is_wanted(self, subject: RecurrenceId, payment_hash: PaymentHash) -> bool:
        """Whether this payment is still the one to make.

        A deed that was done before a crash is done again; by then its payment may have failed and a new invoice be on
        its way. Paying the old one too would start a second payment for one period (P1).
        """
        stored = self._manager.outbound(subject)
        payment = None if stored is None else stored.state.payment
        return payment is not None and payment.payment_hash == payment_hash and payment.next_try is None

    async def _ask_status(self, subject: RecurrenceId, payment_hash: PaymentHash) -> None:
        try:
            sent = await self._node.sent(payment_hash)
        except Unavailable as error:
            self._tell_silence(subject, payment_hash, error)
            return  # the machine asks again when its time has come
        self._tell(subject, payment_hash, sent)
        if sent.state is SentState.PENDING:
            self._follow(subject, payment_hash)

    def _tell_silence(self, subject: RecurrenceId, payment_hash: PaymentHash, error: Unavailable) -> None:
        _LOG.warning("payment %s: %s", payment_hash.hex(), error)
        told = str(error)
        self._on_silence()
        self._payer.apply(subject, lambda: NodeSilent(payment_hash, told))

    def _follow(self, subject: RecurrenceId, payment_hash: PaymentHash) -> None:
        """Wait in the background for the end of a payment, so that it is known as soon as the node knows it."""
        if payment_hash in self._followed:
            return

        async def follow() -> None:
            try:
                self._tell(subject, payment_hash, await self._node.follow(payment_hash))
            finally:
                del self._followed[payment_hash]

        task = asyncio.get_running_loop().create_task(follow(), name=f"follow {payment_hash.hex()[:16]}")
        self._followed[payment_hash] = task
        task.add_done_callback(_log_failure)

    def _tell(self, subject: RecurrenceId, payment_hash: PaymentHash, sent: Sent) -> None:
        event: Event
        if sent.state is SentState.SUCCEEDED and sent.preimage is not None:
            event = PaymentSettled(payment_hash, sent.preimage, sent.fee_msat, self._entropy.take(8))
        elif sent.state is SentState.FAILED:
            reason = "failed" if sent.reason is None else sent.reason.value
            event = PaymentFailed(payment_hash, reason, sent.retryable, self._entropy.take(8))
        elif sent.state is SentState.UNKNOWN:
            event = PaymentUnknown(payment_hash, self._entropy.take(8))
        else:
            return
        self._payer.apply(subject, lambda: event)

    # --- money coming in ---------------------------------------------------------------------------------------------

    async def _claim(self, effect: Claim) -> None:
        try:
            await self._node.claim(effect.preimage)
        except Rejected as error:
            # Its receipt says what became of it: canceled, and then the period is free again.
            _LOG.warning("payment %s could not be claimed: %s", effect.payment_hash.hex(), error)


def pay_order(effect: Pay) -> PayOrder:
    """What the money node needs to know of an accepted invoice."""
    invoice = read_invoice(effect.invoice)
    features = int.from_bytes(invoice.invoice_features or b"", "big")
    paths = tuple(
        PaymentPath(
            path,
            Msat(info.fee_base_msat),
            info.fee_proportional_millionths,
            info.cltv_expiry_delta,
            Msat(info.htlc_minimum_msat),
            Msat(info.htlc_maximum_msat),
        )
        for path, info in invoice.payment_paths
    )
    return PayOrder(
        payment_hash=effect.payment_hash,
        amount_msat=effect.amount_msat,
        max_fee_msat=effect.max_fee_msat,
        paths=paths,
        payee=invoice.node_id,
        expires_at=invoice.expires_at,
        invoice=effect.invoice,
        description=invoice.description or "",
        may_split=bool(features & _MPP),
        must_split=bool(features & _MPP_COMPULSORY),
    )


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.warning("%s: %s", task.get_name(), error)
