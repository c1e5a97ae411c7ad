"""The chain of ephemeral keys that both Sphinx and route blinding walk along (BOLT 4).

With hop i, whose key is K(i), the maker shares ss(i) = SHA256(e(i) * K(i)), and goes on with

    e(i+1) = SHA256(E(i) || ss(i)) * e(i)

so that hop i can compute the point E(i+1) from the point E(i) it sees, and never learns an e.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey, point_times
from lnrecur.values import NodeId, Point


class Link(NamedTuple):
    """What the maker knows of one hop: the point this hop will see, and the secret shared with it."""

    ephemeral: Point
    shared_secret: bytes


def ephemeral_chain(session_key: PrivateKey, keys: Iterable[Point | NodeId]) -> list[Link]:
    """The maker's side, for all hops.

    Raises:
        InvalidPoint: one of `keys` is not on the curve.
    """
    links: list[Link] = []
    secret = session_key
    for key in keys:
        if links:
            secret = secret.times(sha256(*links[-1]))
        links.append(Link(secret.point, secret.ecdh(key)))
    return links


def next_ephemeral(link: Link) -> Point:
    """A hop's side: the point that the next hop will see."""
    return point_times(link.ephemeral, sha256(*link))
