"""Onion messages of a guest: we speak under the id of a host node whose key we do not have (a plugin in its node).

The host peels its own layer and opens what arrives for it, so three things differ from `Messenger`:

- Every message takes the host as its first hop: the host is handed the onion as if a peer had brought it, peels its
  layer and passes the rest on. A path that begins at the host needs nothing taken off: the host does that too.
- A path to us ends at the host, with our path_id in its last hop. Whoever uses it reaches the host, which tells us.
- Nothing is opened here. `Delivered` comes from the host; by which key we were addressed, it does not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.messaging.messenger import (
    Channels,
    Delivered,
    Destination,
    Forward,
    MessageContents,
    MessageUnreadable,
    Messenger,
    OutgoingMessage,
)
from lnrecur.onion.message_path import MessageRoute
from lnrecur.values import NodeId, Point
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.messages import OnionMessage


class HostedMessenger(Messenger):
    """A `Messenger` under a host's id. `identity` signs nothing that is sent: it only is a key of ours."""

    __slots__ = ()

    def __init__(self, identity: PrivateKey, host: NodeId) -> None:
        super().__init__(identity)
        self.node_id = host

    def reply_path(
        self, path_id: bytes, session_key: PrivateKey, via: Sequence[NodeId | Point] = (), *, dummy_hops: int = 0
    ) -> BlindedPath:
        """A blinded path that ends at the host.

        Raises:
            UsageError: dummy hops, which the host would refuse; else as `Messenger.reply_path`.
            DestinationUnusable: see `Messenger.reply_path`.
        """
        if dummy_hops:
            raise UsageError("a host takes no hops from itself to itself", field="dummy_hops")
        before = [node for node in via if node != self.node_id]
        return super().reply_path(path_id, session_key, before)

    def compose(
        self,
        destination: Destination,
        contents: MessageContents,
        entropy: bytes,
        reply_path: BlindedPath | None = None,
        via: Sequence[NodeId] = (),
        channels: Channels | None = None,
    ) -> OutgoingMessage:
        """Wrap a message for the host, which hands it to the answer's `first_hop`: a peer of the host, or the host."""
        entry = self.entry(destination, channels)
        to_host = entry.node_id == self.node_id
        behind_host = () if to_host else (self.node_id, *via)
        made = super().compose(destination, contents, entropy, reply_path, behind_host, channels)
        return replace(made, first_hop=self.node_id if to_host else via[0] if via else entry.node_id)

    def receive(self, message: OnionMessage) -> Delivered | Forward:
        """Open nothing.

        Raises:
            MessageUnreadable: always.
        """
        raise MessageUnreadable("onion messages of a hosted node are opened by its host")

    def _somebody_else(self, node_id: NodeId) -> NodeId:
        return node_id  # the host itself may be asked: it has offers of its own

    def _along(self, path: BlindedPath, channels: Channels) -> MessageRoute:
        return self._as_given(path, channels)
