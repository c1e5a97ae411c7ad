"""Route blinding (BOLT 4): paths whose hops are named by other names, with a sealed note for each hop.

The maker of a path knows a chain of ephemeral private keys e(i) with points E(i), the path keys. With node i it shares

    ss(i)  = SHA256(e(i) * N(i)) = SHA256(k(i) * E(i))          either side can compute it, nobody else
    B(i)   = HMAC256("blinded_node_id", ss(i)) * N(i)           the name the hop goes by
    rho(i) = HMAC256("rho", ss(i))                              seals the hop's note, all-zero nonce
    e(i+1) = SHA256(E(i) || ss(i)) * e(i)                       a hop learns E(i+1) from E(i), never an e

What this guarantees: who is handed a path learns the introduction node and nothing of the others; a hop learns its own
note and the next path key. What it does not: that a path which leads to us was made by us. Anybody can seal a note for
a public key, so only a secret inside the note (path_id) proves whose path it was. Comparing it is the caller's work.

A node computes as little as it is asked for: each scalar multiplication here costs as much as a signature check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lnrecur.crypto import aead
from lnrecur.crypto.errors import InvalidTag
from lnrecur.crypto.hashes import hmac_sha256
from lnrecur.crypto.keys import PrivateKey, point_times
from lnrecur.onion.ephemeral import Link, ephemeral_chain, next_ephemeral
from lnrecur.onion.errors import BlindedDataUnreadable, PathImpossible
from lnrecur.values import NodeId, Point
from lnrecur.wire.blinded_path import BlindedHop, BlindedPath
from lnrecur.wire.tlv import TlvRecord

_NONCE: Final = bytes(12)
_PADDING_TYPE: Final = 1
HOPS_MAX: Final = 255
"""num_hops is one byte."""


class BlindedHopSecrets:
    """What one node shares with the maker of a path it stands on, as the node computes it.

    Making one costs one ECDH. The blinded key and the next path key are computed when they are asked for.
    """

    __slots__ = ("_blinded_key", "_link", "_next_path_key", "_node_key")

    def __init__(self, node_key: PrivateKey, path_key: Point) -> None:
        """Meet the maker of the path.

        Raises:
            InvalidPoint: `path_key` is not on the curve.
        """
        self._node_key = node_key
        self._link = Link(path_key, node_key.ecdh(path_key))
        self._blinded_key: PrivateKey | None = None
        self._next_path_key: Point | None = None

    @property
    def blinded_key(self) -> PrivateKey:
        """The private key of this hop's blinded node id: it peels the onion, and signs where the path is the name."""
        if self._blinded_key is None:
            self._blinded_key = self._node_key.times(_blinding_factor(self._link.shared_secret))
        return self._blinded_key

    @property
    def next_path_key(self) -> Point:
        """The path key of the next hop, unless the hop's data overrides it."""
        if self._next_path_key is None:
            self._next_path_key = next_ephemeral(self._link)
        return self._next_path_key

    def open(self, encrypted: bytes) -> bytes:
        """Decrypt this hop's encrypted_recipient_data into an encoded encrypted_data_tlv.

        Raises:
            BlindedDataUnreadable: it was not sealed for this key and path key.
        """
        return _opened(self._link.shared_secret, encrypted)


class Unblinded:
    """A hop's data, and what follows from its path key: computed only where it is read."""

    __slots__ = ("_secrets", "data")

    def __init__(self, data: bytes, secrets: BlindedHopSecrets) -> None:
        self.data = data
        """The encoded encrypted_data_tlv."""
        self._secrets = secrets

    @property
    def next_path_key(self) -> Point:
        """The path key for the next hop. Where the data has a next_path_key_override, that one counts instead."""
        return self._secrets.next_path_key

    @property
    def blinded_key(self) -> PrivateKey:
        """The private key of this hop's blinded node id."""
        return self._secrets.blinded_key


def unblind(node_key: PrivateKey, path_key: Point, encrypted: bytes) -> Unblinded:
    """Open what the maker of a path wrote for this node.

    Raises:
        InvalidPoint: `path_key` is not on the curve.
        BlindedDataUnreadable: `encrypted` was not sealed for this key and path key.
    """
    secrets = BlindedHopSecrets(node_key, path_key)
    return Unblinded(secrets.open(encrypted), secrets)


@dataclass(frozen=True, slots=True)
class OpenedHop:
    """What somebody who shares only one secret with the maker of a path can tell of a hop."""

    data: bytes
    """The encoded encrypted_data_tlv."""
    next_path_key: Point
    """Where the data has a next_path_key_override, that one counts instead."""


def open_hop(path_key: Point, shared_secret: bytes, encrypted: bytes) -> OpenedHop:
    """Open a hop's data without its node key: `shared_secret` is the key's ECDH with the path key, 32 bytes.

    Raises:
        InvalidPoint: `path_key` is not on the curve.
        BlindedDataUnreadable: `encrypted` was not sealed for this path key and secret.
    """
    return OpenedHop(_opened(shared_secret, encrypted), next_ephemeral(Link(path_key, shared_secret)))


def blind_path(session_key: PrivateKey, hops: Sequence[tuple[Point | NodeId, bytes]]) -> BlindedPath:
    """Build a blinded path over nodes, each with its encoded encrypted_data_tlv. The first is the introduction.

    The session key must be fresh: with it anybody can follow the path.

    Raises:
        PathImpossible: no hops, or more than 255.
        InvalidPoint: a node id is not on the curve.
    """
    if not 1 <= len(hops) <= HOPS_MAX:
        raise PathImpossible(f"a blinded path has 1 to {HOPS_MAX} hops, not {len(hops)}")
    links = ephemeral_chain(session_key, [node for node, _ in hops])
    blinded = tuple(
        BlindedHop(
            point_times(node, _blinding_factor(link.shared_secret)),
            aead.encrypt(_rho(link.shared_secret), _NONCE, data),
        )
        for link, (node, data) in zip(links, hops, strict=True)
    )
    return BlindedPath(Point(hops[0][0]), links[0].ephemeral, blinded)


def pad_alike(streams: Sequence[bytes]) -> list[bytes]:
    """Bring encoded encrypted_data_tlv streams to one length, by a `padding` record in front of the shorter ones.

    The streams have no padding yet. So that no hop can be told from another by the size of its data, the common length
    may be a few bytes beyond the longest stream: a record cannot be one byte long.
    """
    target = max(map(len, streams), default=0)
    while True:
        records = [_padding_record(target - len(stream)) for stream in streams]
        padded = [record + stream for record, stream in zip(records, streams, strict=True) if record is not None]
        if len(padded) == len(streams):
            return padded
        target += 1


def _padding_record(size: int) -> bytes | None:
    """A padding record of exactly `size` bytes (none for zero), or None where there is no such record."""
    if size == 0:
        return b""
    for overhead in (2, 4):  # type, and a length of one byte or of three
        if size >= overhead and len(raw := TlvRecord.of(_PADDING_TYPE, bytes(size - overhead)).raw) == size:
            return raw
    return None


def _opened(shared_secret: bytes, encrypted: bytes) -> bytes:
    try:
        return aead.decrypt(_rho(shared_secret), _NONCE, encrypted)
    except InvalidTag as error:
        raise BlindedDataUnreadable("the data of this hop was not encrypted for this node and path key") from error


def _blinding_factor(shared_secret: bytes) -> bytes:
    return hmac_sha256(b"blinded_node_id", shared_secret)


def _rho(shared_secret: bytes) -> bytes:
    return hmac_sha256(b"rho", shared_secret)
