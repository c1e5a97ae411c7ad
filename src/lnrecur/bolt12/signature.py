"""The merkle tree over a message's fields and the signatures of its root (BOLT 12, Signature Calculation).

Each field is a leaf, paired with a nonce leaf so that revealing one field tells nothing of its neighbour. Children are
ordered by value, so a proof needs no directions. Signatures are not part of the tree.

All hashes are tagged: each starts from a state that has eaten its tag already and is copied, never made anew. This is
four hashes for every field of every message that is signed or checked, which is why the branches are written out.
"""

from __future__ import annotations

from collections.abc import Iterable

from lnrecur.bolt12.fields import is_signature
from lnrecur.crypto import schnorr
from lnrecur.crypto.hashes import tag_once, tagged_hash, tagged_hash_state
from lnrecur.crypto.keys import PrivateKey
from lnrecur.wire.bigsize import encode_bigsize
from lnrecur.wire.tlv import TlvRecord


def merkle_root(records: Iterable[TlvRecord]) -> bytes:
    """The root over all records that are no signatures, which must be in ascending order; 32 bytes.

    Raises:
        ValueError: there is no record to sign.
    """
    leaf_copy, branch_copy = tagged_hash_state(b"LnLeaf").copy, tagged_hash_state(b"LnBranch").copy
    nonce_copy = None
    level = []
    for tlv_type, _, raw in records:
        if is_signature(tlv_type):
            continue
        if nonce_copy is None:
            nonce_copy = tag_once(b"LnNonce" + raw).copy
        leaf, nonce, branch = leaf_copy(), nonce_copy(), branch_copy()
        leaf.update(raw)
        nonce.update(raw[:1] if tlv_type < 0xFD else encode_bigsize(tlv_type))
        left, right = leaf.digest(), nonce.digest()
        branch.update(left + right if left < right else right + left)
        level.append(branch.digest())
    if not level:
        raise ValueError("a message without fields has no merkle root")
    while len(level) > 1:
        above = []
        for left, right in zip(level[::2], level[1::2], strict=False):
            branch = branch_copy()
            branch.update(left + right if left < right else right + left)
            above.append(branch.digest())
        if len(level) & 1:
            above.append(level[-1])
        level = above
    return level[0]


def signature_digest(message_name: str, root: bytes, field_name: str = "signature") -> bytes:
    """The 32 bytes that are signed: the root under the tag "lightning" || message || field."""
    return tagged_hash(f"lightning{message_name}{field_name}".encode(), root)


def sign(message_name: str, root: bytes, key: PrivateKey) -> bytes:
    """A message's `signature`, 64 bytes."""
    return schnorr.sign(signature_digest(message_name, root), key)


def verify(message_name: str, root: bytes, point: bytes, signature: bytes) -> None:
    """Check a message's `signature` against a public key.

    Raises:
        InvalidSignature: it does not match.
    """
    schnorr.verify(signature_digest(message_name, root), point, signature)
