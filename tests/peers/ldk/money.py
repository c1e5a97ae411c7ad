"""`ports.MoneyNode` on a real LDK node, for the tests: it remembers nothing beyond its process.

LDK 0.1 insists on payment paths that it made itself: it finds its own seal in their last blob, which a path made from
public data alone cannot carry. So `register` hands back a finished path. Invoices of others LDK pays over the payment
paths that it reads out of a bolt12 invoice; because it reads none with an even field it does not know (a compulsory
recurrence), the paths travel to it in a plain invoice made for the purpose, signed with a key that means nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lnrecur.bolt12 import OfferTerms, fields, write_offer
from lnrecur.bolt12.codecs import BlindedPayinfo
from lnrecur.bolt12.errors import WritingError
from lnrecur.bolt12.invoice import write_invoice
from lnrecur.bolt12.invoice_request import write_invoice_request
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.ports import (
    Clock,
    FailureReason,
    InboundEdge,
    NodeInfo,
    PaymentPath,
    PayOrder,
    Receipt,
    Receivable,
    Received,
    ReceivedState,
    ReceiveOrder,
    Rejected,
    Sent,
    SentState,
    Unavailable,
)
from lnrecur.values import REGTEST, ZERO_MSAT, Msat, PaymentHash, Point, Preimage
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath
from peers.ldk.sidecar import LdkRefused, LdkSidecar, Told

FINAL_CLTV_DELTA: Final = 24
"""What LDK demands at the least (its MIN_FINAL_CLTV_EXPIRY_DELTA)."""
_MONTH_BLOCKS: Final = 4320
_MAX_MSAT: Final = 21_000_000 * 100_000_000 * 1000
_ANSWER_SECONDS: Final = 20
_CURSOR: Final = "ldk:"
_REASONS: Final = {
    "RecipientRejected": FailureReason.REFUSED_BY_PAYEE,
    "RouteNotFound": FailureReason.NO_ROUTE,
    "PaymentExpired": FailureReason.EXPIRED,
}
_CARRIER = PrivateKey(sha256(b"signs the invoices that only carry payment paths to LDK"))


@dataclass(slots=True)
class _Incoming:
    order: ReceiveOrder
    receivable: Receivable
    state: ReceivedState = ReceivedState.OPEN
    amount_msat: Msat = ZERO_MSAT


@dataclass(slots=True)
class _Outgoing:
    sent: Sent
    tries: int = 1


class LdkMoneyNode:
    """See `lnrecur.ports.MoneyNode`."""

    def __init__(self, ldk: LdkSidecar, clock: Clock) -> None:
        self._ldk = ldk
        self._clock = clock
        self._incoming: dict[PaymentHash, _Incoming] = {}
        self._outgoing: dict[PaymentHash, _Outgoing] = {}
        self._receipts: list[Receipt] = []
        self._news = asyncio.Event()
        self._deeds: set[asyncio.Task[Any]] = set()
        self._leave = ldk.watch(self._told)

    async def close(self) -> None:
        """Fail back what is held and hear no more: the LDK node outlives this adapter."""
        for payment_hash, found in self._incoming.items():
            if found.state is ReceivedState.CLAIMABLE:
                await self.cancel(payment_hash)
        await asyncio.gather(*self._deeds)
        await self._ldk.until("channels", lambda channels: not any(one["htlcs"] for one in channels))
        self._leave()

    # --- who it is

    async def info(self) -> NodeInfo:
        height = await self._ldk.call("blocks", count=0)
        kind = self._ldk.version.banner
        return NodeInfo(self._ldk.node_id, REGTEST, height, can_hold=True, kind=kind)

    async def inbound_edges(self) -> Sequence[InboundEdge]:
        return []

    async def balance(self) -> Msat:
        """What it can send in one payment, once nothing is under way between the two ends of a channel."""
        channels = await self._ldk.until("channels", lambda channels: not any(one["moving"] for one in channels))
        return Msat(sum(channel["next_outbound_msat"] for channel in channels if channel["usable"]))

    # --- the payee's side

    async def register(self, order: ReceiveOrder) -> Receivable:
        payment_hash = PaymentHash(sha256(order.preimage))
        known = self._incoming.get(payment_hash)
        if known is not None:
            if known.order != order:
                raise Rejected(f"the preimage of {payment_hash.hex()} is registered with other terms")
            return known.receivable
        if len(order.preimage) != 32 or not 0 < order.amount_msat <= _MAX_MSAT:
            raise Rejected("no preimage of 32 bytes, or an amount that cannot be")
        if self._clock.now() > order.expires_at:
            raise Rejected(f"the receive order expired at {order.expires_at}")
        told = await self._ldk.call(
            "register",
            payment_hash=payment_hash.hex(),
            amount_msat=order.amount_msat,
            expires_in_s=order.expires_at - self._clock.now() + 1,
            final_cltv=FINAL_CLTV_DELTA,
            max_cltv=(await self.info()).block_height + _MONTH_BLOCKS,
        )
        secret = bytes.fromhex(told["payment_secret"])
        receivable = Receivable(payment_hash, secret, FINAL_CLTV_DELTA, (_path(told["path"]),))
        self._incoming[payment_hash] = _Incoming(order, receivable)
        return receivable

    async def received(self, payment_hash: PaymentHash) -> Received:
        found = self._touch(payment_hash)
        if found is None:
            return Received(ReceivedState.UNKNOWN)
        return Received(found.state, found.amount_msat, found.order.context)

    async def claim(self, preimage: Preimage) -> None:
        payment_hash = PaymentHash(sha256(preimage))
        found = self._touch(payment_hash)
        if found is None:
            raise Rejected("no receivable was registered with this preimage")
        if found.state is ReceivedState.CLAIMED:
            return
        if found.state is not ReceivedState.CLAIMABLE:
            raise Rejected(f"nothing to claim for {payment_hash.hex()}: it is {found.state}")
        mark = self._ldk.mark()
        await self._ldk.call("claim", preimage=preimage.hex())
        try:
            await self._ldk.event(mark, "payment_claimed", within=_ANSWER_SECONDS, payment_hash=payment_hash.hex())
        except TimeoutError as error:
            raise Unavailable("LDK did not say that it claimed") from error

    async def cancel(self, payment_hash: PaymentHash) -> bool:
        found = self._touch(payment_hash)
        if found is None or found.state is ReceivedState.CANCELED:
            return True
        if found.state is ReceivedState.CLAIMED:
            return False
        if found.state is ReceivedState.CLAIMABLE:
            await self._ldk.call("fail", payment_hash=payment_hash.hex())
        self._turn(found, ReceivedState.CANCELED, ZERO_MSAT)
        return True

    async def receipts(
        self, cursor: str | None, on_caught_up: Callable[[], None] | None = None
    ) -> AsyncIterator[Receipt]:
        number = "0" if cursor is None else cursor.removeprefix(_CURSOR)
        if cursor is not None and not (cursor.startswith(_CURSOR) and number.isdecimal()):
            raise UsageError(f"no cursor of this LDK: {cursor!r}", field="cursor")
        told = int(number)
        while True:
            while told < len(self._receipts):
                told += 1
                yield self._receipts[told - 1]
            if on_caught_up is not None:
                on_caught_up()
            await self._next_news()

    # --- the payer's side

    async def pay(self, order: PayOrder) -> None:
        if len(order.payment_hash) != 32 or not 0 < order.amount_msat <= _MAX_MSAT:
            raise Rejected("no payment_hash of 32 bytes, or an amount that cannot be")
        if order.payment_hash in self._incoming:
            raise Rejected("this node does not pay itself")
        known = self._outgoing.get(order.payment_hash)
        if known is not None and known.sent.state is not SentState.FAILED:
            return
        tries = 1 if known is None else known.tries + 1
        payment = self._outgoing[order.payment_hash] = _Outgoing(Sent(SentState.PENDING), tries)
        failed = self._impossible(order, await self.balance())
        if failed is None:
            failed = await self._send(order, payment)
        if failed is not None:
            self._end(payment, failed)

    def _impossible(self, order: PayOrder, spendable: Msat) -> Sent | None:
        """What LDK would not try, or would call by no better name than "no route"."""
        if self._clock.now() > order.expires_at:
            return _failed(FailureReason.EXPIRED)
        if not order.paths:
            return _failed(FailureReason.NO_ROUTE, retryable=True)
        if not _admitting(order):
            return _failed(FailureReason.OTHER)
        if min(map(_fee_of(order.amount_msat), _admitting(order))) > order.max_fee_msat:
            return _failed(FailureReason.FEE_LIMIT)
        if order.amount_msat > spendable:
            return _failed(FailureReason.INSUFFICIENT_FUNDS, retryable=True)
        return None

    async def _send(self, order: PayOrder, payment: _Outgoing) -> Sent | None:
        try:
            carrier = _carrier(order, _admitting(order))
            await self._ldk.call(
                "pay",
                payment_hash=order.payment_hash.hex(),
                payment_id=sha256(order.payment_hash, bytes([payment.tries])).hex(),
                invoice=carrier.hex(),
                amount_msat=order.amount_msat,
                max_fee_msat=order.max_fee_msat,
            )
        except LdkRefused as error:
            if "RouteNotFound" in str(error):
                return _failed(FailureReason.NO_ROUTE, retryable=True)
            return _failed(FailureReason.OTHER)
        except WritingError:
            return _failed(FailureReason.OTHER)  # a path of points that are none
        return None

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        found = self._outgoing.get(payment_hash)
        return Sent(SentState.UNKNOWN) if found is None else found.sent

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        while (sent := await self.sent(payment_hash)).state is SentState.PENDING:
            await self._next_news()
        return sent

    # --- what LDK tells

    def _told(self, event: Told) -> None:
        payment_hash = PaymentHash(bytes.fromhex(event.get("payment_hash") or ""))
        match event["event"]:
            case "payment_claimable":
                self._arrived(payment_hash, Msat(event["amount_msat"]))
            case "payment_claimed" if (found := self._incoming.get(payment_hash)) is not None:
                self._turn(found, ReceivedState.CLAIMED, Msat(event["amount_msat"]))
            case "payment_sent" if (payment := self._outgoing.get(payment_hash)) is not None:
                preimage = Preimage(bytes.fromhex(event["preimage"]))
                self._end(payment, Sent(SentState.SUCCEEDED, preimage, Msat(event["fee_msat"])))
            case "payment_failed" if (payment := self._outgoing.get(payment_hash)) is not None:
                self._end(payment, _failed(_REASONS.get(event["reason"], FailureReason.OTHER)))

    def _arrived(self, payment_hash: PaymentHash, amount: Msat) -> None:
        """Hold what was awaited; anything else goes back, which LDK leaves to its user."""
        found = self._touch(payment_hash)
        if found is None or found.state is not ReceivedState.OPEN or amount > 2 * found.order.amount_msat:
            deed = asyncio.ensure_future(self._ldk.call("fail", payment_hash=payment_hash.hex()))
            self._deeds.add(deed)
            deed.add_done_callback(self._deeds.discard)
            return
        self._turn(found, ReceivedState.CLAIMABLE, amount)

    def _touch(self, payment_hash: PaymentHash) -> _Incoming | None:
        found = self._incoming.get(payment_hash)
        if found is not None and found.state is ReceivedState.OPEN and self._clock.now() > found.order.expires_at:
            self._turn(found, ReceivedState.CANCELED, ZERO_MSAT)
        return found

    def _turn(self, incoming: _Incoming, state: ReceivedState, amount: Msat) -> None:
        incoming.state, incoming.amount_msat = state, amount
        cursor = f"{_CURSOR}{len(self._receipts) + 1}"
        payment_hash, context = incoming.receivable.payment_hash, incoming.order.context
        self._receipts.append(Receipt(cursor, payment_hash, state, amount, context, self._clock.now()))
        self._tell_news()

    def _end(self, payment: _Outgoing, sent: Sent) -> None:
        payment.sent = sent
        self._tell_news()

    def _tell_news(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _next_news(self) -> None:
        await self._news.wait()


def _failed(reason: FailureReason, *, retryable: bool = False) -> Sent:
    return Sent(SentState.FAILED, reason=reason, retryable=retryable)


def _admitting(order: PayOrder) -> list[PaymentPath]:
    return [path for path in order.paths if path.htlc_minimum_msat <= order.amount_msat <= path.htlc_maximum_msat]


def _fee_of(amount: Msat) -> Callable[[PaymentPath], int]:
    return lambda path: path.fee_base_msat + amount * path.fee_proportional_millionths // 1_000_000


def _carrier(order: PayOrder, paths: Sequence[PaymentPath]) -> bytes:
    """An invoice that LDK can read, with the payment paths of one that it perhaps cannot."""
    offer = write_offer(OfferTerms(chains=(REGTEST,), issuer_id=_CARRIER.point))
    asked = {
        fields.INVREQ_METADATA: order.payment_hash,
        fields.INVREQ_CHAIN: REGTEST,
        fields.INVREQ_AMOUNT: order.amount_msat,
        fields.INVREQ_PAYER_ID: _CARRIER.point,
    }
    payinfo = [
        BlindedPayinfo(
            path.fee_base_msat,
            path.fee_proportional_millionths,
            path.cltv_expiry_delta,
            path.htlc_minimum_msat,
            path.htlc_maximum_msat,
        )
        for path in paths
    ]
    values = {
        fields.INVOICE_PATHS: tuple(path.path for path in paths),
        fields.INVOICE_BLINDEDPAY: tuple(payinfo),
        fields.INVOICE_CREATED_AT: 1,
        fields.INVOICE_PAYMENT_HASH: order.payment_hash,
        fields.INVOICE_AMOUNT: order.amount_msat,
        fields.INVOICE_NODE_ID: _CARRIER.point,
    }
    request = write_invoice_request(offer, asked, None).sign(_CARRIER)
    return write_invoice(request, values).sign(_CARRIER).to_bytes()


def _path(told: Told) -> PaymentPath:
    hops = tuple(BlindedHop(Point(bytes.fromhex(node)), bytes.fromhex(data)) for node, data in told["hops"])
    path = BlindedPath(Point(bytes.fromhex(told["introduction"])), Point(bytes.fromhex(told["path_key"])), hops)
    return PaymentPath(
        path,
        Msat(told["fee_base_msat"]),
        told["fee_proportional_millionths"],
        told["cltv_expiry_delta"],
        Msat(told["htlc_minimum_msat"]),
        Msat(int(told["htlc_maximum_msat"])),
    )
