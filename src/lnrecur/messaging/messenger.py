"""Onion messages (BOLT 4): addressed, wrapped, opened and passed on, without a network.

Every hop of a message stands on a blinded path, also a node that is addressed by its plain id: the sender makes a path
for it. So a message reaches us with the data of a path that either we made (a reply path, the paths of our offers), and
then it brings back our path_id, or a stranger made, and then it has none that means anything to us.

What this guarantees: a message that is not for this identity, was changed, or breaks a rule of BOLT 4 is refused with a
`MessagingError`. What it must never know: who is connected, which path_id stands for what, what time it is. A message
delivered twice is delivered twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final

from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import PrivateKey, derive_key
from lnrecur.errors import Fault, UsageError
from lnrecur.messaging.errors import MessagingError
from lnrecur.onion.blinding import BlindedHopSecrets, unblind
from lnrecur.onion.errors import OnionError, PathImpossible
from lnrecur.onion.message_path import MessageRoute, blind_message_path
from lnrecur.onion.payloads import EncryptedData, OnionMessagePayload
from lnrecur.onion.sphinx import peel
from lnrecur.values import NodeId, Point, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.errors import WireError
from lnrecur.wire.messages import OnionMessage
from lnrecur.wire.tlv import TlvRecord

PATH_ID_SIZE: Final = 32
"""Core Lightning takes a path_id of another length for none."""
ENTROPY_SIZE: Final = 64
DUMMY_HOPS_MAX: Final = 10
"""How many hops to ourselves we follow; each costs as much as a fresh message."""

_MALFORMED: Final = (CryptoError, OnionError, WireError)


class MessageUnreadable(MessagingError):
    """An onion message that is not for us, was changed on its way, or breaks a rule of BOLT 4."""


class TooManyDummyHops(MessageUnreadable):
    """An onion message that comes back to us more often than a path of ours ever would."""


class DestinationUnusable(MessagingError):
    """A blinded path that nothing can be sent along: malformed, or its first hop, which is ours, does not open."""


class DestinationIsOurselves(DestinationUnusable):
    """The path ends at this node."""

    fault: ClassVar[Fault] = Fault.CALLER


class IntroductionUnresolved(DestinationUnusable):
    """The next node is named by a channel, and we were not told whose that is: look it up and pass it in."""

    fault: ClassVar[Fault] = Fault.CALLER

    def __init__(self, channel: ChannelDirection | ShortChannelId) -> None:
        number = channel.channel if isinstance(channel, ChannelDirection) else channel
        super().__init__(f"the path goes on at channel {number >> 40}x{number >> 16 & 0xFFFFFF}x{number & 0xFFFF}")
        self.channel = channel


class MessageTooLong(MessagingError):
    """Contents, reply path and the data of the hops do not fit the largest onion."""

    fault: ClassVar[Fault] = Fault.CALLER


class ContentsKind(Enum):
    """What a message carries, by its number in onionmsg_tlv."""

    INVOICE_REQUEST = 64
    INVOICE = 66
    INVOICE_ERROR = 68


@dataclass(frozen=True, slots=True)
class MessageContents:
    """A bolt12 message as bytes: a TLV stream that this room does not look into."""

    kind: ContentsKind
    data: bytes


@dataclass(frozen=True, slots=True)
class DirectDestination:
    """A node addressed by its plain id."""

    node_id: NodeId


Destination = DirectDestination | BlindedPath
Channels = Mapping[ChannelDirection | ShortChannelId, NodeId]
"""Whose end of a channel it is; and for a channel without a direction, who is at its other end from us."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a route has to lead to.

    Attributes:
        node_id: a peer of ours takes the message to this node, or is it.
        is_last: whether the message ends there.
    """

    node_id: NodeId
    is_last: bool


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message, and the node to hand it to."""

    first_hop: NodeId
    message: OnionMessage


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message whose last hop is us.

    Attributes:
        contents: None where it carries none that we know.
        reply_path: where an answer may go.
        path_id: as whoever made the path wrote it. Only the owner of the path can tell whether it is genuine.
        addressed: the key that the sender took us for: the blinded key of the path's last hop where there is a
            path_id, else our identity; None where a host opened the message and keeps that to itself.
        unknown: the records of odd types that we do not know.
    """

    contents: MessageContents | None
    reply_path: BlindedPath | None
    path_id: bytes | None
    addressed: PrivateKey | None
    unknown: tuple[TlvRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Forward:
    """A message for somebody else: the peer to hand it to, by its id or by a channel with us."""

    next_node: NodeId | ShortChannelId
    message: OnionMessage


class Messenger:
    """Makes and opens onion messages for one identity. It keeps nothing between two calls."""

    __slots__ = ("_identity", "node_id")

    def __init__(self, identity: PrivateKey) -> None:
        self._identity = identity
        self.node_id = NodeId(identity.point)
        """What peers know us by."""

    def reply_path(
        self, path_id: bytes, session_key: PrivateKey, via: Sequence[NodeId | Point] = (), *, dummy_hops: int = 0
    ) -> BlindedPath:
        """A blinded path that ends at us and brings `path_id` (32 bytes) back.

        Args:
            path_id: a secret: it proves that a message came along this path.
            session_key: fresh for each path, or derived where the same path is to be built again.
            via: the nodes before us; the first is the introduction, which we are ourselves if there is none.
            dummy_hops: hops from us to ourselves at the end, so that the path's length tells nothing. They cannot
                stand in the middle: other nodes refuse hops to themselves.

        Raises:
            UsageError: `path_id` is not 32 bytes, or there are more dummy hops than we would follow.
            DestinationUnusable: a node of `via` is no point.
        """
        if len(path_id) != PATH_ID_SIZE:
            raise UsageError(f"a path_id has {PATH_ID_SIZE} bytes, not {len(path_id)}")
        if not 0 <= dummy_hops <= DUMMY_HOPS_MAX:
            raise UsageError(f"a path has 0 to {DUMMY_HOPS_MAX} dummy hops, not {dummy_hops}", field="dummy_hops")
        nodes = [*via, *[self.node_id] * (1 + dummy_hops)]
        try:
            return blind_message_path(session_key, nodes, EncryptedData(path_id=path_id))
        except _MALFORMED as error:
            raise DestinationUnusable(f"no reply path over these nodes: {error}") from error

    def entry(self, destination: Destination, channels: Channels | None = None) -> Entry:
        """The node that a route has to reach: `compose` takes the nodes before it as `via`.

        Raises:
            IntroductionUnresolved: it is named by a channel that is not in `channels`.
            DestinationUnusable: the path is malformed, or ends at ourselves.
        """
        if isinstance(destination, DirectDestination):
            return Entry(self._somebody_else(destination.node_id), is_last=True)
        route = self._along(destination, channels or {})
        return Entry(route.first_node, is_last=len(route.hops) == 1)

    def compose(
        self,
        destination: Destination,
        contents: MessageContents,
        entropy: bytes,
        reply_path: BlindedPath | None = None,
        via: Sequence[NodeId] = (),
        channels: Channels | None = None,
    ) -> OutgoingMessage:
        """Wrap a message.

        Args:
            destination: a node, or a blinded path. Where we are the introduction of the path, our own hop is taken
                off first.
            contents: what is said.
            entropy: at least 64 unpredictable bytes; the same ones give the same message.
            reply_path: where the answer shall go.
            via: the nodes before the destination (before `entry(destination)`), the first being a peer of ours;
                empty where that node itself is our peer.
            channels: which node a channel leads to, for paths whose introduction, or whose next node behind us, is
                named so.

        Raises:
            IntroductionUnresolved: a node is named by a channel that is not in `channels`.
            DestinationUnusable: the path is malformed or ends at ourselves, or a node is no point.
            MessageTooLong: it does not fit 32768 bytes.
            UsageError: less than 64 bytes of entropy.
        """
        if len(entropy) < ENTROPY_SIZE:
            raise UsageError(f"a message takes {ENTROPY_SIZE} bytes of entropy, not {len(entropy)}")
        said = OnionMessagePayload(
            b"",
            reply_path=reply_path,
            invoice_request=contents.data if contents.kind is ContentsKind.INVOICE_REQUEST else None,
            invoice=contents.data if contents.kind is ContentsKind.INVOICE else None,
            invoice_error=contents.data if contents.kind is ContentsKind.INVOICE_ERROR else None,
        )
        try:
            if isinstance(destination, DirectDestination):
                route = self._direct(destination.node_id, derive_key(entropy, "message path"), via)
            else:
                route = self._along(destination, channels or {})
                route = route.behind(derive_key(entropy, "way to the path"), via)
            message = route.wrap(derive_key(entropy, "message onion"), said)
        except PathImpossible as error:
            raise MessageTooLong(str(error)) from error
        except _MALFORMED as error:
            raise DestinationUnusable(f"no onion can be made for this destination: {error}") from error
        return OutgoingMessage(route.first_node, message)

    def receive(self, message: OnionMessage) -> Delivered | Forward:
        """Open a message that a peer handed to us. Hops from us to ourselves are followed.

        Raises:
            MessageUnreadable: not for us, changed on its way, or against BOLT 4. Nothing should be answered.
        """
        for _ in range(DUMMY_HOPS_MAX + 1):
            try:
                outcome = self._open(message)
            except _MALFORMED as error:
                raise MessageUnreadable(f"refused an onion message: {error}") from error
            if isinstance(outcome, Delivered) or outcome.next_node != self.node_id:
                return outcome
            message = outcome.message
        raise TooManyDummyHops(f"refused an onion message: more than {DUMMY_HOPS_MAX} hops from us to ourselves")

    def _open(self, message: OnionMessage) -> Delivered | Forward:
        secrets = BlindedHopSecrets(self._identity, message.path_key)
        peeled = peel(secrets.blinded_key, message.onion)
        payload = OnionMessagePayload.from_bytes(peeled.payload)
        data = EncryptedData.from_bytes(secrets.open(payload.encrypted_recipient_data))
        data.require_no_features()
        if peeled.next_onion is not None:
            payload.require_nothing_else()
            next_node = data.forward_to()
            next_path_key = data.next_path_key_override or secrets.next_path_key
            return Forward(next_node, OnionMessage(next_path_key, peeled.next_onion))
        data.require_recipient()
        return Delivered(
            contents=_contents(payload),
            reply_path=payload.reply_path,
            path_id=data.path_id,
            addressed=self._identity if data.path_id is None else secrets.blinded_key,
            unknown=payload.unknown,
        )

    def _direct(self, node_id: NodeId, session_key: PrivateKey, via: Sequence[NodeId]) -> MessageRoute:
        """A path made for a node that gave us none, so that all its hops look alike."""
        nodes = [*via, self._somebody_else(node_id)]
        path = blind_message_path(session_key, nodes, EncryptedData())
        return MessageRoute(nodes[0], path.first_path_key, path.hops)

    def _somebody_else(self, node_id: NodeId) -> NodeId:
        if node_id == self.node_id:
            raise DestinationIsOurselves("the destination is this node: there is nobody to send to")
        return node_id

    def _as_given(self, path: BlindedPath, channels: Channels) -> MessageRoute:
        """The hops of a path given to us."""
        if not path.hops:
            raise DestinationUnusable("the blinded path has no hops")
        return MessageRoute(_introduction(path, channels), path.first_path_key, path.hops)

    def _along(self, path: BlindedPath, channels: Channels) -> MessageRoute:
        """The same, without the hops of ours at its beginning."""
        route = self._as_given(path, channels)
        node, path_key, hops = route.first_node, route.path_key, route.hops
        while node == self.node_id:
            if len(hops) == 1:
                raise DestinationIsOurselves("the blinded path ends at this node: there is nobody to send to")
            node, path_key = self._behind_us(path_key, hops[0].encrypted_recipient_data, channels)
            hops = hops[1:]
        return MessageRoute(node, path_key, hops)

    def _behind_us(self, path_key: Point, encrypted: bytes, channels: Channels) -> tuple[NodeId, Point]:
        try:
            unblinded = unblind(self._identity, path_key, encrypted)
            data = EncryptedData.from_bytes(unblinded.data)
            next_node = data.forward_to()
        except _MALFORMED as error:
            raise DestinationUnusable(
                f"the blinded path begins at this node, and cannot be followed: {error}"
            ) from error
        if isinstance(next_node, int):
            next_node = _resolved(ShortChannelId(next_node), channels)
        return next_node, data.next_path_key_override or unblinded.next_path_key


def _introduction(path: BlindedPath, channels: Channels) -> NodeId:
    introduction = path.first_node_id
    return _resolved(introduction, channels) if isinstance(introduction, ChannelDirection) else NodeId(introduction)


def _resolved(channel: ChannelDirection | ShortChannelId, channels: Channels) -> NodeId:
    if channel not in channels:
        raise IntroductionUnresolved(channel)
    return channels[channel]


def _contents(payload: OnionMessagePayload) -> MessageContents | None:
    """The one of the three that is there, if any is."""
    for kind, data in (
        (ContentsKind.INVOICE_REQUEST, payload.invoice_request),
        (ContentsKind.INVOICE, payload.invoice),
        (ContentsKind.INVOICE_ERROR, payload.invoice_error),
    ):
        if data is not None:
            return MessageContents(kind, data)
    return None
