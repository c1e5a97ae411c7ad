"""What can go wrong between us and a peer, and with a question sent through one.

`MessagingError` is the root. `ConnectionOver` and its children end a connection: a `PeerSession` that raised one is
over for good, and whoever owns the socket hangs up.
"""

from __future__ import annotations

from typing import ClassVar

from lnrecur.errors import Fault, LnrecurError


class MessagingError(LnrecurError):
    """Root of this room's errors."""

    fault: ClassVar[Fault] = Fault.PEER


class NotReady(MessagingError):
    """Something was to be sent before the peer's init had come, or after the connection was over."""

    fault: ClassVar[Fault] = Fault.CALLER


class ConnectionOver(MessagingError):
    """The connection to a peer is over; the class says why.

    Attributes:
        tell_peer: whether the peer is told in a warning before we hang up.
    """

    retry: ClassVar[bool] = True
    tell_peer: ClassVar[bool] = False


class HandshakeFailed(ConnectionOver):
    """The peer does not speak BOLT 8 with the keys it should have."""


class TransportFailed(ConnectionOver):
    """What arrived on the encrypted transport does not authenticate."""


class InitExpected(ConnectionOver):
    """The peer's first message was no init."""


class InitRepeated(ConnectionOver):
    """The peer sent a second init."""

    tell_peer = True


class WrongNetwork(ConnectionOver):
    """The peer names the chains it serves, and ours is not among them."""

    retry = False
    tell_peer = True


class UnknownRequiredFeature(ConnectionOver):
    """The peer demands a feature whose number was never given out.

    Attributes:
        bits: the even feature bits concerned.
    """

    retry = False
    tell_peer = True

    def __init__(self, bits: tuple[int, ...]) -> None:
        named = ", ".join(map(str, bits[:8])) + (", ..." if len(bits) > 8 else "")
        super().__init__(f"the peer requires feature bits that nobody has defined: {named}")
        self.bits = bits


class UnknownEvenMessage(ConnectionOver):
    """The peer sent a message of an even type that we do not know.

    Attributes:
        message_type: its number.
    """

    tell_peer = True

    def __init__(self, message_type: int) -> None:
        super().__init__(f"the peer sent a message of type {message_type}, which is even and unknown here")
        self.message_type = message_type

    def details(self) -> dict[str, str | int]:
        """The message's number."""
        return {"message_type": self.message_type}


class MalformedMessage(ConnectionOver):
    """A message of a known type is shorter than its fields say."""

    tell_peer = True


class PingFlood(ConnectionOver):
    """The peer pings faster than it takes our pongs."""

    tell_peer = True


class PeerSaidError(ConnectionOver):
    """The peer sent an error message; its text is quoted."""


class PeerTooSlow(ConnectionOver):
    """The handshake, the init or something we sent took longer than the settings allow."""


class PingUnanswered(ConnectionOver):
    """Nothing came back when we asked the peer whether it is still there."""


class PeerHungUp(ConnectionOver):
    """The peer closed the connection."""
