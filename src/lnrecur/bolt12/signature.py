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
    signed = [record for record in records if not is_signature(record.type)]
    if not signed:
        raise ValueError("a message without fields has no merkle root")
    leaf_state, branch_state = tagged_hash_state(b"LnLeaf"), tagged_hash_state(b"LnBranch")
    nonce_state = tag_once(b"LnNonce" + signed[0].raw)
    level = []
    for tlv_type, _, raw in signed:
        leaf, nonce, branch = leaf_state.copy(), nonce_state.copy(), branch_state.copy()
        leaf.update(raw)
        nonce.update(raw[:1] if tlv_type < 0xFD else encode_bigsize(tlv_type))
        left, right = leaf.digest(), nonce.digest()
        branch.update(left + right if left < right else right + left)
        level.append(branch.digest())
    while len(level) > 1:
        paired = []
        for left, right in zip(level[::2], level[1::2], strict=False):
            branch = branch_state.copy()
            branch.update(left + right if left < right else right + left)
            paired.append(branch.digest())
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
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
