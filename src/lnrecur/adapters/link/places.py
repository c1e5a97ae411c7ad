"""Who gets the places, when there are fewer than want one.

Connections from outside count by where they come from: an IPv4 address, the /64 of an IPv6 address (whoever has one
address of it has all), or everything that a proxy or a tunnel on this machine hands over. While there is room nobody
asks. When there is none, the origin with the most connections gives one of its own, so one hostile origin cannot take
the places of others, and an origin that holds the most gains nothing by knocking again. Among equals only a connection
without an onion message for a while gives way; where all are at work the newcomer is refused.

In the handshake, where nobody has shown who it is, the oldest of the largest origin gives way at once. Kept peers are
counted by nobody and give way to nobody.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

_IPV6_PREFIX: Final = 64


class Guest(Protocol):
    """What is known of a connection."""

    @property
    def origin(self) -> str:
        """Where it comes from, as `origin_of` says."""
        ...

    @property
    def opened_at(self) -> float:
        """When the socket was opened."""
        ...

    @property
    def busy_at(self) -> float:
        """When the last onion message went either way, or when it became ready if none did."""
        ...


G = TypeVar("G", bound=Guest)


def origin_of(host: str) -> str:
    """What the connections of one origin have in common."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))


def who_leaves_the_handshake(guests: Sequence[G], newcomer: str, most: int) -> G | None:
    """Which unready connection gives way to a new one of this origin; None while there is room."""
    if len(guests) < most:
        return None
    counts = Counter(guest.origin for guest in guests)
    counts[newcomer] += 1
    largest = max(counts.values())
    candidates = [guest for guest in guests if counts[guest.origin] == largest]
    return min(candidates or guests, key=lambda guest: guest.opened_at)


def who_makes_room(guests: Sequence[G], newcomer: G, most: int, idle_since: float) -> G | None:
    """Which ready connection gives way to a newcomer that just became ready: `newcomer` itself if none does.

    None while there is room. `guests` are the others; `idle_since`: when the last onion message must have been for a
    connection to give way to an equal.
    """
    if len(guests) < most:
        return None
    counts = Counter(guest.origin for guest in (*guests, newcomer))
    largest = max(counts.values())
    candidates = [guest for guest in guests if counts[guest.origin] == largest]
    if not candidates:
        return newcomer
    quietest = min(candidates, key=lambda guest: guest.busy_at)
    return quietest if counts[newcomer.origin] < largest or quietest.busy_at <= idle_since else newcomer


def who_is_idle(guests: Sequence[G], idle_since: float) -> G | None:
    """Of the connections that we dialled ourselves: the quietest, if it has been quiet for long enough."""
    quietest = min(guests, key=lambda guest: guest.busy_at, default=None)
    return quietest if quietest is not None and quietest.busy_at <= idle_since else None
