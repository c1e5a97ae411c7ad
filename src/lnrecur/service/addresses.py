"""Node addresses as people write them: ID@HOST:PORT."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import parse_point
from lnrecur.errors import UsageError
from lnrecur.ports import PeerAddress
from lnrecur.values import NodeId

DEFAULT_PEER_PORT: Final = 9737
_HOST: Final = re.compile(r"[^\s/\\@\[\]:?#%]{1,253}")
_ONION_SERVICE: Final = re.compile(r"(?:[a-z0-9-]+\.)*[a-z2-7]{56}\.onion")


def parse_address(text: str) -> PeerAddress:
    """Read ID@HOST:PORT: a name, an IPv4 address, [IPv6] or an onion service; the port may be left out.

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
    return PeerAddress(node_id, *parse_host_and_port(place))


def parse_host_and_port(place: str) -> tuple[str, int]:
    """Read HOST:PORT; the port may be left out.

    Raises:
        UsageError: says which part is wrong.
    """
    host, port = _host_and_port(place)
    if not port.isascii() or not port.isdigit() or len(port) > 5 or not 0 < int(port) < 65536:
        raise UsageError(f"{place!r} is no host and port: a port is a number from 1 to 65535", field="address")
    return host, int(port)


def _host_and_port(place: str) -> tuple[str, str]:
    """The two parts; without a port, the default one."""
    default = str(DEFAULT_PEER_PORT)
    if place.startswith("["):
        inside, bracket, rest = place[1:].partition("]")
        if not bracket or not _is_ipv6(inside) or (rest and not rest.startswith(":")):
            raise UsageError(f"{place!r} is no host and port: [IPV6]:PORT, the address in brackets", field="address")
        return inside, rest.removeprefix(":") or default
    if place.count(":") > 1:
        if not _is_ipv6(place):
            raise UsageError(f"{place!r} is no host and port: write HOST:PORT, [IPV6]:PORT", field="address")
        return place, default
    host, separator, port = place.partition(":")
    return _host(host), port if separator else default


def _host(text: str) -> str:
    onion = text.lower().endswith(".onion")
    if onion and _ONION_SERVICE.fullmatch(text.lower()) is None:
        told = "an onion service has 56 characters, a to z and 2 to 7, before .onion"
        raise UsageError(f"{text!r} is no host: {told}", field="address")
    if _HOST.fullmatch(text) is None:
        raise UsageError(f"{text!r} is no host: a name, an IPv4 or [IPv6] address", field="address")
    return text


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False
