"""Node addresses as people write them: ID@HOST:PORT."""

from __future__ import annotations

from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import parse_point
from lnrecur.errors import UsageError
from lnrecur.ports import PeerAddress
from lnrecur.values import NodeId

DEFAULT_PEER_PORT = 9737


def parse_address(text: str) -> PeerAddress:
    """Read ID@HOST:PORT; the port may be left out, and an IPv6 address stands in brackets.

    Raises:
        UsageError: says which part is wrong.
    """
    node, separator, place = text.strip().partition("@")
    if not separator or not place:
        raise UsageError(f"{text!r} is no node address: write ID@HOST:PORT", field="address")
    try:
        node_id = NodeId(parse_point(bytes.fromhex(node)))
    except (ValueError, CryptoError) as error:
        raise UsageError(f"{node!r} is no node id: 66 hexadecimal digits of a public key", field="address") from error
    host, port = _host_and_port(place)
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{place!r} is no host and port", field="address")
    return PeerAddress(node_id, host, int(port))


def _host_and_port(place: str) -> tuple[str, str]:
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        return host, rest.removeprefix(":") or str(DEFAULT_PEER_PORT)
    if place.count(":") > 1:
        return place, str(DEFAULT_PEER_PORT)
    host, separator, port = place.partition(":")
    return host, port if separator else str(DEFAULT_PEER_PORT)
