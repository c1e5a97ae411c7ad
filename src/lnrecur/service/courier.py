"""Carries BOLT 12 messages between services and peers: finds a way, wraps, sends, unwraps, hands out, passes on.

Nothing here is remembered on disk: an onion message may be lost at any time, and whoever needs an answer asks again.
What arrives is handed to the payee (requests) or to the payer (answers) together with what the messenger proved of it;
whether its path_id means anything is for them to decide.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from lnrecur.bolt12.offer import Offer
from lnrecur.crypto.keys import PrivateKey, derive_key
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
from lnrecur.messaging.pacing import Pace
from lnrecur.messaging.relay import RelayGate, RelayLimits, RelayVerdict
from lnrecur.ports import Clock, Entropy, MessageRouter, PeerAddress, PeerLink, PeerUnreachable
from lnrecur.service.dispatcher import Dispatcher
from lnrecur.service.ways import Way, WayFinder, in_turn
from lnrecur.values import NodeId
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.messages import OnionMessage

_LOG = logging.getLogger("lnrecur.courier")

Recipient = Callable[[Delivered, MessageContents, NodeId], Awaitable[None]]
"""Called with the peer that brought the message."""


@dataclass(frozen=True, slots=True)
class MessageSettings:
    """How a node deals with onion messages."""

    pace: Pace | None = field(default_factory=Pace)
    """How fast messages go to each peer; None sends everything at once."""
    relay: RelayLimits | None = None
    """How much is passed on for others; None: nothing."""
    dummy_hops: int = 0
    """Hops to ourselves at the end of our own blinded paths, which hide how long they are."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """What a reply path of ours is made of. `secret` serves this path_id alone."""

    path_id: bytes
    secret: PrivateKey


class Courier:
    """One messaging node's post office."""

    def __init__(
        self,
        messenger: Messenger,
        link: PeerLink,
        router: MessageRouter,
        entropy: Entropy,
        clock: Clock,
        settings: MessageSettings | None = None,
    ) -> None:
        self._settings = settings or MessageSettings()
        self._messenger = messenger
        self._link = link
        self._entropy = entropy
        self._clock = clock
        self._ways = WayFinder(messenger, link, router)
        self._recipients: dict[ContentsKind, Recipient] = {}
        self.dispatcher = Dispatcher(link, clock, self._settings.pace)
        """What waits to be sent."""
        self.relay = RelayGate(self._settings.relay)
        """What became of messages for others."""
        link.on_message(self._arrived)

    @property
    def messenger(self) -> Messenger:
        """For making paths that end here."""
        return self._messenger

    def peers(self) -> frozenset[NodeId]:
        """The connected peers that take onion messages."""
        return self._link.peers()

    async def close(self) -> None:
        """Forget what waits to be sent."""
        await self.dispatcher.close()

    def path_to_us(self, path_id: bytes, secret: PrivateKey, via: Sequence[NodeId]) -> BlindedPath:
        """A blinded path that ends here and brings `path_id` back; always the same for the same arguments.

        Args:
            path_id: 32 bytes.
            secret: for this purpose alone; the key of each path follows from it and from the nodes of the path, for
                a key that served two paths would seal two texts with one nonce.
            via: the nodes before us, the introduction first.

        Raises:
            UsageError, DestinationUnusable: see `Messenger.reply_path`.
        """
        dummy_hops = self._settings.dummy_hops
        session = derive_key(secret.secret, "path to us", bytes([dummy_hops]), *via)
        return self._messenger.reply_path(path_id, session, via, dummy_hops=dummy_hops)

    def deliver_to(self, kind: ContentsKind, recipient: Recipient) -> None:
        """Name who gets messages of a kind."""
        self._recipients[kind] = recipient

    # --- going out ---------------------------------------------------------------------------------------------------

    async def send_to_offer(
        self,
        offer: Offer,
        contents: MessageContents,
        reply_to: ReplyTo | None,
        addresses: Sequence[PeerAddress],
        *,
        conversation: bytes = b"",
        attempt: int = 1,
        over: NodeId | None = None,
    ) -> NodeId:
        """Send to the issuer of an offer, along the first of its paths that can be used; answers which peer took it.

        Args:
            offer: where to ask stands in it.
            contents: what is asked.
            reply_to: for the reply path, which runs back over the way that was taken.
            addresses: may be dialled to get there.
            conversation: what this message belongs to; conversations that wait for one peer take turns.
            attempt: 1 for the first; each further one begins with the next way, for the one before may be dead.
            over: the peer that shall take it, where only one will do.

        Raises:
            PeerUnreachable: there is no way; the text says what was tried for each path.
        """
        ways: list[Way] = []
        tried: list[str] = []
        for destination in _destinations(offer):
            try:
                ways += self._ways.ways(destination, addresses, over=over)
            except PeerUnreachable as error:
                tried.append(str(error))
        return await self._send_over(in_turn(ways, conversation, attempt), contents, reply_to, conversation, tried)

    async def answer(
        self,
        path: BlindedPath,
        contents: MessageContents,
        asked_by: NodeId,
        *,
        in_hiding: bool,
        conversation: bytes = b"",
        attempt: int = 1,
    ) -> None:
        """Send an answer along the reply path of a question.

        Args:
            path: the reply path.
            contents: what is answered.
            asked_by: the peer that brought the question.
            in_hiding: the question came over a blinded path of ours. Then the answer leaves by the peer that brought
                it, and by no other: who asked may have connected to many nodes, named itself in the reply path, and
                wait for the one that answers it directly.
            conversation: see `send_to_offer`.
            attempt: see `send_to_offer`.

        Raises:
            PeerUnreachable: there is no way, or the path is unusable.
        """
        hides = in_hiding and asked_by != self._messenger.node_id  # a path that begins at our own id hides nothing
        ways = self._ways.ways(path, over=asked_by if hides else None, asked_by=asked_by)
        await self._send_over(in_turn(ways, conversation, attempt), contents, None, conversation, [])

    async def _send_over(
        self,
        ways: Sequence[Way],
        contents: MessageContents,
        reply_to: ReplyTo | None,
        conversation: bytes,
        tried: list[str],
    ) -> NodeId:
        for way in ways:
            try:
                await self._ways.open(way)
                await self._hand_over(way, contents, reply_to, conversation)
            except PeerUnreachable as error:
                tried.append(str(error))
            else:
                return way.first_hop
        raise PeerUnreachable("; ".join(tried) or "the offer names nobody to ask")

    async def _hand_over(
        self, way: Way, contents: MessageContents, reply_to: ReplyTo | None, conversation: bytes
    ) -> None:
        try:
            path = None if reply_to is None else self.path_to_us(reply_to.path_id, reply_to.secret, way.back())
            entropy = self._entropy.take(ENTROPY_SIZE)
            outgoing = self._messenger.compose(way.destination, contents, entropy, path, way.via, way.channels)
        except MessagingError as error:
            raise PeerUnreachable(f"no message can be sent there: {error}") from error
        await self.dispatcher.send(outgoing.first_hop, outgoing.message, conversation)

    # --- coming in ---------------------------------------------------------------------------------------------------

    async def _arrived(self, peer: NodeId, message: OnionMessage) -> None:
        """What the link hands over. Whatever is wrong with it is the sender's loss and stops here."""
        try:
            opened = self._messenger.receive(message)
        except MessagingError as error:
            _LOG.debug("onion message from %s ignored: %s", peer.hex(), error)
            return
        if isinstance(opened, Forward):
            await self._pass_on(peer, opened)
            return
        await self.take(opened, peer)

    async def take(self, opened: Delivered, peer: NodeId) -> None:
        """Hand out a message that has been opened, by our messenger or by the host under whose id we speak."""
        if opened.contents is None:
            return
        recipient = self._recipients.get(opened.contents.kind)
        if recipient is None:
            return
        try:
            await recipient(opened, opened.contents, peer)
        except LnrecurError as error:
            _LOG.warning("%s from %s not handled: %s", opened.contents.kind.name.lower(), peer.hex(), error)

    async def _pass_on(self, sender: NodeId, forward: Forward) -> None:
        """A message for somebody else. Nobody hears what becomes of it."""
        next_node = self._ways.next_node(forward.next_node)
        verdict = self.relay.judge(sender, next_node, self._link.peers(), self._clock.elapsed())
        if verdict is RelayVerdict.PASSED_ON and next_node is not None:
            try:
                await self.dispatcher.send(next_node, forward.message, b"relayed for " + sender)
            except PeerUnreachable:
                verdict = RelayVerdict.QUEUE_FULL
        self.relay.count(verdict)
        if verdict is not RelayVerdict.PASSED_ON:
            _LOG.debug("onion message from %s to somebody else dropped: %s", sender.hex(), verdict)


def _destinations(offer: Offer) -> Sequence[Destination]:
    if offer.paths:
        return offer.paths
    return (DirectDestination(NodeId(offer.issuer_id)),) if offer.issuer_id is not None else ()
