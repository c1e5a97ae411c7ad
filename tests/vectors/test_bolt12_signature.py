"""BOLT 12, signature-test: leaves, nonces, branches, the root, what is signed and the signature.

The steps are computed here from the tags alone and compared with the vectors, so that a wrong root can be traced to the
step that broke; the library answers for the root, the digest and the signature.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from lnrecur.bolt12 import InvoiceRequest
from lnrecur.bolt12.signature import merkle_root, sign, signature_digest, verify
from lnrecur.crypto.errors import InvalidSignature
from lnrecur.crypto.hashes import tagged_hash
from lnrecur.crypto.keys import PrivateKey
from lnrecur.wire.tlv import TlvStream

VECTORS = json.loads((Path(__file__).parent / "data" / "bolts" / "bolt12-signature-test.json").read_text())
SIGNED = [vector for vector in VECTORS if "bolt12" in vector]
BOB = PrivateKey(b"\x42" * 32)


def _tagged(tag: bytes, message: bytes) -> bytes:
    """BIP 340's tagged hash, written a second time: an independent witness for `tagged_hash`."""
    digest = sha256(tag).digest()
    return sha256(digest + digest + message).digest()


def _records(vector: dict[str, Any]) -> TlvStream:
    leaves = [next(key for key in leaf if key.startswith("H(`LnLeaf`,")) for leaf in vector["leaves"]]
    return TlvStream.from_bytes(b"".join(bytes.fromhex(leaf[len("H(`LnLeaf`,") : -1]) for leaf in leaves))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["comment"][:30])
def test_leaves_and_nonces(vector: dict[str, Any]) -> None:
    first = bytes.fromhex(vector["first-tlv"])
    for record, told in zip(_records(vector), vector["leaves"], strict=True):
        leaf, nonce, branch = (bytes.fromhex(value) for value in told.values())
        assert leaf == _tagged(b"LnLeaf", record.raw) == tagged_hash(b"LnLeaf", record.raw)
        assert nonce == _tagged(b"LnNonce" + first, bytes((record.type,)))
        assert branch == _tagged(b"LnBranch", min(leaf, nonce) + max(leaf, nonce))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["comment"][:30])
def test_branches_hash_the_smaller_child_first(vector: dict[str, Any]) -> None:
    for told in vector["branches"]:
        (children, expected) = next((key, value) for key, value in told.items() if key.startswith("H(`LnBranch`,"))
        both = bytes.fromhex(children[len("H(`LnBranch`,") : -1])
        assert both[:32] < both[32:]
        assert tagged_hash(b"LnBranch", both).hex() == expected


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["comment"][:30])
def test_the_merkle_root_depends_on_the_records_alone(vector: dict[str, Any]) -> None:
    stream = _records(vector)
    assert merkle_root(stream.records).hex() == vector["merkle"]
    assert merkle_root(iter(stream)).hex() == vector["merkle"]


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["tlv"])
def test_the_signed_request(vector: dict[str, Any]) -> None:
    request = InvoiceRequest.from_text(vector["bolt12"])
    assert request.to_text() == vector["bolt12"]
    root = merkle_root(request.stream.records)
    assert root.hex() == vector["merkle"]
    digest = signature_digest("invoice_request", root)
    assert vector["signature_tag"] == "lightninginvoice_requestsignature"
    assert digest.hex() == vector["H(signature_tag,merkle)"]
    assert request.signature is not None
    assert request.signature.hex() == vector["signature"]
    assert request.verify_signature().to_bytes() == request.to_bytes()


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["tlv"])
def test_our_own_signature_is_the_one_of_the_vector(vector: dict[str, Any]) -> None:
    root = bytes.fromhex(vector["merkle"])
    assert sign("invoice_request", root, BOB).hex() == vector["signature"]
    verify("invoice_request", root, BOB.point, bytes.fromhex(vector["signature"]))


@pytest.mark.parametrize("name", ["invoice", "offer", "invoice_requestsignature"])
def test_a_signature_of_a_request_is_none_of_another_message(name: str) -> None:
    with pytest.raises(InvalidSignature):
        verify(name, bytes.fromhex(SIGNED[0]["merkle"]), BOB.point, bytes.fromhex(SIGNED[0]["signature"]))


def test_a_message_without_fields_has_no_root() -> None:
    with pytest.raises(ValueError, match="no merkle root"):
        merkle_root(())


def test_the_vectors_are_all_there() -> None:
    assert ([len(vector["leaves"]) for vector in VECTORS], len(SIGNED)) == ([1, 2, 3, 6], 1)
