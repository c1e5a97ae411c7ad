"""The link of a process that speaks with no peers: a worker. Its letters are sent by the messaging process."""

from __future__ import annotations

from lnrecur.ports import OnionMessageHandler, PeerAddress, PeerHandler, PeerUnreachable
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage

_TOLD = "this process is a worker and speaks with no peers"


class NoPeerLink:
    """A `lnrecur.ports.PeerLink` to nobody."""

    async def reach(self, address: PeerAddress) -> None:
        """Reach nobody.

        Raises:
            PeerUnreachable: always.
        """
        raise PeerUnreachable(_TOLD)

    async def send(self, peer: NodeId, message: OnionMessage) -> None:
        """Send nothing.

        Raises:
            PeerUnreachable: always.
        """
        raise PeerUnreachable(_TOLD)

    def peers(self) -> frozenset[NodeId]:
        """Nobody."""
        return frozenset()

    def on_message(self, handler: OnionMessageHandler) -> None:
        """Nothing will arrive."""

    def on_peer(self, handler: PeerHandler) -> None:
        """Nobody will come."""
