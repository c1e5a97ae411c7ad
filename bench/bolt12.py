"""Our BOLT 12 against its floor: the same work by the fastest means there is from Python, in the same run.

    python bench/bolt12.py

For each string of bench/strings.json: `decode`, `decode_verify` (signed messages), `sign` and `encode`. Prints one JSON
document; a measurement is [ours, floor, ours / floor], in microseconds, each the best of rounds that take turns, in
several passes over all strings, so that a machine that is busy for a while disturbs neither. `hostile` says what the
worst inputs of fuzz/hostile.py cost.

The floor of this file checks next to nothing and understands nothing: text to bytes by one big integer, one pass over
the records, the points put straight into libsecp256k1, the merkle tree from kept midstates, the raw signature
operation with the point that was parsed already. Its answers are compared with ours before anything is measured. Its
`sign` leaves out BIP 340's check of the signature just made; ours does that check. Its `encode` uses our own
`encode_base32`: we know nothing faster, and base64.b32encode takes several times as long.
"""

from __future__ import annotations

import json
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx

from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer, decode, signature
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import LnrecurError
from lnrecur.wire.base32 import encode_base32
from lnrecur.wire.blinded_path import BlindedPath

ROOT = Path(__file__).resolve().parents[1]
PASSES = 5
ROUNDS = 12
ROUND_S = 0.001
KEY = PrivateKey(sha256(b"lnrecur bench key").digest())

Call = Callable[[], object]
Record = tuple[int, bytes, bytes]


# --- the floor -------------------------------------------------------------------------------------------------------


def _midstate(tag: bytes) -> Any:
    return sha256(sha256(tag).digest() * 2)


BECH32 = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
TO_BASE32 = bytes.maketrans(BECH32, b"0123456789abcdefghijklmnopqrstuv")
LEAF, BRANCH = _midstate(b"LnLeaf"), _midstate(b"LnBranch")
DIGESTS = {name: _midstate(f"lightning{name}signature".encode()) for name in ("invoice_request", "invoice")}
PUBLIC, KEYPAIR = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_keypair *")
XONLY, MADE = ffi.new("secp256k1_xonly_pubkey *"), ffi.new("unsigned char[64]")
ZEROS = bytes(32)


def floor_bytes(text: str) -> bytes:
    payload = text[4:].encode().translate(TO_BASE32)
    bits = 5 * len(payload)
    return (int(payload, 32) >> (bits & 7)).to_bytes(bits >> 3, "big")


def floor_records(data: bytes) -> list[Record]:
    records: list[Record] = []
    at, end = 0, len(data)
    while at < end:
        start = at
        number = data[at]
        at += 1
        if number >= 0xFD:
            width = 2 << (number - 0xFD)
            number = int.from_bytes(data[at : at + width], "big")
            at += width
        length = data[at]
        at += 1
        if length >= 0xFD:
            width = 2 << (length - 0xFD)
            length = int.from_bytes(data[at : at + width], "big")
            at += width
        value_at, at = at, at + length
        records.append((number, data[value_at:at], data[start:at]))
    return records


def floor_points(points: list[bytes], parse: Any = lib.secp256k1_ec_pubkey_parse) -> None:
    for point in points:
        parse(ctx, PUBLIC, point, 33)


def floor_root(records: list[Record]) -> bytes:
    leaf_copy, branch_copy = LEAF.copy, BRANCH.copy
    nonce_copy = _midstate(b"LnNonce" + records[0][2]).copy
    level = []
    for number, _, raw in records:
        if 240 <= number <= 1000:
            continue
        leaf = leaf_copy()
        leaf.update(raw)
        nonce = nonce_copy()
        nonce.update(raw[:1] if number < 0xFD else raw[:3] if number < 0x10000 else raw[:5])
        left, right = leaf.digest(), nonce.digest()
        branch = branch_copy()
        branch.update(left + right if left < right else right + left)
        level.append(branch.digest())
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


def floor_digest(name: str, root: bytes) -> bytes:
    digest = DIGESTS[name].copy()
    digest.update(root)
    answer: bytes = digest.digest()
    return answer


def floor_verify(name: str, records: list[Record], made: bytes) -> bool:
    """Against the point that `floor_points` parsed last."""
    digest = floor_digest(name, floor_root(records))
    lib.secp256k1_xonly_pubkey_from_pubkey(ctx, XONLY, ffi.NULL, PUBLIC)
    return bool(lib.secp256k1_schnorrsig_verify(ctx, made, digest, 32, XONLY))


def floor_sign(name: str, records: list[Record], secret: bytes) -> bytes:
    digest = floor_digest(name, floor_root(records))
    lib.secp256k1_keypair_create(ctx, KEYPAIR, secret)
    lib.secp256k1_schnorrsig_sign32(ctx, MADE, digest, KEYPAIR, ZEROS)
    return bytes(ffi.buffer(MADE))


def floor_text(prefix: str, records: list[Record]) -> str:
    data = b"".join([raw for _, _, raw in records])
    return prefix + "1" + encode_base32(data).decode()


# --- ours beside it --------------------------------------------------------------------------------------------------


def points_of(message: Offer | InvoiceRequest | Invoice) -> list[bytes]:
    """All points of a message as they stand, the one that signs last."""
    paths = [path for value in message.values.values() if isinstance(value, tuple) for path in value]
    found = [
        point
        for path in paths
        if isinstance(path, BlindedPath)
        for point in (path.first_node_id, path.first_path_key, *(hop.blinded_node_id for hop in path.hops))
        if isinstance(point, bytes)
    ]
    ids = ("offer_issuer_id", "invreq_payer_id", "invoice_node_id")
    return [*found, *(message.values[name] for name in ids if name in message.values)]


def pairs(vector: dict[str, Any]) -> dict[str, tuple[Call, Call]]:
    """For each operation our call and the floor's; both were checked to agree."""
    text = vector["s"]
    message = decode(text)
    points, records = points_of(message), floor_records(floor_bytes(text))
    agreed = [
        floor_bytes(text) == message.to_bytes() == bytes.fromhex(vector["hex"]),
        records == [tuple(record) for record in message.stream.records],
        len(points) == vector["points"],
        floor_root(records) == signature.merkle_root(message.stream.records),
        floor_text(message.PREFIX, records) == message.to_text() == text,
    ]

    def floor_decode() -> list[Record]:
        found = floor_records(floor_bytes(text))
        floor_points(points)
        return found

    found: dict[str, tuple[Call, Call]] = {"decode": (lambda: decode(text), floor_decode)}
    found["encode"] = (message.to_text, lambda: floor_text(message.PREFIX, records))
    if not isinstance(message, Offer):
        name, made, secret, streamed = message.NAME, message.signature or b"", KEY.secret, message.stream.records

        def ours_verified() -> object:
            read = decode(text)
            return None if isinstance(read, Offer) else read.verify_signature()

        def ours_signed() -> bytes:
            return signature.sign(name, signature.merkle_root(streamed), KEY)

        found["decode_verify"] = (ours_verified, lambda: floor_verify(name, floor_decode(), made))
        found["sign"] = (ours_signed, lambda: floor_sign(name, records, secret))
        agreed += [floor_verify(name, floor_decode(), made), ours_signed() == floor_sign(name, records, secret)]
    if not all(agreed):
        raise SystemExit(f"the floor and we disagree about {vector['name']}: {agreed}")
    return found


# --- measuring -------------------------------------------------------------------------------------------------------


def microseconds(pairs: dict[tuple[str, str], tuple[Call, Call]]) -> dict[tuple[str, str], list[float]]:
    """For each pair ours, the floor, and the ratio."""
    best = {key: [float("inf"), float("inf")] for key in pairs}
    for _ in range(PASSES):
        for key, pair in pairs.items():
            counts = [max(1, int(ROUND_S / max(spent(call, 3) / 3, 1e-7))) for call in pair]
            for _ in range(ROUNDS):
                for which, call in enumerate(pair):
                    best[key][which] = min(best[key][which], spent(call, counts[which]) / counts[which])
    return {
        key: [round(ours * 1e6, 1), round(floor * 1e6, 1), round(ours / floor, 2)]
        for key, (ours, floor) in best.items()
    }


def spent(call: Call, count: int) -> float:
    """Seconds of this process's CPU: what else the machine does is not counted."""
    began = time.process_time()
    for _ in range(count):
        call()
    return time.process_time() - began


def hostile() -> dict[str, dict[str, object]]:
    """Milliseconds and memory (times the size of the input) that the worst inputs cost, and what they get."""
    sys.path.insert(0, str(ROOT))
    from fuzz.hostile import inputs

    told: dict[str, dict[str, object]] = {}
    for case in inputs():
        verdict = "read"
        tracemalloc.start()
        try:
            kept = case.read(case.data)
        except LnrecurError as error:
            verdict, kept = str(error)[:100], None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del kept
        told[case.name] = {
            "size": len(case.data),
            "ms": round(min(_refused(case) for _ in range(15)) * 1e3, 2),
            "memory": round(peak / len(case.data), 1),
            "verdict": verdict,
        }
    return told


def _refused(case: Any) -> float:
    began = time.perf_counter()
    try:
        case.read(case.data)
    except LnrecurError:
        return time.perf_counter() - began
    return time.perf_counter() - began


def main() -> None:
    vectors = json.loads((Path(__file__).parent / "strings.json").read_text())
    calls = {(vector["name"], name): pair for vector in vectors for name, pair in pairs(vector).items()}
    measured: dict[str, dict[str, list[float]]] = {}
    for (string, name), figures in microseconds(calls).items():
        measured.setdefault(string, {})[name] = figures
    document = {
        "bench": "bolt12",
        "unit": "[ours in microseconds, floor in microseconds, ours / floor]",
        "python": platform.python_version(),
        "machine": platform.machine(),
        "strings": measured,
        "hostile": hostile(),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
