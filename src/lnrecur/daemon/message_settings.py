"""The settings about onion messages, as the service takes them: pace, relaying, routes and channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from lnrecur.adapters.nodes.cln import ClnRouter, ClnRpc
from lnrecur.adapters.router import StaticRouter
from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import parse_point
from lnrecur.daemon.money_node import cln_rpc_file
from lnrecur.errors import UsageError
from lnrecur.messaging.messenger import DUMMY_HOPS_MAX
from lnrecur.messaging.pacing import Pace
from lnrecur.messaging.relay import RelayLimits
from lnrecur.service.courier import MessageSettings
from lnrecur.values import NodeId, ShortChannelId

if TYPE_CHECKING:
    from lnrecur.daemon.config import Settings

_CHANNEL: Final = re.compile(r"(\d{1,8})x(\d{1,8})x(\d{1,5})")
_MS_MAX: Final = 3_600_000
_BURST_MAX: Final = 10_000
RANGES: Final = {
    "message_burst": (1, _BURST_MAX),
    "message_every_ms": (0, _MS_MAX),
    "relay_burst": (1, _BURST_MAX),
    "relay_every_ms": (1, _MS_MAX),
    "path_dummy_hops": (0, DUMMY_HOPS_MAX),
}
"""From and to, both included."""


def message_settings(settings: Settings) -> MessageSettings:
    """How onion messages are sent and passed on; the settings have been checked."""
    every_s = settings.message_every_ms / 1000
    return MessageSettings(
        pace=Pace(settings.message_burst, every_s) if every_s else None,
        relay=RelayLimits(settings.relay_burst, settings.relay_every_ms / 1000) if settings.relay == "on" else None,
        dummy_hops=settings.path_dummy_hops,
    )


def message_router(settings: Settings) -> StaticRouter:
    """The ways that the settings tell, and those that the money node knows."""
    routes = [parse_route(text) for text in settings.message_routes]
    channels = [parse_channel(text) for text in settings.message_channels]
    if settings.money_node == "cln":
        rpc, is_regtest = ClnRpc(cln_rpc_file(settings)), settings.chain == "regtest"
        return ClnRouter(rpc, settings.peer_addresses, routes, channels, dials_private=is_regtest)
    return StaticRouter(settings.peer_addresses, routes, channels)


def parse_route(text: str) -> Sequence[NodeId]:
    """Read ID>ID>...: nodes of which neighbours pass on messages to each other.

    Raises:
        UsageError: fewer than two nodes, one that is no node id, or one beside itself.
    """
    nodes = [_node_id(part, "message_routes") for part in text.split(">")]
    if len(nodes) < 2 or any(one == other for one, other in pairwise(nodes)):
        raise UsageError(f"{text!r} is no route: write ID>ID, two or more different nodes", field="message_routes")
    return nodes


def parse_channel(text: str) -> tuple[ShortChannelId, NodeId, NodeId]:
    """Read BLOCKxTXxOUTPUT=ID>ID: a channel and its ends, in any order.

    Raises:
        UsageError: says which part is wrong.
    """
    number, _, ends = text.partition("=")
    found = _CHANNEL.fullmatch(number.strip())
    nodes = [_node_id(part, "message_channels") for part in ends.split(">")] if found else []
    if found is None or len(set(nodes)) != 2:
        raise UsageError(f"{text!r} is no channel: write BLOCKxTXxOUTPUT=ID>ID", field="message_channels")
    block, transaction, output = map(int, found.groups())
    if block >= 1 << 24 or transaction >= 1 << 24 or output >= 1 << 16:
        raise UsageError(f"{number.strip()!r} is no channel: its numbers are too large", field="message_channels")
    return ShortChannelId(block << 40 | transaction << 16 | output), nodes[0], nodes[1]


def _node_id(text: str, field: str) -> NodeId:
    try:
        return NodeId(parse_point(bytes.fromhex(text.strip())))
    except (ValueError, CryptoError) as error:
        told = f"{text.strip()!r} is no node id: 66 hexadecimal digits of a public key"
        raise UsageError(told, field=field) from error
