"""Carries BOLT 12 messages between services and peers: finds a way, wraps, sends, unwraps, hands out.

Nothing here is remembered on disk: an onion message may be lost at any time, and whoever needs an answer asks again.
What arrives is handed to the payee (requests) or to the payer (answers) together with what the messenger proved of it;
whether its path_id means anything is for them to decide.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from lnrecur.bolt12.offer import Offer
from lnrecur.errors import LnrecurError
from lnrecur.messaging.errors import MessagingError
from lnrecur.messaging.messenger import (
    ENTROPY_SIZE,
    ContentsKind,
    Delivered,
    Destination,
    DirectDestination,
    Forward,
    MessageContents,
    Messenger,
)
from lnrecur.ports import Entropy, MessageRouter, PeerAddress, PeerLink, PeerUnreachable
from lnrecur.values import NodeId
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.messages import OnionMessage

_LOG = logging.getLogger("lnrecur.courier")

Recipient = Callable[[Delivered, MessageContents], Awaitable[None]]
ReplyPathMaker = Callable[[Sequence[NodeId]], BlindedPath]
"""Makes our reply path, given the peers an answer should come through (none: straight to us)."""


class Courier:
    """One messaging node's post office."""

    def __init__(self, messenger: Messenger, link: PeerLink, router: MessageRouter, entropy: Entropy) -> None:
        self._messenger = messenger
        self._link = link
        self._router = router
        self._entropy = entropy
        self._recipients: dict[ContentsKind, Recipient] = {}
        link.on_message(self._arrived)

    @property
    def messenger(self) -> Messenger:
        """For making paths that end here."""
        return self._messenger

    def deliver_to(self, kind: ContentsKind, recipient: Recipient) -> None:
        """Name who gets messages of a kind."""
        self._recipients[kind] = recipient

    async def send_to_offer(
        self,
        offer: Offer,
        contents: MessageContents,
        reply_path: ReplyPathMaker | None,
        addresses: Sequence[PeerAddress],
    ) -> None:
        """Send to the issuer of an offer, along any of its paths that can be used.

        Raises:
            PeerUnreachable: there is no way; the text says what was tried for each path.
        """
        tried = []
        for destination in _destinations(offer):
            try:
                await self.send(destination, contents, reply_path, addresses)
            except PeerUnreachable as error:
                tried.append(str(error))
            else:
                return
        raise PeerUnreachable("; ".join(tried) or "the offer names nobody to ask")

    async def send(
        self,
        destination: Destination,
        contents: MessageContents,
        reply_path: ReplyPathMaker | None = None,
        addresses: Sequence[PeerAddress] = (),
    ) -> None:
        """Send one message; `addresses` may be dialled to get there.

        Raises:
            PeerUnreachable: there is no way, or the destination is unusable.
        """
        try:
            via = await self._way_to(self._messenger.entry(destination), addresses)
            path = None if reply_path is None else reply_path(via[:1])
            entropy = self._entropy.take(ENTROPY_SIZE)
            outgoing = self._messenger.compose(destination, contents, entropy, path, via)
        except MessagingError as error:
            raise PeerUnreachable(f"no message can be sent there: {error}") from error
        await self._link.send(outgoing.first_hop, outgoing.message)

    async def _way_to(self, entry: NodeId, addresses: Sequence[PeerAddress]) -> list[NodeId]:
        """The nodes to pass before `entry`, the first of them connected; empty if `entry` is a peer itself."""
        if entry in self._link.peers():
            return []
        known = self._router.address(entry)
        tried = []
        for address in (*addresses, *(() if known is None else (known,))):
            try:
                await self._link.reach(address)
            except PeerUnreachable as error:
                tried.append(str(error))
            else:
                return [] if address.node_id == entry else [address.node_id]
        route = self._router.route(entry, self._link.peers())
        if route is not None:
            return list(route[:-1])
        told = "; ".join(tried) or "it is no peer of ours, and no address of it is known"
        raise PeerUnreachable(f"no way to {entry.hex()}: {told}")

    async def _arrived(self, peer: NodeId, message: OnionMessage) -> None:
        """What the link hands over. Whatever is wrong with it is the sender's loss and stops here."""
        try:
            opened = self._messenger.receive(message)
        except MessagingError as error:
            _LOG.debug("onion message from %s ignored: %s", peer.hex(), error)
            return
        if isinstance(opened, Forward):
            _LOG.debug("onion message from %s to somebody else dropped: we do not relay", peer.hex())
            return
        if opened.contents is None:
            return
        recipient = self._recipients.get(opened.contents.kind)
        if recipient is None:
            return
        try:
            await recipient(opened, opened.contents)
        except LnrecurError as error:
            _LOG.warning("%s from %s not handled: %s", opened.contents.kind.name.lower(), peer.hex(), error)


def _destinations(offer: Offer) -> Sequence[Destination]:
    if offer.paths:
        return offer.paths
    return (DirectDestination(NodeId(offer.issuer_id)),) if offer.issuer_id is not None else ()
