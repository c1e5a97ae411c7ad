"""Onion messages built, peeled and relayed per second, against the floor of their raw operations, in the same run.

    python bench/onion_messages.py

What is measured: a real recurring invoice_request (bench/strings.json, `r_rec`) with a reply path of two hops, sent
along a blinded path of two hops, introduction and recipient; and the same with 20,000 bytes, in the big onion.

    path       a blinded path of two hops made
    build      the message wrapped for a path and a reply path that are ready
    relay      opened at the introduction, up to the message for the next node
    deliver    opened at the recipient, up to contents, reply path and path_id
    service    relay, and all that our service does around it: gate, pacing (switched off), the hand-over to a link

The floor does the same elliptic curve operations, ChaCha20 streams, HMACs and AEADs, as many of them and straight in
libsecp256k1 and OpenSSL, on values that are ready; its answers are compared with ours before anything is measured.
What it leaves out is everything else: reading and writing TLV, checking points that go nowhere, BOLT 4's rules. `ec` is
the part of the floor that is elliptic curves alone. Prints one JSON document; a measurement is
[ours in microseconds, floor in microseconds, ours / floor].
"""

from __future__ import annotations

import asyncio
import hmac
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.adapters.router import StaticRouter
from lnrecur.crypto.keys import PrivateKey, derive_key
from lnrecur.messaging.messenger import ContentsKind, Delivered, Forward, MessageContents, Messenger
from lnrecur.messaging.relay import RelayLimits, RelayVerdict
from lnrecur.onion.blinding import pad_alike
from lnrecur.onion.message_path import blind_message_path
from lnrecur.onion.payloads import EncryptedData, OnionMessagePayload
from lnrecur.ports import OnionMessageHandler, PeerAddress
from lnrecur.service.courier import Courier, MessageSettings
from lnrecur.values import NodeId
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.messages import OnionMessage

PASSES = 5
ROUNDS = 10
ROUND_S = 0.005
Call = Callable[[], object]

PAYER, HUB, PAYEE = (PrivateKey(sha256(b"lnrecur bench" + name).digest()) for name in (b"payer", b"hub", b"payee"))
PATH_SESSION, REPLY_SESSION = (PrivateKey(sha256(b"lnrecur bench" + name).digest()) for name in (b"path", b"reply"))
ENTROPY = sha256(b"one").digest() + sha256(b"two").digest()
PATH_ID = sha256(b"path id").digest()
ZERO12, ZERO16 = bytes(12), bytes(16)


# --- the floor -------------------------------------------------------------------------------------------------------

PARSED, MADE = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_pubkey *")
SHARED, COMPRESSED, LENGTH = ffi.new("unsigned char[32]"), ffi.new("unsigned char[33]"), ffi.new("size_t *", 33)
COMPRESS = 258


def ecdh(point: bytes, secret: bytes) -> bytes:
    lib.secp256k1_ec_pubkey_parse(ctx, PARSED, point, 33)
    lib.secp256k1_ecdh(ctx, SHARED, PARSED, secret, ffi.NULL, ffi.NULL)
    return bytes(ffi.buffer(SHARED))


def times(point: bytes, factor: bytes) -> bytes:
    lib.secp256k1_ec_pubkey_parse(ctx, PARSED, point, 33)
    lib.secp256k1_ec_pubkey_tweak_mul(ctx, PARSED, factor)
    return serialized(PARSED)


def point_of(secret: bytes) -> bytes:
    lib.secp256k1_ec_pubkey_create(ctx, MADE, secret)
    return serialized(MADE)


def serialized(point: Any) -> bytes:
    LENGTH[0] = 33
    lib.secp256k1_ec_pubkey_serialize(ctx, COMPRESSED, LENGTH, point, COMPRESS)
    return bytes(ffi.buffer(COMPRESSED))


def scalar_times(secret: bytes, factor: bytes) -> bytes:
    made = ffi.new("unsigned char[32]", secret)
    lib.secp256k1_ec_seckey_tweak_mul(ctx, made, factor)
    return bytes(ffi.buffer(made))


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def stream(key: bytes, length: int) -> bytes:
    made: bytes = Cipher(ChaCha20(key, ZERO16), None).encryptor().update(bytes(length))
    return made


def encrypted(key: bytes, data: bytes) -> bytes:
    made: bytes = Cipher(ChaCha20(key, ZERO16), None).encryptor().update(data)
    return made


def chain(session: bytes, keys: list[bytes]) -> list[tuple[bytes, bytes]]:
    links, secret = [], session
    for index, key in enumerate(keys):
        point = point_of(secret)
        shared = ecdh(key, secret)
        links.append((point, shared))
        if index + 1 < len(keys):
            secret = scalar_times(secret, sha256(point + shared).digest())
    return links


def floor_path(session: bytes, nodes: list[bytes], notes: list[bytes]) -> list[bytes]:
    links = chain(session, nodes)
    made = [links[0][0]]
    for (_, shared), node, note in zip(links, nodes, notes, strict=True):
        made.append(times(node, mac(b"blinded_node_id", shared)))
        made.append(ChaCha20Poly1305(mac(b"rho", shared)).encrypt(ZERO12, note, b""))
    return made


def floor_wrap(session: bytes, keys: list[bytes], framed: list[bytes], size: int) -> bytes:
    """Two hops, which is what is measured here."""
    (first, one), (_, two) = chain(session, keys)
    taken = len(framed[0]) + 32
    rho_one, rho_two = mac(b"rho", one), mac(b"rho", two)
    whole = stream(rho_one, size + taken)
    filler = whole[size:]
    area = (framed[1] + bytes(32) + stream(mac(b"pad", session), size))[:size]
    area = encrypted(rho_two, area)[:-taken] + filler
    inner = mac(mac(b"mu", two), area)
    area = encrypted(rho_one, (framed[0] + inner + area)[:size])
    return b"\0" + first + area + mac(mac(b"mu", one), area)


def floor_open(secret: bytes, path_key: bytes, onion: bytes, at: int, sealed: slice) -> tuple[bytes, bytes, bytes]:
    """The shared secret of the path, what the layer is when decrypted, and the hop's note."""
    shared = ecdh(path_key, secret)
    peeling = scalar_times(secret, mac(b"blinded_node_id", shared))
    inner = ecdh(onion[1:34], peeling)
    area = onion[34:-32]
    hmac.compare_digest(mac(mac(b"mu", inner), area), onion[-32:])
    opened = encrypted(mac(b"rho", inner), area + bytes(at))
    note = ChaCha20Poly1305(mac(b"rho", shared)).decrypt(ZERO12, opened[sealed], b"")
    return shared + inner, opened, note


def floor_relay(secret: bytes, path_key: bytes, onion: bytes, end: int, sealed: slice) -> tuple[bytes, bytes]:
    secrets, opened, _ = floor_open(secret, path_key, onion, end, sealed)
    shared, inner = secrets[:32], secrets[32:]
    next_path_key = times(path_key, sha256(path_key + shared).digest())
    ephemeral = times(onion[1:34], sha256(onion[1:34] + inner).digest())
    return next_path_key, b"\0" + ephemeral + opened[end:] + opened[end - 32 : end]


def ec_of(operation: str) -> Call:
    """The elliptic curve operations of a floor alone."""
    point, secret = HUB.point, PAYER.secret

    def path() -> None:
        chain(secret, [point, point])
        times(point, secret)
        times(point, secret)

    def build() -> None:
        chain(secret, [point, point])

    def deliver() -> None:
        ecdh(point, secret)
        scalar_times(secret, PATH_ID)
        ecdh(point, secret)

    def relay() -> None:
        deliver()
        times(point, secret)
        times(point, secret)

    return {"path": path, "build": build, "relay": relay, "service": relay, "deliver": deliver}[operation]


# --- ours beside it --------------------------------------------------------------------------------------------------


class Sink:
    """A link with one peer that keeps nothing."""

    def __init__(self, peer: NodeId) -> None:
        self._peers = frozenset((peer,))
        self.handler: OnionMessageHandler | None = None

    async def reach(self, address: PeerAddress) -> None: ...

    async def send(self, peer: NodeId, message: OnionMessage) -> None: ...

    def peers(self) -> frozenset[NodeId]:
        return self._peers

    def on_message(self, handler: OnionMessageHandler) -> None:
        self.handler = handler


@dataclass
class Journey:
    """One message of a size, at all its stations."""

    path: BlindedPath
    reply: BlindedPath
    contents: MessageContents
    at_hub: OnionMessage
    at_payee: OnionMessage


def journey(data: bytes) -> Journey:
    path = Messenger(PAYEE).reply_path(PATH_ID, PATH_SESSION, [NodeId(HUB.point)])
    reply = Messenger(PAYER).reply_path(PATH_ID, REPLY_SESSION, [NodeId(HUB.point)])
    contents = MessageContents(ContentsKind.INVOICE_REQUEST, data)
    out = Messenger(PAYER).compose(path, contents, ENTROPY, reply)
    passed = Messenger(HUB).receive(out.message)
    assert isinstance(passed, Forward)
    return Journey(path, reply, contents, out.message, passed.message)


def pairs(data: bytes, loop: asyncio.AbstractEventLoop) -> dict[str, tuple[Call, Call]]:
    """For each operation our call and the floor's; both were checked to agree."""
    told = journey(data)
    payer, hub, payee = Messenger(PAYER), Messenger(HUB), Messenger(PAYEE)
    hops = told.path.hops
    layers = [
        OnionMessagePayload(hops[0].encrypted_recipient_data).to_bytes(),
        OnionMessagePayload(hops[1].encrypted_recipient_data, told.reply, invoice_request=data).to_bytes(),
    ]
    framed = [_framed(layer) for layer in layers]
    size = len(told.at_hub.onion) - 66
    session = derive_key(ENTROPY, "message onion").secret
    keys = [bytes(hop.blinded_node_id) for hop in hops]
    onward = EncryptedData(next_node_id=NodeId(PAYEE.point)).to_bytes()
    last = EncryptedData(path_id=PATH_ID)
    notes = pad_alike([onward, last.to_bytes()])
    nodes = [bytes(HUB.point), bytes(PAYEE.point)]
    sealed = [_place(layer, hop.encrypted_recipient_data) for layer, hop in zip(framed, hops, strict=True)]

    sink = Sink(NodeId(PAYEE.point))
    relaying = MessageSettings(pace=None, relay=RelayLimits(burst=10**9))
    courier = Courier(hub, sink, StaticRouter(), SystemEntropy(), SystemClock(), relaying)
    handler = sink.handler
    assert handler is not None

    def made_path() -> list[bytes]:
        made = blind_message_path(PATH_SESSION, [HUB.point, PAYEE.point], last)
        return [made.first_path_key, *(part for hop in made.hops for part in
                (hop.blinded_node_id, hop.encrypted_recipient_data))]  # fmt: skip

    def built() -> bytes:
        return payer.compose(told.path, told.contents, ENTROPY, told.reply).message.onion

    def relayed() -> tuple[bytes, bytes]:
        passed = hub.receive(told.at_hub)
        assert isinstance(passed, Forward)
        return passed.message.path_key, passed.message.onion

    def delivered() -> bytes | None:
        opened = payee.receive(told.at_payee)
        assert isinstance(opened, Delivered)
        return opened.path_id

    def served() -> None:
        loop.run_until_complete(handler(NodeId(PAYER.point), told.at_hub))

    def floor_relayed() -> tuple[bytes, bytes]:
        hub_key, end = HUB.secret, len(framed[0]) + 32
        return floor_relay(hub_key, told.at_hub.path_key, told.at_hub.onion, end, sealed[0])

    def floor_delivered() -> bytes:
        opened = floor_open(PAYEE.secret, told.at_payee.path_key, told.at_payee.onion, 0, sealed[1])
        return opened[2][-32:]

    def floor_built() -> bytes:
        return floor_wrap(session, keys, framed, size)

    def floor_made_path() -> list[bytes]:
        return floor_path(PATH_SESSION.secret, nodes, notes)

    agreed = [
        made_path() == floor_made_path(),
        built() == floor_built() == told.at_hub.onion,
        relayed() == floor_relayed(),
        delivered() == floor_delivered() == PATH_ID,
    ]
    served()
    if not all(agreed) or courier.relay.counts[RelayVerdict.PASSED_ON] != 1:
        raise SystemExit(f"the floor and we disagree: {agreed}")
    return {
        "path": (made_path, floor_made_path),
        "build": (built, floor_built),
        "relay": (relayed, floor_relayed),
        "deliver": (delivered, floor_delivered),
        "service": (served, floor_relayed),
    }


def _framed(layer: bytes) -> bytes:
    length = len(layer)
    return (bytes([length]) if length < 0xFD else b"\xfd" + length.to_bytes(2, "big")) + layer


def _place(framed: bytes, sealed: bytes) -> slice:
    at = framed.index(sealed)
    return slice(at, at + len(sealed))


# --- measuring -------------------------------------------------------------------------------------------------------


def microseconds(calls: dict[tuple[str, str, str], Call]) -> dict[tuple[str, str, str], float]:
    """The best of rounds that take turns, so that a machine that is busy for a while disturbs none."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(PASSES):
        for key, call in calls.items():
            count = max(1, int(ROUND_S / max(_spent(call, 3) / 3, 1e-7)))
            for _ in range(ROUNDS):
                best[key] = min(best[key], _spent(call, count) / count)
    return {key: spent * 1e6 for key, spent in best.items()}


def _spent(call: Call, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - began


def main() -> None:
    vectors = json.loads((Path(__file__).parent / "strings.json").read_text())
    [request] = [bytes.fromhex(vector["hex"]) for vector in vectors if vector["name"] == "r_rec"]
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        calls: dict[tuple[str, str, str], Call] = {}
        for size, data in (("small", request), ("big", bytes(20_000))):
            for operation, (ours, floor) in pairs(data, loop).items():
                calls[size, operation, "ours"], calls[size, operation, "floor"] = ours, floor
                calls[size, operation, "ec"] = ec_of(operation)
        spent = microseconds(calls)
    document: dict[str, Any] = {
        "bench": "onion_messages",
        "unit": "[ours in microseconds, floor in microseconds, ours / floor]",
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for size, operation in dict.fromkeys((size, operation) for size, operation, _ in calls):
        ours, floor, ec = (spent[size, operation, which] for which in ("ours", "floor", "ec"))
        document.setdefault(size, {})[operation] = {
            "measured": [round(ours, 1), round(floor, 1), round(ours / floor, 2)],
            "ec": round(ec, 1),
            "per_second": round(1e6 / ours),
            "floor_per_second": round(1e6 / floor),
        }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
