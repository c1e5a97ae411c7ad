"""Nodes of a rig that speak as guests: each has a host in the network, a node that passes on and opens what arrives.

The host does what lightningd does for its plugin: it takes an onion as if a peer had brought it, forwards to connected
peers, and asks the guest about every message that came for it over a path with a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lnrecur.crypto.keys import PrivateKey, derive_key
from lnrecur.messaging.messenger import Delivered, Messenger
from lnrecur.ports import Host, OnionMessageHandler, PeerAddress, PeerHandler, PeerUnreachable
from lnrecur.service.assembly import Parts, Services
from lnrecur.service.guest import GuestInbox, is_for_us
from lnrecur.testing.network import MemoryLink, MemoryNetwork
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.values import NodeId
from lnrecur.wire.messages import OnionMessage


@dataclass(slots=True)
class RigHost:
    """A host, outliving its guest's lives. `passed_by` is what its own plugins got: everything that was not ours."""

    network: MemoryNetwork
    messenger: Messenger
    begin_at: Sequence[NodeId] = ()
    passed_by: list[Delivered] = field(default_factory=list)
    guest: Callable[[Delivered], bool] = lambda delivered: False
    link: MemoryLink = field(init=False)

    def __post_init__(self) -> None:
        self.link = self.network.link(self.messenger.node_id)
        self.link.on_message(self.arrived)

    async def arrived(self, peer: NodeId, message: OnionMessage) -> None:
        outcome = self.messenger.receive(message)
        if isinstance(outcome, Delivered):
            if not self.guest(replace(outcome, addressed=None)):
                self.passed_by.append(outcome)
            return
        assert isinstance(outcome.next_node, bytes)
        await self.link.send(NodeId(outcome.next_node), outcome.message)


class GuestLink:
    """A `PeerLink` over the host's connections: what `HostLink` is over lightningd's."""

    def __init__(self, host: RigHost) -> None:
        self._host = host

    async def reach(self, address: PeerAddress) -> None:
        await self._host.link.reach(address)

    async def send(self, peer: NodeId, message: OnionMessage) -> None:
        if peer not in self.peers():
            raise PeerUnreachable("unknown next peer")
        await self._host.arrived(self._host.messenger.node_id, message)

    def peers(self) -> frozenset[NodeId]:
        return self._host.link.peers() | {self._host.messenger.node_id}

    def on_message(self, handler: OnionMessageHandler) -> None:
        pass

    def on_peer(self, handler: PeerHandler) -> None:
        self._host.link.on_peer(handler)


async def join_as_guest(rig: Rig, name: str) -> tuple[RigNode, RigHost]:
    """Add a node that speaks under the id of a host of its own."""
    key: PrivateKey = derive_key(b"host", name)
    host = RigHost(rig.network, Messenger(key))

    def dress(parts: Parts) -> Parts:
        described = Host(host.messenger.node_id, lambda: host.begin_at)
        return replace(parts, link=GuestLink(host), host=described)

    node = await rig.join(name, dress=dress)
    house(node, host)
    return node, host


def house(node: RigNode, host: RigHost) -> None:
    """Show a life of the node what arrives at its host: at the start, and after every restart."""
    services: Services | None = node.services
    assert services is not None
    inbox, keyring = GuestInbox(services.courier), node.keyring
    rig_network = host.network
    rig_network.leave(node.keyring.node_id)  # a guest has no place of its own in the network

    def guest(delivered: Delivered) -> bool:
        if not is_for_us(keyring, delivered):
            return False
        inbox.take(delivered)
        return True

    host.guest = guest
