"""One connection to one peer, without the socket: BOLT 8 below, BOLT 1 above, onion messages out.

A `PeerSession` is fed with the bytes that arrive and the time; it answers events and keeps the bytes that must be
sent until they are taken. It passes through the states below, never backwards:

    HANDSHAKE --(last act)--> AWAITING_INIT --(a fitting init)--> READY        any of them --(violation)--> OVER

Our init goes out with the end of the handshake; nothing else is sent before the peer's init has come (BOLT 1).
`reactions.py` says what each known message does in each state.

What this file guarantees: the stream may be cut anywhere, the events and the final error are the same. Each wait has
an end: handshake, init, and a pong after a ping of ours. Memory is bounded: one incomplete message in, and pongs only
while the peer takes them. What it must never know: sockets, clocks, who may connect, what is inside an onion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.errors import (
    ConnectionOver,
    HandshakeFailed,
    InitExpected,
    InitRepeated,
    MalformedMessage,
    NotReady,
    PeerHungUp,
    PeerSaidError,
    PeerTooSlow,
    PingFlood,
    PingUnanswered,
    TransportFailed,
    UnknownEvenMessage,
    WrongNetwork,
)
from lnrecur.messaging.features import OFFERED, check_peer_features
from lnrecur.messaging.reactions import IGNORED_EVEN_MESSAGES, REACTIONS, PeerState, Reaction
from lnrecur.noise.errors import HandshakeError, TransportError
from lnrecur.noise.handshake import InitiatorHandshake, ResponderHandshake
from lnrecur.noise.transport import NoiseTransport
from lnrecur.values import ChainHash, NodeId, chain_name
from lnrecur.wire.errors import WireError
from lnrecur.wire.messages import (
    ALL_CHANNELS,
    ErrorMessage,
    Init,
    Message,
    OnionMessage,
    Ping,
    Pong,
    UnknownMessage,
    WarningMessage,
    read_message,
)

PONG_SIZE_LIMIT: Final = 65532
"""A ping that asks for this many bytes or more wants no answer (BOLT 1)."""

WAITING_PONGS_MAX_BYTES: Final = 128 * 1024
"""Pongs that may wait to be taken before another ping counts as a flood. A ping of 6 bytes can ask for 65531."""

_OUR_PING: Final = Ping(pong_size=0)


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What one end of a connection insists on. Times are in seconds."""

    chain: ChainHash
    handshake_seconds: float = 10.0
    """How long the three acts may take."""
    init_seconds: float = 10.0
    """How long the peer's init may take after them."""
    idle_seconds: float = 60.0
    """How long nothing may arrive before we ping."""
    pong_seconds: float = 20.0
    """How long nothing may arrive after that."""


@dataclass(frozen=True, slots=True)
class PeerReady:
    """The peer's init fits: messages may go both ways."""

    node_id: NodeId
    init: Init


@dataclass(frozen=True, slots=True)
class OnionMessageReceived:
    """An onion message arrived. Nothing about it is proven but that this peer sent it."""

    message: OnionMessage


@dataclass(frozen=True, slots=True)
class PeerWarned:
    """The peer disliked something, and the connection goes on.

    An error about one channel comes here too: we have no channels, so BOLT 1 has it ignored.
    """

    text: str
    """The peer's words, with unprintable characters replaced."""
    channel_id: bytes = ALL_CHANNELS
    is_error: bool = False


PeerEvent = PeerReady | OnionMessageReceived | PeerWarned


class PeerSession:
    """One end of a connection. Made by `initiate` or `accept`."""

    def __init__(
        self, handshake: InitiatorHandshake | ResponderHandshake, settings: PeerSettings, now: float, output: bytes
    ) -> None:
        self._handshake = handshake
        self._transport: NoiseTransport | None = None
        self._settings = settings
        self._state = PeerState.HANDSHAKE
        self._output = bytearray(output)
        self._deadline = now + settings.handshake_seconds
        self._pong_awaited = False
        self._waiting_pongs_bytes = 0
        self._failure: ConnectionOver | None = None

    @classmethod
    def initiate(
        cls, identity: PrivateKey, remote: NodeId, ephemeral: PrivateKey, settings: PeerSettings, now: float
    ) -> PeerSession:
        """The side that dialled. `ephemeral` must be fresh; `now` may be of any clock that only goes forward.

        Raises:
            InvalidPoint: `remote` is no public key.
        """
        handshake = InitiatorHandshake(identity, remote, ephemeral)
        return cls(handshake, settings, now, handshake.start())

    @classmethod
    def accept(cls, identity: PrivateKey, ephemeral: PrivateKey, settings: PeerSettings, now: float) -> PeerSession:
        """The side that was dialled. `ephemeral` must be fresh; `now` may be of any clock that only goes forward."""
        return cls(ResponderHandshake(identity, ephemeral), settings, now, b"")

    @property
    def state(self) -> PeerState:
        """How far the connection is."""
        return self._state

    @property
    def remote(self) -> NodeId | None:
        """Who the peer is; on the side that was dialled known after the handshake only."""
        return self._handshake.remote

    @property
    def wake_at(self) -> float:
        """When `tick` must be called at the latest if nothing arrives before."""
        return self._deadline

    @property
    def waiting_output(self) -> int:
        """How many bytes wait to be taken."""
        return len(self._output)

    def take_output(self, most: int | None = None) -> bytes:
        """The bytes to be sent now, at most `most` of them. After a violation: the last word to the peer, or nothing.

        Whoever takes no more than the peer reads makes the limit on waiting pongs hold.
        """
        taken = bytes(self._output[:most])
        del self._output[:most]
        self._waiting_pongs_bytes = min(self._waiting_pongs_bytes, len(self._output))
        return taken

    def send(self, message: Message) -> None:
        """Have a message sent.

        Raises:
            NotReady: the peer's init has not come, or the connection is over.
            MessageTooLong: it has more than 65535 bytes.
        """
        if self._state is not PeerState.READY:
            raise NotReady(f"the connection is not ready: it is {self._state.value}")
        self._write(message)

    def receive(self, data: bytes, now: float) -> list[PeerEvent]:
        """Take what arrived, in pieces of any size.

        Events in front of a violation in the same bytes are answered first; the next `receive` or `tick` raises it,
        and `wake_at` is then `now`.

        Raises:
            ConnectionOver: as a subclass that says why. So does every later call.
        """
        self._raise_failure()
        events: list[PeerEvent] = []
        try:
            self._read(data, now, events)
        except ConnectionOver as failure:
            self._end(failure, now)
            if not events:
                raise
        return events

    def end_of_stream(self) -> None:
        """Say that the peer closed the connection; always raises.

        Raises:
            HandshakeFailed: in the middle of the handshake.
            PeerHungUp: later.
        """
        self._raise_failure()
        try:
            self._handshake.end_of_stream()
        except HandshakeError as error:
            dialled = self._handshake.remote  # the one who was dialled knows nobody yet
            hint = "" if dialled is None else f" (as a node does that is not {dialled.hex()})"
            raise self._end(HandshakeFailed(f"the peer hung up: {error}{hint}"), self._deadline) from error
        before = " before its init" if self._state is PeerState.AWAITING_INIT else ""
        raise self._end(PeerHungUp(f"the peer hung up{before}"), self._deadline)

    def tick(self, now: float) -> None:
        """Do what has become due: ping a silent peer, or give up waiting.

        Raises:
            PeerTooSlow: handshake or init took too long.
            PingUnanswered: the peer is silent though we asked.
            ConnectionOver: what `receive` kept back.
        """
        self._raise_failure()
        if now < self._deadline:
            return
        if self._state is PeerState.READY and not self._pong_awaited:
            self._write(_OUR_PING)
            self._pong_awaited = True
            self._deadline = now + self._settings.pong_seconds
            return
        raise self._end(self._overdue(), now)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _overdue(self) -> ConnectionOver:
        settings = self._settings
        if self._state is PeerState.HANDSHAKE:
            return PeerTooSlow(f"the handshake was not complete within {settings.handshake_seconds:g} s")
        if self._state is PeerState.AWAITING_INIT:
            return PeerTooSlow(f"no init came within {settings.init_seconds:g} s")
        return PingUnanswered(f"the peer did not answer a ping within {settings.pong_seconds:g} s")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _end(self, failure: ConnectionOver, now: float) -> ConnectionOver:
        if failure.tell_peer:
            self._write(WarningMessage(str(failure)))
        self._state = PeerState.OVER
        self._failure = failure
        self._deadline = now
        return failure

    def _read(self, data: bytes, now: float, events: list[PeerEvent]) -> None:
        if self._transport is None:
            self._shake_hands(data, now)
            data = b""
        transport = self._transport
        if transport is None:
            return
        try:
            while messages := transport.feed(data):
                data = b""
                for message in messages:
                    self._on_message(message, now, events)
        except TransportError as error:
            raise TransportFailed(f"the peer's bytes cannot be trusted: {error}") from error

    def _shake_hands(self, data: bytes, now: float) -> None:
        try:
            self._output += self._handshake.feed(data)
        except HandshakeError as error:
            raise HandshakeFailed(str(error)) from error
        if self._handshake.transport is not None:
            self._transport = self._handshake.transport
            self._state = PeerState.AWAITING_INIT
            self._deadline = now + self._settings.init_seconds
            self._write(Init(OFFERED, (self._settings.chain,)))

    def _write(self, message: Message) -> None:
        assert self._transport is not None, "messages are written only after the handshake"
        self._output += self._transport.encrypt(_bytes_of(message))

    def _on_message(self, data: bytes, now: float, events: list[PeerEvent]) -> None:
        try:
            message = read_message(data)
        except WireError as error:
            kind = int.from_bytes(data[:2], "big")
            raise MalformedMessage(f"the peer sent a broken message of type {kind}: {error}") from error
        reaction = REACTIONS[self._state][type(message)]
        if self._state is PeerState.READY:
            # Whatever arrives shows that the peer is there, so it also does for the pong we may be waiting for.
            self._pong_awaited = False
            self._deadline = now + self._settings.idle_seconds
        self._react(reaction, message, now, events)

    def _react(self, reaction: Reaction, message: Message, now: float, events: list[PeerEvent]) -> None:
        match reaction, message:
            case Reaction.CHECK_INIT, Init():
                events.append(self._check_init(message, now))
            case Reaction.ANSWER_PING, Ping():
                self._answer(message)
            case Reaction.DELIVER, OnionMessage():
                events.append(OnionMessageReceived(message))
            case Reaction.TELL_WARNING, WarningMessage():
                events.append(PeerWarned(message.text, message.channel_id))
            case Reaction.LOOK_AT_CHANNEL, ErrorMessage():
                if message.channel_id == ALL_CHANNELS:
                    raise PeerSaidError(f"the peer sent an error: {message.text[:300]!r}")
                events.append(PeerWarned(message.text, message.channel_id, is_error=True))
            case Reaction.LOOK_AT_TYPE, UnknownMessage():
                if not message.may_be_ignored and message.type not in IGNORED_EVEN_MESSAGES:
                    raise UnknownEvenMessage(message.type)
            case Reaction.REFUSE_FIRST, _:
                raise InitExpected(f"the peer began with {type(message).__name__} where init belongs")
            case Reaction.REFUSE_SECOND_INIT, _:
                raise InitRepeated("the peer sent a second init")
            case Reaction.NOTE_PONG, Pong():
                return  # every message notes that the peer is there; a pong says nothing more
            case _:
                raise AssertionError(f"REACTIONS pairs {type(message).__name__} with {reaction}")

    def _check_init(self, init: Init, now: float) -> PeerReady:
        check_peer_features(init.features)
        chain = self._settings.chain
        if init.networks and chain not in init.networks:
            theirs = ", ".join(chain_name(network) for network in init.networks[:4])
            raise WrongNetwork(f"the peer serves {theirs}, not {chain_name(chain)}")
        assert self._handshake.remote is not None, "both sides know each other after the handshake"
        self._state = PeerState.READY
        self._deadline = now + self._settings.idle_seconds
        return PeerReady(self._handshake.remote, init)

    def _answer(self, ping: Ping) -> None:
        if ping.pong_size >= PONG_SIZE_LIMIT:
            return
        if self._waiting_pongs_bytes > WAITING_PONGS_MAX_BYTES:
            raise PingFlood("the peer pings faster than it takes our pongs")
        before = len(self._output)
        self._write(Pong(ping.pong_size))
        self._waiting_pongs_bytes += len(self._output) - before


def _bytes_of(message: Message) -> bytes:
    if isinstance(message, UnknownMessage):
        return message.type.to_bytes(2, "big") + message.body
    return message.to_bytes()
