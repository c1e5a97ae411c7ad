"""Routes for onion messages (BOLT 4): what each hop is told, and which of the two sizes the onion has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import blind_path, pad_alike
from lnrecur.onion.errors import PathImpossible
from lnrecur.onion.payloads import EncryptedData, OnionMessagePayload
from lnrecur.onion.sphinx import AREA_BIG, AREA_SMALL, room_needed, wrap
from lnrecur.values import NodeId, Point
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath
from lnrecur.wire.messages import OnionMessage


@dataclass(frozen=True, slots=True)
class MessageRoute:
    """The hops of a message, from the node it has to be handed to."""

    first_node: NodeId
    path_key: Point
    hops: tuple[BlindedHop, ...]

    def behind(self, session_key: PrivateKey, via: Sequence[NodeId]) -> MessageRoute:
        """This route with plain nodes before it; the last of them is told this route's path key.

        Raises:
            PathImpossible: more than 255 nodes.
            InvalidPoint: a node id is not on the curve.
        """
        if not via:
            return self
        joint = EncryptedData(next_node_id=self.first_node, next_path_key_override=self.path_key)
        front = blind_message_path(session_key, via, joint)
        return MessageRoute(via[0], front.first_path_key, front.hops + self.hops)

    def wrap(self, session_key: PrivateKey, said: OnionMessagePayload) -> OnionMessage:
        """The message for the first hop. The last hop gets what is `said`, with its own data filled in.

        Raises:
            PathImpossible: it does not fit the bigger of the two sizes.
            InvalidPoint: a blinded node id is not on the curve.
        """
        payloads = [OnionMessagePayload(hop.encrypted_recipient_data) for hop in self.hops]
        payloads[-1] = replace(said, encrypted_recipient_data=payloads[-1].encrypted_recipient_data)
        layers = [payload.to_bytes() for payload in payloads]
        if (needed := room_needed(layers)) > AREA_BIG:
            raise PathImpossible(f"the message takes {needed} bytes, and an onion has room for {AREA_BIG}")
        keyed = [(hop.blinded_node_id, layer) for hop, layer in zip(self.hops, layers, strict=True)]
        return OnionMessage(
            self.path_key, wrap(session_key, keyed, size=AREA_SMALL if needed <= AREA_SMALL else AREA_BIG)
        )


def blind_message_path(session_key: PrivateKey, nodes: Sequence[NodeId | Point], last: EncryptedData) -> BlindedPath:
    """A path over `nodes`, each told the next one, the last told `last`; all data of the same length.

    Raises:
        PathImpossible: no nodes, or more than 255.
        InvalidPoint: a node id is not on the curve.
    """
    if not nodes:
        raise PathImpossible("a path for messages has at least one node")
    told = [EncryptedData(next_node_id=NodeId(node)) for node in nodes[1:]]
    padded = pad_alike([data.to_bytes() for data in [*told, last]])
    return blind_path(session_key, list(zip(nodes, padded, strict=True)))
