"""A peer without services: it sends what it is told, keeps what it gets, and has no money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lnrecur.bolt12 import Offer, VerifiedInvoiceRequest, fields
from lnrecur.bolt12.invoice_request import write_invoice_request
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.errors import MessagingError
from lnrecur.messaging.messenger import (
    ContentsKind,
    Delivered,
    Destination,
    DirectDestination,
    MessageContents,
    Messenger,
)
from lnrecur.messaging.peer import PeerSettings
from lnrecur.service.keyring import Keyring
from lnrecur.values import REGTEST, NodeId
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.messages import OnionMessage
from peers.ldk.house import ENTROPY, address_of, eventually, new_link
from peers.ldk.sidecar import LdkSidecar


class Hand:
    """Use `Hand.reach`, and `close` at the end."""

    def __init__(self, settings: PeerSettings | None = None) -> None:
        keyring = Keyring.derive(ENTROPY.take(32))
        self.node_id = keyring.node_id
        self.messenger = Messenger(keyring.identity)
        self.payer_key = PrivateKey(ENTROPY.take(32))
        self.link = new_link(keyring, settings)
        self.link.on_message(self._arrived)
        self.got: list[Delivered] = []
        self.unreadable: list[MessagingError] = []

    @classmethod
    async def reach(cls, ldk: LdkSidecar, settings: PeerSettings | None = None) -> Hand:
        hand = cls(settings)
        await hand.link.reach(address_of(ldk))
        return hand

    async def close(self) -> None:
        await self.link.close()

    def path_to_me(self, via: Sequence[NodeId], path_id: bytes = bytes(32)) -> BlindedPath:
        return self.messenger.reply_path(path_id, PrivateKey(ENTROPY.take(32)), via)

    async def say(
        self,
        to: Destination,
        kind: ContentsKind,
        data: bytes,
        *,
        through: Sequence[NodeId] = (),
        back: Sequence[NodeId] | None = None,
    ) -> None:
        """Send one message `through` these nodes; an answer may come `back` over those (None: nowhere)."""
        reply = None if back is None else self.path_to_me(back)
        contents = MessageContents(kind, data)
        out = self.messenger.compose(to, contents, ENTROPY.take(64), reply, through)
        await self.link.send(out.first_hop, out.message)

    async def ask(self, offer: Offer, request: VerifiedInvoiceRequest, **ways: Any) -> MessageContents:
        """Send a request to the issuer of an offer; answers what comes back."""
        before = len(self.got)
        to = offer.paths[0] if offer.paths else DirectDestination(NodeId(offer.issuer_id or b""))
        await self.say(to, ContentsKind.INVOICE_REQUEST, request.to_bytes(), **ways)
        await eventually(lambda: len(self.got) > before)
        contents = self.got[before].contents
        assert contents is not None
        return contents

    def request(self, offer: Offer, **extra: Any) -> VerifiedInvoiceRequest:
        """A request for an offer, by this hand's payer key; another one at every call."""
        values = {
            fields.INVREQ_METADATA: ENTROPY.take(16),
            fields.INVREQ_CHAIN: REGTEST,
            fields.INVREQ_PAYER_ID: self.payer_key.point,
            **{getattr(fields, name): value for name, value in extra.items()},
        }
        return write_invoice_request(offer, values, offer.dialect).sign(self.payer_key)

    async def _arrived(self, peer: NodeId, message: OnionMessage) -> None:
        try:
            opened = self.messenger.receive(message)
        except MessagingError as error:
            self.unreadable.append(error)
            return
        assert isinstance(opened, Delivered)
        self.got.append(opened)
