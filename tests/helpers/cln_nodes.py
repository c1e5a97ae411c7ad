"""Core Lightning nodes on a rig: the models of issuer and payer, with a link, onion messages, and play money."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from helpers.cln_issuer import ClnIssuer, Label, Refused, Stored, Version, framed
from helpers.cln_payer import ClnPayer
from lnrecur.bolt12 import Dialect, Invoice, InvoiceRequest, Offer, OfferTerms, Recurrence
from lnrecur.bolt12.invoice_error import read_invoice_error, write_invoice_error
from lnrecur.bolt12.offer import write_offer
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.messenger import ContentsKind, Delivered, DirectDestination, MessageContents, Messenger
from lnrecur.ports import ReceivedState, SentState
from lnrecur.recurrence.effects import IssueInvoice, Pay
from lnrecur.service.invoicing import Invoicer
from lnrecur.service.keyring import Keyring
from lnrecur.service.performer import pay_order
from lnrecur.testing.memory_node import MemoryMoneyNode
from lnrecur.testing.rig import Rig
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.values import REGTEST, Msat, NodeId, PaymentHash, Preimage, UnixSeconds
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.messages import OnionMessage

PRICE = Msat(10_000)
FEES = Msat(1000)
PATIENCE_S = 30
"""How long `fetchinvoice` waits, here."""


class _Node:
    """What both have: a key, a place in the network, and money."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.rig = rig
        self.key = PrivateKey(sha256(b"core lightning", name.encode()))
        self.messenger = Messenger(self.key)
        self.account = MemoryMoneyNode(rig.ledger, self.key, rig.clock)
        self.entropy = SeededEntropy(int.from_bytes(sha256(name.encode())[:8], "big"))
        self.link = rig.network.link(self.node_id)
        self.link.on_message(self._arrived)

    @property
    def node_id(self) -> NodeId:
        return self.messenger.node_id

    async def send(
        self, to: DirectDestination | BlindedPath, kind: ContentsKind, data: bytes,
        *, reply: BlindedPath | None = None, via: Sequence[NodeId] = (),
    ) -> None:  # fmt: skip
        out = self.messenger.compose(to, MessageContents(kind, data), self.entropy.take(64), reply, via)
        if out.first_hop in self.link.peers():
            await self.link.send(out.first_hop, out.message)

    async def _arrived(self, peer: NodeId, message: OnionMessage) -> None:
        opened = self.messenger.receive(message)
        if isinstance(opened, Delivered) and opened.contents is not None:
            await self.got(opened, opened.contents)

    async def got(self, delivered: Delivered, contents: MessageContents) -> None:
        raise NotImplementedError


class ClnIssuerNode(_Node):
    """Sells subscriptions of its own. Use it as an async context manager: it takes payments meanwhile."""

    def __init__(self, rig: Rig, version: Version = Version.V26_06, name: str = "issuer") -> None:
        super().__init__(rig, name)
        self.model = ClnIssuer(version)
        self.requests: list[bytes] = []
        """All that it got, cancels too."""
        self._invoicer = Invoicer(self.account, Keyring.derive(sha256(name.encode())))
        self._preimages: dict[PaymentHash, tuple[Preimage, Label]] = {}
        self._taking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._taking = asyncio.get_running_loop().create_task(self._take())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._taking is not None
        self._taking.cancel()
        await asyncio.gather(self._taking, return_exceptions=True)

    def publish(self, recurrence: Recurrence, **changes: Any) -> Offer:
        """`lightning-cli offer`: its numbers, its node id, no metadata."""
        terms = OfferTerms(
            chains=(REGTEST,), amount=PRICE, description="coffee", issuer_id=self.key.point,
            recurrence=replace(recurrence, dialect=Dialect.CLN),
        )  # fmt: skip
        offer = write_offer(replace(terms, **changes))
        self.model.publish(offer.offer_id)
        return offer

    async def got(self, delivered: Delivered, contents: MessageContents) -> None:
        if contents.kind is not ContentsKind.INVOICE_REQUEST:
            return
        self.requests.append(contents.data)
        answer = self.model.asked(contents.data, self.rig.clock.now())
        if answer is None or delivered.reply_path is None:
            return
        if isinstance(answer, Refused):
            error = write_invoice_error(framed(contents.data, answer.text)).to_bytes()
            await self.send(delivered.reply_path, ContentsKind.INVOICE_ERROR, error)
            return
        if answer.data is None:
            await self._write(answer)
        assert answer.data is not None
        await self.send(delivered.reply_path, ContentsKind.INVOICE, answer.data)

    async def _write(self, stored: Stored) -> None:
        preimage = Preimage(self.entropy.take(32))
        issued = IssueInvoice(
            counter=stored.request.counter,
            start=stored.request.start,
            basetime=None if stored.basetime is None else UnixSeconds(stored.basetime),
            amount_msat=Msat(stored.amount_msat),
            created_at=UnixSeconds(stored.created_at),
            expires_at=UnixSeconds(stored.expires_at),
            preimage=preimage,
        )
        invoice = await self._invoicer.make(stored.request.verify_signature(), issued, self.key)
        self._preimages[invoice.payment_hash] = preimage, stored.label
        stored.data = invoice.to_bytes()

    async def _take(self) -> None:
        async for receipt in self.account.receipts(None):
            if receipt.state is ReceivedState.CLAIMABLE:
                preimage, label = self._preimages[receipt.payment_hash]
                if self.model.invoices[label].status(self.rig.clock.now()) != "unpaid":
                    await self.account.cancel(receipt.payment_hash)
                    continue
                await self.account.claim(preimage)
                self.model.paid(label)

    def paid_counters(self, offer: Offer, payer_id: bytes) -> list[int]:
        """What it was paid for by this payer."""
        return sorted(
            label.counter for label, stored in self.model.invoices.items()
            if stored.paid and (label.offer_id, label.payer_id) == (offer.offer_id, payer_id)
        )  # fmt: skip


class ClnPayerNode(_Node):
    """Pays offers with `fetchinvoice` and `pay`, as a person with a shell would."""

    def __init__(self, rig: Rig, version: Version = Version.V26_06, name: str = "payer") -> None:
        super().__init__(rig, name)
        self.model = ClnPayer(self.key, sha256(b"makesecret", name.encode()), version)
        self._answers: dict[bytes, MessageContents] = {}

    async def got(self, delivered: Delivered, contents: MessageContents) -> None:
        if delivered.path_id is not None:
            self._answers.setdefault(delivered.path_id, contents)

    async def fetch(
        self, offer: Offer, label: str, counter: int, *, start: int | None = None, via: Sequence[NodeId] = (),
        note: str | None = None,
    ) -> Invoice | str | None:  # fmt: skip
        """`fetchinvoice`: the invoice, the text of the refusal, or None after a while of silence.

        `via`: the nodes between it and the issuer. The reply path begins at the last of them.

        Raises:
            ClnError: it does not ask that, or does not take the invoice.
        """
        request = self.model.fetch(offer, label, counter, self.rig.clock.now(), start=start, note=note)
        answer = await self._ask(offer, request, via)
        if answer is None:
            return None
        if answer.kind is ContentsKind.INVOICE_ERROR:
            return read_invoice_error(answer.data).text
        return self.model.accept(offer, label, request, answer.data)

    async def cancel(self, offer: Offer, label: str, counter: int, *, start: int | None = None) -> None:
        """`cancelrecurringinvoice`: nothing comes back."""
        request = self.model.fetch(offer, label, counter, self.rig.clock.now(), start=start, cancel=True)
        await self.send(self._issuer(offer), ContentsKind.INVOICE_REQUEST, request)
        await self.rig.run_for(1)

    async def _ask(self, offer: Offer, request: bytes, via: Sequence[NodeId]) -> MessageContents | None:
        path_id = self.entropy.take(32)
        reply = self.messenger.reply_path(path_id, PrivateKey(self.entropy.take(32)), via)
        to = self._issuer(offer)
        await self.send(to, ContentsKind.INVOICE_REQUEST, request, reply=reply, via=via)
        until = self.rig.clock.now() + PATIENCE_S
        await self.rig.run_until(until, stop=lambda: path_id in self._answers)
        return self._answers.get(path_id)

    def _issuer(self, offer: Offer) -> DirectDestination | BlindedPath:
        return offer.paths[0] if offer.paths else DirectDestination(NodeId(offer.issuer_id or b""))

    async def pay(self, invoice: Invoice) -> SentState:
        """`pay` with the label under which the invoice was fetched."""
        effect = Pay(invoice.payment_hash, invoice.to_bytes(), invoice.invoice_amount, FEES)
        await self.account.pay(pay_order(effect))
        await self.rig.settle()
        state = (await self.account.sent(invoice.payment_hash)).state
        if state is SentState.SUCCEEDED:
            self.model.paid(invoice.payment_hash)
        return state

    def payer_id(self, offer: Offer, label: str) -> bytes:
        """What the payee knows it by: another one under every label."""
        start = None if offer.recurrence is None or offer.recurrence.base is None else 0
        request = self.model._write(offer, label, 0, start, None, cancel=False)
        return InvoiceRequest.from_bytes(request).payer_id
